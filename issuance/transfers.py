"""Transfers: carnets sent from one holder to another, and what the other end signs for.

Between the two they are at neither end: nobody hands them out.  What a receipt leaves out is missing;
it stays with its transfer until somebody finds it, at either end, or the département blocks it.
A holder is a desk by its code, or None for the central store.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
from sqlalchemy import ColumnElement, Select, exists, func, insert, or_, select
from sqlalchemy.orm import Session

from funding.models import tranche
from funding.operations import NotFound, exist
from issuance.desks import LOT_MAX, serve
from issuance.models import delivery, departure, desk, voucher_order
from issuance.models import transfer as transfers
from issuance.orders import StockLapsed, stock_gate, take_numbers
from issuance.queries import orders_with_stock_lapsed
from issuance.ranges import (
    Ranges,
    count_of,
    in_order,
    numbers_of,
    ranges_of,
    read_ranges,
    written,
)
from issuance.whereabouts import (
    STORE,
    be_nowhere_between,
    move,
    order_of,
    where_are,
    with_something_left,
)
from ledger import canonical, gates
from ledger.attempts import Act, Answer, perform
from ledger.entries import Right
from ledger.journal import must_record
from ledger.models import entry
from ledger.moments import Moment
from ledger.refusal import Refusal

# Each is a clause of the questions asked of the database.
RANGES_MAX = 300


@dataclass(eq=False)
class CarnetsElsewhere(Refusal):
    """These carnets are not with the holder who would send them."""

    code = "carnets_elsewhere"

    carnets: str


@dataclass(eq=False)
class CarnetsUsedUp(Refusal):
    """Nothing is left to send of these carnets: each pass was handed out, blocked or voided."""

    code = "carnets_used_up"

    carnets: str


@dataclass(eq=False)
class TransferImpossible(Refusal):
    """Nothing to send, too much at once, or to where it is already; `reason` says which."""

    code = "transfer_impossible"

    reason: str


@dataclass(eq=False)
class TransferElsewhere(Refusal):
    """The transfer is neither to nor from whoever would receive it."""

    code = "transfer_elsewhere"

    transfer: int


@dataclass(eq=False)
class NothingOnTheWay(Refusal):
    """All that was sent by this transfer has arrived somewhere."""

    code = "nothing_on_the_way"

    transfer: int


@dataclass(eq=False)
class CarnetsNotSent(Refusal):
    """These carnets are not on the way with this transfer."""

    code = "carnets_not_sent"

    carnets: str
    transfer: int


class Send(msgspec.Struct, frozen=True):
    """Carnets of one order that leave a holder for another; started ones go with what is left."""

    id: UUID
    source: str | None
    target: str | None
    carnets: Ranges


class Receive(msgspec.Struct, frozen=True):
    """What arrived of a transfer, and where: at its end, or back where it left from.

    Nothing is a receipt too: all of it is missing then.
    """

    id: UUID
    transfer: int
    at: str | None
    carnets: Ranges


def send(session: Session, request: Send, *, by: str, now: Moment) -> Answer:
    """Put carnets on the way: neither end hands them out until the other end receives them.

    Refused with `transfer_impossible`, `not_found`, `carnets_missing`, `desk_outside_programme`,
    `stock_lapsed`, `carnet_on_the_way`, `carnets_elsewhere`, `carnets_used_up`.
    """
    act = Act(request.id, "send", by, now)

    def done() -> None:
        gates.alone(session)
        _be_possible(request)
        for code in (request.source, request.target):
            if code is not None:
                exist(session, desk.c.code, code)
        order = order_of(session, request.carnets)
        if request.target is not None:
            serve(session, request.target, order)
        # Hand-outs under way at the desk that these carnets leave come before.
        if gates.take(session, stock_gate(order)).closed_by is not None:
            raise StockLapsed(order)
        before = where_are(session, request.carnets)
        numbers = list(numbers_of(request.carnets))
        be_nowhere_between(before, numbers)
        away = [n for n in numbers if before.get(n, STORE).desk != request.source]
        if away:
            raise CarnetsElsewhere(written(ranges_of(away)))
        empty = set(numbers) - with_something_left(session, request.carnets)
        if empty:
            raise CarnetsUsedUp(written(ranges_of(empty)))
        number = take_numbers(session, "transfer", 1)
        facts = {
            "carnets": request.carnets,
            "count": len(numbers),
            "from": request.source,
            "order": order,
            "to": request.target,
            "transfer": number,
        }
        sent = Right("send", _subject(number), 0)
        must_record(session, [act.entry("transfer_sent", facts, right=sent)])
        session.execute(
            insert(transfers).values(
                number=number,
                order_number=order,
                from_desk=request.source,
                to_desk=request.target,
                carnets=len(numbers),
                entry_id=act.id,
            )
        )
        move(session, request.carnets, before, transfer=number, entry=act.id)

    return perform(session, act, request, done)


def _be_possible(request: Send) -> None:
    if request.source == request.target:
        raise TransferImpossible("same_holder")
    if not request.carnets or not in_order(request.carnets):
        raise TransferImpossible("no_carnets")
    if len(request.carnets) > RANGES_MAX or count_of(request.carnets) > LOT_MAX:
        raise TransferImpossible("too_many")


def _subject(number: int) -> str:
    return f"transfer/{number}"


def receive(session: Session, request: Receive, *, by: str, now: Moment) -> Answer:
    """Sign for what arrived of a transfer: it is there from now on, and can be handed out there.

    What is left out stays missing, and may be received later.  The answer's facts tell it.
    Refused with `not_found`, `transfer_elsewhere`, `transfer_impossible`, `nothing_on_the_way`,
    `carnets_not_sent`.
    """
    act = Act(request.id, "receive", by, now)

    def done() -> None:
        gates.alone(session)
        found = _transfer(session, request.transfer)
        if request.at not in (found.from_desk, found.to_desk):
            raise TransferElsewhere(request.transfer)
        if not in_order(request.carnets) or len(request.carnets) > RANGES_MAX:
            raise TransferImpossible("no_carnets")
        waiting = on_the_way(session, request.transfer)
        if not waiting:
            raise NothingOnTheWay(request.transfer)
        others = set(numbers_of(request.carnets)) - set(numbers_of(waiting))
        if others:
            raise CarnetsNotSent(written(ranges_of(others)), request.transfer)
        missing = ranges_of(set(numbers_of(waiting)) - set(numbers_of(request.carnets)))
        facts = {
            "at": request.at,
            "carnets": request.carnets,
            "count": count_of(request.carnets),
            "missing": missing,
            "order": found.order_number,
            "transfer": request.transfer,
        }
        turn = session.scalar(
            select(func.count())
            .select_from(entry)
            .where(entry.c.uses == "receive", entry.c.subject == _subject(request.transfer))
        )
        signed = Right("receive", _subject(request.transfer), turn or 0)
        must_record(session, [act.entry("transfer_received", facts, right=signed)])
        if request.carnets:
            before = where_are(session, request.carnets)
            move(session, request.carnets, before, desk=request.at, entry=act.id)

    return perform(session, act, request, done)


def _transfer(session: Session, number: int) -> Any:  # noqa: ANN401 - a row
    row = session.execute(
        select(transfers).where(transfers.c.number == number)
    ).one_or_none()
    if row is None:
        raise NotFound("transfer", str(number))
    return row


def on_the_way(session: Session, number: int) -> Ranges:
    """Return the carnets of a transfer that have arrived nowhere yet."""
    chosen = _waiting(departure.c.carnet).where(departure.c.transfer == number)
    return ranges_of(session.scalars(chosen))


def _waiting(*columns: ColumnElement[Any]) -> Select[Any]:
    """Select columns of the departures on the way: each turn follows the one before."""
    back = departure.alias("back")
    return select(*columns).where(
        departure.c.transfer.is_not(None),
        ~exists().where(
            delivery.c.carnet == departure.c.carnet,
            delivery.c.turn == departure.c.turn + 1,
        ),
        ~exists().where(
            back.c.carnet == departure.c.carnet, back.c.turn == departure.c.turn + 1
        ),
    )


class Receipt(NamedTuple):
    """What somebody signed for, and where: at a desk, or in the central store."""

    on: date
    at: str | None
    carnets: Ranges
    missing: Ranges


class Transfer(NamedTuple):
    """A transfer, what was signed for, and what is still on the way, worth something or not."""

    number: int
    source: str | None
    target: str | None
    programme: str
    order: int
    sent_on: date
    carnets: Ranges
    receipts: tuple[Receipt, ...]
    left: Ranges


def transfer_row(session: Session, number: int) -> Transfer:
    """Return a transfer by its number, or raise `NotFound`."""
    row = _transfer(session, number)
    told = session.execute(
        select(entry.c.occurred_on, entry.c.body)
        .where(entry.c.uses.in_(["send", "receive"]), entry.c.subject == _subject(number))
        .order_by(entry.c.uses.desc(), entry.c.turn)
    ).all()
    programme = session.scalars(
        select(tranche.c.programme)
        .join(voucher_order, voucher_order.c.tranche == tranche.c.number)
        .where(voucher_order.c.number == row.order_number)
    ).one()
    (sent_on, sent), *signed = [(on, canonical.decode(body)["facts"]) for on, body in told]
    return Transfer(
        row.number,
        row.from_desk,
        row.to_desk,
        programme,
        row.order_number,
        sent_on,
        read_ranges(sent["carnets"]),
        tuple(
            Receipt(on, f["at"], read_ranges(f["carnets"]), read_ranges(f["missing"]))
            for on, f in signed
        ),
        on_the_way(session, number),
    )


class OpenTransfer(NamedTuple):
    """A transfer of which carnets worth something are on the way; `missing`, once a receipt left them out."""

    number: int
    source: str | None
    target: str | None
    programme: str
    order: int
    sent_on: date
    sent: int
    left: Ranges
    missing: bool


def open_transfers(
    session: Session, desks: Collection[str] | None = None
) -> list[OpenTransfer]:
    """Return the transfers that are not over, the oldest first; to or from these desks, where told."""
    chosen = _waiting(departure.c.transfer, departure.c.carnet)
    if desks is not None:
        ours = list(desks)
        chosen = chosen.join(transfers, transfers.c.number == departure.c.transfer).where(
            or_(transfers.c.from_desk.in_(ours), transfers.c.to_desk.in_(ours))
        )
    carnets: dict[int, set[int]] = {}
    for number, carnet in session.execute(chosen):
        carnets.setdefault(number, set()).add(carnet)
    rows = session.execute(
        select(transfers, entry.c.occurred_on, tranche.c.programme)
        .join(entry, entry.c.id == transfers.c.entry_id)
        .join(voucher_order, voucher_order.c.number == transfers.c.order_number)
        .join(tranche, tranche.c.number == voucher_order.c.tranche)
        .where(transfers.c.number.in_(list(carnets)))
        .order_by(transfers.c.number)
    ).all()
    named = [_subject(row.number) for row in rows]
    received = set(
        session.scalars(
            select(entry.c.subject).where(
                entry.c.uses == "receive", entry.c.subject.in_(named)
            )
        )
    )
    lapsed = orders_with_stock_lapsed(session)
    found = [
        OpenTransfer(
            row.number,
            row.from_desk,
            row.to_desk,
            row.programme,
            row.order_number,
            row.occurred_on,
            row.carnets,
            ranges_of(with_something_left(session, ranges_of(carnets[row.number]))),
            _subject(row.number) in received,
        )
        for row in rows
        if row.order_number not in lapsed
    ]
    return [line for line in found if line.left]
