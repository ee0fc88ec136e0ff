"""The département's rooms: what needs a decision, tranches, sites, people."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, NamedTuple
from urllib.parse import quote
from uuid import UUID

from litestar import Controller, Response, get, post
from litestar.params import FromPath
from litestar.response import Redirect
from litestar.status_codes import HTTP_200_OK
from sqlalchemy import Row, select
from sqlalchemy.orm import Session

from app.errors import language_of
from app.mail import telling
from app.mail.invitations import last_whole_day, letterhead, mail_code
from app.mail.letters import code_letter
from app.mail.outbox import latest
from app.pages.frame import (
    HEADERS,
    Asked,
    act_id,
    again,
    form_of,
    go,
    number_of,
    page,
    serving_of,
    visitor_of,
)
from app.pages.visitors import NoSuchRoom, Visitor
from app.people import signing_in
from app.people.memberships import (
    Invite,
    end_membership,
    has_password,
    invite,
    listed_people,
    may_invite,
    may_invite_again,
    new_invitation,
)
from app.people.models import membership, person
from app.people.roles import AT_A_DESK, AT_A_SITE, INVITES, Action, Role
from app.reconciliations import CSV_TITLES, csv_rows
from app.spreadsheets import csv_text
from funding import queries as funds
from funding.operations import NotFound
from funding.tranches import Calendar
from issuance.queries import listed_desks, listed_orders
from ledger.attempts import Answer as Told
from ledger.moments import Moment
from redemption.reconciliation import Reconciliation, reconcile
from redemption.sites import FOR_EVER, listed_accreditations, listed_sites

Answer = Response[str] | Redirect
SOON = timedelta(days=30)
SiteLine = Row[int, str, str | None, str, str, str]
SITE_TITLES = ("number", "id", "siret", "name", "commune", "postcode")
NAME_MAX = 200


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
        visitor = visitor_of(request)
        todo: list[Todo] = []
        tranches: list[Reconciliation] = []
        if visitor.may(Action.SEE_TRANCHES):
            todo, tranches = _what_waits(request, departement)
        return page(request, "home_signed_in.html", todo=todo, tranches=tranches)

    @get("/tranches", opt={"door": Action.SEE_TRANCHES}, sync_to_thread=True)
    def tranches(self, departement: FromPath[str], request: Asked) -> Response[str]:
        """List the tranches with where their money is."""
        serving = serving_of(request)
        with serving.instance.database.begin(departement, read_only=True) as session:
            found = _reconciled(session, request, departement)
        return page(request, "tranches.html", tranches=found)

    @get("/tranches/{tranche:str}", opt={"door": Action.SEE_TRANCHES}, sync_to_thread=True)
    def tranche(
        self, departement: FromPath[str], tranche: FromPath[str], request: Asked
    ) -> Response[str]:
        """One tranche: a sentence, a bar, a table."""
        serving = serving_of(request)
        with serving.instance.database.begin(departement, read_only=True) as session:
            found, dates = _tranche(session, request, departement, tranche)
        return page(request, "tranche.html", t=found, dates=dates)

    @post("/tranches/{tranche:str}/export", opt={"door": Action.EXPORT})
    async def export(
        self, departement: FromPath[str], tranche: FromPath[str], request: Asked
    ) -> Response[str]:
        """Give the table as CSV; taking a copy away leaves an entry."""
        await form_of(request)
        visitor, serving = visitor_of(request), serving_of(request)

        def written() -> str:
            now = serving.instance.moment(departement)
            with serving.instance.database.begin(departement, read_only=True) as session:
                found, _dates = _tranche(session, request, departement, tranche)
            with serving.instance.database.begin(departement) as session:
                signing_in.note_export(
                    session, visitor.session.person, f"tranche/{found.number}", now
                )
            return csv_text(CSV_TITLES, csv_rows([found]))

        text = await asyncio.to_thread(written)
        await asyncio.to_thread(serving.committed, departement)
        name = "".join(c for c in tranche if c.isascii() and (c.isalnum() or c in "-_"))
        return _csv(text, name)

    @get("/lieux", opt={"door": Action.SEE_SITES}, sync_to_thread=True)
    def sites(self, departement: FromPath[str], request: Asked) -> Response[str]:
        """List the sites, and which of them may take passes, until when."""
        serving = serving_of(request)
        with serving.instance.database.begin(departement, read_only=True) as session:
            known = _sorted(listed_sites(session), request.query_params.get("tri", ""))
            accredited: dict[str, list[tuple[Any, ...]]] = {}
            for row in listed_accreditations(session):
                accredited.setdefault(row[0], []).append(tuple(row[1:]))
        return page(
            request,
            "sites.html",
            sites=known,
            accredited=accredited,
            for_ever=FOR_EVER,
            today=serving.instance.moment(departement).day,
            by=request.query_params.get("tri", ""),
        )

    @post("/lieux/export", opt={"door": Action.EXPORT})
    async def export_sites(
        self, departement: FromPath[str], request: Asked
    ) -> Response[str]:
        """Give the list of sites as CSV; taking a copy away leaves an entry."""
        await form_of(request)
        visitor, serving = visitor_of(request), serving_of(request)

        def written() -> str:
            now = serving.instance.moment(departement)
            with serving.instance.database.begin(departement) as session:
                signing_in.note_export(session, visitor.session.person, "sites", now)
                return csv_text(SITE_TITLES, [tuple(row) for row in listed_sites(session)])

        text = await asyncio.to_thread(written)
        await asyncio.to_thread(serving.committed, departement)
        return _csv(text, "lieux")


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
    session: Session, request: Asked, departement: str, tranche: str | None = None
) -> list[Reconciliation]:
    """Reconcile what this visitor may see: all, or the tranches of a programme."""
    now = serving_of(request).instance.moment(departement)
    found = reconcile(session, now=now, tranche=tranche, proof=False)
    visitor = visitor_of(request)
    return [t for t in found if visitor.sees(Action.SEE_TRANCHES, t.programme)]


def _tranche(
    session: Session, request: Asked, departement: str, code: str
) -> tuple[Reconciliation, Calendar]:
    try:
        [found] = _reconciled(session, request, departement, code)
    except (NotFound, ValueError):
        raise NoSuchRoom from None
    return found, funds.calendar_in_force(session, found.number)


def _what_waits(
    request: Asked, departement: str
) -> tuple[list[Todo], list[Reconciliation]]:
    serving = serving_of(request)
    now = serving.instance.moment(departement)
    todo = []
    with serving.instance.database.begin(departement, read_only=True) as session:
        found = _reconciled(session, request, departement)
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
            Todo("not_active", {"order": order[0]}, f"/{departement}/tranches")
            for order in listed_orders(session)
            if order[6] is None and not order[5] and order[1] in {t.number for t in found}
        ]
    return todo, found


class People(Controller):
    """Who works here: invitations and roles."""

    path = "/{departement:str}/personnes"
    include_in_schema = False

    @get("/", opt={"door": Action.SEE_PEOPLE}, sync_to_thread=True)
    def people(self, departement: FromPath[str], request: Asked) -> Response[str]:
        """List the people that this visitor may invite or dismiss."""
        return page(request, "people.html", typed={}, **_people(request, departement))

    @post("/", opt={"door": Action.INVITE})
    async def invite(self, departement: FromPath[str], request: Asked) -> Answer:
        """Give a role and show the code of the invitation, once."""
        fields = await form_of(request)
        visitor, serving = visitor_of(request), serving_of(request)
        errors = _missing(request, fields)
        if errors:
            told = await asyncio.to_thread(_people, request, departement)
            return again(request, "people.html", errors, typed=fields, **told)
        asked = Invite(
            act_id(fields),
            fields["login"].lower(),
            fields["name"],
            Role(fields["role"]),
            fields.get("desk") or None,
            number_of(fields.get("site", "")),
        )

        def invited() -> tuple[Told, str | None, bool]:
            now = serving.instance.moment(departement)
            with serving.instance.database.begin(departement) as session:
                told = invite(
                    session,
                    asked,
                    inviter=visitor.roles,
                    by=str(visitor.session.person),
                    now=now,
                )
                if not told.accepted or told.replayed:
                    return told, None, False
                who = UUID(told.facts["person"])
                known = has_password(session, who)
                if known or not may_invite_again(session, visitor.roles, who):
                    return told, None, False
                code = new_invitation(session, who, now=now)
                return told, code, mail_code(session, serving.instance, who, code, now=now)

        answer, code, mailed = await asyncio.to_thread(invited)
        if not answer.accepted:
            said = language_of(request).refusal(answer.code, answer.facts)
            people = await asyncio.to_thread(_people, request, departement)
            return again(request, "people.html", {"role": said}, typed=fields, **people)
        await asyncio.to_thread(serving.committed, departement)
        if code is None:
            return go(f"/{departement}/personnes", done="role_given")
        return page(
            request,
            "invited.html",
            name=asked.name,
            login=asked.login,
            code=code,
            mailed=mailed,
            membership=asked.id,
        )

    @post("/code", opt={"door": Action.INVITE})
    async def invite_again(self, departement: FromPath[str], request: Asked) -> Answer:
        """Give a new code to someone who lost theirs, or their password."""
        fields = await form_of(request)
        visitor, serving = visitor_of(request), serving_of(request)

        def coded() -> tuple[Coded, bool] | None:
            which = _held(request, departement, fields.get("membership", ""))
            now = serving.instance.moment(departement)
            with serving.instance.database.begin(departement) as session:
                made = _new_code(session, visitor, which, now)
                if made is None:
                    return None
                return made, mail_code(
                    session, serving.instance, made.person, made.code, now=now
                )

        result = await asyncio.to_thread(coded)
        if result is None:
            return await asyncio.to_thread(_not_theirs, request, departement)
        made, mailed = result
        return page(request, "invited.html", **made._asdict(), mailed=mailed)

    @post("/lettre", opt={"door": Action.INVITE})
    async def letter(
        self, departement: FromPath[str], request: Asked
    ) -> Response[str] | Response[bytes]:
        """Give a letter to print, with a new code that is kept nowhere else."""
        fields = await form_of(request)
        visitor, serving = visitor_of(request), serving_of(request)

        def written() -> bytes | None:
            which = _held(request, departement, fields.get("membership", ""))
            now = serving.instance.moment(departement)
            with serving.instance.database.begin(departement) as session:
                made = _new_code(session, visitor, which, now)
                if made is None:
                    return None
                return code_letter(
                    letterhead(serving.instance, departement),
                    name=made.name,
                    login=made.login,
                    code=made.code,
                    until=last_whole_day(now),
                    now=now,
                )

        pdf = await asyncio.to_thread(written)
        if pdf is None:
            return await asyncio.to_thread(_not_theirs, request, departement)
        named = {"Content-Disposition": 'attachment; filename="lettre.pdf"'}
        return Response(
            pdf,
            status_code=HTTP_200_OK,
            media_type="application/pdf",
            headers=HEADERS | named,
        )

    @post("/fin", opt={"door": Action.INVITE})
    async def end(self, departement: FromPath[str], request: Asked) -> Answer:
        """End a role that this visitor could have given."""
        fields = await form_of(request)
        visitor, serving = visitor_of(request), serving_of(request)

        def ended() -> Told:
            which = _held(request, departement, fields.get("membership", ""))
            with serving.instance.database.begin(departement) as session:
                return end_membership(
                    session,
                    which,
                    act=act_id(fields),
                    by=str(visitor.session.person),
                    now=serving.instance.moment(departement),
                )

        await asyncio.to_thread(ended)
        await asyncio.to_thread(serving.committed, departement)
        return go(f"/{departement}/personnes", done="role_ended")


class Coded(NamedTuple):
    """A code that was just made, and for whom."""

    membership: UUID
    person: UUID
    name: str
    login: str
    code: str


def _new_code(session: Session, visitor: Visitor, which: UUID, now: Moment) -> Coded | None:
    """Make a code for whoever holds a role, if all of their roles are this visitor's to give."""
    who = session.execute(
        select(person.c.id, person.c.name, person.c.login)
        .join(membership, membership.c.person == person.c.id)
        .where(membership.c.id == which, membership.c.ended_at.is_(None))
    ).one_or_none()
    if who is None:
        raise NoSuchRoom
    if not may_invite_again(session, visitor.roles, who.id):
        return None
    return Coded(which, *who, new_invitation(session, who.id, now=now))


