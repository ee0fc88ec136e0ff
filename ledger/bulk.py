"""Many rows in one statement: PostgreSQL arrays as text literals, SQLite's json_each."""

from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Row
from sqlalchemy.orm import Session


def is_postgres(session: Session) -> bool:
    """Tell which of the two engines this transaction talks to."""
    return session.get_bind().dialect.name == "postgresql"


def run(
    session: Session, statement: str, parameters: dict[str, Any]
) -> Sequence[Row[*tuple[Any, ...]]]:
    """Run a hot statement of PostgreSQL as the driver takes it, `%(name)s`, and return its rows.

    Compiling a `text()` costs as much as the statement itself, and the counter runs seven of
    them a flush.  Errors are SQLAlchemy's.
    """
    return session.connection().exec_driver_sql(statement, parameters).all()


def plain_array(values: Iterable[object]) -> str:
    """Return an array literal of values whose text needs no quoting: numbers, UUIDs, dates."""
    return "{" + ",".join(["NULL" if v is None else str(v) for v in values]) + "}"


def text_array(values: Iterable[str | None]) -> str:
    """Return an array literal of any text."""
    return (
        "{"
        + ",".join(
            [
                "NULL"
                if v is None
                else '"' + v.replace("\\", "\\\\").replace('"', '\\"') + '"'
                for v in values
            ]
        )
        + "}"
    )


def bytes_array(values: Iterable[bytes]) -> str:
    r"""Return an array literal of bytea, in hexadecimal."""
    return "{" + ",".join(['"\\\\x' + v.hex() + '"' for v in values]) + "}"


def uuid_array(values: Iterable[UUID]) -> str:
    """Return an array literal of UUIDs; 32 hex digits are enough for PostgreSQL."""
    return "{" + ",".join([v.hex for v in values]) + "}"
