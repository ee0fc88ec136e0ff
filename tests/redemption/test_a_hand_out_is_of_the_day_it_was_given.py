"""A social worker writes in the evening, or on Monday: the hand-out is of the day the paper was given."""

from datetime import date

import pytest
from sqlalchemy import insert, select

from funding.hand_out_rules import HandOutRules
from issuance.models import hand_out
from ledger import canonical
from ledger.models import entry
from redemption import audit
from redemption.models import kept_scan
from tests.builders import (
    CALENDAR,
    a_workshop,
    a_world,
    an_order,
    done,
    given,
    scanned,
)
from tests.conftest import moment

NOW = moment("2020-02-05")


def body_of(session, answer) -> dict:
    return canonical.decode(
        session.scalars(select(entry.c.body).where(entry.c.id == answer.act)).one()
    )


def test_the_entry_is_of_the_day_told_and_recorded_today(session):
    serials = an_order(session, a_world(session))
    answer = done(given(session, serials[0], now=NOW, given_on=date(2020, 1, 31)))
    told = body_of(session, answer)
    assert (told["on"], told["recorded"][:10]) == ("2020-01-31", "2020-02-05")
    assert told["facts"]["recorded_late"] is True
    [row] = session.execute(select(hand_out)).all()
    assert (row.given_on, row.recorded_late, row.passes) == (date(2020, 1, 31), True, 1)


@pytest.mark.parametrize("told", [None, NOW.day])
def test_a_hand_out_of_today_is_not_late(session, told):
    serials = an_order(session, a_world(session))
    answer = done(given(session, serials[0], now=NOW, given_on=told))
    assert body_of(session, answer)["on"] == "2020-02-05"
    assert "recorded_late" not in answer.facts
    assert session.scalars(select(hand_out.c.recorded_late)).all() == [False]


@pytest.mark.parametrize(
    ("told", "reason", "bound"),
    [
        ("2020-02-06", "future", "2020-02-05"),
        ("2020-01-28", "too_old", "2020-01-29"),
        ("2019-12-31", "too_old", "2020-01-29"),
    ],
)
def test_a_day_to_come_or_too_long_ago_is_refused(session, told, reason, bound):
    serials = an_order(session, a_world(session, hand_out=HandOutRules(late_days=7)))
    answer = given(session, serials[0], now=NOW, given_on=date.fromisoformat(told))
    assert answer.code == "given_on_impossible"
    assert answer.facts == {"reason": reason, "on": bound}
    assert session.scalars(select(hand_out.c.entry_id)).all() == []


def test_the_bounds_themselves_are_good_days(session):
    serials = an_order(session, a_world(session, hand_out=HandOutRules(late_days=7)))
    done(given(session, serials[0], now=NOW, given_on=date(2020, 1, 29)))
    active_on = date(2020, 1, 7)
    done(given(session, serials[1], now=moment("2020-01-08"), given_on=active_on))


def test_nothing_was_given_before_its_order_was_active(session):
    serials = an_order(session, a_world(session))
    answer = given(session, serials[0], now=moment("2020-01-20"), given_on=date(2020, 1, 6))
    assert answer.facts == {"reason": "before_active", "on": "2020-01-07"}


def test_the_last_day_to_hand_out_is_compared_with_the_day_the_paper_was_given(session):
    serials = an_order(session, a_world(session))
    after = moment("2020-12-17")
    refused = given(session, serials[0], now=after)
    assert (refused.code, refused.facts) == (
        "hand_out_stopped",
        {"stopped_on": "2020-12-15"},
    )
    late = given(session, serials[0], now=after, given_on=date(2020, 12, 16))
    assert late.code == "hand_out_stopped"
    done(given(session, serials[0], now=after, given_on=CALENDAR.hand_out_stop))


def test_what_was_scanned_since_is_redeemed_and_what_was_scanned_before_puts_the_day_right(
    session,
):
    world = a_world(session, regularise=True)
    serials = an_order(session, world)
    workshop = a_workshop(session, "2020-02-03")
    assert [v.verdict for v in scanned(session, world, workshop, serials[0])] == ["kept"]

    wrong = given(session, serials[0], now=NOW, given_on=date(2020, 2, 4))
    assert wrong.code == "given_on_impossible"
    assert wrong.facts == {"reason": "scanned_before", "on": "2020-02-03"}
    assert session.scalars(select(entry.c.id).where(entry.c.kind == "redeemed")).all() == []
    assert len(session.scalars(select(kept_scan.c.serial)).all()) == 1

    done(given(session, serials[0], now=NOW, given_on=date(2020, 2, 3)))
    used = session.scalars(select(entry.c.subject).where(entry.c.kind == "redeemed")).all()
    assert used == [serials[0]]


def test_each_hand_out_has_one_row_and_the_nightly_doubt_finds_one_too_many(session):
    serials = an_order(session, a_world(session))
    done(given(session, *serials[:3], pic=False, proof="declared"))
    done(given(session, carnet=2, now=NOW, given_on=date(2020, 2, 1)))
    rows = session.execute(select(hand_out).order_by(hand_out.c.given_on)).all()
    assert [(r.passes, r.pic, r.proof, r.desk) for r in rows] == [
        (3, False, "declared", "CAF"),
        (5, True, "attested", "CAF"),
    ]
    assert list(audit.hand_outs_are_told_as_they_were_given(session)) == []

    other = session.scalars(select(entry.c.id).where(entry.c.kind == "delivered")).one()
    session.execute(insert(hand_out).values(rows[0]._asdict() | {"entry_id": other}))
    [found] = audit.hand_outs_are_told_as_they_were_given(session)
    assert (found.code, found.facts) == ("hand_out_told_otherwise", {"entry": str(other)})
