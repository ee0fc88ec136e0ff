"""After the presentation day what is left lapses, once, whatever happens at that very moment."""

import threading
from collections import Counter
from datetime import date
from hashlib import sha256

import msgspec
import pytest

from funding.tranches import AmendCalendar, amend_calendar
from issuance.hand_outs import HandOut
from issuance.making import make_piece, pieces_left
from issuance.orders import PlaceOrder, order_row, place_order
from ledger import queries
from ledger.identifiers import new_id
from redemption.blocking import BlockCarnet, block_carnet
from redemption.hand_out import hand_out
from redemption.lapsing import DueLapse, Lapse, due_lapses, lapse
from redemption.undoing import Undo, undo
from tests.builders import (
    CALENDAR,
    MANAGER,
    a_workshop,
    a_world,
    an_order,
    done,
    given,
    scanned,
    sequence,
)
from tests.conftest import moment
from tests.together import run_together

PRESENT_BY = moment("2021-02-07", 23)
AFTER = moment("2021-02-08", 0)
AT = moment("2020-02-03", 14)


@pytest.fixture
def opened(database):
    """Twenty passes: three carnets handed out, one in stock, two passes spent, a carnet blocked."""
    with database.begin("23") as session:
        world = a_world(session)
        serials = an_order(session, world)
        given(session, *serials[:15])
        workshop = a_workshop(session)
        scanned(session, world, workshop, *serials[:2])
        done(block_carnet(session, BlockCarnet(new_id(), 3), by="test", now=AT))
    return database, world, serials, workshop


def held(session) -> dict[str, int]:
    cents = Counter()
    for holding in queries.holdings(session, ["1"]):
        cents[holding.kind] += holding.cents
    return cents


def lapsing(session, stage: str, now=AFTER, order: int = 1):
    return lapse(session, Lapse(new_id(), order, stage), by="job", now=now)


@pytest.mark.parametrize("stage", ["stock", "circulating"])
def test_it_is_too_early_until_the_presentation_day_is_over(opened, stage):
    database, *_ = opened
    with database.begin("23") as session:
        before = held(session)
        answer = lapsing(session, stage, PRESENT_BY)
        assert (answer.code, answer.facts) == (
            "too_early_to_lapse",
            {"present_by": "2021-02-07"},
        )
        assert held(session) == before
        done(lapsing(session, stage))


def test_each_stage_lapses_for_what_is_left_of_it(opened):
    database, world, serials, workshop = opened
    with database.begin("23") as session:
        stock = done(lapsing(session, "stock"))
        circulating = done(lapsing(session, "circulating"))
        after = held(session)
        [late] = scanned(session, world, workshop, serials[2], now=PRESENT_BY)

    hash_of_the_rest = sha256("".join(f"{s}\n" for s in serials[2:10]).encode()).hexdigest()
    assert (stock.facts["count"], circulating.facts["count"]) == (5, 8)
    assert circulating.facts["serials_sha256"] == hash_of_the_rest
    assert late.verdict == "lapsed"
    assert {k: v for k, v in after.items() if v} == {
        "available": 1_000_000 - 20_000,
        "blocked": 5000,
        "committed": -1_000_000,
        "due": 2000,
        "lapsed": 13_000,
    }


def test_it_lapses_once_and_the_same_act_again_is_a_replay(opened):
    database, *_ = opened
    request = Lapse(new_id(), 1, "circulating")
    with database.begin("23") as session:
        first = done(lapse(session, request, by="job", now=AFTER))
    with database.begin("23") as session:
        again = lapse(session, request, by="job", now=moment("2021-03-01"))
        other = lapsing(session, "circulating")
        after = held(session)

    assert (again.replayed, again.facts, again.kind) == (True, first.facts, "lapsed")
    assert (other.code, other.facts) == (
        "already_lapsed",
        {"order": 1, "stage": "circulating"},
    )
    assert after["lapsed"] == 8000


