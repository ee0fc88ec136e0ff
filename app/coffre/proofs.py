"""What a coffre is sealed by: a published checkpoint that its policy accepts, the policy, the keys."""

from dataclasses import dataclass
from typing import NamedTuple

from sqlalchemy import select
from sqlalchemy.orm import Session

from ledger.log_keys import public_log_keys
from ledger.models import log_leaf, published, witness_policy
from ledger.notes import NoteError, read, read_checkpoint
from ledger.policy import NOBODY, read_policy, vouch
from ledger.publishing import Published, at_size
from ledger.refusal import Refusal

MOST_TRIED = 200


@dataclass(eq=False)
class NothingPublished(Refusal):
    """No checkpoint of the log has been published: nobody outside could tell it from another."""

    code = "nothing_published"


@dataclass(eq=False)
class NotCosigned(Refusal):
    """No recent checkpoint bears the cosignatures that its policy asks for."""

    code = "not_cosigned"

    size: int


class Seal(NamedTuple):
    """A checkpoint, the policy that was in force in it, the keys of the log, and its name."""

    published: Published
    origin: str
    policy: str
    keys: tuple[str, ...]


def newest_seal(session: Session) -> Seal:
    """Return the newest published checkpoint that its policy accepts.

    Raises `NothingPublished`, `NotCosigned`: witnesses may need a while.
    """
    keys = tuple(key.vkey for key in public_log_keys(session))
    sizes = session.scalars(
        select(published.c.tree_size)
        .order_by(published.c.tree_size.desc())
        .limit(MOST_TRIED)
    ).all()
    for size in sizes:
        found = at_size(session, size)
        if found is None or size == 0:
            continue
        note, policy = read(found.note), _policy_at(session, size, keys)
        try:
            vouch(read_policy(policy), note)
        except NoteError:
            continue
        return Seal(found, read_checkpoint(note.text).origin, policy, keys)
    if sizes:
        raise NotCosigned(sizes[0])
    raise NothingPublished


def _policy_at(session: Session, size: int, keys: tuple[str, ...]) -> str:
    """Return the policy that the first `size` entries set, with the keys of the log."""
    text = session.scalar(
        select(witness_policy.c.text)
        .join(log_leaf, log_leaf.c.entry_id == witness_policy.c.entry_id)
        .where(log_leaf.c.idx < size)
        .order_by(witness_policy.c.version.desc())
        .limit(1)
    )
    text = text or f"quorum {NOBODY}\n"
    logs = "".join(f"log {key}\n" for key in keys)
    return text if read_policy(text).logs else logs + text
