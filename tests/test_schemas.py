"""What migrations make is what the models say, on both engines, and each role has what is listed."""

import importlib.util

import pytest
from sqlalchemy import create_engine, inspect, text

import app.mail.models
import app.models
import app.people.models
import app.works.models
import funding.models
import issuance.models
import ledger.models
import redemption.models
from app.migrating import folder
from ledger.columns import metadata
from tests.conftest import ENGINES

# Importing them declares every table.
MODELS = (
    ledger.models,
    funding.models,
    issuance.models,
    redemption.models,
    app.models,
    app.people.models,
    app.mail.models,
    app.works.models,
)


def catalogue(connection, schema=None) -> dict:
    look = inspect(connection)
    return {
        name: {
            "columns": {
                c["name"]: (
                    str(c["type"]),
                    c["nullable"],
                    bool(c.get("computed")),
                    bool(c.get("identity")),
                )
                for c in look.get_columns(name, schema)
            },
            "primary": (look.get_pk_constraint(name, schema)["constrained_columns"]),
            "uniques": sorted(
                (u["name"], u["column_names"])
                for u in look.get_unique_constraints(name, schema)
            ),
            "checks": sorted(
                (c["name"], c["sqltext"]) for c in look.get_check_constraints(name, schema)
            ),
            "foreign": sorted(
                (
                    f["name"],
                    f["constrained_columns"],
                    f["referred_table"],
                    f["referred_columns"],
                )
                for f in look.get_foreign_keys(name, schema)
            ),
            "indexes": sorted(
                (
                    i["name"],
                    i["column_names"],
                    i["unique"],
                    {k: str(v) for k, v in i.get("dialect_options", {}).items()},
                )
                for i in look.get_indexes(name, schema)
            ),
        }
        for name in look.get_table_names(schema)
        if name != "alembic_version"
    }


def test_migrations_make_what_the_models_say_on_sqlite(sqlite_template):
    made = create_engine("sqlite://")
    metadata.create_all(made)
    with made.connect() as connection:
        expected = catalogue(connection)
    migrated = create_engine(f"sqlite:///{sqlite_template}/d23.db")
    with migrated.connect() as connection:
        assert catalogue(connection) == expected
        strict = dict(
            connection.execute(
                text("SELECT name, strict FROM pragma_table_list WHERE schema='main'")
            ).all()
        )
    made.dispose()
    migrated.dispose()
    assert {name for name in expected if not strict[name]} == set()


@pytest.mark.postgres
def test_migrations_make_what_the_models_say_on_postgresql(server, postgres_template):
    server.run("CREATE DATABASE from_models")
    engines = [
        create_engine(server.url(name)) for name in ("from_models", postgres_template)
    ]
    with engines[0].begin() as connection:
        connection.execute(text("CREATE SCHEMA d23"))
        connection.execute(text("SET LOCAL search_path = d23"))
        metadata.create_all(connection)
    found = []
    for engine in engines:
        with engine.connect() as connection:
            connection.execute(text("SET search_path = d23"))
            connection.dialect.default_schema_name = "d23"
            found.append(catalogue(connection))
        engine.dispose()
    assert found[1] == found[0]


def listed_grants() -> dict[str, dict[str, str]]:
    listed: dict[str, dict[str, str]] = {}
    for path in sorted((folder() / "departement").glob("*.py")):
        spec = importlib.util.spec_from_file_location(path.stem, path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        listed |= getattr(module, "GRANTS", {})
        for table in getattr(module, "DROPPED", []):
            del listed[table]
    return listed


@pytest.mark.postgres
def test_each_role_has_what_is_listed_and_nothing_else(server, postgres_template):
    expected = {
        (table, role, word)
        for table, roles in listed_grants().items()
        for short, privileges in roles.items()
        for role in [f"d23_{short}"]
        for word in __import__("re")
        .sub(r" \([^)]*\)", " of columns", privileges)
        .split(", ")
    }
    engine = create_engine(server.url(postgres_template))
    with engine.connect() as connection:
        found = {
            tuple(row)
            for row in connection.execute(
                text(
                    "SELECT table_name, grantee, privilege_type FROM information_schema.role_table_grants"
                    " WHERE table_schema = 'd23' AND grantee NOT LIKE '%owner'"
                )
            )
        }
        found |= {
            (table, role, f"{privilege} of columns")
            for table, role, privilege in connection.execute(
                text(
                    "SELECT DISTINCT c.table_name, c.grantee, c.privilege_type"
                    " FROM information_schema.role_column_grants AS c"
                    " WHERE c.table_schema = 'd23' AND c.grantee NOT LIKE '%owner' AND NOT EXISTS"
                    " (SELECT FROM information_schema.role_table_grants AS t WHERE t.table_schema = 'd23'"
                    " AND t.table_name = c.table_name AND t.grantee = c.grantee"
                    " AND t.privilege_type = c.privilege_type)"
                )
            )
        }
    engine.dispose()
    assert found == expected
    assert set(metadata.tables) == set(listed_grants())


@pytest.mark.parametrize("engine", ENGINES)
def test_every_table_has_a_primary_key(engine):
    assert [t.name for t in metadata.tables.values() if not t.primary_key.columns] == []
