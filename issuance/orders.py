"""Orders: vouchers promised within the envelope, active once money is committed.

Placing an order sets its whole value aside; `making` then makes its vouchers.
"""

from dataclasses import dataclass
from datetime import date
from uuid import UUID

import msgspec
from sqlalchemy import insert, select, update
from sqlalchemy.orm import Session

from funding.models import tranche
from funding.operations import NotFound
from funding.queries import calendar_in_force
from funding.tranches import Basis, reserve, tranche_row
from issuance.keys import Signer, check_signs
from issuance.models import activation, numbering, voucher_order
from issuance.queries import CANCEL, made_of
from ledger import gates
from ledger.attempts import Act, Answer, perform
from ledger.entries import Right
from ledger.journal import must_record
from ledger.models import entry
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


@dataclass(eq=False)
class OrderCancelled(Refusal):
    """What was not made of this order was given back to its tranche: nothing more is made of it."""

    code = "order_cancelled"

    order: int


class ActivateOrder(msgspec.Struct, frozen=True, omit_defaults=True):
    """The number of what the tranche's orders are good by: a commitment (engagement), or a mandat.

    By its commitment the département holds the money; a mandat pays in advance, in a prepaid scheme.
    """

    id: UUID
    order: int
    commitment_number: str
    basis: Basis = "commitment"


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
            "key_id": key_id,
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
    """Make an order's passes good from now on: what its tranche asks for is recorded, once.

    Of an order that was cancelled, the carnets that had been made become good.  Refused with
    `not_found`, `right_used`, `order_impossible`.
    """
    act = Act(request.id, "activate_order", by, now)

    def done() -> None:
        gates.alone(session)
        order = order_row(session, request.order)
        number = request.commitment_number.strip()
        if not number or len(number) > 40:
            raise OrderImpossible("commitment_number")
        check_basis(session, order.tranche, request.basis)
        made = made_of(session, order.number)
        if not made or (made != order.carnets and not is_cancelled(session, order.number)):
            raise OrderImpossible("not_made")
        facts = {
            "basis": request.basis,
            "commitment_number": number,
            "order": order.number,
        }
        right = Right("activate", f"order/{order.number}", 0)
        must_record(session, [act.entry("order_activated", facts, right=right)])
        session.execute(
            insert(activation).values(
                order_number=order.number,
                commitment_number=number,
                basis=request.basis,
                entry_id=act.id,
            )
        )

    return perform(session, act, request, done)


def check_basis(session: Session, of: int, basis: Basis) -> None:
    """Raise `OrderImpossible` unless this is what makes the orders of a tranche good."""
    asked = session.scalars(
        select(tranche.c.activated_on).where(tranche.c.number == of)
    ).one()
    if basis != asked:
        if asked == "mandat":
            raise OrderImpossible("needs_mandat")
        raise OrderImpossible("needs_commitment")


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


def is_cancelled(session: Session, number: int) -> bool:
    """Tell whether an order was cancelled: by the right that it used up, found by its index."""
    used = select(entry.c.id).where(
        entry.c.uses == CANCEL, entry.c.subject == f"order/{number}", entry.c.turn == 0
    )
    return session.scalar(used) is not None


def check_goes_on(session: Session, number: int) -> None:
    """Raise `OrderCancelled` for an order of which nothing more is made."""
    if is_cancelled(session, number):
        raise OrderCancelled(number)


def take_numbers(session: Session, kind: str, count: int) -> int:
    """Take `count` numbers of a kind, under their row's lock; return the first."""
    after = session.scalars(
        update(numbering)
        .where(numbering.c.kind == kind)
        .values(next=numbering.c.next + count)
        .returning(numbering.c.next)
    ).one()
    return int(after) - count
