"""How cents are split among co-funders: nested floors of a cumulative total (pure).

Parts are a function of the net cumulative cents S of a **segment** (one share version, one
set of open eligibility windows), never of one pass: A(S after) - A(S before) is what an act
brings.  Order the funders département, State, others by code, EU last; walk from the last: each funder's
cumulative floor is floor(S * (own weight + weights after it) / all weights), less the floor
of the funder after it.  So:

* parts sum to S, always; each is within a cent of its exact share;
* the EU gets its floor: a spare cent never goes to it; the département takes the rest;
* an undo brings back exactly the parts of the lower total;
* no act gives a negative part, provided that each funder's exact part of one act is at
  least a cent (`check` refuses shares that break this).

    >>> split((20, 20, 60), 1000)
    (200, 200, 600)
    >>> split((1, 1, 1), 1000), split((1, 1, 1), 2000)
    ((334, 333, 333), (667, 667, 666))

Outside its window a funder takes nothing, and the département takes its weight.  A cap holds
over the sum of segments, whatever tranches they are of: room under it goes to the segments in their
order (tranche, version, windows), and what finds none is the département's, in its own segment.  So
a funder's total is min(cap, its uncapped total), the parts of a segment sum to its cents and none
is negative, whatever was undone and in whatever order: nothing but the cumulatives counts.  An act
in an earlier tranche may take room from a later one.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from fractions import Fraction
from typing import NamedTuple

from ledger.refusal import Refusal


class Funder(StrEnum):
    """What a funder is; the rules know these, everything else about it is data."""

    EU_ESF = "EU_ESF"
    EU_ESF_PLUS = "EU_ESF_PLUS"
    EU_OTHER = "EU_OTHER"
    STATE = "STATE"
    REGION = "REGION"
    DEPARTMENT = "DEPARTMENT"
    PRIVATE = "PRIVATE"

    @property
    def is_eu(self) -> bool:
        """Whether it is European money, which never takes a spare cent."""
        return self.name.startswith("EU_")

    @property
    def is_esf(self) -> bool:
        """Whether it is the European Social Fund, whose auditor asks which person each pass helped."""
        return self in {Funder.EU_ESF, Funder.EU_ESF_PLUS}


class Share(NamedTuple):
    """One funder's weight in a share version: an integer, whatever their sum."""

    convention: str
    funder: Funder
    weight: int


class Payer(NamedTuple):
    """A co-funder of a tranche, by the name of its convention, and the first day it ever opened on."""

    name: str
    funder: Funder
    since: date


@dataclass(eq=False)
class SharesImpossible(Refusal):
    """Shares that cannot be split as promised; `reason` says which promise they would break."""

    code = "shares_impossible"

    reason: str


def arrange(shares: Sequence[Share]) -> tuple[Share, ...]:
    """Return the shares in the order of the rule: département, State, others by code, EU last.

    It follows from the shares alone, so that an auditor finds the same cents.
    """

    def place(share: Share) -> int:
        first = {Funder.DEPARTMENT: 0, Funder.STATE: 1}
        return 3 if share.funder.is_eu else first.get(share.funder, 2)

    return tuple(sorted(shares, key=lambda s: (place(s), s.convention)))


def check(shares: Sequence[Share], face_cents: int) -> None:
    """Raise `SharesImpossible` unless these shares keep every promise above for this face value."""
    residual = sum(s.funder is Funder.DEPARTMENT for s in shares)
    total = sum(s.weight for s in shares)
    promises = {
        "convention_twice": len({s.convention for s in shares}) == len(shares),
        "one_department": residual == 1,
        "one_eu_funder": sum(s.funder.is_eu for s in shares) <= 1,
        "negative_weight": all(s.weight >= 0 for s in shares),
        "no_weight": total > 0,
        "less_than_a_cent": all(
            s.weight == 0 or Fraction(face_cents * s.weight, max(total, 1)) >= 1
            for s in shares
        ),
    }
    for reason, kept in promises.items():
        if not kept:
            raise SharesImpossible(reason)


def weights_when(
    shares: Sequence[Share], open_conventions: Collection[str]
) -> tuple[int, ...]:
    """Return the weights of arranged shares when only these windows are open.

    The département is the residual payer: its own window is never consulted.
    """
    total = sum(s.weight for s in shares)
    others = [s.weight if s.convention in open_conventions else 0 for s in shares[1:]]
    return (total - sum(others), *others)


def split(weights: Sequence[int], total_cents: int) -> tuple[int, ...]:
    """Return the cumulative parts A(S) of S cents, for weights in the order of the rule."""
    parts: list[int] = []
    taken, tail, whole = 0, 0, sum(weights)
    for weight in reversed(weights):
        tail += weight
        floor = total_cents * tail // whole
        parts.append(floor - taken)
        taken = floor
    return tuple(reversed(parts))


class Fallen(NamedTuple):
    """A segment and its net cents; its conventions, département first, with their weights."""

    tranche: int
    version: int
    open_windows: str
    conventions: tuple[str, ...]
    weights: tuple[int, ...]
    cents: int


def under_caps(
    segments: Iterable[Fallen], caps: Mapping[str, int]
) -> list[tuple[Fallen, tuple[int, ...]]]:
    """Return each segment with the parts of its cents, in order; `caps` are by convention, in cents.

    All segments of a capped convention belong here: a cap holds over their sum.

        >>> first = Fallen(1, 1, "ESF", ("DEP", "ESF"), (40, 60), 2000)
        >>> [parts for _, parts in under_caps([first, first._replace(tranche=2)], {"ESF": 1500})]
        [(800, 1200), (1700, 300)]
    """
    taken: Counter[str] = Counter()
    found = []
    for segment in sorted(segments, key=lambda s: s[:3]):
        parts = list(split(segment.weights, segment.cents))
        for place, code in enumerate(segment.conventions):
            if place and code in caps:
                kept = min(parts[place], caps[code] - taken[code])
                taken[code] += kept
                parts[0] += parts[place] - kept
                parts[place] = kept
        found.append((segment, tuple(parts)))
    return found
