"""Carnets that are sent are on the way until somebody signs for them, and nobody hands them out meanwhile."""

from collections import Counter
from typing import Any

import pytest
from sqlalchemy import insert
from sqlalchemy.exc import IntegrityError

from app.audit import audit_departement
from issuance.at_desks import delivered_of, lots_at, lots_of
from issuance.desks import Deliver, OpenDesk, deliver, open_desk
from issuance.hand_outs import HandOut
from issuance.models import departure
from issuance.on_the_way import open_transfers
from issuance.queries import listed_desks
from issuance.ranges import Ranges, in_order
from issuance.transfers import Receive, Send, receive, send
from issuance.whereabouts import Where, where_are
from ledger.identifiers import new_id
from redemption.blocking import BlockStock, block_stock
from redemption.hand_out import hand_out
from redemption.lapsing import Lapse, lapse
from tests.builders import a_world, an_order, done, given, sequence
from tests.conftest import moment
from tests.together import at_once, run_together

AT = moment("2020-01-20")


def a_store(session, carnets: int = 6) -> Any:
    """Carnets 1 to 6 at the CAF, 7 to 12 in the central store, and a second desk, the MSA."""
    world = a_world(session)
    an_order(session, world, carnets)
    an_order(session, world, carnets, delivered=False)
    desk = OpenDesk(new_id(), "MSA", "MSA du Limousin", "Accueil", ("tela",))
    done(open_desk(session, desk, by="test", now=moment("2020-01-06")))
    elsewhere = OpenDesk(new_id(), "ADIE", "Autre programme", "Accueil", ())
    done(open_desk(session, elsewhere, by="test", now=moment("2020-01-06")))
    return world


def sending(session, source: str | None, target: str | None, *carnets: tuple[int, int]):
    return send(session, Send(new_id(), source, target, carnets), by="test", now=AT)


def receiving(session, transfer: int, at: str | None, *carnets: tuple[int, int]):
    return receive(session, Receive(new_id(), transfer, at, carnets), by="test", now=AT)


def handing(session, desk: str, carnet: int) -> str:
    request = HandOut(new_id(), desk, pic=True, proof="attested", carnet=carnet)
    return hand_out(session, request, by="x", now=AT).code


def whole(session, ranges: Ranges = ((1, 12),)) -> dict[int, tuple[str | None, int | None]]:
    return {n: (w.desk, w.transfer) for n, w in where_are(session, ranges).items()}


def test_neither_end_hands_out_what_is_on_the_way(session):
    a_store(session)
    sent = done(sending(session, "CAF", "MSA", (2, 3)))
    assert sent.facts["transfer"] == 1
    assert {handing(session, desk, 2) for desk in ("CAF", "MSA")} == {"carnet_on_the_way"}
    assert handing(session, "CAF", 1) == "accepted"

    done(receiving(session, 1, "MSA", (2, 3)))
    assert (handing(session, "CAF", 2), handing(session, "MSA", 2)) == (
        "not_at_this_desk",
        "accepted",
    )
    assert open_transfers(session) == []


def test_what_left_a_desk_waits_at_it_no_more(session):
    a_store(session)

    def waiting() -> list[tuple[str, tuple[tuple[int, int], ...]]]:
        lots = lots_at(session, ["CAF", "MSA"])
        assert [lot for lot in lots if lot.order == 1] == lots_of(session, 1)
        return [(lot.desk, lot.ranges) for lot in lots]

    assert waiting() == [("CAF", ((1, 6),))]
    assert delivered_of(session, 1)[0] == 6
    done(sending(session, "CAF", "MSA", (2, 3)))
    done(sending(session, "CAF", None, (6, 6)))
    assert waiting() == [("CAF", ((1, 1), (4, 5)))]
    assert delivered_of(session, 1)[0] == 3

    done(receiving(session, 1, "MSA", (2, 3)))
    done(receiving(session, 2, None, (6, 6)))
    assert waiting() == [("CAF", ((1, 1), (4, 5))), ("MSA", ((2, 3),))]
    assert delivered_of(session, 1)[0] == 5
    brought = Deliver(new_id(), "CAF", 6, 6)
    done(deliver(session, brought, by="test", now=AT))
    assert delivered_of(session, 1)[0] == 6


def test_specimens_at_a_desk_wait_for_nothing(session):
    world = a_store(session)
    an_order(session, world, 2, specimen=True)
    assert {lot.order for lot in lots_at(session, ["CAF"])} == {1}
    assert listed_desks(session)[1][-1] == 8


