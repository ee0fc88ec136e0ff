"""How a schema comes to be: migrations, and nothing else, in tests too.

Two histories: `departement` for the tables of one tenant, `registry` for the list of tenants.
The helpers below are called by migrations that are frozen once released: they may grow, but
what they do for an existing migration must not change.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from alembic import command, op
from alembic.config import Config
from sqlalchemy import Connection, inspect, text

History = Literal["departement", "registry"]


def folder() -> Path:
    """Return where the migrations are: in the wheel, or beside the packages in a checkout."""
    packed = Path(__file__).parent / "migrations"
    return packed if packed.is_dir() else Path(__file__).parents[1] / "alembic"


def upgrade(connection: Connection, history: History, schema: str | None = None) -> None:
    """Apply all of the revisions that are missing, or none, in the caller's transaction."""
    if schema is not None:
        connection.execute(
            text("SELECT set_config('search_path', :schema, true)"), {"schema": schema}
        )
        # Alembic looks for tables where it believes the connection is.
        connection.dialect.default_schema_name = schema
        inspect(connection).clear_cache()
    config = Config()
    config.set_main_option("script_location", str(folder()).replace("%", "%%"))
    config.set_main_option("version_locations", str(folder() / history).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes.update(connection=connection, schema=schema)
    command.upgrade(config, "head")


def run_sql(migration: str) -> None:
    """Execute the statements of the .sql file that stands beside a migration for this engine."""
    dialect = op.get_bind().dialect.name
    script = Path(migration).with_suffix(f".{dialect}.sql").read_text(encoding="utf-8")
    for statement in script.split(";\n"):
        if statement.strip():
            op.get_bind().exec_driver_sql(statement)


def forbid_changes(tables: Sequence[str]) -> None:
    """Make tables append-only below Python: UPDATE, DELETE and TRUNCATE raise, for the owner too."""
    bind = op.get_bind()
    if bind.dialect.name == "postgresql":
        # Harmless elsewhere; Citus wants to be told.
        bind.exec_driver_sql("SET LOCAL citus.enable_unsafe_triggers = on")
        for table in tables:
            for statement in (
                (
                    f"CREATE TRIGGER {table}_rows BEFORE UPDATE OR DELETE ON {table}"
                    " FOR EACH ROW EXECUTE FUNCTION forbid_change()"
                ),
                (
                    f"CREATE TRIGGER {table}_whole BEFORE TRUNCATE ON {table}"
                    " FOR EACH STATEMENT EXECUTE FUNCTION forbid_change()"
                ),
                f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {table}_rows",
                f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {table}_whole",
            ):
                bind.exec_driver_sql(statement)
        return
    for table in tables:
        for verb in ("UPDATE", "DELETE"):
            bind.exec_driver_sql(
                f"CREATE TRIGGER {table}_{verb.lower()} BEFORE {verb} ON {table} BEGIN"
                f" SELECT RAISE(ABORT, 'append-only: {verb} on {table}'); END"
            )


def forbid_deletes(tables: Sequence[str]) -> None:
    """Let rows be updated where grants allow it, and never removed."""
    bind = op.get_bind()
    for table in tables:
        if bind.dialect.name == "postgresql":
            for statement in (
                (
                    f"CREATE TRIGGER {table}_rows BEFORE DELETE ON {table}"
                    " FOR EACH ROW EXECUTE FUNCTION forbid_change()"
                ),
                (
                    f"CREATE TRIGGER {table}_whole BEFORE TRUNCATE ON {table}"
                    " FOR EACH STATEMENT EXECUTE FUNCTION forbid_change()"
                ),
                f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {table}_rows",
                f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {table}_whole",
            ):
                bind.exec_driver_sql(statement)
        else:
            bind.exec_driver_sql(
                f"CREATE TRIGGER {table}_delete BEFORE DELETE ON {table} BEGIN"
                f" SELECT RAISE(ABORT, 'append-only: DELETE on {table}'); END"
            )


def grant(rights: Mapping[str, Mapping[str, str]]) -> None:
    """Give each role what it needs of each table, table by table; nothing is given by default.

    `rights` maps table -> role ("app", "sequencer") -> privileges.  SQLite has no roles.
    """
    bind = op.get_bind()
    if bind.dialect.name != "postgresql":
        return
    schema = bind.scalar(text("SELECT current_schema()"))
    for table, roles in rights.items():
        for role, privileges in roles.items():
            bind.exec_driver_sql(f"GRANT {privileges} ON {table} TO {schema}_{role}")
