"""Both engines, built by the migrations: one PostgreSQL cluster a run, one migrated template, a copy for each test."""

import itertools
import os
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, settings
from sqlalchemy import Engine, create_engine
from sqlalchemy.orm import Session

from app.database import Database, FilesPlace, PostgresPlace, bootstrap_sql
from app.registry import Departement
from ledger.moments import Moment
from tests.postgres import Server, cluster

CREUSE = Departement("23", "Creuse", "Europe/Paris", "PASS.CREUSE.FR")
REUNION = Departement("974", "La Réunion", "Indian/Reunion", "PASS.DEPARTEMENT974.FR")
PARIS = ZoneInfo("Europe/Paris")

settings.register_profile(
    "short",
    max_examples=25,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    derandomize=True,  # what is drawn anew each time is the long version's
)
settings.register_profile(
    "long", max_examples=400, deadline=None, suppress_health_check=list(HealthCheck)
)
settings.load_profile(os.environ.get("PASSNUM_TEST_PROFILE", "short"))

NUMBERS = itertools.count(1)
ENGINES = ["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the longest test, so that no worker is left alone with it at the end."""
    items.sort(key=lambda item: "the_readme_is_true" not in item.nodeid)


def moment(day: str | date, hour: int = 10, zone: ZoneInfo = PARIS) -> Moment:
    """Return the instant at this hour of a day, there."""
    at = date.fromisoformat(day) if isinstance(day, str) else day
    local = datetime(at.year, at.month, at.day, hour, tzinfo=zone)
    return Moment(local.astimezone(UTC), zone)


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    with cluster() as template:
        yield Server(template)


def postgres_place(server: Server, database: str) -> PostgresPlace:
    return PostgresPlace(
        {
            "app": server.url(database, "passnum_app"),
            "sequencer": server.url(database, "passnum_sequencer"),
            "owner": server.url(database, "passnum_owner"),
        },
        pool_size=20,
    )


@pytest.fixture(scope="session")
def postgres_template(server: Server) -> str:
    """A database with two migrated départements, made once, copied by name."""
    server.run("CREATE DATABASE passnum_template")
    for tenant in (CREUSE, REUNION):
        server.run(*bootstrap_sql(tenant.code), database="passnum_template")
    database = Database(postgres_place(server, "passnum_template"))
    for tenant in (CREUSE, REUNION):
        database.add_departement(tenant)
    database.close()
    return "passnum_template"


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two migrated départements, made once, copied."""
    folder = tmp_path_factory.mktemp("template")
    database = Database(FilesPlace(folder))
    for tenant in (CREUSE, REUNION):
        database.add_departement(tenant)
    database.close()
    return folder


@contextmanager
def copy_of_files(template: Path, folder: Path) -> Iterator[Database]:
    """Give an instance over a copy of a folder that no instance holds open."""
    for file in template.glob("*.db"):
        shutil.copy(file, folder / file.name)
    instance = Database(FilesPlace(folder))
    yield instance
    instance.close()


@contextmanager
def copy_of_database(template: str, server: Server) -> Iterator[Database]:
    """Give an instance over a copy of a database that nobody is connected to."""
    name = f"t{next(NUMBERS)}"
    server.run(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY")
    # What is granted on a database itself is not copied.
    server.run(f"REVOKE TEMPORARY ON DATABASE {name} FROM PUBLIC")
    instance = Database(postgres_place(server, name))
    yield instance
    instance.close()
    server.run(f"DROP DATABASE {name} WITH (FORCE)")


@contextmanager
def a_database(
    request: pytest.FixtureRequest, engine: str, folder: Path
) -> Iterator[Database]:
    """Give an instance on an engine, like that of the fixture, for as long as a whole file needs it."""
    if engine == "sqlite":
        opened = copy_of_files(request.getfixturevalue("sqlite_template"), folder)
    else:
        template = request.getfixturevalue("postgres_template")
        opened = copy_of_database(template, request.getfixturevalue("server"))
    with opened as instance:
        yield instance


@pytest.fixture(params=ENGINES)
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """An instance of its own, on each engine, whose commits others can see."""
    with a_database(request, request.param, tmp_path) as instance:
        yield instance


def as_superuser(database: Database, request: pytest.FixtureRequest) -> Engine:
    """Return a connection that nothing holds back, but triggers; the caller disposes of it."""
    if isinstance(database.place, FilesPlace):
        return create_engine(f"sqlite:///{database.place.folder}/d23.db")
    server: Server = request.getfixturevalue("server")
    return create_engine(server.url(database.place.engine("app").url.database or ""))


@pytest.fixture
def session(database: Database) -> Iterator[Session]:
    """One transaction in the Creuse, on each engine."""
    with database.begin("23") as session:
        yield session


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Have programs hear SIGINT: whoever ignores it, as a shell's background does, hands that on to them."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