def test_an_unknown_order_and_an_order_of_specimens_move_no_money(opened):
    database, world, *_ = opened
    with database.begin("23") as session:
        assert lapsing(session, "stock", order=9).code == "not_found"
        an_order(session, world, 1, specimen=True)
        answer = done(lapsing(session, "stock", order=2))
        assert answer.facts["count"] == 5
        assert held(session)["lapsed"] == 0


def test_nobody_hands_out_nor_blocks_what_has_lapsed(opened):
    database, *_ = opened
    with database.begin("23") as session:
        done(lapsing(session, "stock"))
        done(lapsing(session, "circulating"))
        request = HandOut(new_id(), "CAF", pic=True, proof="attested", carnet=4)
        in_time = moment("2020-12-15")
        assert hand_out(session, request, by="desk-CAF", now=in_time).code == "stock_lapsed"
        for carnet in (1, 4):
            blocking = BlockCarnet(new_id(), carnet)
            answer = block_carnet(session, blocking, by="test", now=AFTER)
            assert answer.code == "nothing_to_block"
        assert held(session)["lapsed"] == 13_000


def test_a_scan_undone_after_the_lapse_lapses_too_and_the_pass_stays_dead(opened):
    database, world, serials, workshop = opened
    with database.begin("23") as session:
        done(lapsing(session, "circulating"))
        request = Undo(new_id(), serials[0], "wrong_pass")
        answer = done(undo(session, request, device=MANAGER, now=AFTER))
        after = held(session)
        [verdict] = scanned(session, world, workshop, serials[0], now=PRESENT_BY)
        again = undo(
            session, Undo(new_id(), serials[0], "wrong_pass"), device=MANAGER, now=AFTER
        )
        blocked = block_carnet(session, BlockCarnet(new_id(), 1), by="test", now=AFTER)

    assert answer.facts["lapsed"] is True
    assert (after["lapsed"], after["due"], after["circulating"]) == (9000, 1000, 0)
    assert (verdict.verdict, again.code, blocked.code) == (
        "lapsed",
        "nothing_to_undo",
        "nothing_to_block",
    )


def test_scans_that_race_a_lapse_are_redeemed_or_lapsed_and_never_both(database):
    with database.begin("23") as session:
        world = a_world(session)
        serials = an_order(session, world, 8)
        given(session, *serials)
        workshop = a_workshop(session)
    verdicts, lapses, under_way = [], [], threading.Event()

    def scan(mine) -> None:
        for serial in mine:
            with database.begin("23") as session:
                verdicts.extend(scanned(session, world, workshop, serial, now=PRESENT_BY))
            under_way.set()

    def let_lapse() -> None:
        under_way.wait(10)
        with database.begin("23") as session:
            lapses.append(lapsing(session, "circulating"))

    run_together(*(lambda mine=serials[n::8]: scan(mine) for n in range(8)), let_lapse)

    told = Counter(v.verdict for v in verdicts)
    assert set(told) <= {"accepted", "lapsed"}
    assert told.total() == len(serials)
    assert lapses[0].facts["count"] == told["lapsed"]
    with database.begin("23") as session:
        after = held(session)
    assert (after["due"], after["lapsed"], after["circulating"]) == (
        told["accepted"] * 1000,
        told["lapsed"] * 1000,
        0,
    )
    sequence(database)
    with database.begin("23") as session:
        assert held(session) == after
        assert sum(after.values()) == 0


@pytest.mark.parametrize("stage", ["stock", "circulating"])
def test_a_calendar_extended_meanwhile_is_the_one_that_counts(opened, stage):
    database, *_ = opened
    later = msgspec.structs.replace(CALENDAR, present_by=date(2021, 3, 31))
    answers = []

    def let_lapse() -> None:
        with database.begin("23") as session:
            answers.append(lapsing(session, stage))

    lapses = threading.Thread(target=let_lapse)
    with database.begin("23") as session:
        done(
            amend_calendar(
                session, AmendCalendar(new_id(), "T1", later), by="test", now=AFTER
            )
        )
        lapses.start()
        lapses.join(0.3)
        assert lapses.is_alive(), "it waits for whoever amends"
    lapses.join(20)
    assert [answer.code for answer in answers] == ["too_early_to_lapse"]


