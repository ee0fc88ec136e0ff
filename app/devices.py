"""Bearer tokens: a device at a site, a desk, or a reader of the whole département; until people sign in.

    pn_<département>_<43 characters>

Only the SHA-256 of a token is kept.  What a token may do is looked up at most every two
seconds, so a revoked device is refused within two seconds, three at most, everywhere.
"""

import secrets
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Literal

from sqlalchemy import insert, select, update
from sqlalchemy.orm import Session

from app.models import device
from funding.operations import NotFound, exist
from issuance.models import desk
from ledger.identifiers import new_id
from ledger.moments import Moment
from ledger.refusal import Refusal
from redemption.sites import site_row

Scope = Literal["site", "desk", "departement"]
FRESH_SECONDS = 2.0
GRACE_SECONDS = 1.0


@dataclass(eq=False)
class NotSignedIn(Refusal):
    """No bearer token, or one that is unknown or revoked."""

    code = "not_signed_in"


@dataclass(eq=False)
class NotAllowed(Refusal):
    """The token is good, but for something else."""

    code = "not_allowed"

    scope: str


@dataclass(frozen=True)
class Bearer:
    """Whoever presents a token: a pseudonymous id, a département, and the one place it acts for."""

    id: str
    departement: str
    scope: Scope
    site: int | None
    desk: str | None

    def be(self, scope: Scope) -> None:
        """Raise `NotAllowed` unless the token is for this."""
        if self.scope != scope:
            raise NotAllowed(self.scope)


def new_device(
    session: Session,
    departement: str,
    *,
    scope: Scope,
    at: str | None,
    label: str,
    now: Moment,
) -> tuple[str, str]:
    """Make a device for a site or a desk; return its id and its token, which is shown only once."""
    site_number = desk_code = None
    if scope == "site":
        site_number = site_row(session, at or "")[0]
    elif scope == "desk":
        exist(session, desk.c.code, at or "")
        desk_code = at
    identifier = f"dev-{new_id()}"
    token = f"pn_{departement}_{secrets.token_urlsafe(32)}"
    session.execute(
        insert(device).values(
            id=identifier,
            token_digest=sha256(token.encode()).digest(),
            label=label,
            scope=scope,
            site=site_number,
            desk=desk_code,
            made_at=now.at,
        )
    )
    return identifier, token


def revoke_device(session: Session, identifier: str, *, now: Moment) -> None:
    """Refuse a device from now on; raises `NotFound`."""
    gone = session.scalars(
        update(device)
        .where(device.c.id == identifier, device.c.revoked_at.is_(None))
        .values(revoked_at=now.at)
        .returning(device.c.id)
    ).all()
    if not gone:
        raise NotFound("device", identifier)


def listed_devices(session: Session) -> Sequence[tuple[Any, ...]]:
    """Return the devices: id, label, scope, site, desk, when revoked."""
    return session.execute(
        select(
            device.c.id,
            device.c.label,
            device.c.scope,
            device.c.site,
            device.c.desk,
            device.c.revoked_at,
        ).order_by(device.c.id)
    ).all()


class Bearers:
    """Recognises tokens, remembering each for two seconds; safe from many threads."""

    def __init__(self) -> None:
        # Until when each is good.
        self._known: dict[bytes, tuple[float, Bearer]] = {}
        self._lock = threading.Lock()

    def recall(self, token: str) -> Bearer | None:
        """Return who a token is, if it was looked up less than two seconds ago.

        When the two seconds are over, the first who asks is sent to look it up again; the
        others keep the old answer for that moment, a second at most.
        """
        now = time.monotonic()
        digest = sha256(token.encode()).digest()
        with self._lock:
            known = self._known.get(digest)
            if known is None:
                return None
            due, bearer = known
            if now < due:
                return bearer
            if now > due + GRACE_SECONDS:
                return None
            self._known[digest] = due + GRACE_SECONDS, bearer
        return None

    def look_up(self, session: Session, departement: str, token: str) -> Bearer:
        """Return who a token is, or raise `NotSignedIn`."""
        digest = sha256(token.encode()).digest()
        row = session.execute(
            select(device.c.id, device.c.scope, device.c.site, device.c.desk).where(
                device.c.token_digest == digest, device.c.revoked_at.is_(None)
            )
        ).one_or_none()
        with self._lock:
            if row is None:
                self._known.pop(digest, None)
                raise NotSignedIn
            if len(self._known) > 10_000:
                self._known.clear()
            bearer = Bearer(row.id, departement, row.scope, row.site, row.desk)
            self._known[digest] = time.monotonic() + FRESH_SECONDS, bearer
        return bearer


def bearer_token(authorization: str) -> str | None:
    """Return the token of an Authorization header, if it holds one."""
    scheme, _space, token = authorization.partition(" ")
    return token.strip() or None if scheme.lower() == "bearer" else None


def departement_of(token: str) -> str:
    """Return the département that a token names, or raise `NotSignedIn`."""
    parts = token.split("_", 2)
    if len(parts) != 3 or parts[0] != "pn":
        raise NotSignedIn
    return parts[1]
