"""The tiles of the log as proofs read them: full ones are kept, the last of each level is made anew."""

from sqlalchemy import select
from sqlalchemy.orm import Session

from ledger.merkle import TILE_HEIGHT, TILE_WIDTH, ReadNode, in_tiles
from ledger.models import log_leaf, log_tile


def tile(session: Session, level: int, n: int) -> bytes:
    """Return the hashes of a tile side by side, as many as there are: 256 once it is full, maybe none."""
    kept = session.scalar(
        select(log_tile.c.hashes).where(log_tile.c.level == level, log_tile.c.n == n)
    )
    if kept is not None:
        return bytes(kept)
    first, last = n * TILE_WIDTH, (n + 1) * TILE_WIDTH - 1
    if level == 0:
        leaves = select(log_leaf.c.leaf_hash).where(log_leaf.c.idx.between(first, last))
        return b"".join(session.scalars(leaves.order_by(log_leaf.c.idx)))
    below = select(log_tile.c.root).where(
        log_tile.c.level == level - 1, log_tile.c.n.between(first, last)
    )
    return b"".join(session.scalars(below.order_by(log_tile.c.n)))


def width(size: int, level: int, n: int) -> int:
    """Return how many hashes a tile has in a log of this size: 0 when it is not there yet."""
    there = (size >> level * TILE_HEIGHT) - n * TILE_WIDTH
    return max(0, min(TILE_WIDTH, there))


def nodes(session: Session) -> ReadNode:
    """Return the nodes of the tree, for proofs; each tile is asked of the database once."""
    known: dict[tuple[int, int], bytes] = {}

    def read(level: int, n: int) -> bytes:
        if (level, n) not in known:
            known[level, n] = tile(session, level, n)
        return known[level, n]

    return in_tiles(read)
