"""A SIRET is believed only when its check holds, La Poste's own way included."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from issuance.siret import is_siret


@pytest.mark.parametrize("siret", ["73282932000074", "55200844300012"])
def test_a_number_with_both_checks_is_one(siret):
    assert is_siret(siret)


def test_one_wrong_figure_is_caught():
    assert not is_siret("73282932000079")


def test_a_wrong_siren_is_caught_even_where_the_whole_number_passes():
    assert not is_siret("73282932900018")


def test_la_poste_passes_by_luhn_alone():
    assert sum(map(int, "35600000000048")) % 5 != 0

    assert is_siret("35600000000048")


def test_la_poste_passes_by_the_sum_of_its_figures_alone():
    assert is_siret("35600000009075")


def test_la_poste_fails_when_neither_holds():
    assert not is_siret("35600000009076")


def test_the_sum_of_figures_helps_nobody_else():
    siret = "73282932000004"
    assert sum(map(int, siret)) % 5 == 0

    assert not is_siret(siret)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "732829320",
        "732 829 320 00074",
        "73282932000074\n",
        "00000000000000",
        "1,23457E+13",
        "7328293200007٤",
        "²3282932000074",
    ],
)
def test_anything_but_fourteen_figures_is_none(text):
    assert not is_siret(text)


@given(st.text())
def test_no_text_is_too_strange_to_be_asked_about(text):
    assert is_siret(text) in {True, False}


@given(place=st.integers(0, 13), typed=st.sampled_from("0123456789"))
def test_one_figure_mistyped_never_passes(place, typed):
    siret = "73282932000074"
    mistyped = siret[:place] + typed + siret[place + 1 :]

    assert is_siret(mistyped) == (mistyped == siret)
