"""Orders never exceed the envelope, however many are placed at once, however often they are cut short."""

from collections import Counter
from datetime import timedelta
from hashlib import sha256

import msgspec
import pytest
from sqlalchemy import func, select, update
from sqlalchemy.exc import IntegrityError

from funding.models import tranche_budget
from funding.queries import calendar_in_force, tranches_with_money_left
from issuance.making import make_piece, pieces
from issuance.models import carnet, voucher, voucher_order
from issuance.orders import (
    ActivateOrder,
    PlaceOrder,
    activate_order,
    order_row,
    place_order,
)
from ledger import canonical, queries
from ledger.entries import entry_id
from ledger.identifiers import new_id
from ledger.models import entry
from tests.builders import a_world, an_order, done, given
from tests.conftest import moment
from tests.together import at_once

NOW = moment("2020-01-07")
CARNET = 5_000


def placed(session, world, carnets: int = 1, *, specimen: bool = False, request=None):
    request = request or PlaceOrder(new_id(), "T1", carnets, specimen)
    return place_order(session, request, signer=world.signer, by="test", now=NOW)


def made(session, world, order, piece: int = 0):
    return make_piece(session, order, piece, signer=world.signer, by="test", now=NOW)


def reserved(session) -> int:
    return session.scalars(select(tranche_budget.c.reserved_cents)).one()


def holdings(session) -> dict[str, int]:
    told = {h.kind: h.cents for h in queries.holdings(session, ["1"]) if h.party is None}
    return {kind: cents for kind, cents in told.items() if cents}


def opened(database, **facts):
    with database.begin("23") as session:
        return a_world(session, **facts)


def test_of_sixteen_orders_at_once_as_many_succeed_as_the_envelope_allows(database):
    world = opened(database, envelope_cents=11 * CARNET + 1_000)

    def order(_turn: int):
        with database.begin("23") as session:
            return placed(session, world)

    answers = at_once(order)

    assert Counter(a.code for a in answers) == {"accepted": 11, "envelope_exceeded": 5}
    refused = [a.facts for a in answers if not a.accepted]
    assert refused == [{"tranche": "T1", "asked_cents": CARNET, "left_cents": 1_000}] * 5
    with database.begin("23") as session:
        assert reserved(session) == 11 * CARNET
        assert session.scalar(select(func.count()).select_from(voucher_order)) == 11


def test_carnet_numbers_of_orders_placed_at_once_do_not_overlap(database):
    world = opened(database)

    def order(turn: int):
        with database.begin("23") as session:
            return done(placed(session, world, turn % 4 + 1, specimen=turn % 5 == 0))

    at_once(order)

    with database.begin("23") as session:
        orders = session.execute(
            select(voucher_order.c.number, voucher_order.c.first_carnet, voucher_order.c.carnets)
        ).all()  # fmt: skip
    numbers = [n for _, first, count in orders for n in range(first, first + count)]
    assert sorted(numbers) == list(range(1, 41))
    assert sorted(number for number, _, _ in orders) == list(range(1, 17))


def test_one_order_sent_by_sixteen_threads_is_one_order(database):
    world = opened(database)
    request = PlaceOrder(new_id(), "T1", 2)

    def order(_turn: int):
        with database.begin("23") as session:
            return placed(session, world, request=request)

    answers = at_once(order)

    assert Counter(a.replayed for a in answers) == {False: 1, True: 15}
    assert len({(a.code, a.facts["order"], a.facts["first_carnet"]) for a in answers}) == 1
    with database.begin("23") as session:
        assert reserved(session) == 2 * CARNET


def test_the_whole_envelope_can_be_ordered_and_not_a_carnet_more(database):
    world = opened(database, envelope_cents=4 * CARNET)
    with database.begin("23") as session:
        assert placed(session, world, 5).code == "envelope_exceeded"
        assert reserved(session) == 0
        done(placed(session, world, 4))
        assert placed(session, world).facts["left_cents"] == 0
        assert reserved(session) == 4 * CARNET


def test_the_database_itself_refuses_more_than_the_envelope(database):
    opened(database, envelope_cents=4 * CARNET)
    with (
        pytest.raises(IntegrityError, match="ck_tranche_budget_within_envelope"),
        database.begin("23") as session,
    ):
        session.execute(update(tranche_budget).values(reserved_cents=4 * CARNET + 1))


def test_specimens_reserve_nothing_and_move_nothing(database):
    world = opened(database, envelope_cents=CARNET)
    with database.begin("23") as session:
        done(placed(session, world))
        before = holdings(session)
        serials = an_order(session, world, carnets=3, specimen=True)
        assert len(serials) == 15
        assert reserved(session) == CARNET
        assert holdings(session) == before


@pytest.mark.parametrize("carnets", [0, -1, 1_000_001])
def test_an_order_of_no_carnet_or_of_too_many_is_refused_and_reserves_nothing(
    session, carnets
):
    world = a_world(session, envelope_cents=2_000_000_000)
    answer = placed(session, world, carnets)
    assert (answer.code, answer.facts) == ("order_impossible", {"reason": "carnets"})
    assert reserved(session) == 0


