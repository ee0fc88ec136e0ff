"""Writing entries: the database, not a look before the leap, says who won a right."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import func, select, text, tuple_
from sqlalchemy.orm import Session

from ledger import attempts, canonical
from ledger.accounts import account_id
from ledger.bulk import bytes_array, is_postgres, plain_array, run, text_array, uuid_array
from ledger.entries import BODY_VERSION, Entry, Right
from ledger.merkle import leaf_hash
from ledger.models import entry, pending
from ledger.refusal import Refusal


@dataclass(eq=False)
class RightUsed(Refusal):
    """Another act used the right first."""

    code = "right_used"

    uses: str
    subject: str
    by: str


class Holder(NamedTuple):
    """Who used a right: the entry and what it tells."""

    entry_id: UUID
    kind: str
    facts: dict[str, Any]
    body: dict[str, Any]


def record(session: Session, entries: Sequence[Entry]) -> set[UUID]:
    """Write entries and queue them for the log; return the ids of those that lost their right.

    An entry whose right is already used is left out: the caller explains it with `holders`.
    An undo without its spend is an IntegrityError, and so is an id that another entry has.
    """
    if not entries:
        return set()
    if is_postgres(session):
        return _record_in_one_statement(session, entries)
    return _record_as_only_writer(session, entries)


class Settled(NamedTuple):
    """What became of a queue of acts: the ids of replays, and those of entries that lost their right."""

    replays: set[UUID]
    lost: set[UUID]


def settle(
    session: Session, opened: Sequence[attempts.Attempt], entries: Sequence[Entry]
) -> Settled:
    """Open the attempts of a queue of single acts and write their entries, in one exchange.

    The entry of an act that is a replay is left out: its answer was given then.  The attempt
    is written before the entry, so whoever comes second with the same id waits, and finds it.
    """
    if is_postgres(session):
        rows = run(session, _SETTLE, attempts.columns(opened) | _columns(entries))
        return Settled(
            {row[0] for row in rows if row[1]}, {row[0] for row in rows if not row[1]}
        )
    replayed = attempts.open_attempts(session, opened)
    lost = record(session, [e for e in entries if e.act not in replayed])
    return Settled(replayed, lost)


def must_record(session: Session, entries: Sequence[Entry]) -> None:
    """Write all of these entries, or raise `RightUsed` for the first that lost."""
    lost = record(session, entries)
    for late in entries:
        if late.id in lost and (right := late.right) is not None:
            holder = holders(session, [right])[right]
            raise RightUsed(right.uses, right.subject, holder.kind)


def next_turn(session: Session, uses: str, subject: str) -> int:
    """Return the turn after those that are used up, of a right whose turns follow one another from 0.

    Whoever holds no gate meanwhile may find it used: `must_record` says so.
    """
    turns = select(func.count()).where(entry.c.uses == uses, entry.c.subject == subject)
    return session.scalars(turns).one()


def holders(session: Session, rights: Iterable[Right]) -> dict[Right, Holder]:
    """Tell who used each of these rights."""
    rows = session.execute(
        select(
            entry.c.uses,
            entry.c.subject,
            entry.c.turn,
            entry.c.id,
            entry.c.kind,
            entry.c.body,
        ).where(tuple_(entry.c.uses, entry.c.subject, entry.c.turn).in_(list(rights)))
    ).all()
    found = {}
    for uses, subject, turn, identifier, kind, body in rows:
        told = canonical.decode(body)
        found[Right(uses, subject, turn)] = Holder(identifier, kind, told["facts"], told)
    return found


_TOLD = """
    told AS MATERIALIZED (
      SELECT * FROM unnest(
        CAST(%(entry_id)s AS uuid[]), CAST(%(act_id)s AS uuid[]), CAST(%(kind)s AS text[]),
        CAST(%(occurred_at)s AS timestamptz[]), CAST(%(occurred_on)s AS date[]),
        CAST(%(recorded_at)s AS timestamptz[]), CAST(%(actor)s AS text[]),
        CAST(%(debit_id)s AS bigint[]), CAST(%(credit_id)s AS bigint[]),
        CAST(%(amount_cents)s AS bigint[]), CAST(%(uses)s AS text[]), CAST(%(subject)s AS text[]),
        CAST(%(turn)s AS bigint[]), CAST(%(body)s AS bytea[]), CAST(%(leaf_hash)s AS bytea[]))
      WITH ORDINALITY AS r(id, act_id, kind, occurred_at, occurred_on, recorded_at, actor,
                           debit_id, credit_id, amount_cents, uses, subject, turn,
                           body, leaf_hash, place)),
    won AS (
      INSERT INTO entry (id, act_id, kind, occurred_at, occurred_on, recorded_at, actor,
                         debit_id, credit_id, amount_cents, uses, subject, turn,
                         body, body_version, leaf_hash)
      SELECT id, act_id, kind, occurred_at, occurred_on, recorded_at, actor,
             debit_id, credit_id, amount_cents, uses, subject, turn, body, %(version)s, leaf_hash
      FROM told WHERE {due} ORDER BY subject, place
      ON CONFLICT (uses, subject, turn) DO NOTHING
      RETURNING id),
    queued AS (
      INSERT INTO pending (entry_id) SELECT id FROM won)"""
_LOST = "SELECT id FROM told WHERE {due} AND id NOT IN (SELECT id FROM won)"
_RECORD = f"WITH {_TOLD} {_LOST}".format(due="true")
# `IS TRUE` keeps the subquery a hashed one: time grows with the queue, not with its square.
_SETTLE = (
    f"WITH {attempts.OPENED}, {_TOLD}"
    f" SELECT id, true FROM ({attempts.REPLAYED}) AS r UNION ALL SELECT id, false FROM ({_LOST}) AS l"
).format(due="(act_id IN (SELECT id FROM fresh)) IS TRUE")


def _record_in_one_statement(session: Session, entries: Sequence[Entry]) -> set[UUID]:
    rows = run(session, _RECORD, _columns(entries))
    return {row[0] for row in rows}


def _columns(entries: Sequence[Entry]) -> dict[str, Any]:
    bodies = [e.body() for e in entries]
    rights = [e.right or (None, None, None) for e in entries]
    return {
        "entry_id": uuid_array([e.id for e in entries]),
        "act_id": uuid_array([e.act for e in entries]),
        "kind": text_array([e.kind for e in entries]),
        "occurred_at": plain_array([f'"{e.at}"' for e in entries]),
        "occurred_on": plain_array([e.on for e in entries]),
        "recorded_at": plain_array([f'"{e.recorded}"' for e in entries]),
        "actor": text_array([e.actor for e in entries]),
        "debit_id": plain_array([e.debit and account_id(e.debit) for e in entries]),
        "credit_id": plain_array([e.credit and account_id(e.credit) for e in entries]),
        "amount_cents": plain_array([e.cents for e in entries]),
        "uses": text_array([uses for uses, _, _ in rights]),
        "subject": text_array([subject for _, subject, _ in rights]),
        "turn": plain_array([turn for _, _, turn in rights]),
        "body": bytes_array(bodies),
        "leaf_hash": bytes_array([leaf_hash(body) for body in bodies]),
        "version": BODY_VERSION,
    }


def _record_as_only_writer(session: Session, entries: Sequence[Entry]) -> set[UUID]:
    # BEGIN IMMEDIATE made us the only writer: what we read now stays true until we commit.
    rights = [e.right for e in entries if e.right is not None]
    taken: set[Right] = set(_used(session, rights)) if rights else set()
    winners, lost = [], set()
    for candidate in entries:
        if candidate.right is not None:
            if candidate.right in taken:
                lost.add(candidate.id)
                continue
            taken.add(candidate.right)
        winners.append(candidate)
    if winners:
        session.execute(entry.insert(), [row_of(e, e.body()) for e in winners])
        session.execute(pending.insert(), [{"entry_id": e.id} for e in winners])
    return lost


_USED = text(
    """
    SELECT e.uses, e.subject, e.turn
    FROM json_each(:rights) AS r
    JOIN entry AS e ON e.uses = r.value ->> 0 AND e.subject = r.value ->> 1
                   AND e.turn = r.value ->> 2
    """
)


def _used(session: Session, rights: Sequence[Right]) -> Iterable[Right]:
    rows = session.execute(_USED, {"rights": canonical.encode(rights).decode()})
    return [Right(*row) for row in rows]


def row_of(e: Entry, body: bytes) -> dict[str, Any]:
    """Return what stands in the table for an entry and the bytes it was, or will be, hashed as."""
    uses, subject, turn = e.right or (None, None, None)
    return {
        "id": e.id,
        "act_id": e.act,
        "kind": e.kind,
        "occurred_at": e.at,
        "occurred_on": e.on,
        "recorded_at": e.recorded,
        "actor": e.actor,
        "debit_id": e.debit and account_id(e.debit),
        "credit_id": e.credit and account_id(e.credit),
        "amount_cents": e.cents,
        "uses": uses,
        "subject": subject,
        "turn": turn,
        "body": body,
        "body_version": e.v,
        "leaf_hash": leaf_hash(body),
    }
