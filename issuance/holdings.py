"""Who holds what: carnets by holder and tranche, today or at the end of any day.

A day is that of the entries themselves (`occurred_on`): what was there that evening, as it is known
now, so that a hand-out recorded late counts on the day it took place.  Carnets are held while a pass of
them is in stock: neither handed out, nor blocked, voided or lapsed.
"""

from collections.abc import Collection, Iterator
from datetime import date
from typing import Any, Literal, NamedTuple

import msgspec
from sqlalchemy import (
    ColumnElement,
    CompoundSelect,
    Integer,
    Select,
    Text,
    case,
    cast,
    exists,
    func,
    literal,
    null,
    or_,
    select,
    union_all,
)
from sqlalchemy.orm import Session

from funding.models import tranche
from issuance.foreign_carnets import covers_between, covers_written
from issuance.models import (
    carnet,
    delivery,
    departure,
    desk,
    handed_out,
    transfer,
    voucher,
    voucher_order,
)
from issuance.ranges import Ranges, numbers_of, ranges_of, written
from issuance.signing import PIECE
from issuance.whereabouts import moves
from ledger.models import entry

State = Literal["store", "desk", "on_the_way"]


class Span(NamedTuple):
    """Carnets of one order that follow one another with one holder, and what is left of them."""

    desk: str | None
    transfer: int | None
    order: int
    first: int
    last: int
    whole: int
    started: int
    passes: int


class Holding(msgspec.Struct, frozen=True):
    """What one holder has of a tranche: carnets, passes left in them, their value in cents, their numbers.

    What is on the way stands under the desk that it goes to; no desk is the central store.
    Specimens are apart, and worth nothing.  `covers` tells what stands on those taken over.
    """

    state: State
    prescriber: str | None
    desk: str | None
    name: str | None
    tranche: str
    programme: str
    specimen: bool
    whole: int
    started: int
    passes: int
    cents: int
    carnets: str
    covers: str


def spans(
    session: Session, *, on: date | None = None, desks: Collection[str] | None = None
) -> list[Span]:
    """Return what is held, at the end of a day or now, by these desks or on the way to them, or by all.

    One question, whatever there is: passes and carnets are counted where they are.  Asked of all, it
    reads every pass of the orders whose stock has not lapsed; asked of desks, of the carnets there.
    """
    lapsed = _lapsed(session, on)
    left = _left(on, desks, lapsed)
    place = _places(on, desks)
    run = func.row_number().over(
        partition_by=(place.c.desk, place.c.transfer, left.c.order_number),
        order_by=left.c.carnet,
    )
    at = select(left, place.c.desk, place.c.transfer, (left.c.carnet - run).label("run"))
    at = at.outerjoin(place, place.c.carnet == left.c.carnet)
    if desks is not None:
        at = at.where(
            or_(place.c.desk.in_(list(desks)), place.c.transfer.in_(_towards(desks)))
        )
    held = at.subquery()
    whole = func.sum(case((held.c.left == held.c.of, 1), else_=0))
    rows = session.execute(
        select(
            held.c.desk,
            held.c.transfer,
            held.c.order_number,
            func.min(held.c.carnet),
            func.max(held.c.carnet),
            whole,
            func.count() - whole,
            func.sum(held.c.left),
        )
        .group_by(held.c.desk, held.c.transfer, held.c.order_number, held.c.run)
        .order_by(func.min(held.c.carnet))
    )
    return [Span(*row[:5], *(int(number) for number in row[5:])) for row in rows]


def _left(on: date | None, desks: Collection[str] | None, lapsed: Collection[int]) -> Any:  # noqa: ANN401 - a subquery
    """Select the carnets of which passes are in stock: of how many, and how many are left."""
    given = select(handed_out.c.serial)
    if on is not None:
        given = given.join(entry, entry.c.id == handed_out.c.entry_id)
        given = given.where(entry.c.occurred_on <= on)
    gone = given.subquery()
    left = func.count() - func.count(gone.c.serial)
    chosen = (
        select(
            voucher.c.carnet,
            voucher.c.order_number,
            func.count().label("of"),
            left.label("left"),
        )
        .outerjoin(gone, gone.c.serial == voucher.c.serial)
        .where(voucher.c.order_number.not_in(lapsed))
        .group_by(voucher.c.carnet, voucher.c.order_number)
        .having(left > 0)
    )
    if desks is not None:
        there = select(_last(desks).c.carnet) if on is None else _ever_with(desks)
        chosen = chosen.where(voucher.c.carnet.in_(there))
    if on is not None:
        chosen = chosen.where(voucher.c.carnet.in_(_made_by(on)))
    return chosen.subquery()


def _made_by(on: date) -> Select[tuple[int]]:
    """Select the carnets that were there at the end of a day: each piece of an order has its entry."""
    made, placed = entry.alias("made"), entry.alias("placed")
    piece = (carnet.c.number - voucher_order.c.first_carnet) // PIECE
    subject = (
        literal("order/", Text)
        .concat(cast(voucher_order.c.number, Text))
        .concat("/")
        .concat(cast(piece, Text))
    )
    return (
        select(carnet.c.number)
        .join(voucher_order, voucher_order.c.number == carnet.c.order_number)
        .join(placed, placed.c.id == voucher_order.c.entry_id)
        .outerjoin(
            made,
            (made.c.uses == "make") & (made.c.subject == subject) & (made.c.turn == 0),
        )
        .where(func.coalesce(made.c.occurred_on, placed.c.occurred_on) <= on)
    )


