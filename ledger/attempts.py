"""An act comes before what it does: the attempt is written first, so that a retry finds it.

A client names each act.  The same name with the same request is a replay and gets the answer
given then, acceptance or refusal; the same name with another request is refused.  An attempt,
its entries or its refusal, are one transaction: none is ever seen without its verdict.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields
from datetime import date, datetime
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from ledger import canonical
from ledger.bulk import bytes_array, is_postgres, plain_array, run, text_array, uuid_array
from ledger.entries import Entry, Right, entry_id
from ledger.models import attempt, entry, refusal
from ledger.moments import Moment
from ledger.refusal import Refusal

ACCEPTED = "accepted"
ACT_REUSED = "act_reused"


class Attempt(msgspec.Struct, frozen=True):
    """One request, as its client named it; `hash` is the SHA-256 of its canonical form.

    `shown` is the words of a device's screen, kept as evidence and not believed.
    """

    id: UUID
    act: str
    hash: bytes
    device: str
    received: datetime
    shown: str | None = None

    @property
    def shown_words(self) -> str | None:
        """What the screen said, as both databases can hold it: a NUL in it loses no queue of scans."""
        return self.shown and self.shown.replace("\0", "\ufffd")


class Answer(msgspec.Struct, frozen=True, omit_defaults=True):
    """What an act came to: `code` is "accepted" or a refusal's, `kind` that of its entry."""

    act: UUID
    code: str
    facts: dict[str, Any] = {}
    kind: str | None = None
    replayed: bool = False

    @property
    def accepted(self) -> bool:
        """Whether the act was done, now or when it was first asked."""
        return self.code == ACCEPTED


@dataclass(frozen=True)
class Act:
    """A single act under way: what its entries have in common; `shown` is what its screen said before."""

    id: UUID
    name: str
    by: str
    now: Moment
    shown: str | None = None

    def entry(
        self,
        kind: str,
        facts: dict[str, Any],
        *,
        rank: int = 0,
        credit: str | None = None,
        debit: str | None = None,
        cents: int = 0,
        right: Right | None = None,
        on: date | None = None,
        at: datetime | None = None,
    ) -> Entry:
        """Return an entry of this act; `on` is the day that counts and `at` the instant, now unless told."""
        return Entry(
            act=self.id,
            actor=self.by,
            at=at or self.now.at,
            cents=cents,
            credit=credit,
            debit=debit,
            facts=facts,
            id=entry_id(self.id, rank),
            kind=kind,
            on=on or self.now.day,
            recorded=self.now.at,
            right=right,
        )


def perform(
    session: Session, act: Act, request: object, operation: Callable[[], None]
) -> Answer:
    """Do an act once: open its attempt, do it, and return its answer, which a retry gets again.

    `operation` records entries, the first with the act's own id, or raises a `Refusal`, which
    undoes what it did and is kept as the answer.  The caller commits either way.  A refusal
    that is not `kept` is raised instead: the caller lets the whole transaction be undone.
    """
    asked = canonical.digest([act.name, request])
    opened = Attempt(act.id, act.name, asked, act.by, act.now.at, act.shown)
    if open_attempts(session, [opened]):
        return replays(session, [opened])[act.id]
    try:
        with session.begin_nested():
            operation()
    except Refusal as no:
        if not no.kept:
            raise
        facts = facts_of(no)
        refuse(session, [(act.id, no.code, facts)])
        return Answer(act.id, no.code, facts)
    kind, body = session.execute(
        select(entry.c.kind, entry.c.body).where(entry.c.id == act.id)
    ).one()
    return Answer(act.id, ACCEPTED, canonical.decode(body)["facts"], kind)


def facts_of(no: Refusal) -> dict[str, Any]:
    """Return the facts of a refusal as they are kept: dates and numbers a machine can read."""
    told = {f.name: getattr(no, f.name) for f in fields(no)}
    return canonical.decode(canonical.encode(told))  # type: ignore[no-any-return]


