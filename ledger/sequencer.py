"""The sequencer: gives committed entries their place in the log, and brings what is derived up to date.

One step is one transaction: take the oldest pending entries, append them to the tree, run the
projections (balances here, attribution handed in by `app`), write the checkpoint.  Two
sequencers at once are harmless: the second waits on `log_state`, then sees the new size.
`pending.seq` keeps an undo behind its spend; it is no watermark, so a row that commits late
is only late itself.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import date, datetime
from typing import NamedTuple

from sqlalchemy import delete, insert, select, text, update
from sqlalchemy.orm import Session

from ledger.bulk import is_postgres, run
from ledger.merkle import HASH_SIZE, TILE_WIDTH, extend, root, tile_root
from ledger.models import checkpoint, entry, log_leaf, log_state, log_tile, pending
from ledger.tiles import tile

MOST = 5_000
TILE = TILE_WIDTH * HASH_SIZE


class Sequenced(NamedTuple):
    """An entry with its place in the log, as a projection needs it."""

    idx: int
    leaf_hash: bytes
    occurred_on: date
    debit_id: int | None
    credit_id: int | None
    amount_cents: int
    uses: str | None
    subject: str | None
    turn: int | None


Projection = Callable[[Session, Sequence[Sequenced]], None]


def step(
    session: Session, *, at: datetime, project: Sequence[Projection] = (), most: int = MOST
) -> int:
    """Sequence up to `most` pending entries and return how many; 0 when nothing waits.

    The caller commits; only what is committed may be published.
    """
    size, packed = session.execute(
        select(log_state.c.size, log_state.c.frontier)
        .where(log_state.c.id == 1)
        .with_for_update()
    ).one()
    batch = _take(session, size, most)
    if not batch:
        return 0
    peaks = [packed[i : i + HASH_SIZE] for i in range(0, len(packed), HASH_SIZE)]
    frontier = extend(peaks, size, (e.leaf_hash for e in batch))
    grown = size + len(batch)
    _write_tiles(session, size, batch)
    _post_balances(session, batch)
    for projection in project:
        projection(session, batch)
    session.execute(
        update(log_state)
        .where(log_state.c.id == 1)
        .values(size=grown, frontier=b"".join(frontier))
    )
    session.execute(
        insert(checkpoint).values(tree_size=grown, root=root(frontier), made_at=at)
    )
    return len(batch)


# Where a row stands (its ctid) is looked up, never estimated: by its number, a long backlog and
# the whole journal are read at every step.  Nothing moves a pending row, and `log_state` is held.
_TAKE = """
    WITH taken AS (
      DELETE FROM pending
      WHERE ctid = ANY(ARRAY(SELECT ctid FROM pending ORDER BY seq LIMIT %(most)s))
      RETURNING seq, entry_id),
    placed AS MATERIALIZED (
      SELECT CAST(%(size)s AS bigint) + row_number() OVER (ORDER BY taken.seq) - 1 AS idx, e.id AS entry_id,
             e.leaf_hash, e.occurred_on, e.debit_id, e.credit_id, e.amount_cents, e.uses, e.subject, e.turn
      FROM taken JOIN entry AS e ON e.id = taken.entry_id),
    appended AS (
      INSERT INTO log_leaf (idx, entry_id, leaf_hash) SELECT idx, entry_id, leaf_hash FROM placed)
    SELECT idx, leaf_hash, occurred_on, debit_id, credit_id, amount_cents, uses, subject, turn
    FROM placed ORDER BY idx
    """


def _take(session: Session, size: int, most: int) -> list[Sequenced]:
    """Move the oldest pending entries to the log, and return them in its order."""
    if is_postgres(session):
        rows = run(session, _TAKE, {"most": most, "size": size})
        return [Sequenced._make(row) for row in rows]
    chosen = session.execute(
        select(
            pending.c.seq,
            entry.c.id,
            entry.c.leaf_hash,
            entry.c.occurred_on,
            entry.c.debit_id,
            entry.c.credit_id,
            entry.c.amount_cents,
            entry.c.uses,
            entry.c.subject,
            entry.c.turn,
        )
        .join(entry, entry.c.id == pending.c.entry_id)
        .order_by(pending.c.seq)
        .limit(most)
    ).all()
    if not chosen:
        return []
    session.execute(delete(pending).where(pending.c.seq <= chosen[-1][0]))
    batch = [Sequenced._make((idx, *row[2:])) for idx, row in enumerate(chosen, size)]
    session.execute(
        log_leaf.insert(),
        [
            {"idx": e.idx, "entry_id": row.id, "leaf_hash": e.leaf_hash}
            for e, row in zip(batch, chosen, strict=True)
        ],
    )
    return batch


def _write_tiles(session: Session, size: int, batch: Sequence[Sequenced]) -> None:
    """Write each tile that has just become full: of leaves, then of full tiles, level by level."""
    level, before, hashes = 0, size, [e.leaf_hash for e in batch]
    while (before + len(hashes)) // TILE_WIDTH > before // TILE_WIDTH:
        n, here = divmod(before, TILE_WIDTH)
        begun = tile(session, level, n)[: here * HASH_SIZE] if here else b""
        row = begun + b"".join(hashes)
        full = [row[at : at + TILE] for at in range(0, len(row) - TILE + 1, TILE)]
        roots = [tile_root(one) for one in full]
        session.execute(
            insert(log_tile),
            [
                {"level": level, "n": place, "hashes": one, "root": root_}
                for place, (one, root_) in enumerate(zip(full, roots, strict=True), n)
            ],
        )
        level, before, hashes = level + 1, n, roots


_POST = text(
    """
    INSERT INTO balance (account_id, debits, credits, upto_idx)
    VALUES (:account_id, :debits, :credits, :upto_idx)
    ON CONFLICT (account_id) DO UPDATE SET debits = balance.debits + excluded.debits,
      credits = balance.credits + excluded.credits, upto_idx = excluded.upto_idx
    """
)


def _post_balances(session: Session, batch: Sequence[Sequenced]) -> None:
    debits: defaultdict[int, int] = defaultdict(int)
    credits_: defaultdict[int, int] = defaultdict(int)
    for e in batch:
        if e.debit_id is not None and e.credit_id is not None:
            debits[e.debit_id] += e.amount_cents
            credits_[e.credit_id] += e.amount_cents
    touched = sorted(debits.keys() | credits_.keys())
    if touched:
        session.execute(
            _POST,
            [
                {
                    "account_id": account,
                    "debits": debits[account],
                    "credits": credits_[account],
                    "upto_idx": batch[-1].idx,
                }
                for account in touched
            ],
        )
