"""Where a person may go: the accredited places nearest to a commune, as the cover of a carnet tells them."""

from dataclasses import dataclass
from datetime import date
from math import cos, hypot, radians
from typing import Any, NamedTuple
from unicodedata import combining, normalize

import msgspec
from sqlalchemy import exists, or_, select
from sqlalchemy.orm import Session

from funding.models import territory, tranche
from ledger.refusal import Refusal
from redemption.models import accreditation, site

KM_PER_DEGREE = 111.2


@dataclass(eq=False)
class CommuneUnknown(Refusal):
    """No site that is known is in this commune: nothing tells which places are near to it."""

    code = "commune_unknown"

    commune: str


class Nearby(NamedTuple):
    """A place as a person finds it: what it is called, where it is, whom to ring."""

    name: str
    address: str
    phone: str | None


class _Here(NamedTuple):
    """A commune, by all the sites that are known there, accredited or not."""

    insee: frozenset[str]
    names: frozenset[str]
    postcodes: frozenset[str]
    points: tuple[tuple[float, float], ...]

    def has(self, row: Any) -> bool:  # noqa: ANN401 - a row of `site`
        """Tell whether a site is of this commune: by its INSEE code where both have one, as names repeat."""
        if row.insee and self.insee:
            return row.insee in self.insee
        return _folded(row.commune) in self.names


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

    `near` is a commune, by its INSEE code or its name, with or without accents.  Its own places
    come first, then those that are nearest to its sites, accredited or not, as the crow flies,
    then those of its postal codes; what cannot be placed, and all of them without `near`, come in
    the order of their numbers.  Raises `CommuneUnknown`.
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
        here = _commune(session, near)
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


def _commune(session: Session, near: str) -> _Here:
    """Return what is known of a commune, or raise `CommuneUnknown`."""
    sites = session.execute(
        select(site.c.commune, site.c.postcode, site.c.insee, site.c.details)
    ).all()
    code, name = near.strip().upper(), _folded(near)
    found = [row for row in sites if row.insee == code] or [
        row for row in sites if _folded(row.commune) == name
    ]
    if not found:
        raise CommuneUnknown(near)
    told = [msgspec.json.decode(row.details, type=_Details) for row in found]
    return _Here(
        frozenset(row.insee for row in found if row.insee),
        frozenset(_folded(row.commune) for row in found),
        frozenset(row.postcode for row in found),
        tuple(each.point for each in told if each.point is not None),
    )


def _folded(name: str) -> str:
    """Return a name as it is compared: guéret, GUERET; Saint-Fiel, saint fiel."""
    plain = "".join(c for c in normalize("NFKD", name.casefold()) if not combining(c))
    return " ".join("".join(c if c.isalnum() else " " for c in plain).split())


def _far(place: Any, here: _Here) -> tuple[int, float]:  # noqa: ANN401 - a row and its details
    row, told = place
    if here.has(row):
        return 0, 0.0
    if told.point is not None and here.points:
        return 1, min(_kilometres(told.point, point) for point in here.points)
    return (2 if row.postcode in here.postcodes else 3), 0.0


def _kilometres(one: tuple[float, float], other: tuple[float, float]) -> float:
    """Return the distance of two points of a région: flat enough there, to the hundredth."""
    north = one[0] - other[0]
    east = (one[1] - other[1]) * cos(radians((one[0] + other[0]) / 2))
    return KM_PER_DEGREE * hypot(north, east)
