"""Numbers of carnets are read as people type, paste or scan them, and nothing is guessed."""

import pytest

from app.carnet_lists import CarnetsUnreadable, read_carnets
from app.pages.carnet_numbers import SeveralCarnets, carnet_named
from issuance.foreign_carnets import named
from tests.builders import a_foreign_list, a_world, an_order, done, taken_over


@pytest.mark.parametrize(
    ("typed", "ranges"),
    [
        ("", ()),
        ("120", ((120, 120),)),
        ("120-122, 136", ((120, 122), (136, 136))),
        ("120 – 122;136\n121", ((120, 122), (136, 136))),
        ("134 à 132", ((132, 134),)),
        ("5 to 7", ((5, 7),)),
        ("23-000120", ((120, 120),)),
        ("23-120000", ((120_000, 120_000),)),
        ("23-000120-3 23-000121-1", ((120, 121),)),
        ("0012", ((12, 12),)),
    ],
)
def test_each_way_of_writing_is_read(session, typed, ranges):
    assert read_carnets(session, "23", typed) == ranges


@pytest.mark.parametrize(
    ("typed", "number"),
    [
        ("4217", 4217),
        (" 004 217 ", 4217),
        ("n° 4217", 4217),
        ("Carnet 4217", 4217),
        ("1, 2", None),
        ("12 et 13", None),
        ("4217 (5 pass)", None),
        ("2/3", None),
        ("aptic C4", None),
        ("", None),
    ],
)
def test_one_carnet_is_what_was_typed_or_none(session, typed, number):
    assert carnet_named(session, "23", typed) == number


@pytest.mark.parametrize(
    "typed",
    [
        "abc",
        "0",
        "12-",
        "19-000120",
        "19-000120-1",
        "1-99999999",
        "99999999999",
        "1" * 191,
        "12.5",
        "134-132",
    ],
)
def test_what_is_no_number_of_ours_is_told_with_its_word(session, typed):
    with pytest.raises(CarnetsUnreadable) as no:
        read_carnets(session, "23", f"1 {typed}")
    assert no.value.word == typed[:40]


def test_what_a_scanner_types_names_the_carnet(session):
    world = a_world(session)
    serials = an_order(session, world, 2)
    scanned = "\n".join(world.token(serial) for serial in (serials[0], serials[7]))
    assert read_carnets(session, "23", scanned) == ((1, 2),)
    assert read_carnets(session, "23", world.token(serials[0])[-191:]) == ((1, 1),)
    with pytest.raises(CarnetsUnreadable):
        read_carnets(session, "19", scanned)


FORMER = ("2020-0042", "C-001", "C-002", "C-010", "50", "52", "5")


@pytest.fixture
def both(session):
    """Sixty carnets of ours, then some of a former operator: our numbers 61 to 67, by their covers."""
    world = a_world(session)
    an_order(session, world, 60, delivered=False)
    rows = [f"{cover};88100{n};10;2020-12-31;" for n, cover in enumerate(FORMER)]
    done(taken_over(session, world, a_foreign_list(*rows), delivered=False))
    return {c.label: c.number for cover in FORMER for c in named(session, f"aptic {cover}")}


def test_a_former_operators_cover_is_never_a_range_of_ours(session, both):
    with pytest.raises(SeveralCarnets) as no:
        read_carnets(session, "23", "3 2020-0042")
    assert no.value.names == ("aptic 2020-0042", "2020 à 0042")
    one = both["2020-0042"]
    assert read_carnets(session, "23", "aptic 2020-0042") == ((one, one),)
    # Nobody took this one over, and it is no range either.
    with pytest.raises(CarnetsUnreadable):
        read_carnets(session, "23", "2020-0043")


def test_carnets_taken_over_are_named_by_their_covers(session, both):
    first, second, third = both["C-001"], both["C-002"], both["C-010"]
    assert (second, third) == (first + 1, first + 2)
    expected = ((first, third),)
    for typed in (
        "C-001 C002, c-010",
        "C-001 à C-010",
        "Aptic C-001 à aptic C-010",
        "C-001 … C-010",
    ):
        assert read_carnets(session, "23", typed) == expected, typed
    assert read_carnets(session, "23", "3 C-002 4") == ((3, 4), (second, second))
    for wrong in ("C-010 à C-001", "3 à C-001", "C-001 à C-002 à C-010", "C-003"):
        with pytest.raises(CarnetsUnreadable):
            read_carnets(session, "23", wrong)


def test_a_number_that_two_carnets_bear_is_asked_about(session, both):
    for typed in ("50", "50-52", "50 à 52", "51-52"):
        with pytest.raises(SeveralCarnets):
            read_carnets(session, "23", typed)
    assert read_carnets(session, "23", "23-000050 à 23-000052") == ((50, 52),)
    one = both["5"]
    assert read_carnets(session, "23", "aptic 5, 6") == ((6, 6), (one, one))
