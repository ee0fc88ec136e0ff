"""The vault: what is known of people, sealed, read for a purpose, and forgotten for good.

A person is a random number with a key of their own, 256 random bits, sealed by the master key
(`ledger.sealing`).  Their records are sealed by that key, so destroying it erases them, with
the master key and every record still there.  The journal is untouched by an erasure: an entry
holds a salted commitment, and the salt is inside the sealed record.

    record     = the person's key seals canonical JSON {"salt": 32 hex digits, "told": {…}},
                 padded with spaces to a multiple of 256 bytes, about "vault/<person>/<kind>/<turn>"
    commitment = SHA-256(salt || canonical JSON of what is told), in hex

A record is never changed: a correction is a later turn of the same kind.  Whoever reads says
what for, and is written down, here with the person and in the journal without.
"""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any, Literal
from uuid import UUID, uuid4

import msgspec
from sqlalchemy import func, insert, select, text, update
from sqlalchemy.orm import Session

from issuance.models import (
    handed_out,
    vault_access,
    vault_mark,
    vault_person,
    vault_record,
)
from issuance.queries import first_hand_out
from issuance.serials import Serial
from ledger import canonical
from ledger.attempts import Act, Answer, perform
from ledger.bulk import is_postgres
from ledger.journal import must_record
from ledger.moments import Moment
from ledger.refusal import Refusal
from ledger.resealing import Shelf
from ledger.sealing import SealBroken, SealedByUnknownKey, Sealer, new_key

SALT_SIZE = 16
# What is sealed keeps its length: "rsa" would be told from "demandeur d'emploi" by counting.
PADDED_TO = 256

# A code from a list, never free text: the person asks for their data, the data are wrong, an
# auditor draws lots, a funder's report is made.
Purpose = Literal["person_asks", "correction", "audit_sample", "funder_report"]


@dataclass(eq=False)
class NothingInVault(Refusal):
    """The vault knows nobody under this number, or nothing was told at this hand-out."""

    code = "nothing_in_vault"

    asked: str


@dataclass(eq=False)
class PersonErased(Refusal):
    """The person's key is destroyed: nothing about them can be read, nor added."""

    code = "person_erased"


@dataclass(frozen=True)
class Salted:
    """What is told about a person, with the salt that makes its commitment impossible to guess."""

    told: Mapping[str, Any]
    salt: bytes

    @property
    def commitment(self) -> str:
        """What an entry may hold of it: 64 hex digits that say nothing without the salt."""
        return sha256(self.salt + canonical.encode(self.told)).hexdigest()


@dataclass(frozen=True)
class Record:
    """A record, opened; `entry` is the one that holds its commitment."""

    person: UUID
    kind: str
    turn: int
    content: Salted
    made_at: datetime
    entry: UUID


@dataclass(frozen=True)
class Person:
    """A person of the vault, their key open: records can be sealed and read."""

    id: UUID
    own: Sealer


class ErasePerson(msgspec.Struct, frozen=True):
    """A request to forget a person of the vault."""

    id: UUID
    person: UUID


def salted(told: Mapping[str, Any]) -> Salted:
    """Salt what is told, so that its commitment can be recorded before it is put in the vault."""
    return Salted(told, secrets.token_bytes(SALT_SIZE))


def _about(person: UUID) -> str:
    return f"vault/{person}"


# What a rotation of the master key seals anew; records are sealed by the persons' own keys.
PERSON_KEYS = Shelf(vault_person.c.id, vault_person.c.sealed_key, _about)


def new_person(session: Session, sealer: Sealer, *, now: Moment) -> Person:
    """Bring a person into the vault, with a key of their own; refused with `vault_locked`."""
    key, person = new_key(), uuid4()
    session.execute(
        insert(vault_person).values(
            id=person, sealed_key=sealer.seal(key, _about(person)), made_at=now.at
        )
    )
    return Person(person, Sealer([key]))


def known_person(session: Session, sealer: Sealer, person: UUID) -> Person:
    """Open a person's key to put more about them, and hold the person until the transaction ends.

    Refused with `nothing_in_vault`, `person_erased`, and as `Sealer.open`.
    """
    # Two records put at once would take the same turn.
    held = (
        select(vault_person.c.sealed_key)
        .where(vault_person.c.id == person)
        .with_for_update(key_share=True)
    )
    row = session.execute(held).one_or_none()
    if row is None:
        raise NothingInVault(str(person))
    if row.sealed_key is None:
        raise PersonErased
    return _opened(sealer, person, row.sealed_key)


def _opened(sealer: Sealer, person: UUID, sealed_key: bytes) -> Person:
    return Person(person, Sealer([sealer.open(sealed_key, _about(person))]))


