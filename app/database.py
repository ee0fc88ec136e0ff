"""Where the tenancy is: a transaction is always of one département.

On PostgreSQL a département is a schema: the search path and the role are set for the length
of the transaction, and `public` is never on that path.  On SQLite it is a file.  No table has
a tenant column, so no query can cross.
"""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

import psycopg
from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as NoConnectionFree
from sqlalchemy.orm import Session

from app import registry
from app.registry import ROLES, Departement, UnknownDepartement, schema_of
from ledger.bulk import execute
from ledger.refusal import Refusal

Role = Literal["app", "sequencer", "owner"]


@dataclass(eq=False)
class NoInstance(Refusal):
    """Nothing has been made in this folder yet."""

    code = "no_instance"

    folder: str


LOGINS: dict[Role, str] = {
    "app": "PASSNUM_DATABASE_URL",
    "owner": "PASSNUM_OWNER_URL",
    "sequencer": "PASSNUM_SEQUENCER_URL",
}


@dataclass(eq=False)
class LoginMissing(Refusal):
    """The URL of a login that this act needs is not set."""

    code = "login_missing"

    variable: str


@dataclass(eq=False)
class DatabaseUnreachable(Refusal):
    """The database does not answer, or cannot write; `why` is its own first line."""

    code = "database_unreachable"

    why: str


@dataclass(eq=False)
class DepartementExists(Refusal):
    """The département is on this instance already."""

    code = "departement_exists"

    departement: str


@dataclass(eq=False)
class DepartementReadOnly(Refusal):
    """The département came from a coffre alone: it is there to be read, and takes nothing."""

    code = "departement_read_only"
    kept = False

    departement: str


class PostgresPlace:
    """One database for the instance, a schema for each département, a login for each role."""

    sequencer_is_apart = True

    def __init__(self, urls: dict[Role, str], **engine: Any) -> None:  # noqa: ANN401
        self._engines = {
            role: postgres_engine(url, **({"pool_size": 20} | engine))
            for role, url in urls.items()
        }

    def engine(self, role: Role) -> Engine:
        """Return the engine of a login, or raise `LoginMissing`."""
        if role not in self._engines:
            raise LoginMissing(LOGINS[role])
        return self._engines[role]

    @contextmanager
    def connection(
        self, code: str, role: Role = "app", *, read_only: bool = False
    ) -> Iterator[Connection]:
        """Open a transaction inside a département, as one of its three roles."""
        with inside(self.engine(role), code, role, read_only=read_only) as connection:
            yield connection

    @contextmanager
    def registry(self, *, write: bool = False) -> Iterator[Connection]:
        """Open a transaction on the list of départements, outside all of them."""
        with self.engine("owner" if write else "app").connect() as c, c.begin():
            yield c

    def migrate_registry(self) -> None:
        """Bring the list of départements to the newest schema."""
        with self.registry(write=True) as connection:
            _upgrade(connection, "registry", "public")

    def migrate(self, code: str) -> None:
        """Bring a département to the newest schema."""
        with self.connection(code, "owner") as connection:
            _upgrade(connection, "departement", schema_of(code))

    def is_new(self, code: str) -> bool:
        """Tell no: the administrator makes the schema, so it is theirs to remove."""
        schema_of(code)
        return False

    def discard(self, code: str) -> None:
        """Do nothing: an empty schema harms nobody."""

    def fold(self, code: str) -> None:
        """Do nothing: how long a server keeps its log and its backups is its own affair."""

    def close(self) -> None:
        """Close every connection."""
        for engine in self._engines.values():
            engine.dispose()


# The driver would send a BEGIN of its own, so it is told to leave transactions alone.  Nor does a
# log, or the text of an error, repeat what a statement was sent with.
POSTGRES: dict[str, Any] = {"isolation_level": "AUTOCOMMIT", "hide_parameters": True}