OPENED = """
    asked AS MATERIALIZED (
      SELECT * FROM unnest(CAST(%(id)s AS uuid[]), CAST(%(act)s AS text[]), CAST(%(hash)s AS bytea[]),
                           CAST(%(device)s AS text[]), CAST(%(shown)s AS text[]),
                           CAST(%(received)s AS timestamptz[]))
           AS r(id, act, request_hash, device, shown, received_at)),
    fresh AS (
      INSERT INTO attempt (id, act, request_hash, device, shown, received_at)
      SELECT id, act, request_hash, device, shown, received_at FROM asked ORDER BY id
      ON CONFLICT DO NOTHING
      RETURNING id)"""
REPLAYED = "SELECT id FROM asked WHERE id NOT IN (SELECT id FROM fresh)"
_OPEN = f"WITH {OPENED} {REPLAYED}"


def columns(opened: Sequence[Attempt]) -> dict[str, Any]:
    """Return attempts as the parameters of `OPENED`, for PostgreSQL."""
    return {
        "id": uuid_array([a.id for a in opened]),
        "act": text_array([a.act for a in opened]),
        "hash": bytes_array([a.hash for a in opened]),
        "device": text_array([a.device for a in opened]),
        "shown": text_array([a.shown_words for a in opened]),
        "received": plain_array([f'"{a.received}"' for a in opened]),
    }


def open_attempts(session: Session, attempts: Sequence[Attempt]) -> set[UUID]:
    """Write the attempts that are new; return the ids of the others, which are replays.

    Each id once.  Waits for another transaction that is writing the same attempt.
    """
    if is_postgres(session):
        rows = run(session, _OPEN, columns(attempts))
        return {row[0] for row in rows}
    # BEGIN IMMEDIATE made us the only writer.
    known = set(_known(session, [a.id for a in attempts]))
    fresh = [
        {
            "id": a.id,
            "act": a.act,
            "request_hash": a.hash,
            "device": a.device,
            "shown": a.shown_words,
            "received_at": a.received,
        }
        for a in attempts
        if a.id not in known
    ]
    if fresh:
        session.execute(attempt.insert(), fresh)
    return known


_KNOWN = text("SELECT a.id FROM json_each(:ids) AS r JOIN attempt AS a ON a.id = r.value")


def _known(session: Session, ids: Sequence[UUID]) -> Iterable[UUID]:
    rows = session.execute(_KNOWN, {"ids": canonical.encode(ids).decode()})
    return [UUID(row) for row in rows.scalars()]


def refuse(session: Session, refused: Sequence[tuple[UUID, str, dict[str, Any]]]) -> None:
    """Keep refusals (attempt, code, facts) as the answers of their attempts."""
    if refused:
        session.execute(
            refusal.insert(),
            [
                {"id": act, "code": code, "facts": canonical.encode(facts).decode()}
                for act, code, facts in refused
            ],
        )


def replays(session: Session, attempts: Sequence[Attempt]) -> dict[UUID, Answer]:
    """Return the answers given then; `act_reused` where the request is another one."""
    asked = {a.id: a for a in attempts}
    rows = session.execute(
        select(
            attempt.c.id,
            attempt.c.request_hash,
            refusal.c.code,
            refusal.c.facts,
            entry.c.kind,
            entry.c.body,
        )
        .outerjoin(refusal, refusal.c.id == attempt.c.id)
        .outerjoin(entry, entry.c.id == attempt.c.id)
        .where(attempt.c.id.in_(list(asked)))
    ).all()
    answers = {}
    for identifier, request_hash, code, facts, kind, body in rows:
        if request_hash != asked[identifier].hash:
            answers[identifier] = Answer(identifier, ACT_REUSED, {})
        elif code is not None:
            answers[identifier] = Answer(
                identifier, code, canonical.decode(facts.encode()), replayed=True
            )
        else:
            answers[identifier] = Answer(
                identifier, ACCEPTED, canonical.decode(body)["facts"], kind, replayed=True
            )
    return answers
