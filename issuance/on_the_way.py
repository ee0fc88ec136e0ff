"""Carnets on the way, and what was signed for of each transfer: what `issuance.transfers` wrote, read."""

from collections.abc import Collection
from datetime import date
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Select, exists, or_, select
from sqlalchemy.orm import Session

from funding.models import tranche
from funding.operations import NotFound
from issuance.models import delivery, departure, voucher_order
from issuance.models import transfer as transfers
from issuance.queries import orders_with_stock_lapsed
from issuance.ranges import Ranges, numbers_of, ranges_of, read_ranges
from issuance.whereabouts import with_something_left
from ledger import canonical
from ledger.models import entry


def subject_of(number: int) -> str:
    """Return what the rights of a transfer are of: sending it, and each receipt."""
    return f"transfer/{number}"


def sent_row(session: Session, number: int) -> Any:  # noqa: ANN401 - a row
    """Return a transfer as it was sent, or raise `NotFound`."""
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
    """A transfer, what was signed for, what is still on the way, and what of it is worth nothing any more.

    `gone` was blocked, voided or has lapsed before it arrived: nobody waits for it.
    """

    number: int
    source: str | None
    target: str | None
    programme: str
    order: int
    sent_on: date
    carnets: Ranges
    receipts: tuple[Receipt, ...]
    left: Ranges
    gone: Ranges


def transfer_row(session: Session, number: int) -> Transfer:
    """Return a transfer by its number, or raise `NotFound`."""
    row = sent_row(session, number)
    told = session.execute(
        select(entry.c.occurred_on, entry.c.body)
        .where(entry.c.uses.in_(["send", "receive"]), entry.c.subject == subject_of(number))
        .order_by(entry.c.uses.desc(), entry.c.turn)
    ).all()
    programme = session.scalars(
        select(tranche.c.programme)
        .join(voucher_order, voucher_order.c.tranche == tranche.c.number)
        .where(voucher_order.c.number == row.order_number)
    ).one()
    waiting = on_the_way(session, number)
    lapsed = row.order_number in orders_with_stock_lapsed(session)
    left = with_something_left(session, waiting) if waiting and not lapsed else set()
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
        ranges_of(left),
        ranges_of(set(numbers_of(waiting)) - left),
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
    named = [subject_of(row.number) for row in rows]
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
            subject_of(row.number) in received,
        )
        for row in rows
        if row.order_number not in lapsed
    ]
    return [line for line in found if line.left]