# A network that falls silent is noticed within a minute, where the system would take hours; the URL may
# say otherwise.
_NOTICES = {
    "connect_timeout": "10",
    "keepalives_idle": "30",
    "keepalives_interval": "10",
    "keepalives_count": "3",
    "tcp_user_timeout": "60000",
}


def postgres_engine(url: str, **engine: Any) -> Engine:  # noqa: ANN401
    """Return an engine whose transactions begin in one exchange: isolation, schema and role together."""
    noticing = make_url(url)
    noticing = noticing.set(query=_NOTICES | dict(noticing.query))
    made = create_engine(noticing, **POSTGRES, **engine)
    begin_in_one_exchange(made)
    return made


@contextmanager
def inside(
    engine: Engine, code: str, role: Role, *, read_only: bool = False
) -> Iterator[Connection]:
    """Open a transaction of an engine inside a département."""
    schema = schema_of(code)
    # Several statements of a reader see one picture.
    mode = "REPEATABLE READ, READ ONLY" if read_only else "READ COMMITTED"
    begin = (
        f"BEGIN ISOLATION LEVEL {mode}; SET LOCAL search_path = {schema};"
        f" SET LOCAL ROLE {schema}_{role}"
    )
    with _connected(engine) as connection:
        connection = connection.execution_options(begin=begin)  # noqa: PLW2901
        with connection.begin():
            yield connection


def _connected(engine: Engine) -> Connection:
    """Return a connection; that none comes free in time is told as any database that is out of service."""
    try:
        return engine.connect()
    except NoConnectionFree as error:
        raise OperationalError(None, None, error) from error


def begin_in_one_exchange(engine: Engine) -> None:
    """Send what begins a transaction past SQLAlchemy, as the counter's statements are: each flush pays it."""

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        begins = connection.get_execution_options().get("begin", "BEGIN")
        raw: Any = connection.connection.driver_connection
        try:
            execute(raw, begins)
        except psycopg.Error as error:
            # So are those that rest: the next transaction asks for one that lives.
            if raw.closed:
                connection.invalidate(error)
                engine.dispose()
            raise DBAPIError.instance(
                begins, None, error, psycopg.Error, hide_parameters=True
            ) from error


class FilesPlace:
    """A folder with an SQLite file for each département, and one for the list of them."""

    sequencer_is_apart = False

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._engines: dict[str, Engine] = {}
        self._making = threading.Lock()

    def _engine(self, stem: str, *, create: bool = False) -> Engine:
        if (known := self._engines.get(stem)) is not None:
            return known
        with self._making:  # of two engines of a file, one would never be closed
            if stem not in self._engines:
                path = self.folder / f"{stem}.db"
                if not create and not path.exists():
                    raise UnknownDepartement(stem.removeprefix("d").upper())
                self._engines[stem] = sqlite_engine(path, create=create)
            return self._engines[stem]

    @contextmanager
    def connection(
        self, code: str, role: Role = "app", *, read_only: bool = False
    ) -> Iterator[Connection]:
        """Open a transaction in a département's file; a writing one is alone from its start."""
        del role  # a file has no roles: triggers guard it
        with self._engine(schema_of(code)).connect() as connection:
            connection = connection.execution_options(read_only=read_only)  # noqa: PLW2901
            with connection.begin():
                yield connection

    @contextmanager
    def registry(self, *, write: bool = False) -> Iterator[Connection]:
        """Open a transaction on the list of départements, or raise `NoInstance`."""
        if not write and not (self.folder / "registry.db").exists():
            raise NoInstance(str(self.folder))
        with self._engine("registry", create=True).connect() as connection:
            connection = connection.execution_options(read_only=not write)  # noqa: PLW2901
            with connection.begin():
                yield connection

    def migrate_registry(self) -> None:
        """Make the folder, and bring the list of départements to the newest schema."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with self.registry(write=True) as connection:
            _upgrade(connection, "registry")

    def migrate(self, code: str) -> None:
        """Bring a département's file to the newest schema; makes it when it is not there."""
        engine = self._engine(schema_of(code), create=True)
        with engine.begin() as connection:
            _upgrade(connection, "departement")

    def is_new(self, code: str) -> bool:
        """Tell whether the département has no file yet."""
        return not (self.folder / f"{schema_of(code)}.db").exists()

    def discard(self, code: str) -> None:
        """Remove a département's file, and what SQLite keeps beside it."""
        stem = schema_of(code)
        if (engine := self._engines.pop(stem, None)) is not None:
            engine.dispose()
        for name in (f"{stem}.db", f"{stem}.db-wal", f"{stem}.db-shm"):
            (self.folder / name).unlink(missing_ok=True)

    def fold(self, code: str) -> None:
        """Empty a département's write-ahead log into its file, unless somebody is reading it."""
        raw = self._engine(schema_of(code)).raw_connection()
        try:
            raw.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)").close()
        finally:
            raw.close()

    def close(self) -> None:
        """Close every connection; the last one folds the write-ahead log into the file."""
        for engine in self._engines.values():
            engine.dispose()


