"""Scans that arrive together are judged in one transaction, and none suffers from another."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import pytest

from app.gathering import CROWD, FULL_STEP, MOST_SCANS, CounterClosedError, Gatherer
from ledger.identifiers import new_id
from redemption.counter import Device, Presented, Scan, Verdict
from tests.app.running import FEBRUARY

PHONE = Device("phone", 1)


class BreaksTheTransaction(Exception):
    """What a scan that nobody foresaw does to a flush."""


class Flush:
    """Accepts everything but "broken", and commits all but "lost"; can be held back in both."""

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self.entered, self.go_on = threading.Event(), threading.Event()
        self.go_on.set()
        self.commits = threading.Event()
        self.commits.set()

    @contextmanager
    def __call__(self, queue: Sequence[Presented]) -> Iterator[list[Verdict]]:
        self.sizes.append(len(queue))
        self.entered.set()
        assert self.go_on.wait(5)
        if any(p.scan.token == "broken" for p in queue):
            raise BreaksTheTransaction
        yield [Verdict(p.scan.id, "accepted", p.scan.token) for p in queue]
        assert self.commits.wait(5)
        if any(p.scan.token == "lost" for p in queue):
            raise BreaksTheTransaction

    @asynccontextmanager
    async def busy(self, gatherer: Gatherer) -> AsyncIterator[None]:
        """Hold the counter in a first flush: what is sent in this block waits together."""
        self.go_on.clear()
        self.entered.clear()
        first = asyncio.ensure_future(gatherer.submit(scans("first")))
        await asyncio.to_thread(self.entered.wait, 5)
        try:
            yield
            await asyncio.sleep(0.02)
        finally:
            self.go_on.set()
        await first


def scans(*tokens: str) -> list[Presented]:
    return [Presented(Scan(new_id(), token, new_id(), FEBRUARY), PHONE) for token in tokens]


async def until(so: Callable[[], bool]) -> None:
    while not so():  # noqa: ASYNC110 - what it waits for happens in threads
        await asyncio.sleep(0.001)


def told(verdicts: Sequence[Verdict]) -> list[str | None]:
    return [verdict.serial for verdict in verdicts]


def run(story: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(story, 10))


@pytest.fixture
def flush() -> Flush:
    return Flush()


@pytest.fixture
def gatherer(flush) -> Iterator[Gatherer]:
    counter = Gatherer("test", flush)
    yield counter
    flush.go_on.set()
    counter.close()


def test_what_waits_is_judged_at_once_and_each_gets_its_own(flush, gatherer):
    async def story() -> None:
        async with flush.busy(gatherer):
            sent = [
                asyncio.ensure_future(
                    gatherer.submit(scans(*(f"{n}-{k}" for k in range(n))))
                )
                for n in range(1, 30)
            ]
        for n, answer in enumerate(sent, 1):
            assert told(await answer) == [f"{n}-{k}" for k in range(n)]

    run(story())
    assert flush.sizes == [1, sum(range(1, 30))]


def test_the_next_is_judged_while_the_one_before_commits_and_nobody_hears_of_it(flush):
    counter = Gatherer("test", flush, threads=2)

    async def story() -> None:
        flush.commits.clear()
        first = asyncio.ensure_future(counter.submit(scans("first")))
        await until(lambda: flush.sizes == [1])
        others = [asyncio.ensure_future(counter.submit(scans(f"{n}"))) for n in range(3)]
        await until(lambda: len(flush.sizes) > 1)
        assert not first.done(), "it is not committed"
        flush.commits.set()
        assert told(await first) == ["first"]
        assert [told(await other) for other in others] == [["0"], ["1"], ["2"]]

    try:
        run(story())
    finally:
        counter.close()


def test_nothing_begins_while_another_judges_unless_a_crowd_waits(flush):
    counter = Gatherer("test", flush, threads=2)

    async def story() -> None:
        flush.go_on.clear()
        sent = [asyncio.ensure_future(counter.submit(scans("first")))]
        await until(lambda: flush.sizes == [1])
        sent += [
            asyncio.ensure_future(counter.submit(scans("few"))) for _ in range(CROWD - 1)
        ]
        await asyncio.sleep(0.05)
        assert flush.sizes == [1]
        sent.append(asyncio.ensure_future(counter.submit(scans("one more"))))
        await until(lambda: flush.sizes == [1, CROWD])
        flush.go_on.set()
        await asyncio.gather(*sent)

    try:
        run(story())
    finally:
        flush.go_on.set()
        counter.close()


def test_a_commit_that_fails_is_told_and_the_counter_goes_on(flush, gatherer):
    async def story() -> None:
        async with flush.busy(gatherer):
            sent = [asyncio.ensure_future(gatherer.submit(scans(t))) for t in ("a", "lost")]
        kept, lost = await asyncio.gather(*sent, return_exceptions=True)
        assert told(kept) == ["a"]
        assert isinstance(lost, BreaksTheTransaction)
        assert told(await gatherer.submit(scans("later"))) == ["later"]

    run(story())
    assert flush.sizes == [1, 2, 1, 1, 1]


def test_a_flush_takes_no_more_than_its_worth(flush, gatherer):
    async def story() -> None:
        async with flush.busy(gatherer):
            sent = [
                asyncio.ensure_future(gatherer.submit(scans(*["x"] * (MOST_SCANS // 2))))
                for _ in range(6)
            ]
        assert [len(verdicts) for verdicts in await asyncio.gather(*sent)] == [500] * 6

    run(story())
    assert flush.sizes == [1, 1000, 1000, 1000]


def test_one_broken_request_does_not_spoil_the_others(flush, gatherer):
    async def story() -> None:
        async with flush.busy(gatherer):
            sent = [
                asyncio.ensure_future(gatherer.submit(scans(*tokens)))
                for tokens in (["one"], ["two", "broken"], ["three", "four"])
            ]
        answers = await asyncio.gather(*sent, return_exceptions=True)
        assert told(answers[0]) == ["one"]
        assert isinstance(answers[1], BreaksTheTransaction)
        assert told(answers[2]) == ["three", "four"]
        assert told(await gatherer.submit(scans("later"))) == ["later"]

    run(story())
    assert flush.sizes == [1, 5, 1, 2, 2, 1]


def test_a_request_that_is_broken_alone_is_judged_only_once(flush, gatherer):
    async def story() -> None:
        with pytest.raises(BreaksTheTransaction):
            await gatherer.submit(scans("broken"))

    run(story())
    assert flush.sizes == [1]


def test_a_counter_that_closes_answers_what_waits_and_takes_nothing_more(flush, gatherer):
    async def story() -> None:
        async with flush.busy(gatherer):
            sent = [asyncio.ensure_future(gatherer.submit(scans(f"{n}"))) for n in range(5)]
            await asyncio.sleep(0)
            closing = asyncio.ensure_future(asyncio.to_thread(gatherer.close))
            await asyncio.sleep(0.02)
            with pytest.raises(CounterClosedError):
                await gatherer.submit(scans("late"))
            assert not closing.done()
        assert [told(await answer) for answer in sent] == [[f"{n}"] for n in range(5)]
        await closing
        with pytest.raises(CounterClosedError):
            await gatherer.submit(scans("later still"))

    run(story())
    gatherer.close()
    gatherer.nudge()
    assert sum(flush.sizes) == 6


def test_every_thread_of_a_counter_ends_when_it_closes():
    before = threading.active_count()
    counter = Gatherer("test", Flush(), threads=4)
    assert threading.active_count() == before + 4
    counter.close()
    assert threading.active_count() == before


def test_a_phone_that_hung_up_does_not_break_the_others(flush, gatherer):
    async def story() -> None:
        async with flush.busy(gatherer):
            gone = asyncio.ensure_future(gatherer.submit(scans("gone")))
            stays = asyncio.ensure_future(gatherer.submit(scans("stays")))
            await asyncio.sleep(0)
            gone.cancel()
        assert told(await stays) == ["stays"]
        with pytest.raises(asyncio.CancelledError):
            await gone

    run(story())
    assert flush.sizes == [1, 2], "what was sent is judged, whoever still listens"


def test_a_loop_that_is_gone_does_not_stop_the_counter(flush, gatherer):
    async def leave() -> None:
        flush.go_on.clear()
        sent = asyncio.ensure_future(gatherer.submit(scans("gone")))
        await asyncio.to_thread(flush.entered.wait, 5)
        sent.cancel()

    async def come() -> None:
        assert told(await gatherer.submit(scans("next"))) == ["next"]

    run(leave())
    flush.go_on.set()
    run(come())


def test_requests_of_several_loops_each_get_their_answer(flush, gatherer):
    answers: dict[int, list[str | None]] = {}

    def phone(number: int) -> None:
        async def send() -> None:
            for turn in range(20):
                answers[number * 100 + turn] = told(
                    await gatherer.submit(scans(f"{number * 100 + turn}"))
                )

        run(send())

    phones = [threading.Thread(target=phone, args=(n,)) for n in range(8)]
    for thread in phones:
        thread.start()
    for thread in phones:
        thread.join()
    assert len(answers) == 160
    assert all(answer == [str(n)] for n, answer in answers.items())


class Log:
    """Counts steps of the sequencer; `waiting` entries get their place, `most` a step."""

    def __init__(self, waiting: int = 0, most: int = 1) -> None:
        self.waiting, self.most, self.steps = waiting, most, 0
        self.stepped = threading.Semaphore(0)

    def __call__(self) -> int:
        self.steps += 1
        found = min(self.waiting, self.most)
        self.waiting -= found
        self.stepped.release()
        return found


def test_the_sequencer_steps_after_every_flush_and_when_it_is_nudged(flush):
    log = Log()
    counter = Gatherer("test", flush, after=log)
    try:

        async def story() -> None:
            for n in range(3):
                await gathered(counter, f"{n}")
                assert await asyncio.to_thread(log.stepped.acquire, timeout=5)

        async def gathered(counter: Gatherer, token: str) -> None:
            assert told(await counter.submit(scans(token))) == [token]

        run(story())
        counter.nudge()
        assert log.stepped.acquire(timeout=5)
        assert log.steps == 4
        assert len(flush.sizes) == 3
    finally:
        counter.close()


def test_many_nudges_at_once_are_few_steps():
    release, log = threading.Event(), Log()

    def slow() -> int:
        release.wait(5)
        return log()

    counter = Gatherer("test", Flush(), after=slow)
    for _ in range(1_000):
        counter.nudge()
    release.set()
    counter.close()
    assert log.steps < 10


def test_what_one_step_leaves_is_stepped_without_being_asked():
    log = Log(waiting=2 * FULL_STEP + 1, most=FULL_STEP)
    counter = Gatherer("test", Flush(), after=log)
    try:
        counter.nudge()
        for _ in range(3):
            assert log.stepped.acquire(timeout=5)
        assert (log.waiting, log.steps) == (0, 3)
    finally:
        counter.close()


def test_a_counter_that_closes_sequences_all_that_waits(flush):
    log = Log(waiting=25)
    counter = Gatherer("test", flush, after=log)
    counter.close()
    assert log.waiting == 0


def test_a_step_that_fails_does_not_stop_the_counter(flush):
    failed = threading.Event()

    def breaks() -> int:
        if not failed.is_set():
            failed.set()
            raise BreaksTheTransaction
        return 0

    counter = Gatherer("test", flush, after=breaks)

    async def story() -> None:
        assert told(await counter.submit(scans("first"))) == ["first"]
        await asyncio.to_thread(failed.wait, 5)
        second = counter.submit(scans("second"))
        assert told(await asyncio.wait_for(second, 2)) == ["second"]

    try:
        run(story())
    finally:
        counter.close()
