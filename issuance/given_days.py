"""The day a hand-out is of: today, or an earlier day where a desk writes late or was without a network.

A day that a person tells must be possible, or is refused.  What a device's clock says is a claim:
it is bounded, and marked where it cannot be, since the paper left the desk whatever the clock says.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Literal, NamedTuple

from sqlalchemy import select
from sqlalchemy.orm import Session

from funding.hand_out_rules import HandOutRules
from issuance.models import activation
from ledger.models import entry
from ledger.moments import Moment
from ledger.refusal import Refusal

# Two clocks that are right are seldom further apart.
AHEAD = timedelta(minutes=2)


@dataclass(eq=False)
class GivenOnImpossible(Refusal):
    """The day that is told cannot be the one the paper was given; `on` is the bound it passes."""

    code = "given_on_impossible"

    reason: Literal["future", "too_old", "before_active", "scanned_before"]
    on: date


class When(NamedTuple):
    """When a hand-out was: the day that counts, the instant, and how a device's clock is wrong, if it is."""

    on: date
    at: datetime
    clock: Literal["ahead", "behind"] | None = None


def when_given(
    session: Session,
    told: date | None,
    claimed: datetime | None,
    order: int,
    rules: HandOutRules,
    now: Moment,
) -> When:
    """Return when passes of an active order were given, in the département's own days.

    `told` by a person, it is refused with `given_on_impossible` where it is to come, more than
    the tranche's days ago, or before the order's passes were good.  `claimed` by a device's
    clock, an instant like that is taken for the one at which we heard of it.
    """
    if told is not None:
        return When(_possible(session, told, order, rules, now), now.at)
    if claimed is None:
        return When(now.day, now.at)
    if claimed > now.at:
        return When(now.day, now.at, None if claimed <= now.at + AHEAD else "ahead")
    try:
        at = claimed.astimezone(UTC)
        on = _possible(session, Moment(at, now.zone).day, order, rules, now)
    except (GivenOnImpossible, OverflowError):
        return When(now.day, now.at, "behind")
    return When(on, at)


def _possible(
    session: Session, told: date, order: int, rules: HandOutRules, now: Moment
) -> date:
    if told == now.day:
        return told
    if told > now.day:
        raise GivenOnImpossible("future", on=now.day)
    first = now.day - timedelta(days=rules.late_days)
    if told < first:
        raise GivenOnImpossible("too_old", on=first)
    active_on = session.scalars(
        select(entry.c.occurred_on)
        .join(activation, activation.c.entry_id == entry.c.id)
        .where(activation.c.order_number == order)
    ).one()
    if told < active_on:
        raise GivenOnImpossible("before_active", on=active_on)
    return told
