"""Making an order as a work: a piece of 200 carnets at a time, from the first one that is missing."""

from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from app.instance import Instance
from app.works.asking import AskWork, Work, ask
from app.works.doing import Piece
from issuance.keys import SigningKeyRevoked
from issuance.making import is_made, stamp, write_piece
from issuance.orders import OrderCancelled, OrderRow, StockLapsed, order_row
from issuance.queries import made_of
from issuance.signing import PIECE, sign_piece
from ledger.attempts import Answer
from ledger.moments import Moment
from ledger.refusal import Refusal

KIND = "make_order"


def ask_making(
    session: Session, which: UUID, order: OrderRow, programme: str, *, by: str, now: Moment
) -> bool:
    """Ask for an order to be made, all of it: what is made already is passed over.

    False when this was asked for before.
    """
    asked = {"order": order.number, "programme": programme}
    return ask(session, AskWork(which, KIND, asked, order.carnets), by=by, now=now)


def refused(answer: Answer, order: OrderRow) -> Refusal:
    """Return why the books did not take a piece, for whoever asked for all of them."""
    for stopped in (StockLapsed, OrderCancelled):
        if answer.code == stopped.code:
            return stopped(order.number)
    return SigningKeyRevoked(order.key_id)


class OrderSteps:
    """The making of an order laid out: its units are carnets, in the order of their numbers."""

    def __init__(
        self, instance: Instance, code: str, asked: Work, given: bytes | None
    ) -> None:
        del given
        self._by = asked.asked_by
        self._number = int(asked.request["order"])
        with instance.database.begin(code, read_only=True) as session:
            self._order = order_row(session, self._number)
        self._stamp = stamp(self._order, instance.signer(code))

    def do(self, session: Session, start: int, now: Moment) -> Piece:
        """Make the piece that begins at this carnet, unless it is there already."""
        piece, left = start // PIECE, self._order.carnets - start
        if not is_made(session, self._order, piece):
            signed = sign_piece(self._stamp, piece)
            answer = write_piece(session, self._order, signed, by=self._by, now=now)
            if not answer.accepted:
                raise refused(answer, self._order)
        return Piece(min(PIECE, left))

    def outcome(self, session: Session) -> tuple[str | None, dict[str, Any]]:
        """Return how many carnets the order has now, and how many passes."""
        made = made_of(session, self._number)
        return None, {"carnets": made, "count": made * self._order.carnet_size}
