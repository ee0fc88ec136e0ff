"""Carnets taken over from a former operator, by the number that stands on their cover.

A desk knows what is in its drawer by that number, not by ours.  It is no secret; the numbers of the
passes inside are.  Two operators may have had the same one, and so may we: whoever types it is then
asked which, and writes `aptic 4217`, or `23-004217` for ours.
"""

from collections.abc import Collection, Iterable
from hashlib import sha256
from typing import NamedTuple

from sqlalchemy import ColumnElement, and_, or_, select
from sqlalchemy.orm import Session

from issuance.foreign import bare
from issuance.models import foreign_carnet


class ForeignCarnet(NamedTuple):
    """A carnet of a former operator: our number for it, a word for the operator, what its cover says."""

    number: int
    order: int
    operator: str
    label: str


def named(session: Session, typed: str) -> list[ForeignCarnet]:
    """Return the carnets whose cover bears what was typed, with or without the operator's word before it."""
    operator, _space, label = typed.strip().partition(" ")
    whole = foreign_carnet.c.found_by == bare(typed)
    told = and_(
        foreign_carnet.c.operator == operator.lower(),
        foreign_carnet.c.found_by == bare(label),
    )
    return _found(session, or_(whole, told))


def of_order(session: Session, order: int) -> list[ForeignCarnet]:
    """Return the carnets of an order that was taken over, in the order of our numbers."""
    return _found(session, foreign_carnet.c.order_number == order)


def covers_of(session: Session, numbers: Collection[int]) -> dict[int, str]:
    """Return what stands on the covers of those of these carnets, by our numbers, that were taken over."""
    found = _found(session, foreign_carnet.c.carnet.in_(list(numbers)))
    return {carnet.number: carnet.label for carnet in found}


def labels_hash(labels: Iterable[tuple[int, str]]) -> str:
    """Return what an entry keeps of the covers: SHA-256 of our number, a tab and theirs, one a line, in hex."""
    told = "".join(f"{number}\t{label}\n" for number, label in labels)
    return sha256(told.encode()).hexdigest()


def _found(session: Session, which: ColumnElement[bool]) -> list[ForeignCarnet]:
    rows = session.execute(
        select(
            foreign_carnet.c.carnet,
            foreign_carnet.c.order_number,
            foreign_carnet.c.operator,
            foreign_carnet.c.label,
        )
        .where(which)
        .order_by(foreign_carnet.c.carnet)
    )
    return [ForeignCarnet(*row) for row in rows]
