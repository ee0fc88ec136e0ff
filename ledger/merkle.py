"""The Merkle tree of RFC 6962 and RFC 9162, as far as growing it needs.

    leaf   SHA-256(0x00 || entry bytes)
    node   SHA-256(0x01 || left || right)
    root   of n leaves: the left child holds the largest power of two below n leaves

A **frontier** is what must be kept to go on: the roots of the complete subtrees that make up
the tree, widest first, one for each 1 in the binary form of the size.  Folding them from the
right gives the root.  The root of an empty tree is SHA-256 of nothing.

    >>> frontier = extend((), 0, [leaf_hash(b"a"), leaf_hash(b"b"), leaf_hash(b"c")])
    >>> len(frontier)
    2
    >>> root(frontier) == node_hash(node_hash(leaf_hash(b"a"), leaf_hash(b"b")), leaf_hash(b"c"))
    True

Nothing here touches a clock, a database or a network.
"""

from collections.abc import Iterable, Sequence
from hashlib import sha256

HASH_SIZE = 32
TILE_WIDTH = 256
EMPTY_ROOT = sha256(b"").digest()


def leaf_hash(body: bytes) -> bytes:
    """Return the hash of a leaf: what an auditor recomputes with one sha256 of one line."""
    return sha256(b"\x00" + body).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of an inner node."""
    return sha256(b"\x01" + left + right).digest()


def extend(
    frontier: Iterable[bytes], size: int, leaves: Iterable[bytes]
) -> tuple[bytes, ...]:
    """Return the frontier after these leaf hashes are appended to a tree of `size` leaves.

    Refuses (ValueError) a frontier that does not fit the size, or a hash that is not 32 bytes.
    """
    peaks = list(frontier)
    if len(peaks) != size.bit_count():
        raise ValueError(f"{len(peaks)} peaks do not make a tree of {size} leaves")
    for leaf in leaves:
        if len(leaf) != HASH_SIZE:
            raise ValueError("a hash has 32 bytes")
        node, pairs = leaf, size
        while pairs & 1:
            node = sha256(b"\x01" + peaks.pop() + node).digest()
            pairs >>= 1
        peaks.append(node)
        size += 1
    return tuple(peaks)


def root(frontier: Sequence[bytes]) -> bytes:
    """Return the root that this frontier stands for."""
    if not frontier:
        return EMPTY_ROOT
    node = frontier[-1]
    for peak in reversed(frontier[:-1]):
        node = node_hash(peak, node)
    return node


def tile_root(hashes: bytes) -> bytes:
    """Return the root of a full tile: 256 hashes of 32 bytes, side by side."""
    if len(hashes) != TILE_WIDTH * HASH_SIZE:
        raise ValueError("a full tile holds 256 hashes")
    level = [hashes[i : i + HASH_SIZE] for i in range(0, len(hashes), HASH_SIZE)]
    while len(level) > 1:
        level = [node_hash(level[i], level[i + 1]) for i in range(0, len(level), 2)]
    return level[0]
