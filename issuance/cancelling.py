"""Cancelling an order: what was not made of it goes back to its tranche, what was made stays what it is.

An order that was stopped (its key was revoked, its stock has lapsed, nobody wants it any more) holds
money that no carnet will ever carry.  Carnets that are made are not touched: they can still be
printed, activated and handed out, or blocked.
"""

from uuid import UUID

import msgspec
from sqlalchemy.orm import Session

from funding.tranches import release
from issuance.orders import OrderCancelled, OrderImpossible, is_cancelled, order_row
from issuance.queries import CANCEL, made_of
from ledger import gates
from ledger.attempts import Act, Answer, perform
from ledger.entries import Right
from ledger.journal import must_record
from ledger.moments import Moment


class CancelOrder(msgspec.Struct, frozen=True):
    """An order of which nothing more is to be made."""

    id: UUID
    order: int


def cancel_order(session: Session, request: CancelOrder, *, by: str, now: Moment) -> Answer:
    """Give back to the tranche what an order has not made, for ever; once.

    A piece that is being made at this moment is wholly made before, and counts as made, or is
    refused.  Refused with `not_found`, `order_cancelled`, and `order_impossible` where all of it
    is made.
    """
    act = Act(request.id, "cancel_order", by, now)

    def done() -> None:
        # Whoever makes a piece holds this gate too, until it is committed.
        gates.alone(session)
        order = order_row(session, request.order)
        if is_cancelled(session, order.number):
            raise OrderCancelled(order.number)
        left = order.carnets - made_of(session, order.number)
        if not left:
            raise OrderImpossible("all_made")
        cents = 0 if order.specimen else left * order.carnet_size * order.face_cents
        facts = {
            "carnets_not_made": left,
            "order": order.number,
            "released_cents": cents,
            "tranche": order.tranche,
        }
        right = Right(CANCEL, f"order/{order.number}", 0)
        must_record(session, [act.entry("order_cancelled", facts, right=right)])
        if cents:
            release(session, order.tranche, cents)

    return perform(session, act, request, done)
