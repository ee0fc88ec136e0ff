"""What a session is asked to sign with a passkey: random, for one purpose, answered once within five minutes."""

import secrets
from datetime import timedelta
from typing import Literal

from sqlalchemy import delete, insert
from sqlalchemy.orm import Session

from app.people.models import passkey_challenge
from app.people.sessions import WebSession
from ledger.moments import Moment

LASTS = timedelta(minutes=5)
Purpose = Literal["add", "prove"]


def new_challenge(
    session: Session, open_one: WebSession, purpose: Purpose, now: Moment
) -> bytes:
    """Return a new challenge; the session's last one for this purpose, and all old ones, are forgotten."""
    challenge = secrets.token_bytes(32)
    c = passkey_challenge.c
    session.execute(delete(passkey_challenge).where(c.ends_at <= now.at))
    session.execute(
        delete(passkey_challenge).where(c.session == open_one.digest, c.purpose == purpose)
    )
    session.execute(
        insert(passkey_challenge).values(
            session=open_one.digest,
            purpose=purpose,
            challenge=challenge,
            ends_at=now.at + LASTS,
        )
    )
    return challenge


def answered(
    session: Session, open_one: WebSession, purpose: Purpose, now: Moment
) -> bytes | None:
    """Return the challenge that the session was given, and use it up."""
    c = passkey_challenge.c
    row = session.execute(
        delete(passkey_challenge)
        .where(c.session == open_one.digest, c.purpose == purpose)
        .returning(c.challenge, c.ends_at)
    ).one_or_none()
    return row.challenge if row is not None and row.ends_at > now.at else None
