"""Cents are split without loss: whatever is used and undone, parts sum to the total, to the cent."""

from collections import Counter, deque
from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from funding.allocation import (
    Fallen,
    Funder,
    Share,
    SharesImpossible,
    arrange,
    check,
    split,
    under_caps,
    weights_when,
)

FACE = 1000
EU = [Funder.EU_ESF, Funder.EU_ESF_PLUS, Funder.EU_OTHER]
OTHERS = [Funder.STATE, Funder.REGION, Funder.PRIVATE]


@st.composite
def signed_shares(draw, *, with_eu: bool = False) -> tuple[Share, ...]:
    """Shares that funders may sign for passes of 10 €, in the order of the rule."""
    weights = st.integers(0, 10_000) | st.integers(0, 6)
    others = draw(st.lists(st.sampled_from(OTHERS), max_size=3))
    eu = draw(st.lists(st.sampled_from(EU), min_size=int(with_eu), max_size=1))
    shares = [
        Share(f"{place}-{funder}", funder, draw(weights))
        for place, funder in enumerate([Funder.DEPARTMENT, *others, *eu])
    ]
    shares = draw(st.permutations(shares))
    try:
        check(shares, FACE)
    except SharesImpossible:
        assume(False)
    return arrange(shares)


def weights_of(shares: tuple[Share, ...]) -> tuple[int, ...]:
    return tuple(s.weight for s in shares)


# A use of one to three passes; or the undo of an earlier use, by its place among those that stand.
acts = st.lists(
    st.tuples(st.booleans(), st.integers(FACE, 3 * FACE), st.integers(0, 1000)), max_size=40
)


def totals(history) -> list[int]:
    """The net cumulative after each act, from 0 on."""
    standing, reached = deque(), [0]
    for undoes, cents, which in history:
        if undoes and standing:
            standing.rotate(-(which % len(standing)))
            reached.append(reached[-1] - standing.popleft())
        else:
            standing.append(cents)
            reached.append(reached[-1] + cents)
    return reached


@given(signed_shares(), acts)
def test_parts_sum_to_the_total_after_every_use_and_every_undo(shares, history):
    for total in totals(history):
        assert sum(split(weights_of(shares), total)) == total


@given(signed_shares(), acts)
def test_each_part_is_within_a_cent_of_its_exact_share(shares, history):
    whole = sum(weights_of(shares))
    for total in totals(history):
        for share, cents in zip(shares, split(weights_of(shares), total), strict=True):
            assert abs(cents - Fraction(total * share.weight, whole)) < 1


@given(signed_shares(), acts)
def test_no_use_gives_a_negative_part(shares, history):
    reached = totals(history)
    for before, after in pairwise(reached):
        if after > before:
            gained = zip(
                split(weights_of(shares), after),
                split(weights_of(shares), before),
                strict=True,
            )
            assert all(new >= old for new, old in gained)


@given(signed_shares(with_eu=True), st.integers(0, 10**12))
def test_the_eu_gets_its_floor_and_never_a_spare_cent(shares, total):
    weights = weights_of(shares)
    assert shares[-1].funder.is_eu
    assert split(weights, total)[-1] == total * weights[-1] // sum(weights)


@given(signed_shares(), st.integers(0, 10**9), st.permutations(range(6)))
def test_an_undo_brings_back_the_parts_of_the_lower_total(shares, start, order):
    weights = weights_of(shares)
    told = list(split(weights, start))
    total = start
    uses = [FACE + 7 * place for place in range(6)]
    for cents, sign in [(c, 1) for c in uses] + [(uses[place], -1) for place in order]:
        brought = zip(
            split(weights, total + sign * cents), split(weights, total), strict=True
        )
        told = [t + new - old for t, (new, old) in zip(told, brought, strict=True)]
        total += sign * cents
        assert tuple(told) == split(weights, total)

    assert tuple(told) == split(weights, start)


@given(signed_shares(), st.data())
def test_the_departement_takes_the_weight_of_closed_funders(shares, data):
    conventions = [s.convention for s in shares]
    open_now = set(data.draw(st.lists(st.sampled_from(conventions), unique=True)))

    weights = weights_when(shares, open_now)

    assert sum(weights) == sum(weights_of(shares))
    for share, weight in zip(shares[1:], weights[1:], strict=True):
        assert weight == (share.weight if share.convention in open_now else 0)
    closed = sum(s.weight for s in shares[1:] if s.convention not in open_now)
    assert weights[0] == shares[0].weight + closed


@given(signed_shares(), acts, st.data())
def test_no_use_gives_a_negative_part_while_windows_are_closed(shares, history, data):
    conventions = [s.convention for s in shares]
    open_now = data.draw(st.lists(st.sampled_from(conventions), unique=True))
    weights = weights_when(shares, open_now)
    reached = totals(history)
    for before, after in pairwise(reached):
        gained = zip(split(weights, after), split(weights, before), strict=True)
        change = [new - old for new, old in gained]
        assert sum(change) == after - before
        assert after < before or min(change) >= 0


def test_the_departement_pays_even_outside_its_own_window():
    shares = (Share("DEP", Funder.DEPARTMENT, 20), Share("FSE", Funder.EU_ESF, 80))
    assert weights_when(shares, {"FSE"}) == (20, 80)
    assert weights_when(shares, set()) == (100, 0)


