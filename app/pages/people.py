"""Who works here: invitations, new codes, and the end of a role."""

import asyncio
from typing import Any, NamedTuple
from uuid import UUID

from litestar import Controller, Response, get, post
from litestar.params import FromPath
from litestar.status_codes import HTTP_200_OK
from sqlalchemy.orm import Session

from app.errors import language_of
from app.mail import telling
from app.mail.invitations import last_whole_day, letterhead, mail_code
from app.mail.letters import code_letter
from app.mail.outbox import latest
from app.pages.frame import (
    HEADERS,
    Answer,
    Asked,
    act_id,
    acting,
    again,
    form_of,
    go,
    now_of,
    number_of,
    page,
    reading,
    serving_of,
    visitor_of,
)
from app.pages.visitors import NoSuchRoom, Visitor
from app.people.memberships import (
    Held,
    Invite,
    end_membership,
    has_password,
    held_role,
    invite,
    listed_people,
    may_invite,
    may_invite_again,
    new_invitation,
)
from app.people.roles import AT_A_DESK, AT_A_SITE, INVITES, Action, Role
from app.people.signing_in import LOGIN_MAX
from issuance.queries import desk_names
from ledger.attempts import Answer as Told
from ledger.moments import Moment
from redemption.sites import listed_sites

NAME_MAX = 200


class People(Controller):
    """Who works here: invitations and roles."""

    path = "/{departement:str}/personnes"
    include_in_schema = False

    @get("/", opt={"door": Action.SEE_PEOPLE}, sync_to_thread=True)
    def people(self, request: Asked) -> Response[str]:
        """List the people that this visitor may invite or dismiss."""
        return page(request, "people.html", typed={}, **_people(request))

    @post("/", opt={"door": Action.INVITE})
    async def invite(self, departement: FromPath[str], request: Asked) -> Answer:
        """Give a role and show the code of the invitation, once."""
        fields = await form_of(request)
        visitor, instance = visitor_of(request), serving_of(request).instance
        if errors := _missing(request, fields):
            return await _again(request, errors, fields)
        asked = Invite(
            act_id(fields),
            fields["login"].lower(),
            fields["name"],
            Role(fields["role"]),
            fields.get("desk") or None,
            number_of(fields.get("site", "")),
        )

        def invited(session: Session, now: Moment) -> tuple[Told, str | None, bool]:
            by = str(visitor.session.person)
            told = invite(session, asked, inviter=visitor.roles, by=by, now=now)
            if not told.accepted or told.replayed:
                return told, None, False
            who = UUID(told.facts["person"])
            if has_password(session, who) or not may_invite_again(
                session, visitor.roles, who
            ):
                return told, None, False
            code = new_invitation(session, who, by=by, now=now)
            return told, code, mail_code(session, instance, who, code, now=now)

        answer, code, mailed = await acting(request, invited)
        if not answer.accepted:
            said = language_of(request).refusal(answer.code, answer.facts)
            return await _again(request, {"role": said}, fields)
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
    async def invite_again(self, request: Asked) -> Answer:
        """Give a new code to someone who lost theirs, or their password."""
        fields = await form_of(request)
        visitor, instance = visitor_of(request), serving_of(request).instance

        def coded(session: Session, now: Moment) -> tuple[Coded, bool] | None:
            made = _new_code(session, visitor, fields, now)
            if made is None:
                return None
            return made, mail_code(session, instance, made.person, made.code, now=now)

        result = await acting(request, coded)
        if result is None:
            return await _not_theirs(request)
        made, mailed = result
        return page(request, "invited.html", **made._asdict(), mailed=mailed)

    @post("/lettre", opt={"door": Action.INVITE})
    async def letter(
        self, departement: FromPath[str], request: Asked
    ) -> Response[str] | Response[bytes]:
        """Give a letter to print, with a new code that is kept nowhere else."""
        fields = await form_of(request)
        visitor, instance = visitor_of(request), serving_of(request).instance

        def coded(session: Session, now: Moment) -> tuple[Coded | None, Moment]:
            return _new_code(session, visitor, fields, now), now

        made, now = await acting(request, coded)
        if made is None:
            return await _not_theirs(request)
        # Once the code is committed: nobody waits for a page to be set.
        pdf = await asyncio.to_thread(
            code_letter,
            letterhead(instance, departement),
            name=made.name,
            login=made.login,
            code=made.code,
            until=last_whole_day(now),
            now=now,
        )
        named = {"Content-Disposition": 'attachment; filename="lettre.pdf"'}
        return Response(
            pdf,
            status_code=HTTP_200_OK,
            media_type="application/pdf",
            headers=HEADERS | named,
        )

    @post("/fin", opt={"door": Action.INVITE})
    async def end(self, departement: FromPath[str], request: Asked) -> Answer:
        """End a role that this visitor could have given; one that has ended stays so."""
        fields = await form_of(request)
        visitor = visitor_of(request)

        def ended(session: Session, now: Moment) -> Told:
            which = _theirs(session, visitor, fields).membership.id
            by = str(visitor.session.person)
            return end_membership(session, which, act=act_id(fields), by=by, now=now)

        await acting(request, ended)
        return go(f"/{departement}/personnes", done="role_ended")


