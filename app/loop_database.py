"""PostgreSQL for whoever lives on an event loop: a transaction that waits lets others run."""

from collections.abc import Callable
from typing import TypeVar

from sqlalchemy import Connection
from sqlalchemy.orm import Session

from app.database import Database, PostgresPlace, session_of

T = TypeVar("T")


class LoopDatabase:
    """Transactions of départements, on the one event loop that uses it."""

    def __init__(self, database: Database, place: PostgresPlace) -> None:
        self._database, self._place = database, place
        self._engine = place.loop_engine()

    async def act(self, code: str, work: Callable[[Session], T]) -> T:
        """Do some work in a transaction of the application: committed at its end, undone by an exception.

        The work runs on the loop's own thread.  It waits for nothing but this transaction: a lock
        of the process, or another connection, would stop the loop.
        """
        self._database.must_take_writes(code)

        def within(connection: Connection) -> T:
            with session_of(connection) as session:
                return work(session)

        return await self._place.on_loop(self._engine, code, within)

    async def close(self) -> None:
        """Close every connection."""
        await self._engine.dispose()