def test_undos_that_race_a_lapse_leave_no_money_in_circulation(database):
    with database.begin("23") as session:
        world = a_world(session)
        serials = an_order(session, world, 4)
        given(session, *serials)
        scanned(session, world, a_workshop(session), *serials)
    answers, under_way = [], threading.Event()

    def give_back(mine) -> None:
        for serial in mine:
            with database.begin("23") as session:
                request = Undo(new_id(), serial, "workshop_cancelled")
                answers.append(done(undo(session, request, device=MANAGER, now=PRESENT_BY)))
            under_way.set()

    def let_lapse() -> None:
        under_way.wait(10)
        with database.begin("23") as session:
            done(lapsing(session, "circulating"))

    run_together(*(lambda mine=serials[n::4]: give_back(mine) for n in range(4)), let_lapse)

    with database.begin("23") as session:
        after = held(session)
    assert len(answers) == 20
    assert (after["lapsed"], after["due"], after["circulating"]) == (20_000, 0, 0)


def test_hand_outs_that_race_a_lapse_of_stock_leave_nothing_behind(database):
    with database.begin("23") as session:
        world = a_world(session)
        an_order(session, world, 12)
    answers, lapses, under_way = [], [], threading.Event()

    def give(carnets) -> None:
        for carnet in carnets:
            with database.begin("23") as session:
                request = HandOut(
                    new_id(), "CAF", pic=True, proof="attested", carnet=carnet
                )
                at = moment("2020-12-15")
                answers.append(hand_out(session, request, by="desk-CAF", now=at))
            under_way.set()

    def let_lapse() -> None:
        under_way.wait(10)
        with database.begin("23") as session:
            lapses.append(done(lapsing(session, "stock")))

    run_together(*(lambda mine=range(n, 13, 4): give(mine) for n in range(1, 5)), let_lapse)

    told = Counter(a.code for a in answers)
    assert set(told) <= {"accepted", "stock_lapsed"}
    with database.begin("23") as session:
        after = held(session)
    assert lapses[0].facts["count"] == 5 * told["stock_lapsed"]
    assert (after["stock"], after["circulating"], after["lapsed"]) == (
        0,
        told["accepted"] * 5000,
        told["stock_lapsed"] * 5000,
    )


def test_the_job_is_told_what_is_due_and_nothing_once_done(opened):
    database, *_ = opened
    with database.begin("23") as session:
        assert due_lapses(session, PRESENT_BY.day) == []
        due = due_lapses(session, AFTER.day)
        assert due == [DueLapse(1, "stock"), DueLapse(1, "circulating")]
        done(lapsing(session, "stock"))
        assert due_lapses(session, moment("2022-01-01").day) == due[1:]
        done(lapsing(session, "circulating"))
        assert due_lapses(session, moment("2022-01-01").day) == []


def test_nothing_is_made_any_more_of_an_order_whose_stock_has_lapsed(session):
    world = a_world(session, envelope_cents=2_000_000, now=moment("2020-01-06"))
    asked = PlaceOrder(new_id(), "T1", 201)
    start = moment("2020-01-07")
    placed = done(place_order(session, asked, signer=world.signer, by="test", now=start))
    order = order_row(session, placed.facts["order"])
    done(make_piece(session, order, 0, signer=world.signer, by="test", now=start))
    late = moment("2021-02-08")
    done(lapse(session, Lapse(new_id(), order.number, "stock"), by="test", now=late))

    answer = make_piece(session, order, 1, signer=world.signer, by="test", now=late)
    assert (answer.code, answer.facts) == ("stock_lapsed", {"order": order.number})
    assert pieces_left(session, order) == [1]
    assert held(session)["stock"] == 0
