"""Sessions: a random token in a cookie, its digest here; listed, revocable, never longer than a day's work."""

import secrets
from datetime import datetime, timedelta
from hashlib import sha256
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import delete, insert, select, update
from sqlalchemy.orm import Session

from app.people.models import web_session
from ledger.moments import Moment

IDLE = timedelta(hours=2)
LONGEST = timedelta(hours=12)
KEPT = timedelta(days=90)
SEEN_EVERY = timedelta(minutes=1)


class WebSession(NamedTuple):
    """A session that is open."""

    digest: bytes
    person: UUID
    opened_at: datetime
    seen_at: datetime
    second_factor: str | None
    factor_due: bool
    device: str


_COLUMNS = (
    web_session.c.digest,
    web_session.c.person,
    web_session.c.opened_at,
    web_session.c.seen_at,
    web_session.c.second_factor,
    web_session.c.factor_due,
    web_session.c.device,
)


def digest_of(token: str) -> bytes:
    """Return what is stored of a token."""
    return sha256(token.encode()).digest()


def open_session(
    session: Session,
    who: UUID,
    *,
    factor_due: bool,
    device: str,
    now: Moment,
    factor: str | None = None,
) -> str:
    """Open a session and return its token, which is never stored.  Old closed ones are forgotten.

    `factor` is how the second proof was given, where signing in gave it too.
    """
    token = secrets.token_urlsafe(32)
    session.execute(
        delete(web_session).where(
            web_session.c.person == who, web_session.c.ends_at < now.at - KEPT
        )
    )
    session.execute(
        insert(web_session).values(
            digest=digest_of(token),
            person=who,
            opened_at=now.at,
            seen_at=now.at,
            ends_at=now.at + LONGEST,
            second_factor=factor,
            factor_due=factor_due,
            device=device[:120],
        )
    )
    return token


def recall(session: Session, token: str, *, now: Moment) -> WebSession | None:
    """Return the session of a token, if it is open and was used in the last two hours."""
    row = session.execute(
        select(*_COLUMNS).where(
            web_session.c.digest == digest_of(token),
            web_session.c.closed_at.is_(None),
            web_session.c.ends_at > now.at,
            web_session.c.seen_at > now.at - IDLE,
        )
    ).one_or_none()
    return None if row is None else WebSession._make(row)


def touch(session: Session, open_one: WebSession, *, now: Moment) -> None:
    """Say that a session is in use."""
    session.execute(
        update(web_session)
        .where(web_session.c.digest == open_one.digest)
        .values(seen_at=now.at)
    )


def renew(session: Session, open_one: WebSession) -> str:
    """Return a new token for a session: whoever had copied the old one is shut out."""
    token = secrets.token_urlsafe(32)
    session.execute(
        update(web_session)
        .where(web_session.c.digest == open_one.digest)
        .values(digest=digest_of(token))
    )
    return token


def confirm(session: Session, open_one: WebSession, *, factor: str) -> str:
    """Record the second factor, and return a new token: the old one opens nothing any more."""
    token = secrets.token_urlsafe(32)
    session.execute(
        update(web_session)
        .where(web_session.c.digest == open_one.digest)
        .values(digest=digest_of(token), second_factor=factor, factor_due=False)
    )
    return token


def close(session: Session, who: UUID, digest: bytes, *, now: Moment) -> None:
    """Close one of someone's sessions; nothing happens if it is not theirs."""
    session.execute(
        update(web_session)
        .where(
            web_session.c.digest == digest,
            web_session.c.person == who,
            web_session.c.closed_at.is_(None),
        )
        .values(closed_at=now.at)
    )


def close_others(
    session: Session, who: UUID, *, now: Moment, but: bytes | None = None
) -> None:
    """Close all of someone's sessions but one: a changed password shuts out whoever had the old one."""
    session.execute(
        update(web_session)
        .where(
            web_session.c.person == who,
            web_session.c.digest != (but or b""),
            web_session.c.closed_at.is_(None),
        )
        .values(closed_at=now.at)
    )


def open_sessions(session: Session, who: UUID, *, now: Moment) -> list[WebSession]:
    """Return someone's open sessions, the latest first."""
    rows = session.execute(
        select(*_COLUMNS)
        .where(
            web_session.c.person == who,
            web_session.c.closed_at.is_(None),
            web_session.c.ends_at > now.at,
            web_session.c.seen_at > now.at - IDLE,
        )
        .order_by(web_session.c.opened_at.desc())
    ).all()
    return [WebSession._make(row) for row in rows]
