"""Signing in: a password first, kept as Argon2id; guessing is slowed down by what was typed, not by address.

A refusal is returned, not raised: the failure that it counts must be committed.
"""

from dataclasses import dataclass
from typing import NamedTuple
from uuid import UUID

from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher
from sqlalchemy import insert, select, update
from sqlalchemy.orm import Session

from app.people import failures, sessions, short_codes
from app.people.models import invitation, password, person
from app.people.second_factor import is_set_up
from ledger.attempts import Act, perform
from ledger.identifiers import new_id
from ledger.journal import must_record
from ledger.moments import Moment
from ledger.refusal import Refusal

PASSWORD_MIN, PASSWORD_MAX = 12, 200
LOGIN_MAX = 320

_hasher = PasswordHash((Argon2Hasher(),))
# Compared when nobody signs in by what was typed, so that the time taken tells nothing.
_NOBODY = _hasher.hash("nobody has this password")


@dataclass(eq=False)
class SignInRefused(Refusal):
    """The login or the password is wrong; which one is not told."""

    code = "sign_in_refused"


@dataclass(eq=False)
class InvitationRefused(Refusal):
    """The code was used, is too old, or never was."""

    code = "invitation_refused"


@dataclass(eq=False)
class PasswordTooShort(Refusal):
    """Fewer than twelve characters, or the login itself."""

    code = "password_too_short"

    least: int = PASSWORD_MIN


class SignedIn(NamedTuple):
    """The token of the session that was opened, and whether a second proof is due."""

    token: str
    factor_due: bool


def sign_in(
    session: Session, login: str, typed: str, *, device: str, now: Moment
) -> SignedIn | Refusal:
    """Open a session for whoever knows the password; the sign-in is an entry.

    Returns `SignInRefused`, or `SignInSlowed` after five failures.
    """
    login = login.strip().lower()[:LOGIN_MAX]
    guessed = f"password of {login}"
    if (slowed := failures.wait(session, guessed, now=now)) is not None:
        return slowed
    row = session.execute(
        select(person.c.id, password.c.hash)
        .join(password, password.c.person == person.c.id)
        .where(person.c.login == login)
    ).one_or_none()
    right, better = _hasher.verify_and_update(
        typed[:PASSWORD_MAX], row.hash if row is not None else _NOBODY
    )
    if row is None or not right:
        failures.count(session, guessed, now=now)
        return SignInRefused()
    if better is not None:
        session.execute(
            update(password).where(password.c.person == row.id).values(hash=better)
        )
    failures.forget(session, guessed)
    factor_due = is_set_up(session, row.id)
    token = sessions.open_session(
        session, row.id, factor_due=factor_due, device=device, now=now
    )
    note(session, "signed_in", row.id, now)
    return SignedIn(token, factor_due)


def accept_invitation(
    session: Session, code: str, chosen: str, *, device: str, now: Moment
) -> SignedIn | Refusal:
    """Choose a password with an invitation's code, which is used up, and open a session.

    Returns `InvitationRefused` or `PasswordTooShort`.  Sessions opened with an older password end.
    """
    digest = short_codes.digest(code)
    row = session.execute(
        select(invitation.c.person, person.c.login)
        .join(person, person.c.id == invitation.c.person)
        .where(
            invitation.c.digest == digest,
            invitation.c.used_at.is_(None),
            invitation.c.ends_at > now.at,
        )
        .with_for_update(of=invitation)
    ).one_or_none()
    if row is None:
        return InvitationRefused()
    if (no := _unfit(chosen, row.login)) is not None:
        return no
    session.execute(
        update(invitation).where(invitation.c.digest == digest).values(used_at=now.at)
    )
    set_password(session, row.person, chosen, now=now)
    sessions.close_others(session, row.person, now=now)
    factor_due = is_set_up(session, row.person)
    token = sessions.open_session(
        session, row.person, factor_due=factor_due, device=device, now=now
    )
    note(session, "invitation_accepted", row.person, now)
    return SignedIn(token, factor_due)


def may_change(session: Session, who: UUID, typed: str, *, now: Moment) -> Refusal | None:
    """Tell whether someone may change how they sign in: they must know their password.

    Returns `SignInRefused`, or `SignInSlowed`: guessing it is slowed as at the door.
    """
    row = session.execute(
        select(person.c.login, password.c.hash)
        .join(password, password.c.person == person.c.id)
        .where(person.c.id == who)
    ).one_or_none()
    if row is None:
        return SignInRefused()
    guessed = f"password of {row.login}"
    if (slowed := failures.wait(session, guessed, now=now)) is not None:
        return slowed
    if not _hasher.verify(typed[:PASSWORD_MAX], row.hash):
        failures.count(session, guessed, now=now)
        return SignInRefused()
    failures.forget(session, guessed)
    return None


def change_password(
    session: Session, who: UUID, old: str, chosen: str, *, keep: bytes, now: Moment
) -> Refusal | None:
    """Replace a password by whoever knows it; every session but `keep` is closed."""
    if (no := may_change(session, who, old, now=now)) is not None:
        return no
    login = session.scalars(select(person.c.login).where(person.c.id == who)).one()
    if (no := _unfit(chosen, login)) is not None:
        return no
    set_password(session, who, chosen, now=now)
    sessions.close_others(session, who, but=keep, now=now)
    note(session, "password_changed", who, now)
    return None


def set_password(session: Session, who: UUID, chosen: str, *, now: Moment) -> None:
    """Keep the Argon2id hash of a password."""
    hashed = _hasher.hash(chosen[:PASSWORD_MAX])
    values = {"hash": hashed, "changed_at": now.at}
    changed = session.scalars(
        update(password)
        .where(password.c.person == who)
        .values(**values)
        .returning(password.c.person)
    ).all()
    if not changed:
        session.execute(insert(password).values(person=who, **values))


def _unfit(chosen: str, login: str) -> PasswordTooShort | None:
    unfit = len(chosen) < PASSWORD_MIN or chosen.strip().lower() == login
    return PasswordTooShort() if unfit else None


def note_export(session: Session, who: UUID, what: str, now: Moment) -> None:
    """Leave an entry that someone took a copy of figures away; `what` is a code, never free text."""
    note(session, "exported", who, now, what=what)


def note(session: Session, kind: str, who: UUID, now: Moment, **facts: str) -> None:
    """Leave an entry about a person's own account; `facts` are codes, never a name nor free text."""
    act = Act(new_id(), kind, str(who), now)

    def done() -> None:
        must_record(session, [act.entry(kind, {"person": str(who), **facts})])

    perform(session, act, facts, done)
