"""An entry: one fact, the right it uses up, the euros it moves; and the bytes that are hashed.

The body is one line of canonical JSON, kept for ever as it was written:

    act      the act that caused it, named by whoever asked
    actor    who did it: a pseudonymous id
    at, on   when it happened in the world: an instant in UTC, and the civil day that counts
    cents    the amount, moved from the `credit` account to the `debit` account, or 0
    facts    what else is true of it; never a person's data, never a secret, never free text
    id       its own id; the first entry of an act has the act's
    kind     what sort of fact
    recorded when the books learned it
    right    [uses, subject, turn]: what is used up, and can be used up once
    v        the version of this format
"""

from datetime import date, datetime
from hashlib import sha256
from typing import Any, NamedTuple
from uuid import UUID

import msgspec

from ledger import canonical

BODY_VERSION = 1


class Right(NamedTuple):
    """What an entry uses up: named for the thing, not for the act, so that acts exclude each other."""

    uses: str
    subject: str
    turn: int


class Entry(msgspec.Struct, frozen=True):
    """A fact about to be recorded; fields stand in alphabetical order, which is that of the body."""

    act: UUID
    actor: str
    at: datetime
    cents: int
    credit: str | None
    debit: str | None
    facts: dict[str, Any]
    id: UUID
    kind: str
    on: date
    recorded: datetime
    right: Right | None
    v: int = BODY_VERSION

    def body(self) -> bytes:
        """Return the bytes that are stored and hashed."""
        return canonical.encode(self)

    @classmethod
    def read(cls, body: bytes) -> "Entry":
        """Return the entry that these bytes tell; raises ValueError when they tell none."""
        return _decoder.decode(body)


_decoder = msgspec.json.Decoder(Entry)


def entry_id(act: UUID, rank: int) -> UUID:
    """Return the id of an act's entry of this rank: the act's own for the first, derived after it."""
    if rank == 0:
        return act
    digest = int.from_bytes(sha256(act.bytes + rank.to_bytes(4)).digest()[:16])
    # UUID version 8, variant 10 (RFC 9562).
    return UUID(int=digest & ~(0xF000 << 64 | 0xC000 << 48) | 0x8000 << 64 | 0x8000 << 48)
