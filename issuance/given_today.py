"""What one person has handed out today: the list beside the form, where a mistake is seen at once.

Entries are not indexed by who made them.  Hand-outs are, by desk and by the day they are of: what
was recorded today is of today, or of one of the few days that a tranche lets a desk be late by.
"""

from collections.abc import Collection
from datetime import date, datetime, timedelta
from typing import NamedTuple

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from funding.models import tranche
from issuance.models import hand_out
from ledger import canonical
from ledger.models import entry
from ledger.moments import Moment


class GivenToday(NamedTuple):
    """A hand-out: when it was recorded, of which day it is, the carnets, how many passes."""

    at: datetime
    on: date
    carnets: tuple[int, ...]
    passes: int


class Today(NamedTuple):
    """How many hand-outs there were in all, and the last of them, the latest first."""

    in_all: int
    last: list[GivenToday]


def given_today(
    session: Session, by: str, desks: Collection[str], *, now: Moment, most: int = 50
) -> Today:
    """Return the hand-outs that `by` has recorded today at these desks."""
    midnight = datetime(now.day.year, now.day.month, now.day.day, tzinfo=now.zone)
    latest = session.scalar(select(func.max(tranche.c.late_days))) or 0
    rows = session.execute(
        select(
            entry.c.recorded_at,
            entry.c.occurred_on,
            entry.c.body,
            func.count().over().label("in_all"),
        )
        .join_from(hand_out, entry, entry.c.id == hand_out.c.entry_id)
        .where(
            hand_out.c.desk.in_(list(desks)),
            hand_out.c.given_on >= now.day - timedelta(days=latest),
            or_(hand_out.c.given_on >= now.day, hand_out.c.recorded_late),
            entry.c.actor == by,
            entry.c.recorded_at >= midnight,
        )
        .order_by(entry.c.recorded_at.desc(), entry.c.id.desc())
        .limit(most)
    ).all()
    told = [_told(row.recorded_at, row.occurred_on, row.body) for row in rows]
    return Today(rows[0].in_all if rows else 0, told)


def _told(at: datetime, on: date, body: bytes) -> GivenToday:
    facts = canonical.decode(body)["facts"]
    return GivenToday(at, on, tuple(facts["carnets"]), len(facts["serials"]))
