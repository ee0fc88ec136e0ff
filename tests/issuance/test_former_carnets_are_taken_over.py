"""Carnets of a former operator are honoured: all of a list or nothing, and no number is kept."""

from datetime import date
from typing import get_args

import pytest
from sqlalchemy import func, select, text

from app.audit import audit_departement
from issuance.foreign import mark
from issuance.foreign_carnets import covers_of, named, of_order
from issuance.foreign_lists import FaultCode, TakeOverImpossible, judged, lots
from issuance.keys import RevokeKey, revoke_key
from issuance.models import (
    activation,
    carnet,
    foreign_carnet,
    foreign_qr,
    voucher,
    voucher_order,
)
from issuance.orders import ActivateOrder, activate_order, order_row
from issuance.print_batches import OrderTakenOver, RecordBatch, printable, record_batch
from issuance.queries import order_lines
from ledger import canonical
from ledger.bulk import write_rows
from ledger.columns import metadata
from ledger.identifiers import new_id
from ledger.models import entry
from redemption.foreign_csv import read_foreign_list
from redemption.reconciliation import reconcile
from redemption.replacing import ReplaceHandOut, replace_hand_out
from tests.builders import (
    a_foreign_list,
    a_world,
    an_order,
    done,
    foreign_rows,
    given,
    sequence,
    taken_over,
)
from tests.conftest import moment
from tests.together import together

TODAY = moment("2020-01-08")
LATER = moment("2020-01-21")


def everything(session) -> list[int]:
    tables = (voucher_order, carnet, voucher, activation, foreign_carnet, foreign_qr, entry)
    return [session.scalar(select(func.count()).select_from(t)) for t in tables]


def faults(session, world, *rows: str, **asked) -> list[tuple[int, str]]:
    told = {"tranche": "T1", "operator": "aptic"} | asked
    listed = read_foreign_list(a_foreign_list(*rows))
    found = judged(session, listed, **told, signer=world.signer, today=TODAY.day)
    return [(fault.line, fault.code) for fault in found]


def line(session, state: str) -> int:
    [t1] = reconcile(session, now=TODAY)
    return t1.line(state).cents


def test_a_list_becomes_an_order_that_is_good_at_once(database):
    with database.begin("23") as session:
        world = a_world(session)
        answer = done(taken_over(session, world, delivered=False))
        [order] = order_lines(session)
    assert answer.facts["orders"] == [1, 1]
    assert (order.carnets, order.carnet_size, order.made) == (3, 2, 3)
    assert (order.commitment_number, order.taken_over) == ("ENG-2020-9", True)
    assert order.use_by == date(2020, 12, 31)
    sequence(database)
    with database.begin("23", read_only=True) as session:
        assert line(session, "stock") == 6_000
        [t1] = reconcile(session, now=TODAY)
        assert (t1.active, t1.line("available").cents) == (6, 994_000)
        for name, found in audit_departement(session):
            assert list(found) == [], name


def test_carnets_of_other_dates_and_sizes_are_orders_of_their_own(session):
    world = a_world(session)
    rows = [
        *foreign_rows(2, 3),
        "C-010;ZX 11;10;31/10/2020;",
        "C-9;ZX 12;10;31/10/2020;",
        "D-1;ZX 13;10;2020-12-31;",
    ]
    answer = done(taken_over(session, world, a_foreign_list(*rows)))
    assert answer.facts["orders"] == [1, 3]
    told = [(o.use_by, o.carnet_size, o.carnets) for o in order_lines(session)]
    assert told == [
        (date(2020, 12, 31), 1, 1),
        (date(2020, 12, 31), 3, 2),
        (date(2020, 10, 31), 1, 2),
    ]
    covers = [[c.label for c in of_order(session, number)] for number in (1, 2, 3)]
    assert covers == [["C-9", "C-010"], ["C-001", "C-002"], ["D-1"]]
    assert [c.number for c in named(session, "c 9")] == [1]
    kinds = session.scalars(select(entry.c.kind).where(entry.c.amount_cents > 0))
    assert list(kinds).count("order_taken_over") == 3


def test_no_number_is_kept_anywhere(database):
    with database.begin("23") as session:
        world = a_world(session)
        rows = [*foreign_rows(), "C-9;NUM-77XY;10;2020-12-31;HTTPS://ANCIEN.EXAMPLE/Q/77ZZ"]
        done(taken_over(session, world, a_foreign_list(*rows)))
    secrets = ["88100001", "88100006", "NUM-77XY", "NUM77XY", "ANCIEN", "77ZZ"]
    with database.begin("23", read_only=True) as session:
        for table in metadata.tables.values():
            for row in session.execute(select(table)):
                kept = " ".join(
                    value.decode("latin-1") if isinstance(value, bytes) else str(value)
                    for value in row
                ).upper()
                assert not [s for s in secrets if s in kept], table.name
        digests = set(session.scalars(select(voucher.c.code_digest)))
        [qr] = session.scalars(select(foreign_qr.c.digest))
    key = world.signer.code_key
    assert mark(key, "num 77xy") in digests
    assert qr == mark(key, "https://ancien.example/q/77zz")
    assert mark(bytes(32), "88100001") not in digests


