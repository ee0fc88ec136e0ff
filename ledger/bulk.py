"""Many rows in one statement: PostgreSQL arrays and COPY, SQLite's json_each."""

from collections.abc import Iterable, Sequence
from inspect import iscoroutine
from itertools import chain, repeat
from struct import pack
from typing import Any
from uuid import UUID

import psycopg
from psycopg.adapt import Dumper
from psycopg.pq import Format
from psycopg.types import TypeInfo
from sqlalchemy import Table, insert
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session
from sqlalchemy.util import await_only


def is_postgres(session: Session) -> bool:
    """Tell which of the two engines this transaction talks to."""
    return session.get_bind().dialect.name == "postgresql"


def run(session: Session, statement: str, parameters: dict[str, Any]) -> Sequence[Any]:
    """Run a hot statement of PostgreSQL as the driver takes it, `%(name)s`, and return its rows.

    What SQLAlchemy does around a statement costs as much as the statement itself, and the
    counter is paid by the flush.  Errors are SQLAlchemy's.
    """
    raw: Any = session.connection().connection.driver_connection
    try:
        done = execute(raw, statement, parameters)
        if not done.pgresult.nfields:
            return []
        rows: Sequence[Any] = _reached(done.fetchall())
    except psycopg.Error as error:
        raise DBAPIError.instance(
            statement, None, error, psycopg.Error, hide_parameters=True
        ) from error
    return rows


def execute(
    raw: "psycopg.Connection[Any] | psycopg.AsyncConnection[Any]",
    statement: str,
    parameters: dict[str, Any] | None = None,
) -> Any:  # noqa: ANN401 - a cursor of either kind
    """Have the driver run a statement, and return its cursor.

    On a connection of an event loop, others run on that loop until it is done.
    """
    return _reached(raw.execute(statement, parameters))


def _reached(result: Any) -> Any:  # noqa: ANN401
    """Return what a connection of either kind gives."""
    return await_only(result) if iscoroutine(result) else result


def write_rows(
    session: Session, into: Table, columns: Sequence[str], rows: Sequence[tuple[Any, ...]]
) -> None:
    """Insert many rows of texts, whole numbers and bytes, as fast as the database takes them.

    All or none; errors are SQLAlchemy's.
    """
    if not is_postgres(session):
        session.execute(
            insert(into), [dict(zip(columns, row, strict=True)) for row in rows]
        )
        return
    raw: Any = session.connection().connection.driver_connection
    named = ", ".join(columns)
    statement = f"COPY {into.name} ({named}) FROM STDIN (FORMAT BINARY)"
    try:
        with raw.cursor() as cursor, cursor.copy(statement) as copy:
            copy.set_types([_COPIED[into.c[name].type.python_type] for name in columns])
            for row in rows:
                copy.write_row(row)
    except psycopg.Error as error:
        raise DBAPIError.instance(
            statement, None, error, psycopg.Error, hide_parameters=True
        ) from error


_COPIED: dict[type, str] = {str: "text", int: "int8", bytes: "bytea"}


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


class _Packed(bytes):
    """An array as PostgreSQL writes it on the wire: half the length of a literal, nothing to parse."""


class _PackedUuids(_Packed):
    pass


class _PackedBytes(_Packed):
    pass


class _PackedIntegers(_Packed):
    pass


def bytes_array(values: Iterable[bytes]) -> bytes:
    """Return an array of bytea, for `run` alone."""
    items = list(values)
    packed = [part for v in items for part in (len(v).to_bytes(4), v)]
    return _PackedBytes(_head(_BYTEA, len(items)) + b"".join(packed))


def uuid_array(values: Iterable[UUID]) -> bytes:
    """Return an array of UUIDs, for `run` alone."""
    items = [v.bytes for v in values]
    packed = _SIXTEEN + _SIXTEEN.join(items) if items else b""
    return _PackedUuids(_head(_UUID, len(items)) + packed)


def integers_array(values: Sequence[int]) -> bytes:
    """Return an array of bigint, for `run` alone."""
    size = len(values)
    each = chain.from_iterable(zip(repeat(8), values))
    return _PackedIntegers(_head(_BIGINT, size) + pack(">" + "iq" * size, *each))


_BYTEA, _UUID = psycopg.adapters.types["bytea"], psycopg.adapters.types["uuid"]
_BIGINT = psycopg.adapters.types["int8"]
_ONE, _SIXTEEN = (1).to_bytes(4), (16).to_bytes(4)


def _head(of: TypeInfo, size: int) -> bytes:
    """Return how an array begins: dimensions, no nulls, type; length and first index of its dimension."""
    if not size:
        return bytes(8) + of.oid.to_bytes(4)
    return _ONE + bytes(4) + of.oid.to_bytes(4) + size.to_bytes(4) + _ONE


class _Dumper(Dumper):
    """Hands an array over as it is."""

    format = Format.BINARY

    def dump(self, obj: bytes) -> bytes:
        return obj


class _UuidsDumper(_Dumper):
    oid = _UUID.array_oid


class _BytesDumper(_Dumper):
    oid = _BYTEA.array_oid


class _IntegersDumper(_Dumper):
    oid = _BIGINT.array_oid


psycopg.adapters.register_dumper(_PackedIntegers, _IntegersDumper)
psycopg.adapters.register_dumper(_PackedUuids, _UuidsDumper)
psycopg.adapters.register_dumper(_PackedBytes, _BytesDumper)
