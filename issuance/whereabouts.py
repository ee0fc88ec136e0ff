"""Where carnets are: in the central store, at a desk, or on the way from one to the other.

What is made and went nowhere is in the central store.  Each time a carnet leaves or arrives it takes
a turn, and the highest one says where it is: a row of `delivery` at a desk, a row of `departure` with
a transfer on the way, a row of `departure` without one back in the central store.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    CompoundSelect,
    Integer,
    Text,
    cast,
    exists,
    func,
    insert,
    null,
    or_,
    select,
    union_all,
)
from sqlalchemy.orm import Session

from issuance.models import carnet, delivery, departure, handed_out, voucher
from issuance.ranges import Ranges, count_of, numbers_of, ranges_of, written
from ledger.refusal import Refusal


@dataclass(eq=False)
class CarnetsMissing(Refusal):
    """Some of these carnets do not exist, or not all are of one order."""

    code = "carnets_missing"

    first: int
    last: int


@dataclass(eq=False)
class CarnetOnTheWay(Refusal):
    """These carnets were sent, and their receipt is not recorded: neither end has them."""

    code = "carnet_on_the_way"

    carnets: str
    transfer: int


class Where(NamedTuple):
    """Where a carnet is: a desk, a transfer that it is on the way with, or neither, in the central store."""

    desk: str | None = None
    transfer: int | None = None
    turn: int = -1


STORE = Where()


def moves() -> CompoundSelect[Any]:
    """Select what carnets went through: carnet, turn, desk, transfer, entry."""
    return union_all(
        select(
            delivery.c.carnet,
            delivery.c.turn,
            delivery.c.desk,
            cast(null(), Integer).label("transfer"),
            delivery.c.entry_id,
        ),
        select(
            departure.c.carnet,
            departure.c.turn,
            cast(null(), Text).label("desk"),
            departure.c.transfer,
            departure.c.entry_id,
        ),
    )


def where_are(session: Session, carnets: Ranges) -> dict[int, Where]:
    """Return where these carnets are, by number; what never left the central store is not in it."""
    moved = moves().subquery()
    rows = session.execute(
        select(moved.c.carnet, moved.c.desk, moved.c.transfer, moved.c.turn)
        .where(among(moved.c.carnet, carnets))
        .order_by(moved.c.turn)
    )
    return {row.carnet: Where(row.desk, row.transfer, row.turn) for row in rows}


def moved_on() -> ColumnElement[bool]:
    """Tell, of a row of `delivery`, whether the carnet has left that desk since, or was brought again.

    Each turn of a carnet follows the one before: where none follows, it still is there.
    """
    return or_(
        *[
            exists().where(
                later.c.carnet == delivery.c.carnet, later.c.turn == delivery.c.turn + 1
            )
            for later in (delivery.alias("again"), departure.alias("left"))
        ]
    )


def among(column: ColumnElement[int], carnets: Ranges) -> ColumnElement[bool]:
    """Tell, of a column of numbers, whether they are in these ranges."""
    single = [first for first, last in carnets if first == last]
    spans = [column.between(first, last) for first, last in carnets if first < last]
    return or_(column.in_(single), *spans)


def order_of(session: Session, carnets: Ranges) -> int:
    """Return the one order that all of these carnets are of, or raise `CarnetsMissing`."""
    count, first, last = session.execute(
        select(
            func.count(), func.min(carnet.c.order_number), func.max(carnet.c.order_number)
        ).where(among(carnet.c.number, carnets))
    ).one()
    if not count or count != count_of(carnets) or first != last:
        raise CarnetsMissing(carnets[0][0], carnets[-1][1])
    return int(first)


def be_nowhere_between(where: dict[int, Where], carnets: Iterable[int]) -> None:
    """Raise `CarnetOnTheWay` for those of these carnets that were sent and not received."""
    sent = {n: where[n].transfer for n in carnets if n in where and where[n].transfer}
    if sent:
        transfer = next(iter(sent.values()))
        caught = ranges_of(n for n, by in sent.items() if by == transfer)
        raise CarnetOnTheWay(written(caught), transfer or 0)


def with_something_left(session: Session, carnets: Ranges) -> set[int]:
    """Return those of these carnets of which a pass is still in stock."""
    rows = session.scalars(
        select(voucher.c.carnet)
        .outerjoin(handed_out, handed_out.c.serial == voucher.c.serial)
        .where(among(voucher.c.carnet, carnets), handed_out.c.serial.is_(None))
        .distinct()
    )
    return set(rows)


def move(
    session: Session,
    carnets: Ranges,
    before: dict[int, Where],
    *,
    desk: str | None = None,
    transfer: int | None = None,
    entry: UUID,
) -> None:
    """Write that each of these carnets went on from where it was `before`: to a desk, on the way, or to the store."""
    rows: Sequence[dict[str, Any]] = [
        {
            "carnet": number,
            "turn": before.get(number, STORE).turn + 1,
            "entry_id": entry,
            **({"transfer": transfer} if desk is None else {"desk": desk}),
        }
        for number in numbers_of(carnets)
    ]
    session.execute(insert(departure if desk is None else delivery), rows)
