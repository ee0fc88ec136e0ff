"""Paper is printed as the last proof that was approved looks, and not otherwise."""

import pytest

from issuance.cancelling import CancelOrder, cancel_order
from issuance.orders import PlaceOrder, order_row, place_order
from issuance.print_batches import RecordBatch, record_batch
from issuance.proofs import (
    ApproveProof,
    Look,
    ProofNotApproved,
    approvals,
    approve_proof,
    check_approved,
)
from ledger.identifiers import new_id
from tests.builders import a_world, an_order, approved, done, taken_over
from tests.conftest import moment

NOW = moment("2020-01-08")
LOOK = Look("carnet", 2, "11" * 32, ("fse-2014-2020/1",), ("44" * 32,))


def facts(look: Look = LOOK) -> dict[str, object]:
    return {name: getattr(look, name) for name in look.__struct_fields__}


def printed(session, order=1, kind="pdf", **changed):
    first = order_row(session, order).first_carnet
    look = {**facts(), **changed}
    batch = RecordBatch(
        new_id(), order, first, first, kind, manifest_sha256="22" * 32, **look
    )
    return record_batch(session, batch, by="press", now=NOW)


@pytest.fixture
def world(session):
    world = a_world(session)
    an_order(session, world, 2)
    an_order(session, world, 1, specimen=True, delivered=False)
    return world


def test_nothing_is_printed_on_paper_before_a_proof_is_approved(session, world):
    for kind in ("pdf", "shop"):
        answer = printed(session, kind=kind)
        assert (answer.code, answer.facts["reason"]) == ("proof_not_approved", "no_proof")

    done(approved(session, 1, **facts()))

    done(printed(session))
    assert printed(session, kind="shop").code == "proof_not_approved", "another paper"


def test_a_telephone_and_specimens_need_no_proof(session, world):
    done(printed(session, kind="phone"))
    done(printed(session, order=2))

    answer = approved(session, 2, **facts())
    assert (answer.code, answer.facts["reason"]) == ("proof_not_needed", "specimen")


def test_what_a_former_operator_printed_needs_no_proof(session, world):
    taken = done(taken_over(session, world)).facts["orders"][0]

    answer = approved(session, taken, **facts())
    assert (answer.code, answer.facts["reason"]) == ("proof_not_needed", "taken_over")


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"template": "autre"}, "other_template"),
        ({"template_version": 3}, "other_template"),
        ({"template_sha256": "12" * 32}, "other_template"),
        ({"publicity": ()}, "other_publicity"),
        ({"logos": ()}, "other_logos"),
    ],
)
def test_what_differs_from_the_proof_is_told(session, world, changed, reason):
    done(approved(session, 1, **facts()))

    answer = printed(session, **changed)

    assert (answer.code, answer.facts["reason"]) == ("proof_not_approved", reason)


def test_a_new_approval_takes_the_place_of_the_one_before(session, world):
    done(approved(session, 1, **facts()))
    done(approved(session, 1, **facts() | {"template_version": 3}))

    assert printed(session).code == "proof_not_approved"
    done(printed(session, template_version=3))
    [held] = approvals(session, 1)
    assert (held.kind, held.look.template_version, held.look.logos) == (
        "pdf",
        3,
        LOOK.logos,
    )


def test_a_proof_is_approved_before_the_order_is_made_and_not_once_it_is_cancelled(
    session, world
):
    asked = PlaceOrder(new_id(), "T1", 2)
    placed = done(place_order(session, asked, signer=world.signer, by="test", now=NOW))
    number = placed.facts["order"]
    done(approved(session, number, **facts()))
    check_approved(session, order_row(session, number), "pdf", LOOK)
    done(cancel_order(session, CancelOrder(new_id(), number), by="test", now=NOW))

    assert approved(session, number, **facts()).code == "order_cancelled"
    with pytest.raises(ProofNotApproved):
        check_approved(session, order_row(session, number), "shop", LOOK)


def test_the_proof_of_no_order_is_not_approved(session, world):
    request = ApproveProof(new_id(), 99, "pdf", LOOK, "33" * 32)
    assert approve_proof(session, request, by="test", now=NOW).code == "not_found"