def test_one_bad_line_takes_nothing_over_and_tells_each(session):
    world = a_world(session)
    before = everything(session)
    rows = [*foreign_rows(1), "C-001;88100001;10;2020-12-31;", "C-002;77;20;2020-12-31;"]
    answer = taken_over(session, world, a_foreign_list(*rows))
    assert (answer.code, answer.facts) == ("foreign_list_refused", {"lines": ["4", "5"]})
    assert everything(session) == before
    assert faults(session, world, *rows) == [(4, "number_twice"), (5, "value_other")]


def test_each_fault_has_a_line_that_makes_it(session):
    world = a_world(session)
    done(taken_over(session, world, a_foreign_list("K-1;555;10;2020-12-31;Q-555")))
    [serial, *_] = an_order(session, world, 1)
    code = world.passes[serial].code
    made: dict[str, list[str]] = {
        "cells": ["C-1;1;10;2020-12-31;;;surplus"],
        "carnet_missing": [";1;10;2020-12-31;"],
        "carnet_long": [f"{'C' * 41};1;10;2020-12-31;"],
        "carnet_known": ["k1;1;10;2020-12-31;"],
        "carnet_large": [f"C-1;{n};10;2020-12-31;" for n in range(1, 257)],
        "carnet_dates": ["C-1;1;10;2020-12-31;", "C-1;2;10;2020-11-30;"],
        "number_missing": ["C-1; - ;10;2020-12-31;"],
        "number_odd": ["C-1;é12;10;2020-12-31;"],
        "number_abbreviated": ["C-1;1,23E+15;10;2020-12-31;"],
        "number_rounded": [
            "C-1;1234567890123450;10;2020-12-31;",
            "C-1;1234567890123460;10;2020-12-31;",
        ],
        "number_twice": ["C-1;AB-1;10;2020-12-31;", "C-2;ab1;10;2020-12-31;"],
        "number_known": ["C-1;0555;10;2020-12-31;"],
        "number_ours": [f"C-1;{serial};10;2020-12-31;"],
        "qr_odd": [f"C-1;1;10;2020-12-31;{'x' * 301}"],
        "value_odd": ["C-1;1;dix;2020-12-31;"],
        "value_other": ["C-1;1;5;2020-12-31;"],
        "day_odd": ["C-1;1;10;31/02/2020;"],
        "day_past": ["C-1;1;10;07/01/2020;"],
        "day_late": ["C-1;1;10;2021-01-01;"],
    }
    assert set(made) == set(get_args(FaultCode))
    for wanted, rows in made.items():
        told = faults(session, world, *rows)
        assert {code for _line, code in told} == {wanted}, wanted
    for text_ in (code, world.token(serial), "q 555"):
        other = "number_known" if text_ == "q 555" else "number_ours"
        assert faults(session, world, f"C-1;1;10;2020-12-31;{text_}") == [(2, other)]


def test_a_number_that_looks_like_a_code_of_ours_and_is_none_is_taken(session):
    world = a_world(session)
    good = "23T8CWAN8WNBEA3"  # its check symbol is right, and no pass of ours has it
    assert faults(session, world, f"C-1;{good};10;2020-12-31;") == []


def test_what_no_line_would_mend_is_told_as_a_whole(session):
    world = a_world(session)
    for asked in ({"operator": "La Société"}, {"operator": ""}):
        with pytest.raises(TakeOverImpossible):
            faults(session, world, *foreign_rows(), **asked)
    with pytest.raises(TakeOverImpossible):
        faults(session, world)
    refused = taken_over(session, world, commitment_number=" ")
    assert (refused.code, refused.facts["reason"]) == (
        "order_impossible",
        "commitment_number",
    )
    assert taken_over(session, world, tranche="T9").code == "not_found"


def test_a_prepaid_tranche_honours_them_by_a_mandat_and_what_replaces_them_too(session):
    world = a_world(session, activated_on="mandat")
    refused = taken_over(session, world)
    assert (refused.code, refused.facts["reason"]) == ("order_impossible", "needs_mandat")

    done(taken_over(session, world, commitment_number="M-7", basis="mandat"))
    lost = done(given(session, "23-000001-1"))
    again = ReplaceHandOut(new_id(), lost.act)
    done(replace_hand_out(session, again, signer=world.signer, by="test", now=LATER))

    rows = session.execute(select(activation.c.commitment_number, activation.c.basis))
    assert [tuple(row) for row in rows] == [("M-7", "mandat")] * 2
    body = session.scalar(select(entry.c.body).where(entry.c.kind == "order_taken_over"))
    assert canonical.decode(bytes(body))["facts"]["basis"] == "mandat"


def test_no_more_is_taken_over_than_the_envelope_has(session):
    world = a_world(session, envelope_cents=5_000)
    before = everything(session)
    refused = taken_over(session, world)
    assert (refused.code, refused.facts["asked_cents"]) == ("envelope_exceeded", 6_000)
    assert everything(session) == before


