"""A code typed with one symbol wrong, or two exchanged, is caught before any look-up."""

import random
from array import array
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from issuance import codes
from issuance.codes import SYMBOLS, MistypedCode
from issuance.serials import Serial

CODE_KEY = bytes(range(32))
# Python reads base 32 with an alphabet of its own.
TO_PYTHON = str.maketrans(SYMBOLS, "0123456789abcdefghijklmnopqrstuv")

serials = st.builds(
    Serial,
    st.sampled_from(["01", "10", "23", "2A", "2B", "69D", "6AE", "971", "976"]),
    st.integers(0, 2**32 - 1),
    st.integers(0, 255),
)
secrets = serials.map(lambda serial: codes.derive(CODE_KEY, serial))


def part_refused(typed):
    with pytest.raises(MistypedCode) as refusal:
        codes.normalise(typed)
    assert refusal.value.code == "mistyped_code"
    return refusal.value.part


def some_codes():
    draw = random.Random(23)
    drawn = [
        codes.derive(CODE_KEY, Serial("23", draw.randrange(10**6), 1)) for _ in range(40)
    ]
    return [*drawn, "0" * 13]


def test_the_code_of_a_serial_never_changes():
    assert codes.derive(bytes(32), Serial("23", 4217, 3)) == "T8CWAN8WNBEA3"


def test_another_key_or_another_serial_gives_another_code():
    serial = Serial("23", 4217, 3)

    derived = {
        codes.derive(CODE_KEY, serial),
        codes.derive(bytes(32), serial),
        codes.derive(CODE_KEY, serial._replace(rank=4)),
        codes.derive(CODE_KEY, serial._replace(carnet=4218)),
        codes.derive(CODE_KEY, serial._replace(departement="2B")),
    }

    assert len(derived) == 5


@pytest.mark.long
def test_ten_million_passes_have_ten_million_codes():
    # By their last ten bits, so that one heap at a time is looked through.
    heaps = [array("Q") for _ in range(1_024)]
    for carnet in range(1_000_000):
        for rank in range(1, 11):
            code = codes.derive(CODE_KEY, Serial("23", carnet, rank))
            value = int(code[:12].translate(TO_PYTHON), 32)  # the last one is made of them
            heaps[value % 1_024].append(value)

    assert sum(len(set(heap)) for heap in heaps) == 10_000_000


@given(serials)
def test_what_is_printed_reads_back(serial):
    code = codes.derive(CODE_KEY, serial)
    printed = codes.display(serial.departement, code)

    assert codes.normalise(printed) == (serial.departement, code)
    assert codes.normalise(printed.lower()) == (serial.departement, code)
    assert codes.normalise(code) == (None, code)


def test_the_code_is_printed_in_groups_led_by_the_departement():
    assert codes.display("23", "7K3M9PQRT2VWX") == "23 7K3M 9PQR T2VW X"
    assert codes.display("971", "7K3M9PQRT2VWX") == "971 7K3M 9PQR T2VW X"


def test_every_wrong_symbol_is_caught():
    for code in some_codes():
        for place in range(13):
            for symbol in set(SYMBOLS) - {code[place]}:
                assert part_refused(code[:place] + symbol + code[place + 1 :]) == "check"


def test_every_exchange_of_two_symbols_is_caught():
    for code in some_codes():
        for left, right in combinations(range(13), 2):
            swapped = list(code)
            swapped[left], swapped[right] = code[right], code[left]
            if code[left] == code[right]:
                assert codes.normalise("".join(swapped)) == (None, code)
            else:
                assert part_refused("".join(swapped)) == "check"


def test_every_pair_of_symbols_exchanged_anywhere_changes_the_sum():
    for left, right in combinations(range(13), 2):
        for first, second in combinations(SYMBOLS, 2):
            printed, swapped = ["0"] * 13, ["0"] * 13
            printed[left], printed[right] = first, second
            swapped[left], swapped[right] = second, first

            assert codes._weighted_sum("".join(printed)) != codes._weighted_sum(
                "".join(swapped)
            )


@given(secrets, st.data())
def test_a_departement_does_not_hide_a_wrong_symbol(code, data):
    place = data.draw(st.integers(0, 12))
    symbol = data.draw(st.sampled_from(sorted(set(SYMBOLS) - {code[place]})))

    assert part_refused("971" + code[:place] + symbol + code[place + 1 :]) == "check"


@pytest.mark.parametrize(
    "typed",
    [
        "23T8CWAN8WNBEA3",
        "23 t8cw an8w nbea 3",
        "23-T8CW-AN8W-NBEA-3",
        "23.T8CW.AN8W.NBEA.3\n",
        "  23 T8 CW AN 8W NB EA 3  ",
        "23\u00a0T8CW\u202fAN8W\u2011NBEA\u20133",
    ],
)
def test_case_and_separators_do_not_matter(typed):
    assert codes.normalise(typed) == ("23", "T8CWAN8WNBEA3")


@given(secrets, st.data())
def test_letters_that_look_like_digits_are_read_as_digits(code, data):
    lookalikes = {"0": "0Oo", "1": "1IiLl"}
    typed = "".join(data.draw(st.sampled_from(lookalikes.get(c, c))) for c in "01" + code)

    assert codes.normalise(typed) == ("01", code)


@pytest.mark.parametrize("departement", ["2A", "2B", "6AE", "69D"])
def test_letters_of_a_departement_are_symbols_too(departement):
    code = codes.derive(CODE_KEY, Serial(departement, 1, 1))

    assert codes.normalise(departement.lower() + code) == (departement, code)


@pytest.mark.parametrize("length", [0, 1, 2, 3, 12, 14, 17, 191])
def test_the_count_of_symbols_is_13_or_15_or_16(length):
    assert part_refused("0" * length) == "length"


@pytest.mark.parametrize(
    "stranger", ["U", "u", "!", "/", "_", "\u0131", "\u017f", "\u0667"]
)
def test_nothing_else_is_a_symbol(stranger):
    assert part_refused("T8CWAN8WNBEA" + stranger) == "symbols"


def test_a_departement_of_three_symbols_never_begins_with_zero():
    assert part_refused("023 T8CW AN8W NBEA 3") == "departement"


@given(st.text())
def test_no_text_whatever_does_worse_than_a_refusal(text):
    try:
        departement, code = codes.normalise(text)
    except MistypedCode:
        return

    assert codes.normalise((departement or "") + code) == (departement, code)


def test_a_mistyped_code_stays_out_of_the_logs():
    with pytest.raises(MistypedCode) as refusal:
        codes.normalise("T8CWAN8WNBEA4")

    assert "T8CW" not in repr(refusal.value) + str(refusal.value)


def test_a_typed_code_is_told_from_a_scanned_token():
    assert codes.looks_like_code("23 T8CW AN8W NBEA 3")
    assert codes.looks_like_code(" ".join("971T8CWAN8WNBEA3"))
    assert not codes.looks_like_code("0" * 191)
    assert not codes.looks_like_code("HTTPS://PASS.FR/V/00123")


def test_what_is_stored_needs_the_key_and_is_not_what_derives_codes():
    code = "T8CWAN8WNBEA3"
    stored = codes.lookup_digest(CODE_KEY, code)

    assert len(stored) == 32
    assert stored == codes.lookup_digest(CODE_KEY, code)
    assert stored != codes.lookup_digest(bytes(32), code)
    assert stored != codes.lookup_digest(CODE_KEY, "0" * 13)
    assert (
        stored.hex() == "47c00a7dddd14d4a714b09ec57f0874a03cfe157d87f4f839b26e9c212a2de54"
    )
