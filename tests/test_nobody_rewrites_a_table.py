"""What is written stays: every table refuses to be changed or emptied, but for those listed here with a reason.

A table that a migration forgets to protect fails here, whoever may have filled it: each has a row,
and the database's own catalogue is read too.
"""

import re
from contextlib import nullcontext
from datetime import UTC, date, datetime
from itertools import product
from uuid import UUID

import pytest
from sqlalchemy import Connection, Table, func, insert, select, text
from sqlalchemy.exc import DatabaseError

import tests.test_schemas  # noqa: F401 - it declares every table
from app.database import FilesPlace
from ledger.columns import Day, Flag, Identifier, Instant, metadata
from tests.conftest import ENGINES, a_database, as_superuser

# A row of these is amended where a grant allows it, and never removed.
AMENDED = {
    "tranche_budget": "what is reserved of an envelope, counted under a lock",
    "gate": "its generation counts the acts that closed it",
    "numbering": "the next number",
    "log_state": "where the log ends",
    "balance": "derived by the sequencer, and again by the audit",
    "segment": "derived by the sequencer, and again by the audit",
    "site": "as the national list tells it today; entries keep what it was",
    "accreditation": "it ends",
    "device": "it is revoked",
    "person": "people change their names and addresses; entries know neither",
    "membership": "it ends",
    "invitation": "it is used",
    "work": "its progress, and who holds it",
    "outbox": "whether it left",
    "vault_person": "its key is destroyed when the person is erased",
    "vault_secret": "sealed anew under another master key",
    "vault_mark": "taken away with its person",
}
# Rows of these come and go.
PASSING = {
    "pending": "a queue, emptied by the sequencer",
    "password": "a new one replaces it",
    "totp": "a new telephone replaces it",
    "recovery_code": "new ones replace them",
    "passkey": "its person takes it away",
    "passkey_challenge": "used once",
    "identity": "its person unlinks it",
    "oidc_flow": "used once",
    "oidc_proof": "used once",
    "web_session": "it ends",
    "sign_in_failures": "forgotten after a success",
}
WHOLE = frozenset({"UPDATE", "DELETE", "TRUNCATE"})
# What is tried, and what of it the trigger that refuses has seen.
TRIED = {
    "UPDATE {table} SET {key} = {key}": "UPDATE",
    "DELETE FROM {table}": "DELETE",
    (
        "INSERT INTO {table} ({columns}) SELECT {columns} FROM {table} WHERE true"
        " ON CONFLICT ({keys}) DO UPDATE SET {key} = excluded.{key}"
    ): "UPDATE",
    "TRUNCATE {table} CASCADE": "TRUNCATE",
    "INSERT OR REPLACE INTO {table} ({columns}) SELECT {columns} FROM {table}": "DELETE",
}


def forbidden(table: str) -> frozenset[str]:
    """Return what nobody does to a table."""
    if table in PASSING:
        return frozenset()
    return WHOLE - {"UPDATE"} if table in AMENDED else WHOLE


@pytest.fixture(scope="module", params=ENGINES)
def filled(request, tmp_path_factory):
    """An instance where every table has a row, whatever the row means, and a superuser's engine."""
    folder = tmp_path_factory.mktemp("filled")
    with a_database(request, request.param, folder) as database:
        superuser = as_superuser(database, request)
        with superuser.connect() as connection:
            _fill(connection)
        yield database, superuser
        superuser.dispose()


def _fill(connection: Connection) -> None:
    """Put a row into each table that has none: no rule but that of its types is asked."""
    if connection.dialect.name == "sqlite":
        for pragma in ("foreign_keys = OFF", "ignore_check_constraints = ON"):
            connection.execute(text(f"PRAGMA {pragma}"))
    else:
        connection.execute(text("SET LOCAL search_path = d23"))
        connection.execute(text("SET LOCAL session_replication_role = replica"))
        checks = connection.execute(
            text(
                "SELECT conrelid::regclass, conname FROM pg_constraint"
                " WHERE contype = 'c' AND connamespace = 'd23'::regnamespace"
            )
        )
        for table, check in checks.all():
            connection.execute(text(f"ALTER TABLE {table} DROP CONSTRAINT {check}"))
    for table in metadata.sorted_tables:
        if not connection.scalar(select(func.count()).select_from(table)):
            connection.execute(insert(table).values(_a_row(table)))
    connection.commit()


def _a_row(table: Table) -> dict[str, object]:
    kinds: dict[type, object] = {
        Identifier: UUID(int=1),
        Instant: datetime(2020, 1, 6, tzinfo=UTC),
        Day: date(2020, 1, 6),
        Flag: False,
    }
    plain = {str: "x", int: 1, bytes: b"x"}
    return {
        column.name: kinds[type(column.type)]
        if type(column.type) in kinds
        else plain[column.type.python_type]
        for column in table.columns
        if not column.nullable and column.computed is None and column.identity is None
    }


