"""What is sealed opens with its key, about the same thing, unchanged; and in no other case."""

import pytest

from ledger.sealing import (
    KEY_SIZE,
    SealBroken,
    SealedByUnknownKey,
    Sealer,
    VaultLocked,
    key_id,
    key_text,
    new_key,
    read_keys,
)

OLD, NEW = bytes(range(32)), bytes(range(32, 64))
ABOUT = "vault/7c0f3f5e"
PLAIN = b"what nobody else may read"


def test_what_is_sealed_opens_again():
    sealer = Sealer([OLD])
    for plain in (b"", b"\x00", PLAIN, bytes(100_000)):
        assert sealer.open(sealer.seal(plain, ABOUT), ABOUT) == plain


def test_the_same_words_sealed_twice_have_nothing_in_common():
    sealer = Sealer([OLD])
    first, second = sealer.seal(PLAIN, ABOUT), sealer.seal(PLAIN, ABOUT)
    assert first[:5] == second[:5] == b"\x01" + bytes.fromhex(key_id(OLD))
    assert first[5:17] != second[5:17]
    assert first[17:33] != second[17:33]
    assert PLAIN not in first


@pytest.mark.parametrize(
    "about", ["vault/7c0f3f5f", "totp/7c0f3f5e", "vault/7c0f3f5e/", "", "vault"]
)
def test_what_is_moved_elsewhere_does_not_open(about):
    sealer = Sealer([OLD])
    with pytest.raises(SealBroken) as no:
        sealer.open(sealer.seal(PLAIN, ABOUT), about)
    assert (no.value.code, no.value.about) == ("seal_broken", about)


def test_no_byte_can_be_flipped_and_none_removed_or_added():
    sealer = Sealer([OLD])
    sealed = sealer.seal(PLAIN, ABOUT)
    for place in range(len(sealed)):
        flipped = bytearray(sealed)
        flipped[place] ^= 1
        with pytest.raises((SealBroken, SealedByUnknownKey)):
            sealer.open(bytes(flipped), ABOUT)
    for length in range(len(sealed)):
        with pytest.raises((SealBroken, SealedByUnknownKey)):
            sealer.open(sealed[:length], ABOUT)
    with pytest.raises(SealBroken):
        sealer.open(sealed + b"\x00", ABOUT)


def test_the_key_that_is_missing_is_named():
    sealed = Sealer([OLD]).seal(PLAIN, ABOUT)
    with pytest.raises(SealedByUnknownKey) as no:
        Sealer([NEW]).open(sealed, ABOUT)
    assert (no.value.code, no.value.key) == ("sealed_by_unknown_key", key_id(OLD))


def test_a_key_id_put_in_place_of_another_opens_nothing():
    both = Sealer([NEW, OLD])
    sealed = bytearray(Sealer([OLD]).seal(PLAIN, ABOUT))
    sealed[1:5] = bytes.fromhex(key_id(NEW))
    with pytest.raises(SealBroken):
        both.open(bytes(sealed), ABOUT)


def test_the_first_key_seals_and_the_others_still_open():
    sealed = Sealer([OLD]).seal(PLAIN, ABOUT)
    both = Sealer([NEW, OLD])
    assert both.open(sealed, ABOUT) == PLAIN
    assert not sealed.startswith(both.header)
    anew = both.seal(PLAIN, ABOUT)
    assert anew.startswith(both.header)
    assert Sealer([NEW]).open(anew, ABOUT) == PLAIN
    assert both.current == key_id(NEW)


def test_without_a_key_nothing_is_sealed_nor_opened():
    sealed, none = Sealer([OLD]).seal(PLAIN, ABOUT), Sealer()
    assert none.locked
    for use in (
        lambda: none.seal(PLAIN, ABOUT),
        lambda: none.open(sealed, ABOUT),
        lambda: none.header,
        lambda: none.current,
    ):
        with pytest.raises(VaultLocked) as no:
            use()
        assert (no.value.code, no.value.kept) == ("vault_locked", False)


def test_no_key_is_shown():
    shown = f"{Sealer([NEW, OLD])!r} {Sealer([NEW])}"
    assert key_id(NEW) in shown
    for secret in (repr(NEW), NEW.hex(), key_text(NEW), NEW.decode()):
        assert secret not in shown


def test_keys_are_read_one_a_line_or_between_commas():
    first, second = key_text(OLD), key_text(NEW)
    for written in (
        f"{first}\n{second}\n",
        f"{first},{second}",
        f"\r\n {first} ,\r\n{second},\n\n",
    ):
        assert read_keys(written) == [OLD, NEW]


@pytest.mark.parametrize(
    "written",
    ["", " \n,", "secret!", key_text(OLD)[:-4], key_text(OLD + b"x"), key_text(OLD) + "="],
)
def test_what_is_no_key_is_refused_and_not_repeated(written):
    with pytest.raises(ValueError, match="key") as no:
        read_keys(written)
    for word in written.split():
        assert word not in str(no.value)


def test_a_new_key_is_new_and_whole():
    keys = {new_key() for _ in range(100)}
    assert len(keys) == 100
    assert {len(key) for key in keys} == {KEY_SIZE}
    assert read_keys(key_text(min(keys))) == [min(keys)]
    with pytest.raises(ValueError, match="32 bytes"):
        Sealer([b"short"])
