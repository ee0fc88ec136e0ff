"""A token says what is printed around it, and nobody without the key can make it say more."""

import hashlib
from datetime import date, timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from issuance import tokens
from issuance.serials import Serial
from issuance.tokens import Face, ForgedToken, HostNotPrintable, HostTooLong

# The hundred and one départements, and the codes that INSEE gives to the territorial
# collectivities that replace or share one.
DEPARTEMENTS = [
    *(f"{number:02d}" for number in range(1, 96) if number != 20),
    *("2A", "2B", "971", "972", "973", "974", "975", "976", "977", "978"),
    *("984", "986", "987", "988", "989", "69D", "69M", "6AE", "75C"),
]

KEY = Ed25519PrivateKey.from_private_bytes(bytes(32))
KEYS = {1: KEY.public_key()}

FACE = Face(
    key_id=1,
    departement="23",
    tranche=4,
    carnet=4217,
    rank=3,
    face_cents=1000,
    use_by=date(2027, 12, 31),
)
TOKEN = tokens.sign(FACE, KEY)
DIGITS = (
    "00069889572860722414381718481405992465532081244622679578061387583917772617741471"
    "08930852202320207287534758676381591962105983521002403011194114333804140400386541"
    "1382400965739426799233333321481"
)

faces = st.builds(
    Face,
    key_id=st.integers(0, 255),
    departement=st.sampled_from(DEPARTEMENTS),
    tranche=st.integers(0, 2**16 - 1),
    carnet=st.integers(0, 2**32 - 1),
    rank=st.integers(0, 255),
    face_cents=st.integers(0, 2**16 - 1),
    use_by=st.dates(date(2020, 1, 1), date(2020, 1, 1) + timedelta(days=2**16 - 1)),
)


def part_refused(read, *given):
    with pytest.raises(ForgedToken) as refusal:
        read(*given)
    assert refusal.value.code == "forged"
    return refusal.value.part


def test_the_printed_digits_never_change():
    assert tokens.to_url("pass.creuse.fr", TOKEN) == "HTTPS://PASS.CREUSE.FR/V/" + DIGITS
    assert tokens.verify(tokens.from_text(DIGITS), KEYS) == FACE


def test_the_fields_are_in_the_order_of_the_format():
    assert TOKEN[:15] == bytes.fromhex("01 01 004b 0004 00001079 03 03e8 0b69")
    assert len(TOKEN) == tokens.TOKEN_BYTES == 79


@given(faces)
def test_what_is_signed_reads_back(face):
    token = tokens.sign(face, KEY)
    printed = tokens.to_url("pass.creuse.fr", token)

    assert tokens.from_text(printed) == token
    assert tokens.split(token) == face
    assert tokens.verify(token, {face.key_id: KEY.public_key()}) == face
    assert face.serial == Serial(face.departement, face.carnet, face.rank)


@pytest.mark.parametrize("departement", DEPARTEMENTS)
def test_every_departement_reads_back(departement):
    face = Face(
        key_id=0,
        departement=departement,
        tranche=1,
        carnet=1,
        rank=1,
        face_cents=1000,
        use_by=date(2027, 12, 31),
    )

    assert tokens.split(tokens.sign(face, KEY)).departement == departement


def test_no_two_numbers_are_the_same_departement():
    spelled = [tokens._departement(number) for number in range(36**3)]

    assert len(set(spelled)) == 36**3
    assert [int(code, 36) for code in spelled] == list(range(36**3))


def test_signing_again_prints_the_same_paper():
    assert tokens.sign(FACE, KEY) == TOKEN


@pytest.mark.parametrize("flip", [0x01, 0x80, 0xFF])
@pytest.mark.parametrize("place", range(79))
def test_a_changed_byte_is_a_forgery(place, flip):
    forged = bytearray(TOKEN)
    forged[place] ^= flip

    part = part_refused(tokens.verify, bytes(forged), KEYS)

    assert part == {0: "version", 1: "key"}.get(place, "signature") or (
        part == "departement" and place == 2
    )


def test_a_key_of_somebody_else_is_a_forgery():
    stranger = Ed25519PrivateKey.from_private_bytes(bytes(31) + b"\1")

    assert part_refused(tokens.verify, tokens.sign(FACE, stranger), KEYS) == "signature"
    assert part_refused(tokens.verify, TOKEN, {}) == "key"
    assert part_refused(tokens.verify, TOKEN, {2: KEY.public_key()}) == "key"


def test_a_format_from_the_future_is_refused_before_anything_else():
    assert part_refused(tokens.split, b"\2" + TOKEN[1:]) == "version"
    assert part_refused(tokens.split, b"\0" + TOKEN[1:]) == "version"


@pytest.mark.parametrize("token", [b"", TOKEN[:15], TOKEN[:-1], TOKEN + b"\0"])
def test_another_length_is_a_forgery(token):
    assert part_refused(tokens.split, token) == "length"
    assert part_refused(tokens.to_url, "pass.creuse.fr", token) == "length"


