"""A range of carnets that is gone is blocked at once: what is in stock, never what people hold."""

import threading
from collections import Counter

import pytest

from app.audit import audit_departement
from issuance.hand_outs import HandOut
from ledger import queries
from ledger.identifiers import new_id
from redemption.blocking import PASSES_MAX, BlockStock, block_stock
from redemption.hand_out import hand_out
from redemption.lapsing import Lapse, lapse
from tests.builders import (
    a_workshop,
    a_world,
    an_order,
    done,
    given,
    scanned,
    sequence,
)
from tests.conftest import moment
from tests.sending import sent

AT = moment("2020-02-03", 14)
STOLEN = moment("2020-02-10")


@pytest.fixture
def opened(database):
    """Four carnets: two passes of the second are in someone's hands."""
    with database.begin("23") as session:
        world = a_world(session)
        serials = an_order(session, world)
        given(session, *serials[5:7])
        workshop = a_workshop(session)
    return database, world, serials, workshop


def blocking(session, first: int, last: int, **more):
    request = BlockStock(new_id(), first, last, **more)
    return block_stock(session, request, by="test", now=STOLEN)


def held(session) -> dict[str, int]:
    cents = Counter()
    for holding in queries.holdings(session, ["1"]):
        cents[holding.kind] += holding.cents
    return {kind: n for kind, n in cents.items() if n}


def test_what_is_in_stock_is_worth_nothing_and_what_people_hold_stays_good(opened):
    database, world, serials, workshop = opened
    with database.begin("23") as session:
        answer = done(blocking(session, 1, 3))
        told = [
            v.verdict
            for v in scanned(
                session, world, workshop, serials[0], *serials[5:8], serials[15]
            )
        ]
        after = held(session)
    sequence(database)
    with database.begin("23", read_only=True) as session:
        assert [f for _, findings in audit_departement(session) for f in findings] == []

    assert answer.facts == {
        "count": 13, "first_carnet": 1, "last_carnet": 3, "order": 1, "reason": "stolen", "tranche": 1,
    }  # fmt: skip
    assert told == ["blocked", "accepted", "accepted", "blocked", "not_handed_out"]
    assert (after["blocked"], after["stock"], after["due"]) == (13_000, 5000, 2000)


def test_nobody_hands_out_what_is_blocked(opened):
    database, *_ = opened
    with database.begin("23") as session:
        done(blocking(session, 4, 4, reason="lost"))
        request = HandOut(new_id(), "CAF", pic=True, proof="attested", carnet=4)
        assert hand_out(session, request, by="x", now=AT).code == "already_handed_out"


def test_it_is_done_once_and_each_no_has_its_code(opened):
    database, world, *_ = opened
    request = BlockStock(new_id(), 1, 4)
    with database.begin("23") as session:
        first = done(block_stock(session, request, by="test", now=STOLEN))
        again = block_stock(session, request, by="test", now=STOLEN)
        assert (again.replayed, again.facts) == (True, first.facts)
        nothing = blocking(session, 1, 4)
        assert (nothing.code, nothing.facts) == (
            "nothing_in_stock",
            {"first": 1, "last": 4},
        )
        an_order(session, world, 1)
        for ends in ((1, 9), (4, 5), (4, 1), (0, 1)):
            assert blocking(session, *ends).code == "carnets_missing", ends
        done(
            lapse(session, Lapse(new_id(), 2, "stock"), by="job", now=moment("2021-02-08"))
        )
        assert blocking(session, 5, 5).code == "stock_lapsed"


def test_specimens_are_blocked_without_money(opened):
    database, world, *_ = opened
    with database.begin("23") as session:
        an_order(session, world, 1, specimen=True)
        before = held(session)
        assert done(blocking(session, 5, 5, reason="lost")).facts["count"] == 5
        assert held(session) == before


def test_more_than_one_act_holds_is_refused_and_half_of_it_is_not(database, monkeypatch):
    monkeypatch.setattr("redemption.blocking.PASSES_MAX", 10)
    assert PASSES_MAX == 10_000
    with database.begin("23") as session:
        world = a_world(session)
        an_order(session, world, 3)
        answer = blocking(session, 1, 3)
        assert (answer.code, answer.facts) == ("range_too_long", {"count": 15, "most": 10})
        done(blocking(session, 1, 2))


def test_a_range_that_is_too_long_is_counted_and_not_read(database, monkeypatch):
    monkeypatch.setattr("redemption.blocking.PASSES_MAX", 10)
    with database.begin("23") as session:
        an_order(session, a_world(session), 3)
        with sent() as refused:
            answer = blocking(session, 1, 3)
        with sent() as accepted:
            done(blocking(session, 1, 2))
    assert answer.code == "range_too_long"
    assert counts_of_passes(refused) == [True]
    assert counts_of_passes(accepted)[:2] == [True, False]


def counts_of_passes(statements: list[str]) -> list[bool]:
    """Tell of each statement about the passes of a range whether it only counts them."""
    plain = [" ".join(statement.lower().split()) for statement in statements]
    return [s.startswith("select count(") for s in plain if "voucher.carnet" in s]


def test_hand_outs_that_race_it_come_before_or_find_it_blocked(database):
    with database.begin("23") as session:
        world = a_world(session)
        an_order(session, world, 12)
    answers, blocks, under_way = [], [], threading.Event()

    def give(carnets) -> None:
        for carnet in carnets:
            with database.begin("23") as session:
                request = HandOut(
                    new_id(), "CAF", pic=True, proof="attested", carnet=carnet
                )
                answers.append(hand_out(session, request, by="desk-CAF", now=AT))
            under_way.set()

    def block() -> None:
        under_way.wait(10)
        with database.begin("23") as session:
            blocks.append(blocking(session, 1, 12))

    jobs = [lambda mine=range(n, 13, 4): give(mine) for n in range(1, 5)]
    threads = [threading.Thread(target=job) for job in (*jobs, block)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    told = Counter(a.code for a in answers)
    assert set(told) <= {"accepted", "already_handed_out"}
    assert blocks[0].facts.get("count", 0) == 5 * told["already_handed_out"]
    with database.begin("23") as session:
        after = held(session)
    assert (after.get("stock", 0), after["circulating"]) == (0, told["accepted"] * 5000)
    assert after.get("blocked", 0) == told["already_handed_out"] * 5000
