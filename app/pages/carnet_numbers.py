"""What people type to name a carnet: its number, the number on its cover, or that of one of its passes.

A carnet taken over from a former operator is named by what stands on its own cover.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from issuance.foreign_carnets import ForeignCarnet, named
from issuance.models import carnet
from issuance.serials import MalformedSerial, Serial
from issuance.typed import plain_number
from ledger.refusal import Refusal


@dataclass(eq=False)
class SeveralCarnets(Refusal):
    """One of ours and one of a former operator's, or of two, bear this number: say which."""

    code = "several_carnets"

    names: tuple[str, ...]


def carnet_typed(departement: str, typed: str) -> int | None:
    """Return the number of the carnet of this département that was typed, or None.

    A number with dashes says of which département it is: `23-000001` as on a cover, `23-000001-4`
    as on a pass.  Another département's names none of ours, whatever its digits are.  What holds more
    than one number names none: two carnets typed at once must never be a third.
    """
    if "-" not in typed:
        return plain_number(typed)
    printed = "".join(typed.split())
    try:
        serial = Serial.parse(printed if printed.count("-") > 1 else f"{printed}-0")
    except MalformedSerial:
        return None
    return serial.carnet if serial.departement == departement else None


def carnet_named(session: Session, departement: str, typed: str) -> int | None:
    """Return our number of the carnet that was typed, ours or taken over, or None for what names none.

    Whether there is one of ours is for the caller to see.  Raises `SeveralCarnets`.
    """
    return one_of(session, departement, typed, named(session, typed))


def one_of(
    session: Session, departement: str, typed: str, theirs: Sequence[ForeignCarnet]
) -> int | None:
    """Return which carnet was typed, as `carnet_named` does, from those whose cover bears it."""
    own = carnet_typed(departement, typed)
    if not theirs or (own is not None and "-" in typed):
        return own
    names = {found.number: f"{found.operator} {found.label}" for found in theirs}
    if own is not None and not any(c.isalpha() for c in typed):
        there = session.scalar(select(carnet.c.number).where(carnet.c.number == own))
        if there is not None:
            names.setdefault(there, f"{departement}-{there:06d}")
    if len(names) > 1:
        raise SeveralCarnets(tuple(names.values()))
    return next(iter(names))