def test_a_number_that_is_no_departement_is_refused():
    assert part_refused(tokens.split, TOKEN[:2] + b"\xff\xff" + TOKEN[4:]) == "departement"


@pytest.mark.parametrize(
    "printed",
    [
        DIGITS,
        f"  {DIGITS}\r\n",
        f"HTTPS://PASS.CREUSE.FR/V/{DIGITS}",
        f"https://pass.creuse.fr/v/{DIGITS}\n",
        f"\thttps://Pass.Creuse.fr/V/{DIGITS}",
        f"https://localhost:8000/v/{DIGITS}",
    ],
)
def test_readers_may_give_the_address_or_its_digits(printed):
    assert tokens.from_text(printed) == TOKEN


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("", "length"),
        ("7", "length"),
        (DIGITS[1:], "length"),
        (DIGITS + "0", "length"),
        ("0" + DIGITS, "length"),
        ("https://pass.creuse.fr/v/", "length"),
        (f"https://pass.creuse.fr/v/{DIGITS[:-1]}", "length"),
        (str(2**632), "length"),
        ("9" * 191, "length"),
        ("9" * 100_000, "length"),
        (f"{DIGITS[:90]} {DIGITS[90:]}", "digits"),
        (f"{DIGITS[:95]}_{DIGITS[96:]}", "digits"),
        (f"{DIGITS[:-1]}\u0663", "digits"),
        (f"{DIGITS[:-1]}\uff13", "digits"),
        (f"{DIGITS[:-1]}\u00b2", "digits"),
        (f"+{DIGITS[1:]}", "digits"),
        (f"-{DIGITS[1:]}", "digits"),
        (f"{DIGITS}\0", "digits"),
        (f"\ufeff{DIGITS}", "digits"),
        (f"http://pass.creuse.fr/v/{DIGITS}", "digits"),
        (f"http\u017f://pass.creuse.fr/v/{DIGITS}", "digits"),
        (f"https:///v/{DIGITS}", "digits"),
        (f"https://pass.creuse.fr/w/{DIGITS}", "digits"),
        (f"https://pass.creuse.fr/v/{DIGITS}/", "digits"),
        (f"https://pass.creuse.fr/v/{DIGITS}?a=1", "digits"),
        (f"https://pass.creuse.fr/v/\n{DIGITS}", "digits"),
        (f"https://a@pass.creuse.fr/v/{DIGITS}", "digits"),
        ("23 T8CW AN8W NBEA 3", "digits"),
    ],
)
def test_any_other_text_is_refused(text, part):
    assert part_refused(tokens.from_text, text) == part


@given(st.text())
def test_no_text_whatever_does_worse_than_a_refusal(text):
    part_refused(tokens.from_text, text)


@given(st.binary(min_size=79, max_size=79))
def test_no_bytes_whatever_do_worse_than_a_refusal(token):
    part_refused(tokens.verify, token, KEYS)


def test_the_digest_covers_the_signature():
    assert tokens.digest(TOKEN) == hashlib.sha256(TOKEN).digest()
    assert tokens.digest(TOKEN) != tokens.digest(TOKEN[:-1] + b"\0")


def test_a_host_of_25_characters_is_the_longest():
    longest = "a" * 22 + ".fr"

    assert tokens.to_url(longest, TOKEN).startswith(f"HTTPS://{longest.upper()}/V/0")
    with pytest.raises(HostTooLong) as refusal:
        tokens.to_url("a" + longest, TOKEN)
    assert (refusal.value.host, refusal.value.longest) == ("a" + longest, 25)


@pytest.mark.parametrize(
    ("host", "characters"),
    [
        ("", ""),
        ("pass_num.fr", "_"),
        ("pass.fr/x", "/"),
        ("pass.fr:8000", ":"),
        ("pass.fr\n", "\n"),
        ("stra\u00dfe.fr", "\u00df"),
        ("cr\u00e9use.fr", "\u00e9"),
    ],
)
def test_a_host_that_the_qr_alphabet_lacks_is_refused(host, characters):
    with pytest.raises(HostNotPrintable) as refusal:
        tokens.to_url(host, TOKEN)

    assert refusal.value.characters == characters


@pytest.mark.parametrize(
    "misfit",
    [
        {"version": 2},
        {"key_id": 256},
        {"departement": "023"},
        {"departement": "2a"},
        {"departement": "1"},
        {"departement": ""},
        {"departement": "23\n"},
        {"tranche": 65_536},
        {"carnet": 2**32},
        {"rank": 256},
        {"rank": -1},
        {"face_cents": 65_536},
        {"use_by": date(2019, 12, 31)},
        {"use_by": date(2199, 6, 7)},
    ],
)
def test_a_field_that_does_not_fit_is_never_signed(misfit):
    fields = {name: getattr(FACE, name) for name in Face.__slots__}

    with pytest.raises(ValueError, match=r"version|département|fit"):
        tokens.sign(Face(**fields | misfit), KEY)
