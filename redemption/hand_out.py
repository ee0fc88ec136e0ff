"""The hand-out as desks do it: issuance gives the passes, then scans that waited for it are decided."""

from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import Row, select
from sqlalchemy.orm import Session

from funding.hand_out_rules import hand_out_rules
from issuance.given_days import GivenOnImpossible
from issuance.hand_outs import HandOut, NotAtThisSite, give
from issuance.models import desk
from issuance.siret import siren
from ledger.attempts import Act, Answer, perform
from ledger.entries import Entry, entry_id
from ledger.journal import record
from ledger.models import entry
from ledger.moments import Moment
from ledger.sealing import Sealer
from redemption import presented
from redemption.admission import PassFacts, Reason, judge
from redemption.models import kept_scan
from redemption.sites import site_by_number, site_row
from redemption.uses import redeemed, use_facts

# The fields that requests did not have at first.
TOLD_LATER = ("given_on", "holder", "despite_limit", "at_site", "given_at")
# Without a master key, a hand-out that tells nothing of the person goes through.
NO_KEY = Sealer()


def hand_out(
    session: Session,
    request: HandOut,
    *,
    by: str,
    now: Moment,
    sealer: Sealer = NO_KEY,
    shown: str | None = None,
) -> Answer:
    """Give a carnet, or single passes, to a person; once, whatever the retries.

    A pass that was scanned before its hand-out was recorded (a desk that writes late) is
    redeemed by this act, at the workshop where it waited, if the workshop could accept it.
    A desk that tells the day of the hand-out cannot tell one after that workshop: the paper was
    in somebody's hands by then, and the day is better put right than contradicted for ever.
    Refusals are those of `issuance.hand_outs.give`, `given_on_impossible` and `not_at_this_site`;
    `vault_locked`, `limit_per_person` and `holder_needed` are raised, and leave nothing.
    """
    act = Act(request.id, "hand_out", by, now, shown)

    def done() -> None:
        site = _site(session, request.at_site)
        order, serials = give(
            session, act, request, sealer, at_site=None if site is None else site.number
        )
        if site is not None and not gives_at(session, request.desk, site, order.tranche):
            raise NotAtThisSite(site.name)
        _decide_waiting(session, act, request, order.number, serials)

    return perform(session, act, _hashed(request), done)


def _hashed(request: HandOut) -> HandOut:
    """Return what is hashed of a request, for its retries to be known by.

    The journal keeps the hash for ever: nothing that the vault may have to forget goes into it,
    or a few guesses would bring it back.  What came later to requests is left out where it is not
    told: a hand-out whose answer was lost over an update is still the same one.
    """
    untold = [name for name in TOLD_LATER if getattr(request, name) is None]
    told: dict[str, Any] = dict.fromkeys([*untold, "holder"], msgspec.UNSET)
    if request.at_site is not None:  # a number was told as text, and is hashed as one
        told["at_site"] = str(request.at_site)
    return msgspec.structs.replace(request, category=None, need=None, **told)


def _site(
    session: Session, asked: str | int | None
) -> "Row[int, str, str | None, str] | None":
    if asked is None:
        return None
    if isinstance(asked, int):
        return site_by_number(session, asked)
    return site_row(session, asked)


def gives_at(
    session: Session, code: str, where: Row[int, str, str | None, str], tranche: int
) -> bool:
    """Tell whether a desk may hand out at a site: they are one organisation, or the tranche lets any desk."""
    if hand_out_rules(session, tranche).at_sites:
        return True
    of_desk = session.scalar(select(desk.c.siret).where(desk.c.code == code))
    if of_desk is None or where.siret is None:
        return False
    return siren(of_desk) == siren(where.siret)


def _decide_waiting(
    session: Session, act: Act, request: HandOut, order_number: int, serials: Sequence[str]
) -> None:
    waiting = session.execute(
        select(kept_scan, entry.c.actor, entry.c.occurred_at)
        .join(entry, entry.c.id == kept_scan.c.entry_id)
        .where(kept_scan.c.serial.in_(serials))
        .order_by(kept_scan.c.received_at, kept_scan.c.entry_id)
    ).all()
    if not waiting:
        return
    order = presented.orders(session, [order_number])[order_number]
    places = presented.places(session, {w.workshop for w in waiting}, [order.tranche])
    first = min(places[scan.workshop, order.tranche].day for scan in waiting)
    if request.given_on is not None and first < request.given_on:
        raise GivenOnImpossible("scanned_before", on=first)
    rows = presented.passes(session, serials)
    decided: dict[str, Entry] = {}
    for rank, scan in enumerate(waiting, 1):
        place = places[scan.workshop, order.tranche]
        received_on = scan.received_at.astimezone(act.now.zone).date()
        fresh = PassFacts(None, handed_out=True, lapsed=False)
        if judge(fresh, order, place, received_on) is not Reason.ACCEPTED:
            continue
        if scan.serial in decided:  # first received, first served
            continue
        row = rows[scan.serial]
        facts = use_facts(row, order, place, scan.workshop) | {"scan": str(scan.entry_id)}
        decided[scan.serial] = redeemed(
            row,
            order,
            place,
            facts,
            entry=entry_id(act.id, rank),
            act=act.id,
            actor=scan.actor,
            at=scan.occurred_at,
            recorded=act.now.at,
        )
    record(session, list(decided.values()))