def guarded(connection: Connection) -> set[tuple[str, str]]:
    """Return what the catalogue's unconditional triggers refuse, as (table, verb)."""
    if connection.dialect.name == "sqlite":
        rule = (
            r"CREATE TRIGGER \w+ BEFORE (\w+) ON (\w+)"
            r" BEGIN SELECT RAISE\(ABORT, 'append-only: \1 on \2'\); END"
        )
        triggers = text("SELECT sql FROM sqlite_master WHERE type = 'trigger'")
        known = [re.fullmatch(rule, sql) for sql in connection.scalars(triggers)]
        return {(found[2], found[1]) for found in known if found}
    # Before the fact, for whatever row and column, whatever the replication role.
    triggers = text(
        "SELECT c.relname, t.tgtype FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid"
        " WHERE c.relnamespace = 'd23'::regnamespace AND t.tgenabled = 'A'"
        " AND t.tgfoid = 'd23.forbid_change'::regproc AND t.tgqual IS NULL"
        " AND t.tgattr = '' AND t.tgtype & 2 = 2"
    )
    bits = {"DELETE": 8, "UPDATE": 16, "TRUNCATE": 32}
    return {
        (table, verb)
        for (table, kind), verb in product(connection.execute(triggers).all(), bits)
        if kind & bits[verb]
    }


def test_every_table_is_listed_or_guarded_in_the_catalogue(filled):
    _database, superuser = filled
    with superuser.connect() as connection:
        found = guarded(connection)
    known = WHOLE if superuser.dialect.name == "postgresql" else WHOLE - {"TRUNCATE"}
    assert found == {(t, verb) for t in metadata.tables for verb in forbidden(t) & known}
    assert set(metadata.tables) >= AMENDED.keys() | PASSING.keys()


def answers(connection: Connection, table: Table, *, replace: bool) -> dict[str, str]:
    """Try everything on a table; return what the database says to each, and undo it."""
    keys = [column.name for column in table.primary_key]
    columns = ", ".join(c.name for c in table.columns if c.computed is None)
    sqlite = connection.dialect.name == "sqlite"
    if sqlite:  # the row means nothing: only what forbids changes is to answer
        connection.execute(text("PRAGMA ignore_check_constraints = ON"))
    told = {}
    for statement, verb in TRIED.items():
        if (verb == "TRUNCATE" and sqlite) or ("REPLACE" in statement and not replace):
            continue
        words = {"table": table.name, "key": keys[0], "keys": ", ".join(keys)}
        tried = statement.format(columns=columns, **words)
        undone = connection.begin_nested()
        try:
            done = connection.execute(text(tried))
            told[tried] = f"{verb}: {done.rowcount} done"
        except DatabaseError as error:
            told[tried] = f"{verb}: {str(error.orig).splitlines()[0]}"
        undone.rollback()
    return told


@pytest.mark.parametrize("who", ["app", "sequencer", "owner", "superuser"])
def test_nobody_changes_or_removes_what_is_written(filled, who):
    database, superuser = filled
    files = isinstance(database.place, FilesPlace)
    let_through, refused = {}, set()
    opened = superuser.connect() if who == "superuser" else nullcontext()
    with opened as alone:
        if alone is not None and not files:
            alone.execute(text("SET search_path = d23"))
        for table in metadata.sorted_tables:
            if alone is not None:
                told = answers(alone, table, replace=False)
            else:
                with database.begin("23", who) as session:
                    told = answers(session.connection(), table, replace=files)
            for statement, answer in told.items():
                verb = answer.partition(":")[0]
                if verb not in forbidden(table.name):
                    continue
                expected = f"{verb}: append-only: {verb} on {table.name}"
                if not files and who in {"app", "sequencer"}:
                    expected = f"{verb}: permission denied for table {table.name}"
                if answer == expected:
                    refused.add((table.name, verb))
                else:
                    let_through[statement] = answer
    assert let_through == {}
    known = WHOLE - {"TRUNCATE"} if files else WHOLE
    assert refused == {(t, v) for t in metadata.tables for v in forbidden(t) & known}


def test_what_may_go_does(filled):
    # Otherwise, whatever is wrong with a statement would pass for a refusal.
    _database, superuser = filled
    with superuser.connect() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text("SET search_path = d23"))
        for name in PASSING:
            told = answers(connection, metadata.tables[name], replace=False)
            assert {told[f"DELETE FROM {name}"]} == {"DELETE: 1 done"}