def sqlite_engine(path: Path, *, create: bool = False) -> Engine:
    """Return an engine whose commits are on the disk and whose append-only triggers cannot be skirted."""
    mode = "rwc" if create else "rw"
    if create and not path.exists():
        path.touch(mode=0o600)  # nobody else reads the ledger
    engine = create_engine(
        f"sqlite:///file:{quote(str(path))}?mode={mode}&uri=true",
        connect_args={"timeout": 10},
        hide_parameters=True,
    )

    @event.listens_for(engine, "connect")
    def connect(raw: sqlite3.Connection, _record: object) -> None:
        raw.isolation_level = None
        for pragma in (
            "journal_mode=WAL",
            "synchronous=FULL",
            "foreign_keys=ON",
            # INSERT OR REPLACE deletes without firing triggers unless this is on.
            "recursive_triggers=ON",
        ):
            raw.execute(f"PRAGMA {pragma}").close()

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        # A deferred BEGIN that reads, then writes, fails at once under load.
        reads = connection.get_execution_options().get("read_only", False)
        connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")

    return engine


class Database:
    """The instance's data: its départements, and a transaction in one of them."""

    def __init__(self, place: PostgresPlace | FilesPlace) -> None:
        self.place = place
        self._known: dict[str, Departement] = {}

    @contextmanager
    def begin(
        self, code: str, role: Role = "app", *, read_only: bool = False
    ) -> Iterator[Session]:
        """Open the one visible transaction: committed at the end of the block, undone by an exception.

        Raises `DepartementReadOnly` for one that only the owner may write to.
        """
        if not read_only and role != "owner":
            self.must_take_writes(code)
        with (
            self.place.connection(code, role, read_only=read_only) as connection,
            session_of(connection) as session,
        ):
            yield session

    def must_take_writes(self, code: str) -> None:
        """Raise `DepartementReadOnly` where only the owner may write."""
        if self.departement(code).read_only:
            raise DepartementReadOnly(code)

    def departements(self) -> list[Departement]:
        """Return the départements of this instance."""
        with self.place.registry() as connection, Session(connection) as session:
            return registry.every(session)

    def departement(self, code: str) -> Departement:
        """Return a département of this instance, or raise `UnknownDepartement`."""
        schema_of(code)
        if code not in self._known:
            self._known = {tenant.code: tenant for tenant in self.departements()}
        try:
            return self._known[code]
        except KeyError:
            raise UnknownDepartement(code) from None

    def working_departements(self) -> list[Departement]:
        """Return the départements where something may happen."""
        return [tenant for tenant in self.departements() if not tenant.read_only]

    def known_departements(self) -> list[Departement]:
        """Return the départements that were asked for so far, from memory."""
        return list(self._known.values())

    def add_departement(self, tenant: Departement) -> None:
        """Make a département: its schema or file, migrated, then its line in the registry.

        On PostgreSQL the roles and the schema must exist: `bootstrap_sql` says how.  Refused
        with `departement_exists`.
        """
        self.place.migrate_registry()
        if any(known.code == tenant.code for known in self.departements()):
            raise DepartementExists(tenant.code)
        self.place.migrate(tenant.code)
        self.register(tenant)

    @contextmanager
    def prepared(self, code: str) -> Iterator[None]:
        """Give a département its schema or file, migrated, not yet in the registry: `register` ends it.

        A file that was made here is removed when the block does not end well; on PostgreSQL the
        schema stays, migrated and empty.
        """
        is_new = self.place.is_new(code)
        try:
            self.place.migrate(code)
            yield
        except BaseException:
            if is_new:
                self.place.discard(code)
            raise

    def register(self, tenant: Departement) -> None:
        """Write a département's line in the registry: from then on it is served."""
        with self.place.registry(write=True) as connection, Session(connection) as session:
            registry.add(session, tenant)
            session.flush()

    def migrate(self) -> list[Departement]:
        """Bring the registry and every département to the newest schema."""
        self.place.migrate_registry()
        tenants = self.departements()
        for tenant in tenants:
            self.place.migrate(tenant.code)
        return tenants

    def fold(self, code: str) -> None:
        """Leave beside a département's file no earlier picture of what was just overwritten."""
        self.place.fold(code)

    def close(self) -> None:
        """Close every connection."""
        self.place.close()


