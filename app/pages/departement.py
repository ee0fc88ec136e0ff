"""The département's rooms: what needs a decision, tranches, sites."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, get_args
from urllib.parse import quote

from litestar import Controller, Response, get, post
from litestar.params import FromPath
from litestar.status_codes import HTTP_200_OK
from sqlalchemy import Row
from sqlalchemy.orm import Session

from app.covers import Covers, covers_of_all
from app.pages.frame import (
    HEADERS,
    Asked,
    acting,
    form_of,
    now_of,
    page,
    reading,
    visitor_of,
)
from app.pages.visitors import NoSuchRoom
from app.people import signing_in
from app.people.roles import Action
from app.reconciliations import CSV_TITLES, csv_rows
from app.spreadsheets import csv_text
from funding import queries as funds
from funding.operations import NotFound
from funding.tranches import Calendar
from issuance.at_desks import Lot, lots_at
from issuance.given import Looked, given, how_many
from issuance.queries import not_active
from issuance.quotas import quotas
from ledger.moments import Moment
from redemption.reconciliation import Reconciliation, reconcile
from redemption.same_organisation import same_organisation
from redemption.sites import FOR_EVER, listed_accreditations, listed_sites

SOON = timedelta(days=30)
# What a page lists of something that may be long; commands list all of it.
LISTED = 20
LOOKED_AT = 50
SiteLine = Row[int, str, str | None, str, str, str]
SITE_TITLES = ("number", "id", "siret", "name", "commune", "postcode")


@dataclass(frozen=True)
class Todo:
    """Something that waits for a decision: a code for its sentence, facts, and where to go."""

    code: str
    facts: dict[str, Any]
    to: str


class Departement(Controller):
    """What managers, accountants, authorising officers and auditors see."""

    path = "/{departement:str}"
    include_in_schema = False

    @get("/", opt={"door": Action.SEE_HOME}, sync_to_thread=True)
    def home(self, departement: FromPath[str], request: Asked) -> Response[str]:
        """Say what waits, and show the way to each room this person may enter."""
        todo: list[Todo] = []
        tranches: list[Reconciliation] = []
        if visitor_of(request).may(Action.SEE_TRANCHES):
            todo, tranches = _what_waits(request, departement)
        lots: list[Lot] = []
        covers: Covers | None = None
        if visitor_of(request).may(Action.HAND_OUT):
            with reading(request) as session:
                lots = lots_at(session, visitor_of(request).desks)
                covers = covers_of_all(session, [lot.ranges for lot in lots])
        return page(
            request,
            "home_signed_in.html",
            todo=todo,
            tranches=tranches,
            lots=lots,
            covers=covers,
        )

    @get("/tranches", opt={"door": Action.SEE_TRANCHES}, sync_to_thread=True)
    def tranches(self, request: Asked) -> Response[str]:
        """List the tranches with where their money is."""
        with reading(request) as session:
            found = _reconciled(session, request)
        return page(request, "tranches.html", tranches=found)

    @get("/tranches/{tranche:str}", opt={"door": Action.SEE_TRANCHES}, sync_to_thread=True)
    def tranche(self, tranche: FromPath[str], request: Asked) -> Response[str]:
        """One tranche: a sentence, a bar, a table."""
        found, dates = _tranche(request, tranche)
        with reading(request) as session:
            [quota] = quotas(session, tranche)
            despite = given(session, "despite-limit", code=tranche, most=LISTED)
            unlinked = funds.esf_keeps_no_link(session, found.number)
        return page(
            request,
            "tranche.html",
            t=found,
            dates=dates,
            quota=quota,
            despite=despite,
            unlinked=unlinked,
        )

    @post("/tranches/{tranche:str}/export", opt={"door": Action.EXPORT})
    async def export(self, tranche: FromPath[str], request: Asked) -> Response[str]:
        """Give the table as CSV; taking a copy away leaves an entry."""
        await form_of(request)
        who = visitor_of(request).session.person
        found, _dates = await asyncio.to_thread(_tranche, request, tranche, proof=True)

        def noted(session: Session, now: Moment) -> str:
            signing_in.note_export(session, who, f"tranche/{found.number}", now)
            return csv_text(CSV_TITLES, csv_rows([found]))

        name = "".join(c for c in tranche if c.isascii() and (c.isalnum() or c in "-_"))
        return _csv(await acting(request, noted), name)

    @get("/lieux", opt={"door": Action.SEE_SITES}, sync_to_thread=True)
    def sites(self, request: Asked) -> Response[str]:
        """List the sites, and which of them may take passes, until when."""
        by = request.query_params.get("tri", "")
        accredited: dict[str, list[tuple[Any, ...]]] = {}
        with reading(request) as session:
            known = _sorted(listed_sites(session), by)
            for row in listed_accreditations(session):
                accredited.setdefault(row[0], []).append(tuple(row[1:]))
        return page(
            request,
            "sites.html",
            sites=known,
            accredited=accredited,
            for_ever=FOR_EVER,
            today=now_of(request).day,
            by=by,
        )

    @get("/lieux/meme-organisme", opt={"door": Action.SEE_SITES}, sync_to_thread=True)
    def same_organisation(self, request: Asked) -> Response[str]:
        """List what is allowed and yet looked at: own passes used at own sites, hand-outs out of the ordinary."""
        seen = visitor_of(request).programmes(Action.SEE_SITES)
        with reading(request) as session:
            found = same_organisation(session, programmes=seen)
            looked = [
                (
                    kind,
                    how_many(session, kind, programmes=seen),
                    given(session, kind, programmes=seen, most=LOOKED_AT),
                )
                for kind in get_args(Looked)
            ]
            names = {row[0]: row[3] for row in listed_sites(session)}
        return page(request, "sites_same.html", found=found, looked=looked, names=names)

    @post("/lieux/export", opt={"door": Action.EXPORT})
    async def export_sites(self, request: Asked) -> Response[str]:
        """Give the list of sites as CSV; taking a copy away leaves an entry."""
        await form_of(request)
        who = visitor_of(request).session.person

        def noted(session: Session, now: Moment) -> str:
            signing_in.note_export(session, who, "sites", now)
            return csv_text(SITE_TITLES, [tuple(row) for row in listed_sites(session)])

        return _csv(await acting(request, noted), "lieux")


def _csv(text: str, name: str) -> Response[str]:
    return Response(
        text,
        status_code=HTTP_200_OK,
        media_type="text/csv",
        headers=HEADERS | {"Content-Disposition": f'attachment; filename="{name}.csv"'},
    )


def _sorted(sites: Sequence[SiteLine], by: str) -> Sequence[SiteLine]:
    """Return sites in the order that was asked for; in that of their numbers otherwise."""
    column = {"lieu": 3, "commune": 4, "siret": 2}.get(by)
    if column is None:
        return sites
    return sorted(sites, key=lambda row: (str(row[column] or "").casefold(), row[0]))


def _reconciled(
    session: Session, request: Asked, tranche: str | None = None, *, proof: bool = False
) -> list[Reconciliation]:
    """Reconcile what this visitor may see: all, or the tranches of a programme.

    What is looked at comes from the roll-ups, what is taken away is proved.
    """
    found = reconcile(session, now=now_of(request), tranche=tranche, proof=proof)
    visitor = visitor_of(request)
    return [t for t in found if visitor.sees(Action.SEE_TRANCHES, t.programme)]


def _tranche(
    request: Asked, code: str, *, proof: bool = False
) -> tuple[Reconciliation, Calendar]:
    with reading(request) as session:
        try:
            [found] = _reconciled(session, request, code, proof=proof)
        except (NotFound, ValueError):
            raise NoSuchRoom from None
        return found, funds.calendar_in_force(session, found.number)


def _what_waits(
    request: Asked, departement: str
) -> tuple[list[Todo], list[Reconciliation]]:
    now, todo = now_of(request), []
    with reading(request) as session:
        found = _reconciled(session, request)
        calendars = funds.calendars_in_force(session, [t.number for t in found])
        for t in found:
            to = f"/{departement}/tranches/{quote(t.tranche, safe='')}"
            dates = calendars[t.number]
            if t.disputes_open:
                todo.append(
                    Todo("disputes", {"n": t.disputes_open, "tranche": t.tranche}, to)
                )
            if t.scans_waiting:
                todo.append(
                    Todo("waiting", {"n": t.scans_waiting, "tranche": t.tranche}, to)
                )
            circulating = t.line("circulating")
            if circulating.count and now.day <= dates.tolerance_until <= now.day + SOON:
                facts = {"n": circulating.count, "tranche": t.tranche}
                todo.append(Todo("ends_soon", facts | {"day": dates.tolerance_until}, to))
            if t.line("stock").count and now.day <= dates.hand_out_stop <= now.day + SOON:
                facts = {"n": t.line("stock").count, "tranche": t.tranche}
                todo.append(Todo("stock_soon", facts | {"day": dates.hand_out_stop}, to))
        todo += [
            Todo("not_active", {"order": o.number}, f"/{departement}/commandes/{o.number}")
            for o in not_active(session)
            if o.tranche in {t.number for t in found}
        ]
    return todo, found
