"""The Merkle tree of RFC 6962 and RFC 9162: growing it, proving from it, and checking what was proved.

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

A **proof** is a list of hashes of 32 bytes, in the order in which they are needed from the leaf
up.  Of inclusion (RFC 9162 §2.1.3): the siblings that turn a leaf hash into the root.  Of
consistency (§2.1.4): what turns the older root into the younger one, so that the younger tree
begins with the older one, unchanged.  Proofs are made from **nodes**: `node(height, place)` is the
root of the `place`-th complete subtree of 2^height leaves.

A **tile** (C2SP tlog-tiles) holds up to 256 hashes side by side: tile `n` of level `t` those of the
complete subtrees of 256ᵗ leaves from the 256·n-th on.  Every node is made of one tile.

    >>> bodies = [b"a", b"b", b"c"]
    >>> tiles = {(0, 0): b"".join(leaf_hash(body) for body in bodies)}
    >>> proof = inclusion_proof(in_tiles(lambda level, n: tiles[level, n]), 1, 3)
    >>> verify_inclusion(leaf_hash(b"b"), 1, 3, proof, root(frontier))

Nothing here touches a clock, a database or a network.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from hashlib import sha256
from hmac import compare_digest

HASH_SIZE = 32
TILE_WIDTH = 256
TILE_HEIGHT = 8
EMPTY_ROOT = sha256(b"").digest()

ReadTile = Callable[[int, int], bytes]  # level, number
ReadNode = Callable[[int, int], bytes]  # height, place


class ProofError(ValueError):
    """A proof does not prove what it is offered for."""


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
    return _fold(hashes)


def in_tiles(read: ReadTile) -> ReadNode:
    """Return the nodes that the tiles hold; `read(level, n)` gives a tile's hashes, side by side.

    A proof then reads one tile a level for the leaf's own path, and one for the tree's right edge.
    """

    def node(height: int, place: int) -> bytes:
        level, rest = divmod(height, TILE_HEIGHT)
        n, first = divmod(place << rest, TILE_WIDTH)
        return _fold(read(level, n)[first * HASH_SIZE : (first + (1 << rest)) * HASH_SIZE])

    return node


def tree_root(node: ReadNode, size: int) -> bytes:
    """Return the root of the first `size` leaves."""
    return _subtree(node, 0, size) if size else EMPTY_ROOT


def inclusion_proof(node: ReadNode, index: int, size: int) -> list[bytes]:
    """Prove that leaf `index` is in the tree of `size` leaves."""
    if not 0 <= index < size:
        raise ValueError(f"no leaf {index} in a tree of {size}")
    proof, first, end = [], 0, size
    while end - first > 1:
        middle = first + _split(end - first)
        if index < middle:
            proof.append(_subtree(node, middle, end))
            end = middle
        else:
            proof.append(_subtree(node, first, middle))
            first = middle
    return proof[::-1]


def consistency_proof(node: ReadNode, size1: int, size2: int) -> list[bytes]:
    """Prove that the tree of `size2` leaves begins with that of `size1`; nothing to prove from 0."""
    if not 0 <= size1 <= size2:
        raise ValueError(f"a tree of {size2} does not begin with one of {size1}")
    if size1 in {0, size2}:
        return []
    proof, first, end = [], 0, size2
    while end != size1:
        middle = first + _split(end - first)
        if size1 <= middle:
            proof.append(_subtree(node, middle, end))
            end = middle
        else:
            proof.append(_subtree(node, first, middle))
            first = middle
    if first:  # else the older tree is a complete subtree, and its root is known
        proof.append(_subtree(node, first, end))
    return proof[::-1]


def verify_inclusion(
    leaf_hash: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes
) -> None:
    """Raise `ProofError` unless the leaf is the `index`-th of the tree with this root (RFC 9162 §2.1.3.2)."""
    _refuse_odd_hashes(leaf_hash, root, *proof)
    if not 0 <= index < size:
        raise ProofError(f"no leaf {index} in a tree of {size}")
    node = leaf_hash
    for sibling, left in _climb(index, size - 1, proof):
        node = node_hash(sibling, node) if left else node_hash(node, sibling)
    if not compare_digest(node, root):
        raise ProofError("the proof leads to another root")


def verify_consistency(
    size1: int, size2: int, root1: bytes, root2: bytes, proof: Sequence[bytes]
) -> None:
    """Raise `ProofError` unless the second tree begins with the first (RFC 9162 §2.1.4.2).

    Every tree begins with the empty one, and with itself: that takes no hash, only the same root.
    """
    if not 0 <= size1 <= size2:
        raise ProofError(f"a tree of {size2} does not begin with one of {size1}")
    if proof and size1 in {0, size2}:
        raise ProofError("the proof is too long")
    if size1 == size2:
        if not compare_digest(root1, root2):
            raise ProofError("two roots for one size")
        return
    _refuse_odd_hashes(root1, root2, *proof)
    if size1 == 0:
        if not compare_digest(root1, EMPTY_ROOT):
            raise ProofError("this is not the root of an empty tree")
        return
    if not proof:
        raise ProofError("the proof is too short")
    # A complete subtree is its own first hash, which the proof leaves out.
    first, *rest = [root1, *proof] if size1.bit_count() == 1 else proof
    older = younger = first
    shift = (size1 & -size1).bit_length() - 1
    for sibling, left in _climb(size1 - 1 >> shift, size2 - 1 >> shift, rest):
        younger = node_hash(sibling, younger) if left else node_hash(younger, sibling)
        if left:
            older = node_hash(sibling, older)
    if not compare_digest(older, root1) or not compare_digest(younger, root2):
        raise ProofError("the proof leads to another root")


def _climb(place: int, last: int, proof: Iterable[bytes]) -> Iterator[tuple[bytes, bool]]:
    """Yield each hash of a proof and whether it stands left; raise if there are too many or too few."""
    for sibling in proof:
        if last == 0:
            raise ProofError("the proof is too long")
        left = bool(place & 1) or place == last
        yield sibling, left
        while left and place and not place & 1:
            place, last = place >> 1, last >> 1
        place, last = place >> 1, last >> 1
    if last:
        raise ProofError("the proof is too short")


def _refuse_odd_hashes(*hashes: bytes) -> None:
    if any(len(one) != HASH_SIZE for one in hashes):
        raise ProofError("a hash has 32 bytes")


def _split(width: int) -> int:
    """Return the largest power of two below a width of two or more."""
    return 1 << (width - 1).bit_length() - 1


def _subtree(node: ReadNode, first: int, end: int) -> bytes:
    """Return the root over the leaves from `first` to `end`: it starts where a subtree may start."""
    width = end - first
    if width & (width - 1):
        middle = first + _split(width)
        return node_hash(_subtree(node, first, middle), _subtree(node, middle, end))
    height = width.bit_length() - 1
    return node(height, first >> height)


def _fold(hashes: bytes) -> bytes:
    """Return the root of a complete subtree from the hashes of one of its rows."""
    row = [hashes[i : i + HASH_SIZE] for i in range(0, len(hashes), HASH_SIZE)]
    while len(row) > 1:
        row = [node_hash(row[i], row[i + 1]) for i in range(0, len(row), 2)]
    return row[0]
