"""The day a hand-out is of: today, or an earlier day where a desk writes late."""

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Literal

from sqlalchemy import select
from sqlalchemy.orm import Session

from funding.hand_out_rules import HandOutRules
from issuance.models import activation
from ledger.models import entry
from ledger.moments import Moment
from ledger.refusal import Refusal


@dataclass(eq=False)
class GivenOnImpossible(Refusal):
    """The day that is told cannot be the one the paper was given; `on` is the bound it passes."""

    code = "given_on_impossible"

    reason: Literal["future", "too_old", "before_active", "scanned_before"]
    on: date


def day_given(
    session: Session, told: date | None, order: int, rules: HandOutRules, now: Moment
) -> date:
    """Return the day of a hand-out of an active order, in the département's own days.

    Refused with `given_on_impossible` where it is to come, more than the tranche's days ago, or
    before the order's passes were good.
    """
    if told is None or told == now.day:
        return now.day
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
