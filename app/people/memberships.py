"""Giving someone a role, and ending it: each is an act with an entry, and names nobody in it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

import msgspec
from sqlalchemy import delete, insert, select, update
from sqlalchemy.orm import Session

from app.people import sessions, short_codes
from app.people.models import (
    identity,
    invitation,
    membership,
    passkey,
    password,
    person,
    recovery_code,
    totp,
)
from app.people.roles import AT_A_DESK, AT_A_SITE, INVITES, Role
from funding.models import programme
from funding.operations import NotFound, exist
from issuance.models import desk
from ledger import gates
from ledger.attempts import ACT_REUSED, Act, Answer, perform
from ledger.identifiers import new_id
from ledger.journal import must_record
from ledger.moments import Moment
from ledger.refusal import Refusal
from redemption.models import site

INVITATION_DAYS = 14


@dataclass(eq=False)
class NotYoursToInvite(Refusal):
    """The inviter's own role does not let them give this one, here."""

    code = "not_yours_to_invite"

    role: str


@dataclass(eq=False)
class RoleForOneself(Refusal):
    """Nobody gives themselves a role, not even one that is theirs to give: it takes two."""

    code = "role_for_oneself"


@dataclass(eq=False)
class RoleNeedsAPlace(Refusal):
    """An agent works at a desk, a mediator at a site, the others at neither."""

    code = "role_needs_a_place"

    role: str


@dataclass(eq=False)
class RoleHeldAlready(Refusal):
    """The person has this role here already."""

    code = "role_held_already"

    role: str


@dataclass(eq=False)
class MembershipUnknown(Refusal):
    """No such role is held, or it has ended."""

    code = "membership_unknown"


class Membership(NamedTuple):
    """A role that someone holds, and where; `id` is that of the act that gave it."""

    id: UUID
    role: Role
    desk: str | None
    site: int | None
    programme: str | None


class Invite(msgspec.Struct, frozen=True):
    """A role for a person, known by what they sign in with: an e-mail address or a short name."""

    id: UUID
    login: str
    name: str
    role: Role
    desk: str | None = None
    site: int | None = None
    programme: str | None = None


class Listed(NamedTuple):
    """A person and a role, as a list shows them."""

    membership: Membership
    person: UUID
    login: str
    name: str
    since: datetime
    has_signed_in: bool


class Held(NamedTuple):
    """A role that someone holds or held, and who they are."""

    membership: Membership
    person: UUID
    name: str
    login: str
    ended_at: datetime | None


def may_invite(inviter: Sequence[Membership], wanted: Invite | Membership) -> bool:
    """Tell whether one of the inviter's roles lets them give this one, at this place."""
    return any(
        wanted.role in INVITES.get(held.role, ())
        and held.desk in (None, wanted.desk)
        and held.site in (None, wanted.site)
        and held.programme in (None, wanted.programme)
        for held in inviter
    )


def invite(
    session: Session,
    request: Invite,
    *,
    inviter: Sequence[Membership] | None,
    by: str,
    now: Moment,
) -> Answer:
    """Give a role; makes the person when nobody signs in by this login yet.  Idempotent by id.

    `inviter` is None for whoever runs the instance, and `by` is a person's id otherwise.  Refused
    with `not_yours_to_invite`, `role_for_oneself`, `role_needs_a_place`, `role_held_already`, or
    an unknown desk, site or programme.
    The journal keeps pseudonymous ids, never the login nor the name.  A first role of the
    département's own, given to an account made by a desk or a site, takes its keys away: the
    person chooses a password again.
    """
    act = Act(request.id, "invite", by, now)

    def done() -> None:
        gates.alone(session)
        if inviter is not None and not may_invite(inviter, request):
            raise NotYoursToInvite(request.role)
        if (request.desk is not None) != (request.role in AT_A_DESK) or (
            request.site is not None
        ) != (request.role in AT_A_SITE):
            raise RoleNeedsAPlace(request.role)
        if request.desk is not None:
            exist(session, desk.c.code, request.desk)
        if request.programme is not None:
            exist(session, programme.c.code, request.programme)
        here = select(site.c.number).where(site.c.number == request.site)
        if request.site is not None and session.scalar(here) is None:
            raise NotFound("site", str(request.site))
        who = _person(session, request, now)
        if inviter is not None and str(who) == by:
            raise RoleForOneself
        # A code in other hands must not open what its giver could not have given.
        _void_codes(session, who, now)
        if any(_same(held, request) for held in memberships(session, who)):
            raise RoleHeldAlready(request.role)
        if request.role not in AT_A_DESK | AT_A_SITE and not _is_trusted(session, who):
            _start_afresh(session, who, now)
        facts = {
            "desk": request.desk,
            "person": str(who),
            "programme": request.programme,
            "role": request.role.value,
            "site": request.site,
        }
        must_record(session, [act.entry("role_given", facts)])
        session.execute(
            insert(membership).values(
                id=act.id,
                person=who,
                role=request.role,
                desk=request.desk,
                site=request.site,
                programme=request.programme,
                made_at=now.at,
            )
        )

    # The attempt is kept for ever: what it hashes must not let a name be guessed back.
    asked = msgspec.structs.replace(request, login="", name="")
    answer = perform(session, act, asked, done)
    if answer.replayed and answer.accepted and not _is_about(session, answer, request):
        return Answer(act.id, ACT_REUSED, {})
    return answer


def _is_trusted(session: Session, who: UUID) -> bool:
    """Tell whether the département itself has ever given this person a role of its own."""
    own = select(membership.c.id).where(
        membership.c.person == who, membership.c.role.not_in(AT_A_DESK | AT_A_SITE)
    )
    return session.scalar(own.limit(1)) is not None


