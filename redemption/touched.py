"""What a voucher key touches: the orders it signed, and where each of their passes is.

After a key is revoked its QR codes are refused, so somebody has to know which carnets still wait
in a drawer, which are in people's hands, and what was spent while the key was trusted.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Select,
    case,
    func,
    literal_column,
    select,
)
from sqlalchemy.orm import Session

from funding.models import tranche
from issuance.keys import VoucherKeyUnknown
from issuance.models import (
    activation,
    delivery,
    handed_out,
    secret_key,
    voucher,
    voucher_order,
)
from issuance.whereabouts import moved_on
from ledger.models import entry
from redemption.presented import held_spend, lapsed_stages

CHUNK = 2_000


STATES = ("stock", "handed_out", "spent", "blocked", "replaced", "voided", "lapsed")


class TouchedOrder(NamedTuple):
    """An order signed by the key; what follows `made` are passes, each counted once, and adds up to it."""

    order: int
    tranche: str
    active: bool
    first_carnet: int
    last_carnet: int
    passes: int
    made: int
    stock: int
    handed_out: int
    spent: int
    blocked: int
    replaced: int
    voided: int
    lapsed: int


class TouchedPass(NamedTuple):
    """A pass signed by the key: its number, where it is, and the desk of its carnet.

    No desk where the carnet is in the central store, or on the way.
    """

    serial: str
    order: int
    tranche: str
    state: str
    desk: str | None


def touched_orders(session: Session, key_id: int) -> list[TouchedOrder]:
    """Return the orders that a voucher key signed or was to sign, with what became of their passes.

    Raises `VoucherKeyUnknown` for an id that is not a voucher key's.
    """
    found = []
    for order in _orders(session, key_id):
        counts: dict[str, int] = {}
        lapsed = lapsed_stages(session, order.number)
        rows = session.execute(
            _passes(_state().label("state"), func.count())
            .where(_of(order))
            .group_by(literal_column("state"))
        )
        for state, count in rows:
            name = "lapsed" if _stage(state) in lapsed else state
            counts[name] = counts.get(name, 0) + count
        found.append(
            TouchedOrder(
                order.number,
                order.code,
                order.active,
                order.first_carnet,
                order.first_carnet + order.carnets - 1,
                order.carnets * order.carnet_size,
                sum(counts.values()),
                *[counts.get(name, 0) for name in STATES],
            )
        )
    return found


def touched_passes(session: Session, key_id: int) -> Iterator[TouchedPass]:
    """Yield each pass that a voucher key signed, in the order of carnets, a few thousand at a time.

    Raises `VoucherKeyUnknown` for an id that is not a voucher key's.
    """
    last = (
        select(delivery.c.desk)
        .where(delivery.c.carnet == voucher.c.carnet, ~moved_on())
        .scalar_subquery()
    )
    for order in _orders(session, key_id):
        lapsed = lapsed_stages(session, order.number)
        rows = session.execute(
            _passes(voucher.c.serial, _state(), last)
            .where(_of(order))
            .order_by(voucher.c.carnet, voucher.c.rank)
            .execution_options(yield_per=CHUNK)
        )
        for serial, state, desk in rows:
            told = "lapsed" if _stage(state) in lapsed else state
            yield TouchedPass(serial, order.number, order.code, told, desk)


def _orders(session: Session, key_id: int) -> list[Any]:
    known = session.scalar(
        select(secret_key.c.key_id).where(
            secret_key.c.key_id == key_id, secret_key.c.purpose == "voucher"
        )
    )
    if known is None:
        raise VoucherKeyUnknown(key_id)
    found = session.execute(
        select(
            voucher_order.c.number,
            tranche.c.code,
            voucher_order.c.first_carnet,
            voucher_order.c.carnets,
            voucher_order.c.carnet_size,
            activation.c.order_number.is_not(None).label("active"),
        )
        .join(tranche, tranche.c.number == voucher_order.c.tranche)
        .outerjoin(activation, activation.c.order_number == voucher_order.c.number)
        .where(voucher_order.c.key_id == key_id)
        .order_by(voucher_order.c.number)
    )
    return list(found)


def _of(order: Any) -> ColumnElement[bool]:  # noqa: ANN401 - a row of `_orders`
    last = order.first_carnet + order.carnets - 1
    return voucher.c.carnet.between(order.first_carnet, last)


def _passes(*columns: Any) -> Select[Any]:  # noqa: ANN401 - columns of any type
    """Select passes with their hand-out and the spend that holds them, if any."""
    return (
        select(*columns)
        .select_from(voucher)
        .outerjoin(handed_out, handed_out.c.serial == voucher.c.serial)
        .outerjoin(entry, held_spend(entry))
    )


def _state() -> ColumnElement[str]:
    return case(
        (entry.c.kind == "redeemed", "spent"),
        (entry.c.kind == "replaced", "replaced"),
        (entry.c.kind == "voided", "voided"),
        (entry.c.kind.is_not(None), "blocked"),
        (handed_out.c.serial.is_not(None), "handed_out"),
        else_="stock",
    )


def _stage(state: str) -> str:
    return "circulating" if state == "handed_out" else state
