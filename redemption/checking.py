"""Looking at a pass without spending it: what it is worth, until when, whether it is still good."""

from datetime import date
from enum import StrEnum

import msgspec
from sqlalchemy.orm import Session

from issuance.keys import Keyring
from ledger.moments import Moment
from redemption import presented
from redemption.admission import OrderFacts, Reason, spent
from redemption.counter import spenders
from redemption.presented import PassRow
from redemption.recognition import recognise


class State(StrEnum):
    """How a pass stands; the values are stable."""

    GOOD = "good"
    FORGED = "forged"
    UNKNOWN = "unknown"
    KEY_REVOKED = "key_revoked"
    SPECIMEN = "specimen"
    REDEEMED = "redeemed"
    REPLACED = "replaced"
    BLOCKED = "blocked"
    VOID = "void"
    NOT_ACTIVE = "not_active"
    NOT_HANDED_OUT = "not_handed_out"
    LAPSED = "lapsed"
    TOO_LATE = "too_late"
    MISTYPED = "mistyped_code"
    CODES_LOCKED = "codes_locked"


class Look(msgspec.Struct, frozen=True, omit_defaults=True):
    """What anyone who holds a pass may know of it: nothing about a person.

    `good_until` is the last workshop day, whatever the paper says.
    """

    state: State
    serial: str | None = None
    cents: int | None = None
    good_until: date | None = None
    used_on: date | None = None
    used_at: str | None = None


def look(session: Session, text: str, *, now: Moment, keyring: Keyring) -> Look:
    """Return how a pass stands today, by its token or its printed code; changes nothing."""
    seen = recognise(session, text, keyring)
    if seen.row is None:
        return Look(State(seen.refusal or "unknown"))
    row = seen.row
    order = presented.orders(session, [row.order])[row.order]
    holder = spenders(session, [row]).get(row.serial) if row.held else None
    state = _state(session, row, order, holder.kind if holder else None, now.day)
    spent = holder if state is State.REDEEMED else None
    return Look(
        state,
        row.serial,
        0 if order.specimen else order.face_cents,
        order.tolerance_until,
        date.fromisoformat(spent.body["on"]) if spent else None,
        spent.facts.get("site_name") if spent else None,
    )


def is_a_guess(seen: Look, keyring: Keyring) -> bool:
    """Tell whether a look may have been a try at a number: it was looked for, and there is no such pass."""
    tried = {State.UNKNOWN}
    if keyring.foreign:
        tried |= {State.MISTYPED, State.FORGED}
    return seen.state in tried and seen.serial is None


def _state(
    session: Session,
    row: PassRow,
    order: OrderFacts,
    spent_by: str | None,
    today: date,
) -> State:
    if order.specimen:
        return State.SPECIMEN
    if spent_by is not None:
        ended = spent(spent_by)
        return State.REDEEMED if ended is Reason.ALREADY_REDEEMED else State(ended)
    if not order.active:
        return State.NOT_ACTIVE
    stage = presented.lapsed_stages(session, row.order)
    if row.stage in stage:
        return State.LAPSED
    if today > order.tolerance_until:
        return State.TOO_LATE
    return State.GOOD if row.handed_out else State.NOT_HANDED_OUT