def test_it_goes_from_the_central_store_and_back_to_it(session):
    a_store(session)
    done(sending(session, None, "MSA", (7, 8), (10, 10)))
    done(receiving(session, 1, "MSA", (7, 8), (10, 10)))
    done(sending(session, "MSA", None, (8, 8)))
    assert whole(session)[8] == (None, 2)
    done(receiving(session, 2, None, (8, 8)))
    assert whole(session)[8] == (None, None)
    assert handing(session, "MSA", 8) == "not_at_this_desk"
    done(deliver(session, Deliver(new_id(), "CAF", 8, 8), by="test", now=AT))
    assert where_are(session, ((8, 8),)) == {8: Where("CAF", None, 4)}
    held = {code: carnets for code, _, _, _, carnets in listed_desks(session)}
    assert held == {"ADIE": 0, "CAF": 7, "MSA": 2}


def test_what_did_not_arrive_is_missing_until_somebody_finds_it(session):
    a_store(session)
    done(sending(session, "CAF", "MSA", (1, 5)))
    assert [line.missing for line in open_transfers(session)] == [False]

    part = done(receiving(session, 1, "MSA", (1, 2), (4, 4)))
    assert part.facts["missing"] == [[3, 3], [5, 5]]
    [line] = open_transfers(session, ["MSA"])
    assert (line.missing, line.left, line.source, line.target) == (
        True, ((3, 3), (5, 5)), "CAF", "MSA",
    )  # fmt: skip
    assert open_transfers(session, ["ADIE"]) == []

    done(receiving(session, 1, "CAF", (5, 5)))  # it had never left
    assert handing(session, "CAF", 5) == "accepted"
    drawer = BlockStock(new_id(), 3, 3, "lost")
    done(block_stock(session, drawer, by="test", now=AT))
    assert open_transfers(session) == []


def test_a_delivery_of_which_nothing_came_is_refused_whole(session):
    a_store(session)
    done(sending(session, None, "MSA", (7, 9)))
    assert done(receiving(session, 1, "MSA")).facts["missing"] == [[7, 9]]
    assert [line.missing for line in open_transfers(session)] == [True]
    done(receiving(session, 1, None, (7, 9)))
    assert whole(session)[7] == (None, None)
    assert receiving(session, 1, "MSA").code == "nothing_on_the_way"


def test_a_started_carnet_moves_with_what_is_left(session):
    world = a_store(session)
    serials = sorted(world.passes)
    given(session, *serials[:3])
    done(sending(session, "CAF", "MSA", (1, 1)))
    done(receiving(session, 1, "MSA", (1, 1)))
    request = HandOut(new_id(), "MSA", pic=True, proof="attested", carnet=1)
    told = done(hand_out(session, request, by="x", now=AT))
    assert told.facts["serials"] == serials[3:5]


def test_each_no_has_its_code(session):
    world = a_store(session)
    given(session, *sorted(world.passes)[:5])
    done(sending(session, "CAF", "MSA", (6, 6)))
    refused = {
        "same_holder": sending(session, "CAF", "CAF", (2, 3)),
        "store_to_itself": sending(session, None, None, (7, 7)),
        "nothing": sending(session, "CAF", "MSA"),
        "not_in_order": sending(session, "CAF", "MSA", (3, 4), (2, 2)),
        "touching": sending(session, "CAF", "MSA", (2, 2), (3, 3)),
        "unknown_desk": sending(session, "CAF", "NOPE", (2, 3)),
        "unknown_carnet": sending(session, "CAF", "MSA", (2, 99)),
        "two_orders": sending(session, "CAF", "MSA", (5, 7)),
        "other_programme": sending(session, "CAF", "ADIE", (2, 3)),
        "elsewhere": sending(session, "CAF", "MSA", (7, 8)),
        "used_up": sending(session, "CAF", "MSA", (1, 2)),
        "on_the_way": sending(session, "CAF", "MSA", (5, 6)),
        "brought": deliver(session, Deliver(new_id(), "CAF", 6, 6), by="test", now=AT),
        "unknown_transfer": receiving(session, 9, "MSA", (6, 6)),
        "another_desk": receiving(session, 1, "ADIE", (6, 6)),
        "the_store": receiving(session, 1, None, (6, 6)),
        "not_sent": receiving(session, 1, "MSA", (5, 6)),
    }
    assert {name: answer.code for name, answer in refused.items()} == {
        "same_holder": "transfer_impossible",
        "store_to_itself": "transfer_impossible",
        "nothing": "transfer_impossible",
        "not_in_order": "transfer_impossible",
        "touching": "transfer_impossible",
        "unknown_desk": "not_found",
        "unknown_carnet": "carnets_missing",
        "two_orders": "carnets_missing",
        "other_programme": "desk_outside_programme",
        "elsewhere": "carnets_elsewhere",
        "used_up": "carnets_used_up",
        "on_the_way": "carnet_on_the_way",
        "brought": "carnet_on_the_way",
        "unknown_transfer": "not_found",
        "another_desk": "transfer_elsewhere",
        "the_store": "transfer_elsewhere",
        "not_sent": "carnets_not_sent",
    }
    assert refused["used_up"].facts == {"carnets": "1"}
    assert refused["on_the_way"].facts == {"carnets": "6", "transfer": 1}
    end = moment("2021-02-08")
    done(lapse(session, Lapse(new_id(), 1, "stock"), by="job", now=end))
    assert sending(session, "CAF", "MSA", (2, 3)).code == "stock_lapsed"
    assert open_transfers(session) == []


