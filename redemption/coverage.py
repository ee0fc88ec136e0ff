"""Which communes have a place that takes passes, and how many people live in those that have."""

from collections import Counter
from collections.abc import Sequence
from datetime import date
from typing import NamedTuple

from sqlalchemy import select
from sqlalchemy.orm import Session

from issuance.needs import Sizing, size
from redemption.communes import Commune
from redemption.mednum_vocabulary import fold
from redemption.models import accreditation, site


class CommuneNeed(NamedTuple):
    """A commune, what its people need, and how many accredited places it has."""

    insee: str
    name: str
    population: int
    assist: int
    train: int
    boost: int
    places: int


class Coverage(NamedTuple):
    """The communes of a list, and the accredited places that are in none of them."""

    communes: list[CommuneNeed]
    elsewhere: list[str]

    @property
    def population(self) -> int:
        """How many people live in all of them."""
        return sum(c.population for c in self.communes)

    @property
    def covered(self) -> int:
        """How many communes have a place."""
        return sum(c.places > 0 for c in self.communes)

    @property
    def people_covered(self) -> int:
        """How many people live in a commune that has a place."""
        return sum(c.population for c in self.communes if c.places)

    @property
    def sizing(self) -> Sizing:
        """What all of them need; sized as a whole, so that rounding happens once."""
        return size(self.population)


def cover(
    session: Session, communes: Sequence[Commune], *, on: date, programme: str | None = None
) -> Coverage:
    """Count the places of each commune that are accredited on a day, for any programme unless told.

    A place is where its INSEE code says; without one, in the commune of its name, if the list has
    only one of that name.
    """
    by_code = {c.insee: c.insee for c in communes}
    names = Counter(_folded(c.name) for c in communes)
    by_name = {_folded(c.name): c.insee for c in communes if names[_folded(c.name)] == 1}
    chosen = [accreditation.c.valid_from <= on, accreditation.c.valid_until >= on]
    if programme is not None:
        chosen.append(accreditation.c.programme == programme)
    rows = session.execute(
        select(site.c.name, site.c.commune, site.c.insee)
        .where(
            site.c.number.in_(select(accreditation.c.site).where(*chosen)),
        )
        .order_by(site.c.number)
    )
    places: Counter[str] = Counter()
    elsewhere = []
    for name, commune, insee in rows:
        where = by_code.get(insee) if insee else by_name.get(_folded(commune))
        if where is None:
            elsewhere.append(f"{name} ({commune})")
        else:
            places[where] += 1
    return Coverage(
        [
            CommuneNeed(c.insee, c.name, *size(c.population), places[c.insee])
            for c in communes
        ],
        elsewhere,
    )


def _folded(name: str) -> str:
    """Return what two spellings of a commune share: Saint is written St, Sainte Ste."""
    words = name.casefold().replace("-", " ").replace("'", " ").split()
    written = {"st": "saint", "ste": "sainte"}
    return fold(" ".join(written.get(word, word) for word in words))
