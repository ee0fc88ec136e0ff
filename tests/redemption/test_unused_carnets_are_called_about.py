"""After six weeks a desk learns which carnets it handed out and nobody used, and nothing about anyone else's."""

from datetime import date

import pytest

from issuance.desks import Deliver, OpenDesk, deliver, open_desk
from issuance.hand_outs import HandOut
from issuance.orders import order_row
from issuance.paper import printed_passes
from ledger.identifiers import new_id
from redemption.blocking import BlockCarnet, block_carnet
from redemption.hand_out import hand_out
from redemption.lapsing import Lapse, lapse
from redemption.replacing import ReplaceHandOut, replace_hand_out
from redemption.undoing import Undo, undo
from redemption.unused import UnusedCarnet, unused_carnets
from tests.builders import (
    MANAGER,
    SEALER,
    a_workshop,
    a_world,
    an_order,
    done,
    given,
    scanned,
)
from tests.conftest import moment

GIVEN = date(2020, 1, 20)
SIX_WEEKS_LATER = date(2020, 3, 2)


def waiting(session, on: date = SIX_WEEKS_LATER, weeks: int = 6, desks=None):
    found = unused_carnets(session, weeks=weeks, on=on, desks=desks)
    return [(u.carnet, u.left) for u in found]


@pytest.fixture
def lived(session):
    """Four carnets of five at the desk CAF, three of them handed out on 20 January."""
    world = a_world(session)
    serials = an_order(session, world)
    for first in (0, 5, 10):
        done(given(session, *serials[first : first + 5]))
    return session, world, serials


def test_a_carnet_is_told_on_the_day_it_is_six_weeks_old_and_not_before(lived):
    session, _world, _serials = lived
    assert waiting(session, date(2020, 3, 1)) == []
    assert waiting(session) == [(1, 5), (2, 5), (3, 5)]
    assert waiting(session, date(2020, 1, 27), weeks=1) == [(1, 5), (2, 5), (3, 5)]
    [first, *_] = unused_carnets(session, weeks=6, on=SIX_WEEKS_LATER)
    assert first == UnusedCarnet("CAF", 1, GIVEN, 5, date(2020, 12, 31), "tela")


def test_one_use_takes_a_carnet_off_the_list_and_its_undoing_puts_it_back(lived):
    session, world, serials = lived
    scanned(session, world, a_workshop(session), serials[0], serials[5])
    undone = Undo(new_id(), serials[5], "wrong_pass")
    done(undo(session, undone, device=MANAGER, now=moment("2020-02-04")))
    assert waiting(session) == [(2, 5), (3, 5)]


def test_a_carnet_given_to_two_people_is_two_lines(session):
    world = a_world(session)
    serials = an_order(session, world, 1)
    done(given(session, *serials[:2]))
    done(given(session, *serials[2:], now=moment("2020-01-21")))
    assert waiting(session, date(2020, 3, 3)) == [(1, 2), (1, 3)]
    scanned(session, world, a_workshop(session), serials[4])
    assert waiting(session, date(2020, 3, 3)) == [(1, 2)]


def test_what_cannot_be_used_is_not_told(lived):
    session, _world, _serials = lived
    lost = BlockCarnet(new_id(), 1, "lost")
    done(block_carnet(session, lost, by="test", now=moment("2020-02-04")))
    in_stock = BlockCarnet(new_id(), 4, "stolen")
    done(block_carnet(session, in_stock, by="test", now=moment("2020-01-20")))
    assert waiting(session) == [(2, 5), (3, 5)]
    assert waiting(session, date(2021, 1, 31)) == [(2, 5), (3, 5)]
    assert waiting(session, date(2021, 2, 1)) == [], "past the last workshop day"
    ended = Lapse(new_id(), 1, "circulating")
    done(lapse(session, ended, by="test", now=moment("2021-02-08")))
    assert waiting(session) == []


