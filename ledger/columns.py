"""Column types that are the same Python value on PostgreSQL and on SQLite STRICT tables."""

from datetime import UTC, date, datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec
from sqlalchemy import (
    BigInteger,
    Boolean,
    Date,
    DateTime,
    Dialect,
    LargeBinary,
    MetaData,
    Table,
    Text,
    TypeDecorator,
    Uuid,
)
from sqlalchemy.dialects.sqlite import INTEGER
from sqlalchemy.schema import SchemaItem
from sqlalchemy.types import TypeEngine

Integer = BigInteger().with_variant(INTEGER(), "sqlite")
Cents = Integer
Bytes = LargeBinary()
Words = Text()

# A word of a request: no line of prose, and nothing that PostgreSQL has no room for in `Words`.
Word = Annotated[str, msgspec.Meta(max_length=100, pattern=r"^[^\x00]*$")]

# The tables of one département. Constraints are named, so that errors and tests can name them.
metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    }
)


def table(name: str, *items: SchemaItem, sqlite_autoincrement: bool = False) -> Table:
    """Declare a table of a département; STRICT on SQLite, so that a type means what it says."""
    return Table(
        name,
        metadata,
        *items,
        sqlite_strict=True,
        sqlite_autoincrement=sqlite_autoincrement,
    )


class Instant(TypeDecorator[datetime]):
    """An aware instant, UTC both ways; SQLite keeps fixed-width text, so that comparing is order in time."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Choose TEXT on SQLite."""
        return dialect.type_descriptor(
            Text() if dialect.name == "sqlite" else DateTime(timezone=True)
        )

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:  # noqa: ANN401
        """Refuse a naive datetime: it is no instant."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a naive datetime is not an instant")
        value = value.astimezone(UTC)
        return (
            value.isoformat(timespec="microseconds") if dialect.name == "sqlite" else value
        )

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:  # noqa: ANN401, ARG002
        """Give back UTC whatever the server's own zone."""
        if value is None:
            return None
        if isinstance(value, str):
            return datetime.fromisoformat(value)
        return value.astimezone(UTC)  # type: ignore[no-any-return]


class Day(TypeDecorator[date]):
    """A civil date in the département's own zone."""

    impl = Date
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Choose TEXT on SQLite."""
        return dialect.type_descriptor(Text() if dialect.name == "sqlite" else Date())

    def process_bind_param(self, value: date | None, dialect: Dialect) -> Any:  # noqa: ANN401
        """Write ISO 8601 on SQLite."""
        return (
            value.isoformat() if value is not None and dialect.name == "sqlite" else value
        )

    def process_result_value(self, value: Any, dialect: Dialect) -> date | None:  # noqa: ANN401, ARG002
        """Read ISO 8601 back."""
        return date.fromisoformat(value) if isinstance(value, str) else value


class Identifier(TypeDecorator[UUID]):
    """A UUID; TEXT on SQLite, so that a person can read it in the file."""

    impl = Uuid
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Choose TEXT on SQLite."""
        return dialect.type_descriptor(Text() if dialect.name == "sqlite" else Uuid())

    def process_bind_param(self, value: UUID | None, dialect: Dialect) -> Any:  # noqa: ANN401
        """Write the usual form on SQLite."""
        return str(value) if value is not None and dialect.name == "sqlite" else value

    def process_result_value(self, value: Any, dialect: Dialect) -> UUID | None:  # noqa: ANN401, ARG002
        """Read the usual form back."""
        return UUID(value) if isinstance(value, str) else value


class Flag(TypeDecorator[bool]):
    """Yes or no; STRICT tables know no BOOLEAN."""

    impl = Boolean
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Choose INTEGER on SQLite."""
        return dialect.type_descriptor(INTEGER() if dialect.name == "sqlite" else Boolean())

    def process_result_value(self, value: Any, dialect: Dialect) -> bool | None:  # noqa: ANN401, ARG002
        """Read 0 and 1 as no and yes."""
        return None if value is None else bool(value)
