"""Keys are sealed under a secret that is stored nowhere, and paper outlives them."""

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import func, select

from issuance import tokens
from issuance.keys import (
    KeysLocked,
    NewKeys,
    NoKeys,
    keyring,
    new_keys,
    seal,
    signer,
    unseal,
)
from issuance.models import secret_key, voucher
from issuance.orders import order_row
from issuance.paper import printed_passes
from ledger import canonical
from ledger.identifiers import new_id
from ledger.models import entry
from tests.builders import (
    CREUSE,
    SECRET,
    a_workshop,
    a_world,
    an_order,
    done,
    given,
    scanned,
)
from tests.conftest import moment

NOW = moment("2020-01-08")
OTHER_SECRET = b"another secret, also long enough"


def renewed(session, secret: bytes = SECRET, request: NewKeys | None = None):
    return new_keys(
        session, request or NewKeys(new_id()), secret=secret, by="test", now=NOW
    )


def test_a_secret_is_stretched_once_and_never_seals_twice_alike():
    private = b"a private key of thirty-two byte"
    first, second = (seal(private, SECRET, "voucher", 1) for _ in range(2))
    other = seal(private, OTHER_SECRET, "voucher", 1)
    salt, nonce = slice(4, 20), slice(20, 32)
    assert first[salt] == second[salt] != other[salt]
    assert first[nonce] != second[nonce]
    assert first[32:] != second[32:]
    assert unseal(second, SECRET, "voucher", 1) == private


def test_the_wrong_secret_unseals_nothing(session):
    done(renewed(session))
    with pytest.raises(KeysLocked) as refusal:
        signer(session, "23", OTHER_SECRET)
    assert (refusal.value.code, refusal.value.reason) == ("keys_locked", "wrong_secret")
    with pytest.raises(KeysLocked, match="wrong_secret"):
        keyring(session, "23", OTHER_SECRET)


def test_without_a_secret_paper_is_recognised_and_none_is_made(session):
    done(renewed(session))
    ring = keyring(session, "23", None)
    assert (len(ring.vouchers), len(ring.specimens), ring.code_key) == (1, 1, None)
    with pytest.raises(KeysLocked, match="no_secret"):
        signer(session, "23", None)


def test_a_departement_without_keys_says_so(session):
    with pytest.raises(NoKeys):
        signer(session, "23", SECRET)


def test_a_secret_too_short_makes_no_key_and_is_remembered_as_refused(session):
    request = NewKeys(new_id())
    first = renewed(session, b"11 letters.", request)
    assert (first.code, first.facts) == ("keys_locked", {"reason": "too_short"})
    assert session.scalar(select(func.count()).select_from(secret_key)) == 0

    again = renewed(session, SECRET, request)

    assert again == msgspec.structs.replace(first, replayed=True)
    assert session.scalar(select(func.count()).select_from(secret_key)) == 0
    done(renewed(session, b"12 letters.."))


def test_new_keys_sign_from_now_on_and_old_ones_stay_in_the_ring(session):
    done(renewed(session))
    before = signer(session, "23", SECRET)
    done(renewed(session))
    after = signer(session, "23", SECRET)
    ring = keyring(session, "23", SECRET)

    assert (before.voucher_key_id, before.specimen_key_id) == (0, 1)
    assert (after.voucher_key_id, after.specimen_key_id) == (3, 4)
    assert after.code_key == before.code_key == ring.code_key
    assert (set(ring.vouchers), set(ring.specimens)) == ({0, 3}, {1, 4})


def test_old_tokens_verify_and_old_orders_print_the_same_after_new_keys(session):
    world = a_world(session)
    old = an_order(session, world, carnets=2)
    done(given(session, *old))
    done(renewed(session))
    world.signer, world.ring = signer(session, "23", SECRET), keyring(session, "23", SECRET)
    new = an_order(session, world, carnets=1)

    digests = dict(session.execute(select(voucher.c.serial, voucher.c.token_digest)).all())
    for number, serials, key_id in ((1, old, 0), (2, new, 3)):
        order = order_row(session, number)
        reprinted = list(printed_passes(order, world.signer, CREUSE.host))
        assert [str(p.serial) for p in reprinted] == serials
        for printed in reprinted:
            token = tokens.from_text(printed.url)
            assert tokens.digest(token) == digests[str(printed.serial)]
            assert printed == world.passes[str(printed.serial)]
            assert tokens.verify(token, world.ring.vouchers).key_id == key_id
    [verdict] = scanned(session, world, a_workshop(session), old[0])
    assert verdict.verdict == "accepted"


