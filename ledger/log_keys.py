"""The keys of the log, which sign checkpoints, receipts and answers; they never sign a voucher.

A key is added and ended by entries in the log itself.  A new key signs from the first checkpoint
that follows one which holds its entry: whoever trusts the old key has then seen the new one under
the old one's signature.  Until the old one is ended, both sign.  Public keys are kept for ever.
"""

import secrets
from dataclasses import dataclass
from functools import cached_property
from typing import Literal
from uuid import UUID

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import func, insert, select
from sqlalchemy.orm import Session

from ledger import gates
from ledger.attempts import Act, Answer, perform
from ledger.journal import must_record
from ledger.key_sealing import SECRET_MIN, KeysLocked, seal, unseal
from ledger.models import log_key, log_key_end, log_leaf, published
from ledger.moments import Moment
from ledger.notes import SIGNATURE, Key, NoteError, public_key
from ledger.refusal import Refusal

PURPOSE = "log"
Why = Literal["replaced", "lost", "exposed", "moved"]


@dataclass(eq=False)
class LogNamedAlready(Refusal):
    """The log has a name, which witnesses and auditors know it by; it keeps it."""

    code = "log_named_already"

    name: str


@dataclass(eq=False)
class LogNameWrong(Refusal):
    """A log is named like an address without its scheme: no space, no plus."""

    code = "log_name_wrong"

    name: str


@dataclass(eq=False)
class NoLogKey(Refusal):
    """The log has no key that signs."""

    code = "no_log_key"


@dataclass(eq=False)
class LogKeyUnknown(Refusal):
    """The log has no such key, or it has ended."""

    code = "log_key_unknown"

    rank: int


@dataclass(eq=False)
class LastLogKey(Refusal):
    """The only key that signs cannot be ended: a new one must be made first, and be in a checkpoint."""

    code = "last_log_key"

    rank: int


class NewLogKey(msgspec.Struct, frozen=True):
    """A request for a key of the log; the first one names the log, `<host>/<département>` as a rule.

    `lost`: the secret that sealed the keys there opens nothing any more; they end with this act.
    """

    id: UUID
    name: str
    lost: bool = False


class EndLogKey(msgspec.Struct, frozen=True):
    """A request that a key sign no more."""

    id: UUID
    rank: int
    why: Why


@dataclass(frozen=True)
class LogSigner:
    """A private key of the log, unsealed."""

    name: str
    private: Ed25519PrivateKey

    @cached_property
    def key_id(self) -> str:
        """What a signed answer calls it: the log's name, and the id of the key in its signature lines."""
        return f"{self.name}+{public_key(self.name, self.private).id.hex()}"


class Listed(msgspec.Struct, frozen=True):
    """A key of the log as people see it: whether it signs, and why it ended if it did."""

    rank: int
    vkey: str
    signs: bool
    ended: str | None


def new_log_key(
    session: Session, request: NewLogKey, *, secret: bytes, by: str, now: Moment
) -> Answer:
    """Make a key of the log, sealed under `secret`.

    Refused with `log_named_already` when the log has another name, `log_name_wrong`,
    `keys_locked` when the secret is too short or not the one of the other keys.
    """
    act = Act(request.id, "new_log_key", by, now)

    def done() -> None:
        gates.alone(session)
        rows = session.execute(select(log_key).order_by(log_key.c.rank)).all()
        if rows and rows[0].name != request.name:
            raise LogNamedAlready(rows[0].name)
        if len(secret) < SECRET_MIN:
            raise KeysLocked("too_short")
        ours = next((row for row in reversed(rows) if row.sealed), None)
        if ours is not None and not request.lost:  # all that are here must open together
            unseal(ours.sealed, secret, PURPOSE, ours.rank)
        rank, private = len(rows), secrets.token_bytes(32)
        try:
            key = public_key(request.name, Ed25519PrivateKey.from_private_bytes(private))
        except NoteError:
            raise LogNameWrong(request.name) from None
        must_record(session, [act.entry("log_key_made", {"rank": rank, "vkey": key.vkey})])
        session.execute(
            insert(log_key).values(
                rank=rank,
                name=request.name,
                public=key.public,
                sealed=seal(private, secret, PURPOSE, rank),
                entry_id=act.id,
            )
        )

        if request.lost:
            _end_all_before(session, act, rank)

    return perform(session, act, request, done)


