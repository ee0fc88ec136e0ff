"""Lapse: after the presentation date, what is left of an order goes back to nobody.

One act per order and stage over thousands of passes; it meets single scans on the gate, so
that nothing is ever both lapsed and redeemed.
"""

from dataclasses import dataclass
from datetime import date
from typing import Literal
from uuid import UUID

import msgspec
from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from funding.models import calendar, tranche
from funding.queries import calendar_in_force
from issuance.models import handed_out, voucher, voucher_order
from issuance.orders import OrderRow, circulating_gate, order_row, stock_gate
from issuance.serials import serials_hash
from ledger import gates
from ledger.accounts import account_name
from ledger.attempts import Act, Answer, perform
from ledger.entries import Right
from ledger.journal import must_record
from ledger.models import entry, gate
from ledger.moments import Moment
from ledger.refusal import Refusal

Stage = Literal["stock", "circulating"]


@dataclass(eq=False)
class TooEarlyToLapse(Refusal):
    """The presentation date is not past yet: uses may still arrive."""

    code = "too_early_to_lapse"

    present_by: date


@dataclass(eq=False)
class AlreadyLapsed(Refusal):
    """What was left of this order at this stage has lapsed already."""

    code = "already_lapsed"

    order: int
    stage: str


class Lapse(msgspec.Struct, frozen=True):
    """Let lapse what is left of an order: in stock, or in people's hands."""

    id: UUID
    order: int
    stage: Stage


class DueLapse(msgspec.Struct, frozen=True):
    """An order and stage whose presentation date is past and whose gate is open."""

    order: int
    stage: Stage


def lapse(session: Session, request: Lapse, *, by: str, now: Moment) -> Answer:
    """Close the gate of an order's stage and count what is left: it lapses, in one entry.

    Waits for every scan and hand-out under way.  The date decides, not the job: refused with
    `too_early_to_lapse` until the presentation day is over, `already_lapsed`, `not_found`.
    """
    act = Act(request.id, "lapse", by, now)

    def done() -> None:
        # Whoever amends the calendar meanwhile comes before, or after what lapsed by the old one.
        gates.hold(session, [gates.REFERENCE])
        order = order_row(session, request.order)
        present_by = calendar_in_force(session, order.tranche).present_by
        if now.day <= present_by:
            raise TooEarlyToLapse(present_by)
        key = gate_key(order.number, request.stage)
        state = gates.take(session, key)
        if state.closed_by is not None:
            raise AlreadyLapsed(order.number, request.stage)
        serials = left_in(session, order, request.stage)
        cents = 0 if order.specimen else len(serials) * order.face_cents
        book = str(order.tranche)
        facts = {
            "count": len(serials),
            "order": order.number,
            "present_by": present_by.isoformat(),
            "serials_sha256": serials_hash(serials),
            "stage": request.stage,
            "tranche": order.tranche,
        }
        must_record(
            session,
            [
                act.entry(
                    "lapsed",
                    facts,
                    credit=account_name(request.stage, book) if cents else None,
                    debit=account_name("lapsed", book, request.stage) if cents else None,
                    cents=cents,
                    right=Right("lapse", key, state.generation),
                )
            ],
        )
        gates.close(session, key, act=act.id)

    return perform(session, act, request, done)


def left_in(session: Session, order: OrderRow, stage: Stage) -> list[str]:
    """Return the serials of an order that are in stock, or handed out and not spent; sorted."""
    last = order.first_carnet + order.carnets - 1
    of_order = select(voucher.c.serial).where(
        voucher.c.carnet.between(order.first_carnet, last)
    )
    given = handed_out.c.serial == voucher.c.serial
    if stage == "stock":
        chosen = of_order.outerjoin(handed_out, given).where(handed_out.c.serial.is_(None))
    else:

        def last_turn(uses: str) -> ColumnElement[int]:
            turns = select(func.max(entry.c.turn)).where(
                entry.c.uses == uses, entry.c.subject == voucher.c.serial
            )
            return func.coalesce(turns.scalar_subquery(), -1)

        chosen = of_order.join(handed_out, given).where(
            last_turn("spend") == last_turn("undo")
        )
    return list(session.scalars(chosen.order_by(voucher.c.serial)))


def due_lapses(session: Session, today: date) -> list[DueLapse]:
    """Return what the job should let lapse today: it catches up after days of downtime."""
    newest = (
        select(calendar.c.tranche, func.max(calendar.c.version).label("version"))
        .group_by(calendar.c.tranche)
        .subquery()
    )
    numbers = session.scalars(
        select(voucher_order.c.number)
        .join(tranche, tranche.c.number == voucher_order.c.tranche)
        .join(newest, newest.c.tranche == tranche.c.number)
        .join(
            calendar,
            (calendar.c.tranche == newest.c.tranche)
            & (calendar.c.version == newest.c.version),
        )
        .where(calendar.c.present_by < today)
        .order_by(voucher_order.c.number)
    ).all()
    open_keys = set(session.scalars(select(gate.c.key).where(gate.c.closed_by.is_(None))))
    return [
        DueLapse(number, stage)
        for number in numbers
        for stage in STAGES
        if gate_key(number, stage) in open_keys
    ]


STAGES: tuple[Stage, ...] = ("stock", "circulating")


def gate_key(order: int, stage: Stage) -> str:
    """Return the key of the gate of an order's stage."""
    return stock_gate(order) if stage == "stock" else circulating_gate(order)
