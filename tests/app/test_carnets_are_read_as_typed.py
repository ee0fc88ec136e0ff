"""Numbers of carnets are read as people type, paste or scan them, and nothing is guessed."""

import pytest

from app.carnet_lists import CarnetsUnreadable, read_carnets
from tests.builders import a_world, an_order


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
def test_each_way_of_writing_is_read(typed, ranges):
    assert read_carnets("23", typed) == ranges


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
    ],
)
def test_what_is_no_number_of_ours_is_told_with_its_word(typed):
    with pytest.raises(CarnetsUnreadable) as no:
        read_carnets("23", f"1 {typed}")
    assert no.value.word == typed[:40]


def test_what_a_scanner_types_names_the_carnet(session):
    world = a_world(session)
    serials = an_order(session, world, 2)
    scanned = "\n".join(world.token(serial) for serial in (serials[0], serials[7]))
    assert read_carnets("23", scanned) == ((1, 2),)
    assert read_carnets("23", world.token(serials[0])[-191:]) == ((1, 1),)
    with pytest.raises(CarnetsUnreadable):
        read_carnets("19", scanned)
