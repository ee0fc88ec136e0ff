"""Orders: vouchers promised within the envelope, active once money is committed.

Placing an order sets its whole value aside; `making` then makes its vouchers.
"""

from dataclasses import dataclass
from datetime import date
from uuid import UUID

import msgspec
from sqlalchemy import insert, select, update
from sqlalchemy.orm import Session

from funding.operations import NotFound
from funding.queries import calendar_in_force
from funding.tranches import reserve, tranche_row
from issuance.keys import Signer, check_signs
from issuance.models import activation, numbering, voucher_order
from issuance.queries import made_of
from ledger import gates
from ledger.attempts import Act, Answer, perform
from ledger.entries import Right
from ledger.journal import must_record
from ledger.moments import Moment
from ledger.refusal import Refusal

CARNETS_MAX = 1_000_000


@dataclass(eq=False)
class OrderImpossible(Refusal):
    """An order that cannot be placed; `reason` says why."""

    code = "order_impossible"

    reason: str


@dataclass(eq=False)
class StockLapsed(Refusal):
    """What was left of this order has lapsed."""

    code = "stock_lapsed"

    order: int


class PlaceOrder(msgspec.Struct, frozen=True):
    """Carnets wanted of a tranche; specimens are worth nothing, for training and proofs."""

    id: UUID
    tranche: str
    carnets: int
    specimen: bool = False


class ActivateOrder(msgspec.Struct, frozen=True):
    """The commitment number (engagement) under which the département holds the money."""

    id: UUID
    order: int
    commitment_number: str


class OrderRow(msgspec.Struct, frozen=True):
    """An order's own, immutable facts."""

    number: int
    tranche: int
    carnets: int
    first_carnet: int
    carnet_size: int
    face_cents: int
    printed_use_by: date
    specimen: bool
    key_id: int
    act: UUID


# Filled in by Python's % and by PostgreSQL's format().
GATE_KEY = "order/%s/%s"


def stock_gate(order: int) -> str:
    """Return the key of the gate that guards what is in stock."""
    return GATE_KEY % (order, "stock")


def circulating_gate(order: int) -> str:
    """Return the key of the gate that guards what is handed out."""
    return GATE_KEY % (order, "circulating")


def place_order(
    session: Session, request: PlaceOrder, *, signer: Signer, by: str, now: Moment
) -> Answer:
    """Number an order and set its value aside.

    Refused with `envelope_exceeded`, `not_found`, `order_impossible`, `signing_key_revoked`.
    """
    act = Act(request.id, "place_order", by, now)

    def done() -> None:
        # A key is revoked alone: its entry lists every order that it was to sign.
        gates.hold(session, [gates.REFERENCE])
        row = tranche_row(session, request.tranche)
        if not 1 <= request.carnets <= CARNETS_MAX:
            raise OrderImpossible("carnets")
        dates = calendar_in_force(session, row.number)
        key_id = signer.specimen_key_id if request.specimen else signer.voucher_key_id
        check_signs(session, key_id)
        value = (
            0 if request.specimen else request.carnets * row.carnet_size * row.face_cents
        )
        if value:
            reserve(session, row.number, value)
        number = take_numbers(session, "order", 1)
        first_carnet = take_numbers(session, "carnet", request.carnets)
        facts = {
            "order": number,
            "tranche": row.number,
            "carnets": request.carnets,
            "first_carnet": first_carnet,
            "carnet_size": row.carnet_size,
            "face_cents": row.face_cents,
            "reserved_cents": value,
            "specimen": request.specimen,
        }
        must_record(session, [act.entry("order_placed", facts)])
        session.execute(
            insert(voucher_order).values(
                number=number,
                tranche=row.number,
                carnets=request.carnets,
                first_carnet=first_carnet,
                carnet_size=row.carnet_size,
                face_cents=row.face_cents,
                printed_use_by=dates.use_by,
                specimen=request.specimen,
                key_id=key_id,
                entry_id=act.id,
            )
        )
        gates.install(session, [stock_gate(number), circulating_gate(number)])

    return perform(session, act, request, done)


def activate_order(
    session: Session, request: ActivateOrder, *, by: str, now: Moment
) -> Answer:
    """Make an order's passes good from now on: its commitment number is recorded, once.

    Refused with `not_found`, `right_used`, `order_impossible`.
    """
    act = Act(request.id, "activate_order", by, now)

    def done() -> None:
        gates.alone(session)
        order = order_row(session, request.order)
        number = request.commitment_number.strip()
        if not number or len(number) > 40:
            raise OrderImpossible("commitment_number")
        if made_of(session, order.number) != order.carnets:
            raise OrderImpossible("not_made")
        must_record(
            session,
            [
                act.entry(
                    "order_activated",
                    {"order": order.number, "commitment_number": number},
                    right=Right("activate", f"order/{order.number}", 0),
                )
            ],
        )
        session.execute(
            insert(activation).values(
                order_number=order.number, commitment_number=number, entry_id=act.id
            )
        )

    return perform(session, act, request, done)


def order_row(session: Session, number: int) -> OrderRow:
    """Return an order by its number, or raise `NotFound`."""
    columns = [
        voucher_order.c[name if name != "act" else "entry_id"]
        for name in OrderRow.__struct_fields__
    ]
    row = session.execute(
        select(*columns).where(voucher_order.c.number == number)
    ).one_or_none()
    if row is None:
        raise NotFound("order", str(number))
    return OrderRow(*row)


def take_numbers(session: Session, kind: str, count: int) -> int:
    """Take `count` numbers of a kind, under their row's lock; return the first."""
    after = session.scalars(
        update(numbering)
        .where(numbering.c.kind == kind)
        .values(next=numbering.c.next + count)
        .returning(numbering.c.next)
    ).one()
    return int(after) - count
