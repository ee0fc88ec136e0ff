"""Where a person may go: the accredited places nearest to a commune, as the cover of a carnet tells them."""

from collections.abc import Sequence
from datetime import date
from math import cos, hypot, radians
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import exists, or_, select
from sqlalchemy.orm import Session

from funding.models import territory, tranche
from redemption.models import accreditation, site

KM_PER_DEGREE = 111.2


class Nearby(NamedTuple):
    """A place as a person finds it: what it is called, where it is, whom to ring."""

    name: str
    address: str
    phone: str | None


class _Details(msgspec.Struct):
    adresse: str = ""
    telephone: str = ""
    latitude: str = ""
    longitude: str = ""

    @property
    def point(self) -> tuple[float, float] | None:
        """Where it is, in degrees, where the list tells it."""
        if not self.latitude or not self.longitude:
            return None
        return float(self.latitude), float(self.longitude)


def nearest(
    session: Session, number: int, *, on: date, near: str | None, count: int = 3
) -> list[Nearby]:
    """Return the places where passes of a tranche can be used that day, the nearest first.

    `near` is a commune, by its name or its INSEE code.  Its own places come first, then those
    that are nearest to them, as the crow flies, then those of its postal codes; what cannot be
    placed, and all of them without `near`, come in the order of their numbers.
    """
    programme = select(tranche.c.programme).where(tranche.c.number == number)
    within = or_(
        ~exists().where(territory.c.tranche == number),
        exists().where(
            territory.c.tranche == number,
            territory.c.area.in_([site.c.insee, site.c.departement]),
        ),
    )
    rows = session.execute(
        select(site.c.name, site.c.commune, site.c.postcode, site.c.insee, site.c.details)
        .join(accreditation, accreditation.c.site == site.c.number)
        .where(
            accreditation.c.programme == programme.scalar_subquery(),
            accreditation.c.valid_from <= on,
            accreditation.c.valid_until >= on,
            within,
        )
        .order_by(site.c.number)
    ).all()
    places = [(row, msgspec.json.decode(row.details, type=_Details)) for row in rows]
    if near is not None:
        wanted = near.strip().casefold()
        here = [
            (row, told)
            for row, told in places
            if wanted in {row.commune.casefold(), (row.insee or "").casefold()}
        ]
        places.sort(key=lambda place: _far(place, here))
    return [
        Nearby(
            row.name,
            ", ".join(
                part for part in (told.adresse, f"{row.postcode} {row.commune}") if part
            ),
            told.telephone or None,
        )
        for row, told in places[:count]
    ]


def _far(place: Any, here: Sequence[Any]) -> tuple[int, float]:  # noqa: ANN401 - a row and its details
    row, told = place
    if any(row.commune == other.commune for other, _ in here):
        return 0, 0.0
    points = [other.point for _, other in here if other.point is not None]
    if told.point is not None and points:
        return 1, min(_kilometres(told.point, point) for point in points)
    same_postcode = any(row.postcode == other.postcode for other, _ in here)
    return (2 if same_postcode else 3), 0.0


def _kilometres(one: tuple[float, float], other: tuple[float, float]) -> float:
    """Return the distance of two points of a région: flat enough there, to the hundredth."""
    north = one[0] - other[0]
    east = (one[1] - other[1]) * cos(radians((one[0] + other[0]) / 2))
    return KM_PER_DEGREE * hypot(north, east)
