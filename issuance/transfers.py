"""Transfers: carnets sent from one holder to another, and what the other end signs for.

Between the two they are at neither end: nobody hands them out.  What a receipt leaves out is missing;
it stays with its transfer until somebody finds it, at either end, or the département blocks it.
A holder is a desk by its code, or None for the central store.
"""

from dataclasses import dataclass
from uuid import UUID

import msgspec
from sqlalchemy import insert
from sqlalchemy.orm import Session

from funding.operations import exist
from issuance.desks import LOT_MAX, serve
from issuance.models import desk
from issuance.models import transfer as transfers
from issuance.on_the_way import on_the_way, sent_row, subject_of
from issuance.orders import StockLapsed, stock_gate, take_numbers
from issuance.ranges import (
    Ranges,
    count_of,
    in_order,
    numbers_of,
    ranges_of,
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
from ledger import gates
from ledger.attempts import Act, Answer, perform
from ledger.entries import Right
from ledger.journal import must_record, next_turn
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
    """All that was sent by this transfer has arrived somewhere, or is worth nothing any more."""

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
        sent = Right("send", subject_of(number), 0)
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


def receive(session: Session, request: Receive, *, by: str, now: Moment) -> Answer:
    """Sign for what arrived of a transfer: it is there from now on, and can be handed out there.

    What is left out stays missing, and may be received later.  The answer's facts tell it.
    Refused with `not_found`, `transfer_elsewhere`, `transfer_impossible`, `nothing_on_the_way`,
    `carnets_not_sent`.
    """
    act = Act(request.id, "receive", by, now)

    def done() -> None:
        gates.alone(session)
        found = sent_row(session, request.transfer)
        if request.at not in (found.from_desk, found.to_desk):
            raise TransferElsewhere(request.transfer)
        if not in_order(request.carnets) or len(request.carnets) > RANGES_MAX:
            raise TransferImpossible("no_carnets")
        waiting = on_the_way(session, request.transfer)
        # That nothing came is no news where nothing of value was to come.
        if not waiting or not (request.carnets or with_something_left(session, waiting)):
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
        subject = subject_of(request.transfer)
        signed = Right("receive", subject, next_turn(session, "receive", subject))
        must_record(session, [act.entry("transfer_received", facts, right=signed)])
        if request.carnets:
            before = where_are(session, request.carnets)
            move(session, request.carnets, before, desk=request.at, entry=act.id)

    return perform(session, act, request, done)
