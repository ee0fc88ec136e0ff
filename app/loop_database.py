"""PostgreSQL for whoever lives on an event loop: a transaction that waits lets others run."""

from collections.abc import Callable
from functools import partial
from typing import TypeVar

from sqlalchemy import Engine
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.orm import Session
from sqlalchemy.util import greenlet_spawn

from app.database import (
    POSTGRES,
    Database,
    PostgresPlace,
    begin_in_one_exchange,
    inside,
    session_of,
)
from app.loop_connection import LoopConnection

T = TypeVar("T")


class LoopDatabase:
    """Transactions of départements, on the one event loop that uses it."""

    def __init__(self, database: Database, place: PostgresPlace) -> None:
        self._database = database
        self._engine = _loop_engine(place.engine("app"))

    async def act(self, code: str, work: Callable[[Session], T]) -> T:
        """Do some work in a transaction of the application: committed at its end, undone by an exception.

        The work runs on the loop's own thread.  It waits for nothing but this transaction: a lock
        of the process, or another connection, would stop the loop.
        """
        self._database.must_take_writes(code)

        def within() -> T:
            with (
                inside(self._engine.sync_engine, code, "app") as connection,
                session_of(connection) as session,
            ):
                return work(session)

        return await greenlet_spawn(within)

    async def close(self) -> None:
        """Close every connection."""
        await self._engine.dispose()


def _loop_engine(app: Engine) -> AsyncEngine:
    """Return an engine to where that one leads, whose connections a loop listens to."""
    arguments, options = app.dialect.create_connect_args(app.url)
    connect = partial(LoopConnection.connect, *arguments, **options)
    made = create_async_engine(app.url, async_creator=connect, pool_size=10, **POSTGRES)
    begin_in_one_exchange(made.sync_engine)
    return made
