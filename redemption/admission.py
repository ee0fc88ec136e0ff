"""May this pass be spent at this workshop? The decision, pure: facts in, one word out.

When several reasons apply, the first of this order is told; the order goes from what is wrong
with the paper, to what happened to it, to what is wrong with the moment and the place.
"""

from datetime import date
from enum import StrEnum
from typing import NamedTuple


class Reason(StrEnum):
    """What a scan comes to; the values are stable, kept by phones and printed in exports."""

    ACCEPTED = "accepted"
    KEPT = "kept"
    DISPUTED = "disputed"
    FORGED = "forged"
    UNKNOWN = "unknown"
    KEY_REVOKED = "key_revoked"
    SPECIMEN = "specimen"
    ALREADY_REDEEMED = "already_redeemed"
    REPLACED = "replaced"
    BLOCKED = "blocked"
    VOID = "void"
    NOT_ACTIVE = "not_active"
    NOT_HANDED_OUT = "not_handed_out"
    PROGRAMME_SUSPENDED = "programme_suspended"
    TOO_LATE = "too_late"
    NOT_ACCREDITED = "not_accredited"
    WRONG_TERRITORY = "wrong_territory"
    LAPSED = "lapsed"


class PassFacts(NamedTuple):
    """What became of a pass so far; `spent_by` is the kind of the entry that holds its right.

    `lapsed` is told of where it is: in stock, or in people's hands.
    """

    spent_by: str | None
    handed_out: bool
    lapsed: bool


class OrderFacts(NamedTuple):
    """What holds for every pass of an order: its tranche and the calendar in force."""

    order: int
    tranche: int
    tranche_code: str
    face_cents: int
    specimen: bool
    active: bool
    regularise: bool
    use_by: date
    tolerance_until: date
    present_by: date


class PlaceFacts(NamedTuple):
    """What holds for a workshop and a tranche on the workshop's day."""

    site: int
    site_name: str
    day: date
    suspended: bool
    accredited: bool
    in_territory: bool


_SPENT = {
    "blocked": Reason.BLOCKED,
    "replaced": Reason.REPLACED,
    "voided": Reason.VOID,
}


def spent(by: str) -> Reason:
    """Return what is told of a pass whose right is held by an entry of this kind."""
    return _SPENT.get(by, Reason.ALREADY_REDEEMED)


def judge(
    voucher: PassFacts, order: OrderFacts, place: PlaceFacts, received_on: date
) -> Reason:
    """Return what a scan of a known, genuine pass comes to.

    The workshop's day is compared with the tolerance, the day of reception with the
    presentation date; both days are included, in the département's own time.
    """
    if order.specimen:
        return Reason.SPECIMEN
    if voucher.spent_by is not None:
        return spent(voucher.spent_by)
    if not order.active:
        return Reason.NOT_ACTIVE
    if not voucher.handed_out:
        return Reason.KEPT if order.regularise else Reason.NOT_HANDED_OUT
    return _judge_moment_and_place(voucher, order, place, received_on)


def _judge_moment_and_place(
    voucher: PassFacts, order: OrderFacts, place: PlaceFacts, received_on: date
) -> Reason:
    if place.suspended:
        return Reason.PROGRAMME_SUSPENDED
    if place.day > order.tolerance_until:
        return Reason.TOO_LATE
    if not place.accredited:
        return Reason.NOT_ACCREDITED
    if not place.in_territory:
        return Reason.WRONG_TERRITORY
    if received_on > order.present_by:
        return Reason.DISPUTED
    if voucher.lapsed:
        return Reason.LAPSED
    return Reason.ACCEPTED
