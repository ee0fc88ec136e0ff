"""The statements that a database is sent, counted where its driver takes them: hot ones go past SQLAlchemy."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from sqlalchemy import Connection, Engine, event


@contextmanager
def sent() -> Iterator[list[str]]:
    """The statements that are sent meanwhile, but for those of the sequencer's own thread.

    A begin and a commit, which the driver of PostgreSQL sends by itself, are not among them.
    """
    statements: list[str] = []

    def note(statement: Any) -> None:
        if not threading.current_thread().name.startswith("counter-"):
            statements.append(str(statement))

    def noting(method: Callable[..., Any]) -> Callable[..., Any]:
        def noted(cursor: Any, statement: Any, *more: Any, **how: Any) -> Any:
            note(statement)
            return method(cursor, statement, *more, **how)

        return noted

    # The methods of sqlite3 cannot be replaced, and nothing goes past SQLAlchemy there.
    def note_on_files(to: Connection, _cursor: Any, statement: str, *_more: Any) -> None:
        if to.dialect.name == "sqlite":
            note(statement)

    event.listen(Engine, "before_cursor_execute", note_on_files)
    try:
        with pytest.MonkeyPatch.context() as patch:
            for cursor in (psycopg.Cursor, psycopg.AsyncCursor):
                for name in ("execute", "executemany", "copy"):
                    patch.setattr(cursor, name, noting(getattr(cursor, name)))
            yield statements
    finally:
        event.remove(Engine, "before_cursor_execute", note_on_files)
