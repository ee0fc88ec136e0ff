"""What the entries tell of the funds: calls, conventions, programmes, tranches, shares, calendars.

Told again from the bodies of the entries alone (`ledger.told`).  The nightly audit compares the
tables with it, and so does whoever is about to print what falls to each funder: who pays is then
proved by the journal, not read from the tables that the projection read.
"""

from datetime import date
from typing import Any

import msgspec
from sqlalchemy import CompoundSelect, Select
from sqlalchemy.orm import Session

from funding.allocation import Funder, Share, arrange
from funding.hand_out_rules import HandOutRules
from funding.terms import Terms, Version, Window
from ledger.told import Row, Told

# What decides how uses are split, and the columns of its key.
SHARED_BY = {
    "convention": ("code",),
    "convention_window": ("convention", "version"),
    "tranche": ("number",),
    "share_version": ("tranche", "version"),
    "share": ("tranche", "version", "convention"),
}
TABLES = {
    "call": ("code",),
    "programme": ("code",),
    "suspension": ("programme", "starts_on", "version"),
    "target_public": ("tranche", "public"),
    "territory": ("tranche", "area"),
    "calendar": ("tranche", "version"),
    **SHARED_BY,
}


class FundsTold(Told):
    """The rows of these tables, and of `tranche_budget` before any order."""

    kinds = frozenset(
        {
            "call_opened", "convention_signed", "convention_extended", "programme_started",
            "programme_suspended", "tranche_opened", "calendar_amended", "shares_changed",
        }
    )  # fmt: skip

    def __init__(self) -> None:
        super().__init__()
        self._numbers: dict[str, int] = {}
        self._arranged: dict[tuple[int, int], tuple[Share, ...]] = {}

    def terms(self) -> Terms:
        """Return the terms of every tranche as far as the log goes: who pays for which day."""
        found = Terms({}, {})
        for (code,) in self.rows["convention"]:
            found.windows[code] = []
        for (code, _version), row in sorted(self.rows["convention_window"].items()):
            days = (date.fromisoformat(row[name]) for name in ("opens_on", "closes_on"))
            if (idx := self.places.get(row["entry_id"])) is not None:
                found.windows[code].append(Window(idx, *days))
        for (number, version), row in self.rows["share_version"].items():
            if (idx := self.places.get(row["entry_id"])) is not None:
                since = date.fromisoformat(row["from_day"])
                shares = self._arranged[number, version]
                told = Version(version, since, idx, shares)
                found.versions.setdefault(number, []).append(told)
        return found

    def _call_opened(self, f: Row, by: Row, day: str) -> None:
        self._add("call", (f["call"],), by, name=f["name"], opened_on=day)

    def _convention_signed(self, f: Row, by: Row, _day: str) -> None:
        names = ("call", "funder", "name", "basis", "payment_mode", "cap_cents")
        self._add("convention", (f["code"],), by, **{name: f[name] for name in names})
        self._window(f["code"], f, by)

    def _convention_extended(self, f: Row, by: Row, _day: str) -> None:
        self._window(f["convention"], f, by)

    def _window(self, code: str, f: Row, by: Row) -> None:
        key = (code, self._version("window", code))
        days = {name: f[name] for name in ("opens_on", "closes_on")}
        self._add("convention_window", key, by, **days)

    def _programme_started(self, f: Row, by: Row, _day: str) -> None:
        self._add("programme", (f["programme"],), by, name=f["name"])

    def _programme_suspended(self, f: Row, by: Row, _day: str) -> None:
        of = (f["programme"], f["starts_on"])
        key = (*of, self._version("suspension", *of))
        self._add("suspension", key, by, ends_on=f["ends_on"], reason=f["reason"])

    def _tranche_opened(self, f: Row, by: Row, _day: str) -> None:
        number = self._numbers[f["code"]] = f["number"]
        names = ("code", "programme", "call", "face_cents", "carnet_size", "regularise")
        rules = msgspec.structs.asdict(HandOutRules()) | f.get("hand_out", {})
        told = {name: f[name] for name in names}
        told["activated_on"] = f.get("activated_on", "commitment")
        self._add("tranche", (number,), by, **told, **rules)
        budget = {"envelope_cents": f["envelope_cents"], "reserved_cents": 0}
        self._add("tranche_budget", (number,), {}, **budget)
        for area in f["territory"]:
            self._add("territory", (number, area), {})
        for public in f["publics"]:
            self._add("target_public", (number, public), {})
        self._calendar(number, f, by)
        self._shares(number, f, by, "0001-01-01")

    def _calendar_amended(self, f: Row, by: Row, _day: str) -> None:
        self._calendar(self._numbers[f["tranche"]], f, by)

    def _calendar(self, number: int, f: Row, by: Row) -> None:
        self._add("calendar", (number, self._version("days", number)), by, **f["calendar"])

    def _shares_changed(self, f: Row, by: Row, _day: str) -> None:
        self._shares(self._numbers[f["tranche"]], f, by, f["from_day"])

    def _shares(self, number: int, f: Row, by: Row, from_day: str) -> None:
        call = self.rows["tranche"][(number,)]["call"]
        key = (number, self._version("shares", number))
        self._add("share_version", key, by, call=call, from_day=from_day)
        funders = {code: row["funder"] for (code,), row in self.rows["convention"].items()}
        shares = [
            Share(code, Funder(funders[code]), weight)
            for code, weight in f["shares"].items()
        ]
        self._arranged[key] = arrange(shares)
        for priority, s in enumerate(self._arranged[key]):
            told = {"priority": priority, "weight": s.weight}
            self._add("share", (*key, s.convention), {}, call=call, **told)


def funds_told(
    session: Session, *, only: Select[Any] | CompoundSelect[Any] | None = None
) -> FundsTold:
    """Return what the entries tell of the funds: all of them, or those of `only`, a query of their ids."""
    told = FundsTold()
    told.take(session, only)
    return told