def _not_theirs(request: Asked, departement: str) -> Response[str]:
    said = language_of(request).refusal("not_yours_to_invite", {"role": ""})
    people = _people(request, departement)
    return again(request, "people.html", {"people": said}, typed={}, **people)


def _missing(request: Asked, fields: dict[str, str]) -> dict[str, str]:
    m = language_of(request)
    errors = {
        name: m.refusal("field_needed")
        for name in ("name", "login", "role")
        if not fields.get(name)
    }
    for name, most in (("name", NAME_MAX), ("login", signing_in.LOGIN_MAX)):
        if len(fields.get(name, "")) > most:
            errors[name] = m.refusal("field_too_long", {"most": most})
    role = fields.get("role", "")
    if role and role not in set(Role):
        errors["role"] = m.refusal("field_needed")
    elif role in AT_A_DESK and not fields.get("desk"):
        errors["desk"] = m.refusal("field_needed")
    elif role in AT_A_SITE and not fields.get("site"):
        errors["site"] = m.refusal("field_needed")
    return errors


def _held(request: Asked, departement: str, typed: str) -> UUID:
    """Return a role held by someone, which this visitor could have given; else nothing is there."""
    serving, visitor = serving_of(request), visitor_of(request)
    try:
        which = UUID(typed)
    except ValueError:
        raise NoSuchRoom from None
    with serving.instance.database.begin(departement, read_only=True) as session:
        row = session.execute(
            select(
                membership.c.role,
                membership.c.desk,
                membership.c.site,
                membership.c.programme,
            ).where(membership.c.id == which)
        ).one_or_none()
    if row is None:
        raise NoSuchRoom
    asked = Invite(which, "", "", Role(row.role), row.desk, row.site, row.programme)
    if not may_invite(visitor.roles, asked):
        raise NoSuchRoom
    return which


