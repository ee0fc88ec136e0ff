"""Passkeys (WebAuthn) as a second proof: a key that never leaves a telephone, a computer or a USB key.

What is signed is a challenge that this session was given, once and for five minutes.  The
browser binds it to the host that it is at: a copy of our pages elsewhere gets nothing.

Refusals are returned, not raised: the challenge that was used up, the failure that is counted
and the entry about a copied key must be committed.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import delete, insert, select, update
from sqlalchemy.orm import Session
from webauthn import (
    generate_authentication_options,
    generate_registration_options,
    options_to_json,
    verify_authentication_response,
    verify_registration_response,
)
from webauthn.helpers import parse_authentication_credential_json
from webauthn.helpers.exceptions import WebAuthnException
from webauthn.helpers.structs import (
    AuthenticatorSelectionCriteria,
    PublicKeyCredentialDescriptor,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from app.people import failures, second_factor, sessions
from app.people.models import passkey, recovery_code
from app.people.passkey_challenges import answered, new_challenge
from app.people.sessions import WebSession
from app.people.signing_in import Proved, may_change, note
from ledger.moments import Moment
from ledger.refusal import Refusal

NAME_MAX = 60


@dataclass(eq=False)
class PasskeyRefused(Refusal):
    """The answer is not that of a key of this person, to this challenge, at this address."""

    code = "passkey_refused"


@dataclass(eq=False)
class PasskeyCopied(Refusal):
    """The key's counter did not grow: two devices hold it."""

    code = "passkey_copied"


@dataclass(eq=False)
class PasskeyKnown(Refusal):
    """This key was added before."""

    code = "passkey_known"


class Place(NamedTuple):
    """Where the browser is: the host keys are bound to, and the origins it may tell."""

    host: str
    origins: list[str]


class Passkey(NamedTuple):
    """A passkey, as its owner sees it."""

    id: bytes
    name: str
    made_at: datetime
    used_at: datetime | None


class Added(NamedTuple):
    """The session's new token, and the recovery codes to show once where there were none."""

    token: str
    codes: list[str]


def place(netloc: str) -> Place:
    """Return where the browser is, from the host it asked; only a machine by itself goes without TLS.

    >>> place("pass.creuse.fr")
    Place(host='pass.creuse.fr', origins=['https://pass.creuse.fr'])
    >>> place("localhost:8000").origins
    ['https://localhost:8000', 'http://localhost:8000']
    """
    netloc = netloc.lower()
    host = netloc.partition(":")[0]
    alone = host == "localhost" or host.endswith(".localhost")
    return Place(
        host, [f"{s}://{netloc}" for s in (("https", "http") if alone else ("https",))]
    )


def passkeys(session: Session, who: UUID) -> list[Passkey]:
    """Return someone's passkeys, the oldest first."""
    rows = session.execute(
        select(passkey.c.id, passkey.c.name, passkey.c.made_at, passkey.c.used_at)
        .where(passkey.c.person == who)
        .order_by(passkey.c.made_at, passkey.c.id)
    ).all()
    return [Passkey._make(row) for row in rows]


def options_to_add(
    session: Session, open_one: WebSession, *, login: str, name: str, at: Place, now: Moment
) -> str:
    """Return what the browser needs to make a key, as JSON; the person's other keys are left out."""
    options = generate_registration_options(
        rp_id=at.host,
        rp_name="Pass numérique",
        user_id=open_one.person.bytes,
        user_name=login,
        user_display_name=name,
        challenge=new_challenge(session, open_one, "add", now),
        exclude_credentials=_descriptors(session, open_one.person),
        authenticator_selection=AuthenticatorSelectionCriteria(
            resident_key=ResidentKeyRequirement.PREFERRED,
            user_verification=UserVerificationRequirement.PREFERRED,
        ),
    )
    return options_to_json(options)


