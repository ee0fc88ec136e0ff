"""Two départements on one instance: nothing that is done in one is seen, felt or spent in the other."""

import threading
from contextlib import suppress

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.exc import DataError, OperationalError, ProgrammingError

from app.database import FilesPlace, sqlite_engine
from app.registry import MalformedDepartement, UnknownDepartement, schema_of
from issuance.keys import NewKeys, keyring, new_keys
from ledger import queries
from ledger.columns import metadata
from ledger.identifiers import new_id
from redemption.counter import Presented, redeem
from tests.builders import (
    MANAGER,
    SECRET,
    a_site,
    a_workshop,
    a_world,
    an_order,
    done,
    given,
    scan_of,
    sequence,
)
from tests.conftest import CREUSE, REUNION, moment

AT = moment("2020-02-03", 14)
ON_POSTGRES = pytest.mark.parametrize(
    "database", [pytest.param("postgres", marks=pytest.mark.postgres)], indirect=True
)
INSIDE = "SELECT count(*) FROM entry"


def counts(session) -> dict[str, int]:
    return {
        name: session.scalars(select(func.count()).select_from(table)).one()
        for name, table in metadata.tables.items()
    }


def test_what_is_written_in_one_is_invisible_in_the_other(database):
    with database.begin("974") as session:
        before = counts(session)
    with database.begin("23") as session:
        world = a_world(session)
        given(session, *an_order(session, world))
        written = counts(session)
    sequence(database)

    assert written["entry"] > 10
    assert written["voucher"] == 20
    with database.begin("974") as session:
        assert counts(session) == before
        assert queries.log_size(session) == 0
    with database.begin("23") as session:
        assert queries.log_size(session) == written["entry"]


def test_each_has_its_own_log_and_its_own_numbers(database):
    with database.begin("974") as session:
        done(new_keys(session, NewKeys(new_id()), secret=SECRET, by="test", now=AT))
        a_site(session, 1, AT)
    with database.begin("23") as session:
        a_site(session, 1, AT)
    sequence(database, "974")
    sizes = {}
    for code in ("23", "974"):
        with database.begin(code) as session:
            sizes[code] = queries.log_size(session), queries.waiting(session)
            assert counts(session)["site"] == 1
    assert sizes == {"23": (0, 1), "974": (2, 0)}


def test_a_pass_of_one_scanned_in_the_other_is_unknown_there_and_told_where_it_is_from(
    database,
):
    with database.begin("23") as session:
        world = a_world(session)
        [serial, *_] = an_order(session, world, 1)
        done(given(session, serial))
    with database.begin("974") as session:
        done(new_keys(session, NewKeys(new_id()), secret=SECRET, by="test", now=AT))
        a_site(session, 1, AT)
        workshop = a_workshop(session)
        texts = world.token(serial), world.passes[serial].code
        queue = [Presented(scan_of(typed, workshop, AT), MANAGER) for typed in texts]
        verdicts = redeem(session, queue, now=AT, keyring=keyring(session, "974", SECRET))
    with database.begin("23") as session:
        due = sum(h.cents for h in queries.holdings(session, ["1"]) if h.kind == "due")

    assert [(v.verdict, v.serial, v.facts) for v in verdicts] == [
        ("unknown", None, {"departement": "23"})
    ] * 2
    assert due == 0


def test_outside_any_departement_there_is_nothing_to_query(database):
    with (
        pytest.raises((ProgrammingError, OperationalError)) as failed,
        database.place.registry() as connection,
    ):
        connection.execute(text(INSIDE))
    if isinstance(database.place, FilesPlace):
        assert "no such table: entry" in str(failed.value)
    else:
        assert failed.value.orig.sqlstate == "42P01"


@ON_POSTGRES
def test_the_tables_of_another_are_refused_even_by_their_full_names(database):
    for role in ("app", "sequencer", "owner"):
        with database.begin("23", role) as session:
            assert session.scalar(text(INSIDE)) == 0
        with (
            pytest.raises(ProgrammingError) as failed,
            database.begin("23", role) as session,
        ):
            session.execute(text("SELECT count(*) FROM d974.entry"))
        assert failed.value.orig.sqlstate == "42501", role


