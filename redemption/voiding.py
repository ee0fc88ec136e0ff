"""Misprints: carnets that came out wrong are void for good, and their money can be ordered again.

Only whole carnets that nobody was given anything of: then no pass of them was ever good to anyone, and
the money goes back to the tranche.  What was lost or stolen is blocked instead, and its money stays apart.
"""

from dataclasses import dataclass
from typing import Final
from uuid import UUID

import msgspec
from sqlalchemy import select
from sqlalchemy.orm import Session

from funding.tranches import release
from issuance.hand_outs import mark_handed_out
from issuance.models import handed_out, voucher
from issuance.orders import OrderRow, StockLapsed, order_row, stock_gate
from issuance.queries import VOID
from issuance.ranges import Ranges, ranges_of, written
from issuance.whereabouts import order_of
from ledger import gates
from ledger.accounts import account_name
from ledger.attempts import Act, Answer, perform
from ledger.entries import Entry, Right
from ledger.journal import must_record, next_turn
from ledger.moments import Moment
from ledger.refusal import Refusal
from redemption import presented
from redemption.blocking import PASSES_MAX, RangeTooLong
from redemption.models import kept_scan
from redemption.presented import PassRow

# The kind of the entry that ends each pass.
VOIDED: Final = "voided"


@dataclass(eq=False)
class CarnetsNotWhole(Refusal):
    """A pass of these carnets was handed out, scanned, blocked or voided: they are no misprints to take back."""

    code = "carnets_not_whole"

    carnets: str


class VoidMisprints(msgspec.Struct, frozen=True):
    """Carnets of one order that came out wrong, both ends included."""

    id: UUID
    first_carnet: int
    last_carnet: int


def void_misprints(
    session: Session, request: VoidMisprints, *, by: str, now: Moment
) -> Answer:
    """End every pass of these carnets, one entry each; their value can be ordered again.

    Hand-outs under way come before, and then nothing is voided.  Refused with `carnets_missing`,
    `stock_lapsed`, `carnets_not_whole`, `range_too_long`.
    """
    act = Act(request.id, "void_misprints", by, now)

    def done() -> None:
        carnets: Ranges = ((request.first_carnet, request.last_carnet),)
        order = order_row(session, order_of(session, carnets))
        # Alone with the stock: what is looked at stays whole until the commit.
        if gates.take(session, stock_gate(order.number)).closed_by is not None:
            raise StockLapsed(order.number)
        count = order.carnet_size * (request.last_carnet - request.first_carnet + 1)
        if count > PASSES_MAX:
            raise RangeTooLong(count, PASSES_MAX)
        lot = voucher.c.carnet.between(request.first_carnet, request.last_carnet)
        started = session.scalars(
            select(voucher.c.carnet)
            .outerjoin(handed_out, handed_out.c.serial == voucher.c.serial)
            .outerjoin(kept_scan, kept_scan.c.serial == voucher.c.serial)
            # A scan that waits says that somebody has it, and that the desk has not written so yet.
            .where(lot, handed_out.c.serial.is_not(None) | kept_scan.c.serial.is_not(None))
            .distinct()
        ).all()
        if started:
            raise CarnetsNotWhole(written(ranges_of(started)))
        serials = session.scalars(
            select(voucher.c.serial).where(lot).order_by(voucher.c.carnet, voucher.c.rank)
        ).all()
        rows = presented.passes(session, serials)
        subject = f"order/{order.number}"
        released = 0 if order.specimen else len(serials) * order.face_cents
        facts = {
            "count": len(serials),
            "first_carnet": request.first_carnet,
            "last_carnet": request.last_carnet,
            "order": order.number,
            "released_cents": released,
            "tranche": order.tranche,
        }
        right = Right(VOID, subject, next_turn(session, VOID, subject))
        must_record(session, [act.entry("misprints_voided", facts, right=right)])
        ended = [
            _entry(act, order, rows[serial], rank) for rank, serial in enumerate(serials, 1)
        ]
        must_record(session, ended)
        mark_handed_out(session, serials, act.id)
        if released:
            release(session, order.tranche, released)

    return perform(session, act, request, done)


def _entry(act: Act, order: OrderRow, row: PassRow, rank: int) -> Entry:
    book, worth = str(order.tranche), not order.specimen
    return act.entry(
        VOIDED,
        {"serial": row.serial, "tranche": order.tranche},
        rank=rank,
        credit=account_name("stock", book) if worth else None,
        debit=account_name("available", book) if worth else None,
        cents=order.face_cents if worth else 0,
        right=Right("spend", row.serial, row.turn),
    )