def test_a_replaced_carnet_gives_way_to_the_one_that_took_its_place(session):
    world = a_world(session)
    serials = an_order(session, world, 1)
    lost = done(given(session, *serials))
    asked = ReplaceHandOut(new_id(), lost.act, "CAF")
    done(
        replace_hand_out(
            session, asked, signer=world.signer, by="desk-CAF", now=moment("2020-02-10")
        )
    )
    assert waiting(session) == [], "the new paper is three weeks old"
    [new] = unused_carnets(session, weeks=6, on=date(2020, 3, 23), desks=["CAF"])
    assert (new.desk, new.handed_out_on, new.left) == ("CAF", date(2020, 2, 10), 5)
    assert new.carnet != 1
    assert waiting(session, date(2020, 3, 23), desks=["MSA"]) == []


def again(session, world, hand_out, day: str):
    asked = ReplaceHandOut(new_id(), hand_out, "CAF")
    return done(
        replace_hand_out(
            session, asked, signer=world.signer, by="desk-CAF", now=moment(day)
        )
    )


def printed(world, session, order: int) -> None:
    made = printed_passes(order_row(session, order), world.signer, world.host)
    world.passes |= {str(p.serial): p for p in made}


def test_who_used_a_pass_before_the_rest_was_replaced_is_not_called(session):
    world = a_world(session)
    serials = an_order(session, world, 2)
    came, never = given(session, *serials[:5]), given(session, *serials[5:])
    scanned(session, world, a_workshop(session), *serials[:2])
    first = again(session, world, done(came).act, "2020-02-10")
    again(session, world, first.act, "2020-02-11")
    new = again(session, world, done(never).act, "2020-02-10").facts["first_carnet"]
    assert waiting(session, date(2020, 3, 30)) == [(new, 5)]


def test_who_used_a_pass_that_replaced_another_is_not_called_for_what_came_back(session):
    world = a_world(session)
    serials = an_order(session, world, 1)
    lost = done(given(session, *serials))
    workshop = a_workshop(session)
    scanned(session, world, workshop, serials[0])
    new = again(session, world, lost.act, "2020-02-10").facts
    undone = Undo(new_id(), serials[0], "wrong_pass")
    done(undo(session, undone, device=MANAGER, now=moment("2020-02-10")))
    later = date(2020, 3, 30)
    assert waiting(session, later) == [(1, 1), (new["first_carnet"], 4)]
    printed(world, session, new["order"])
    scanned(session, world, workshop, new["serials"][0])
    assert waiting(session, later) == []


def test_a_desk_is_told_of_its_own_carnets_only(session):
    world = a_world(session)
    serials = an_order(session, world, 2)
    msa = OpenDesk(new_id(), "MSA", "MSA", "Accueil", ("tela",))
    done(open_desk(session, msa, by="test", now=moment("2020-01-10")))
    brought = Deliver(new_id(), "MSA", 2, 2)
    done(deliver(session, brought, by="test", now=moment("2020-01-10")))
    done(given(session, *serials[:5]))
    asked = HandOut(new_id(), "MSA", True, "attested", carnet=2)
    now = moment("2020-01-21")
    done(hand_out(session, asked, by="desk-MSA", now=now, sealer=SEALER))
    later = date(2020, 3, 3)
    assert waiting(session, later) == [(1, 5), (2, 5)]
    assert waiting(session, later, desks=["CAF"]) == [(1, 5)]
    assert waiting(session, later, desks=["MSA"]) == [(2, 5)]
    assert waiting(session, later, desks=[]) == []


def test_a_specimen_is_never_handed_out_never_spent_and_never_told(session):
    world = a_world(session)
    serials = an_order(session, world, 1, specimen=True)
    refused = given(session, *serials)
    assert (refused.code, refused.facts) == ("specimen_not_handed_out", {"order": 1})
    workshop = a_workshop(session)
    verdicts = scanned(session, world, workshop, *serials)
    world.passes[serials[0]] = world.passes[serials[0]]._replace(
        url=world.passes[serials[0]].code
    )
    verdicts += scanned(session, world, workshop, serials[0])
    assert {v.verdict for v in verdicts} == {"specimen"}
    assert {v.cents for v in verdicts} == {None}
    assert waiting(session) == []