def session_of(connection: Connection) -> Session:
    """Return a session inside the transaction of a connection, which outlives it."""
    return Session(connection, join_transaction_mode="rollback_only", autoflush=False)


def first_failure(error: OperationalError) -> OperationalError:
    """Return what went wrong first: SQLite undoes all, and what would undo a part then fails too."""
    before = error.__context__
    while before is not None:
        if isinstance(before, OperationalError):
            error = before
        before = before.__context__
    return error


def is_out_of_service(error: OperationalError) -> bool:
    """Tell a database that cannot work just now (full, locked, gone) from one that we asked nonsense."""
    code = getattr(first_failure(error).orig, "sqlite_errorcode", None)
    return code != sqlite3.SQLITE_ERROR


def _upgrade(
    connection: Connection,
    history: Literal["departement", "registry"],
    schema: str | None = None,
) -> None:
    """Bring a schema up to date; the library that does it is imported for that alone."""
    from app.migrating import upgrade  # noqa: PLC0415 - commands start without it

    upgrade(connection, history, schema)


def bootstrap_sql(code: str) -> list[str]:
    """Return what a database administrator runs once, as superuser, for a département.

    Three logins for the instance, without passwords (the administrator sets how they sign in),
    three roles for the département, and its schema.  Running it again changes nothing.
    """
    schema = schema_of(code)

    def role(name: str, kind: str) -> str:
        return (
            f"DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{name}')"
            f" THEN CREATE ROLE {name} {kind}; END IF; END $$"
        )

    statements = [
        (
            "DO $$ BEGIN EXECUTE format('REVOKE TEMPORARY ON DATABASE %I FROM PUBLIC',"
            " current_database()); END $$"
        ),
        *[role(f"passnum_{name}", "LOGIN NOINHERIT") for name in ROLES],
        "GRANT USAGE, CREATE ON SCHEMA public TO passnum_owner",
        *[
            f"ALTER ROLE passnum_{name} SET {setting}"
            for name in ("app", "sequencer")
            for setting in (
                "lock_timeout = '10s'",
                "statement_timeout = '60s'",
                "idle_in_transaction_session_timeout = '60s'",
                # Short statements, run for ever: planning each anew costs more than running it.
                "plan_cache_mode = 'force_generic_plan'",
                "jit = off",
            )
        ],
    ]
    for name in ROLES:
        statements += [
            role(f"{schema}_{name}", "NOLOGIN"),
            f"GRANT {schema}_{name} TO passnum_{name}",
        ]
    return [
        *statements,
        f"CREATE SCHEMA IF NOT EXISTS {schema} AUTHORIZATION {schema}_owner",
        f"GRANT USAGE ON SCHEMA {schema} TO {schema}_app, {schema}_sequencer",
    ]
