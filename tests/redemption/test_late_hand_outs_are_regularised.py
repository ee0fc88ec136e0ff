"""Where a tranche allows it, a pass scanned before its hand-out was recorded waits, and the hand-out decides."""

from datetime import date

import msgspec
import pytest
from sqlalchemy import select

from issuance.orders import ActivateOrder, activate_order
from ledger import queries
from ledger.identifiers import new_id
from ledger.models import entry
from redemption.blocking import BlockStock, InStock, block_stock, in_stock
from redemption.counter import Presented, redeem
from redemption.facts import facts
from redemption.models import kept_scan
from redemption.reconciliation import reconcile
from redemption.sites import Accredit, accredit
from redemption.undoing import Undo, undo
from redemption.voiding import VoidMisprints, void_misprints
from tests.builders import (
    MANAGER,
    a_site,
    a_workshop,
    a_world,
    an_order,
    done,
    given,
    scan_of,
    scanned,
)
from tests.conftest import moment
from tests.together import run_together

AT = moment("2020-02-03", 14)
LATER = moment("2020-02-05")


@pytest.fixture
def waiting(database):
    """Passes in stock at a desk, of a tranche that regularises."""
    with database.begin("23") as session:
        world = a_world(session, regularise=True)
        serials = an_order(session, world, 1)
    return database, world, serials


def held(session) -> dict[tuple[str, str | None], int]:
    return {(h.kind, h.party): h.cents for h in queries.holdings(session, ["1"]) if h.cents}


def waiting_in(session) -> int:
    [tranche] = reconcile(session, now=moment("2021-03-01"), tranche="T1")
    return tranche.scans_waiting


def uses(session) -> list:
    return session.execute(
        select(entry.c.act_id, entry.c.subject, entry.c.occurred_on, entry.c.actor, entry.c.body)
        .where(entry.c.kind == "redeemed")
        .order_by(entry.c.subject)
    ).all()  # fmt: skip


def test_the_hand_out_redeems_the_pass_where_it_waited_by_its_own_act(waiting):
    database, world, serials = waiting
    with database.begin("23") as session:
        workshop = a_workshop(session)
        [verdict] = scanned(session, world, workshop, serials[0])
        assert (verdict.verdict, verdict.cents) == ("kept", None)
        assert held(session)["stock", None] == 5000
        assert uses(session) == []
    with database.begin("23") as session:
        answer = done(given(session, *serials, now=LATER))
        [use] = uses(session)
        after = held(session)

    assert (after["due", "1"], after["circulating", None]) == (1000, 4000)
    assert ("stock", None) not in after
    assert (use.act_id, use.subject, use.occurred_on, use.actor) == (
        answer.act,
        serials[0],
        date(2020, 2, 3),
        "manager",
    )
    facts = msgspec.json.decode(use.body)["facts"]
    assert (facts["workshop"], facts["scan"]) == (str(workshop), str(verdict.id))


def test_of_two_sites_where_it_waited_the_first_received_wins(waiting):
    database, world, serials = waiting
    with database.begin("23") as session:
        first = a_workshop(session, "2020-02-03", "lieu-2")
        second = a_workshop(session, "2020-02-02", "lieu-1")
        scanned(session, world, first, serials[0], now=moment("2020-02-03", 14))
        scanned(session, world, second, serials[0], now=moment("2020-02-03", 15))
        done(given(session, serials[0], now=LATER))
        after = held(session)
        [verdict] = scanned(session, world, second, serials[0], now=LATER)

    assert after["due", "2"] == 1000
    assert ("due", "1") not in after
    assert (verdict.verdict, verdict.site, verdict.on) == (
        "already_redeemed",
        "Médiathèque 2",
        date(2020, 2, 3),
    )


def test_the_phone_that_asks_again_still_hears_kept(waiting):
    database, world, serials = waiting
    with database.begin("23") as session:
        scan = Presented(scan_of(world.token(serials[0]), a_workshop(session), AT), MANAGER)
        [first] = redeem(session, [scan], now=AT, keyring=world.ring)
        answer = done(given(session, serials[0], now=LATER))
    with database.begin("23") as session:
        [again] = redeem(session, [scan], now=LATER, keyring=world.ring)
        after = held(session)

    assert again.replayed
    assert msgspec.structs.replace(again, replayed=False) == first
    assert (first.verdict, answer.kind) == ("kept", "handed_out")
    assert after["due", "1"] == 1000


def test_the_same_scan_kept_twice_waits_once(waiting):
    database, world, serials = waiting
    with database.begin("23") as session:
        scan = Presented(scan_of(world.token(serials[0]), a_workshop(session), AT), MANAGER)
        for _ in range(2):
            redeem(session, [scan, scan], now=AT, keyring=world.ring)
        assert len(session.execute(select(kept_scan)).all()) == 1


