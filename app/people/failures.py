"""Guessing is slowed down by what is guessed at (a login, a second factor), never by address.

Five failures are free; then one minute, twice as long each time, an hour at most.  A guess is
counted before it is verified, so that a crowd of them at once are no more guesses.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from math import ceil

from sqlalchemy import Integer, bindparam, delete, text, update
from sqlalchemy.orm import Session

from app.people.models import sign_in_failures
from ledger.columns import Bytes, Instant
from ledger.moments import Moment
from ledger.refusal import Refusal

FREE_FAILURES = 5
LONGEST_WAIT = timedelta(hours=1)
# Far more than the longest wait: whoever comes back every hour is not forgotten in between.
KEPT = timedelta(days=1)


@dataclass(eq=False)
class SignInSlowed(Refusal):
    """Too many failures here: wait."""

    code = "sign_in_slowed"

    minutes: int


# The row is made where there is none, and held until the caller commits either way.
_HELD = (
    text(
        """
        INSERT INTO sign_in_failures (digest, failures, last_at) VALUES (:digest, 0, :at)
        ON CONFLICT (digest) DO UPDATE SET failures = sign_in_failures.failures
        RETURNING failures, last_at
        """
    )
    .bindparams(bindparam("digest", type_=Bytes), bindparam("at", type_=Instant()))
    .columns(failures=Integer, last_at=Instant())
)


def guess(session: Session, about: str, *, now: Moment) -> SignInSlowed | None:
    """Count a guess as a failure until it is forgotten, or return how long to wait before the next.

    Guesses sent at once are taken one after the other.  The caller commits it whatever the answer.
    """
    digest = _digest(about)
    row = session.execute(_HELD, {"digest": digest, "at": now.at}).one()
    if row.failures >= FREE_FAILURES:
        left = _until(row.failures, row.last_at) - now.at
        if left > timedelta():
            return SignInSlowed(ceil(left / timedelta(minutes=1)))
    session.execute(
        update(sign_in_failures)
        .where(sign_in_failures.c.digest == digest)
        .values(failures=row.failures + 1, last_at=now.at)
    )
    return None


def _until(failures: int, last_at: datetime) -> datetime:
    doubled = timedelta(minutes=2 ** min(failures - FREE_FAILURES, 10))
    return last_at + min(doubled, LONGEST_WAIT)


def forget(session: Session, about: str) -> None:
    """Forget the failures: whoever has just succeeded starts afresh."""
    session.execute(
        delete(sign_in_failures).where(sign_in_failures.c.digest == _digest(about))
    )


def forget_old(session: Session, now: Moment) -> int:
    """Forget what nobody has guessed at for a day; returns how many."""
    gone = session.scalars(
        delete(sign_in_failures)
        .where(sign_in_failures.c.last_at < now.at - KEPT)
        .returning(sign_in_failures.c.digest)
    ).all()
    return len(gone)


def _digest(about: str) -> bytes:
    return sha256(b"passnum failures" + about.encode()).digest()
