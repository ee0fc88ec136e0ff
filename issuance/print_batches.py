"""Print batches: that carnets of an order were printed, with which template, and what was written.

Paper cannot be asked afterwards what it said.  A funder's controller wants to know which emblem
and which words stood on the carnets that a tranche paid for (Regulations (EU) 1303/2013, article
115, and 2021/1060, article 50), and a manager which carnets went to which printer.  So each batch
leaves an entry: the range, the template's version and hash, the publicity block, the hashes of the
logos, and the hash of the manifest, which lists the hash of each file.  The files are worth money
and need not be kept.  Paper that a person pays with looks as the last proof did (`proofs`).

Batches of an order are numbered without a gap, by the right that each one uses up.
"""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import msgspec
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from issuance.models import carnet, foreign_carnet, handed_out, voucher
from issuance.orders import OrderRow, order_row
from issuance.printed import Kind
from issuance.proofs import Look, check_approved
from issuance.ranges import ranges_of, written
from ledger import canonical, gates
from ledger.attempts import Act, Answer, perform
from ledger.entries import Right
from ledger.journal import must_record, next_turn
from ledger.models import entry
from ledger.moments import Moment
from ledger.refusal import Refusal

MADE = "print_batch_made"
# What takes carnets out of the stock for nobody.
ENDED = ("misprints_voided", "stock_blocked", "carnet_blocked")
PRINT = "print"  # the right that each batch of an order uses up, turn after turn


@dataclass(eq=False)
class NotInOrder(Refusal):
    """Some of these carnets are not of this order, or are not made yet: nothing is printed of them."""

    code = "carnets_not_of_order"

    order: int
    first: int
    last: int


@dataclass(eq=False)
class CarnetsEnded(Refusal):
    """Some of these carnets were voided or blocked while nobody had them: on paper they would deceive."""

    code = "carnets_ended"

    carnets: str


@dataclass(eq=False)
class OrderTakenOver(Refusal):
    """The order is paper of a former operator, which is never printed again."""

    code = "order_taken_over"

    order: int


class RecordBatch(msgspec.Struct, frozen=True):
    """What was printed; `publicity` names the blocks that stood on it, with their versions."""

    id: UUID
    order: int
    first_carnet: int
    last_carnet: int
    kind: Kind
    template: str
    template_version: int
    template_sha256: str
    publicity: tuple[str, ...]
    manifest_sha256: str
    logos: tuple[str, ...] = ()

    @property
    def look(self) -> Look:
        """What stands on each sheet of it."""
        return Look(
            self.template,
            self.template_version,
            self.template_sha256,
            self.publicity,
            self.logos,
        )


class Batch(msgspec.Struct, frozen=True):
    """A batch as its entry tells it; `number` counts from 1 within the order."""

    number: int
    at: datetime
    by: str
    first_carnet: int
    last_carnet: int
    kind: Kind
    template: str
    template_version: int
    template_sha256: str
    publicity: tuple[str, ...]
    manifest_sha256: str
    key_id: int


def printable(session: Session, order: OrderRow, first: int, last: int) -> None:
    """Raise `NotInOrder` unless these carnets, both ends included, are of the order and made.

    Raise `OrderTakenOver` for paper that somebody else had printed.
    """
    foreign = select(foreign_carnet.c.carnet).where(
        foreign_carnet.c.order_number == order.number
    )
    if session.scalar(foreign.limit(1)) is not None:
        raise OrderTakenOver(order.number)
    made = select(func.count()).where(
        carnet.c.order_number == order.number, carnet.c.number.between(first, last)
    )
    if first > last or session.scalar(made) != last - first + 1:
        raise NotInOrder(order.number, first, last)


def be_good(session: Session, first: int, last: int) -> None:
    """Raise `CarnetsEnded` if a carnet of this range was voided, or blocked in stock.

    Asked before printing alone: a batch that is on paper already is told, whatever became of it.
    """
    ended = session.scalars(
        select(voucher.c.carnet)
        .join(handed_out, handed_out.c.serial == voucher.c.serial)
        .join(entry, entry.c.id == handed_out.c.entry_id)
        .where(voucher.c.carnet.between(first, last), entry.c.kind.in_(ENDED))
        .distinct()
    ).all()
    if ended:
        raise CarnetsEnded(written(ranges_of(ended)))


def record_batch(session: Session, request: RecordBatch, *, by: str, now: Moment) -> Answer:
    """Record that a batch was printed; recording it again is a replay, and adds nothing.

    Refused with `not_found`, `carnets_not_of_order`, `order_taken_over`, `proof_not_approved`.
    """
    act = Act(request.id, "record_print_batch", by, now)

    def done() -> None:
        gates.alone(session)
        order = order_row(session, request.order)
        printable(session, order, request.first_carnet, request.last_carnet)
        check_approved(session, order, request.kind, request.look)
        turn = next_turn(session, PRINT, _subject(order.number))
        facts = msgspec.to_builtins(request) | {"batch": turn + 1, "key_id": order.key_id}
        del facts["id"]
        right = Right(PRINT, _subject(order.number), turn)
        must_record(session, [act.entry(MADE, facts, right=right)])

    return perform(session, act, request, done)


def batches(session: Session, number: int) -> list[Batch]:
    """Return the print batches of an order, the first one first; raises `NotFound`."""
    order_row(session, number)
    rows = session.execute(
        select(entry.c.recorded_at, entry.c.actor, entry.c.body)
        .where(entry.c.uses == PRINT, entry.c.subject == _subject(number))
        .order_by(entry.c.turn)
    )
    found = []
    for at, by, body in rows:
        facts = canonical.decode(body)["facts"]
        told = {name: facts[name] for name in Batch.__struct_fields__ if name in facts}
        told["publicity"] = tuple(told["publicity"])
        found.append(Batch(number=facts["batch"], at=at, by=by, **told))
    return found


def _subject(order: int) -> str:
    return f"order/{order}"
