"""Gates: where one act over thousands of passes (a lapse) meets the single acts it must not cross.

A single act holds the gate open for the length of its transaction; a group act waits for all
of them, closes it, and counts what is left.  Whoever comes later sees it closed.  Keys are
opaque here.  SQLite serialises its writers, so there a plain read is enough.
"""

from collections.abc import Iterable
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import select, text, update
from sqlalchemy.orm import Session

from ledger.bulk import is_postgres, run, text_array
from ledger.models import gate


class Gate(NamedTuple):
    """How a gate stands: which generation, and the act that closed it, if it is closed."""

    generation: int
    closed_by: UUID | None


REFERENCE = "reference"


def alone(session: Session) -> None:
    """Be the only act on reference data until the transaction ends; its generation is counted on.

    What is decided by looking (a code is free, the next version of a calendar) stays true until
    the commit.  The counter never takes this gate: it remembers what stood at a generation.
    """
    take(session, REFERENCE)
    counted = gate.c.generation + 1
    session.execute(update(gate).where(gate.c.key == REFERENCE).values(generation=counted))


def generation(session: Session) -> int:
    """Tell how often anybody was alone on the reference data; holds nothing."""
    asked = select(gate.c.generation).where(gate.c.key == REFERENCE)
    return int(session.scalars(asked).one())


def install(session: Session, keys: Iterable[str]) -> None:
    """Make open gates of generation 0."""
    session.execute(gate.insert(), [{"key": key, "generation": 0} for key in keys])


_HOLD = """
    SELECT key, generation, closed_by FROM gate
    WHERE key = ANY (CAST(%(keys)s AS text[]))
    ORDER BY key <> 'reference', key COLLATE "C" FOR KEY SHARE
"""
# Names are of one département, locks of the whole database.
_IN_TURN = """
    SELECT pg_advisory_xact_lock(hashtextextended(current_schema() || '/' || name, 0))
    FROM (SELECT unnest(CAST(:names AS text[])) AS name ORDER BY 1) AS each
"""


def hold(session: Session, keys: Iterable[str]) -> dict[str, Gate]:
    """Keep the gates as they are until the transaction ends; waits for a group act under way.

    `REFERENCE` comes first and the others follow by key, here as wherever several are taken: two
    acts never wait for each other.  Keys follow as `sorted` has them, whatever the collation of
    the database: one that passes over the slashes has order/10/stock before order/1/stock.
    """
    chosen = sorted(set(keys))
    if is_postgres(session):
        rows = run(session, _HOLD, {"keys": text_array(chosen)})
    else:
        columns = select(gate.c.key, gate.c.generation, gate.c.closed_by)
        rows = session.execute(columns.where(gate.c.key.in_(chosen))).all()
    return {key: Gate(generation, closed_by) for key, generation, closed_by in rows}


def take(session: Session, key: str) -> Gate:
    """Wait for every single act that holds the gate, and keep new ones out until the end."""
    _, generation, closed_by = session.execute(
        select(gate.c.key, gate.c.generation, gate.c.closed_by)
        .where(gate.c.key == key)
        .with_for_update()
    ).one()
    return Gate(generation, closed_by)


def in_turn(session: Session, names: Iterable[str]) -> None:
    """Wait for whoever else works on things of these names, and keep them waiting until the end.

    For single acts that must see what the other wrote and have no row in common.  Taken after the
    gates, all in one call.
    """
    if is_postgres(session):  # SQLite's writers come one by one
        session.execute(text(_IN_TURN), {"names": sorted(set(names))})


def close(session: Session, key: str, *, act: UUID) -> None:
    """Close a gate that this transaction has taken."""
    session.execute(update(gate).where(gate.c.key == key).values(closed_by=act))
