"""Passes used where they were handed out: at a site of the organisation whose desk gave them.

Nothing forbids it (in the Creuse a library hands out and teaches), so it is not refused; whoever
pays must see it, since an organisation that gives passes to itself would look like this.
"""

from collections.abc import Collection
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, and_, func, literal_column, select
from sqlalchemy.orm import Session

from funding.models import tranche
from issuance.models import desk, hand_out, handed_out
from issuance.queries import REPLACEMENT
from issuance.siret import siren
from ledger.bulk import is_postgres
from ledger.models import account, entry
from redemption.models import site
from redemption.presented import not_undone


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


def same_organisation(
    session: Session, *, programmes: Collection[str] | None = None
) -> list[SameOrganisation]:
    """Return the pairs that have a use, most passes first; uses that were undone are left out.

    Of all passes, or of those of some programmes alone.  Counts the uses at the sites of these
    pairs, so it takes longer as they grow.
    """
    pairs = _pairs(session)
    sites = {number for _, number, _ in pairs}
    if not sites:
        return []
    used = _used(session, sites, programmes)
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


def _used(
    session: Session, sites: set[int], programmes: Collection[str] | None
) -> dict[tuple[str, int], tuple[int, int]]:
    """Return passes and cents used, net, by the desk that gave them and by site."""
    again, first = entry.alias("again"), hand_out.alias()
    # What replaced lost paper is no hand-out, and goes by the one it tells.
    code = func.coalesce(hand_out.c.desk, first.c.desk)
    chosen = (
        select(code, account.c.party, func.count(), func.sum(entry.c.amount_cents))
        .join_from(entry, account, account.c.id == entry.c.debit_id)
        .join(handed_out, handed_out.c.serial == entry.c.subject)
        .outerjoin(hand_out, hand_out.c.entry_id == handed_out.c.entry_id)
        .outerjoin(
            again,
            and_(
                hand_out.c.entry_id.is_(None),
                again.c.id == handed_out.c.entry_id,
                again.c.kind == REPLACEMENT,
            ),
        )
        .outerjoin(first, first.c.entry_id == _told_hand_out(session))
        .where(
            entry.c.kind == "redeemed",
            account.c.kind == "due",
            account.c.party.in_([str(number) for number in sites]),
            not_undone(entry),
        )
        .group_by(code, account.c.party)
    )
    if programmes is not None:
        of = select(tranche.c.number).where(tranche.c.programme.in_(programmes))
        books = [str(number) for number in session.scalars(of)]
        chosen = chosen.where(account.c.book.in_(books))
    return {
        (given_by, int(number)): (int(passes), int(cents))
        for given_by, number, passes, cents in session.execute(chosen)
    }


def _told_hand_out(session: Session) -> ColumnElement[Any]:
    """Return what the entry `again` of a replacement tells: the hand-out it goes back to."""
    if is_postgres(session):
        told = "CAST(CAST(convert_from(again.body, 'UTF8') AS json)->'facts'->>'hand_out' AS uuid)"
    else:
        told = "json_extract(CAST(again.body AS TEXT), '$.facts.hand_out')"
    return literal_column(told)
