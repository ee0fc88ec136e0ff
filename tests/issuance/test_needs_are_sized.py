"""A population gives how many people need what, and how many carnets: to the person, by rates that are data."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from issuance.hand_outs import Need
from issuance.needs import rates, size, suggest


@pytest.mark.parametrize(
    ("population", "assist", "train", "boost", "total"),
    [
        (119_502, 8_365, 22_705, 16_730, 47_800),  # the Creuse
        (20_000, 1_400, 3_800, 2_800, 8_000),
        (50, 4, 10, 7, 21),  # 3.5, 9.5: halves go up
        (1, 0, 0, 0, 0),
        (0, 0, 0, 0, 0),
    ],
)
def test_the_published_figures_are_found_again(population, assist, train, boost, total):
    found = size(population)
    assert (found.assist, found.train, found.boost) == (assist, train, boost)
    assert found.total == total


def test_the_levels_are_those_of_a_hand_out_and_say_where_they_come_from():
    assert set(rates().levels) == set(Need.__args__)
    assert "Les Bons Clics" in rates().source


@given(st.integers(0, 100_000_000))
def test_no_level_is_off_by_more_than_half_a_person(population):
    for level, found in zip(
        ("assist", "train", "boost"), size(population)[1:], strict=True
    ):
        exact = population * rates().levels[level]
        assert abs(found * rates().per - exact) * 2 <= rates().per


def test_a_population_below_zero_is_nobody_s():
    with pytest.raises(ValueError, match="-1"):
        size(-1)


def suggested(people: int, left_cents: int, **more):
    told = {"each": 1, "carnet_size": 5, "face_cents": 1000, "envelope_cents": 1_500_000}
    return suggest(people, left_cents=left_cents, **(told | more))


def test_an_order_is_worth_what_its_carnets_are():
    order = suggested(22_705, 200_000_000, envelope_cents=200_000_000)
    assert (order.carnets, order.passes, order.cents) == (22_705, 113_525, 113_525_000)
    assert (order.affordable, order.served) == (22_705, 22_705)


def test_what_is_left_pays_for_whole_carnets_and_for_people_who_get_all_of_theirs():
    order = suggested(100, 149_999, each=2)
    assert (order.carnets, order.cents) == (200, 1_000_000)
    assert (order.affordable, order.served) == (29, 14)


def test_nothing_left_serves_nobody_and_nobody_needs_nothing():
    assert suggested(10, 0)[-1] == suggested(10, 0).served == 0
    assert suggested(0, 100_000).carnets == 0
    for people, each in ((-1, 1), (1, 0)):
        with pytest.raises(ValueError, match="carnets for"):
            suggested(people, 0, each=each)
