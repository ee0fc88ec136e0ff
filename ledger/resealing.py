"""Changing a master key: what is sealed under an older one is sealed again, piece by piece.

A piece is one transaction.  What is done is seen by its key id and passed by, so an
interruption loses nothing, and running again goes on from there.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Column, bindparam, func, select, update
from sqlalchemy.orm import Session

from ledger.columns import Bytes
from ledger.sealing import SealBroken, SealedByUnknownKey, Sealer

PIECE = 500


@dataclass(frozen=True)
class Shelf:
    """A column of bytes sealed under the master key, the primary key of its rows, what each is about.

    A NULL is nothing to reseal.
    """

    key: Column[Any]
    sealed: Column[Any]
    about: Callable[[Any], str]


@dataclass(frozen=True)
class Piece:
    """What a piece came to; `last` is where the next one starts after, None at the end of the shelf."""

    resealed: int
    unreadable: int
    last: Any


def reseal(
    session: Session,
    sealer: Sealer,
    shelf: Shelf,
    *,
    after: object = None,
    limit: int = PIECE,
) -> Piece:
    """Seal anew, under the current key, up to `limit` rows that another key sealed.

    Rows are locked until the commit: whoever erases one waits, or we see it erased.  A row that
    no configured key opens is counted and left as it is.  Refused with `vault_locked`.
    """
    header = sealer.header
    start = func.substr(shelf.sealed, 1, len(header), type_=Bytes)
    due = (
        select(shelf.key, shelf.sealed)
        .where(shelf.sealed.is_not(None), start != header)
        .order_by(shelf.key)
        .limit(limit)
        .with_for_update()
    )
    if after is not None:
        due = due.where(shelf.key > after)
    rows = session.execute(due).all()
    anew = []
    for key, sealed in rows:
        about = shelf.about(key)
        try:
            plain = sealer.open(sealed, about)
        except (SealedByUnknownKey, SealBroken):
            continue
        anew.append({"of": key, "anew": sealer.seal(plain, about)})
    if anew:
        change = update(shelf.key.table).where(
            shelf.key == bindparam("of", type_=shelf.key.type)
        )
        session.execute(change.values({shelf.sealed: bindparam("anew", type_=Bytes)}), anew)
    return Piece(len(anew), len(rows) - len(anew), rows[-1][0] if rows else None)
