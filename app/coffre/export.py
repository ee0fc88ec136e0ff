"""Writing a coffre: the log as far as a published checkpoint goes, and all that is needed to verify it.

    LISEZMOI.txt                what this is, for whoever opens it
    verify.py                   verifies all of it; needs nothing but Python
    manifest.json, .sha256      what is in it: the length and the digest of each file
    checkpoint.txt              the signed checkpoint, with its cosignatures
    policy.txt, keys.txt        whose cosignatures it must bear; every key the log ever had
    journal.jsonl               the bodies of the entries, one a line, line n+1 for entry n
    tile/…                      the hashes of the tree (C2SP tlog-tiles)
    figures/…                   balances, splits and claims as the books have them
    tables/…                    rows from which another instance can go on
    reference/…                 what the journal tells of sites, desks, tranches, orders, serials, keys
    proofs.jsonl                filtered: the place and the proof of each chosen entry

Entries are read as a stream, and nothing is kept of them but their hashes, in a file of its own.
A coffre holds nothing that can be spent: no token, no code, no private key, nothing of the vault.
"""

import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator
from datetime import datetime
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import IO, Any, NamedTuple

import msgspec
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.coffre import figures
from app.coffre.packing import Packer, packed
from app.coffre.proofs import Seal
from app.coffre.refusals import JustAmended, LogDiffers
from app.coffre.scopes import Scope
from app.coffre.tables import CHECKPOINTS, TOLD, amended_since, told_rows
from app.coffre.verify import FORMAT, REFERENCE, tile_path
from app.registry import Departement
from ledger import canonical
from ledger.merkle import (
    HASH_SIZE,
    TILE_HEIGHT,
    TILE_WIDTH,
    inclusion_proof,
    leaf_hash,
    node_hash,
    tile_root,
    tree_root,
)
from ledger.models import checkpoint, entry, log_leaf
from ledger.moments import Moment
from ledger.told import plain

CHUNK = 5_000
NODES = 1 << 17

Progress = Callable[[int], Any]


class Exported(NamedTuple):
    """What was written: how many entries of a log of this size, and its root."""

    entries: int
    size: int
    root: str


class _Kind(msgspec.Struct):
    kind: str


_kind = msgspec.json.Decoder(_Kind)


def export(
    session: Session,
    tenant: Departement,
    target: Path,
    *,
    seal: Seal,
    scope: Scope | None = None,
    progress: Progress = lambda _done: None,
) -> Exported:
    """Write the coffre of a sealed log to a file that does not exist yet; all of it, or nothing.

    The session must see one picture throughout.  The same log and checkpoint give the same bytes.
    Raises `LogDiffers` when the entries do not give the root that was published, `JustAmended`
    until the next checkpoint, and the refusals of `packing.packed`.
    """
    size = seal.published.size
    if scope is None and amended_since(session, size):
        raise JustAmended(size)
    with packed(target) as packer, tempfile.TemporaryFile() as leaves:
        count = _write_journal(session, packer, leaves, size, scope, progress)
        tree = _Tree(leaves, size)
        if tree.root() != seal.published.root:
            raise LogDiffers(size)
        _write_tiles(packer, tree)
        if scope is None:
            _write_figures(session, packer, tenant, seal)
            _write_tables(session, packer, size)
            _write_checkpoints(session, packer, size)
        else:
            _write_proofs(session, packer, tree, scope)
        packer.add("checkpoint.txt", seal.published.note.encode())
        packer.add("policy.txt", seal.policy.encode())
        packer.add("keys.txt", "".join(f"{key}\n" for key in seal.keys).encode())
        package = files("app.coffre")
        packer.add("verify.py", package.joinpath("verify.py").read_bytes())
        root = seal.published.root.hex()
        told = {"count": count, "name": tenant.name, "origin": seal.origin, "size": size}
        read_me = package.joinpath("LISEZMOI.txt").read_text(encoding="utf-8")
        packer.add("LISEZMOI.txt", read_me.format(**told, root=root).encode())
        packer.close(
            {
                "departement": {
                    "code": tenant.code,
                    "host": tenant.host,
                    "name": tenant.name,
                    "timezone": tenant.timezone,
                },
                "documents": [],
                "entries": count,
                "exported_at": _instant(seal.published.made_at),
                "filter": None if scope is None else scope.told,
                "format": FORMAT,
                "origin": seal.origin,
                "root": root,
                "size": size,
            }
        )
    return Exported(count, size, root)


def _instant(at: datetime) -> str:
    return str(msgspec.to_builtins(at)).replace("+00:00", "Z")


def _bodies(session: Session, size: int) -> Iterator[tuple[int, bytes]]:
    rows = session.execute(
        select(log_leaf.c.idx, entry.c.body)
        .join(entry, entry.c.id == log_leaf.c.entry_id)
        .where(log_leaf.c.idx < size)
        .order_by(log_leaf.c.idx)
        .execution_options(yield_per=CHUNK)
    )
    for idx, body in rows:
        yield idx, bytes(body)


