"""Carnets that were handed out and of which no pass was ever used: whom a desk may call.

A line is what one hand-out took from one carnet, so that a carnet given to two people is two
lines.  Nobody is named: a desk knows whom it gave a carnet to only if it wrote that down itself.
What cannot be used any more, lapsed, blocked, replaced or past its last workshop day, is in no line:
a call would help nobody.  Nor is what was given again to someone who used other passes: they came.
"""

from collections.abc import Collection, Sequence
from datetime import date, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, Select, case, func, select
from sqlalchemy.orm import Session

from funding.models import tranche
from funding.queries import calendars_in_force
from issuance.models import delivery, handed_out, voucher, voucher_order
from issuance.orders import circulating_gate
from issuance.queries import REPLACEMENT
from ledger import canonical
from ledger.models import entry, gate
from redemption.presented import held_spend

FOUND_AT_ONCE = 500


class UnusedCarnet(NamedTuple):
    """What one hand-out took from a carnet, and still waits: where, since when, until when."""

    desk: str
    carnet: int
    handed_out_on: date
    left: int
    use_by: date
    programme: str


def unused_carnets(
    session: Session, *, weeks: int, on: date, desks: Collection[str] | None = None
) -> list[UnusedCarnet]:
    """Return the carnets handed out `weeks` weeks ago or earlier and never used, the oldest first.

    Of these desks only, where they are told.  A use that was undone is no use.
    """
    programmes = dict(session.execute(select(tranche.c.number, tranche.c.programme)).all())
    use_by = _open_tranches(session, programmes, on)
    since = on - timedelta(weeks=weeks)
    at_desk = [] if desks is None else [_brought_to(desks)]
    closed = _lapsed(session)
    rows = [
        row
        for row in (
            *_waiting(session, use_by, since, "handed_out", *at_desk),
            *_waiting(session, use_by, since, REPLACEMENT),
        )
        if circulating_gate(row.order_number) not in closed
    ]
    told = _told(session, [row.entry_id for row in rows])
    came = _came(session, set(told.values()))
    found = [
        UnusedCarnet(
            told[row.entry_id].desk,
            row.carnet,
            row.occurred_on,
            row.left,
            use_by[row.tranche],
            programmes[row.tranche],
        )
        for row in rows
        if desks is None or told[row.entry_id].desk in desks
        if row.entry_id not in came
    ]
    return sorted(found, key=lambda u: (u.handed_out_on, u.carnet, u.desk))


def _open_tranches(
    session: Session, tranches: Collection[int], on: date
) -> dict[int, date]:
    """Return those of the tranches whose passes can be used on a day, with the use-by in force."""
    return {
        number: dates.use_by
        for number, dates in calendars_in_force(session, set(tranches)).items()
        if dates.tolerance_until >= on
    }


def _lapsed(session: Session) -> set[str]:
    """Return the keys of the gates that a lapse has closed."""
    return set(session.scalars(select(gate.c.key).where(gate.c.closed_by.is_not(None))))


def _brought_to(desks: Collection[str]) -> ColumnElement[bool]:
    return voucher.c.carnet.in_(
        select(delivery.c.carnet).where(delivery.c.desk.in_(list(desks)))
    )


def _waiting(
    session: Session,
    tranches: Collection[int],
    since: date,
    kind: str,
    *where: ColumnElement[bool],
) -> Sequence[Any]:
    given, spend = entry.alias("given"), entry.alias("spend")
    left = func.sum(case((spend.c.id.is_(None), 1), else_=0))
    used = func.sum(case((spend.c.kind == "redeemed", 1), else_=0))
    return session.execute(
        select(
            handed_out.c.entry_id,
            voucher.c.carnet,
            voucher.c.order_number,
            voucher_order.c.tranche,
            given.c.occurred_on,
            left.label("left"),
        )
        .select_from(handed_out)
        .join(voucher, voucher.c.serial == handed_out.c.serial)
        .join(voucher_order, voucher_order.c.number == voucher.c.order_number)
        .join(given, given.c.id == handed_out.c.entry_id)
        .outerjoin(spend, held_spend(spend))
        .where(
            voucher_order.c.tranche.in_(list(tranches)),
            given.c.kind == kind,
            given.c.occurred_on <= since,
            *where,
        )
        .group_by(
            handed_out.c.entry_id,
            voucher.c.carnet,
            voucher.c.order_number,
            voucher_order.c.tranche,
            given.c.occurred_on,
        )
        .having(used == 0, left > 0)
    ).all()


class _Gift(NamedTuple):
    """An act that gave passes: its desk, and the hand-out that it goes back to, which may be itself."""

    act: UUID
    desk: str
    first: UUID


def _told(session: Session, acts: Sequence[UUID]) -> dict[UUID, _Gift]:
    """Return what the entries of these acts tell, by act."""
    found: dict[UUID, _Gift] = {}
    wanted = sorted(set(acts))
    for start in range(0, len(wanted), FOUND_AT_ONCE):
        some = wanted[start : start + FOUND_AT_ONCE]
        rows = session.execute(
            select(entry.c.id, entry.c.kind, entry.c.body).where(entry.c.id.in_(some))
        )
        for act, kind, body in rows:
            facts = canonical.decode(body)["facts"]
            first = UUID(facts["hand_out"]) if kind == REPLACEMENT else act
            found[act] = _Gift(act, facts["desk"], first)
    return found


def _came(session: Session, gifts: Collection[_Gift]) -> set[UUID]:
    """Return those of these acts whose person used a pass that another act gave them.

    A person is a hand-out and each replacement that goes back to it.
    """
    again = select(entry.c.id).where(entry.c.kind == REPLACEMENT)
    came = {gift.first for gift in _told(session, _used(session, again)).values()}
    firsts = sorted({gift.first for gift in gifts if gift.first != gift.act})
    for start in range(0, len(firsts), FOUND_AT_ONCE):
        came |= set(_used(session, firsts[start : start + FOUND_AT_ONCE]))
    return {gift.act for gift in gifts if gift.first in came}


def _used(session: Session, acts: Select[tuple[UUID]] | list[UUID]) -> Sequence[UUID]:
    """Return those of these acts that gave a pass which was used."""
    spend = entry.alias("spend")
    return session.scalars(
        select(handed_out.c.entry_id)
        .join(voucher, voucher.c.serial == handed_out.c.serial)
        .join(spend, held_spend(spend))
        .where(handed_out.c.entry_id.in_(acts), spend.c.kind == "redeemed")
        .distinct()
    ).all()
