"""What somebody sees in a drawer stands beside what the books have there, and nothing moves."""

import pytest

from issuance.counts import Count, count_stock, counts
from issuance.holdings import holdings
from issuance.transfers import Send, send
from ledger.identifiers import new_id
from redemption.blocking import BlockStock, block_stock
from tests.builders import a_world, an_order, done, given
from tests.conftest import moment
from tests.issuance.test_carnets_travel_with_a_receipt import a_store

AT = moment("2020-02-03")


def counting(session, desk: str | None, *carnets: tuple[int, int]):
    return count_stock(session, Count(new_id(), desk, carnets), by="p-1", now=AT)


def test_missing_and_unexpected_carnets_are_told_and_nothing_moves(session):
    world = a_store(session)
    given(session, *sorted(world.passes)[:7])  # carnet 1, and a part of 2
    before = holdings(session)
    told = done(counting(session, "CAF", (2, 3), (5, 5), (7, 8)))
    assert told.facts == {
        "carnets": [[2, 3], [5, 5], [7, 8]], "counted": 5, "desk": "CAF", "expected": 5,
        "expected_carnets": [[2, 6]], "missing": [[4, 4], [6, 6]], "unexpected": [[7, 8]],
    }  # fmt: skip
    assert holdings(session) == before


def test_the_inventory_has_a_line_for_each_run_of_numbers(session):
    a_store(session)
    done(counting(session, "CAF", (1, 2), (4, 6), (8, 8)))
    done(counting(session, "CAF", (1, 6)))
    [newest, first] = counts(session, "CAF")
    day, by = "2020-02-03", "p-1"
    assert list(newest.rows()) == [("CAF", 1, 6, 6, 6, 0, day, by)]
    assert list(first.rows()) == [
        ("CAF", 1, 2, 2, 2, 0, day, by),
        ("CAF", 3, 3, 1, 0, -1, day, by),
        ("CAF", 4, 6, 3, 3, 0, day, by),
        ("CAF", 8, 8, 0, 1, 1, day, by),
    ]
    assert counts(session, "MSA") == []


def test_what_is_blocked_or_on_the_way_is_not_expected(session):
    a_store(session)
    drawer = BlockStock(new_id(), 1, 2)
    done(block_stock(session, drawer, by="test", now=AT))
    sending = Send(new_id(), "CAF", "MSA", ((3, 4),))
    done(send(session, sending, by="test", now=AT))
    assert done(counting(session, "CAF", (5, 6))).facts["missing"] == []
    assert done(counting(session, "MSA")).facts["expected"] == 0


def test_the_central_store_is_counted_too(session):
    a_store(session)
    told = done(counting(session, None, (7, 11)))
    assert (told.facts["expected"], told.facts["missing"]) == (6, [[12, 12]])
    [count] = counts(session, None)
    assert next(count.rows())[0] == "reserve-centrale"


def test_a_count_is_recorded_once_and_each_no_has_its_code(session):
    an_order(session, a_world(session), 2)
    request = Count(new_id(), "CAF", ((1, 2),))
    first = done(count_stock(session, request, by="p-1", now=AT))
    again = count_stock(session, request, by="p-1", now=AT)
    assert (again.replayed, again.facts, len(counts(session, "CAF"))) == (
        True,
        first.facts,
        1,
    )
    assert counting(session, "NOPE", (1, 2)).code == "not_found"
    for ranges in (
        [(2, 2), (1, 1)],
        [(1, 9_000_000)],
        [(n, n) for n in range(1, 20_000, 2)],
    ):
        assert counting(session, "CAF", *ranges).code == "count_unreadable", ranges[:3]


@pytest.mark.parametrize("desk", ["CAF", "MSA"])
def test_numbers_that_no_carnet_has_are_unexpected(session, desk):
    a_store(session)
    assert done(counting(session, desk, (900, 901))).facts["unexpected"] == [[900, 901]]
