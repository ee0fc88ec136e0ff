"""Gathers scans that arrive together into one transaction: group commit for redemptions.

No timer: a flush takes what waits, one flush at a time per thread, and nobody is answered
before the commit.  One thread on SQLite, which is also where the sequencer steps, so that two
writers never fight for the file.
"""

import asyncio
import logging
import queue
import threading
from collections.abc import Callable, Sequence
from typing import NamedTuple

from redemption.counter import Presented, Verdict

MOST_SCANS = 1_000

log = logging.getLogger(__name__)

Flush = Callable[[Sequence[Presented]], list[Verdict]]


class CounterClosedError(Exception):
    """The counter takes nothing any more; nothing was written for this queue."""


class _Waiting(NamedTuple):
    scans: Sequence[Presented]
    answer: asyncio.Future[list[Verdict]]
    loop: asyncio.AbstractEventLoop


class _Stop:
    """Ends a thread, once what came before it is answered."""


class _Nudge:
    """Asks for a step of the sequencer."""


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
        self._queue: queue.SimpleQueue[_Waiting | _Stop | _Nudge] = queue.SimpleQueue()
        self._gate = threading.Lock()  # so that nothing can be queued behind the stops
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
        if self._after is not None and not self._closed:
            self._queue.put(_Nudge())

    def close(self) -> None:
        """Take nothing more, answer what waits, and end the threads; blocks until then."""
        with self._gate:
            if not self._closed:
                self._closed = True
                for _thread in self._threads:
                    self._queue.put(_Stop())
        for thread in self._threads:
            thread.join()

    def _put(self, item: _Waiting) -> None:
        with self._gate:
            if self._closed:
                raise CounterClosedError
            self._queue.put(item)

    def _run(self) -> None:
        stopping = False
        while not stopping:
            batch, stopping = self._take()
            if batch:
                self._answer(batch)
            self._step()  # under load the queue is never empty: the log gets its turn
        while self._step():
            pass

    def _step(self) -> bool:
        """Step the sequencer; what fails is tried again after the next flush, nothing is lost."""
        if self._after is None:
            return False
        try:
            return self._after() > 0
        except Exception:
            log.exception("the sequencer could not step")
            return False

    def _take(self) -> tuple[list[_Waiting], bool]:
        """Wait for something, then take what waits, up to a flush's worth."""
        batch: list[_Waiting] = []
        scans = 0
        item = self._queue.get()
        while True:
            if isinstance(item, _Stop):
                return batch, True
            if isinstance(item, _Waiting):
                batch.append(item)
                scans += len(item.scans)
            if scans >= MOST_SCANS:
                return batch, False
            try:
                item = self._queue.get_nowait()
            except queue.Empty:
                return batch, False

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
