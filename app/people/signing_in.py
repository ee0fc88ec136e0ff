"""Signing in: a password first, kept as Argon2id; guessing is slowed down by what was typed, not by address.

A password takes long to verify and to hash, on purpose: both are in no transaction, for the counter
would wait for them where one writer is all there is.  So signing in is three steps: the `guess` is
counted and committed, `verify` works alone, and what the password lets its owner do looks whether it
still is theirs.  Who takes an invitation up is `invited`, `choose` works alone, and the code is looked
at again.  A refusal is returned, not raised: what was counted must be committed.
"""

from dataclasses import dataclass
from typing import NamedTuple, NewType
from uuid import UUID

from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher
from sqlalchemy import ColumnElement, and_, insert, select, update
from sqlalchemy.orm import Session

from app.people import failures, sessions, short_codes
from app.people.failures import SignInSlowed
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


# The Argon2id hash of a password: nothing that keeps a password is given anything else.
Hashed = NewType("Hashed", str)


class SignedIn(NamedTuple):
    """The token of the session that was opened, and whether a second proof is due."""

    token: str
    factor_due: bool


class Guess(NamedTuple):
    """What a typed password is compared with; a failure until it turns out right."""

    login: str
    person: UUID | None
    hash: str


class Proved(NamedTuple):
    """Someone who typed their password, and the hash it was found right by."""

    login: str
    person: UUID
    hash: str
    better: str | None


def guess(session: Session, login: str, *, now: Moment) -> Guess | SignInSlowed:
    """Count a guess at the password of a login, and return what to verify it with.

    The caller commits, then verifies.  Returns `SignInSlowed` after five failures.
    """
    login = login.strip().lower()[:LOGIN_MAX]
    if (slowed := failures.guess(session, _about(login), now=now)) is not None:
        return slowed
    row = session.execute(
        select(person.c.id, password.c.hash)
        .join(password, password.c.person == person.c.id)
        .where(person.c.login == login)
    ).one_or_none()
    return Guess(login, None, _NOBODY) if row is None else Guess(login, row.id, row.hash)


def verify(guessed: Guess, typed: str) -> Proved | SignInRefused:
    """Tell whether a password is right: a tenth of a second, in no transaction, whoever it is."""
    right, better = _hasher.verify_and_update(typed[:PASSWORD_MAX], guessed.hash)
    if guessed.person is None or not right:
        return SignInRefused()
    return Proved(guessed.login, guessed.person, guessed.hash, better)


def may_change(session: Session, proved: Proved) -> SignInRefused | None:
    """Let someone who typed their password act, and forget their failures.

    Returns `SignInRefused` where the password was changed or taken away meanwhile.
    """
    still = (
        select(password.c.person)
        .where(password.c.person == proved.person, password.c.hash == proved.hash)
        .with_for_update()
    )
    if session.scalar(still) is None:
        return SignInRefused()
    failures.forget(session, _about(proved.login))
    return None


def sign_in(
    session: Session, proved: Proved, *, device: str, now: Moment
) -> SignedIn | SignInRefused:
    """Open a session for whoever typed their password; the sign-in is an entry.

    Returns `SignInRefused` where the password is no longer theirs.
    """
    who = proved.person
    if (no := may_change(session, proved)) is not None:
        return no
    if proved.better is not None:
        session.execute(
            update(password).where(password.c.person == who).values(hash=proved.better)
        )
    factor_due = is_set_up(session, who)
    token = sessions.open_session(
        session, who, factor_due=factor_due, device=device, now=now
    )
    note(session, "signed_in", who, now)
    return SignedIn(token, factor_due)


def _about(login: str) -> str:
    return f"password of {login}"


def choose(login: str, typed: str) -> Hashed | PasswordTooShort:
    """Hash the password that somebody chose: a tenth of a second, in no transaction."""
    if len(typed) < PASSWORD_MIN or typed.strip().lower() == login:
        return PasswordTooShort()
    return hashed(typed)


def hashed(chosen: str) -> Hashed:
    """Return the Argon2id hash of a password, which takes long to make."""
    return Hashed(_hasher.hash(chosen[:PASSWORD_MAX]))


def invited(session: Session, code: str, *, now: Moment) -> str | InvitationRefused:
    """Return the login of whoever an invitation's code is for; nothing is used up."""
    login = session.scalar(
        select(person.c.login)
        .join(invitation, invitation.c.person == person.c.id)
        .where(_good(code, now))
    )
    return InvitationRefused() if login is None else login


def _good(code: str, now: Moment) -> ColumnElement[bool]:
    return and_(
        invitation.c.digest == short_codes.digest(code),
        invitation.c.used_at.is_(None),
        invitation.c.ends_at > now.at,
    )


def accept_invitation(
    session: Session, code: str, chosen: Hashed, *, device: str, now: Moment
) -> SignedIn | InvitationRefused:
    """Take the password chosen with an invitation's code, which is used up, and open a session.

    Returns `InvitationRefused`, also where the code was used since it was looked at.  Sessions
    opened with an older password end.
    """
    who = session.scalars(
        update(invitation)
        .where(_good(code, now))
        .values(used_at=now.at)
        .returning(invitation.c.person)
    ).one_or_none()
    if who is None:
        return InvitationRefused()
    set_password(session, who, chosen, now=now)
    sessions.close_others(session, who, now=now)
    factor_due = is_set_up(session, who)
    token = sessions.open_session(
        session, who, factor_due=factor_due, device=device, now=now
    )
    note(session, "invitation_accepted", who, now)
    return SignedIn(token, factor_due)


def change_password(
    session: Session, proved: Proved, chosen: Hashed, *, keep: bytes, now: Moment
) -> SignInRefused | None:
    """Replace a password by whoever typed it; every session but `keep` is closed.

    Returns `SignInRefused` where it is no longer theirs.
    """
    who = proved.person
    if (no := may_change(session, proved)) is not None:
        return no
    set_password(session, who, chosen, now=now)
    sessions.close_others(session, who, but=keep, now=now)
    note(session, "password_changed", who, now)
    return None


def set_password(session: Session, who: UUID, chosen: Hashed, *, now: Moment) -> None:
    """Keep what was made of a password: the person's older one opens nothing any more."""
    values = {"hash": chosen, "changed_at": now.at}
    changed = session.scalars(
        update(password)
        .where(password.c.person == who)
        .values(**values)
        .returning(password.c.person)
    ).all()
    if not changed:
        session.execute(insert(password).values(person=who, **values))


def note_export(session: Session, who: UUID, what: str, now: Moment) -> None:
    """Leave an entry that someone took a copy of figures away; `what` is a code, never free text."""
    note(session, "exported", who, now, what=what)


def note(session: Session, kind: str, who: UUID, now: Moment, **facts: str) -> None:
    """Leave an entry about a person's own account; `facts` are codes, never a name nor free text."""
    act = Act(new_id(), kind, str(who), now)

    def done() -> None:
        must_record(session, [act.entry(kind, {"person": str(who), **facts})])

    perform(session, act, facts, done)