def test_an_act_that_is_sent_again_is_done_once(session):
    a_store(session)
    asked = Send(new_id(), "CAF", "MSA", ((1, 2),))
    first = done(send(session, asked, by="test", now=AT))
    again = send(session, asked, by="test", now=AT)
    assert (again.replayed, again.facts) == (True, first.facts)
    got = Receive(new_id(), 1, "MSA", ((1, 2),))
    done(receive(session, got, by="test", now=AT))
    assert receive(session, got, by="test", now=AT).replayed


def test_two_holders_who_sign_for_one_transfer_get_it_once(database):
    with database.begin("23") as session:
        a_store(session)
        done(sending(session, "CAF", "MSA", (1, 3)))

    def sign(turn: int) -> str:
        with database.begin("23") as session:
            return receiving(session, 1, ("CAF", "MSA")[turn % 2], (1, 3)).code

    assert Counter(at_once(sign)) == {"accepted": 1, "nothing_on_the_way": 15}
    with database.begin("23", read_only=True) as session:
        assert len(set(whole(session, ((1, 3),)).values())) == 1


def test_a_desk_that_hands_out_while_carnets_leave_gave_them_before_or_not_at_all(database):
    with database.begin("23") as session:
        a_store(session, 16)

    def work(turn: int) -> tuple[str, str]:
        carnet = turn // 2 + 1
        with database.begin("23") as session:
            if turn % 2:
                return "given", handing(session, "CAF", carnet)
            return "sent", sending(session, "CAF", "MSA", (carnet, carnet)).code

    told = at_once(work)
    for one, other in zip(told[::2], told[1::2], strict=True):
        assert (one[1], other[1]) in {
            ("accepted", "carnet_on_the_way"),
            ("carnets_used_up", "accepted"),
        }
    sequence(database)
    with database.begin("23", read_only=True) as session:
        assert [f for _, findings in audit_departement(session) for f in findings] == []


def test_a_receipt_and_a_block_that_race_both_hold(database):
    with database.begin("23") as session:
        a_store(session)
        done(sending(session, "CAF", "MSA", (1, 6)))
    told = []

    def sign() -> None:
        with database.begin("23") as session:
            told.append(receiving(session, 1, "MSA", (1, 6)).code)

    def block() -> None:
        with database.begin("23") as session:
            drawer = BlockStock(new_id(), 1, 6, "lost")
            told.append(block_stock(session, drawer, by="test", now=AT).code)

    run_together(sign, block)
    assert told == ["accepted", "accepted"]
    with database.begin("23") as session:
        assert handing(session, "MSA", 1) == "already_handed_out"


def test_the_database_lets_a_carnet_leave_once_a_turn(session):
    a_store(session)
    sent = done(sending(session, "CAF", "MSA", (1, 1)))
    row = {"carnet": 1, "turn": 1, "transfer": 1, "entry_id": sent.act}
    with pytest.raises(IntegrityError, match=r"pk_departure|departure\.carnet"):
        session.execute(insert(departure), [row])


@pytest.mark.parametrize(
    ("ranges", "told"),
    [
        ((), True), (((1, 1), (3, 4)), True), (((0, 1),), False), (((2, 1),), False),
        (((1, 2), (3, 4)), False), (((3, 4), (1, 1)), False),
    ],
)  # fmt: skip
def test_ranges_have_one_spelling(ranges, told):
    assert in_order(ranges) is told
