"""Whoever takes several gates takes them in the same order, whatever the database makes of letters."""

import pytest
from sqlalchemy import text

from ledger import gates
from tests.conftest import as_superuser


@pytest.mark.parametrize(
    "database", [pytest.param("postgres", marks=pytest.mark.postgres)], indirect=True
)
def test_gates_follow_as_sorted_has_them_whatever_the_collation(database, request):
    keys = ["order/10/stock", "order/1/stock", "order/1/circulating", gates.REFERENCE]
    engine = as_superuser(database, request)
    with engine.begin() as connection:
        [schema] = connection.execute(
            text(
                "SELECT schemaname FROM pg_tables WHERE tablename = 'gate' AND schemaname LIKE '%23'"
            )
        ).scalars()
        # As glibc did until 2018: punctuation counts for nothing.
        connection.execute(
            text("CREATE COLLATION passing (provider = icu, locale = 'fr-u-ka-shifted')")
        )
        connection.execute(
            text(
                f"ALTER TABLE {schema}.gate ALTER COLUMN key TYPE text COLLATE public.passing"
            )
        )
    engine.dispose()
    with database.begin("23") as session:
        gates.install(session, keys[:3])
        assert list(gates.hold(session, keys)) == [gates.REFERENCE, *sorted(keys[:3])]