def test_a_specimen_is_not_signed_by_a_key_of_vouchers(session):
    world = a_world(session)
    [first, *_] = an_order(session, world, carnets=1, specimen=True)
    token = tokens.from_text(world.token(first))
    assert tokens.verify(token, world.ring.specimens).key_id == 1
    with pytest.raises(tokens.ForgedToken, match="key"):
        tokens.verify(token, world.ring.vouchers)


def test_nothing_private_is_in_a_sealed_blob_nor_in_an_entry(session):
    done(renewed(session))
    made = signer(session, "23", SECRET)
    private = [
        made.voucher_key.private_bytes_raw(),
        made.specimen_key.private_bytes_raw(),
        made.code_key,
    ]
    stored = list(session.scalars(select(secret_key.c.sealed)))
    bodies = list(session.scalars(select(entry.c.body)))

    assert len({*private}) == len(stored) == 3
    assert bodies
    for secret in [*private, SECRET]:
        assert not any(secret in blob for blob in stored)
        assert not any(secret in body or secret.hex().encode() in body for body in bodies)


def test_the_entry_tells_the_public_keys(session):
    answer = done(renewed(session))
    made = signer(session, "23", SECRET)
    body = session.scalars(select(entry.c.body).where(entry.c.id == answer.act)).one()
    assert canonical.decode(body)["facts"]["keys"] == [
        [0, "voucher", made.voucher_key.public_key().public_bytes_raw().hex()],
        [1, "specimen", made.specimen_key.public_key().public_bytes_raw().hex()],
        [2, "code", None],
    ]


def test_a_blob_moved_to_another_key_or_purpose_does_not_unseal():
    private = Ed25519PrivateKey.generate().private_bytes_raw()
    sealed = seal(private, SECRET, "voucher", 0)
    assert unseal(sealed, SECRET, "voucher", 0) == private
    for purpose, key_id in (("voucher", 3), ("specimen", 0), ("code", 0)):
        with pytest.raises(KeysLocked):
            unseal(sealed, SECRET, purpose, key_id)


def test_a_blob_with_one_bit_flipped_does_not_unseal():
    sealed = seal(bytes(32), SECRET, "voucher", 0)
    for place in (4, 20, 32, len(sealed) - 1):
        flipped = bytearray(sealed)
        flipped[place] ^= 1
        with pytest.raises(KeysLocked, match="wrong_secret"):
            unseal(bytes(flipped), SECRET, "voucher", 0)


def test_a_key_sealed_twice_is_never_the_same_blob():
    assert seal(bytes(32), SECRET, "code", 2) != seal(bytes(32), SECRET, "code", 2)


def test_new_keys_under_another_secret_are_refused_and_lock_nobody_out(session):
    done(renewed(session))
    assert renewed(session, OTHER_SECRET).code == "keys_locked"
    assert signer(session, "23", SECRET).voucher_key_id == 0


def test_a_secret_that_is_lost_is_followed_by_keys_under_another(session):
    """The drill: QR codes go on, typed codes of before are unknown, new paper has it all."""
    world = a_world(session)
    old = an_order(session, world, carnets=2)
    done(given(session, *old))
    refused = renewed(session, OTHER_SECRET)
    assert (refused.code, refused.facts) == ("keys_locked", {"reason": "wrong_secret"})

    made = done(renewed(session, OTHER_SECRET, NewKeys(new_id(), lost=True)))
    assert made.facts["lost"] is True
    assert [key[0] for key in made.facts["keys"]] == [3, 4, 5]

    world.signer = signer(session, "23", OTHER_SECRET)
    world.ring = keyring(session, "23", OTHER_SECRET)
    assert set(world.signer.every) == {3, 4}
    workshop = a_workshop(session)
    [by_qr] = scanned(session, world, workshop, old[0])
    assert by_qr.verdict == "accepted"
    typed = world.passes[old[1]]
    world.passes[old[1]] = typed._replace(url=typed.code)
    [by_code] = scanned(session, world, workshop, old[1])
    assert by_code.verdict == "unknown"
    with pytest.raises(KeysLocked, match="lost_key"):
        list(printed_passes(order_row(session, 1), world.signer, CREUSE.host))

    new = an_order(session, world, carnets=1)
    done(given(session, *new))
    world.passes[new[0]] = world.passes[new[0]]._replace(url=world.passes[new[0]].code)
    assert [v.verdict for v in scanned(session, world, workshop, *new[:2])] == [
        "accepted"
    ] * 2
    with pytest.raises(KeysLocked, match="wrong_secret"):
        signer(session, "23", b"yet another one, long enough")
    done(renewed(session, OTHER_SECRET))
    assert signer(session, "23", OTHER_SECRET).voucher_key_id == 6
