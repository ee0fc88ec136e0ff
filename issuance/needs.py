"""How many people need what, and how many carnets that is: from a population, by rates that are data.

The levels are those of a hand-out.  `assist`: excluded, somebody must do it with them.  `train`:
far from digital tools, and can learn: those whom the pass is made for.  `boost`: nearly
autonomous, one workshop is enough.  `needs.json` holds the rates and where they come from.

    >>> size(119_502)
    Sizing(population=119502, assist=8365, train=22705, boost=16730)
    >>> size(119_502).total
    47800
    >>> order = suggest(100, each=1, carnet_size=5, face_cents=1000, envelope_cents=1_000_000, left_cents=300_000)
    >>> order.carnets, order.cents, order.affordable
    (100, 500000, 60)
"""

from functools import cache
from importlib.resources import files
from typing import NamedTuple

import msgspec


class Rates(msgspec.Struct, frozen=True):
    """What part of the people is at each level, `per` so many, and who found that."""

    levels: dict[str, int]
    per: int
    source: str


class Sizing(NamedTuple):
    """How many people of a population are at each level, each to the nearest."""

    population: int
    assist: int
    train: int
    boost: int

    @property
    def total(self) -> int:
        """How many people need something."""
        return self.assist + self.train + self.boost


class Suggestion(NamedTuple):
    """Carnets for so many people, what they are worth, and what is left in the tranche for them."""

    people: int
    each: int
    carnets: int
    passes: int
    cents: int
    envelope_cents: int
    left_cents: int
    affordable: int

    @property
    def served(self) -> int:
        """How many people what is left pays for, of those that were asked for."""
        return min(self.people, self.affordable // self.each)


@cache
def rates() -> Rates:
    """Return the rates in force, from `needs.json`."""
    told = files("issuance").joinpath("needs.json").read_bytes()
    return msgspec.json.decode(told, type=Rates)


def size(population: int) -> Sizing:
    """Return how many people of a population are at each level; halves are rounded up.

    Sizes of parts need not add up to that of the whole.
    """
    if population < 0:
        raise ValueError(f"a population is not {population}")
    by = rates()
    return Sizing(
        population,
        *(
            (2 * population * by.levels[level] + by.per) // (2 * by.per)
            for level in ("assist", "train", "boost")
        ),
    )


def suggest(
    people: int,
    *,
    each: int,
    carnet_size: int,
    face_cents: int,
    envelope_cents: int,
    left_cents: int,
) -> Suggestion:
    """Return what to order so that `people` get `each` carnets, and what the tranche can still pay."""
    if people < 0 or each < 1:
        raise ValueError(f"{each} carnets for {people} people")
    carnets, worth = people * each, carnet_size * face_cents
    return Suggestion(
        people,
        each,
        carnets,
        carnets * carnet_size,
        carnets * worth,
        envelope_cents,
        left_cents,
        min(carnets, left_cents // worth),
    )
