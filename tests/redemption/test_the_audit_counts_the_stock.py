"""What was made is somewhere, once: by order, by holder, and as many as the entries tell."""

import pytest
from sqlalchemy import insert, select, text

from issuance.models import delivery, departure, handed_out, voucher
from issuance.transfers import Receive, Send, receive, send
from ledger.attempts import Act, perform
from ledger.entries import Right
from ledger.identifiers import new_id
from ledger.journal import must_record
from redemption.audit import hand_outs_moved_what_they_gave
from redemption.blocking import BlockStock, block_stock
from redemption.counter import Device
from redemption.lapsing import Lapse, lapse
from redemption.replacing import ReplaceHandOut, replace_hand_out
from redemption.stock_audit import (
    carnets_are_where_their_entries_left_them,
    each_pass_is_in_one_place,
    places,
)
from redemption.undoing import Undo, undo
from redemption.voiding import VoidMisprints, void_misprints
from tests.builders import a_workshop, a_world, an_order, done, given, scanned
from tests.conftest import as_superuser, moment

AT = moment("2020-02-03", 14)
END = moment("2021-02-08")


def found(session) -> list[tuple[str, object]]:
    return [
        (finding.code, finding.facts.get("what"))
        for check in (each_pass_is_in_one_place, carnets_are_where_their_entries_left_them)
        for finding in check(session)
    ]


@pytest.fixture
def lived(session):
    """Eight carnets, of which something of everything was made; two are on the way to the store."""
    world = a_world(session)
    serials = an_order(session, world, 8)
    lost = given(session, *serials[:5])
    given(session, *serials[5:8])
    used = scanned(session, world, a_workshop(session), serials[0], *serials[5:7])
    assert {v.verdict for v in used} == {"accepted"}
    again = ReplaceHandOut(new_id(), lost.act, "CAF")
    done(replace_hand_out(session, again, signer=world.signer, by="x", now=AT))
    drawer = BlockStock(new_id(), 3, 3)
    done(block_stock(session, drawer, by="test", now=AT))
    misprint = VoidMisprints(new_id(), 4, 4)
    done(void_misprints(session, misprint, by="test", now=AT))
    sending = Send(new_id(), "CAF", None, ((6, 8),))
    done(send(session, sending, by="test", now=AT))
    got = Receive(new_id(), 1, None, ((8, 8),))
    done(receive(session, got, by="test", now=AT))
    return world, serials


def test_a_life_with_everything_in_it_adds_up_by_holder(session, lived):
    assert found(session) == []
    first = {(p.desk, p.transfer): p[3:] for p in places(session) if p.order == 1}
    assert first == {
        ("CAF", None): (25, 7, 1, 17, 5),
        (None, 1): (10, 10, 0, 0, 0),
        (None, None): (5, 5, 0, 0, 0),
    }


def test_it_still_does_when_the_rest_has_lapsed_and_a_use_is_undone(session, lived):
    for stage in ("stock", "circulating"):
        done(lapse(session, Lapse(new_id(), 1, stage), by="job", now=END))
    asked = Undo(new_id(), lived[1][5], "wrong_pass")
    done(undo(session, asked, device=Device("x", None), now=END))
    assert found(session) == []


def test_a_pass_that_ended_and_never_left_its_drawer_is_told(session, lived):
    act = Act(new_id(), "block", "test", AT)
    serial = lived[1][22]
    facts = {"reason": "lost", "serial": serial, "tranche": 1}
    right = Right("spend", serial, 0)
    done(
        perform(
            session,
            act,
            facts,
            lambda: must_record(session, [act.entry("carnet_blocked", facts, right=right)]),
        )
    )
    assert found(session) == [("pass_in_two_places", None)]


def test_a_pass_that_nobody_made_is_told(session, lived):
    forged = {"serial": "23-000008-9", "carnet": 8, "rank": 9, "order_number": 1}
    digests = {"token_digest": b"t" * 32, "code_digest": b"c" * 32}
    session.execute(insert(voucher), [forged | digests])
    assert found(session) == [("stock_differs", "made")]


def an_entry(session):
    """The entry of a delivery: it is there, and any row may name it."""
    return session.scalars(select(delivery.c.entry_id).limit(1)).one()


def test_a_pass_that_left_the_stock_after_all_of_it_had_lapsed_is_told(session, lived):
    done(lapse(session, Lapse(new_id(), 1, "stock"), by="job", now=END))
    row = {"serial": lived[1][22], "entry_id": an_entry(session)}
    session.execute(insert(handed_out), [row])
    assert found(session) == [("stock_differs", "stock")]


@pytest.mark.parametrize("by", ["the entry of another move", "the entry of no move"])
def test_a_carnet_that_moved_without_its_entry_is_told(session, lived, by):
    other = select(handed_out.c.entry_id).limit(1)
    which = session.scalars(other).one() if by.endswith("no move") else an_entry(session)
    session.execute(insert(departure), [{"carnet": 5, "turn": 1, "entry_id": which}])
    code = "move_without_entry" if by.endswith("no move") else "move_differs"
    assert found(session) == [(code, None)]


def test_a_hand_out_of_which_a_pass_was_taken_away_is_told(database, request):
    with database.begin("23") as session:
        serials = an_order(session, a_world(session))
        three = done(given(session, *serials[:3]))
        assert list(hand_outs_moved_what_they_gave(session)) == []
    engine = as_superuser(database, request)
    with engine.begin() as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(text("SET LOCAL search_path = d23"))
            connection.execute(text("ALTER TABLE handed_out DISABLE TRIGGER USER"))
        else:
            connection.execute(text("DROP TRIGGER handed_out_delete"))
        connection.execute(handed_out.delete().where(handed_out.c.serial == serials[1]))
    engine.dispose()

    with database.begin("23", read_only=True) as session:
        [found] = hand_outs_moved_what_they_gave(session)
    assert found.code == "hand_out_differs"
    assert found.facts == {"entry": str(three.act), "told": 3, "passes": 2, "cents": 3_000}
