"""Counts: the carnets that somebody sees in a drawer, beside those that the books have there.

Counting moves nothing and blames nobody.  What is missing is looked for, then blocked; what is there and
was not expected has come from somewhere, and its transfer is recorded.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import NamedTuple
from uuid import UUID

import msgspec
from sqlalchemy import select
from sqlalchemy.orm import Session

from funding.operations import exist
from issuance.holdings import carnets_of, held_by
from issuance.models import desk
from issuance.orders import CARNETS_MAX, stock_gate
from issuance.ranges import Ranges, count_of, in_order, numbers_of, ranges_of, read_ranges
from ledger import canonical, gates
from ledger.attempts import Act, Answer, perform
from ledger.entries import Right
from ledger.journal import must_record, next_turn
from ledger.models import entry
from ledger.moments import Moment
from ledger.refusal import Refusal

RANGES_MAX = 5_000
# File 10 of the exports; the holder without a desk is the central store.
INVENTORY = (
    "detenteur", "premier_num", "dernier_num", "quantite_theorique", "quantite_comptee",
    "ecart", "date_comptage", "compteur",
)  # fmt: skip
STORE_CODE = "reserve-centrale"


@dataclass(eq=False)
class CountUnreadable(Refusal):
    """More carnets, or more ranges of them, than a count holds."""

    code = "count_unreadable"


class Count(msgspec.Struct, frozen=True):
    """The carnets seen at a desk, or in the central store (None)."""

    id: UUID
    desk: str | None
    carnets: Ranges


class Counted(NamedTuple):
    """A count as it was recorded; `by` is a pseudonymous id."""

    act: UUID
    desk: str | None
    on: date
    by: str
    expected: Ranges
    seen: Ranges

    @property
    def missing(self) -> Ranges:
        """What was expected and not seen."""
        return _without(self.expected, self.seen)

    @property
    def unexpected(self) -> Ranges:
        """What was seen and not expected."""
        return _without(self.seen, self.expected)

    def rows(self) -> Iterator[tuple[str | int, ...]]:
        """Yield the lines of the inventory: numbers that follow one another, and agree or not."""
        both = _without(self.seen, self.unexpected)
        lines = [
            *[(first, last, 1, 1) for first, last in both],
            *[(first, last, 1, 0) for first, last in self.missing],
            *[(first, last, 0, 1) for first, last in self.unexpected],
        ]
        for first, last, due, there in sorted(lines):
            n = last - first + 1
            told = (first, last, due * n, there * n, (there - due) * n)
            yield (self.desk or STORE_CODE, *told, self.on.isoformat(), self.by)


def _without(these: Ranges, those: Ranges) -> Ranges:
    return ranges_of(set(numbers_of(these)) - set(numbers_of(those)))


def count_stock(session: Session, request: Count, *, by: str, now: Moment) -> Answer:
    """Record what was seen beside what was expected; nothing moves.

    At a desk the two are of one instant: hand-outs under way come before.  The central store is
    counted while carnets are made.  Refused with `not_found`, `count_unreadable`.
    """
    act = Act(request.id, "count_stock", by, now)

    def done() -> None:
        gates.alone(session)
        if request.desk is not None:
            exist(session, desk.c.code, request.desk)
        if (
            not in_order(request.carnets)
            or len(request.carnets) > RANGES_MAX
            or count_of(request.carnets) > CARNETS_MAX
        ):
            raise CountUnreadable
        held = held_by(session, request.desk)
        if request.desk is not None:
            for key in sorted({stock_gate(span.order) for span in held}):
                gates.take(session, key)
            held = held_by(session, request.desk)
        expected = carnets_of(held)
        subject = _subject(request.desk)
        turn = next_turn(session, "count", subject)
        facts = {
            "carnets": request.carnets,
            "counted": count_of(request.carnets),
            "desk": request.desk,
            "expected": count_of(expected),
            "expected_carnets": expected,
            "missing": _without(expected, request.carnets),
            "unexpected": _without(request.carnets, expected),
        }
        right = Right("count", subject, turn)
        must_record(session, [act.entry("stock_counted", facts, right=right)])

    return perform(session, act, request, done)


def _subject(code: str | None) -> str:
    return "store" if code is None else f"desk/{code}"


def counts(session: Session, code: str | None, *, most: int = 20) -> list[Counted]:
    """Return the counts of a desk, or of the central store, the newest first."""
    rows = session.execute(
        select(entry.c.id, entry.c.occurred_on, entry.c.actor, entry.c.body)
        .where(entry.c.uses == "count", entry.c.subject == _subject(code))
        .order_by(entry.c.turn.desc())
        .limit(most)
    )
    found = []
    for act, on, by, body in rows:
        facts = canonical.decode(body)["facts"]
        expected, seen = (
            read_ranges(facts["expected_carnets"]),
            read_ranges(facts["carnets"]),
        )
        found.append(Counted(act, facts["desk"], on, by, expected, seen))
    return found