def add(
    session: Session, open_one: WebSession, told: str, *, name: str, at: Place, now: Moment
) -> Added | Refusal:
    """Keep a new key; the session has given its second proof, and the person's others are closed.

    Returns `PasskeyRefused` or `PasskeyKnown`.
    """
    challenge = answered(session, open_one, "add", now)
    if challenge is None:
        return PasskeyRefused()
    try:
        made = verify_registration_response(
            credential=told,
            expected_challenge=challenge,
            expected_rp_id=at.host,
            expected_origin=at.origins,
        )
    except (WebAuthnException, ValueError):
        return PasskeyRefused()
    known = select(passkey.c.person).where(passkey.c.id == made.credential_id)
    if session.scalar(known) is not None:
        return PasskeyKnown()
    who = open_one.person
    session.execute(
        insert(passkey).values(
            id=made.credential_id,
            person=who,
            public_key=made.credential_public_key,
            sign_count=made.sign_count,
            name=name[:NAME_MAX],
            made_at=now.at,
        )
    )
    # Whoever had only the password is shut out.
    sessions.close_others(session, who, but=open_one.digest, now=now)
    note(session, "passkey_added", who, now)
    codes = []
    if second_factor.recovery_codes_left(session, who) == 0:
        codes = second_factor.new_recovery_codes(session, who)
    return Added(sessions.confirm(session, open_one, factor="passkey"), codes)


def options_to_prove(
    session: Session, open_one: WebSession, *, at: Place, now: Moment
) -> str:
    """Return what the browser needs to sign with one of the person's keys, as JSON."""
    options = generate_authentication_options(
        rp_id=at.host,
        challenge=new_challenge(session, open_one, "prove", now),
        allow_credentials=_descriptors(session, open_one.person),
        user_verification=UserVerificationRequirement.PREFERRED,
    )
    return options_to_json(options)


def prove(
    session: Session, open_one: WebSession, told: str, *, at: Place, now: Moment
) -> str | Refusal:
    """Take a key's signature as the second proof, and return the session's new token.

    Returns `PasskeyRefused`, `PasskeyCopied`, or `SignInSlowed` after five failures.
    """
    who = open_one.person
    about = second_factor.guessed(who)
    if (slowed := failures.guess(session, about, now=now)) is not None:
        return slowed
    no = _proof(session, open_one, told, at=at, now=now)
    if no is not None:
        return no
    failures.forget(session, about)
    return sessions.confirm(session, open_one, factor="passkey")


def _proof(
    session: Session, open_one: WebSession, told: str, *, at: Place, now: Moment
) -> Refusal | None:
    challenge = answered(session, open_one, "prove", now)
    if challenge is None:
        return PasskeyRefused()
    try:
        credential = parse_authentication_credential_json(told)
    except (WebAuthnException, ValueError):
        return PasskeyRefused()
    row = session.execute(
        select(passkey.c.public_key, passkey.c.sign_count)
        .where(passkey.c.id == credential.raw_id, passkey.c.person == open_one.person)
        .with_for_update()
    ).one_or_none()
    if row is None:
        return PasskeyRefused()
    try:
        # The counter is judged below: only a signature that holds may tell of a copy.
        signed = verify_authentication_response(
            credential=credential,
            expected_challenge=challenge,
            expected_rp_id=at.host,
            expected_origin=at.origins,
            credential_public_key=row.public_key,
            credential_current_sign_count=0,
        )
    except (WebAuthnException, ValueError):
        return PasskeyRefused()
    # Zero is that of keys that do not count, such as those synchronised between devices.
    counts = row.sign_count > 0 or signed.new_sign_count > 0
    if counts and signed.new_sign_count <= row.sign_count:
        note(session, "passkey_copied", open_one.person, now)
        return PasskeyCopied()
    session.execute(
        update(passkey)
        .where(passkey.c.id == credential.raw_id)
        .values(sign_count=signed.new_sign_count, used_at=now.at)
    )
    return None


def remove(
    session: Session, proved: Proved, which: bytes, *, now: Moment
) -> Refusal | None:
    """Remove a key of whoever typed their password; with the last second proof go the recovery codes.

    Returns `SignInRefused` where the password is no longer theirs.  Nothing happens if the key is not theirs.
    """
    who = proved.person
    if (no := may_change(session, proved)) is not None:
        return no
    removed = session.scalars(
        delete(passkey)
        .where(passkey.c.id == which, passkey.c.person == who)
        .returning(passkey.c.id)
    ).all()
    if removed:
        note(session, "passkey_removed", who, now)
        if not second_factor.is_set_up(session, who):
            session.execute(delete(recovery_code).where(recovery_code.c.person == who))
    return None


def _descriptors(session: Session, who: UUID) -> list[PublicKeyCredentialDescriptor]:
    return [PublicKeyCredentialDescriptor(id=held.id) for held in passkeys(session, who)]
