"""The hands of a counter: where its flushes run.

On PostgreSQL, on the event loop itself: a flush is four short exchanges, and while it waits for one
the loop reads the next requests; threads would spend as long again handing the interpreter over.
On SQLite, in one thread, where the sequencer steps too, so that two writers never fight for the file.
"""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from sqlalchemy.orm import Session

from app.instance import Instance
from app.loop_database import LoopDatabase
from redemption.counter import Presented, Verdict, redeem
from redemption.facts import Standing


class LoopHand:
    """Writes on the event loop, to PostgreSQL; the sequencer is apart."""

    at_once = 2

    def __init__(self, instance: Instance, code: str, database: LoopDatabase) -> None:
        self._instance, self._code, self._database = instance, code, database
        self._standing = Standing()

    async def flush(
        self, scans: Sequence[Presented], judged: Callable[[], None]
    ) -> list[Verdict]:
        """Judge and write, tell so, and commit; nothing of it holds up the loop but its own arithmetic."""
        instance, code = self._instance, self._code
        ring = await instance.keyrings.soon(code)
        now = instance.moment(code)

        def work(session: Session) -> list[Verdict]:
            verdicts = redeem(
                session, scans, now=now, keyring=ring, standing=self._standing
            )
            judged()
            return verdicts

        return await self._database.act(code, work)

    async def step(self) -> int:
        """Leave it to the sequencer."""
        return 0

    def close(self) -> None:
        """Do nothing: the database is shared by all counters."""


class ThreadHand:
    """Writes in a thread of its own, to SQLite, and steps the sequencer there."""

    at_once = 1

    def __init__(self, instance: Instance, code: str) -> None:
        self._instance, self._code = instance, code
        self._standing = Standing()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"counter-{code}")

    async def flush(
        self, scans: Sequence[Presented], judged: Callable[[], None]
    ) -> list[Verdict]:
        """Judge, write and commit; the next flush would only wait for the same file."""
        del judged
        return await asyncio.get_running_loop().run_in_executor(
            self._thread, self._redeem, scans
        )

    def _redeem(self, scans: Sequence[Presented]) -> list[Verdict]:
        instance, code = self._instance, self._code
        now, ring = instance.moment(code), instance.keyring(code)
        with instance.database.begin(code) as session:
            return redeem(session, scans, now=now, keyring=ring, standing=self._standing)

    async def step(self) -> int:
        """Sequence one batch of what waits."""
        step = partial(self._instance.step, self._code)
        return await asyncio.get_running_loop().run_in_executor(self._thread, step)

    def close(self) -> None:
        """End the thread."""
        self._thread.shutdown()
