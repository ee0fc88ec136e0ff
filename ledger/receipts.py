"""What someone keeps of an entry: at once an acceptance that we signed, later the proof that it is in the log.

<log name>/receipt            signed by a key of the log, as a note
entry <id>
leaf <base64 of its leaf hash>
recorded <instant, UTC>

c2sp.org/tlog-proof@v1        once a published checkpoint holds the entry
index <n>
<base64 hashes, from the leaf up>
(an empty line)
<the checkpoint, with its cosignatures>
"""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from ledger.log_keys import LogSigner, NoLogKey
from ledger.merkle import inclusion_proof
from ledger.models import entry, log_leaf
from ledger.notes import Note, sign
from ledger.publishing import newest
from ledger.refusal import Refusal
from ledger.tiles import nodes

HEADER = "c2sp.org/tlog-proof@v1"


@dataclass(eq=False)
class EntryUnknown(Refusal):
    """There is no such entry here."""

    code = "entry_unknown"

    entry: str


@dataclass(eq=False)
class NotPublishedYet(Refusal):
    """The entry is recorded, and no published checkpoint holds it yet: ask again in a few seconds."""

    code = "not_published_yet"

    entry: str


class Logged(NamedTuple):
    """An entry as the log knows it; `place` is None until it has its place."""

    leaf_hash: bytes
    recorded: str
    place: int | None


def logged(session: Session, identifier: UUID) -> Logged:
    """Return an entry as the log knows it, or raise `EntryUnknown`."""
    row = session.execute(
        select(entry.c.leaf_hash, entry.c.recorded_at, log_leaf.c.idx)
        .outerjoin(log_leaf, log_leaf.c.entry_id == entry.c.id)
        .where(entry.c.id == identifier)
    ).one_or_none()
    if row is None:
        raise EntryUnknown(str(identifier))
    recorded = row.recorded_at.isoformat().replace("+00:00", "Z")
    return Logged(bytes(row.leaf_hash), recorded, row.idx)


def proof(session: Session, identifier: UUID) -> str:
    """Prove that an entry is in the newest published checkpoint, as a C2SP tlog-proof.

    Raises `EntryUnknown`, and `NotPublishedYet` for ten seconds or so after the entry was made.
    """
    found, shown = logged(session, identifier), newest(session)
    if shown is None or found.place is None or found.place >= shown.size:
        raise NotPublishedYet(str(identifier))
    path = inclusion_proof(nodes(session), found.place, shown.size)
    hashes = "".join(f"{base64.b64encode(one).decode()}\n" for one in path)
    return f"{HEADER}\nindex {found.place}\n{hashes}\n{shown.note}"


def acceptance(session: Session, identifier: UUID, signers: Sequence[LogSigner]) -> str:
    """Sign that an entry was accepted; raises `EntryUnknown`, `NoLogKey`."""
    if not signers:
        raise NoLogKey
    found = logged(session, identifier)
    leaf = base64.b64encode(found.leaf_hash).decode()
    text = (
        f"{signers[0].name}/receipt\nentry {identifier}\nleaf {leaf}\n"
        f"recorded {found.recorded}\n"
    )
    return str(Note(text, tuple(sign(text, s.name, s.private) for s in signers)))
