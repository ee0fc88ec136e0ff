"""Where carnets wait to be handed out: at which desk, and whether they are good yet.

What was handed out, blocked or replaced is at no desk any more, whoever it was delivered to; nor is
what has lapsed, nor what left it: carnets on the way are at neither end.  Specimens wait for nothing.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, exists, func, select
from sqlalchemy.orm import Session

from issuance.models import (
    activation,
    carnet,
    delivery,
    desk,
    hand_out,
    handed_out,
    voucher,
    voucher_order,
)
from issuance.queries import orders_with_stock_lapsed
from issuance.whereabouts import moved_on
from ledger.models import entry

Range = tuple[int, int]


@dataclass(frozen=True)
class Lot:
    """Carnets of an order that wait at a desk: the first and the last of each run of numbers."""

    desk: str
    desk_name: str
    order: int
    active: bool
    ranges: tuple[Range, ...]

    @property
    def count(self) -> int:
        """How many carnets they are."""
        return sum(last - first + 1 for first, last in self.ranges)


def lots_of(session: Session, order: int) -> list[Lot]:
    """Return the lots of an order, by desk."""
    return _lots(session, carnet.c.order_number == order)


def lots_at(session: Session, desks: Collection[str]) -> list[Lot]:
    """Return the lots at some desks, by desk and by order."""
    return _lots(session, delivery.c.desk.in_(desks)) if desks else []


def delivered_of(session: Session, order: int) -> tuple[int, datetime | None]:
    """Return how many carnets of an order have come to a desk and stayed, and when the last of them did."""
    count, last = session.execute(
        select(func.count(), func.max(entry.c.recorded_at))
        .select_from(delivery)
        .join(carnet, carnet.c.number == delivery.c.carnet)
        .join(entry, entry.c.id == delivery.c.entry_id)
        .where(carnet.c.order_number == order, ~moved_on())
    ).one()
    return count, last


def to_deliver(session: Session, order: int) -> int:
    """Return how many carnets of an order are at no desk, and still have a pass to hand out."""
    delivered = exists().where(delivery.c.carnet == carnet.c.number, ~moved_on())
    gone = exists().where(handed_out.c.serial == voucher.c.serial)
    left = exists().where(voucher.c.carnet == carnet.c.number, ~gone)
    chosen = select(func.count()).where(carnet.c.order_number == order, ~delivered, left)
    return session.scalar(chosen) or 0


def desks_that_know(session: Session, order: int, *, since: datetime) -> set[str]:
    """Return the desks that show they know of an order since it is active.

    They signed for carnets of it since, or handed some out.
    """
    signed = session.scalars(
        select(delivery.c.desk)
        .join(carnet, carnet.c.number == delivery.c.carnet)
        .join(entry, entry.c.id == delivery.c.entry_id)
        .where(
            carnet.c.order_number == order,
            entry.c.kind == "transfer_received",
            entry.c.recorded_at >= since,
        )
        .distinct()
    )
    gave = exists().where(hand_out.c.desk == desk.c.code, hand_out.c.order_number == order)
    return {*signed, *session.scalars(select(desk.c.code).where(gave))}


def _lots(session: Session, which: ColumnElement[bool]) -> list[Lot]:
    something_left = (
        select(voucher.c.serial)
        .outerjoin(handed_out, handed_out.c.serial == voucher.c.serial)
        .where(voucher.c.carnet == delivery.c.carnet, handed_out.c.serial.is_(None))
    )
    # Numbers that follow one another keep their distance to their rank.
    rank = func.row_number().over(
        partition_by=(delivery.c.desk, carnet.c.order_number), order_by=delivery.c.carnet
    )
    here = (
        select(
            delivery.c.desk,
            carnet.c.order_number,
            delivery.c.carnet,
            (delivery.c.carnet - rank).label("run"),
        )
        .join(carnet, carnet.c.number == delivery.c.carnet)
        .join(voucher_order, voucher_order.c.number == carnet.c.order_number)
        .where(which, ~voucher_order.c.specimen, ~moved_on(), something_left.exists())
        .subquery()
    )
    rows = session.execute(
        select(
            here.c.desk,
            desk.c.name,
            here.c.order_number,
            activation.c.order_number.is_not(None),
            func.min(here.c.carnet),
            func.max(here.c.carnet),
        )
        .join(desk, desk.c.code == here.c.desk)
        .outerjoin(activation, activation.c.order_number == here.c.order_number)
        .group_by(
            here.c.desk,
            desk.c.name,
            here.c.order_number,
            activation.c.order_number,
            here.c.run,
        )
        .order_by(here.c.desk, here.c.order_number, func.min(here.c.carnet))
    )
    lapsed = orders_with_stock_lapsed(session)
    found: dict[tuple[str, str, int, bool], list[Range]] = {}
    for code, name, order, active, first, last in rows:
        if order not in lapsed:
            found.setdefault((code, name, order, bool(active)), []).append((first, last))
    return [Lot(*key, tuple(ranges)) for key, ranges in found.items()]
