"""Carnets taken over from a former operator, by the number that stands on their cover.

A desk knows what is in its drawer by that number, not by ours.  It is no secret; the numbers of the
passes inside are.  Two operators may have had the same one, and so may we: whoever types it is then
asked which, and writes `aptic 4217`, or `23-004217` for ours.
"""

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from hashlib import sha256
from typing import NamedTuple

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Session

from issuance.foreign import bare
from issuance.models import foreign_carnet
from issuance.ranges import Ranges, numbers_of


class ForeignCarnet(NamedTuple):
    """A carnet of a former operator: our number for it, a word for the operator, what its cover says."""

    number: int
    order: int
    operator: str
    label: str


_TAIL = re.compile(r"(.*?)([0-9]{1,30})")
# Each is a parameter of a question asked of the database.
ASKED = 500


def named(session: Session, typed: str) -> list[ForeignCarnet]:
    """Return the carnets whose cover bears what was typed, with or without the operator's word before it."""
    return by_cover(session, [typed]).get(typed, [])


def by_cover(session: Session, typed: Iterable[str]) -> dict[str, list[ForeignCarnet]]:
    """Return, of many texts, those that name carnets as `named` has it, and which."""
    told = {text: _told(text) for text in typed}
    wanted = {key for text, (_, label) in told.items() for key in (bare(text), label)}
    there: dict[str, list[ForeignCarnet]] = defaultdict(list)
    keys = sorted(wanted)
    for first in range(0, len(keys), ASKED):
        some = foreign_carnet.c.found_by.in_(keys[first : first + ASKED])
        for carnet in _found(session, some):
            there[bare(carnet.label)].append(carnet)
    found = {}
    for text, (operator, label) in told.items():
        whole = there.get(bare(text), [])
        after = [c for c in there.get(label, []) if c.operator == operator]
        if both := sorted({*whole, *after}):
            found[text] = both
    return found


def _told(text: str) -> tuple[str, str]:
    operator, _space, label = text.strip().partition(" ")
    return operator.lower(), bare(label)


def operators(session: Session) -> set[str]:
    """Return the words of the operators whose carnets were taken over."""
    return set(session.scalars(select(foreign_carnet.c.operator).distinct()))


def of_order(session: Session, order: int) -> list[ForeignCarnet]:
    """Return the carnets of an order that was taken over, in the order of our numbers."""
    return _found(session, foreign_carnet.c.order_number == order)


def covers_of(session: Session, numbers: Collection[int]) -> dict[int, str]:
    """Return what stands on the covers of those of these carnets, by our numbers, that were taken over."""
    found = _found(session, foreign_carnet.c.carnet.in_(list(numbers)))
    return {carnet.number: carnet.label for carnet in found}


def covers_between(session: Session, carnets: Ranges) -> dict[int, str]:
    """Return what stands on covers, by our numbers, from the first to the last of these carnets."""
    if not carnets:
        return {}
    ends = foreign_carnet.c.carnet.between(carnets[0][0], carnets[-1][1])
    return {carnet.number: carnet.label for carnet in _found(session, ends)}


def covers_written(covers: Mapping[int, str], carnets: Iterable[tuple[int, int]]) -> str:
    """Return the covers of those of these carnets that were taken over, as people read them; "" for none.

    >>> covers_written({3: "C-009", 4: "C-010", 6: "D1"}, [(1, 9)])
    'C-009 … C-010, D1'
    """
    runs: list[list[str]] = []
    for label in [covers[n] for n in numbers_of(carnets) if n in covers] if covers else []:
        if runs and _follows(runs[-1][-1], label):
            runs[-1][1:] = [label]
        else:
            runs.append([label])
    return ", ".join(" … ".join(run) for run in runs)


def _follows(before: str, after: str) -> bool:
    """Tell whether a cover's number is the one after another's: same letters, as many figures."""
    one, two = (_TAIL.fullmatch(label) for label in (before, after))
    return (
        one is not None
        and two is not None
        and (one[1], len(one[2])) == (two[1], len(two[2]))
        and int(one[2]) + 1 == int(two[2])
    )


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
