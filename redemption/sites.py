"""Sites: imported from the national list, kept up to date, accredited per programme by dated rows."""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Literal, NamedTuple
from uuid import UUID

import msgspec
from sqlalchemy import Row, insert, select, update
from sqlalchemy.orm import Session

from funding.models import programme, tranche
from funding.operations import NotFound, exist, in_order
from funding.tranches import OpenTranche
from funding.tranches import open_tranche as open_funding_tranche
from issuance.orders import take_numbers
from issuance.siret import is_siret
from ledger import canonical, gates
from ledger.accounts import open_accounts
from ledger.attempts import Act, Answer, perform
from ledger.identifiers import new_id
from ledger.journal import must_record
from ledger.models import entry, log_leaf
from ledger.moments import Moment
from ledger.refusal import Refusal
from redemption.mednum import SiteFacts
from redemption.models import accreditation, site

NUMBER = re.compile(r"[0-9]{1,9}")
FOR_EVER = date(9999, 12, 31)
SITE_ACCOUNTS = ("due", "paid", "recoverable")


@dataclass(eq=False)
class CandidateSite(Refusal):
    """The site has no SIRET yet: the payee could not be traced, so it cannot be accredited."""

    code = "candidate_site"

    site: str


@dataclass(eq=False)
class AlreadyAccredited(Refusal):
    """An accreditation of this site for this programme holds, or held, on these days."""

    code = "already_accredited"

    site: str
    until: str


@dataclass(eq=False)
class NotAccredited(Refusal):
    """No accreditation of this site for this programme holds on that day."""

    code = "site_not_accredited"

    site: str


class Accredit(msgspec.Struct, frozen=True):
    """A site may accept the passes of a programme, from a day on."""

    id: UUID
    site: str
    programme: str
    valid_from: date
    valid_until: date = FOR_EVER


class EndAccreditation(msgspec.Struct, frozen=True):
    """An accreditation ends after this day: suspended (a later one may follow) or withdrawn."""

    id: UUID
    site: str
    programme: str
    last_day: date
    reason: Literal["suspended", "withdrawn", "closed"] = "suspended"


def save_site(
    session: Session, facts: SiteFacts, *, dated: bool, by: str, now: Moment
) -> Literal["new", "changed", "same"]:
    """Keep a site as the national list tells it, by its `id`; telling it again changes nothing.

    Every change leaves an entry.  A date that the import itself made up is no change.
    """
    # Before looking: two imports at once would both find that the site is new.
    gates.alone(session)
    kept = session.execute(select(site).where(site.c.national_id == facts.id)).one_or_none()
    details = canonical.encode(facts.row()).decode()
    if kept is not None and _same(kept, details, dated=dated):
        return "same"
    act = Act(new_id(), "save_site", by, now)

    def done() -> None:
        number = kept.number if kept is not None else take_numbers(session, "site", 1)
        told = {"details": facts.row(), "site": number}
        must_record(session, [act.entry("site_kept", told)])
        values = {
            "siret": facts.siret,
            "name": facts.nom,
            "commune": facts.commune,
            "postcode": facts.code_postal,
            "insee": facts.code_insee,
            "departement": departement_of(facts),
            "details": details,
            "updated_on": facts.date_maj,
            "entry_id": act.id,
        }
        if kept is None:
            session.execute(
                insert(site).values(number=number, national_id=facts.id, **values)
            )
        else:
            session.execute(update(site).where(site.c.number == number).values(**values))

    perform(session, act, facts.row(), done)
    return "new" if kept is None else "changed"


def _same(kept: "Row[*tuple[Any, ...]]", details: str, *, dated: bool) -> bool:
    before, after = (
        canonical.decode(kept.details.encode()),
        canonical.decode(details.encode()),
    )
    if not dated:
        before.pop("date_maj"), after.pop("date_maj")
    return bool(before == after)


def known_siret(session: Session, national_id: str) -> str | None:
    """Return the SIRET of a site that we know, or None."""
    return session.scalar(select(site.c.siret).where(site.c.national_id == national_id))