def _people(request: Asked, departement: str) -> dict[str, Any]:
    serving, visitor = serving_of(request), visitor_of(request)
    with serving.instance.database.begin(departement, read_only=True) as session:
        everyone = listed_people(session)
        desks = [(row[0], f"{row[1]}, {row[2]}") for row in listed_desks(session)]
        sites = [(row[0], row[3]) for row in listed_sites(session)]
        mails = latest(session, [p.person for p in everyone if not p.has_signed_in])
    m, now = language_of(request), serving.instance.moment(departement)
    theirs = [
        p
        for p in everyone
        if may_invite(
            visitor.roles,
            Invite(
                p.membership.id,
                "",
                "",
                p.membership.role,
                p.membership.desk,
                p.membership.site,
                p.membership.programme,
            ),
        )
    ]
    roles = {role for held in visitor.roles for role in INVITES.get(held.role, ())}
    if visitor.desks and not visitor.may(Action.SEE_TRANCHES):
        desks = [d for d in desks if d[0] in visitor.desks]
    if visitor.sites and not visitor.may(Action.SEE_TRANCHES):
        sites = [s for s in sites if s[0] in visitor.sites]
    return {
        "people": theirs,
        "desks": desks,
        "sites": sites,
        "mails": {who: telling.told(mail, m, now) for who, mail in mails.items()},
        "roles": [role for role in Role if role in roles],
    }
