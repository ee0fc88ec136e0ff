"""Gathers scans that arrive together into one transaction: group commit for redemptions.

No timer: a flush takes what waits, and nobody is answered before the commit.  The next flush
begins while the one before it commits, not sooner: what a transaction costs is better shared with
those that come while the first one judges.  Unless a crowd waits: one that waits for a lock must not
hold up everybody.  One thread on SQLite, which is also where the sequencer steps, so that two
writers never fight for the file.
"""

import asyncio
import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from itertools import islice
from typing import NamedTuple

from ledger.sequencer import MOST as FULL_STEP
from redemption.counter import Presented, Verdict

MOST_SCANS = 1_000
CROWD = 12

log = logging.getLogger(__name__)

# Gives the verdicts once all is judged and written, and commits at the end of the block.
Flush = Callable[[Sequence[Presented]], AbstractContextManager[list[Verdict]]]


class CounterClosedError(Exception):
    """The counter takes nothing any more; nothing was written for this queue."""


class _Waiting(NamedTuple):
    scans: Sequence[Presented]
    answer: asyncio.Future[list[Verdict]]
    loop: asyncio.AbstractEventLoop


class Gatherer:
    """The counter of one département in this process."""

    def __init__(
        self,
        name: str,
        flush: Flush,
        *,
        threads: int = 1,
        after: Callable[[], int] | None = None,
    ) -> None:
        self._flush, self._after = flush, after
        self._changed = threading.Condition()  # guards all that follows
        self._queue: deque[_Waiting] = deque()
        self._scans = 0
        self._judging = 0
        self._nudged = False
        self._closed = False
        self._threads = [
            threading.Thread(target=self._run, name=f"counter-{name}-{n}")
            for n in range(threads)
        ]
        for thread in self._threads:
            thread.start()

    async def submit(self, scans: Sequence[Presented]) -> list[Verdict]:
        """Wait for the verdicts of these scans; they are committed when they come."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[list[Verdict]] = loop.create_future()
        self._put(_Waiting(scans, answer, loop))
        return await answer

    def nudge(self) -> None:
        """Have the sequencer step soon: something was committed elsewhere in this process."""
        if self._after is not None:
            with self._changed:
                self._nudged = True
                self._changed.notify()

    def close(self) -> None:
        """Take nothing more, answer what waits, and end the threads; blocks until then."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    def _put(self, item: _Waiting) -> None:
        with self._changed:
            if self._closed:
                raise CounterClosedError
            self._queue.append(item)
            self._scans += len(item.scans)
            if self._ready():
                self._changed.notify()

    def _ready(self) -> bool:
        """Whether a flush may begin now."""
        return bool(self._queue) and (not self._judging or self._scans >= CROWD)

    def _run(self) -> None:
        while (batch := self._take()) is not None:
            if batch:
                with ExitStack() as turn:
                    turn.callback(self._judged)
                    answers = self._answers(batch, turn)
                _deliver(answers)
            # Under load the queue is never empty: the log gets its turn after each flush.
            if self._step() == FULL_STEP:
                self.nudge()
        while self._step():
            pass

    def _step(self) -> int:
        """Step the sequencer; what fails is tried again after the next flush, nothing is lost."""
        if self._after is None:
            return 0
        try:
            return self._after()
        except Exception:
            log.exception("the sequencer could not step")
            return 0

    def _take(self) -> list[_Waiting] | None:
        """Wait for something to do, then take what waits, up to a flush's worth; None: the end.

        Nothing taken means that the sequencer is wanted.
        """
        with self._changed:
            while not self._ready():
                if self._nudged:
                    self._nudged = False
                    return []
                if self._closed and not self._queue:
                    return None
                self._changed.wait()
            batch, scans = [], 0
            while self._queue and scans < MOST_SCANS:
                batch.append(self._queue.popleft())
                scans += len(batch[-1].scans)
            self._scans -= scans
            self._judging += 1
            return batch

    def _judged(self) -> None:
        """Let the next flush begin."""
        with self._changed:
            self._judging -= 1
            if self._ready() or self._closed:
                self._changed.notify_all()

    def _answers(
        self, batch: list[_Waiting], turn: ExitStack
    ) -> list[tuple[_Waiting, list[Verdict] | BaseException]]:
        """Judge what waits, end the turn before it commits, and return who is told what."""
        try:
            with self._flush([s for waiting in batch for s in waiting.scans]) as verdicts:
                turn.close()
        except Exception as failure:  # noqa: BLE001 - it is handed to whoever waits
            return self._one_by_one(batch, failure)
        told = iter(verdicts)
        return [(waiting, list(islice(told, len(waiting.scans)))) for waiting in batch]

    def _one_by_one(
        self, batch: list[_Waiting], failure: Exception
    ) -> list[tuple[_Waiting, list[Verdict] | BaseException]]:
        """Judge each request alone: what broke one must not spoil the others."""
        if len(batch) == 1:
            return [(batch[0], failure)]
        answers: list[tuple[_Waiting, list[Verdict] | BaseException]] = []
        for waiting in batch:
            try:
                with self._flush(waiting.scans) as verdicts:
                    pass
                answers.append((waiting, verdicts))
            except Exception as alone:  # noqa: BLE001 - it is handed to whoever waits
                answers.append((waiting, alone))
        return answers


def _deliver(answers: list[tuple[_Waiting, list[Verdict] | BaseException]]) -> None:
    by_loop: dict[
        asyncio.AbstractEventLoop, list[tuple[_Waiting, list[Verdict] | BaseException]]
    ] = {}
    for waiting, answer in answers:
        by_loop.setdefault(waiting.loop, []).append((waiting, answer))
    for loop, theirs in by_loop.items():
        try:
            loop.call_soon_threadsafe(_set, theirs)
        except (
            RuntimeError
        ):  # the loop is gone: committed, not answered; the retry will be told
            continue


def _set(answers: list[tuple[_Waiting, list[Verdict] | BaseException]]) -> None:
    for waiting, answer in answers:
        if waiting.answer.done():  # the client hung up
            continue
        if isinstance(answer, BaseException):
            waiting.answer.set_exception(answer)
        else:
            waiting.answer.set_result(answer)