def _start_afresh(session: Session, who: UUID, now: Moment) -> None:
    """Take every key away from an account that a desk or a site has made.

    Whoever invited it may have used the code themselves: before it opens the département's
    doors, its person chooses a password again, with a code that the département gives.
    """
    for kept in (password, totp, recovery_code, passkey, identity):
        session.execute(delete(kept).where(kept.c.person == who))
    sessions.close_others(session, who, now=now)


def _is_about(session: Session, answer: Answer, request: Invite) -> bool:
    login = select(person.c.login).where(person.c.id == UUID(answer.facts["person"]))
    return session.scalar(login) == _login(request)


def _login(request: Invite) -> str:
    return request.login.strip().lower()


def _same(held: Membership, request: Invite) -> bool:
    wanted = (request.role, request.desk, request.site, request.programme)
    return (held.role, held.desk, held.site, held.programme) == wanted


def _person(session: Session, request: Invite, now: Moment) -> UUID:
    login = _login(request)
    known: UUID | None = session.scalar(select(person.c.id).where(person.c.login == login))
    if known is not None:
        return known
    identifier = new_id()
    session.execute(
        insert(person).values(
            id=identifier,
            login=login,
            name=request.name.strip(),
            email=login if "@" in login else None,
            made_at=now.at,
        )
    )
    return identifier


def may_invite_again(session: Session, inviter: Sequence[Membership], who: UUID) -> bool:
    """Tell whether an inviter may give someone a code: only if every role they hold is theirs to give.

    Whoever has the code can choose the password, and would act with all of these roles.
    """
    return all(may_invite(inviter, held) for held in memberships(session, who))


def has_password(session: Session, who: UUID) -> bool:
    """Tell whether someone has chosen a password."""
    known = select(password.c.person).where(password.c.person == who)
    return session.scalar(known) is not None


def new_invitation(session: Session, who: UUID, *, by: str, now: Moment) -> str:
    """Return a code, good once and for fourteen days, that lets its person choose a password.

    The codes before it open nothing any more.  Who gave it to whom is an entry, without the code.
    """
    act = Act(new_id(), "give_code", by, now)
    about = {"person": str(who)}

    def noted() -> None:
        must_record(session, [act.entry("code_given", about)])

    perform(session, act, about, noted)
    _void_codes(session, who, now)
    code = short_codes.draw()
    session.execute(
        insert(invitation).values(
            digest=short_codes.digest(code),
            person=who,
            made_at=now.at,
            ends_at=now.at + timedelta(days=INVITATION_DAYS),
        )
    )
    return short_codes.grouped(code)


def _void_codes(session: Session, who: UUID, now: Moment) -> None:
    session.execute(
        update(invitation)
        .where(invitation.c.person == who, invitation.c.used_at.is_(None))
        .values(used_at=now.at)
    )


def end_membership(
    session: Session, which: UUID, *, act: UUID, by: str, now: Moment
) -> Answer:
    """End a role; sessions under way lose it at their next request.  Refused with `membership_unknown`."""

    def done() -> None:
        gates.alone(session)
        open_one = membership.c.id == which, membership.c.ended_at.is_(None)
        if session.scalar(select(membership.c.id).where(*open_one)) is None:
            raise MembershipUnknown
        must_record(
            session,
            [Act(act, "end_role", by, now).entry("role_ended", {"role": str(which)})],
        )
        session.execute(update(membership).where(*open_one).values(ended_at=now.at))

    return perform(session, Act(act, "end_role", by, now), str(which), done)


_COLUMNS = (
    membership.c.id,
    membership.c.role,
    membership.c.desk,
    membership.c.site,
    membership.c.programme,
)


def _membership(
    identifier: UUID, role: str, desk: str | None, site: int | None, programme: str | None
) -> Membership:
    return Membership(identifier, Role(role), desk, site, programme)


def memberships(session: Session, who: UUID) -> list[Membership]:
    """Return the roles that someone holds now."""
    rows = session.execute(
        select(*_COLUMNS)
        .where(membership.c.person == who, membership.c.ended_at.is_(None))
        .order_by(membership.c.made_at, membership.c.id)
    )
    return [_membership(*row) for row in rows]


def held_role(session: Session, which: UUID) -> Held | None:
    """Return a role that was given, ended or not, with whose it is."""
    row = session.execute(
        select(*_COLUMNS, person.c.id, person.c.name, person.c.login, membership.c.ended_at)
        .join(person, person.c.id == membership.c.person)
        .where(membership.c.id == which)
    ).one_or_none()
    return None if row is None else Held(_membership(*row[:5]), *row[5:])


def name_and_login(session: Session, who: UUID) -> tuple[str, str]:
    """Return what someone is called, and what they sign in with."""
    row = session.execute(select(person.c.name, person.c.login).where(person.c.id == who))
    return tuple(row.one())


def listed_people(session: Session) -> list[Listed]:
    """Return everyone who holds a role, one line a role, by name."""
    rows = session.execute(
        select(
            *_COLUMNS,
            person.c.id.label("person"),
            person.c.login,
            person.c.name,
            membership.c.made_at,
            password.c.person.is_not(None).label("has_signed_in"),
        )
        .join(person, person.c.id == membership.c.person)
        .outerjoin(password, password.c.person == person.c.id)
        .where(membership.c.ended_at.is_(None))
        .order_by(person.c.name, person.c.id, membership.c.made_at)
    ).all()
    return [
        Listed(
            _membership(*row[:5]),
            row.person,
            row.login,
            row.name,
            row.made_at,
            bool(row.has_signed_in),
        )
        for row in rows
    ]
