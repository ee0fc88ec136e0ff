"""Figures from balances do not walk the log; those that are added up again leave out no entry."""

import re
from typing import Any

import pytest
from sqlalchemy import Engine, event, text

from ledger.audit import CHECKS as LOG
from ledger.queries import derived_holdings, log_size
from redemption.reconciliation import reconcile
from tests.builders import a_workshop, a_world, an_order, done, given, scanned, sequence
from tests.conftest import as_superuser, copy_of_files, moment

NOW = moment("2020-03-03", 14)
GROWS_WITH_USES = "entry|log_leaf|attempt|attribution|voucher|handed_out"


def some_uses(database) -> None:
    """Three passes used and in the log; a fourth whose use waits for its place there."""
    with database.begin("23") as session:
        world = a_world(session)
        serials = an_order(session, world)
        done(given(session, *serials))
        where = a_workshop(session)
        scanned(session, world, where, *serials[:3], now=NOW)
    sequence(database)
    with database.begin("23") as session:
        [verdict] = scanned(session, world, where, serials[3], now=NOW)
        assert verdict.verdict == "accepted"


@pytest.fixture
def plans(sqlite_template, tmp_path):
    """An instance on files, and how SQLite goes about each question it is asked.

    It keeps no statistics there, so that its plans are those of any département, however large.
    """
    told: list[str] = []

    def note(connection: Any, _cursor: Any, statement: str, parameters: Any, *_more: Any):
        if statement.startswith(("SELECT", "WITH")):
            raw = connection.connection.driver_connection
            rows = raw.execute(f"EXPLAIN QUERY PLAN {statement}", parameters)
            told.extend(row[3] for row in rows)

    with copy_of_files(sqlite_template, tmp_path) as database:
        some_uses(database)
        event.listen(Engine, "after_cursor_execute", note)
        try:
            yield database, told
        finally:
            event.remove(Engine, "after_cursor_execute", note)


def walks(plan: list[str]) -> list[str]:
    """The steps that read a table which grows with each use, from one end to the other."""
    whole = re.compile(rf"SCAN ({GROWS_WITH_USES})(_\d+)?\b|SEARCH \w+ .*\(rowid[<>]\?\)")
    return [step for step in plan if whole.match(step)]


def test_figures_from_balances_do_not_walk_the_log(plans):
    database, told = plans
    with database.begin("23", read_only=True) as session:
        [found] = reconcile(session, now=NOW, tranche="T1", proof=False)
    assert found.used == 3
    assert found.not_yet_logged == 1
    assert len(told) > 10
    assert walks(told) == []


def test_what_is_proved_walks_it_and_is_seen_to(plans):
    database, told = plans
    with database.begin("23", read_only=True) as session:
        reconcile(session, now=NOW, tranche="T1")
    assert walks(told)


def test_what_is_added_up_again_is_what_has_its_place_and_nothing_else(database):
    some_uses(database)
    with database.begin("23", read_only=True) as session:
        size = log_size(session)
        due = [
            sum(
                h.cents
                for h in derived_holdings(session, ["1"], known_by=known_by)
                if h.kind == "due"
            )
            for known_by in (None, size, size - 1, 0)
        ]
    assert due == [4000, 3000, 2000, 0]


def test_an_entry_that_neither_waits_nor_has_its_place_is_in_no_figure_and_found(
    database, request
):
    some_uses(database)
    engine = as_superuser(database, request)
    with engine.begin() as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(text("SET LOCAL search_path = d23"))
        assert connection.execute(text("DELETE FROM pending")).rowcount == 1
    engine.dispose()
    with database.begin("23", read_only=True) as session:
        [today] = reconcile(session, now=NOW, tranche="T1")
        [then] = reconcile(session, now=NOW, tranche="T1", as_of=NOW.day)
        findings = [f for check in LOG for f in check(session)]
    assert today.used == then.used == 3
    assert [f.code for f in findings] == ["entry_lost"]