def test_the_same_act_again_is_one_and_the_same_list_again_is_refused(session):
    world = a_world(session)
    act = new_id()
    first = done(taken_over(session, world, act=act))
    before = everything(session)
    again = taken_over(session, world, act=act)
    assert (again.replayed, again.facts) == (True, first.facts)
    assert taken_over(session, world, act=act, operator="autre").code == "act_reused"
    assert taken_over(session, world).code == "foreign_list_refused"
    other = a_foreign_list(*(row.replace("C-", "Z-") for row in foreign_rows()))
    assert taken_over(session, world, other).code == "foreign_list_refused"
    assert everything(session) == before


def test_two_who_take_the_same_list_over_at_once_take_it_once(database):
    with database.begin("23") as session:
        world = a_world(session)

    def one() -> str:
        with database.begin("23") as session:
            return taken_over(session, world, delivered=False).code

    told = together(4, one)
    assert sorted(map(str, told)) == ["accepted", *["foreign_list_refused"] * 3]
    with database.begin("23", read_only=True) as session:
        assert session.scalar(select(func.count()).select_from(voucher)) == 6


class Stumble(Exception):
    """Something goes wrong inside a transaction."""


def test_what_breaks_in_the_middle_leaves_nothing(database, monkeypatch):
    with database.begin("23") as session:
        world = a_world(session)
        before = everything(session)
    written = []

    def breaks(session, into, *what) -> None:
        if into is foreign_carnet:
            raise Stumble
        written.append(into)
        write_rows(session, into, *what)

    monkeypatch.setattr("issuance.taking_over.write_rows", breaks)
    with pytest.raises(Stumble), database.begin("23") as session:
        taken_over(session, world)
    assert written == [carnet, voucher]
    monkeypatch.undo()
    with database.begin("23") as session:
        assert everything(session) == before
        done(taken_over(session, world))


def test_it_is_never_printed_nor_activated_again_and_no_revoked_key_touches_it(session):
    world = a_world(session)
    done(taken_over(session, world))
    order = order_row(session, 1)
    with pytest.raises(OrderTakenOver):
        printable(session, order, 1, 3)
    batch = RecordBatch(
        new_id(), 1, 1, 3, "phone", "telephone", 1, "11" * 32, (), "22" * 32
    )
    told = record_batch(session, batch, by="test", now=TODAY)
    assert (told.code, told.facts) == ("order_taken_over", {"order": 1})
    again = ActivateOrder(new_id(), 1, "ENG-2")
    assert activate_order(session, again, by="test", now=TODAY).code == "right_used"
    for key_id in world.ring.vouchers:
        revoked = RevokeKey(new_id(), key_id, "compromised")
        told = done(revoke_key(session, revoked, by="test", now=TODAY))
        assert told.facts["orders"] == []


def test_a_carnet_is_found_by_what_stands_on_its_cover(session):
    world = a_world(session)
    an_order(session, world, 2)
    done(taken_over(session, world))
    done(
        taken_over(
            session, world, a_foreign_list("c 001;1;10;2020-12-31;"), operator="autre"
        )
    )
    found = {
        asked: [(c.number, c.operator, c.label) for c in named(session, asked)]
        for asked in ("C-002", "c002", "aptic C-001", "Autre c001", "001", "C-9")
    }
    assert found == {
        "C-002": [(4, "aptic", "C-002")],
        "c002": [(4, "aptic", "C-002")],
        "aptic C-001": [(3, "aptic", "C-001")],
        "Autre c001": [(6, "autre", "c 001")],
        "001": [],
        "C-9": [],
    }
    assert [c.operator for c in named(session, "C001")] == ["aptic", "autre"]
    assert covers_of(session, [1, 3, 4]) == {3: "C-001", 4: "C-002"}


def test_ten_thousand_passes_are_taken_over_in_one_act(session):
    world = a_world(session, envelope_cents=20_000_000)
    data = a_foreign_list(*foreign_rows(1_000, 10))
    listed = read_foreign_list(data)
    assert len(lots(listed.passes)) == 1
    answer = done(taken_over(session, world, data, delivered=False))
    assert answer.facts["count"] == 10_000
    assert session.scalar(select(func.count()).select_from(voucher)) == 10_000


def test_the_entry_tells_all_but_the_numbers(session):
    world = a_world(session)
    done(taken_over(session, world))
    body = session.scalar(select(entry.c.body).where(entry.c.kind == "order_taken_over"))
    told = canonical.decode(bytes(body))
    assert (told["credit"], told["debit"], told["cents"]) == (
        "available/1",
        "stock/1",
        6_000,
    )
    assert told["right"] == ["activate", "order/1", 0]
    assert {"operator", "file_mark", "labels_sha256", "use_by"} <= set(told["facts"])
    assert session.scalar(text("SELECT reserved_cents FROM tranche_budget")) == 6_000
    done(given(session, "23-000001-1"))