class Coded(NamedTuple):
    """A code that was just made, and for whom."""

    membership: UUID
    person: UUID
    name: str
    login: str
    code: str


def _new_code(
    session: Session, visitor: Visitor, fields: dict[str, str], now: Moment
) -> Coded | None:
    """Make a code for whoever holds a role, if all of their roles are this visitor's to give."""
    held = _theirs(session, visitor, fields)
    if held.ended_at is not None:
        raise NoSuchRoom
    if not may_invite_again(session, visitor.roles, held.person):
        return None
    by = str(visitor.session.person)
    code = new_invitation(session, held.person, by=by, now=now)
    return Coded(held.membership.id, held.person, held.name, held.login, code)


def _theirs(session: Session, visitor: Visitor, fields: dict[str, str]) -> Held:
    """Return the role that a form names, which this visitor could have given; else nothing is there."""
    try:
        held = held_role(session, UUID(fields.get("membership", "")))
    except ValueError:
        raise NoSuchRoom from None
    if held is None or not may_invite(visitor.roles, held.membership):
        raise NoSuchRoom
    return held


async def _not_theirs(request: Asked) -> Response[str]:
    said = language_of(request).refusal("not_yours_to_invite", {"role": ""})
    return await _again(request, {"people": said}, {})


async def _again(
    request: Asked, errors: dict[str, str], typed: dict[str, str]
) -> Response[str]:
    people = await asyncio.to_thread(_people, request)
    return again(request, "people.html", errors, typed=typed, **people)


def _missing(request: Asked, fields: dict[str, str]) -> dict[str, str]:
    m = language_of(request)
    labels = {
        "name": m.text("Nom et prénom"),
        "login": m.text("Adresse e-mail, ou un identifiant court"),
        "role": m.text("Rôle"),
        "desk": m.text("Guichet"),
        "site": m.text("Lieu"),
    }
    role = fields.get("role", "")
    needed = {"name", "login", "role"}
    needed |= {"desk"} if role in AT_A_DESK else {"site"} if role in AT_A_SITE else set()
    given = fields | {"role": role if role in set(Role) else ""}
    errors = {
        name: m.refusal("field_needed", {"field": label})
        for name, label in labels.items()
        if name in needed and not given.get(name)
    }
    for name, most in (("name", NAME_MAX), ("login", LOGIN_MAX)):
        if len(fields.get(name, "")) > most:
            errors[name] = m.refusal(
                "field_too_long", {"field": labels[name], "most": most}
            )
    return errors


def _people(request: Asked) -> dict[str, Any]:
    visitor = visitor_of(request)
    with reading(request) as session:
        everyone = listed_people(session)
        desks = [(row[0], f"{row[1]}, {row[2]}") for row in desk_names(session)]
        sites = [(row[0], row[3]) for row in listed_sites(session)]
        mails = latest(session, [p.person for p in everyone if not p.has_signed_in])
    m, now = language_of(request), now_of(request)
    roles = {role for held in visitor.roles for role in INVITES.get(held.role, ())}
    if visitor.desks and not visitor.may(Action.SEE_TRANCHES):
        desks = [d for d in desks if d[0] in visitor.desks]
    if visitor.sites and not visitor.may(Action.SEE_TRANCHES):
        sites = [s for s in sites if s[0] in visitor.sites]
    return {
        "people": [p for p in everyone if may_invite(visitor.roles, p.membership)],
        "desks": desks,
        "sites": sites,
        "mails": {who: telling.told(mail, m, now) for who, mail in mails.items()},
        "roles": [role for role in Role if role in roles],
    }
