"""verify.py checks Ed25519, notes and policies by itself, and comes to the same verdicts as we do."""

import random

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)

from app.coffre import verify
from ledger import merkle
from ledger.notes import COSIGNATURE, Checkpoint, Note, cosign, public_key, sign
from ledger.policy import PolicyError, read_policy

# RFC 8032, section 7.1: public key, message, signature.
VECTORS = {
    "TEST 1": (
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
    ),
    "TEST 2": (
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    ),
    "TEST 3": (
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
    ),
}  # fmt: skip


def both(public: bytes, signature: bytes, message: bytes) -> bool:
    """Return the verdict, which the library and the code alone must share."""
    slow = verify.ed25519(public, signature, message, fast=False)
    assert slow == verify.ed25519(public, signature, message)
    return slow


@pytest.mark.parametrize("name", VECTORS)
def test_the_vectors_of_the_rfc(name):
    public, message, signature = (bytes.fromhex(part) for part in VECTORS[name])
    assert both(public, signature, message)
    assert not both(public, signature, message + b"x")


def library(public: bytes, signature: bytes, message: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except InvalidSignature:
        return False
    return True


def test_random_signatures_good_and_spoiled():
    dice = random.Random(3)
    for _turn in range(40):
        private = Ed25519PrivateKey.from_private_bytes(dice.randbytes(32))
        public, message = (
            private.public_key().public_bytes_raw(),
            dice.randbytes(dice.randrange(200)),
        )
        signature = private.sign(message)
        assert both(public, signature, message)
        for _spoiled in range(3):
            parts = [bytearray(public), bytearray(signature), bytearray(message or b"x")]
            chosen = dice.choice(parts)
            chosen[dice.randrange(len(chosen))] ^= 1 << dice.randrange(8)
            told = [bytes(part) for part in parts]
            assert not both(*told)
            assert not library(*told)


def test_s_must_be_below_the_order_of_the_group():
    private = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
    public, signature = private.public_key().public_bytes_raw(), private.sign(b"m")
    s = int.from_bytes(signature[32:], "little")
    again = signature[:32] + (s + verify.L).to_bytes(32, "little")
    assert both(public, signature, b"m")
    assert not both(public, again, b"m")


@pytest.mark.parametrize(
    "public",
    [bytes(31), bytes(33), b"\xff" * 32, (verify.P + 1).to_bytes(32, "little"), (1 | 1 << 255).to_bytes(32, "little"), (2).to_bytes(32, "little")],
)  # fmt: skip
def test_what_is_no_key_verifies_nothing(public):
    assert not both(public, bytes(64), b"")


@pytest.mark.parametrize("length", [0, 63, 65])
def test_a_signature_has_one_length(length):
    public = Ed25519PrivateKey.generate().public_key().public_bytes_raw()
    assert not both(public, bytes(length), b"")


def test_a_note_that_we_sign_is_read_the_same():
    log, witness = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
    text = Checkpoint("log.example/23", 12, bytes(32)).text
    lines = (
        sign(text, "log.example/23", log),
        cosign(text, "w.example", witness, seconds=5),
    )
    note = verify.read_note(str(Note(text, lines)))
    assert (note.origin, note.size, note.root) == ("log.example/23", 12, bytes(32))
    keys = [
        public_key("log.example/23", log),
        public_key("w.example", witness, COSIGNATURE),
    ]
    read = [verify.read_key(key.vkey) for key in keys]
    assert [key.id for key in read] == [key.id for key in keys]
    assert verify.signers(note, read) == {read[0]: None, read[1]: 5}


def test_random_policies_mean_the_same():
    dice = random.Random(4)
    keys = [
        public_key(f"w{n}.example", Ed25519PrivateKey.generate(), COSIGNATURE)
        for n in range(4)
    ]
    agreed = 0
    for _turn in range(600):
        lines, names = [], []
        for n in range(dice.randrange(4)):
            key = dice.choice(keys) if dice.random() < 0.1 else keys[n]
            lines.append(
                f"witness w{n} {key.vkey}" + dice.choice(["", " https://w.example"])
            )
            names.append(f"w{n}")
        for n in range(dice.randrange(3)):
            members = dice.sample(names, dice.randrange(len(names) + 1)) if names else []
            least = dice.choice(["any", "all", "0", "1", "2", "3", "x"])
            lines.append(f"group g{n} {least} {' '.join(members)}")
            names = [
                name for name in names if name not in members or dice.random() < 0.1
            ] + [f"g{n}"]
        lines.append(f"quorum {dice.choice([*names, 'none', 'x'])}")
        if dice.random() < 0.1:
            lines.append(dice.choice(["", "# a note", "quorum none", "hello"]))
        text = "\n".join(lines) + "\n"
        try:
            ours = read_policy(text)
        except PolicyError:
            with pytest.raises(verify.Unusable):
                verify.read_policy(text)
            continue
        theirs = verify.read_policy(text)
        for _cosigned in range(4):
            signed = dice.sample(keys, dice.randrange(5))
            told = {verify.Key(*[key.name, key.kind, key.public]): 0 for key in signed}
            holds = theirs.quorum == "none" or theirs.holds(theirs.quorum, told)
            assert holds == ours.is_met(set(signed)), text
            agreed += 1
    assert agreed > 200


def test_trees_of_every_size_have_our_root_and_our_proofs():
    leaves = [merkle.leaf_hash(str(n).encode()) for n in range(600)]
    frontier: tuple[bytes, ...] = ()
    for size in range(1, 601):
        frontier = merkle.extend(frontier, size - 1, leaves[size - 1 : size])
        assert verify.root_of(b"".join(leaves), size) == merkle.root(frontier)

    def read(level: int, n: int) -> bytes:
        if level == 0:
            return b"".join(leaves[n * 256 : (n + 1) * 256])
        return b"".join(merkle.tile_root(read(0, tile)) for tile in range(2))

    for size in (1, 2, 3, 7, 255, 256, 257, 600):
        root = verify.root_of(b"".join(leaves), size)
        for index in {0, size // 2, size - 1}:
            proof = merkle.inclusion_proof(merkle.in_tiles(read), index, size)
            assert verify.climbs(leaves[index], index, size, proof) == root
            assert verify.climbs(leaves[index], index, size, [*proof, bytes(32)]) != root
            if proof:
                assert verify.climbs(leaves[index], index, size, proof[:-1]) != root


@pytest.mark.parametrize(
    ("n", "width", "path"),
    [
        (0, 256, "000"),
        (5, 256, "005"),
        (1_234, 256, "x001/234"),
        (1_234_067, 256, "x001/x234/067"),
        (0, 70, "000.p/70"),
    ],
)
def test_tiles_are_where_the_specification_says(n, width, path):
    assert verify.tile_path(3, n, width) == f"tile/3/{path}"
