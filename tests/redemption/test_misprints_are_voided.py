"""Carnets that came out wrong are void for good, and their money can be ordered again."""

from collections import Counter

from app.audit import audit_departement
from issuance.hand_outs import HandOut
from issuance.orders import PlaceOrder, place_order
from ledger import queries
from ledger.identifiers import new_id
from redemption.blocking import BlockStock, block_stock
from redemption.checking import State, look
from redemption.hand_out import hand_out
from redemption.lapsing import Lapse, lapse
from redemption.reconciliation import reconcile
from redemption.voiding import VoidMisprints, void_misprints
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
from tests.together import at_once

AT = moment("2020-02-03", 14)


def voiding(session, first: int, last: int):
    request = VoidMisprints(new_id(), first, last)
    return void_misprints(session, request, by="test", now=AT)


def held(session) -> dict[str, int]:
    return {h.kind: h.cents for h in queries.holdings(session, ["1"]) if h.cents > 0}


def test_the_counter_says_void_and_the_money_is_free_again(database):
    with database.begin("23") as session:
        world = a_world(session, envelope_cents=20_000)
        serials = an_order(session, world)
        workshop = a_workshop(session)
        more = PlaceOrder(new_id(), "T1", 2)
        full = place_order(session, more, signer=world.signer, by="test", now=AT)
        assert full.code == "envelope_exceeded"

        told = done(voiding(session, 2, 3))
        assert told.facts == {
            "count": 10, "first_carnet": 2, "last_carnet": 3, "order": 1, "released_cents": 10_000, "tranche": 1,
        }  # fmt: skip
        assert held(session) == {"available": 10_000, "stock": 10_000}
        code = world.passes[serials[5]].code
        assert [v.verdict for v in scanned(session, world, workshop, serials[5])] == [
            "void"
        ]
        seen = look(session, code, now=AT, keyring=world.ring)
        assert (seen.state, seen.used_on) == (State.VOID, None)
        carnet = HandOut(new_id(), "CAF", pic=True, proof="attested", carnet=2)
        assert hand_out(session, carnet, by="x", now=AT).code == "already_handed_out"
        again = PlaceOrder(new_id(), "T1", 2)
        done(place_order(session, again, signer=world.signer, by="test", now=AT))
    sequence(database)
    with database.begin("23", read_only=True) as session:
        assert [f for _, findings in audit_departement(session) for f in findings] == []
        [told] = reconcile(session, now=AT)
    assert (told.made, told.active, told.line("stock").count) == (10, 10, 10)


def test_only_whole_carnets_in_stock_are_voided(session):
    world = a_world(session)
    serials = an_order(session, world)
    given(session, serials[0])
    drawer = BlockStock(new_id(), 3, 3)
    done(block_stock(session, drawer, by="test", now=AT))
    started = voiding(session, 1, 4)
    assert (started.code, started.facts) == ("carnets_not_whole", {"carnets": "1, 3"})
    done(voiding(session, 2, 2))
    assert voiding(session, 2, 2).code == "carnets_not_whole"
    for ends in ((4, 9), (4, 3), (0, 1)):
        assert voiding(session, *ends).code == "carnets_missing", ends
    end = moment("2021-02-08")
    done(lapse(session, Lapse(new_id(), 1, "stock"), by="job", now=end))
    assert voiding(session, 4, 4).code == "stock_lapsed"


def test_it_is_done_once_and_not_more_than_an_act_holds(session, monkeypatch):
    an_order(session, a_world(session))
    monkeypatch.setattr("redemption.voiding.PASSES_MAX", 10)
    told = voiding(session, 1, 3)
    assert (told.code, told.facts) == ("range_too_long", {"count": 15, "most": 10})
    request = VoidMisprints(new_id(), 1, 2)
    first = done(void_misprints(session, request, by="test", now=AT))
    again = void_misprints(session, request, by="test", now=AT)
    assert (again.replayed, again.facts) == (True, first.facts)


def test_specimens_are_voided_without_money(session):
    world = a_world(session)
    an_order(session, world, 1, specimen=True)
    before = held(session)
    assert done(voiding(session, 1, 1)).facts["released_cents"] == 0
    assert held(session) == before


def test_a_hand_out_that_races_it_came_before_or_finds_it_void(database):
    with database.begin("23") as session:
        an_order(session, a_world(session), 16)

    def work(turn: int) -> tuple[str, str]:
        carnet = turn // 2 + 1
        with database.begin("23") as session:
            if turn % 2:
                return "voided", voiding(session, carnet, carnet).code
            asked = HandOut(new_id(), "CAF", pic=True, proof="attested", carnet=carnet)
            return "given", hand_out(session, asked, by="x", now=AT).code

    told = Counter(what for what, code in at_once(work) if code == "accepted")
    assert sum(told.values()) == 8
    with database.begin("23") as session:
        after = held(session)
    assert after.get("circulating", 0) == told["given"] * 5000
    assert after["stock"] == 8 * 5000
