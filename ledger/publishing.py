"""Publishing the log: a committed checkpoint, signed, is shown; and never one that denies an older one.

What was shown once is remembered outside the database too (the caller hands it in as `shown`),
because a database restored from an old backup does not know what it has forgotten.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import func, insert, select
from sqlalchemy.orm import Session

from ledger.log_keys import LogSigner
from ledger.merkle import tree_root
from ledger.models import checkpoint, cosignature, log_state, published
from ledger.notes import Checkpoint, Line, Note, read, read_checkpoint, sign
from ledger.queries import log_size
from ledger.refusal import Refusal
from ledger.tiles import nodes

AT_MOST_EVERY = timedelta(seconds=10)


@dataclass(eq=False)
class LogBehind(Refusal):
    """The log is shorter than one that was shown: entries are missing, as after an old backup."""

    code = "log_behind"

    size: int
    shown: int
    by: str


@dataclass(eq=False)
class LogForked(Refusal):
    """The log is not the continuation of one that was shown: an entry before this size was changed."""

    code = "log_forked"

    size: int
    shown: int
    by: str


class Published(NamedTuple):
    """A signed checkpoint that was shown; `note` holds the cosignatures that came since."""

    size: int
    root: bytes
    note: str
    made_at: datetime


def newest(session: Session) -> Published | None:
    """Return the newest published checkpoint with its cosignatures, None before the first."""
    size = session.scalar(select(func.max(published.c.tree_size)))
    return None if size is None else at_size(session, size)


def at_size(session: Session, size: int) -> Published | None:
    """Return the published checkpoint of this size with its cosignatures, if there is one."""
    row = session.execute(
        select(checkpoint.c.root, published.c.note, published.c.made_at)
        .join(checkpoint, checkpoint.c.tree_size == published.c.tree_size)
        .where(published.c.tree_size == size)
    ).one_or_none()
    if row is None:
        return None
    lines = session.scalars(
        select(cosignature.c.line)
        .where(cosignature.c.tree_size == size)
        .order_by(cosignature.c.key_id)
    )
    note = row.note + "".join(f"{line}\n" for line in lines)
    return Published(size, bytes(row.root), note, row.made_at)


def agree(session: Session, shown: Checkpoint, *, by: str) -> None:
    """Raise `LogBehind` or `LogForked` unless the log continues what was shown, as told by `by`."""
    size = log_size(session)
    if size < shown.size:
        raise LogBehind(size, shown.size, by)
    if tree_root(nodes(session), shown.size) != shown.root:
        raise LogForked(size, shown.size, by)


def admit(session: Session, size: int, *, by: str) -> None:
    """Raise `LogBehind` or `LogForked` unless this log was once so large, as `by` says it saw it.

    So a witness may have seen more than we last showed: another publisher showed it.
    """
    known = log_size(session)
    if known < size:
        raise LogBehind(known, size, by)
    at = select(checkpoint.c.tree_size).where(checkpoint.c.tree_size == size)
    if session.scalar(at) is None:  # a size that was never signed
        raise LogForked(known, size, by)


def is_due(session: Session, at: datetime) -> bool:
    """Tell whether there is news to publish, and the last checkpoint is ten seconds old."""
    last = session.execute(
        select(published.c.tree_size, published.c.made_at)
        .order_by(published.c.tree_size.desc())
        .limit(1)
    ).one_or_none()
    size = log_size(session)
    if last is None:
        return size > 0
    # A clock that was set back does not stop the log from being shown.
    return size > last.tree_size and not last.made_at <= at < last.made_at + AT_MOST_EVERY


def publish(
    session: Session,
    signers: Sequence[LogSigner],
    *,
    shown: Checkpoint | None,
    at: datetime,
) -> Published | None:
    """Sign the newest committed checkpoint, or return None when it was published already.

    `shown` is the last one that is remembered outside the database.  The caller commits, then
    shows it.  Two publishers at once are harmless: the second finds it done.  Raises
    `LogBehind`, `LogForked`; the root that is signed is computed again, not believed.
    """
    session.execute(select(log_state.c.size).where(log_state.c.id == 1).with_for_update())
    if shown is not None:
        agree(session, shown, by="mark")
    if (last := newest(session)) is not None:
        agree(session, read_checkpoint(read(last.note).text), by="published")
    row = session.execute(
        select(checkpoint.c.tree_size, checkpoint.c.root)
        .order_by(checkpoint.c.tree_size.desc())
        .limit(1)
    ).one_or_none()
    if row is None or at_size(session, row.tree_size) is not None:
        return None
    made = Checkpoint(signers[0].name, row.tree_size, bytes(row.root))
    agree(session, made, by="checkpoint")
    note = str(Note(made.text, tuple(sign(made.text, s.name, s.private) for s in signers)))
    session.execute(
        insert(published).values(tree_size=row.tree_size, note=note, made_at=at)
    )
    return Published(row.tree_size, bytes(row.root), note, at)


def keep_cosignatures(session: Session, size: int, lines: Sequence[Line]) -> None:
    """Add to a published checkpoint the cosignatures of witnesses, already verified; one a key."""
    known = set(
        session.scalars(select(cosignature.c.key_id).where(cosignature.c.tree_size == size))
    )
    for line in lines:
        if (key := f"{line.name}+{line.id.hex()}") not in known:
            known.add(key)
            session.execute(
                insert(cosignature).values(tree_size=size, key_id=key, line=str(line))
            )
