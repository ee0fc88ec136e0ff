"""Scans that arrive together are judged in one transaction, and none suffers from another."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest

from app.gathering import CROWD, FULL_STEP, MOST_SCANS, CounterClosedError, Gatherer
from ledger.identifiers import new_id
from redemption.counter import Device, Presented, Scan, Verdict
from tests.app.running import FEBRUARY

PHONE = Device("phone", 1)


class BreaksTheTransaction(Exception):
    """What a scan that nobody foresaw does to a flush."""


class AHand:
    """Accepts everything but "broken", and commits all but "lost"; can be held back in both.

    `waiting` entries get their place in the log, `most` a step.
    """

    def __init__(self, at_once: int = 1, *, waiting: int = 0, most: int = 1) -> None:
        self.at_once, self.waiting, self.most = at_once, waiting, most
        self.sizes: list[int] = []
        self.steps = 0
        self.closed = False
        self.go_on, self.commits = asyncio.Event(), asyncio.Event()
        self.go_on.set()
        self.commits.set()

    async def flush(
        self, queue: Sequence[Presented], judged: Callable[[], None]
    ) -> list[Verdict]:
        self.sizes.append(len(queue))
        await self.go_on.wait()
        if any(p.scan.token == "broken" for p in queue):
            raise BreaksTheTransaction
        judged()
        await self.commits.wait()
        if any(p.scan.token == "lost" for p in queue):
            raise BreaksTheTransaction
        return [Verdict(p.scan.id, "accepted", p.scan.token) for p in queue]

    async def step(self) -> int:
        self.steps += 1
        await asyncio.sleep(0)
        found = min(self.waiting, self.most)
        self.waiting -= found
        return found

    def close(self) -> None:
        self.closed = True

    @asynccontextmanager
    async def busy(self, gatherer: Gatherer) -> AsyncIterator[None]:
        """Hold the counter in a first flush: what is sent in this block waits together."""
        self.go_on.clear()
        first = asyncio.ensure_future(gatherer.submit(scans("first")))
        await until(lambda: self.sizes == [1])
        try:
            yield
            await asyncio.sleep(0.02)
        finally:
            self.go_on.set()
        await first


def scans(*tokens: str) -> list[Presented]:
    return [Presented(Scan(new_id(), token, new_id(), FEBRUARY), PHONE) for token in tokens]


async def until(so: Callable[[], bool]) -> None:
    while not so():  # noqa: ASYNC110 - what it waits for comes in turns of the loop
        await asyncio.sleep(0.001)


def told(verdicts: Sequence[Verdict]) -> list[str | None]:
    return [verdict.serial for verdict in verdicts]


Story = Callable[[AHand, Gatherer], Coroutine[Any, Any, None]]


def run(story: Story, **hand: int) -> AHand:
    """Live through a story with a new counter, close it, and return its hand."""

    async def lived() -> AHand:
        its_hand = AHand(**hand)
        counter = Gatherer(its_hand)
        try:
            await asyncio.wait_for(story(its_hand, counter), 10)
        finally:
            its_hand.go_on.set()
            its_hand.commits.set()
            await counter.close()
        return its_hand

    return asyncio.run(lived())


def test_what_waits_is_judged_at_once_and_each_gets_its_own():
    async def story(hand: AHand, counter: Gatherer) -> None:
        async with hand.busy(counter):
            sent = [
                asyncio.ensure_future(
                    counter.submit(scans(*(f"{n}-{k}" for k in range(n))))
                )
                for n in range(1, 30)
            ]
        for n, answer in enumerate(sent, 1):
            assert told(await answer) == [f"{n}-{k}" for k in range(n)]

    assert run(story).sizes == [1, sum(range(1, 30))]


def test_what_has_arrived_when_a_flush_begins_is_in_it():
    async def story(_hand: AHand, counter: Gatherer) -> None:
        await asyncio.gather(*(counter.submit(scans(f"{n}")) for n in range(5)))

    assert run(story).sizes == [5]


def test_the_next_is_judged_while_the_one_before_commits_and_nobody_hears_of_it():
    async def story(hand: AHand, counter: Gatherer) -> None:
        hand.commits.clear()
        first = asyncio.ensure_future(counter.submit(scans("first")))
        await until(lambda: hand.sizes == [1])
        others = [asyncio.ensure_future(counter.submit(scans(f"{n}"))) for n in range(3)]
        await until(lambda: len(hand.sizes) > 1)
        assert not first.done(), "it is not committed"
        hand.commits.set()
        assert told(await first) == ["first"]
        assert [told(await other) for other in others] == [["0"], ["1"], ["2"]]

    assert run(story, at_once=2).sizes == [1, 3]


def test_no_more_are_under_way_than_the_hand_can_have():
    async def story(hand: AHand, counter: Gatherer) -> None:
        hand.commits.clear()
        sent = []
        for n in range(4):
            sent.append(asyncio.ensure_future(counter.submit(scans(f"{n}"))))
            await asyncio.sleep(0.01)
        assert hand.sizes == [1, 1], "two commit, and the others wait"
        hand.commits.set()
        await asyncio.gather(*sent)

    assert run(story, at_once=2).sizes == [1, 1, 2]


def test_nothing_begins_while_another_judges_unless_a_crowd_waits():
    async def story(hand: AHand, counter: Gatherer) -> None:
        hand.go_on.clear()
        sent = [asyncio.ensure_future(counter.submit(scans("first")))]
        await until(lambda: hand.sizes == [1])
        sent += [
            asyncio.ensure_future(counter.submit(scans("few"))) for _ in range(CROWD - 1)
        ]
        await asyncio.sleep(0.05)
        assert hand.sizes == [1]
        sent.append(asyncio.ensure_future(counter.submit(scans("one more"))))
        await until(lambda: hand.sizes == [1, CROWD])
        hand.go_on.set()
        await asyncio.gather(*sent)

    run(story, at_once=2)


def test_a_commit_that_fails_is_told_and_the_counter_goes_on():
    async def story(hand: AHand, counter: Gatherer) -> None:
        async with hand.busy(counter):
            sent = [asyncio.ensure_future(counter.submit(scans(t))) for t in ("a", "lost")]
        kept, lost = await asyncio.gather(*sent, return_exceptions=True)
        assert told(kept) == ["a"]
        assert isinstance(lost, BreaksTheTransaction)
        assert told(await counter.submit(scans("later"))) == ["later"]

    assert run(story).sizes == [1, 2, 1, 1, 1]


def test_a_flush_takes_no_more_than_its_worth():
    async def story(hand: AHand, counter: Gatherer) -> None:
        async with hand.busy(counter):
            sent = [
                asyncio.ensure_future(counter.submit(scans(*["x"] * (MOST_SCANS // 2))))
                for _ in range(6)
            ]
        answers = await asyncio.gather(*sent)
        assert [len(verdicts) for verdicts in answers] == [MOST_SCANS // 2] * 6

    assert run(story).sizes == [1, MOST_SCANS, MOST_SCANS, MOST_SCANS]


def test_one_broken_request_does_not_spoil_the_others():
    async def story(hand: AHand, counter: Gatherer) -> None:
        async with hand.busy(counter):
            sent = [
                asyncio.ensure_future(counter.submit(scans(*tokens)))
                for tokens in (["one"], ["two", "broken"], ["three", "four"])
            ]
        answers = await asyncio.gather(*sent, return_exceptions=True)
        assert told(answers[0]) == ["one"]
        assert isinstance(answers[1], BreaksTheTransaction)
        assert told(answers[2]) == ["three", "four"]
        assert told(await counter.submit(scans("later"))) == ["later"]

    assert run(story).sizes == [1, 5, 1, 2, 2, 1]


def test_while_requests_are_judged_alone_others_begin_and_each_is_told_at_once():
    """What broke them may be a lock that lasts: nobody waits for it but who asked for it."""

    async def story(hand: AHand, counter: Gatherer) -> None:
        hand.commits.clear()
        first = asyncio.ensure_future(counter.submit(scans("first")))
        await until(lambda: hand.sizes == [1])
        sent = [
            asyncio.ensure_future(counter.submit(scans(token)))
            for token in ("a", "broken", "b")
        ]
        await until(lambda: hand.sizes == [1, 3, 1])
        other = asyncio.ensure_future(counter.submit(scans("other")))
        await until(lambda: hand.sizes == [1, 3, 1, 1])
        hand.go_on.clear()  # the broken one will wait, alone
        hand.commits.set()
        assert told(await sent[0]) == ["a"]
        await asyncio.gather(first, other)
        assert [answer.done() for answer in sent] == [True, False, False]
        hand.go_on.set()
        assert told(await sent[2]) == ["b"]
        with pytest.raises(BreaksTheTransaction):
            await sent[1]

    assert run(story, at_once=3).sizes == [1, 3, 1, 1, 1, 1]


def test_a_request_that_is_broken_alone_is_judged_only_once():
    async def story(_hand: AHand, counter: Gatherer) -> None:
        with pytest.raises(BreaksTheTransaction):
            await counter.submit(scans("broken"))

    assert run(story).sizes == [1]


def test_a_counter_that_closes_answers_what_waits_and_takes_nothing_more():
    async def story(hand: AHand, counter: Gatherer) -> None:
        async with hand.busy(counter):
            sent = [asyncio.ensure_future(counter.submit(scans(f"{n}"))) for n in range(5)]
            await asyncio.sleep(0)
            closing = asyncio.ensure_future(counter.close())
            await asyncio.sleep(0.02)
            with pytest.raises(CounterClosedError):
                await counter.submit(scans("late"))
            assert not closing.done()
        assert [told(await answer) for answer in sent] == [[f"{n}"] for n in range(5)]
        await closing
        assert hand.closed
        with pytest.raises(CounterClosedError):
            await counter.submit(scans("later still"))
        steps = hand.steps
        counter.nudge()
        await asyncio.sleep(0.01)
        assert hand.steps == steps

    assert sum(run(story).sizes) == 6


def test_a_phone_that_hung_up_does_not_break_the_others():
    async def story(hand: AHand, counter: Gatherer) -> None:
        async with hand.busy(counter):
            gone = asyncio.ensure_future(counter.submit(scans("gone")))
            stays = asyncio.ensure_future(counter.submit(scans("stays")))
            await asyncio.sleep(0)
            gone.cancel()
        assert told(await stays) == ["stays"]
        with pytest.raises(asyncio.CancelledError):
            await gone

    sizes = run(story).sizes
    assert sizes == [1, 2], "what was sent is judged, whoever still listens"


def test_the_sequencer_steps_after_every_flush_and_when_it_is_nudged():
    async def story(hand: AHand, counter: Gatherer) -> None:
        for n in range(3):
            assert told(await counter.submit(scans(f"{n}"))) == [f"{n}"]
            await until(lambda: hand.steps == n + 1)  # noqa: B023 - awaited at once
        counter.nudge()
        await until(lambda: hand.steps == 4)
        assert len(hand.sizes) == 3

    run(story)


def test_many_nudges_at_once_are_few_steps():
    async def story(hand: AHand, counter: Gatherer) -> None:
        async with hand.busy(counter):
            for _ in range(1_000):
                counter.nudge()

    assert run(story).steps < 10


def test_what_one_step_leaves_is_stepped_without_being_asked():
    async def story(hand: AHand, counter: Gatherer) -> None:
        counter.nudge()
        await until(lambda: hand.steps == 3 and hand.waiting == 0)

    run(story, waiting=2 * FULL_STEP + 1, most=FULL_STEP)


def test_a_counter_that_closes_sequences_all_that_waits():
    async def story(_hand: AHand, _counter: Gatherer) -> None:
        """Nobody comes."""

    assert run(story, waiting=25).waiting == 0


def test_a_step_that_fails_does_not_stop_the_counter():
    async def story(hand: AHand, counter: Gatherer) -> None:
        steps, failed = hand.step, []

        async def breaks_once() -> int:
            if not failed:
                failed.append(True)
                raise BreaksTheTransaction
            return await steps()

        hand.step = breaks_once  # type: ignore[method-assign]
        assert told(await counter.submit(scans("first"))) == ["first"]
        await until(lambda: bool(failed))
        assert told(await counter.submit(scans("second"))) == ["second"]

    assert run(story).sizes == [1, 1]
