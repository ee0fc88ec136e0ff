"""A serial has one spelling, and reading it back gives the same pass."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from issuance.serials import CARNET_MAX, RANK_MAX, MalformedSerial, Serial

DEPARTEMENTS = ["01", "09", "10", "23", "2A", "2B", "69D", "6AE", "75", "971", "976"]

serials = st.builds(
    Serial,
    st.sampled_from(DEPARTEMENTS),
    st.integers(0, CARNET_MAX),
    st.integers(0, RANK_MAX),
)


@given(serials)
def test_what_is_printed_reads_back(serial):
    assert Serial.parse(str(serial)) == serial


@given(st.text(alphabet="0123AB-", max_size=18))
def test_no_pass_has_two_spellings(text):
    try:
        serial = Serial.parse(text)
    except MalformedSerial:
        return

    assert str(serial) == text


def test_the_carnet_is_padded_to_six_digits_and_may_have_more():
    assert str(Serial("23", 4217, 3)) == "23-004217-3"
    assert str(Serial("2A", 1_234_567, 10)) == "2A-1234567-10"


def test_lower_case_and_spaces_around_are_forgiven():
    assert Serial.parse(" 2a-004217-3\n") == Serial("2A", 4217, 3)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "23",
        "23-004217",
        "23-4217-3",
        "23-0004217-3",
        "23-004217-03",
        "23-004217-256",
        "23-4294967296-3",
        "23-99999999999-3",
        "2-004217-3",
        "023-004217-3",
        "9710-004217-3",
        "23 004217 3",
        "23-004217-3-1",
        "23--04217-3",
        "23-00_217-3",
        "23-00421\u0667-3",
        "\u017f3-004217-3",
        "23\u2013004217\u20133",
    ],
)
def test_any_other_spelling_is_refused(text):
    with pytest.raises(MalformedSerial) as refusal:
        Serial.parse(text)

    assert refusal.value.code == "malformed_serial"


def test_a_refused_text_stays_out_of_the_logs():
    with pytest.raises(MalformedSerial) as refusal:
        Serial.parse("23 T8CW AN8W NBEA 3")

    assert "T8CW" not in repr(refusal.value) + str(refusal.value)


def test_serials_sort_by_departement_then_carnet_then_rank():
    in_order = [
        Serial("01", 9, 9),
        Serial("23", 2, 1),
        Serial("23", 10, 1),
        Serial("23", 10, 2),
    ]

    assert sorted({*in_order}) == in_order
