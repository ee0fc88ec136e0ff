"""Gathers scans that arrive together into one transaction: group commit for redemptions.

No timer: a flush takes what waits, and nobody is answered before the commit.  The next flush
begins while the one before it commits, not sooner: what a transaction costs is better shared with
those that come while the first one judges.  Unless a crowd waits: one that waits for a lock must not
hold up everybody.  All this happens on the event loop, so nothing here needs a lock; where a flush
runs is its hand's affair (`app/hands.py`).
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from itertools import islice
from typing import NamedTuple, Protocol

from ledger.sequencer import MOST as FULL_STEP
from redemption.counter import Presented, Verdict

MOST_SCANS = 1_000
CROWD = 12

log = logging.getLogger(__name__)


class CounterClosedError(Exception):
    """The counter takes nothing any more; nothing was written for this queue."""


class Hand(Protocol):
    """What writes for a counter; `at_once`: how many flushes it can have under way."""

    at_once: int

    async def flush(
        self, scans: Sequence[Presented], judged: Callable[[], None]
    ) -> list[Verdict]:
        """Judge and write, call `judged` on the loop where the commit is all that is left, then commit."""

    async def step(self) -> int:
        """Have the sequencer step where that is this process's affair; return how many entries it placed."""

    def close(self) -> None:
        """Let go of what it holds; blocks until nothing of it is left."""


class _Waiting(NamedTuple):
    scans: Sequence[Presented]
    answer: asyncio.Future[list[Verdict]]


class Gatherer:
    """The counter of one département in this process; of the event loop that it is used on."""

    def __init__(self, hand: Hand) -> None:
        self._hand = hand
        self._queue: deque[_Waiting] = deque()
        self._scans = 0
        self._turns: set[asyncio.Task[None]] = set()
        self._under_way = 0
        self._judging = 0
        self._beginning = False
        self._nudged = False
        self._closed = False

    async def submit(self, scans: Sequence[Presented]) -> list[Verdict]:
        """Wait for the verdicts of these scans; they are committed when they come."""
        if self._closed:
            raise CounterClosedError
        answer: asyncio.Future[list[Verdict]] = asyncio.get_running_loop().create_future()
        self._queue.append(_Waiting(scans, answer))
        self._scans += len(scans)
        self._look()
        return await answer

    def nudge(self) -> None:
        """Have the sequencer step soon: something was committed elsewhere in this process."""
        if not self._closed:
            self._nudged = True
            self._look()

    async def close(self) -> None:
        """Take nothing more, answer what waits, and let the sequencer have the rest."""
        self._closed = True
        while self._turns:
            await asyncio.wait(self._turns)
        while await self._step():
            pass
        await asyncio.to_thread(self._hand.close)

    def _look(self) -> None:
        """Begin what may begin, once all that has arrived by now is read."""
        if self._beginning or not self._ready():
            return
        self._beginning = True
        turn = asyncio.get_running_loop().create_task(self._turn())
        self._turns.add(turn)
        turn.add_done_callback(self._turns.discard)

    def _ready(self) -> bool:
        """Whether a turn may begin now."""
        if not self._under_way:
            return bool(self._queue) or self._nudged
        a_hand_is_free = self._under_way < self._hand.at_once
        it_may_begin = not self._judging or self._scans >= CROWD
        return bool(self._queue) and a_hand_is_free and it_may_begin

    async def _turn(self) -> None:
        batch = self._take()
        self._beginning = self._nudged = False
        self._under_way += 1
        self._judging += 1
        self._look()  # a crowd may be left
        try:
            with ExitStack() as judging:
                judging.callback(self._judged)
                if batch:
                    await self._serve(batch, judging.close)
            # Under load the queue is never empty: the log gets its turn after each flush.
            if await self._step() == FULL_STEP:
                self._nudged = True
        finally:
            self._under_way -= 1
            self._look()

    def _take(self) -> list[_Waiting]:
        """Return what waits, up to a flush's worth; nothing where the sequencer alone is wanted."""
        batch, scans = [], 0
        while self._queue and scans < MOST_SCANS:
            batch.append(self._queue.popleft())
            scans += len(batch[-1].scans)
        self._scans -= scans
        return batch

    def _judged(self) -> None:
        """Let the next flush begin."""
        self._judging -= 1
        self._look()

    async def _step(self) -> int:
        """Step the sequencer; what fails is tried again after the next flush, nothing is lost."""
        try:
            return await self._hand.step()
        except Exception:
            log.exception("the sequencer could not step")
            return 0

    async def _serve(self, batch: list[_Waiting], judged: Callable[[], None]) -> None:
        """Judge what waits and tell each; what breaks one must not spoil the others."""
        scans = [scan for waiting in batch for scan in waiting.scans]
        try:
            verdicts = iter(await self._hand.flush(scans, judged))
        except Exception as failure:  # noqa: BLE001 - it is handed to whoever waits
            if len(batch) == 1:
                _tell(batch[0], failure)
                return
        else:
            for waiting in batch:
                _tell(waiting, list(islice(verdicts, len(waiting.scans))))
            return
        judged()  # who comes now need not wait for what failed
        for waiting in batch:
            await self._serve([waiting], _nothing)


def _nothing() -> None:
    """Do nothing: the next flush was let in already."""


def _tell(waiting: _Waiting, answer: list[Verdict] | Exception) -> None:
    if waiting.answer.done():  # the client hung up
        return
    if isinstance(answer, Exception):
        waiting.answer.set_exception(answer)
    else:
        waiting.answer.set_result(answer)
