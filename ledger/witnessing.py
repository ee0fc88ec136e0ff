"""What a log and a witness say to each other (C2SP tlog-witness), and when a witness cosigns.

    old <size>                    what the log believes the witness saw last
    <base64 hashes>               that the new tree begins with that one
    (an empty line)
    <the checkpoint>

Nothing here touches a clock, a database or a network.
"""

import base64
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from ledger.merkle import HASH_SIZE, ProofError, root, verify_consistency
from ledger.notes import Checkpoint, Key, Note, NoteError, read, read_checkpoint, verify

MOST_HASHES = 63
_OLD = re.compile(r"old (0|[1-9][0-9]{0,18})", re.ASCII)


class AddCheckpoint(NamedTuple):
    """A request to look at a checkpoint and to cosign it."""

    old: int
    proof: tuple[bytes, ...]
    note: Note

    def __str__(self) -> str:
        """Return the request as it is sent."""
        hashes = "".join(f"{base64.b64encode(one).decode()}\n" for one in self.proof)
        return f"old {self.old}\n{hashes}\n{self.note}"


class Seen(NamedTuple):
    """What a witness remembers of a log: the largest tree that it found consistent."""

    size: int
    root: bytes


class BadRequest(ValueError):  # noqa: N818 - it is an answer
    """The request is not as it must be (400)."""


class UnknownLog(ValueError):  # noqa: N818
    """The witness does not look after this log (404)."""


class BadSignature(ValueError):  # noqa: N818
    """No trusted key of the log signed the checkpoint (403)."""


@dataclass
class Conflict(ValueError):  # noqa: N818
    """The witness saw another tree: of `size` (409); `forked` when it has the same size and another root."""

    size: int
    forked: bool


class BadProof(ValueError):  # noqa: N818
    """It is not proved that the new tree begins with the one that the witness saw (422).

    The log was rewritten, or whoever handed in its checkpoint proved it badly.
    """


def read_request(told: str) -> AddCheckpoint:
    """Read a request, or raise `BadRequest`."""
    head, empty, note = told.partition("\n\n")
    first, *hashes = head.split("\n")
    old = _OLD.fullmatch(first)
    if not empty or old is None or len(hashes) > MOST_HASHES:
        raise BadRequest("old size, proof, empty line, checkpoint")
    try:
        proof = tuple(base64.b64decode(one, validate=True) for one in hashes)
        if any(len(one) != HASH_SIZE for one in proof):
            raise BadRequest("a hash has 32 bytes")
        return AddCheckpoint(int(old[1]), proof, read(note))
    except ValueError as no:  # a NoteError, or no base64
        raise BadRequest(str(no)) from None


def judge(asked: AddCheckpoint, trusted: Sequence[Key], seen: Seen) -> Checkpoint:
    """Return the checkpoint to remember and to cosign, or raise what the answer is.

    `trusted` are the keys of the log that the checkpoint names, `seen` what is remembered of it
    (size 0 at first).  The caller remembers the checkpoint before it answers, and judges and
    remembers as one: two requests at once must not take the log back.
    """
    try:
        checkpoint = read_checkpoint(asked.note.text)
    except NoteError as no:
        raise BadRequest(str(no)) from None
    if not trusted:
        raise UnknownLog(checkpoint.origin)
    try:
        verify(asked.note, trusted)
    except NoteError as no:
        raise BadSignature(str(no)) from None
    if asked.old > checkpoint.size:
        raise BadRequest("the old size is larger than the checkpoint's")
    forked = 0 < checkpoint.size == seen.size and checkpoint.root != seen.root
    if forked or asked.old != seen.size:
        raise Conflict(seen.size, forked)
    if asked.old == 0 and asked.proof:
        raise BadProof("nothing is to be proved from an empty log")
    if checkpoint.size == 0 and checkpoint.root != root(()):
        raise BadProof("this is not the root of an empty tree")
    try:
        if asked.old:
            verify_consistency(
                asked.old, checkpoint.size, seen.root, checkpoint.root, asked.proof
            )
    except ProofError as no:
        raise BadProof(str(no)) from None
    return checkpoint