def _end_all_before(session: Session, act: Act, rank: int) -> None:
    """End the keys that were lost, each by an entry of this act."""
    going = [k for k in listed_log_keys(session) if k.rank < rank and k.ended is None]
    for place, key in enumerate(going, 1):
        facts = {"rank": key.rank, "vkey": key.vkey, "why": "lost"}
        ended = act.entry("log_key_ended", facts, rank=place)
        must_record(session, [ended])
        session.execute(
            insert(log_key_end).values(rank=key.rank, why="lost", entry_id=ended.id)
        )


def end_log_key(session: Session, request: EndLogKey, *, by: str, now: Moment) -> Answer:
    """End a key: it signs nothing more, and what it signed stays good.

    Refused with `log_key_unknown`, and with `last_log_key` unless another key signs, or the key
    is lost, exposed, or stayed with another operator: then its successor signs at once, and whoever watches the log must be told
    to trust it.
    """
    act = Act(request.id, "end_log_key", by, now)

    def done() -> None:
        gates.alone(session)
        keys = {key.rank: key for key in listed_log_keys(session)}
        ending = keys.get(request.rank)
        if ending is None or ending.ended is not None:
            raise LogKeyUnknown(request.rank)
        others = [k for k in keys.values() if k.rank != request.rank and k.ended is None]
        if not others or (request.why == "replaced" and not any(k.signs for k in others)):
            raise LastLogKey(request.rank)
        facts = {"rank": request.rank, "vkey": ending.vkey, "why": request.why}
        must_record(session, [act.entry("log_key_ended", facts)])
        session.execute(
            insert(log_key_end).values(rank=request.rank, why=request.why, entry_id=act.id)
        )

    return perform(session, act, request, done)


def public_log_keys(session: Session) -> list[Key]:
    """Return every key that the log ever had, oldest first."""
    rows = session.execute(
        select(log_key.c.name, log_key.c.public).order_by(log_key.c.rank)
    )
    return [Key(name, SIGNATURE, bytes(public)) for name, public in rows]


def log_name(session: Session) -> str | None:
    """Return the name of the log, None until it has a key."""
    return session.scalar(select(log_key.c.name).where(log_key.c.rank == 0))


def listed_log_keys(session: Session) -> list[Listed]:
    """Return every key, oldest first, and whether it signs the next checkpoint."""
    rows = session.execute(
        select(
            log_key.c.rank,
            log_key.c.name,
            log_key.c.public,
            log_leaf.c.idx,
            log_key_end.c.why,
        )
        .outerjoin(log_leaf, log_leaf.c.entry_id == log_key.c.entry_id)
        .outerjoin(log_key_end, log_key_end.c.rank == log_key.c.rank)
        .order_by(log_key.c.rank)
    ).all()
    shown = session.scalar(select(func.max(published.c.tree_size))) or 0
    vouched = {r.rank for r in rows if r.idx is not None and r.idx < shown}
    going = [r for r in rows if r.why is None]
    # Nobody is left to vouch for a first key, nor for one whose elders were all lost.
    signing = {r.rank for r in going if r.rank in vouched} or {r.rank for r in going[:1]}
    return [
        Listed(
            r.rank,
            Key(r.name, SIGNATURE, bytes(r.public)).vkey,
            r.rank in signing,
            r.why,
        )
        for r in rows
    ]


def log_signers(session: Session, secret: bytes | None) -> list[LogSigner]:
    """Unseal the keys that sign the next checkpoint; raises `NoLogKey` or `KeysLocked`."""
    ranks = [key.rank for key in listed_log_keys(session) if key.signs]
    if not ranks:
        raise NoLogKey
    if secret is None:
        raise KeysLocked("no_secret")
    rows = session.execute(
        select(log_key.c.rank, log_key.c.name, log_key.c.sealed)
        .where(log_key.c.rank.in_(ranks))
        .order_by(log_key.c.rank)
    )
    return [
        LogSigner(
            name,
            Ed25519PrivateKey.from_private_bytes(unseal(sealed, secret, PURPOSE, rank)),
        )
        for rank, name, sealed in rows
    ]
