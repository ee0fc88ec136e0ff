"""Reading what was issued: keys, orders, desks, and where carnets are."""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, Select, func, select
from sqlalchemy.orm import Session

from funding.hand_out_rules import HandOutRules, hand_out_rules
from funding.models import target_public, tranche
from funding.queries import calendar_in_force
from funding.tranches import Basis
from issuance.models import (
    activation,
    carnet,
    delivery,
    desk,
    desk_programme,
    foreign_carnet,
    handed_out,
    secret_key,
    voucher,
    voucher_order,
)
from issuance.whereabouts import moved_on
from ledger import canonical
from ledger.models import entry, gate
from ledger.queries import uses_right

# The kind of the entry that gives new passes for lost ones: no hand-out, but as good as one.
REPLACEMENT = "hand_out_replaced"
# The kind of the entry that honours the paper of a former operator: order, making and activation at once.
TAKEN_OVER = "order_taken_over"
CANCEL = "cancel"  # the right that a cancellation uses up, once an order
VOID = "void"  # the right that each voiding of misprints of an order uses up


@dataclass(frozen=True)
class InHand:
    """A carnet on the desk: what is left in it, what it is worth, until when, and what is asked with it.

    `cover`: what stands on it, where a former operator printed it.
    """

    number: int
    left: int
    of: int
    face_cents: int
    use_by: date
    publics: tuple[str, ...]
    programme: str
    tranche: str
    rules: HandOutRules
    cover: str | None


def listed_keys(session: Session) -> list[tuple[int, str, str | None]]:
    """Return the keys: id, purpose, public key in hex (none for the code key)."""
    rows = session.execute(
        select(secret_key.c.key_id, secret_key.c.purpose, secret_key.c.public).order_by(
            secret_key.c.key_id
        )
    )
    return [
        (key, purpose, public.hex() if public else None) for key, purpose, public in rows
    ]


# How many carnets of an order are made.
_MADE = (
    select(func.count())
    .where(carnet.c.order_number == voucher_order.c.number)
    .correlate(voucher_order)
    .scalar_subquery()
)


def _orders(*columns: ColumnElement[Any]) -> Select[Any]:
    """Select columns of orders, of what made them good, and of the entry that recorded them."""
    return (
        select(*columns)
        .join_from(voucher_order, tranche, tranche.c.number == voucher_order.c.tranche)
        .join(entry, entry.c.id == voucher_order.c.entry_id)
        .outerjoin(activation, activation.c.order_number == voucher_order.c.number)
    )


def listed_orders(session: Session) -> Sequence[tuple[Any, ...]]:
    """Return the orders: number, tranche, carnets, made so far, first carnet, specimen, commitment.

    Without those that replaced lost paper: nobody placed them.
    """
    return session.execute(
        _orders(
            voucher_order.c.number,
            voucher_order.c.tranche,
            voucher_order.c.carnets,
            _MADE,
            voucher_order.c.first_carnet,
            voucher_order.c.specimen,
            activation.c.commitment_number,
        )
        .where(entry.c.kind != REPLACEMENT)
        .order_by(voucher_order.c.number)
    ).all()


@dataclass(frozen=True)
class OrderLine:
    """An order as people follow it: what was asked, how many carnets are made, whether they are good.

    `given_up` are the carnets that were not made when it was cancelled, and never will be; `voided`
    those that were made and misprinted: their money is back in the tranche.
    """

    number: int
    tranche: str
    programme: str
    carnets: int
    first_carnet: int
    carnet_size: int
    face_cents: int
    use_by: date
    specimen: bool
    made: int
    commitment_number: str | None
    replacement: bool
    taken_over: bool
    activated_on: Basis
    given_up: int = 0
    voided: int = 0

    @property
    def last_carnet(self) -> int:
        """The number of its last carnet."""
        return self.first_carnet + self.carnets - 1

    @property
    def value_cents(self) -> int:
        """What its passes are worth in all: nothing for specimens; nothing more for a replacement, counted already."""
        if self.specimen or self.replacement:
            return 0
        return (
            (self.carnets - self.given_up - self.voided)
            * self.carnet_size
            * self.face_cents
        )

    @property
    def is_made(self) -> bool:
        """Whether there is something of it, and nothing more to make."""
        return 0 < self.made == self.carnets - self.given_up


def order_lines(session: Session, number: int | None = None) -> list[OrderLine]:
    """Return one order, or all those that were placed, the newest first.

    An order that replaced lost paper was placed by nobody: it is told when asked for by its number.
    """
    chosen = _orders(
        voucher_order.c.number,
        tranche.c.code,
        tranche.c.programme,
        voucher_order.c.carnets,
        voucher_order.c.first_carnet,
        voucher_order.c.carnet_size,
        voucher_order.c.face_cents,
        voucher_order.c.printed_use_by,
        voucher_order.c.specimen,
        _MADE,
        activation.c.commitment_number,
        entry.c.kind == REPLACEMENT,
        entry.c.kind == TAKEN_OVER,
        tranche.c.activated_on,
    ).order_by(voucher_order.c.number.desc())
    if number is None:
        chosen = chosen.where(entry.c.kind != REPLACEMENT)
    else:
        chosen = chosen.where(voucher_order.c.number == number)
    given_up, voided = carnets_given_up(session), carnets_voided(session)
    lines = [OrderLine(*row) for row in session.execute(chosen)]
    return [
        replace(
            line,
            given_up=given_up.get(line.number, 0),
            voided=voided.get(line.number, 0),
        )
        for line in lines
    ]


