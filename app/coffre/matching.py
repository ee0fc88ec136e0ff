"""Told tables against the journal: each row that an entry made says what that entry says, and no more.

tables/ is not under the signed root.  What the entries tell is told again from them alone, in their
order, and compared with the rows that were loaded, both ways: a row without its entry, an entry
without its row, or one field that differs is `ImportDiffers`.  What no entry tells (the date that
is printed on an order's passes) is left as it was told.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator
from hashlib import sha256
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID

import msgspec
from sqlalchemy import Table, or_, select
from sqlalchemy.orm import Session

from app.coffre import figures, verify
from app.coffre.refusals import ImportDiffers
from app.coffre.tables import plain
from funding.hand_out_rules import HandOutRules
from issuance.attestations import hand_outs_hash
from issuance.foreign import bare
from issuance.foreign_carnets import labels_hash
from issuance.models import attested, foreign_carnet, hand_out
from issuance.siret import is_siret
from ledger import canonical
from ledger.columns import metadata
from ledger.models import entry, log_leaf
from ledger.moments import Moment
from ledger.notes import read_key
from redemption.mednum import SiteFacts
from redemption.sites import departement_of

Row = dict[str, Any]
Key = tuple[Any, ...]

# What is compared field by field, and the columns of its key.
TOLD_AGAIN: dict[str, tuple[str, ...]] = {
    "call": ("code",),
    "convention": ("code",),
    "convention_window": ("convention", "version"),
    "programme": ("code",),
    "suspension": ("programme", "starts_on", "version"),
    "tranche": ("number",),
    "tranche_budget": ("tranche",),
    "target_public": ("tranche", "public"),
    "territory": ("tranche", "area"),
    "calendar": ("tranche", "version"),
    "share_version": ("tranche", "version"),
    "share": ("tranche", "version", "convention"),
    "desk": ("code",),
    "desk_programme": ("desk", "programme"),
    "site": ("number",),
    "accreditation": ("site", "programme", "number"),
    "workshop": ("id",),
    "secret_key": ("key_id",),
    "log_key": ("rank",),
    "log_key_end": ("rank",),
    "witness_policy": ("version",),
    "voucher_order": ("number",),
    "activation": ("order_number",),
    "transfer": ("number",),
    "proof_approval": ("order_number", "kind", "turn"),
    "attestation": ("entry_id",),
}
# Of these only the kind of the entry is looked at here: the audit derives the rest.
OF_KIND = {
    "hand_out": ("handed_out",),
    "attested": ("attestation_filed",),
    "delivery": ("delivered", "transfer_received"),
    "departure": ("transfer_sent", "transfer_received"),
    "handed_out": (
        "handed_out", "carnet_blocked", "stock_blocked", "hand_out_replaced", "misprints_voided",
    ),
    "kept_scan": ("kept",),
    "dispute": ("disputed",),
}  # fmt: skip


def compare_rows(session: Session) -> None:
    """Raise `ImportDiffers` for the first told row that is not what the entries tell."""
    told = _Told()
    rows = session.execute(
        select(entry.c.kind, entry.c.id, entry.c.occurred_on, entry.c.body)
        .join(log_leaf, log_leaf.c.entry_id == entry.c.id)
        .where(entry.c.kind.in_(_KINDS))
        .order_by(log_leaf.c.idx)
        .execution_options(yield_per=2_000)
    )
    for kind, made_by, day, body in rows:
        facts = canonical.decode(bytes(body))["facts"]
        getattr(told, f"_{kind}")(facts, {"entry_id": str(made_by)}, day.isoformat())
    for name, key in TOLD_AGAIN.items():
        _compare_table(session, metadata.tables[name], key, told.rows[name])
    _compare_covers(session, told.covers)
    _compare_attested(session, told.attested)
    for name, expected in OF_KIND.items():
        table = metadata.tables[name]
        odd = (
            select(table.c.entry_id)
            .outerjoin(entry, entry.c.id == table.c.entry_id)
            .where(or_(entry.c.kind.is_(None), entry.c.kind.not_in(expected)))
        )
        if session.execute(odd.limit(1)).first() is not None:
            raise ImportDiffers(f"tables/{name}.jsonl: entry_id")


def _compare_covers(session: Session, expected: dict[int, tuple[str, str]]) -> None:
    """Raise `ImportDiffers` unless the covers of carnets taken over are those that the entries tell by their hash."""
    rows = session.execute(select(foreign_carnet).order_by(foreign_carnet.c.carnet)).all()
    found = defaultdict(list)
    for row in rows:
        if row.found_by != bare(row.label):
            raise ImportDiffers("tables/foreign_carnet.jsonl: found_by")
        found[row.order_number, row.operator].append((row.carnet, row.label))
    told = {(of, operator): labels_hash(labels) for (of, operator), labels in found.items()}
    if told != {(of, operator): digest for of, (operator, digest) in expected.items()}:
        raise ImportDiffers("tables/foreign_carnet.jsonl")


def _compare_attested(session: Session, expected: dict[str, tuple[int, str]]) -> None:
    """Raise `ImportDiffers` unless each attestation covers the hand-outs that its entry tells by their hash."""
    found = defaultdict(list)
    for one, by, on in session.execute(
        select(attested.c.hand_out, attested.c.entry_id, hand_out.c.given_on).join(
            hand_out, hand_out.c.entry_id == attested.c.hand_out
        )
    ):
        found[str(by)].append((on, str(one)))
    told = {
        by: (len(rows), hand_outs_hash([UUID(one) for _, one in sorted(rows)]))
        for by, rows in found.items()
    }
    if told != expected:
        raise ImportDiffers("tables/attested.jsonl")


def compare_figures(session: Session, coffre: verify.Coffre, now: Moment) -> None:
    """Raise `ImportDiffers` unless the books here give the figures that verify.py proved."""
    size = coffre.manifest["size"]
    for name, found in (
        ("balances", figures.balances(session, size)),
        ("splits", figures.splits(session, size)),
        ("claims", figures.claims(session, size, now)),
    ):
        path = f"figures/{name}.json"
        if canonical.encode(found) + b"\n" != coffre.read(path):
            raise ImportDiffers(path)


def _compare_table(
    session: Session, table: Table, key: tuple[str, ...], expected: dict[Key, Row]
) -> None:
    path = f"tables/{table.name}.jsonl"
    seen = 0
    for row in _rows(session, table):
        found = expected.get(tuple(row[name] for name in key))
        if found is None:
            raise ImportDiffers(path)
        if table.name == "witness_policy":
            row["text"] = sha256(row["text"].encode()).hexdigest()
        for name, value in found.items():
            if row[name] != value:
                raise ImportDiffers(f"{path}: {name}")
        seen += 1
    if seen != len(expected):
        raise ImportDiffers(path)


def _rows(session: Session, table: Table) -> Iterator[Row]:
    names = [column.name for column in table.columns]
    for row in session.execute(select(table).execution_options(yield_per=2_000)):
        yield dict(zip(names, plain(row), strict=True))


class _Told:
    """The rows that the entries tell, taken in one by one; what they do not tell is not in them."""

    def __init__(self) -> None:
        self.rows: dict[str, dict[Key, Row]] = defaultdict(dict)
        self._versions: Counter[Key] = Counter()
        self._numbers: dict[str, int] = {}
        self.covers: dict[int, tuple[str, str]] = {}
        self.attested: dict[str, tuple[int, str]] = {}

    def _add(self, table: str, key: Key, made_by: Row, **row: Any) -> None:  # noqa: ANN401
        self.rows[table][key] = row | made_by

    def _version(self, *of: Any) -> int:  # noqa: ANN401
        self._versions[of] += 1
        return self._versions[of]

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
        for code, weight in f["shares"].items():
            self._add("share", (*key, code), {}, call=call, weight=weight)

    def _desk_opened(self, f: Row, by: Row, _day: str) -> None:
        told = {name: f.get(name) for name in ("prescriber", "name", "siret", "commune")}
        self._add("desk", (f["code"],), by, **told)
        for programme in f["programmes"]:
            self._add("desk_programme", (f["code"], programme), by)

    def _site_kept(self, f: Row, by: Row, _day: str) -> None:
        told = f["details"]
        insee, postcode = told["code_insee"] or None, told["code_postal"]
        where = SimpleNamespace(code_insee=insee, code_postal=postcode)
        self._add(
            "site",
            (f["site"],),
            by,
            national_id=told["id"],
            siret=told["pivot"] if is_siret(told["pivot"]) else None,
            name=told["nom"],
            commune=told["commune"],
            postcode=postcode,
            insee=insee,
            departement=departement_of(cast("SiteFacts", where)),
            details=canonical.encode(told).decode(),
            updated_on=told["date_maj"],
        )

    def _accredited(self, f: Row, by: Row, _day: str) -> None:
        of = (f["site"], f["programme"])
        number = self._version("accredited", *of) - 1
        before = self.rows["accreditation"].get((*of, number - 1))
        self._add(
            "accreditation",
            (*of, number),
            by,
            valid_from=f["valid_from"],
            valid_until=f["valid_until"],
            previous=None if before is None else number - 1,
            previous_until=None if before is None else before["valid_until"],
            ended_for=None,
        )

    def _accreditation_ended(self, f: Row, _by: Row, _day: str) -> None:
        of = (f["site"], f["programme"])
        row = self.rows["accreditation"][*of, self._versions["accredited", *of] - 1]
        row |= {"valid_until": f["last_day"], "ended_for": f["reason"]}

    def _workshop_opened(self, f: Row, by: Row, day: str) -> None:
        told = {name: f[name] for name in ("site", "kind", "service")}
        self._add("workshop", (f["workshop"],), by, day=day, **told)

    def _keys_made(self, f: Row, by: Row, _day: str) -> None:
        for key_id, purpose, public in f["keys"]:
            [told] = plain([None if public is None else bytes.fromhex(public)])
            self._add("secret_key", (key_id,), by, purpose=purpose, public=told)

    def _log_key_made(self, f: Row, by: Row, _day: str) -> None:
        key = read_key(f["vkey"])
        [public] = plain([key.public])
        self._add("log_key", (f["rank"],), by, name=key.name, public=public)

    def _log_key_ended(self, f: Row, by: Row, _day: str) -> None:
        self._add("log_key_end", (f["rank"],), by, why=f["why"])

    def _policy_set(self, f: Row, by: Row, _day: str) -> None:
        self._add("witness_policy", (f["version"],), by, text=f["policy_sha256"])

    def _order_placed(self, f: Row, by: Row, _day: str) -> None:
        names = (
            "tranche", "carnets", "first_carnet", "carnet_size", "face_cents", "specimen",
        )  # fmt: skip
        told = {name: f[name] for name in names}
        if "key_id" in f:
            told["key_id"] = f["key_id"]
        self._add("voucher_order", (f["order"],), by, **told)
        self.rows["tranche_budget"][(f["tranche"],)]["reserved_cents"] += f[
            "reserved_cents"
        ]

    def _hand_out_replaced(self, f: Row, by: Row, day: str) -> None:
        self._order_placed(f | {"reserved_cents": 0}, by, day)
        self._order_activated(f, by, day)

    def _order_taken_over(self, f: Row, by: Row, day: str) -> None:
        self._order_placed(f, by, day)
        self._order_activated(f, by, day)
        self.rows["voucher_order"][(f["order"],)]["printed_use_by"] = f["use_by"]
        self.covers[f["order"]] = (f["operator"], f["labels_sha256"])

    def _order_activated(self, f: Row, by: Row, _day: str) -> None:
        told = {
            "basis": f.get("basis", "commitment"),
            "commitment_number": f["commitment_number"],
        }
        self._add("activation", (f["order"],), by, **told)

    def _order_cancelled(self, f: Row, _by: Row, _day: str) -> None:
        self.rows["tranche_budget"][(f["tranche"],)]["reserved_cents"] -= f[
            "released_cents"
        ]

    def _proof_approved(self, f: Row, by: Row, _day: str) -> None:
        turn = self._version("proof", f["order"], f["kind"]) - 1
        names = ("template", "template_version", "template_sha256", "proof_sha256")
        lists = {n: canonical.encode(f[n]).decode() for n in ("publicity", "logos")}
        told = {name: f[name] for name in names} | lists
        self._add("proof_approval", (f["order"], f["kind"], turn), by, **told)

    def _attestation_filed(self, f: Row, by: Row, _day: str) -> None:
        told = {"desk": f["desk"], "from_day": f["from"], "until_day": f["until"]}
        key = (by["entry_id"],)
        self._add("attestation", key, by, sha256=f["sha256"], **told)
        self.attested[by["entry_id"]] = (f["hand_outs"], f["hand_outs_sha256"])

    def _transfer_sent(self, f: Row, by: Row, _day: str) -> None:
        told = {"from_desk": f["from"], "to_desk": f["to"], "carnets": f["count"]}
        self._add("transfer", (f["transfer"],), by, order_number=f["order"], **told)

    def _misprints_voided(self, f: Row, _by: Row, _day: str) -> None:
        budget = self.rows["tranche_budget"][(f["tranche"],)]
        budget["reserved_cents"] -= f["released_cents"]


_KINDS = {
    "call_opened", "convention_signed", "convention_extended", "programme_started", "programme_suspended",
    "tranche_opened", "calendar_amended", "shares_changed", "desk_opened", "site_kept", "accredited",
    "accreditation_ended", "workshop_opened", "keys_made", "log_key_made", "log_key_ended", "policy_set",
    "order_placed", "order_activated", "hand_out_replaced", "order_taken_over", "order_cancelled",
    "proof_approved", "transfer_sent", "misprints_voided", "attestation_filed",
}  # fmt: skip