def put(
    session: Session,
    person: Person,
    kind: str,
    content: Salted,
    *,
    entry: UUID,
    now: Moment,
) -> None:
    """Seal a record of this kind under the person's key, after the ones that are there.

    `entry` is recorded already, in the same transaction, and holds the commitment.
    """
    last = session.scalar(
        select(func.max(vault_record.c.turn)).where(
            vault_record.c.person == person.id, vault_record.c.kind == kind
        )
    )
    turn = 0 if last is None else last + 1
    plain = canonical.encode({"salt": content.salt.hex(), "told": content.told})
    padded = plain.ljust(-(-len(plain) // PADDED_TO) * PADDED_TO)
    session.execute(
        insert(vault_record).values(
            person=person.id,
            kind=kind,
            turn=turn,
            sealed=person.own.seal(padded, _label(person.id, kind, turn)),
            made_at=now.at,
            entry_id=entry,
        )
    )


def _label(person: UUID, kind: str, turn: int) -> str:
    return f"{_about(person)}/{kind}/{turn}"


def read(
    session: Session,
    sealer: Sealer,
    persons: Sequence[UUID],
    *,
    purpose: Purpose,
    by: str,
    now: Moment,
) -> dict[UUID, list[Record]]:
    """Open all there is about these persons, and write down who looked at each and what for.

    Erased persons are left out: nothing is seen of them.  An act of its own, that cannot be
    replayed: each look is a new one.  It writes, so what it returns is for after the commit.
    A few thousand persons at most.
    Refused with `nothing_in_vault`, `seal_broken`, or, opening nothing, `vault_locked` and
    `sealed_by_unknown_key`.
    """
    keys = dict(
        session.execute(
            select(vault_person.c.id, vault_person.c.sealed_key)
            .where(vault_person.c.id.in_(persons))
            .order_by(vault_person.c.id)
        ).all()
    )
    for asked in persons:
        if asked not in keys:
            raise NothingInVault(str(asked))
    opened = [_opened(sealer, person, key) for person, key in keys.items() if key]
    found = _records(session, opened)
    act = Act(uuid4(), "read_vault", by, now)

    def done() -> None:
        must_record(
            session,
            [act.entry("vault_read", {"persons": len(found), "purpose": purpose})],
        )
        lines = [
            {"entry_id": act.id, "person": p, "who": by, "at": now.at, "purpose": purpose}
            for p in found
        ]
        if lines:
            session.execute(insert(vault_access), lines)

    perform(session, act, [purpose, list(found)], done)
    return found


def _records(session: Session, persons: Sequence[Person]) -> dict[UUID, list[Record]]:
    own = {person.id: person.own for person in persons}
    found: dict[UUID, list[Record]] = {person: [] for person in own}
    rows = session.execute(
        select(vault_record)
        .where(vault_record.c.person.in_(own))
        .order_by(vault_record.c.person, vault_record.c.kind, vault_record.c.turn)
    )
    for row in rows:
        label = _label(row.person, row.kind, row.turn)
        try:
            plain = own[row.person].open(row.sealed, label)
        except SealedByUnknownKey:  # another person's key: no setting would help
            raise SealBroken(label) from None
        whole = canonical.decode(plain)
        content = Salted(whole["told"], bytes.fromhex(whole["salt"]))
        found[row.person].append(
            Record(row.person, row.kind, row.turn, content, row.made_at, row.entry_id)
        )
    return found


def erase(session: Session, request: ErasePerson, *, by: str, now: Moment) -> Answer:
    """Destroy a person's key, for good; the journal says that a person was erased, not which.

    Needs no master key.  Records stay, and nobody opens them any more.  Refused with
    `nothing_in_vault`, `person_erased`.
    """
    act = Act(request.id, "erase_person", by, now)

    def done() -> None:
        if not is_postgres(session):
            # The bytes of the key must not stay in a corner of the page that holds the row.
            session.execute(text("PRAGMA secure_delete = ON"))
        here = select(vault_person.c.sealed_key).where(vault_person.c.id == request.person)
        row = session.execute(here.with_for_update()).one_or_none()
        if row is None:
            raise NothingInVault(str(request.person))
        if row.sealed_key is None:
            raise PersonErased
        must_record(session, [act.entry("vault_erased", {})])
        session.execute(
            update(vault_person)
            .where(vault_person.c.id == request.person)
            .values(sealed_key=None, erased_at=now.at)
        )
        # Nothing leads from a name to what this person was given any more: a limit counts anew.
        session.execute(
            update(vault_mark)
            .where(vault_mark.c.person == request.person, vault_mark.c.mark.is_not(None))
            .values(mark=None)
        )

    return perform(session, act, request, done)


def person_of_hand_out(session: Session, hand_out: UUID) -> UUID:
    """Return who a hand-out told something of, or was counted for; or raise `NothingInVault`."""
    told = select(vault_record.c.person).where(vault_record.c.entry_id == hand_out)
    counted = select(vault_mark.c.person).where(vault_mark.c.entry_id == hand_out)
    person: UUID | None = session.scalar(told.union(counted).limit(1))
    if person is None:
        raise NothingInVault(str(hand_out))
    return person


def person_of_pass(session: Session, serial: str) -> UUID:
    """Return who was told of when this pass, or the one it replaces, was handed out.

    Refused with `nothing_in_vault`, `malformed_serial`.
    """
    printed = str(Serial.parse(serial))
    given_by: UUID | None = session.scalar(
        select(handed_out.c.entry_id).where(handed_out.c.serial == printed)
    )
    if given_by is None:
        raise NothingInVault(printed)
    try:
        return person_of_hand_out(session, first_hand_out(session, given_by))
    except NothingInVault:
        raise NothingInVault(printed) from None


def accesses(session: Session) -> Sequence[tuple[Any, ...]]:
    """Return who looked, newest first: when, who, person, purpose, entry."""
    return session.execute(
        select(
            vault_access.c.at,
            vault_access.c.who,
            vault_access.c.person,
            vault_access.c.purpose,
            vault_access.c.entry_id,
        ).order_by(vault_access.c.at.desc(), vault_access.c.entry_id, vault_access.c.person)
    ).all()
