"""Each print batch leaves an entry: what was printed, with which template, and what its files were."""

import pytest

from funding.operations import NotFound
from issuance.orders import order_row
from issuance.print_batches import (
    Batch,
    NotInOrder,
    RecordBatch,
    batches,
    printable,
    record_batch,
)
from ledger.identifiers import new_id
from tests.builders import a_world, an_order, approved, done
from tests.conftest import moment

NOW = moment("2020-01-08")
LOOK = {
    "template": "carnet", "template_version": 1, "template_sha256": "11" * 32,
    "publicity": ("fse-2014-2020/1",),
}  # fmt: skip


def a_batch(order=1, first=1, last=4, **facts):
    told = {"kind": "pdf", "manifest_sha256": "22" * 32} | LOOK
    return RecordBatch(new_id(), order, first, last, **(told | facts))


@pytest.fixture
def world(session):
    world = a_world(session)
    an_order(session, world, 4)
    an_order(session, world, 2, specimen=True, delivered=False)
    done(approved(session, 1, **LOOK))
    return world


def test_a_batch_is_found_again_by_its_order(session, world):
    answer = done(record_batch(session, a_batch(last=2), by="press", now=NOW))

    assert answer.facts["batch"] == 1
    assert batches(session, 1) == [
        Batch(
            1, NOW.at, "press", 1, 2, "pdf", "carnet", 1, "11" * 32, ("fse-2014-2020/1",), "22" * 32,
            world.signer.voucher_key_id,
        )
    ]  # fmt: skip
    assert batches(session, 2) == []


def test_batches_of_an_order_are_numbered_without_a_gap(session, world):
    for order, kind in ((1, "pdf"), (2, "shop"), (1, "phone"), (1, "pdf")):
        first = 1 if order == 1 else 5
        request = a_batch(order, first, first, kind=kind)
        done(record_batch(session, request, by="press", now=NOW))

    assert [(b.number, b.kind) for b in batches(session, 1)] == [
        (1, "pdf"),
        (2, "phone"),
        (3, "pdf"),
    ]
    assert [(b.number, b.kind) for b in batches(session, 2)] == [(1, "shop")]


def test_a_batch_recorded_again_is_the_same_one(session, world):
    request = a_batch()
    first = done(record_batch(session, request, by="press", now=NOW))

    again = record_batch(session, request, by="press", now=moment("2020-01-09"))

    assert again.replayed
    assert again.facts == first.facts
    assert len(batches(session, 1)) == 1


@pytest.mark.parametrize(("first", "last"), [(0, 4), (1, 5), (4, 3), (5, 6), (7, 7)])
def test_only_carnets_of_the_order_are_printed(session, world, first, last):
    with pytest.raises(NotInOrder):
        printable(session, order_row(session, 1), first, last)

    answer = record_batch(session, a_batch(first=first, last=last), by="press", now=NOW)

    assert answer.code == "carnets_not_of_order"
    assert batches(session, 1) == []


def test_an_order_that_is_not_there_has_no_batches(session, world):
    assert record_batch(session, a_batch(9), by="press", now=NOW).code == "not_found"
    with pytest.raises(NotFound):
        batches(session, 9)
