"""A carnet is named by its number, a pass, a code or a QR code, typed by hands or by a scanner on any keyboard."""

from datetime import date

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from issuance import codes, tokens
from issuance.serials import CARNET_MAX, RANK_MAX, Serial
from issuance.typed import CarnetElsewhere, CarnetUnreadable, Typed, read

KEY = Ed25519PrivateKey.from_private_bytes(bytes(32))
CODE_KEY = bytes(32)

# What a key of the American layout writes where the computer is set to French.
AZERTY = str.maketrans("1234567890-./:;AQWZMaqwzm", "&é\"'(-è_çà):!M,QAZW?qazw,")
BELGIAN = {**AZERTY, ord("6"): "§", ord("8"): "!", ord("/"): "="}

carnets = st.integers(1, min(CARNET_MAX, 10**10 - 1))
ranks = st.integers(1, RANK_MAX)
serials = st.builds(Serial, st.sampled_from(["23", "2A", "974"]), carnets, ranks)
layouts = st.sampled_from([{}, AZERTY])


def qr_text(serial: Serial) -> str:
    face = tokens.Face(
        key_id=1,
        departement=serial.departement,
        tranche=1,
        carnet=serial.carnet,
        rank=serial.rank,
        face_cents=1_000,
        use_by=date(2026, 12, 31),
    )
    return tokens.to_url("PASS.CREUSE.EXAMPLE", tokens.sign(face, KEY))


@given(carnets, layouts)
def test_a_number_is_a_carnet(number, layout):
    assert read("23", str(number).translate(layout)) == Typed(number)


@pytest.mark.parametrize(
    "text",
    ["4217", " 004217 ", "n° 4217", "Carnet n°4217", "N\u00b04217", "4 217", "4\u202f217"],
)
def test_a_number_is_read_however_it_is_written(text):
    assert read("23", text) == Typed(4217)


@given(serials, layouts)
def test_the_number_of_a_pass_is_that_pass_of_its_carnet(serial, layout):
    found = read(serial.departement, str(serial).translate(layout))
    assert found == Typed(serial.carnet, serial.rank)


@given(serials, layouts)
def test_the_number_on_a_cover_is_the_carnet(serial, layout):
    cover = str(serial).rpartition("-")[0]
    assert read(serial.departement, cover.translate(layout)) == Typed(serial.carnet)


@given(serials, st.sampled_from(["01", "19", "976"]))
def test_a_carnet_of_another_departement_is_none_of_ours(serial, elsewhere):
    for typed in (str(serial), str(serial).translate(AZERTY)):
        with pytest.raises(CarnetElsewhere) as no:
            read(elsewhere, typed)
        assert no.value.departement == serial.departement


@given(serials, st.sampled_from([{}, AZERTY, BELGIAN]), st.booleans(), st.booleans())
def test_a_qr_code_is_read_on_every_keyboard(serial, layout, lower, digits_alone):
    text = qr_text(serial)
    text = text[-tokens.DIGITS :] if digits_alone else text
    typed = (text.lower() if lower else text).translate(layout)

    found = read("23", typed)

    assert found.carnet is None
    assert tokens.split(tokens.from_text(found.secret or "")).serial == serial


@given(serials, layouts, st.booleans())
def test_a_secret_code_is_read_on_every_keyboard(serial, layout, bare):
    code = codes.derive(CODE_KEY, serial)
    text = code if bare else codes.display(serial.departement, code)

    found = read("23", text.translate(layout))

    assert codes.normalise(found.secret or "")[1] == code


@given(serials, st.data())
def test_a_code_with_one_symbol_wrong_names_nothing(serial, data):
    code = codes.derive(CODE_KEY, serial)
    place = data.draw(st.integers(0, len(code) - 1))
    wrong = data.draw(st.sampled_from(codes.SYMBOLS.replace(code[place], "")))

    typed = code[:place] + wrong + code[place + 1 :]

    with pytest.raises(CarnetUnreadable):
        read("23", typed)


@given(st.text())
def test_any_other_text_names_nothing_or_something_whole(text):
    try:
        found = read("23", text)
    except (CarnetUnreadable, CarnetElsewhere):
        return
    assert (found.carnet is None) != (found.secret is None)


@pytest.mark.parametrize(
    "text",
    ["", "   ", "bonjour", "²", "٣", "9" * 11, "-1", "1e9", "&" * 5_000, "23-4217-3"],
)
def test_what_is_no_carnet_is_nothing(text):
    with pytest.raises(CarnetUnreadable):
        read("23", text)
