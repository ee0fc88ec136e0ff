"""The figures of a coffre, from the books as they stood at its log size, and not from its entries.

Whoever verifies derives them again from the entries alone, and compares.
"""

from typing import Any

import msgspec
from sqlalchemy import BigInteger, Column, case, cast, func, select
from sqlalchemy.orm import Session

from funding.allocation import split
from funding.models import (
    attribution,
    call,
    capped_attribution,
    convention,
    segment,
)
from ledger import canonical
from ledger.models import account, entry, log_leaf
from ledger.moments import Moment
from redemption.reconciliation import of_call, reconcile

TRANCHE = (
    "active", "call", "disputes_open", "envelope_cents", "face_cents", "handed_out", "lines", "made", "number",
    "programme", "recoverable_cents", "tranche", "used", "used_cents",
)  # fmt: skip
FUNDER = ("basis", "cap_cents", "cents", "convention", "funder", "weight", "weights")
SITE = ("count", "due_cents", "paid_cents", "recoverable_cents", "site")


def balances(session: Session, size: int) -> dict[str, list[int]]:
    """Return debits and credits of each account that the first `size` entries moved."""
    found: dict[str, list[int]] = {}
    for side, column in enumerate((entry.c.debit_id, entry.c.credit_id)):
        rows = session.execute(
            select(account.c.name, cast(func.sum(entry.c.amount_cents), BigInteger))
            .select_from(entry)
            .join(log_leaf, log_leaf.c.entry_id == entry.c.id)
            .join(account, account.c.id == column)
            .where(log_leaf.c.idx < size)
            .group_by(account.c.name)
        )
        for name, cents in rows:
            found.setdefault(name, [0, 0])[side] = int(cents)
    return found


def splits(session: Session, size: int) -> dict[str, Any]:
    """Return the segments with their parts, and what the caps hold, as the sequencer kept them."""
    signed = case(
        (entry.c.uses == "undo", -entry.c.amount_cents), else_=entry.c.amount_cents
    )
    totals = session.execute(
        select(attribution.c.segment, cast(func.sum(signed), BigInteger))
        .join(log_leaf, log_leaf.c.idx == attribution.c.idx)
        .join(entry, entry.c.id == log_leaf.c.entry_id)
        .where(attribution.c.idx < size)
        .group_by(attribution.c.segment)
    )
    cents = {key: int(total) for key, total in totals}
    told = []
    for row in session.execute(
        select(segment).order_by(
            segment.c.tranche, segment.c.version, segment.c.open_windows
        )
    ):
        if cents.get(row.id):
            shares = canonical.decode(row.weights.encode())
            told.append(
                {
                    "cents": cents[row.id],
                    "open": row.open_windows,
                    "parts": split([weight for *_rest, weight in shares], cents[row.id]),
                    "shares": shares,
                    "tranche": row.tranche,
                    "version": row.version,
                }
            )
    told.sort(key=lambda s: (s["tranche"], s["version"], s["open"]))
    return {"capped": _capped(session, size), "segments": told}


def _capped(session: Session, size: int) -> list[dict[str, Any]]:
    def under(column: Column[int]) -> Any:  # noqa: ANN401 - an expression
        return case((column > convention.c.cap_cents, convention.c.cap_cents), else_=column)

    brought = under(capped_attribution.c.uncapped_after) - under(
        capped_attribution.c.uncapped_before
    )
    rows = session.execute(
        select(
            capped_attribution.c.convention,
            segment.c.tranche,
            cast(func.sum(brought), BigInteger),
        )
        .join(convention, convention.c.code == capped_attribution.c.convention)
        .join(attribution, attribution.c.idx == capped_attribution.c.idx)
        .join(segment, segment.c.id == attribution.c.segment)
        .where(capped_attribution.c.idx < size)
        .group_by(capped_attribution.c.convention, segment.c.tranche)
    )
    return [
        {"cents": int(cents), "convention": code, "tranche": number}
        for code, number, cents in sorted(rows.all())
        if cents
    ]


def claims(session: Session, size: int, now: Moment) -> dict[str, Any]:
    """Return the reconciliation at this log size: each tranche, and the sums by call.

    Sites are numbers here: what they are called is told by the journal.
    """
    calls = session.scalars(
        select(call.c.code)
        .join(log_leaf, log_leaf.c.entry_id == call.c.entry_id)
        .where(log_leaf.c.idx < size)
    )
    found = reconcile(session, now=now, log_size=size)
    told = []
    for code in sorted(calls):
        total = of_call(code, [t for t in found if t.call == code])
        parts = [
            {"cents": p.cents, "convention": p.convention} for p in total.funders if p.cents
        ]
        told.append(
            {
                "call": code,
                "envelope_cents": total.envelope_cents,
                "funders": sorted(parts, key=lambda p: str(p["convention"])),
                "lines": [{"cents": e.cents, "state": e.state} for e in total.lines],
                "used_cents": total.used_cents,
            }
        )
    return {"calls": told, "tranches": [_tranche(msgspec.to_builtins(t)) for t in found]}


def _tranche(told: dict[str, Any]) -> dict[str, Any]:
    return {name: told[name] for name in TRANCHE} | {
        "funders": [{name: part[name] for name in FUNDER} for part in told["funders"]],
        "sites": [{name: site[name] for name in SITE} for site in told["sites"]],
    }
