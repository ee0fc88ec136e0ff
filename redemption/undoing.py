"""Undoing a scan before settlement: a new entry, never an erasure; the pass can be used again."""

from dataclasses import dataclass
from typing import Literal
from uuid import UUID

import msgspec
from sqlalchemy.orm import Session

from ledger.accounts import account_name
from ledger.attempts import Act, Answer, perform
from ledger.entries import Right
from ledger.journal import holders, must_record
from ledger.moments import Moment
from ledger.refusal import Refusal
from redemption import presented
from redemption.counter import Device
from redemption.workshops import OtherSite

Why = Literal["wrong_pass", "workshop_cancelled", "scanned_by_mistake", "person_left"]


@dataclass(eq=False)
class NothingToUndo(Refusal):
    """The pass is not spent, or not by a scan."""

    code = "nothing_to_undo"

    serial: str


class Undo(msgspec.Struct, frozen=True):
    """Give a pass back, for a reason from a list."""

    id: UUID
    serial: str
    reason: Why


def undo(session: Session, request: Undo, *, device: Device, now: Moment) -> Answer:
    """Take a redemption back: the site is owed less, the pass circulates again.

    Where what circulated of its order has lapsed meanwhile, the money lapses too and the pass
    stays dead.  Refused with `nothing_to_undo`, `other_site`, `right_used`.
    """
    act = Act(request.id, "undo", device.id, now)

    def done() -> None:
        row = presented.passes(session, [request.serial]).get(request.serial)
        if row is None or not row.held or row.spent is None:
            raise NothingToUndo(request.serial)
        spend = Right("spend", row.serial, row.spent)
        holder = holders(session, [spend])[spend]
        if holder.kind != "redeemed":
            raise NothingToUndo(request.serial)
        site, tranche = holder.facts["site"], str(holder.facts["tranche"])
        if device.site not in (None, site):
            raise OtherSite
        lapsed = (row.order, "circulating") in presented.closed_gates(session, [row.order])
        facts = {
            "lapsed": lapsed,
            "reason": request.reason,
            "serial": row.serial,
            "site": site,
            "tranche": holder.facts["tranche"],
            "undoes": str(holder.entry_id),
        }
        must_record(
            session,
            [
                act.entry(
                    "undone",
                    facts,
                    credit=account_name("due", tranche, str(site)),
                    debit=account_name("lapsed", tranche, "circulating")
                    if lapsed
                    else account_name("circulating", tranche),
                    cents=holder.body["cents"],
                    right=Right("undo", row.serial, row.spent),
                )
            ],
        )

    return perform(session, act, request, done)