def test_a_workshop_that_could_not_accept_it_leaves_the_pass_usable(waiting):
    database, world, serials = waiting
    with database.begin("23") as session:
        site = a_site(session, 3, moment("2020-01-06"))
        too_late = a_workshop(session, "2021-02-01")
        not_yet_accredited = a_workshop(session, "2020-02-03", site)
        scanned(session, world, too_late, serials[0], now=moment("2021-02-01"))
        scanned(session, world, not_yet_accredited, serials[1])
        request = Accredit(new_id(), site, "tela", date(2020, 3, 1))
        done(accredit(session, request, by="test", now=LATER))
        done(given(session, *serials[:2], now=LATER))
        assert uses(session) == []
        assert held(session)["circulating", None] == 2000
        good = a_workshop(session)
        verdicts = scanned(session, world, good, *serials[:2], now=LATER)
    assert [v.verdict for v in verdicts] == ["accepted", "accepted"]


def test_a_scan_that_could_not_be_accepted_does_not_hide_the_next_one(waiting):
    database, world, serials = waiting
    with database.begin("23") as session:
        late, good = a_workshop(session, "2021-02-01"), a_workshop(session, site="lieu-2")
        scanned(session, world, late, serials[0], now=moment("2020-02-03", 14))
        scanned(session, world, good, serials[0], now=moment("2020-02-03", 15))
        done(given(session, serials[0], now=LATER))
        assert held(session)["due", "2"] == 1000


def test_a_use_decided_by_a_hand_out_can_be_undone_and_the_pass_spent_again(waiting):
    database, world, serials = waiting
    with database.begin("23") as session:
        workshop = a_workshop(session)
        scanned(session, world, workshop, serials[0])
        done(given(session, serials[0], now=LATER))
        request = Undo(new_id(), serials[0], "scanned_by_mistake")
        done(undo(session, request, device=MANAGER, now=LATER))
        assert held(session)["circulating", None] == 1000
        [verdict] = scanned(session, world, workshop, serials[0], now=LATER)
        assert verdict.verdict == "accepted"
        assert held(session)["due", "1"] == 1000


def test_a_scan_that_the_hand_out_could_not_accept_is_still_seen_to_wait(waiting):
    database, world, serials = waiting
    with database.begin("23") as session:
        too_late = a_workshop(session, "2021-02-01")
        scanned(session, world, too_late, serials[0], now=moment("2021-02-01"))
        done(given(session, serials[0], now=LATER))
        assert waiting_in(session) == 1
        scanned(session, world, a_workshop(session), serials[0], now=LATER)
        assert waiting_in(session) == 0


def test_a_scan_and_the_hand_out_that_it_waits_for_never_miss_each_other(waiting):
    database, world, _serials = waiting
    with database.begin("23") as session:
        serials = an_order(session, world, 12)
        workshop = a_workshop(session)

    for first in range(0, 60, 5):
        carnet = serials[first : first + 5]

        def scans(carnet=carnet) -> None:
            with database.begin("23") as session:
                found = scanned(session, world, workshop, *carnet, now=LATER)
                assert {v.verdict for v in found} <= {"accepted", "kept"}

        def gives(carnet=carnet) -> None:
            with database.begin("23") as session:
                done(given(session, *carnet, now=LATER))

        run_together(scans, gives)
    with database.begin("23") as session:
        assert len(uses(session)) == 60
        assert waiting_in(session) == 0


def test_what_is_found_to_wait_at_a_second_look_is_looked_at_again(waiting, monkeypatch):
    """While a scan looks again, an order beside it becomes active, then its pass is handed out too."""
    database, world, serials = waiting
    with database.begin("23") as session:
        [later, *_] = an_order(session, world, 1, active=False)
        workshop = a_workshop(session)
    looked = 0

    def looking(session, *asked, **how):
        nonlocal looked
        looked += 1
        if looked == 2:
            activates = ActivateOrder(new_id(), 2, "ENG-2020-2")
            done(activate_order(session, activates, by="test", now=LATER))
        found = facts(session, *asked, **how)
        if looked < 3:
            done(given(session, [serials[0], later][looked - 1], now=LATER))
        return found

    monkeypatch.setattr("redemption.counter.facts", looking)
    with database.begin("23") as session:
        found = scanned(session, world, workshop, serials[0], later, now=LATER)
        assert [v.verdict for v in found] == ["accepted", "accepted"]
        assert waiting_in(session) == 0


def test_carnets_with_a_scan_that_waits_are_not_voided_as_misprints(waiting):
    database, world, serials = waiting
    with database.begin("23") as session:
        scanned(session, world, a_workshop(session), serials[0])
        request = VoidMisprints(new_id(), 1, 1)
        answer = void_misprints(session, request, by="test", now=LATER)
        assert answer.code == "carnets_not_whole"
        done(given(session, *serials, now=LATER))
        assert len(uses(session)) == 1


def test_blocking_a_stock_tells_how_many_scans_wait_and_will_not_be_paid(waiting):
    database, world, serials = waiting
    with database.begin("23") as session:
        scanned(session, world, a_workshop(session), *serials[:2])
        given(session, serials[1], now=LATER)
        assert in_stock(session, 1, 1) == InStock(1, 4, 1)
        request = BlockStock(new_id(), 1, 1)
        told = done(block_stock(session, request, by="test", now=LATER))
        assert (told.facts["count"], told.facts["waiting"]) == (4, 1)
        assert len(uses(session)) == 1
        other = an_order(session, world, 1)
        request = BlockStock(new_id(), 2, 2)
        told = done(block_stock(session, request, by="test", now=LATER))
        assert (told.facts["count"], "waiting" in told.facts) == (len(other), False)