def test_an_order_that_is_not_committed_reserves_nothing_and_leaves_no_gap(database):
    world = opened(database)

    class PowerCut(Exception):
        pass

    with pytest.raises(PowerCut), database.begin("23") as session:
        done(placed(session, world, 3))
        raise PowerCut

    with database.begin("23") as session:
        assert reserved(session) == 0
        assert done(placed(session, world, 3)).facts["first_carnet"] == 1


def test_an_interrupted_order_is_taken_up_where_it_stopped(database):
    world = opened(database, envelope_cents=2_000_000)
    with database.begin("23") as session:
        number = done(placed(session, world, 201)).facts["order"]
    with database.begin("23") as session:
        order = order_row(session, number)
        assert pieces(order) == 2
        first = done(made(session, world, order, 0))
        assert holdings(session) == {"available": 1_000_000, "stock": 1_000_000}

    with database.begin("23") as session:
        again = made(session, world, order, 0)
        assert again == msgspec.structs.replace(first, replayed=True)
        assert holdings(session) == {"available": 1_000_000, "stock": 1_000_000}
        done(made(session, world, order, 1))
        assert made(session, world, order, 1).replayed

    with database.begin("23") as session:
        assert holdings(session) == {"available": 995_000, "stock": 1_005_000}
        assert reserved(session) == 1_005_000
        assert session.scalar(select(func.count()).select_from(carnet)) == 201
        assert session.scalar(select(func.count()).select_from(voucher)) == 1_005


def test_a_piece_made_by_several_workers_at_once_is_made_once(database):
    world = opened(database)
    with database.begin("23") as session:
        order = order_row(session, done(placed(session, world, 4)).facts["order"])

    def make(_turn: int):
        with database.begin("23") as session:
            return done(made(session, world, order))

    answers = at_once(make, 8)

    assert Counter(a.replayed for a in answers) == {False: 1, True: 7}
    with database.begin("23") as session:
        assert holdings(session)["stock"] == 4 * CARNET
        assert session.scalar(select(func.count()).select_from(voucher)) == 20


def test_value_goes_from_available_to_stock_to_circulating(database):
    world = opened(database, envelope_cents=10 * CARNET)
    with database.begin("23") as session:
        assert holdings(session) == {"available": 50_000}
        done(placed(session, world, 4))
        assert holdings(session) == {"available": 50_000}
        serials = an_order(session, world, carnets=2)
        assert holdings(session) == {"available": 40_000, "stock": 10_000}
        done(given(session, *serials[:3]))
        assert holdings(session) == {
            "available": 40_000,
            "stock": 7_000,
            "circulating": 3_000,
        }


def test_the_entry_holds_the_hash_of_the_serials_and_none_of_their_secrets(database):
    world = opened(database)
    with database.begin("23") as session:
        serials = an_order(session, world, carnets=2)
        act = session.scalars(select(voucher_order.c.entry_id)).one()
        body = session.scalars(select(entry.c.body).where(entry.c.id == entry_id(act, 1))).one()  # fmt: skip
        bodies = b"\n".join(session.scalars(select(entry.c.body)))

    facts = canonical.decode(body)["facts"]
    lines = "".join(
        f"23-{number:06d}-{rank}\n" for number in (1, 2) for rank in range(1, 6)
    )
    assert facts["serials_sha256"] == sha256(lines.encode()).hexdigest()
    assert (facts["count"], facts["face_cents"]) == (10, 1_000)
    for serial in serials:
        printed = world.passes[serial]
        assert printed.code.encode() not in bodies
        assert printed.url[-191:].encode() not in bodies


def test_an_order_is_active_once_made_once_and_under_a_commitment_number(session):
    world = a_world(session)
    number = done(placed(session, world)).facts["order"]

    def activated(order: int, commitment: str):
        request = ActivateOrder(new_id(), order, commitment)
        return activate_order(session, request, by="test", now=NOW)

    assert activated(number, "ENG-1").facts == {"reason": "not_made"}
    done(made(session, world, order_row(session, number)))

    assert activated(number, "  ").facts == {"reason": "commitment_number"}
    assert activated(number, "E" * 41).facts == {"reason": "commitment_number"}
    assert activated(99, "ENG-1").code == "not_found"
    assert done(activated(number, " ENG-1 ")).facts["commitment_number"] == "ENG-1"
    assert activated(number, "ENG-2").code == "right_used"


def test_only_tranches_whose_passes_can_be_handed_out_are_offered(session):
    a_world(session)
    stop = calendar_in_force(session, 1).hand_out_stop
    offered = tranches_with_money_left(session, on=stop)
    assert [t.code for t in offered] == ["T1"]
    assert tranches_with_money_left(session, on=stop + timedelta(days=1)) == []