def departement_of(facts: SiteFacts) -> str:
    """Return the département of a site: from its INSEE code, else from its postal code.

    A Corsican postal code does not tell 2A from 2B for sure: 200 and 201 are the south.
    """
    code = facts.code_insee or facts.code_postal
    if code.startswith(("97", "98")):
        return code[:3]
    if facts.code_insee is None and code.startswith("20"):
        return "2A" if code.startswith(("200", "201")) else "2B"
    return code[:2]


def site_row(session: Session, key: str) -> "Row[int, str, str | None, str]":
    """Return number, national id, SIRET and name of a site, by what somebody typed.

    A national id comes before a number, and may look like one.  A program that has a number asks
    `site_by_number`.
    """
    row = session.execute(_CALLED.where(site.c.national_id == key)).one_or_none()
    if row is None and NUMBER.fullmatch(key):
        return site_by_number(session, int(key))
    if row is None:
        raise NotFound("site", key)
    return row


def site_by_number(session: Session, number: int) -> "Row[int, str, str | None, str]":
    """Return number, national id, SIRET and name of the site of this number, and no other."""
    row = session.execute(_CALLED.where(site.c.number == number)).one_or_none()
    if row is None:
        raise NotFound("site", str(number))
    return row


_CALLED = select(site.c.number, site.c.national_id, site.c.siret, site.c.name)


class SiteNames(NamedTuple):
    """What a site is called: its national id, its SIRET where it has one, its name."""

    national_id: str
    siret: str | None
    name: str


def site_names(
    session: Session, numbers: Collection[int], *, known_by: int | None = None
) -> dict[int, SiteNames]:
    """Return what sites are called, by number: today, or as the last entry within a log size told it.

    A site that was imported again since is looked up among the entries, which takes longer.
    """
    rows = session.execute(
        select(site.c.number, site.c.national_id, site.c.siret, site.c.name, log_leaf.c.idx)
        .outerjoin(log_leaf, log_leaf.c.entry_id == site.c.entry_id)
        .where(site.c.number.in_(numbers))
    )
    found = {
        row.number: SiteNames(row.national_id, row.siret, row.name)
        for row in rows
        if known_by is None or (row.idx is not None and row.idx < known_by)
    }
    changed = set(numbers) - found.keys()
    if known_by is not None and changed:
        found |= _told_before(session, changed, known_by)
    return found


def _told_before(
    session: Session, numbers: Collection[int], size: int
) -> dict[int, SiteNames]:
    bodies = session.scalars(
        select(entry.c.body)
        .join(log_leaf, log_leaf.c.entry_id == entry.c.id)
        .where(entry.c.kind == "site_kept", log_leaf.c.idx < size)
        .order_by(log_leaf.c.idx)
    )
    found: dict[int, SiteNames] = {}
    for body in bodies:
        facts = canonical.decode(body)["facts"]
        if facts["site"] in numbers:
            told = facts["details"]
            siret = told["pivot"] if is_siret(told["pivot"]) else None
            found[facts["site"]] = SiteNames(told["id"], siret, told["nom"])
    return found


def accredit(session: Session, request: Accredit, *, by: str, now: Moment) -> Answer:
    """Accredit a site for a programme; its accounts are made, so that money can be owed to it.

    Refused with `not_found`, `candidate_site`, `days_out_of_order`, `already_accredited`.
    """
    act = Act(request.id, "accredit", by, now)

    def done() -> None:
        gates.alone(session)
        number, _, siret, _ = site_row(session, request.site)
        exist(session, programme.c.code, request.programme)
        in_order(request.valid_from, request.valid_until)
        if siret is None:
            raise CandidateSite(request.site)
        before = _accreditations(session, number, request.programme)
        last = before[-1] if before else None
        if last is not None and last.valid_until >= request.valid_from:
            raise AlreadyAccredited(request.site, last.valid_until.isoformat())
        facts = {
            "programme": request.programme,
            "site": number,
            "siret": siret,
            "valid_from": request.valid_from.isoformat(),
            "valid_until": request.valid_until.isoformat(),
        }
        must_record(session, [act.entry("accredited", facts)])
        session.execute(
            insert(accreditation).values(
                site=number,
                programme=request.programme,
                number=0 if last is None else last.number + 1,
                valid_from=request.valid_from,
                valid_until=request.valid_until,
                previous=None if last is None else last.number,
                previous_until=None if last is None else last.valid_until,
                entry_id=act.id,
            )
        )
        open_site_accounts(session, request.programme)

    return perform(session, act, request, done)