def carnets_given_up(session: Session) -> dict[int, int]:
    """Return how many carnets were not made of each order that was cancelled; such orders are few."""
    bodies = session.scalars(select(entry.c.body).where(uses_right(CANCEL)))
    told = (canonical.decode(body)["facts"] for body in bodies)
    return {facts["order"]: facts["carnets_not_made"] for facts in told}


def carnets_voided(session: Session) -> Counter[int]:
    """Return how many carnets of each order were voided as misprints; such acts are few."""
    found: Counter[int] = Counter()
    for body in session.scalars(select(entry.c.body).where(uses_right(VOID))):
        facts = canonical.decode(body)["facts"]
        found[facts["order"]] += facts["last_carnet"] - facts["first_carnet"] + 1
    return found


class NotActive(NamedTuple):
    """An order whose passes are not good yet."""

    number: int
    tranche: int


def not_active(session: Session) -> list[NotActive]:
    """Return the orders that wait for the number that makes them good; counts nothing, whatever their size.

    Not those that were cancelled before anything was made of them.
    """
    given_up = carnets_given_up(session)
    rows = session.execute(
        select(voucher_order.c.number, voucher_order.c.tranche, voucher_order.c.carnets)
        .outerjoin(activation, activation.c.order_number == voucher_order.c.number)
        .where(activation.c.order_number.is_(None), ~voucher_order.c.specimen)
        .order_by(voucher_order.c.number)
    )
    return [
        NotActive(number, of) for number, of, count in rows if given_up.get(number) != count
    ]


def made_of(session: Session, order: int) -> int:
    """Return how many carnets of an order are made."""
    count = select(func.count()).where(carnet.c.order_number == order)
    return session.scalar(count) or 0


def desk_names(session: Session) -> list[tuple[str, str, str]]:
    """Return the desks by code: code, prescriber, name; counts nothing, whatever they were delivered."""
    rows = session.execute(
        select(desk.c.code, desk.c.prescriber, desk.c.name).order_by(desk.c.code)
    )
    return [(code, prescriber, name) for code, prescriber, name in rows]


def listed_desks(session: Session) -> list[tuple[str, str, str, str, int]]:
    """Return the desks: code, prescriber, name, programmes, carnets that are there."""
    programmes: dict[str, list[str]] = {}
    for code, of in session.execute(
        select(desk_programme.c.desk, desk_programme.c.programme).order_by(
            desk_programme.c.desk, desk_programme.c.programme
        )
    ):
        programmes.setdefault(code, []).append(of)
    held: dict[str, int] = dict(
        session.execute(
            select(delivery.c.desk, func.count())
            .where(~moved_on())
            .group_by(delivery.c.desk)
        ).all()
    )
    return [
        (code, prescriber, name, " ".join(programmes.get(code, [])), held.get(code, 0))
        for code, prescriber, name in desk_names(session)
    ]


def in_hand(session: Session, number: int) -> InHand | None:
    """Return what someone who holds a carnet out needs to know of it; None if there is none."""
    order = session.execute(
        select(
            voucher_order.c.tranche,
            voucher_order.c.face_cents,
            tranche.c.programme,
            tranche.c.code,
        )
        .join(carnet, carnet.c.order_number == voucher_order.c.number)
        .join(tranche, tranche.c.number == voucher_order.c.tranche)
        .where(carnet.c.number == number)
    ).one_or_none()
    if order is None:
        return None
    of, gone = session.execute(
        select(func.count(voucher.c.serial), func.count(handed_out.c.serial))
        .outerjoin(handed_out, handed_out.c.serial == voucher.c.serial)
        .where(voucher.c.carnet == number)
    ).one()
    publics = session.scalars(
        select(target_public.c.public)
        .where(target_public.c.tranche == order.tranche)
        .order_by(target_public.c.public)
    )
    use_by = calendar_in_force(session, order.tranche).use_by
    cover = select(foreign_carnet.c.label).where(foreign_carnet.c.carnet == number)
    return InHand(
        number,
        of - gone,
        of,
        order.face_cents,
        use_by,
        tuple(publics),
        order.programme,
        order.code,
        hand_out_rules(session, order.tranche),
        session.scalar(cover),
    )


def passes_left(session: Session, number: int) -> list[str]:
    """Return the serials of a carnet that nobody was given yet, in the order of their rank."""
    chosen = (
        select(voucher.c.serial)
        .outerjoin(handed_out, handed_out.c.serial == voucher.c.serial)
        .where(voucher.c.carnet == number, handed_out.c.serial.is_(None))
        .order_by(voucher.c.rank)
    )
    return list(session.scalars(chosen))


def first_hand_out(session: Session, given_by: UUID) -> UUID:
    """Return the hand-out that an entry which gave passes goes back to: itself, but for a replacement.

    A replacement of a replacement goes back to the same one.  What is told of the person, and
    what counts for quotas and limits, is there.
    """
    body = session.scalar(
        select(entry.c.body).where(entry.c.id == given_by, entry.c.kind == REPLACEMENT)
    )
    return given_by if body is None else UUID(canonical.decode(body)["facts"]["hand_out"])


def orders_signed_by(session: Session, keys: Collection[int]) -> set[int]:
    """Return the numbers of the orders that these keys sign."""
    if not keys:
        return set()
    signed = select(voucher_order.c.number).where(voucher_order.c.key_id.in_(keys))
    return set(session.scalars(signed))


def orders_with_stock_lapsed(session: Session) -> set[int]:
    """Return the numbers of the orders whose stock has lapsed: nothing more is made of them."""
    closed = session.scalars(
        select(gate.c.key).where(gate.c.closed_by.is_not(None), gate.c.key.like("%/stock"))
    )
    return {int(key.split("/")[1]) for key in closed}
