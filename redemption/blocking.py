"""Lost or stolen: what is left of a carnet, or a stock of carnets, stops being worth anything."""

from dataclasses import dataclass
from typing import Literal, NamedTuple
from uuid import UUID

import msgspec
from sqlalchemy import Select, case, exists, func, select
from sqlalchemy.orm import Session

from issuance.hand_outs import CarnetUnknown, mark_handed_out
from issuance.models import handed_out, voucher
from issuance.orders import OrderRow, StockLapsed, circulating_gate, order_row, stock_gate
from issuance.whereabouts import order_of
from ledger import gates
from ledger.accounts import account_name
from ledger.attempts import Act, Answer, perform
from ledger.entries import Entry, Right
from ledger.journal import must_record
from ledger.moments import Moment
from ledger.refusal import Refusal
from redemption import presented
from redemption.models import kept_scan
from redemption.presented import PassRow


@dataclass(eq=False)
class NothingToBlock(Refusal):
    """Every pass of the carnet is already spent, blocked or lapsed."""

    code = "nothing_to_block"

    carnet: int


@dataclass(eq=False)
class NothingInStock(Refusal):
    """Nothing of these carnets is in stock: all of it was handed out, blocked or has lapsed."""

    code = "nothing_in_stock"

    first: int
    last: int


@dataclass(eq=False)
class RangeTooLong(Refusal):
    """More passes than one act blocks; do it in several."""

    code = "range_too_long"

    count: int
    most: int


# What came out wrong is voided instead (`redemption.voiding`): its money can be ordered again.
Why = Literal["lost", "stolen"]
PASSES_MAX = 10_000


class InStock(NamedTuple):
    """What is in stock of carnets: of how many of them, how many passes, and how many were used already.

    A pass that `waiting` counts was scanned, and the desk that gave it has not written so yet.
    """

    carnets: int
    passes: int
    waiting: int


class BlockCarnet(msgspec.Struct, frozen=True):
    """A carnet nobody should be able to use any more."""

    id: UUID
    carnet: int
    reason: Why = "lost"


class BlockStock(msgspec.Struct, frozen=True):
    """Carnets of one order that are gone before anybody was given them, both ends included."""

    id: UUID
    first_carnet: int
    last_carnet: int
    reason: Why = "stolen"


def block_carnet(session: Session, request: BlockCarnet, *, by: str, now: Moment) -> Answer:
    """Block each pass of a carnet that is left, one entry each; its value is set apart.

    A pass still in stock leaves it by the same act, so that nobody can hand it out later.  Scans and
    hand-outs under way come before, or find it blocked.
    Refused with `carnet_unknown`, `nothing_to_block`.
    """
    act = Act(request.id, "block_carnet", by, now)

    def done() -> None:
        made = session.execute(
            select(voucher.c.serial, voucher.c.order_number)
            .where(voucher.c.carnet == request.carnet)
            .order_by(voucher.c.rank)
        ).all()
        if not made:
            raise CarnetUnknown(str(request.carnet))
        order = order_row(session, made[0].order_number)
        # Alone with the order, before looking: a pass that is spent or handed out meanwhile would
        # refuse the whole act, for ever.  In the order in which everybody takes them.
        keys = {
            "circulating": circulating_gate(order.number),
            "stock": stock_gate(order.number),
        }
        closed = {
            stage
            for stage, key in keys.items()
            if gates.take(session, key).closed_by is not None
        }
        rows = presented.passes(session, [row.serial for row in made])
        left = [
            row
            for row in (rows[each.serial] for each in made)
            if not row.held and row.stage not in closed
        ]
        if not left:
            raise NothingToBlock(request.carnet)
        in_stock = [row.serial for row in left if not row.handed_out]
        summary = act.entry(
            "carnet_blocked",
            {"carnet": request.carnet, "count": len(left), "reason": request.reason},
        )
        blocked = [
            _entry(act, request, order, row, rank) for rank, row in enumerate(left, 1)
        ]
        must_record(session, [summary, *blocked])
        if in_stock:
            mark_handed_out(session, in_stock, act.id)

    return perform(session, act, request, done)


def block_stock(session: Session, request: BlockStock, *, by: str, now: Moment) -> Answer:
    """Block what is in stock of a range of carnets: a drawer that was stolen, a parcel that never came.

    What people hold of these carnets stays good.  The value is set apart.  Hand-outs under way
    come before, or find their carnets blocked.  `waiting`, in the answer's facts where there are
    some, counts passes that somebody used already (`InStock`): those uses end unpaid.  Refused with `carnets_missing`, `range_too_long`,
    `stock_lapsed`, `nothing_in_stock`.
    """
    act = Act(request.id, "block_stock", by, now)

    def done() -> None:
        order = order_row(
            session, order_of(session, ((request.first_carnet, request.last_carnet),))
        )
        # Alone with the stock: a drawer is blocked whole, whatever a desk does meanwhile.
        if gates.take(session, stock_gate(order.number)).closed_by is not None:
            raise StockLapsed(order.number)
        # Counted first: an order can have a million passes, and none of them is needed to say no.
        found = in_stock(session, request.first_carnet, request.last_carnet)
        if not found.passes:
            raise NothingInStock(request.first_carnet, request.last_carnet)
        if found.passes > PASSES_MAX:
            raise RangeTooLong(found.passes, PASSES_MAX)
        chosen = _in_stock(request.first_carnet, request.last_carnet)
        listed = chosen.with_only_columns(voucher.c.serial)
        serials = session.scalars(listed.order_by(voucher.c.carnet, voucher.c.rank)).all()
        rows = presented.passes(session, serials)
        facts = {
            "count": len(serials),
            "first_carnet": request.first_carnet,
            "last_carnet": request.last_carnet,
            "order": order.number,
            "reason": request.reason,
            "tranche": order.tranche,
            **({"waiting": found.waiting} if found.waiting else {}),
        }
        blocked = [
            _entry(act, request, order, rows[serial], rank)
            for rank, serial in enumerate(serials, 1)
        ]
        must_record(session, [act.entry("stock_blocked", facts)])
        must_record(session, blocked)
        mark_handed_out(session, serials, act.id)

    return perform(session, act, request, done)


def in_stock(session: Session, first: int, last: int) -> InStock:
    """Count what would be blocked of a range of carnets, both ends included."""
    chosen = _in_stock(first, last).subquery()
    waits = exists().where(kept_scan.c.serial == chosen.c.serial)
    row = session.execute(
        select(
            func.count(func.distinct(chosen.c.carnet)),
            func.count(),
            func.coalesce(func.sum(case((waits, 1), else_=0)), 0),
        ).select_from(chosen)
    ).one()
    return InStock(*map(int, row))


def _in_stock(first: int, last: int) -> Select[tuple[str, int]]:
    return (
        select(voucher.c.serial, voucher.c.carnet)
        .outerjoin(handed_out, handed_out.c.serial == voucher.c.serial)
        .where(voucher.c.carnet.between(first, last), handed_out.c.serial.is_(None))
    )


def _entry(
    act: Act,
    request: BlockCarnet | BlockStock,
    order: OrderRow,
    row: PassRow,
    rank: int,
) -> Entry:
    book, worth = str(order.tranche), not order.specimen
    stage = row.stage
    return act.entry(
        "blocked",
        {"reason": request.reason, "serial": row.serial, "tranche": order.tranche},
        rank=rank,
        credit=account_name(stage, book) if worth else None,
        debit=account_name("blocked", book, stage) if worth else None,
        cents=order.face_cents if worth else 0,
        right=Right("spend", row.serial, row.turn),
    )
