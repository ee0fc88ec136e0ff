"""What a coffre is sealed by: a published checkpoint that its policy accepts, the policy, the keys."""

from dataclasses import dataclass
from typing import NamedTuple

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from ledger.log_keys import public_log_keys
from ledger.models import cosignature, log_leaf, published, witness_policy
from ledger.notes import NoteError, read, read_checkpoint
from ledger.policy import NOBODY, read_policy, vouch
from ledger.publishing import Published, at_size
from ledger.refusal import Refusal


@dataclass(eq=False)
class NothingPublished(Refusal):
    """No checkpoint of the log has been published: nobody outside could tell it from another."""

    code = "nothing_published"


@dataclass(eq=False)
class NotCosigned(Refusal):
    """No published checkpoint bears the cosignatures that its policy asks for."""

    code = "not_cosigned"

    size: int


class Seal(NamedTuple):
    """A checkpoint, the policy that was in force in it, the keys of the log, and its name.

    `newest` is the size of the newest published checkpoint, which may wait for cosignatures.
    """

    published: Published
    origin: str
    policy: str
    keys: tuple[str, ...]
    newest: int


def newest_seal(session: Session) -> Seal:
    """Return the newest published checkpoint that its policy accepts.

    Raises `NothingPublished`, `NotCosigned`: witnesses may need a while.
    """
    keys = tuple(key.vkey for key in public_log_keys(session))
    size = newest = session.scalar(select(func.max(published.c.tree_size))) or 0
    while size:
        found = at_size(session, size)
        if found is None:  # it was there a moment ago
            raise NothingPublished
        set_at, text = _policy_at(session, size, keys)
        note, policy = read(found.note), read_policy(text)
        try:
            vouch(policy, note)
        except NoteError:
            size = _before(session, size, 0 if policy.quorum == NOBODY else set_at)
            continue
        return Seal(found, read_checkpoint(note.text).origin, text, keys, newest)
    if newest:
        raise NotCosigned(newest)
    raise NothingPublished


def _before(session: Session, size: int, set_at: int) -> int:
    """Return the next smaller size worth trying, 0 for none.

    Under a policy that asks for witnesses, in force since the entry `set_at`, only checkpoints
    that somebody cosigned can do, or those from before it.
    """
    found = select(func.max(published.c.tree_size)).where(published.c.tree_size < size)
    if set_at:
        seen = select(cosignature.c.tree_size)
        found = found.where(
            or_(published.c.tree_size <= set_at, published.c.tree_size.in_(seen))
        )
    return session.scalar(found) or 0


def _policy_at(session: Session, size: int, keys: tuple[str, ...]) -> tuple[int, str]:
    """Return the policy that the first `size` entries set, with the keys of the log, and its entry's place."""
    row = session.execute(
        select(log_leaf.c.idx, witness_policy.c.text)
        .join(log_leaf, log_leaf.c.entry_id == witness_policy.c.entry_id)
        .where(log_leaf.c.idx < size)
        .order_by(witness_policy.c.version.desc())
        .limit(1)
    ).one_or_none()
    set_at, text = row or (0, f"quorum {NOBODY}\n")
    logs = "".join(f"log {key}\n" for key in keys)
    return set_at, logs + text
