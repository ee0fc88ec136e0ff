"""The second proof: a code from a telephone (TOTP, RFC 6238), or one of ten printed recovery codes.

A passkey is another one: see `app.people.passkeys`.

Refusals are returned, not raised: the failure that is counted must be committed.
"""

import hmac
from dataclasses import dataclass
from typing import NamedTuple
from uuid import UUID

import pyotp
from sqlalchemy import delete, insert, select, update
from sqlalchemy.orm import Session

from app.people import failures, sessions, short_codes
from app.people.models import passkey, recovery_code, totp
from app.people.sessions import WebSession
from ledger.moments import Moment
from ledger.refusal import Refusal
from ledger.sealing import Sealer

STEP_SECONDS = 30
RECOVERY_CODES = 10


@dataclass(eq=False)
class WrongCode(Refusal):
    """The six digits are not those of this moment, or were used already."""

    code = "wrong_second_factor"


class Confirmed(NamedTuple):
    """The session's new token, and the recovery codes to show once."""

    token: str
    codes: list[str]


def has_totp(session: Session, who: UUID) -> bool:
    """Tell whether someone confirmed a telephone."""
    confirmed = select(totp.c.person).where(
        totp.c.person == who, totp.c.confirmed_at.is_not(None)
    )
    return session.scalar(confirmed) is not None


def has_passkey(session: Session, who: UUID) -> bool:
    """Tell whether someone added a passkey."""
    added = select(passkey.c.id).where(passkey.c.person == who).limit(1)
    return session.scalar(added) is not None


def is_set_up(session: Session, who: UUID) -> bool:
    """Tell whether someone has a second proof to give: then it is asked at each sign-in."""
    return has_totp(session, who) or has_passkey(session, who)


def guessed(who: UUID) -> str:
    """Return what failures of a second proof are counted about."""
    return f"second factor of {who}"


def prove(
    session: Session, open_one: WebSession, typed: str, *, sealer: Sealer, now: Moment
) -> str | Refusal:
    """Take six digits or a recovery code as the second proof, and return the session's new token.

    Each is good once.  Returns `WrongCode`, or `SignInSlowed` after five failures.
    """
    who = open_one.person
    about = guessed(who)
    if (slowed := failures.guess(session, about, now=now)) is not None:
        return slowed
    if check_totp(session, who, typed, sealer=sealer, now=now):
        factor = "totp"
    elif use_recovery_code(session, who, typed, now=now):
        factor = "recovery"
    else:
        return WrongCode()
    failures.forget(session, about)
    return sessions.confirm(session, open_one, factor=factor)


def begin_totp(session: Session, who: UUID, *, sealer: Sealer) -> str:
    """Return a new secret, sealed here until its first code confirms it; replaces one not confirmed."""
    secret = pyotp.random_base32()
    session.execute(delete(totp).where(totp.c.person == who, totp.c.confirmed_at.is_(None)))
    session.execute(
        insert(totp).values(
            person=who, sealed=sealer.seal(secret.encode(), f"totp/{who}"), last_step=0
        )
    )
    return secret


def waiting_secret(session: Session, who: UUID, *, sealer: Sealer) -> str | None:
    """Return the secret that waits for its first code."""
    sealed = session.scalar(
        select(totp.c.sealed).where(totp.c.person == who, totp.c.confirmed_at.is_(None))
    )
    return None if sealed is None else sealer.open(sealed, f"totp/{who}").decode()


def address(secret: str, *, login: str, issuer: str) -> str:
    """Return what the QR code of a secret holds (otpauth://)."""
    return pyotp.TOTP(secret).provisioning_uri(name=login, issuer_name=issuer)


def confirm_totp(
    session: Session, open_one: WebSession, typed: str, *, sealer: Sealer, now: Moment
) -> Confirmed | WrongCode:
    """Take a telephone's first code as the second proof; the person's other sessions are closed.

    Returns `WrongCode`, and always where a telephone is in use: its codes are not guessed here.
    """
    who = open_one.person
    if has_totp(session, who) or not check_totp(
        session, who, typed, sealer=sealer, now=now
    ):
        return WrongCode()
    codes = new_recovery_codes(session, who)
    # Whoever had only the password is shut out.
    sessions.close_others(session, who, but=open_one.digest, now=now)
    return Confirmed(sessions.confirm(session, open_one, factor="totp"), codes)


def check_totp(
    session: Session, who: UUID, typed: str, *, sealer: Sealer, now: Moment
) -> bool:
    """Tell whether a code is right, and use it up: the same one is refused afterwards.

    The clock of a telephone may be half a minute off.  The first right code confirms the secret.
    """
    row = session.execute(
        select(totp.c.sealed, totp.c.last_step, totp.c.confirmed_at)
        .where(totp.c.person == who)
        .with_for_update()
    ).one_or_none()
    if row is None:
        return False
    generator = pyotp.TOTP(sealer.open(row.sealed, f"totp/{who}").decode())
    digits = "".join(c for c in typed if c.isascii() and c.isdigit())
    current = int(now.at.timestamp()) // STEP_SECONDS
    for step in (current - 1, current, current + 1):
        right = hmac.compare_digest(generator.at(step * STEP_SECONDS), digits)
        if right and step > row.last_step:
            session.execute(
                update(totp)
                .where(totp.c.person == who)
                .values(last_step=step, confirmed_at=row.confirmed_at or now.at)
            )
            return True
    return False


def new_recovery_codes(session: Session, who: UUID) -> list[str]:
    """Return ten codes to print, each good once; the ones before them open nothing any more."""
    session.execute(delete(recovery_code).where(recovery_code.c.person == who))
    codes = [short_codes.draw() for _ in range(RECOVERY_CODES)]
    session.execute(
        insert(recovery_code),
        [{"person": who, "digest": short_codes.digest(code)} for code in codes],
    )
    return [short_codes.grouped(code) for code in codes]


def use_recovery_code(session: Session, who: UUID, typed: str, *, now: Moment) -> bool:
    """Tell whether this is one of someone's codes that are left, and use it up."""
    used = session.scalars(
        update(recovery_code)
        .where(
            recovery_code.c.person == who,
            recovery_code.c.digest == short_codes.digest(typed),
            recovery_code.c.used_at.is_(None),
        )
        .values(used_at=now.at)
        .returning(recovery_code.c.digest)
    ).all()
    return len(used) == 1


def recovery_codes_left(session: Session, who: UUID) -> int:
    """Return how many recovery codes can still be used."""
    left = select(recovery_code.c.digest).where(
        recovery_code.c.person == who, recovery_code.c.used_at.is_(None)
    )
    return len(session.scalars(left).all())