@ON_POSTGRES
def test_a_login_outside_any_departement_may_read_none(database):
    for role in ("app", "sequencer", "owner"):
        for schema in ("d23", "d974"):
            with (
                pytest.raises(ProgrammingError) as failed,
                database.place.engine(role).connect() as connection,
            ):
                connection.execute(text(f"SELECT count(*) FROM {schema}.entry"))
            assert failed.value.orig.sqlstate == "42501", (role, schema)


class Stumble(Exception):
    """Something goes wrong inside a transaction."""


def stand_on(session) -> tuple:
    return tuple(
        session.execute(
            text(
                "SELECT pg_backend_pid(), current_setting('search_path'), current_user,"
                " current_setting('transaction_read_only')"
            )
        ).one()
    )


@ON_POSTGRES
@pytest.mark.parametrize("end", ["commit", "exception", "sql error", "read only"])
def test_a_pooled_connection_forgets_where_it_was(database, end):
    engine = database.place.engine("app")
    engine.dispose()
    with engine.connect() as connection:
        clean = stand_on(connection)
    with (
        suppress(Stumble, DataError),
        database.begin("974", read_only=end == "read only") as session,
    ):
        inside = stand_on(session)
        if end == "exception":
            raise Stumble
        if end == "sql error":
            session.execute(text("SELECT 1 / 0"))
    with engine.connect() as connection:
        after = stand_on(connection)

    assert (inside[1], inside[2]) == ("d974", "d974_app")
    assert inside[0] == after[0] == clean[0]
    assert after == clean
    assert after[2] == "passnum_app"
    with database.begin("23") as session:
        assert stand_on(session)[:3] == (clean[0], "d23", "d23_app")


@pytest.mark.parametrize("how", ["exception", "sql error"])
def test_after_a_failure_in_one_the_other_is_as_before(database, how):
    with (
        pytest.raises((Stumble, ProgrammingError, OperationalError)),
        database.begin("974") as session,
    ):
        a_site(session, 1, AT)
        if how == "exception":
            raise Stumble
        session.execute(text("SELECT nothing FROM nowhere"))
    for code in ("23", "974", "23"):
        with database.begin(code) as session:
            assert counts(session)["site"] == counts(session)["entry"] == 0


def test_a_code_that_is_no_departement_here_is_unknown(database):
    assert database.departement("23") == CREUSE
    assert database.departement("974") == REUNION
    for code in ("75", "2A", "971"):
        with pytest.raises(UnknownDepartement) as refused:
            database.departement(code)
        assert refused.value.departement == code


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_no_file_appears_for_a_departement_that_is_unknown(database):
    with pytest.raises(UnknownDepartement), database.begin("75"):
        pass
    assert not list(database.place.folder.glob("d75*"))


@pytest.mark.parametrize(
    "code",
    ["23; drop", "23;drop table entry", "", "2", "230", "2a", "2C", "../23", "23\n", " 23", "d23", "public", "٢٣", "２３", "97٤"],
)  # fmt: skip
def test_a_malformed_code_goes_nowhere(code):
    with pytest.raises(MalformedDepartement):
        schema_of(code)


def test_two_threads_open_the_file_of_a_departement_once(tmp_path, monkeypatch):
    place, made = FilesPlace(tmp_path), []

    def making(path, *, create):
        made.append(path)
        if len(made) == 1:
            other.start()
            other.join(0.05)  # where it need not wait for us, it is done by then
        return sqlite_engine(path, create=create)

    other = threading.Thread(target=lambda: place._engine("d23", create=True))
    monkeypatch.setattr("app.database.sqlite_engine", making)
    place._engine("d23", create=True)
    other.join()
    place.close()
    assert made == [tmp_path / "d23.db"]


def test_a_malformed_code_opens_no_transaction(database):
    with pytest.raises(MalformedDepartement), database.begin("23; drop"):
        pass
    with pytest.raises(MalformedDepartement):
        database.departement("23; drop")
    with database.begin("23") as session:
        assert counts(session)["entry"] == 0
