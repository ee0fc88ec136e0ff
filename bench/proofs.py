"""One proof of inclusion from the tiles of a log of ten million leaves, beside the hashes that it is made of."""

import os
import tempfile
import time
from hashlib import sha256
from pathlib import Path
from random import Random
from statistics import median
from uuid import UUID

from sqlalchemy import insert, update

from app.database import Database, FilesPlace
from ledger.merkle import (
    TILE_WIDTH,
    inclusion_proof,
    tile_root,
    tree_root,
    verify_inclusion,
)
from ledger.models import log_leaf, log_state, log_tile
from ledger.tiles import nodes
from tests.conftest import CREUSE

HASHES = 32 * TILE_WIDTH
TRIES = 300


def time_proofs(leaves: int) -> None:
    """Fill the tiles with random hashes, then time proofs that read them from SQLite, each with a cold cache of its own."""
    with tempfile.TemporaryDirectory() as folder:
        database = Database(FilesPlace(Path(folder)))
        database.add_departement(CREUSE)
        started = time.perf_counter()
        _fill(database, leaves)
        print(
            f"  {leaves} simulated leaves in tiles, {time.perf_counter() - started:.0f} s"
        )
        dice, took = Random(1), []
        with database.begin("23", read_only=True) as session:
            root = tree_root(nodes(session), leaves)
            for _ in range(TRIES):
                index = dice.randrange(leaves)
                before = time.perf_counter()
                node = nodes(session)
                proof = inclusion_proof(node, index, leaves)
                took.append(time.perf_counter() - before)
                leaf = node(0, index)
                verify_inclusion(leaf, index, leaves, proof, root)
        database.close()
    # A proof folds a tile of 256 at each of its levels, on the path and on the right edge.
    levels = -(-(leaves - 1).bit_length() // 8)
    plain = _plain(2 * levels * TILE_WIDTH)
    worst = sorted(took)[int(TRIES * 0.99)]
    print(
        f"  one proof of inclusion {median(took) * 1e3:.2f} ms, 99 % under {worst * 1e3:.2f} ms (target 5),"
        f" {median(took) / plain:.1f} × its {2 * levels * TILE_WIDTH} hashes alone"
    )


def _fill(database: Database, leaves: int) -> None:
    level, count = 0, leaves
    row: list[bytes] | None = None
    with database.begin("23", "sequencer") as session:
        while count:
            above = []
            for n in range(count // TILE_WIDTH):
                tile = (
                    os.urandom(HASHES)
                    if row is None
                    else b"".join(row[n * TILE_WIDTH : (n + 1) * TILE_WIDTH])
                )
                above.append(tile_root(tile))
                session.execute(
                    insert(log_tile).values(level=level, n=n, hashes=tile, root=above[-1])
                )
            if row is None:  # the last leaves, which fill no tile
                rest = [os.urandom(32) for _ in range(count % TILE_WIDTH)]
                first = count - len(rest)
                for idx, leaf in enumerate(rest, first):
                    session.execute(
                        insert(log_leaf).values(
                            idx=idx, entry_id=_identifier(idx), leaf_hash=leaf
                        )
                    )
            row, count, level = above, len(above), level + 1
        session.execute(update(log_state).values(size=leaves))


def _identifier(number: int) -> UUID:

    return UUID(int=number)


def _plain(hashes: int) -> float:
    started = time.perf_counter()
    for _ in range(hashes):
        sha256(b"\x01" + bytes(64)).digest()
    return time.perf_counter() - started
