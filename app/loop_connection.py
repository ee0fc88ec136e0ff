"""A connection to PostgreSQL that an event loop listens to for a whole transaction."""

import asyncio
from contextlib import suppress
from typing import Any, TypeVar

from psycopg import AsyncConnection
from psycopg import Error as PsycopgError
from psycopg.abc import PQGen
from psycopg.pq import TransactionStatus
from psycopg.waiting import Ready, Wait

T = TypeVar("T")

CANCEL_SECONDS = 5.0
_IN_TRANSACTION = {TransactionStatus.INTRANS, TransactionStatus.INERROR}


class LoopConnection(AsyncConnection[Any]):
    """The driver's own, but for how it waits.

    The driver begins to listen at each exchange and ceases after it; a flush of a few scans has
    four or five, and that was an eighth of what it costs.  This one listens until the transaction
    ends.  No longer: one that is cut while it rests must not wake the loop without end.
    """

    _listened: int | None = None
    _heard: asyncio.Future[Ready] | None = None

    async def wait(
        self,
        gen: PQGen[T],
        interval: float = 0.0,
        timeout: float | None = None,  # noqa: ASYNC109 - the driver's signature
    ) -> T:
        """Drive an operation of the driver to its end; others run meanwhile."""
        if timeout is not None:
            return await super().wait(gen, interval, timeout)
        try:
            wanted = next(gen)
            while True:
                wanted = gen.send(await self._ready(wanted))
        except StopIteration as done:
            result: T = done.value
            return result
        except asyncio.CancelledError:
            self._rest()
            with suppress(
                PsycopgError
            ):  # a server that cannot be asked to stop hears of the end
                await self.cancel_safe(timeout=CANCEL_SECONDS)
            await self.close()  # the server undoes what was begun
            raise
        finally:
            if self.pgconn.transaction_status not in _IN_TRANSACTION:
                self._rest()

    async def _ready(self, wanted: Wait) -> Ready:
        loop, socket = asyncio.get_running_loop(), self.pgconn.socket
        if self._listened is None:
            loop.add_reader(socket, self._hear, Ready.R)
            self._listened = socket
        heard: asyncio.Future[Ready] = loop.create_future()
        self._heard = heard
        if not wanted & Wait.W:
            return await heard
        loop.add_writer(socket, self._hear, Ready.W)
        try:
            return await heard
        finally:
            loop.remove_writer(socket)

    def _hear(self, ready: Ready) -> None:
        if self._heard is not None and not self._heard.done():
            self._heard.set_result(ready)

    def _rest(self) -> None:
        """Cease to listen."""
        if self._listened is not None:
            asyncio.get_running_loop().remove_reader(self._listened)
            self._listened = None
