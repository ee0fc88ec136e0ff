"""A pass handed out and used at one counter, in one act: the library that prescribes and teaches.

Only where desk and site are one organisation, or the tranche lets any desk hand out at sites; and
only where nothing is asked of the person but whether they are of the PIC publics: the rest takes
the desk's own page.  The hand-out says where it was, so that whoever pays sees it.
"""

from collections.abc import Collection
from typing import NamedTuple
from uuid import UUID

import msgspec
from sqlalchemy import exists, select
from sqlalchemy.orm import Session

from funding.hand_out_rules import hand_out_rules
from funding.models import target_public
from issuance.hand_outs import HandOut
from issuance.keys import Keyring
from issuance.models import delivery, voucher, voucher_order
from issuance.whereabouts import moved_on
from ledger import canonical
from ledger.attempts import Answer
from ledger.entries import entry_id
from ledger.models import entry
from ledger.moments import Moment
from ledger.sealing import Sealer
from redemption.counter import Device, Presented, Scan, Verdict, redeem
from redemption.hand_out import gives_at, hand_out
from redemption.recognition import recognise
from redemption.sites import site_by_number
from redemption.workshops import workshop_row

# The scan of an act has an id of its own, that no entry of a hand-out can have.
SCAN_RANK = 1_000_000


class Offer(NamedTuple):
    """A pass that one of these desks may hand out here."""

    serial: str
    desk: str


def offer(
    session: Session, token: str, site: int, desks: Collection[str], keyring: Keyring
) -> Offer | None:
    """Return the pass of a token, and the desk that may hand it out at a site; None where none may."""
    row = recognise(session, token, keyring).row
    if row is None or row.handed_out or row.held:
        return None
    where = session.execute(
        select(delivery.c.desk, voucher_order.c.tranche)
        .join_from(voucher, delivery, delivery.c.carnet == voucher.c.carnet)
        .join(voucher_order, voucher_order.c.number == voucher.c.order_number)
        .where(voucher.c.serial == row.serial, ~voucher_order.c.specimen, ~moved_on())
    ).one_or_none()
    if where is None or where.desk not in desks:
        return None
    rules = hand_out_rules(session, where.tranche)
    publics = exists().where(target_public.c.tranche == where.tranche)
    if rules.limit_per_person is not None or rules.holders_named:
        return None
    if session.scalar(select(publics)):
        return None
    here = site_by_number(session, site)
    if not gives_at(session, where.desk, here, where.tranche):
        return None
    return Offer(row.serial, where.desk)


def done_before(session: Session, act: UUID, *, by: str, serial: str) -> Offer | None:
    """Return what this act of theirs handed out already, so that its form can be sent again."""
    body = session.scalar(
        select(entry.c.body).where(
            entry.c.id == act, entry.c.kind == "handed_out", entry.c.actor == by
        )
    )
    facts = {} if body is None else canonical.decode(body)["facts"]
    return Offer(serial, facts["desk"]) if facts.get("serials") == [serial] else None


def give_and_use(
    session: Session,
    request: HandOut,
    scan: Scan,
    *,
    device: Device,
    now: Moment,
    sealer: Sealer,
    keyring: Keyring,
) -> tuple[Answer, Verdict | None]:
    """Hand a pass out and use it at the workshop of the scan, once whatever the retries.

    No verdict where the hand-out is refused.  A use that is refused leaves the hand-out: the
    person has the paper.  `scan` is judged under an id that follows from the hand-out's.  At a
    workshop of an earlier day than the scan claims, the hand-out is of that day too: the pass was
    in the person's hands there.
    """
    held = workshop_row(session, scan.workshop)
    claimed = Moment(min(scan.at, now.at), now.zone)
    if held is not None and held.day < claimed.day:
        request = msgspec.structs.replace(request, given_on=held.day)
    answer = hand_out(session, request, by=device.id, now=now, sealer=sealer)
    if not answer.accepted:
        return answer, None
    [serial] = request.serials
    # Where it waited for its hand-out, that act used it.
    bodies = session.execute(
        select(entry.c.amount_cents, entry.c.body).where(
            entry.c.act_id == request.id,
            entry.c.kind == "redeemed",
            entry.c.subject == serial,
        )
    )
    for cents, body in bodies:
        if UUID(canonical.decode(body)["facts"]["workshop"]) == scan.workshop:
            return answer, Verdict(request.id, "accepted", serial, cents)
    named = Scan(entry_id(request.id, SCAN_RANK), scan.token, scan.workshop, scan.at)
    [verdict] = redeem(session, [Presented(named, device)], now=now, keyring=keyring)
    return answer, verdict