def end_accreditation(
    session: Session, request: EndAccreditation, *, by: str, now: Moment
) -> Answer:
    """Close the accreditation that holds then, after its last day; workshops until then still count.

    One that follows it stands after a suspension, and ends with a site that withdraws or closes.
    Refused with `not_found`, `site_not_accredited`.
    """
    act = Act(request.id, "end_accreditation", by, now)

    def done() -> None:
        gates.alone(session)
        number, *_ = site_row(session, request.site)
        rows = _accreditations(session, number, request.programme)
        holding = [
            row.number
            for row in rows
            if (row.valid_from - request.last_day).days <= 1
            and request.last_day <= row.valid_until
        ]
        if not holding:
            raise NotAccredited(request.site)
        first, newest = holding[-1], rows[-1].number
        ended = [first] if request.reason == "suspended" else [*range(first, newest + 1)]
        facts = {
            "last_day": request.last_day.isoformat(),
            "programme": request.programme,
            "reason": request.reason,
            "site": number,
            # Which of its accreditations, counted from 0; the newest where nothing is said.
            **({} if ended == [newest] else {"ended": ended}),
        }
        must_record(session, [act.entry("accreditation_ended", facts)])
        for each in ended:  # the day is handed on to the row that follows
            session.execute(
                update(accreditation)
                .where(
                    accreditation.c.site == number,
                    accreditation.c.programme == request.programme,
                    accreditation.c.number == each,
                )
                .values(valid_until=request.last_day, ended_for=request.reason)
            )

    return perform(session, act, request, done)


def _accreditations(
    session: Session, number: int, code: str
) -> "Sequence[Row[int, date, date]]":
    return session.execute(
        select(
            accreditation.c.number, accreditation.c.valid_from, accreditation.c.valid_until
        )
        .where(accreditation.c.site == number, accreditation.c.programme == code)
        .order_by(accreditation.c.number)
    ).all()


def open_site_accounts(session: Session, code: str) -> None:
    """Make the accounts of every accredited site for every tranche of a programme."""
    numbers = session.scalars(
        select(tranche.c.number).where(tranche.c.programme == code)
    ).all()
    sites = session.scalars(
        select(accreditation.c.site).where(accreditation.c.programme == code).distinct()
    ).all()
    wanted = [
        (kind, str(number), str(place))
        for number in numbers
        for place in sites
        for kind in SITE_ACCOUNTS
    ]
    if wanted:
        open_accounts(session, wanted)


def open_tranche(session: Session, request: OpenTranche, *, by: str, now: Moment) -> Answer:
    """Open a tranche, and the accounts of the sites already accredited for its programme."""
    answer = open_funding_tranche(session, request, by=by, now=now)
    if answer.accepted:
        open_site_accounts(session, request.programme)
    return answer


def listed_sites(
    session: Session,
) -> "Sequence[Row[int, str, str | None, str, str, str]]":
    """Return the sites: number, national id, SIRET, name, commune, postal code."""
    return session.execute(
        select(
            site.c.number,
            site.c.national_id,
            site.c.siret,
            site.c.name,
            site.c.commune,
            site.c.postcode,
        ).order_by(site.c.number)
    ).all()


def listed_accreditations(session: Session) -> Sequence[tuple[Any, ...]]:
    """Return the accreditations: site, id, name, programme, first and last day, why it ended."""
    return session.execute(
        select(
            site.c.number,
            site.c.national_id,
            site.c.name,
            accreditation.c.programme,
            accreditation.c.valid_from,
            accreditation.c.valid_until,
            accreditation.c.ended_for,
        )
        .join(site, site.c.number == accreditation.c.site)
        .order_by(site.c.number, accreditation.c.programme, accreditation.c.number)
    ).all()
