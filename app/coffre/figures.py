"""The figures of a coffre, from the books as they stood at its log size, and not from its entries.

Whoever verifies derives them again from the entries alone, and compares.
"""

from collections import Counter
from typing import Any

import msgspec
from sqlalchemy import BigInteger, case, cast, func, select
from sqlalchemy.orm import Session

from funding.allocation import Fallen, split, under_caps
from funding.models import attribution, call, convention, segment
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
    caps = dict(
        session.execute(
            select(convention.c.code, convention.c.cap_cents).where(
                convention.c.cap_cents.is_not(None)
            )
        ).all()
    )
    shares = {}
    fallen = []
    for row in session.execute(select(segment)):
        if cents.get(row.id):
            of = row.tranche, row.version, row.open_windows
            shares[of] = canonical.decode(row.weights.encode())
            codes, _funders, weights = zip(*shares[of], strict=True)
            fallen.append(Fallen(*of, codes, weights, cents[row.id]))
    capped: Counter[tuple[str, int]] = Counter()
    told = []
    for s, parts in under_caps(fallen, caps):
        for code, part in zip(s.conventions[1:], parts[1:], strict=True):
            if code in caps:
                capped[code, s.tranche] += part
        told.append(
            {
                "cents": s.cents,
                "open": s.open_windows,
                "parts": split(s.weights, s.cents),
                "shares": shares[s[:3]],
                "tranche": s.tranche,
                "version": s.version,
            }
        )
    return {
        "capped": [
            {"cents": kept, "convention": code, "tranche": number}
            for (code, number), kept in sorted(capped.items())
            if kept
        ],
        "segments": told,
    }


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
