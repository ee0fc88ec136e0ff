"""An order is active by the commitment of the département's own money, or by the mandat that paid before."""

import pytest
from sqlalchemy import select

from issuance.models import activation
from issuance.orders import ActivateOrder, activate_order
from issuance.queries import order_lines
from ledger.identifiers import new_id
from redemption.replacing import ReplaceHandOut, replace_hand_out
from tests.builders import a_world, an_order, done, given
from tests.conftest import moment

NOW = moment("2020-01-08")


@pytest.mark.parametrize(
    ("asked", "other"), [("commitment", "mandat"), ("mandat", "commitment")]
)
def test_only_the_number_that_the_tranche_asks_for_makes_an_order_good(
    session, asked, other
):
    world = a_world(session, activated_on=asked)
    an_order(session, world, 1, active=False)

    def active(basis):
        request = ActivateOrder(new_id(), 1, "N-2020-1", basis)
        return activate_order(session, request, by="test", now=NOW)

    refused = active(other)
    assert (refused.code, refused.facts["reason"]) == ("order_impossible", f"needs_{asked}")
    answer = done(active(asked))

    assert (answer.facts["basis"], answer.facts["commitment_number"]) == (asked, "N-2020-1")
    [line] = order_lines(session, 1)
    assert (line.activated_on, line.commitment_number) == (asked, "N-2020-1")


def test_what_replaces_a_lost_carnet_is_good_by_the_same_number(session):
    world = a_world(session, activated_on="mandat")
    serials = an_order(session, world, 1, active=False)
    request = ActivateOrder(new_id(), 1, "M-17", "mandat")
    done(activate_order(session, request, by="test", now=NOW))
    gave = done(given(session, *serials))
    lost = ReplaceHandOut(new_id(), gave.act, "CAF")
    now = moment("2020-02-01")
    done(replace_hand_out(session, lost, signer=world.signer, by="desk-CAF", now=now))

    rows = session.execute(select(activation.c.commitment_number, activation.c.basis)).all()
    assert [tuple(row) for row in rows] == [("M-17", "mandat"), ("M-17", "mandat")]
