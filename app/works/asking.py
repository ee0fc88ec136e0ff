"""Asking for a work, and reading how far it is."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
from sqlalchemy import insert, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from app.works.models import INPUT_MAX, work, work_result
from ledger import canonical
from ledger.bulk import is_postgres
from ledger.moments import Moment
from ledger.refusal import Refusal


@dataclass(eq=False)
class WorkReused(Refusal):
    """Another work was asked for under this id."""

    code = "work_reused"


class AskWork(msgspec.Struct, frozen=True):
    """A work to be done in the background: `total` units of a kind, over an input of 2 MB at most."""

    id: UUID
    kind: str
    request: dict[str, Any]
    total: int
    input: bytes | None = None


class Work(NamedTuple):
    """A work as a page shows it."""

    id: UUID
    kind: str
    request: dict[str, Any]
    asked_by: str
    asked_at: datetime
    total: int
    done: int
    held_until: datetime | None
    finished_at: datetime | None
    refused: str | None
    outcome: dict[str, Any]

    @property
    def percent(self) -> int:
        """How much is done, in whole hundredths; a hundred only once it all is."""
        return 100 * self.done // self.total


COLUMNS = (
    work.c.id, work.c.kind, work.c.request, work.c.asked_by, work.c.asked_at, work.c.total,
    work.c.done, work.c.held_until, work.c.finished_at, work.c.refused, work.c.outcome,
)  # fmt: skip


def as_work(row: Sequence[Any]) -> Work:
    """Return the work that a row of `COLUMNS` tells."""
    found = Work._make(row)
    return found._replace(
        request=canonical.decode(row[2].encode()),
        outcome=canonical.decode(row[10].encode()) if row[10] is not None else {},
    )


def ask(session: Session, asked: AskWork, *, by: str, now: Moment) -> bool:
    """Write a work that is begun once the caller's transaction is committed.

    False when it was asked for before, under this id: nothing is written.  Raises `WorkReused`
    when what was asked for then was something else, ValueError for an input too large or nothing
    to do.
    """
    if asked.total < 1 or len(asked.input or b"") > INPUT_MAX:
        raise ValueError("a work has something to do, on 2 MB at most")
    given = sha256(asked.input or b"").hexdigest()
    digest = canonical.digest([asked.kind, asked.request, given])
    row = {
        "id": asked.id,
        "kind": asked.kind,
        "request": canonical.encode(asked.request).decode(),
        "hash": digest,
        "input": asked.input,
        "asked_by": by,
        "asked_at": now.at,
        "total": asked.total,
        "done": 0,
        "tries": 0,
    }
    dialect = postgresql if is_postgres(session) else sqlite
    # On PostgreSQL the same form sent twice at once waits here for the first.
    written = dialect.insert(work).values(row).on_conflict_do_nothing()
    if session.scalar(written.returning(work.c.id)) is not None:
        return True
    if session.scalar(select(work.c.hash).where(work.c.id == asked.id)) != digest:
        raise WorkReused
    return False


def find(session: Session, which: UUID) -> Work | None:
    """Return a work, if it is one of this département."""
    row = session.execute(select(*COLUMNS).where(work.c.id == which)).one_or_none()
    return None if row is None else as_work(row)


def latest(session: Session, kind: str, *, most: int) -> list[Work]:
    """Return the last works of a kind, the newest first."""
    rows = session.execute(
        select(*COLUMNS)
        .where(work.c.kind == kind)
        .order_by(work.c.asked_at.desc(), work.c.id)
        .limit(most)
    )
    return [as_work(row) for row in rows]


def unfinished(session: Session, kind: str) -> list[Work]:
    """Return the works of a kind that are not finished, in the order in which they were asked for."""
    rows = session.execute(
        select(*COLUMNS)
        .where(work.c.kind == kind, work.c.finished_at.is_(None))
        .order_by(work.c.asked_at, work.c.id)
    )
    return [as_work(row) for row in rows]


def results(session: Session, which: UUID) -> list[dict[str, Any]]:
    """Return what became of each unit so far, in the order of the input."""
    bodies = session.scalars(
        select(work_result.c.body)
        .where(work_result.c.work == which)
        .order_by(work_result.c.number)
    )
    return [canonical.decode(body.encode()) for body in bodies]


def report(
    session: Session, which: UUID, start: int, bodies: Sequence[dict[str, Any]]
) -> None:
    """Write what became of units, from one of them on."""
    if bodies:
        rows = [
            {"work": which, "number": number, "body": canonical.encode(body).decode()}
            for number, body in enumerate(bodies, start)
        ]
        session.execute(insert(work_result), rows)
