"""What is not made of an order can be given back to its tranche; what is made stays, and is never more."""

import pytest
from sqlalchemy import select

from funding.models import tranche_budget
from issuance.cancelling import CancelOrder, cancel_order
from issuance.keys import RevokeKey, revoke_key
from issuance.making import make_piece
from issuance.orders import (
    ActivateOrder,
    PlaceOrder,
    activate_order,
    order_row,
    place_order,
)
from issuance.queries import not_active, order_lines
from issuance.signing import PIECE
from ledger.identifiers import new_id
from redemption.lapsing import Lapse, lapse
from redemption.reconciliation import reconcile
from tests.builders import a_world, an_order, done, sequence
from tests.conftest import moment
from tests.together import at_once

NOW = moment("2020-01-08")
LATE = moment("2021-02-08")


def placed(session, world, carnets=2, **facts):
    asked = PlaceOrder(new_id(), "T1", carnets, **facts)
    answer = done(place_order(session, asked, signer=world.signer, by="test", now=NOW))
    return order_row(session, answer.facts["order"])


def made(session, world, order, piece=0):
    return make_piece(session, order, piece, signer=world.signer, by="test", now=NOW)


def cancelled(session, number, now=NOW):
    return cancel_order(session, CancelOrder(new_id(), number), by="test", now=now)


def reserved(session) -> int:
    return session.scalars(select(tranche_budget.c.reserved_cents)).one()


@pytest.fixture
def world(session):
    return a_world(session, envelope_cents=10_000_000)


def test_an_order_that_is_not_made_gives_all_its_money_back(session, world):
    order = placed(session, world)
    assert reserved(session) == 10_000

    answer = done(cancelled(session, order.number))

    assert (answer.facts["carnets_not_made"], answer.facts["released_cents"]) == (2, 10_000)
    assert reserved(session) == 0
    assert made(session, world, order).code == "order_cancelled"
    [line] = order_lines(session, order.number)
    assert (line.given_up, line.value_cents, line.is_made) == (2, 0, False)
    assert not_active(session) == []
    active = ActivateOrder(new_id(), order.number, "ENG-1")
    assert activate_order(session, active, by="test", now=NOW).facts == {
        "reason": "not_made"
    }


def test_what_is_made_stays_and_becomes_good(database):
    with database.begin("23") as session:
        world = a_world(session, envelope_cents=10_000_000)
        order = placed(session, world, PIECE + 5)
        done(made(session, world, order))
        done(cancelled(session, order.number))
        assert reserved(session) == PIECE * 5_000
        assert made(session, world, order, 1).code == "order_cancelled"
        [waits] = not_active(session)
        assert waits.number == order.number
        active = ActivateOrder(new_id(), order.number, "ENG-1")
        done(activate_order(session, active, by="test", now=NOW))
    sequence(database)
    with database.begin("23", read_only=True) as session:
        [found] = reconcile(session, now=moment("2020-02-05"))
        assert (found.made, found.active) == (PIECE * 5, PIECE * 5)


def test_an_order_that_is_wholly_made_is_not_cancelled_and_none_is_twice(session, world):
    an_order(session, world, 2)
    assert cancelled(session, 1).facts == {"reason": "all_made"}
    order = placed(session, world)
    done(cancelled(session, order.number))
    assert cancelled(session, order.number).code == "order_cancelled"
    assert cancelled(session, 99).code == "not_found"
    assert reserved(session) == 10_000


def test_the_same_cancellation_sent_again_gives_back_once(session, world):
    order = placed(session, world)
    request = CancelOrder(new_id(), order.number)
    done(cancel_order(session, request, by="test", now=NOW))

    again = cancel_order(session, request, by="test", now=NOW)

    assert again.replayed
    assert reserved(session) == 0


def test_an_order_that_cannot_be_made_any_more_is_cancelled_too(session, world):
    revoked, lapsed = placed(session, world), placed(session, world)
    key = RevokeKey(new_id(), world.signer.voucher_key_id, "suspected")
    done(revoke_key(session, key, by="test", now=NOW))
    done(lapse(session, Lapse(new_id(), lapsed.number, "stock"), by="test", now=LATE))

    done(cancelled(session, revoked.number, LATE))
    done(cancelled(session, lapsed.number, LATE))

    assert reserved(session) == 0


def test_specimens_give_nothing_back(session, world):
    order = placed(session, world, specimen=True)
    assert done(cancelled(session, order.number)).facts["released_cents"] == 0
    assert reserved(session) == 0


def test_a_piece_comes_wholly_before_a_cancellation_or_not_at_all(database):
    with database.begin("23") as session:
        world = a_world(session, envelope_cents=10_000_000)
        order = placed(session, world, 2)

    def make():
        with database.begin("23") as session:
            return made(session, world, order)

    def cancel():
        with database.begin("23") as session:
            return cancelled(session, order.number)

    making, cancelling = at_once(lambda turn: (make, cancel)[turn](), 2)

    assert making.accepted != cancelling.accepted
    with database.begin("23", read_only=True) as session:
        [line] = order_lines(session, order.number)
        assert line.made == (2 if making.accepted else 0)
        assert reserved(session) == line.value_cents
