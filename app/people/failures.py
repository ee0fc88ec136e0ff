"""Guessing is slowed down by what is guessed at (a login, a second factor), never by address.

Five failures are free; then one minute, twice as long each time, an hour at most.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from math import ceil

from sqlalchemy import bindparam, delete, select, text
from sqlalchemy.orm import Session

from app.people.models import sign_in_failures
from ledger.columns import Bytes, Instant
from ledger.moments import Moment
from ledger.refusal import Refusal

FREE_FAILURES = 5
LONGEST_WAIT = timedelta(hours=1)


@dataclass(eq=False)
class SignInSlowed(Refusal):
    """Too many failures here: wait."""

    code = "sign_in_slowed"

    minutes: int


def wait(session: Session, about: str, *, now: Moment) -> SignInSlowed | None:
    """Return how long to wait before the next guess, if at all.

    Guesses sent at once are taken one after the other, until the caller commits.
    """
    row = session.execute(
        select(sign_in_failures.c.failures, sign_in_failures.c.last_at)
        .where(sign_in_failures.c.digest == _digest(about))
        .with_for_update()
    ).one_or_none()
    if row is None or row.failures < FREE_FAILURES:
        return None
    left = _until(row.failures, row.last_at) - now.at
    minutes = ceil(left / timedelta(minutes=1))
    return SignInSlowed(minutes) if left > timedelta() else None


def _until(failures: int, last_at: datetime) -> datetime:
    doubled = timedelta(minutes=2 ** min(failures - FREE_FAILURES, 10))
    return last_at + min(doubled, LONGEST_WAIT)


_COUNT = text(
    """
    INSERT INTO sign_in_failures (digest, failures, last_at) VALUES (:digest, 1, :at)
    ON CONFLICT (digest) DO UPDATE
    SET failures = sign_in_failures.failures + 1, last_at = excluded.last_at
    """
).bindparams(bindparam("digest", type_=Bytes), bindparam("at", type_=Instant()))


def count(session: Session, about: str, *, now: Moment) -> None:
    """Count one more failure; the caller commits it whatever the answer."""
    session.execute(_COUNT, {"digest": _digest(about), "at": now.at})


def forget(session: Session, about: str) -> None:
    """Forget the failures: whoever has just succeeded starts afresh."""
    session.execute(
        delete(sign_in_failures).where(sign_in_failures.c.digest == _digest(about))
    )


def _digest(about: str) -> bytes:
    return sha256(b"passnum failures" + about.encode()).digest()
