"""Inclusion and consistency: good proofs are accepted, and nothing else is, bit by bit."""

import json
from base64 import b64decode
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.merkle import (
    EMPTY_ROOT,
    TILE_WIDTH,
    ProofError,
    consistency_proof,
    extend,
    in_tiles,
    inclusion_proof,
    leaf_hash,
    node_hash,
    root,
    tile_root,
    tree_root,
    verify_consistency,
    verify_inclusion,
)

VECTORS = Path(__file__).parents[3] / "shared" / "data" / "vectors" / "rfc6962-proofs.json"
LEAVES = [leaf_hash(b"%d" % n) for n in range(70_000)]


def nodes(leaves):
    made, level, row = {}, 0, list(leaves)
    while row:
        for first in range(0, len(row), TILE_WIDTH):
            made[level, first // TILE_WIDTH] = b"".join(row[first : first + TILE_WIDTH])
        whole = len(row) // TILE_WIDTH * TILE_WIDTH
        row = [
            tile_root(b"".join(row[first : first + TILE_WIDTH]))
            for first in range(0, whole, TILE_WIDTH)
        ]
        level += 1
    return in_tiles(lambda level, n: made[level, n])


NODE = nodes(LEAVES)
SIZES = st.integers(1, 700) | st.sampled_from(
    [255, 256, 257, 65_535, 65_536, 65_537, 70_000]
)


def root_of(size):
    return tree_root(NODE, size)


def flipped(proof):
    """Every proof that differs from this one by one bit."""
    for place, one in enumerate(proof):
        for bit in range(256):
            changed = (int.from_bytes(one) ^ 1 << bit).to_bytes(32)
            yield [*proof[:place], changed, *proof[place + 1 :]]


@pytest.mark.parametrize("size", [0, 1, 2, 3, 255, 256, 257, 700])
def test_tiles_and_frontier_agree_on_the_root(size):
    assert tree_root(NODE, size) == root(extend((), 0, LEAVES[:size]))


@given(st.data())
def test_every_leaf_of_every_size_is_proved(data):
    size = data.draw(SIZES)
    index = data.draw(st.integers(0, size - 1))
    proof = inclusion_proof(NODE, index, size)

    verify_inclusion(LEAVES[index], index, size, proof, root_of(size))

    other = data.draw(st.integers(0, size))
    if other not in {index, size}:
        with pytest.raises(ProofError):
            verify_inclusion(LEAVES[index], other, size, proof, root_of(size))
    for wrong in (proof[:-1], [*proof, EMPTY_ROOT]):
        if wrong != proof:
            with pytest.raises(ProofError):
                verify_inclusion(LEAVES[index], index, size, wrong, root_of(size))


@given(st.data())
def test_every_size_continues_every_smaller_one(data):
    size2 = data.draw(SIZES)
    size1 = data.draw(st.integers(0, size2))
    proof = consistency_proof(NODE, size1, size2)

    verify_consistency(size1, size2, root_of(size1), root_of(size2), proof)

    if 0 < size1 < size2:
        for wrong in (proof[:-1], [*proof, EMPTY_ROOT]):
            with pytest.raises(ProofError):
                verify_consistency(size1, size2, root_of(size1), root_of(size2), wrong)
        with pytest.raises(ProofError):
            verify_consistency(size1, size2, EMPTY_ROOT, root_of(size2), proof)


@pytest.mark.parametrize(("index", "size"), [(0, 2), (4, 7), (6, 7), (299, 600)])
def test_a_proof_of_inclusion_with_one_bit_changed_fails(index, size):
    proof, whole = inclusion_proof(NODE, index, size), root_of(size)
    tried = 0
    for wrong in flipped(proof):
        tried += 1
        with pytest.raises(ProofError):
            verify_inclusion(LEAVES[index], index, size, wrong, whole)
    assert tried == 256 * len(proof) > 0
    for changed in flipped([LEAVES[index]]):
        with pytest.raises(ProofError):
            verify_inclusion(changed[0], index, size, proof, whole)


@pytest.mark.parametrize(("size1", "size2"), [(1, 2), (3, 7), (4, 7), (6, 8), (299, 600)])
def test_a_proof_of_consistency_with_one_bit_changed_fails(size1, size2):
    proof = consistency_proof(NODE, size1, size2)
    roots = root_of(size1), root_of(size2)
    tried = 0
    for wrong in flipped(proof):
        tried += 1
        with pytest.raises(ProofError):
            verify_consistency(size1, size2, *roots, wrong)
    assert tried == 256 * len(proof) > 0
    for first, second in flipped(list(roots)):
        with pytest.raises(ProofError):
            verify_consistency(size1, size2, first, second, proof)


@pytest.mark.parametrize("hash_", [b"", b"\0" * 31, b"\0" * 33, b"\0" * 64])
def test_a_hash_has_32_bytes(hash_):
    proof, whole = inclusion_proof(NODE, 1, 5), root_of(5)
    for place in range(len(proof)):
        with pytest.raises(ProofError, match="32 bytes"):
            verify_inclusion(
                LEAVES[1], 1, 5, [*proof[:place], hash_, *proof[place + 1 :]], whole
            )
    with pytest.raises(ProofError, match="32 bytes"):
        verify_inclusion(hash_, 1, 5, proof, whole)
    with pytest.raises(ProofError, match="32 bytes"):
        verify_inclusion(LEAVES[1], 1, 5, proof, hash_)
    with pytest.raises(ProofError, match="32 bytes"):
        verify_consistency(2, 5, root_of(2), whole, [hash_])


def test_a_second_preimage_is_no_leaf():
    """An inner node offered as a leaf: the prefixes of RFC 6962 keep them apart."""
    pair = node_hash(LEAVES[0], LEAVES[1])
    whole = root_of(4)
    verify_inclusion(
        pair, 0, 2, [node_hash(LEAVES[2], LEAVES[3])], whole
    )  # of a tree of two
    with pytest.raises(ProofError):
        verify_inclusion(pair, 0, 4, [node_hash(LEAVES[2], LEAVES[3])], whole)
    assert leaf_hash(LEAVES[0] + LEAVES[1]) != pair


def test_nonsense_is_refused_where_proofs_are_made():
    for index, size in [(-1, 3), (3, 3), (0, 0)]:
        with pytest.raises(ValueError, match="no leaf"):
            inclusion_proof(NODE, index, size)
    with pytest.raises(ValueError, match="does not begin"):
        consistency_proof(NODE, 4, 3)


@pytest.mark.skipif(not VECTORS.exists(), reason="the public vectors are not in this clone")
@pytest.mark.parametrize("kind", ["inclusion", "consistency"])
def test_the_public_vectors(kind):
    vectors = json.loads(VECTORS.read_text())[kind]
    told = []
    for v in vectors:
        proof = [b64decode(one) for one in v["proof"] or []]
        try:
            if kind == "inclusion":
                leaf, whole = b64decode(v["leafHash"]), b64decode(v["root"])
                verify_inclusion(leaf, v["leafIdx"], v["treeSize"], proof, whole)
            else:
                roots = b64decode(v["root1"]), b64decode(v["root2"])
                verify_consistency(v["size1"], v["size2"], *roots, proof)
        except ProofError:
            told.append(True)
        else:
            told.append(False)
    assert told == [v["wantErr"] for v in vectors]
    assert {True, False} == set(told)


def proof_of(*hashes):
    return [b64decode(one) for one in hashes]


# From the test data of transparency-dev/merkle (Apache-2.0): one of each kind, for clones without it.
ONE = b64decode("bjQLnP+zepicpUTmu3gKLHiQHT+zNzh2hRGjBhevoB0=")
EIGHT = b64decode("XcnaeacGWamtVZy3Ad7ZoqudgjqtL0lgz+Nw7/RgQyg=")


def test_one_vector_of_each_kind():
    verify_inclusion(ONE, 0, 1, [], ONE)
    with pytest.raises(ProofError):
        verify_inclusion(ONE, 0, 1, [], EMPTY_ROOT)
    verify_consistency(1, 1, ONE, ONE, [])
    with pytest.raises(ProofError):
        verify_consistency(1, 8, ONE, EIGHT, [])
