"""Identities that a provider such as ProConnect tells, and whom they let in.

An identity is an issuer and a `sub`, linked once to a person: by the code of their invitation,
or from their account.  E-mail addresses are not looked at, so whoever inherits one inherits
nothing.  An identity that is linked to nobody opens nothing and leaves nothing behind.

Refusals are returned, not raised, where what was used up must be committed.
"""

import hmac
import secrets
from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import delete, insert, select, update
from sqlalchemy.orm import Session

from app.people import second_factor, sessions, short_codes
from app.people.models import identity, invitation, oidc_flow, oidc_proof
from app.people.provider import Proof, Sent
from app.people.sessions import WebSession
from app.people.signing_in import InvitationRefused, SignedIn, note
from ledger.moments import Moment
from ledger.refusal import Refusal

FLOW_LASTS = timedelta(minutes=10)


@dataclass(eq=False)
class SignInUnfinished(Refusal):
    """The browser came back too late, twice, or with what another was sent with."""

    code = "sign_in_unfinished"


@dataclass(eq=False)
class IdentityTaken(Refusal):
    """The identity is linked to another account."""

    code = "identity_taken"


class Flow(NamedTuple):
    """What a browser was sent with, and the session it is to link an identity to, if any."""

    sent: Sent
    session: bytes | None


class Identity(NamedTuple):
    """A linked identity, as its owner sees it."""

    issuer: str
    sub: str
    siret: str | None


def begin(session: Session, *, link: WebSession | None, now: Moment) -> tuple[str, Sent]:
    """Return the secret of a browser's cookie, and what to send it to the provider with."""
    browser, sent = (
        secrets.token_urlsafe(32),
        Sent(*(secrets.token_urlsafe(32) for _ in range(3))),
    )
    session.execute(delete(oidc_flow).where(oidc_flow.c.ends_at <= now.at))
    session.execute(
        insert(oidc_flow).values(
            browser=_digest(browser),
            state=_digest(sent.state),
            nonce=sent.nonce,
            verifier=sent.verifier,
            session=None if link is None else link.digest,
            ends_at=now.at + FLOW_LASTS,
        )
    )
    return browser, sent


def come_back(session: Session, browser: str, state: str, *, now: Moment) -> Flow | None:
    """Return what this browser was sent with, and use it up, whatever it comes back with."""
    row = session.execute(
        delete(oidc_flow)
        .where(oidc_flow.c.browser == _digest(browser))
        .returning(
            oidc_flow.c.state,
            oidc_flow.c.nonce,
            oidc_flow.c.verifier,
            oidc_flow.c.session,
            oidc_flow.c.ends_at,
        )
    ).one_or_none()
    if row is None or row.ends_at <= now.at:
        return None
    if not hmac.compare_digest(row.state, _digest(state)):
        return None
    return Flow(Sent(state, row.nonce, row.verifier), row.session)


def sign_in(session: Session, proof: Proof, *, device: str, now: Moment) -> SignedIn | None:
    """Open a session for the person whose identity was proved; None if it is nobody's."""
    who: UUID | None = session.scalars(
        update(identity)
        .where(identity.c.issuer == proof.issuer, identity.c.sub == proof.sub)
        .values(siret=proof.siret, uid=proof.uid, used_at=now.at)
        .returning(identity.c.person)
    ).one_or_none()
    return None if who is None else _enter(session, who, proof, device=device, now=now)


def _enter(
    session: Session, who: UUID, proof: Proof, *, device: str, now: Moment
) -> SignedIn:
    factor_due = not proof.strong and second_factor.is_set_up(session, who)
    token = sessions.open_session(
        session,
        who,
        factor_due=factor_due,
        device=device,
        now=now,
        factor="oidc" if proof.strong else None,
    )
    note(session, "signed_in", who, now, by="oidc")
    return SignedIn(token, factor_due)


def keep(session: Session, proof: Proof, *, now: Moment) -> str:
    """Keep for ten minutes an identity that is nobody's yet; return the secret of the browser's cookie."""
    browser = secrets.token_urlsafe(32)
    session.execute(delete(oidc_proof).where(oidc_proof.c.ends_at <= now.at))
    session.execute(
        insert(oidc_proof).values(
            browser=_digest(browser), **proof._asdict(), ends_at=now.at + FLOW_LASTS
        )
    )
    return browser


def accept_invitation(
    session: Session, browser: str, code: str, *, device: str, now: Moment
) -> SignedIn | Refusal:
    """Link the identity that this browser proved to whoever was invited, and open a session.

    The code is used up.  Returns `SignInUnfinished`, `InvitationRefused` or `IdentityTaken`.
    """
    row = session.execute(
        select(oidc_proof).where(
            oidc_proof.c.browser == _digest(browser), oidc_proof.c.ends_at > now.at
        )
    ).one_or_none()
    if row is None:
        return SignInUnfinished()
    proof = Proof(row.issuer, row.sub, row.siret, row.uid, row.strong)
    if _linked(session, proof) is not None:
        return IdentityTaken()
    who = session.scalars(
        update(invitation)
        .where(
            invitation.c.digest == short_codes.digest(code),
            invitation.c.used_at.is_(None),
            invitation.c.ends_at > now.at,
        )
        .values(used_at=now.at)
        .returning(invitation.c.person)
    ).one_or_none()
    if who is None:
        return InvitationRefused()
    session.execute(delete(oidc_proof).where(oidc_proof.c.browser == _digest(browser)))
    link(session, who, proof, now=now)
    return _enter(session, who, proof, device=device, now=now)


def link(session: Session, who: UUID, proof: Proof, *, now: Moment) -> Refusal | None:
    """Link an identity that was proved to a person.  Returns `IdentityTaken` if it is another's."""
    linked = _linked(session, proof)
    if linked is not None:
        return None if linked == who else IdentityTaken()
    session.execute(
        insert(identity).values(
            issuer=proof.issuer,
            sub=proof.sub,
            person=who,
            siret=proof.siret,
            uid=proof.uid,
            linked_at=now.at,
        )
    )
    note(session, "identity_linked", who, now)
    return None


def unlink(session: Session, who: UUID, *, now: Moment) -> None:
    """Unlink someone's identities; their password is what is left to sign in with."""
    gone = session.scalars(
        delete(identity).where(identity.c.person == who).returning(identity.c.sub)
    ).all()
    if gone:
        note(session, "identity_unlinked", who, now)


def identities(session: Session, who: UUID) -> list[Identity]:
    """Return someone's linked identities."""
    rows = session.execute(
        select(identity.c.issuer, identity.c.sub, identity.c.siret)
        .where(identity.c.person == who)
        .order_by(identity.c.linked_at)
    ).all()
    return [Identity._make(row) for row in rows]


def _linked(session: Session, proof: Proof) -> UUID | None:
    return session.scalar(
        select(identity.c.person).where(
            identity.c.issuer == proof.issuer, identity.c.sub == proof.sub
        )
    )


def _digest(secret: str) -> bytes:
    return sha256(b"passnum oidc" + secret.encode()).digest()
