"""Pieces are made while desks are delivered, send and are counted: nobody waits for somebody who waits for them."""

from issuance.counts import Count, count_stock
from issuance.desks import Deliver, OpenDesk, deliver, open_desk
from issuance.making import make_piece, pieces_left, stamp, write_piece
from issuance.orders import PlaceOrder, order_row, place_order
from issuance.signing import PIECE, sign_piece
from issuance.transfers import Receive, Send, receive, send
from ledger.identifiers import new_id
from tests.builders import a_world, an_order, done, given
from tests.conftest import moment
from tests.together import run_together

AT = moment("2020-01-08")
ROUNDS = 8


def test_making_delivering_sending_counting_and_handing_out_never_lock_each_other(database):
    with database.begin("23") as session:
        world = a_world(session)
        serials = an_order(session, world, ROUNDS)  # one to hand out a round
        msa = OpenDesk(new_id(), "MSA", "MSA du Limousin", "Accueil", ("tela",))
        done(open_desk(session, msa, by="test", now=AT))
        asked = PlaceOrder(new_id(), "T1", 4 * PIECE, specimen=True)
        placed = place_order(session, asked, signer=world.signer, by="test", now=AT)
        order = order_row(session, done(placed).facts["order"])
        done(make_piece(session, order, 0, signer=world.signer, by="test", now=AT))
    by, first = stamp(order, world.signer), order.first_carnet
    signed = [sign_piece(by, piece) for piece in (1, 2, 3)]

    def makes() -> None:
        for piece in signed:
            with database.begin("23") as session:
                done(write_piece(session, order, piece, by="test", now=AT))

    def delivers() -> None:
        for n in range(ROUNDS):
            lot = Deliver(new_id(), ("CAF", "MSA")[n % 2], first, first + 9)
            with database.begin("23") as session:
                done(deliver(session, lot, by="test", now=AT))

    def sends() -> None:
        for n in range(ROUNDS):
            carnets = ((first + 20 + n, first + 20 + n),)
            with database.begin("23") as session:
                sent = send(
                    session, Send(new_id(), None, "CAF", carnets), by="test", now=AT
                )
            got = Receive(new_id(), done(sent).facts["transfer"], "CAF", carnets)
            with database.begin("23") as session:
                done(receive(session, got, by="test", now=AT))

    def counts() -> None:
        for n in range(ROUNDS):
            with database.begin("23") as session:
                seen = Count(new_id(), ("CAF", "MSA")[n % 2], ((1, 9),))
                done(count_stock(session, seen, by="test", now=AT))

    def hands_out() -> None:
        for n in range(ROUNDS):
            with database.begin("23") as session:
                done(given(session, *serials[5 * n : 5 * n + 5], now=AT))

    run_together(makes, delivers, sends, counts, hands_out)
    with database.begin("23", read_only=True) as session:
        assert pieces_left(session, order) == []
