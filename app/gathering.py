"""Gathers scans that arrive together into one transaction: group commit for redemptions.

No timer: a flush takes what waits, and nobody is answered before the commit.  A second flush
begins beside the first only when a crowd waits: for a few scans, what a transaction costs is
better shared with those that come while the first one runs.  One thread on SQLite, which is
also where the sequencer steps, so that two writers never fight for the file.
"""

import asyncio
import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import NamedTuple

from ledger.sequencer import MOST as FULL_STEP
from redemption.counter import Presented, Verdict

MOST_SCANS = 1_000
CROWD = 12

log = logging.getLogger(__name__)

Flush = Callable[[Sequence[Presented]], list[Verdict]]


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
        self._flushing = 0
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
        return bool(self._queue) and (not self._flushing or self._scans >= CROWD)

    def _run(self) -> None:
        while (batch := self._take()) is not None:
            if batch:
                self._answer(batch)
                with self._changed:
                    self._flushing -= 1
                    if self._ready() or self._closed:
                        self._changed.notify_all()
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
            self._flushing += 1
            return batch

    def _answer(self, batch: list[_Waiting]) -> None:
        answers: list[tuple[_Waiting, list[Verdict] | BaseException]] = []
        try:
            verdicts = self._flush([scan for waiting in batch for scan in waiting.scans])
            start = 0
            for waiting in batch:
                answers.append((waiting, verdicts[start : start + len(waiting.scans)]))
                start += len(waiting.scans)
        except Exception as failure:  # noqa: BLE001 - it is handed to whoever waits
            answers = self._one_by_one(batch, failure)
        _deliver(answers)

    def _one_by_one(
        self, batch: list[_Waiting], failure: Exception
    ) -> list[tuple[_Waiting, list[Verdict] | BaseException]]:
        """Judge each request alone: what broke one must not spoil the others."""
        if len(batch) == 1:
            return [(batch[0], failure)]
        answers: list[tuple[_Waiting, list[Verdict] | BaseException]] = []
        for waiting in batch:
            try:
                answers.append((waiting, self._flush(waiting.scans)))
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
