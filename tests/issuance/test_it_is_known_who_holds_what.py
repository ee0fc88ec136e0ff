"""Who holds what is the same number for everybody, today and at the end of any day."""

from datetime import date

import pytest

from issuance.desks import OpenDesk, open_desk
from issuance.holdings import holdings, spans
from issuance.transfers import Receive, Send, receive, send
from ledger.identifiers import new_id
from redemption.blocking import BlockStock, block_stock
from redemption.lapsing import Lapse, lapse
from redemption.voiding import VoidMisprints, void_misprints
from tests.builders import (
    a_foreign_list,
    a_world,
    an_order,
    done,
    foreign_rows,
    given,
    taken_over,
)
from tests.conftest import a_database, moment
from tests.sending import sent

# A spring, day by day: what is true at its end is asked of each of its days.
DAYS = (
    "2020-01-06",
    "2020-01-07",
    "2020-01-20",
    "2020-02-10",
    "2020-02-12",
    "2020-03-02",
    "2020-03-03",
)


@pytest.fixture(
    scope="module", params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)]
)
def spring(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("spring")
    with a_database(request, request.param, folder) as database:
        with database.begin("23") as session:
            live(session)
        yield database


def live(session) -> None:
    world = a_world(session)
    desk = OpenDesk(new_id(), "MSA", "MSA du Limousin", "Accueil", ("tela",))
    done(open_desk(session, desk, by="test", now=moment("2020-01-06")))
    serials = an_order(session, world, 6)  # 1 to 6, at the CAF on 7 January
    an_order(session, world, 4, delivered=False)  # 7 to 10, in the store
    an_order(session, world, 1, specimen=True)  # 11, at the CAF
    given(session, *serials[:7], now=moment("2020-01-20"))  # carnet 1 and a part of 2
    sending = Send(new_id(), "CAF", "MSA", ((2, 4),))
    done(send(session, sending, by="test", now=moment("2020-02-10")))
    got = Receive(new_id(), 1, "MSA", ((2, 3),))
    done(receive(session, got, by="test", now=moment("2020-02-12")))
    drawer = BlockStock(new_id(), 3, 3)
    done(block_stock(session, drawer, by="test", now=moment("2020-03-02")))
    misprint = VoidMisprints(new_id(), 10, 10)
    done(void_misprints(session, misprint, by="test", now=moment("2020-03-03")))


def told(database, on: str | None = None, desks: list[str] | None = None) -> list[tuple]:
    with database.begin("23", read_only=True) as session:
        found = holdings(session, on=on and date.fromisoformat(on), desks=desks)
    return [
        (h.state, h.desk, h.specimen, h.carnets, h.whole, h.started, h.passes, h.cents)
        for h in found
    ]


STORE = ("store", None, False, "7-10", 4, 0, 20, 20_000)
SPECIMEN = ("desk", "CAF", True, "11", 1, 0, 5, 0)
BY_DAY = {
    "2020-01-06": [],
    "2020-01-07": [STORE, ("desk", "CAF", False, "1-6", 6, 0, 30, 30_000), SPECIMEN],
    "2020-01-20": [STORE, ("desk", "CAF", False, "2-6", 4, 1, 23, 23_000), SPECIMEN],
    "2020-02-10": [
        STORE,
        ("desk", "CAF", False, "5-6", 2, 0, 10, 10_000),
        SPECIMEN,
        ("on_the_way", "MSA", False, "2-4", 2, 1, 13, 13_000),
    ],
    "2020-02-12": [
        STORE,
        ("desk", "CAF", False, "5-6", 2, 0, 10, 10_000),
        SPECIMEN,
        ("desk", "MSA", False, "2-3", 1, 1, 8, 8000),
        ("on_the_way", "MSA", False, "4", 1, 0, 5, 5000),
    ],
    "2020-03-02": [
        STORE,
        ("desk", "CAF", False, "5-6", 2, 0, 10, 10_000),
        SPECIMEN,
        ("desk", "MSA", False, "2", 0, 1, 3, 3000),
        ("on_the_way", "MSA", False, "4", 1, 0, 5, 5000),
    ],
    "2020-03-03": [
        ("store", None, False, "7-9", 3, 0, 15, 15_000),
        ("desk", "CAF", False, "5-6", 2, 0, 10, 10_000),
        SPECIMEN,
        ("desk", "MSA", False, "2", 0, 1, 3, 3000),
        ("on_the_way", "MSA", False, "4", 1, 0, 5, 5000),
    ],
}


@pytest.mark.parametrize("day", DAYS)
def test_at_the_end_of_a_day_it_is_what_that_evening_was(spring, day):
    assert told(spring, day) == BY_DAY[day]


def test_today_is_the_last_of_the_days(spring):
    assert told(spring) == told(spring, "2030-01-01") == BY_DAY[DAYS[-1]]


def test_a_desk_is_told_of_its_own_and_of_what_comes_to_it(spring):
    assert told(spring, desks=["MSA"]) == BY_DAY[DAYS[-1]][-2:]
    assert told(spring, "2020-02-10", ["CAF"]) == BY_DAY["2020-02-10"][1:3]
    assert told(spring, "2020-02-10", ["MSA"]) == BY_DAY["2020-02-10"][3:]
    assert told(spring, desks=[]) == []


@pytest.mark.parametrize("on", [None, date(2020, 2, 11)])
def test_as_many_statements_whatever_there_is(spring, on):
    with spring.begin("23", read_only=True) as session:
        with sent() as alone:
            found = spans(session, on=on)
        with sent() as beside:
            holdings(session, on=on)
    assert len(found) >= 4
    assert (len(alone), len(beside)) == (2, 6)


def test_what_has_lapsed_is_held_by_nobody(session):
    an_order(session, a_world(session), 2)
    end = moment("2021-02-08")
    done(lapse(session, Lapse(new_id(), 1, "stock"), by="job", now=end))
    assert holdings(session) == []
    [before] = holdings(session, on=date(2021, 2, 7))
    assert (before.desk, before.passes) == ("CAF", 10)


def test_carnets_taken_over_are_told_by_their_covers(session):
    world = a_world(session)
    an_order(session, world, 2)
    done(
        taken_over(
            session, world, a_foreign_list(*foreign_rows(4), "K-9;555;10;2020-12-31;")
        )
    )
    [held] = holdings(session, desks=["CAF"])
    assert (held.carnets, held.covers) == ("1-7", "C-001 … C-004, K-9")
