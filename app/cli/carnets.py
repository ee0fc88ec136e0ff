"""What is typed at a terminal to name a carnet: ours, or by the cover of one that was taken over."""

from sqlalchemy.orm import Session

from app.cli.frame import Place
from app.pages.carnet_numbers import carnet_named
from issuance.hand_outs import CarnetUnknown


def carnet_of(session: Session, place: Place, typed: str) -> int:
    """Return our number of the carnet that was typed; raises `CarnetUnknown`, `SeveralCarnets`."""
    number = carnet_named(session, place.code, typed)
    if number is None:
        raise CarnetUnknown(typed)
    return number
