"""Reading what was issued: keys, orders, desks, and where carnets are."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from issuance.models import (
    activation,
    carnet,
    delivery,
    desk,
    desk_programme,
    secret_key,
    voucher_order,
)


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


def listed_orders(session: Session) -> Sequence[tuple[Any, ...]]:
    """Return the orders: number, tranche, carnets, made so far, first carnet, specimen, commitment."""
    made = (
        select(func.count())
        .where(carnet.c.order_number == voucher_order.c.number)
        .scalar_subquery()
    )
    return session.execute(
        select(
            voucher_order.c.number,
            voucher_order.c.tranche,
            voucher_order.c.carnets,
            made,
            voucher_order.c.first_carnet,
            voucher_order.c.specimen,
            activation.c.commitment_number,
        )
        .outerjoin(activation, activation.c.order_number == voucher_order.c.number)
        .order_by(voucher_order.c.number)
    ).all()


def listed_desks(session: Session) -> list[tuple[str, str, str, str, int]]:
    """Return the desks: code, prescriber, name, programmes, carnets delivered to them."""
    programmes: dict[str, list[str]] = {}
    for code, of in session.execute(
        select(desk_programme.c.desk, desk_programme.c.programme).order_by(
            desk_programme.c.desk, desk_programme.c.programme
        )
    ):
        programmes.setdefault(code, []).append(of)
    last = (
        select(delivery.c.carnet, func.max(delivery.c.turn).label("turn"))
        .group_by(delivery.c.carnet)
        .subquery()
    )
    held: dict[str, int] = dict(
        session.execute(
            select(delivery.c.desk, func.count())
            .join(
                last,
                (last.c.carnet == delivery.c.carnet) & (last.c.turn == delivery.c.turn),
            )
            .group_by(delivery.c.desk)
        ).all()
    )
    rows = session.execute(
        select(desk.c.code, desk.c.prescriber, desk.c.name).order_by(desk.c.code)
    )
    return [
        (code, prescriber, name, " ".join(programmes.get(code, [])), held.get(code, 0))
        for code, prescriber, name in rows
    ]
