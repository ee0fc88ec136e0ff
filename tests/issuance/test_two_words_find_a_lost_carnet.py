"""Two easy words find a carnet again, whatever is left of them."""

import re
from hashlib import sha256
from importlib.resources import files
from itertools import combinations, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from issuance.words import carnets_of, folded, one_slip, recognised, words_of

WORDS = files("issuance").joinpath("words.txt").read_text("utf-8").split()
PAIRS = 512 * 511 // 2
carnets = st.integers(1, 2**32 - 1)


@given(carnets)
def test_its_words_give_a_carnet_back(carnet):
    first, second = words_of(carnet)

    found = carnets_of(first, second, up_to=carnet)

    assert found[-1] == carnet
    assert found == list(range(carnet % PAIRS or PAIRS, carnet + 1, PAIRS))


def test_every_pair_is_used_before_one_comes_again():
    told = [words_of(carnet) for carnet in range(1, PAIRS + 1)]

    assert len(set(told)) == PAIRS
    assert words_of(PAIRS + 1) == told[0]


def test_the_words_are_two_and_stand_in_the_order_of_the_list():
    for carnet in range(1, 5_000):
        first, second = words_of(carnet)
        assert WORDS.index(first) < WORDS.index(second)


def test_neighbours_in_a_drawer_hardly_ever_share_a_word():
    told = [set(words_of(carnet)) for carnet in range(1, 20_001)]

    shared = sum(bool(one & other) for one, other in pairwise(told))

    assert shared < 100


def test_the_paper_that_is_out_there_keeps_its_words():
    assert [words_of(carnet) for carnet in (1, 2, 4217, 200_000)] == [
        ("crapaud", "pyramide"),
        ("bonnet", "jonquille"),
        ("chèvre", "violon"),
        ("bouilloire", "lampe"),
    ]
    listed = sha256("\n".join(WORDS).encode()).hexdigest()
    assert listed.startswith("3b7a9a769eb48cdf")


def test_there_are_512_words_and_each_is_easy_to_type():
    assert len(WORDS) == 512
    assert sorted(WORDS, key=folded) == WORDS
    assert all(re.fullmatch(r"[a-z]{4,12}", folded(word)) for word in WORDS)


def test_no_two_words_are_one_slip_apart_once_accents_are_gone():
    plain = [folded(word) for word in WORDS]

    assert len(set(plain)) == 512
    assert [pair for pair in combinations(plain, 2) if one_slip(*pair)] == []


def sound(word: str) -> str:
    """Return how a word sounds, roughly: what French writes in several ways, written in one."""
    heard = folded(word)
    for written, said in (
        ("eau|au", "o"), ("ai|ei", "e"), ("ph", "f"), ("qu", "k"), ("c(?=[aou])", "k"),
        ("c(?=[ei])", "s"), ("y", "i"), (r"(?<!c)h", ""), (r"(.)\1", r"\1"), ("[estxd]+$", ""),
    ):  # fmt: skip
        heard = re.sub(written, said, heard)
    return heard


def test_no_two_words_sound_alike():
    assert sound("balai") == sound("balets")
    heard = [sound(word) for word in WORDS]
    assert len(set(heard)) == 512


@pytest.mark.parametrize(
    "typed", ["chèvre", "CHEVRE", " Chèvre ", "la chèvre", "une chevre", "chèvr", "chévrre", "hcèvre"]
)  # fmt: skip
def test_a_slip_an_accent_or_an_article_is_forgiven(typed):
    assert recognised(typed) == "chèvre"
    assert carnets_of(typed, "violon", up_to=5_000) == [4217]


def test_apostrophes_of_any_keyboard_are_articles():
    assert recognised("l'abeille") == recognised("L’abeille") == "abeille"


def test_the_order_of_the_words_does_not_matter():
    assert carnets_of("violon", "chèvre", up_to=5_000) == [4217]


def test_what_is_no_word_of_ours_finds_nothing():
    assert recognised("anticonstitutionnel") is None
    assert recognised("") is None
    assert carnets_of("chèvre", "rien", up_to=10**6) == []
    assert carnets_of("chèvre", "chèvre", up_to=10**6) == []


def test_only_carnets_that_may_exist_are_named():
    assert carnets_of("chèvre", "violon", up_to=4216) == []
    assert carnets_of("chèvre", "violon", up_to=4217 + PAIRS) == [4217, 4217 + PAIRS]


def test_there_is_no_carnet_before_the_first():
    with pytest.raises(ValueError, match="from 1"):
        words_of(0)