def _ever_with(desks: Collection[str]) -> CompoundSelect[tuple[int]]:
    """Select the carnets that were ever at these desks, or on the way to them."""
    brought = select(delivery.c.carnet).where(delivery.c.desk.in_(list(desks)))
    sent = select(departure.c.carnet).where(departure.c.transfer.in_(_towards(desks)))
    return brought.union(sent)


def _places(on: date | None, desks: Collection[str] | None) -> Any:  # noqa: ANN401
    """Select where carnets were at the end of a day: what their last turn until then says."""
    if on is None and desks is not None:
        return _last(desks)
    moved = moves().subquery()
    rank = func.row_number().over(partition_by=moved.c.carnet, order_by=moved.c.turn.desc())
    chosen = select(moved.c.carnet, moved.c.desk, moved.c.transfer, rank.label("rank"))
    if on is not None:
        chosen = chosen.join(entry, entry.c.id == moved.c.entry_id)
        chosen = chosen.where(entry.c.occurred_on <= on)
    if desks is not None:
        chosen = chosen.where(moved.c.carnet.in_(_ever_with(desks)))
    ranked = chosen.subquery()
    last = select(ranked.c.carnet, ranked.c.desk, ranked.c.transfer)
    return last.where(ranked.c.rank == 1).subquery()


def _last(desks: Collection[str]) -> Any:  # noqa: ANN401
    """Select where carnets are now, at these desks or on the way to them: the turns that none follows."""
    arrived = select(
        delivery.c.carnet, delivery.c.desk, cast(null(), Integer).label("transfer")
    ).where(*_not_followed(delivery.c.carnet, delivery.c.turn))
    left = select(
        departure.c.carnet, cast(null(), Text).label("desk"), departure.c.transfer
    ).where(*_not_followed(departure.c.carnet, departure.c.turn))
    arrived = arrived.where(delivery.c.desk.in_(list(desks)))
    left = left.where(departure.c.transfer.in_(_towards(desks)))
    return union_all(arrived, left).subquery()


def _not_followed(
    carnet: ColumnElement[int], turn: ColumnElement[int]
) -> Iterator[ColumnElement[bool]]:
    """Tell of a turn that it is the carnet's last: each follows the one before."""
    for moved in (delivery, departure):
        later = moved.alias()
        yield ~exists().where(later.c.carnet == carnet, later.c.turn == turn + 1)


def _towards(desks: Collection[str]) -> Select[tuple[int]]:
    return select(transfer.c.number).where(transfer.c.to_desk.in_(list(desks)))


def _lapsed(session: Session, on: date | None) -> list[int]:
    """Return the orders whose stock had lapsed at the end of a day."""
    chosen = select(entry.c.subject).where(
        entry.c.uses == "lapse", entry.c.subject.like("order/%/stock")
    )
    if on is not None:
        chosen = chosen.where(entry.c.occurred_on <= on)
    return [int(subject.split("/")[1]) for subject in session.scalars(chosen)]


def carnets_of(found: Collection[Span]) -> Ranges:
    """Return the numbers of the carnets of spans."""
    return ranges_of(numbers_of((span.first, span.last) for span in found))


def held_by(session: Session, holder: str | None) -> list[Span]:
    """Return what a desk, or the central store, holds now; without what is on the way."""
    found = spans(session, desks=None if holder is None else [holder])
    return [span for span in found if span.desk == holder and span.transfer is None]


def holdings(
    session: Session, *, on: date | None = None, desks: Collection[str] | None = None
) -> list[Holding]:
    """Return who holds what, by holder and tranche, the central store first; of all, or of these desks.

    As many statements whatever there is.
    """
    found = spans(session, on=on, desks=desks)
    orders = _orders(session, {span.order for span in found})
    named = {row.code: row for row in session.execute(select(desk))}
    targets = dict(session.execute(select(transfer.c.number, transfer.c.to_desk)).all())
    covers = covers_between(session, carnets_of(found))
    lines: dict[tuple[Any, ...], list[Span]] = {}
    for span in found:
        of = orders[span.order]
        where = span.desk if span.transfer is None else targets[span.transfer]
        state: State = "desk" if span.desk else "on_the_way" if span.transfer else "store"
        key = (
            state != "store",
            where or "",
            state,
            where,
            of.code,
            of.programme,
            of.specimen,
        )
        lines.setdefault(key, []).append(span)
    told = []
    for key in sorted(lines, key=str):
        _, _, state, where, code, programme, specimen = key
        row, own = named.get(where), lines[key]
        told.append(
            Holding(
                state,
                row.prescriber if row else None,
                where,
                row.name if row else None,
                code,
                programme,
                specimen,
                sum(span.whole for span in own),
                sum(span.started for span in own),
                sum(span.passes for span in own),
                sum(0 if specimen else s.passes * orders[s.order].face_cents for s in own),
                written(carnets_of(own)),
                covers_written(covers, carnets_of(own)),
            )
        )
    return told


def _orders(session: Session, numbers: Collection[int]) -> dict[int, Any]:
    rows = session.execute(
        select(
            voucher_order.c.number,
            voucher_order.c.specimen,
            voucher_order.c.face_cents,
            tranche.c.code,
            tranche.c.programme,
        )
        .join(tranche, tranche.c.number == voucher_order.c.tranche)
        .where(voucher_order.c.number.in_(list(numbers)))
    )
    return {row.number: row for row in rows}