@given(
    st.lists(signed_shares(with_eu=True), min_size=1, max_size=4),
    st.integers(1, 60_000),
    st.data(),
)
def test_a_cap_holds_over_all_segments_and_the_departement_pays_above_it(signed, cap, data):
    """Whatever was used and undone, in whatever order: parts are of the totals that stand."""
    capped = {share.convention for shares in signed for share in shares[1:]}
    caps = dict.fromkeys(data.draw(st.sets(st.sampled_from(sorted(capped)))), cap)
    totals_now = [data.draw(st.integers(0, 40 * FACE)) for _ in signed]
    segments = [
        Fallen(
            number, 1, "", tuple(s.convention for s in shares), weights_of(shares), cents
        )
        for number, (shares, cents) in enumerate(zip(signed, totals_now, strict=True))
    ]
    fallen = under_caps(data.draw(st.permutations(segments)), caps)
    assert [segment for segment, _ in fallen] == segments

    uncapped, paid = Counter(), Counter()
    for segment, parts in fallen:
        whole = split(segment.weights, segment.cents)
        assert sum(parts) == segment.cents
        assert min(parts) >= 0
        for place, code in enumerate(segment.conventions[1:], 1):
            assert parts[place] <= whole[place]
            assert code in caps or parts[place] == whole[place]
            uncapped[code] += whole[place]
            paid[code] += parts[place]
    assert all(
        paid[code] == min(caps.get(code, total), total) for code, total in uncapped.items()
    )


@given(st.permutations([*OTHERS, Funder.DEPARTMENT, Funder.EU_ESF]))
def test_the_departement_comes_first_and_the_eu_last(funders):
    arranged = arrange([Share(f.value, f, 1) for f in funders])
    assert arranged[0].funder is Funder.DEPARTMENT
    assert arranged[-1].funder is Funder.EU_ESF


def test_ten_euros_at_60_20_20_are_always_6_2_and_2():
    parts = [split((20, 20, 60), FACE * count) for count in range(3001)]
    for before, after in pairwise(parts):
        assert [new - old for new, old in zip(after, before, strict=True)] == [
            200,
            200,
            600,
        ]


def test_thirds_are_whole_again_at_every_third_pass():
    thirds = [tuple(reversed(split((1, 1, 1), FACE * count))) for count in (1, 2, 3)]
    assert thirds == [(333, 333, 334), (666, 667, 667), (1000, 1000, 1000)]


def test_3_000_passes_at_59_87_bring_17_961_euros_of_esf():
    departement, state, esf = split((2013, 2000, 5987), 3000 * FACE)
    assert esf == 17_961_00
    assert (departement, state) == (6_039_00, 6_000_00)


@pytest.mark.parametrize("count", [1, 17, 999, 1000, 2999])
def test_the_esf_never_rounds_up_at_59_87(count):
    esf = split((2013, 2000, 5987), count * FACE)[-1]
    assert esf == count * 5987 // 10


DEP, STATE, ESF = (
    Share("DEP", Funder.DEPARTMENT, 20),
    Share("ETAT", Funder.STATE, 20),
    Share("FSE", Funder.EU_ESF, 60),
)
BROKEN = {
    "convention_twice": [DEP, STATE, STATE],
    "one_department": [STATE, ESF],
    "one_eu_funder": [DEP, ESF, Share("FSE+", Funder.EU_ESF_PLUS, 1)],
    "negative_weight": [DEP, Share("ETAT", Funder.STATE, -1)],
    "no_weight": [DEP._replace(weight=0), STATE._replace(weight=0)],
    "less_than_a_cent": [DEP._replace(weight=1000), Share("ETAT", Funder.STATE, 1)],
}


@pytest.mark.parametrize("reason", BROKEN)
def test_shares_that_break_a_promise_are_refused_with_its_name(reason):
    with pytest.raises(SharesImpossible) as refusal:
        check(BROKEN[reason], FACE)
    assert (refusal.value.code, refusal.value.reason) == ("shares_impossible", reason)


@pytest.mark.parametrize(
    ("reason", "shares"),
    [
        ("one_department", []),
        ("one_department", [DEP, DEP._replace(convention="DEP2")]),
        ("negative_weight", [DEP._replace(weight=-1), STATE]),
    ],
)
def test_no_departement_two_of_them_and_a_departement_that_earns_are_refused(
    reason, shares
):
    with pytest.raises(SharesImpossible) as refusal:
        check(shares, FACE)
    assert refusal.value.reason == reason


@given(st.integers(1, 65_535), st.integers(1, 100_000))
def test_a_funder_of_exactly_one_cent_an_act_is_the_smallest(face, weight):
    enough = [Share("DEP", Funder.DEPARTMENT, weight * (face - 1)), Share("X", Funder.STATE, weight)]  # fmt: skip
    check(enough, face)
    with pytest.raises(SharesImpossible, match="less_than_a_cent"):
        check(
            [enough[0]._replace(weight=weight * (face - 1) + 1), enough[1]],
            face,
        )


def test_a_funder_of_no_weight_is_allowed_and_takes_nothing():
    shares = arrange([DEP, STATE._replace(weight=0), ESF])
    check(shares, FACE)
    assert split(weights_of(shares), 10 * FACE)[1] == 0
