"""The database holds the rules of the journal against raw SQL; the audit sees what an administrator slips by."""

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.exc import DatabaseError, IntegrityError, ProgrammingError

from ledger import audit, models
from ledger.accounts import open_accounts
from ledger.attempts import Act, Attempt, open_attempts
from ledger.entries import Right
from ledger.identifiers import new_id
from ledger.journal import record
from tests.conftest import as_superuser, moment
from tests.ledger.test_the_log_grows_without_a_gap import note, step


@pytest.fixture
def written(database):

    with database.begin("23") as session:
        open_accounts(session, [("stock", "1", None), ("circulating", "1", None)])
        for number in range(3):
            note(
                session, f"fact {number}",
                debit="circulating/1", credit="stock/1", cents=1000, right=Right("spend", f"23-000001-{number}", 0),
            )  # fmt: skip
    step(database)
    return database


@pytest.mark.postgres
@pytest.mark.parametrize("database", ["postgres"], indirect=True)
def test_nobody_but_the_sequencer_takes_from_the_queue(written):
    for role, statement in [
        ("app", "DELETE FROM pending"),
        ("app", "UPDATE log_state SET size = 0"),
        ("app", "INSERT INTO balance VALUES (1, 0, 0, 0)"),
        ("sequencer", "INSERT INTO attempt SELECT * FROM attempt"),
        ("sequencer", "UPDATE gate SET generation = 1"),
        ("app", "CREATE TEMP TABLE entry (id int)"),
        ("app", "CREATE TABLE more (id int)"),
    ]:
        with (
            pytest.raises(ProgrammingError, match="permission denied"),
            written.begin("23", role) as session,
        ):
            session.execute(text(statement))


@pytest.mark.parametrize(
    ("statement", "named"),
    [
        (
            "INSERT INTO gate (key, generation) VALUES ('x', -1)",
            "ck_gate_generation_counts",
        ),
        (
            "INSERT INTO account (id, name, kind, book) VALUES (1, 'stock/9', 'stock', '8')",
            "ck_account_name_tells",
        ),
    ],
)
def test_a_constraint_says_its_name(written, statement, named):
    with (
        pytest.raises(DatabaseError, match=named),
        written.begin("23") as session,
    ):
        session.execute(text(statement))


def test_an_undo_without_its_spend_is_refused_by_the_database(written):

    with (
        pytest.raises(IntegrityError, match="(?i)foreign key"),
        written.begin("23") as session,
    ):
        note(session, "undo", right=Right("undo", "23-000009-1", 0))
    with (
        pytest.raises(IntegrityError, match="(?i)foreign key"),
        written.begin("23") as session,
    ):
        note(session, "spent again without an undo", right=Right("spend", "23-000001-1", 1))


def findings(database) -> set[str]:
    with database.begin("23", read_only=True) as session:
        return {finding.code for check in audit.CHECKS for finding in check(session)}


TAMPERING = {
    "an amount": ("entry", "UPDATE entry SET amount_cents = 900 WHERE subject LIKE '%-1'", {"column_differs", "balance_differs"}),
    "a day": ("entry", "UPDATE entry SET occurred_on = '2020-03-01' WHERE subject LIKE '%-1'", {"column_differs"}),
    "a leaf": ("log_leaf", "UPDATE log_leaf SET leaf_hash = (SELECT leaf_hash FROM log_leaf WHERE idx = 0) WHERE idx = 1", {"leaf_differs", "root_differs", "frontier_differs"}),
    "a place": ("log_leaf", "UPDATE log_leaf SET idx = 7 WHERE idx = 2", {"log_gap"}),
    "a root": ("checkpoint", "UPDATE checkpoint SET root = (SELECT leaf_hash FROM log_leaf WHERE idx = 0)", {"root_differs"}),
    "a balance": ("balance", "UPDATE balance SET debits = debits + 1 WHERE debits > 0", {"balance_differs"}),
    "an answer": ("refusal", "INSERT INTO refusal SELECT id, 'forged', '{}' FROM attempt", {"verdict_double"}),
}  # fmt: skip


@pytest.mark.parametrize("what", TAMPERING)
def test_the_audit_sees_what_an_administrator_changed(written, request, what):
    table, statement, expected = TAMPERING[what]
    assert findings(written) == set()
    engine = as_superuser(written, request)
    with engine.begin() as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(text("SET LOCAL search_path = d23"))
            connection.execute(text(f"ALTER TABLE {table} DISABLE TRIGGER USER"))
        else:
            for verb in ("update", "delete"):
                connection.execute(text(f"DROP TRIGGER IF EXISTS {table}_{verb}"))
        connection.execute(text(statement))
    engine.dispose()
    assert findings(written) >= expected


@pytest.mark.parametrize("missing", ["attempt", "debit", "credit"])
def test_an_entry_refers_to_an_attempt_and_to_accounts_that_exist(written, missing):
    act = Act(new_id(), "test", "tester", moment("2020-02-03", 9))
    with written.begin("23") as session:
        attempt = Attempt(act.id, act.name, b"x" * 32, act.by, act.now.at)
        open_attempts(session, [attempt])
    stranger = (
        Act(new_id(), "test", "tester", moment("2020-02-03", 9))
        if missing == "attempt"
        else act
    )
    entry = stranger.entry(
        "fact",
        {},
        credit="nowhere/1" if missing == "credit" else "stock/1",
        debit="nowhere/1" if missing == "debit" else "circulating/1",
        cents=1000,
    )
    with (
        pytest.raises(IntegrityError, match="(?i)refers to no|foreign key"),
        written.begin("23") as session,
    ):
        record(session, [entry])
    with written.begin("23", read_only=True) as session:
        assert (
            session.scalar(select(func.count()).where(models.entry.c.id == entry.id)) == 0
        )