def _write_journal(
    session: Session,
    packer: Packer,
    leaves: IO[bytes],
    size: int,
    scope: Scope | None,
    progress: Progress,
) -> int:
    """Write the bodies, and keep the leaf of each; return how many were written."""
    reference: dict[str, list[bytes]] = defaultdict(list)
    count = 0
    with packer.stream("journal.jsonl") as write:
        for seen, (idx, body) in enumerate(_bodies(session, size)):
            if idx != seen:
                raise LogDiffers(size)
            leaves.write(leaf_hash(body))
            if scope is None or scope.holds(canonical.decode(body)):
                write(body + b"\n")
                count += 1
            if scope is None and (kind := _kind.decode(body).kind) in REFERENCE:
                told = canonical.decode(body)
                line = {
                    "entry": idx,
                    "facts": told["facts"],
                    "kind": kind,
                    "on": told["on"],
                }
                reference[REFERENCE[kind]].append(canonical.encode(line) + b"\n")
            if not seen % CHUNK:
                progress(seen)
    progress(size)
    if scope is None:
        for name in sorted(set(REFERENCE.values())):
            packer.add(f"reference/{name}.jsonl", b"".join(reference[name]))
    return count


class _Tree:
    """The tree over leaves in a file: its tiles, its root, its proofs."""

    def __init__(self, leaves: IO[bytes], size: int) -> None:
        self._leaves, self.size = leaves, size
        self._node = lru_cache(NODES)(self._made)
        # Level by level, the hashes of the tiles above the leaves: one for each full tile below.
        self.upper: list[list[bytes]] = []
        below = size
        while below := below // TILE_WIDTH:
            tiles = (self.tile(len(self.upper), n) for n in range(below))
            self.upper.append([tile_root(tile) for tile in tiles])

    def width(self, level: int, n: int) -> int:
        """Return how many hashes a tile has."""
        return min(TILE_WIDTH, (self.size >> TILE_HEIGHT * level) - n * TILE_WIDTH)

    def tile(self, level: int, n: int) -> bytes:
        """Return the hashes of a tile, as many as there are."""
        if level:
            return b"".join(self.upper[level - 1][n * TILE_WIDTH : (n + 1) * TILE_WIDTH])
        self._leaves.seek(n * TILE_WIDTH * HASH_SIZE)
        return self._leaves.read(self.width(0, n) * HASH_SIZE)

    def root(self) -> bytes:
        """Return the root."""
        return tree_root(self._node, self.size)

    def proof(self, index: int) -> list[bytes]:
        """Return what leads from a leaf to the root; neighbours share most of it, so it is kept."""
        return inclusion_proof(self._node, index, self.size)

    def _made(self, height: int, place: int) -> bytes:
        level, rest = divmod(height, TILE_HEIGHT)
        if rest:
            left = self._node(height - 1, 2 * place)
            return node_hash(left, self._node(height - 1, 2 * place + 1))
        if level:
            return self.upper[level - 1][place]
        self._leaves.seek(place * HASH_SIZE)
        return self._leaves.read(HASH_SIZE)


def _write_tiles(packer: Packer, tree: _Tree) -> None:
    level = 0
    while count := tree.size >> TILE_HEIGHT * level:
        for n in range(-(-count // TILE_WIDTH)):
            name = tile_path(level, n, tree.width(level, n))
            packer.add(name, tree.tile(level, n))
        level += 1


def _write_figures(
    session: Session, packer: Packer, tenant: Departement, seal: Seal
) -> None:
    size = seal.published.size
    now = Moment(seal.published.made_at, tenant.zone)
    for name, told in (
        ("balances", figures.balances(session, size)),
        ("claims", figures.claims(session, size, now)),
        ("splits", figures.splits(session, size)),
    ):
        packer.add(f"figures/{name}.json", canonical.encode(told) + b"\n")


def _write_tables(session: Session, packer: Packer, size: int) -> None:
    """Write the rows from which another instance goes on; what opens a door is left out."""
    for name in sorted(TOLD):
        with packer.stream(f"tables/{name}.jsonl") as write:
            for row in told_rows(session, name, size):
                write(canonical.encode(plain(row)) + b"\n")


def _write_checkpoints(session: Session, packer: Packer, size: int) -> None:
    """Write how far the log had come, and when: what was known on a day is then known elsewhere too."""
    rows = session.execute(
        select(checkpoint.c.tree_size, checkpoint.c.made_at)
        .where(checkpoint.c.tree_size.between(1, size))
        .order_by(checkpoint.c.tree_size)
        .execution_options(yield_per=CHUNK)
    )
    with packer.stream(f"tables/{CHECKPOINTS}.jsonl") as write:
        for row in rows:
            write(canonical.encode(plain(row)) + b"\n")


def _write_proofs(session: Session, packer: Packer, tree: _Tree, scope: Scope) -> None:
    with packer.stream("proofs.jsonl") as write:
        for idx, body in _bodies(session, tree.size):
            if scope.holds(canonical.decode(body)):
                proof = [each.hex() for each in tree.proof(idx)]
                write(canonical.encode({"idx": idx, "proof": proof}) + b"\n")
