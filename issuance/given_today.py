"""What one person has handed out today: the list beside the form, where a mistake is seen at once.

Entries are not indexed by who made them.  Acts are named by ids that begin with their time, and
the pages of a desk make theirs so: the entries of a day or two are read, never the journal.  An
act that a program named otherwise is not listed.
"""

from datetime import date, datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from ledger import canonical
from ledger.models import entry
from ledger.moments import Moment

# A page that was left open since yesterday named its act then.
_LEFT_OPEN = timedelta(days=1)
_LAST = UUID(int=2**128 - 1)


class GivenToday(NamedTuple):
    """A hand-out: when it was recorded, of which day it is, the carnets, how many passes."""

    at: datetime
    on: date
    carnets: tuple[int, ...]
    passes: int


def given_today(
    session: Session, by: str, *, now: Moment, most: int = 50
) -> list[GivenToday]:
    """Return the hand-outs that `by` has recorded today, the latest first."""
    midnight = datetime(now.day.year, now.day.month, now.day.day, tzinfo=now.zone)
    rows = session.execute(
        select(entry.c.recorded_at, entry.c.occurred_on, entry.c.body)
        .where(
            entry.c.id.between(_first_id(midnight - _LEFT_OPEN), _LAST),
            entry.c.kind == "handed_out",
            entry.c.actor == by,
            entry.c.recorded_at >= midnight,
        )
        .order_by(entry.c.recorded_at.desc(), entry.c.id.desc())
        .limit(most)
    )
    return [_told(at, on, canonical.decode(body)["facts"]) for at, on, body in rows]


def _first_id(at: datetime) -> UUID:
    """Return the least id that an act of this instant can have."""
    return UUID(int=int(at.timestamp() * 1000) << 80)


def _told(at: datetime, on: date, facts: dict[str, list[int]]) -> GivenToday:
    return GivenToday(at, on, tuple(facts["carnets"]), len(facts["serials"]))
