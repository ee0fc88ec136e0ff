"""Passes used where they were handed out: at a site of the organisation whose desk gave them.

Nothing forbids it (in the Creuse a library hands out and teaches), so it is not refused; whoever
pays must see it, since an organisation that gives passes to itself would look like this.
"""

from typing import NamedTuple
from uuid import UUID

from sqlalchemy import case, exists, func, select
from sqlalchemy.orm import Session

from issuance.models import desk, hand_out, handed_out
from issuance.queries import first_hand_out
from issuance.siret import siren
from ledger.models import account, entry
from redemption.models import site


class SameOrganisation(NamedTuple):
    """A desk and a site of one organisation: what the desk gave that was used at the site.

    `site_passes` is all that was used at the site; `percent`, of which these are, rounded down.
    """

    siren: str
    desk: str
    site: int
    site_name: str
    passes: int
    cents: int
    site_passes: int
    percent: int


def same_organisation(session: Session) -> list[SameOrganisation]:
    """Return the pairs that have a use, most passes first; uses that were undone are left out.

    Counts the uses at the sites of these pairs, so it takes longer as they grow.
    """
    pairs = _pairs(session)
    sites = {number for _, number, _ in pairs}
    if not sites:
        return []
    used = _used(session, sites)
    whole: dict[int, int] = {}
    for (_, number), (passes, _) in used.items():
        whole[number] = whole.get(number, 0) + passes
    told = []
    for (code, number, name), of in pairs.items():
        if (code, number) in used:
            passes, cents = used[code, number]
            share = passes * 100 // whole[number]
            told.append(
                SameOrganisation(
                    of, code, number, name, passes, cents, whole[number], share
                )
            )
    return sorted(told, key=lambda row: (-row.passes, row.desk, row.site))


def _pairs(session: Session) -> dict[tuple[str, int, str], str]:
    """Return (desk, site, name of the site) of one organisation, with its SIREN."""
    desks = session.execute(
        select(desk.c.code, desk.c.siret).where(desk.c.siret.is_not(None))
    ).all()
    sites = session.execute(
        select(site.c.number, site.c.name, site.c.siret).where(site.c.siret.is_not(None))
    ).all()
    return {
        (code, number, name): siren(theirs)
        for code, theirs in desks
        for number, name, siret in sites
        if siren(siret) == siren(theirs)
    }


def _used(session: Session, sites: set[int]) -> dict[tuple[str, int], tuple[int, int]]:
    """Return passes and cents used, net, by the desk that gave them and by site."""
    undone = entry.alias()
    # What replaced lost paper goes by the first hand-out, which is looked up: there are few.
    by_replacement = case((hand_out.c.entry_id.is_(None), handed_out.c.entry_id))
    rows = session.execute(
        select(
            hand_out.c.desk,
            by_replacement,
            account.c.party,
            func.count(),
            func.sum(entry.c.amount_cents),
        )
        .join_from(entry, account, account.c.id == entry.c.debit_id)
        .join(handed_out, handed_out.c.serial == entry.c.subject)
        .outerjoin(hand_out, hand_out.c.entry_id == handed_out.c.entry_id)
        .where(
            entry.c.kind == "redeemed",
            account.c.kind == "due",
            account.c.party.in_([str(number) for number in sites]),
            ~exists().where(
                undone.c.uses == "undo",
                undone.c.subject == entry.c.subject,
                undone.c.turn == entry.c.turn,
            ),
        )
        .group_by(hand_out.c.desk, by_replacement, account.c.party)
    ).all()
    used: dict[tuple[str, int], tuple[int, int]] = {}
    for code, replacement, number, passes, cents in rows:
        of = (code or _first_desk(session, replacement), int(number))
        before = used.get(of, (0, 0))
        used[of] = (before[0] + int(passes), before[1] + int(cents))
    return used


def _first_desk(session: Session, replacement: UUID) -> str:
    first = first_hand_out(session, replacement)
    found = select(hand_out.c.desk).where(hand_out.c.entry_id == first)
    return str(session.scalars(found).one())
