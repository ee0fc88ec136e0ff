"""The loop's own connection: large and small, in turn, cancelled, cut; it never wakes the loop for nothing."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import psycopg
import pytest
import uvloop

from app.loop_connection import LoopConnection
from tests.conftest import Server

pytestmark = pytest.mark.postgres

Story = Callable[["Counting"], Coroutine[Any, Any, None]]


class Counting(LoopConnection):
    """Counts how often the loop was woken."""

    woken = 0

    def _hear(self, ready: Any) -> None:
        self.woken += 1
        super()._hear(ready)


@pytest.fixture
def lived(server: Server) -> Iterator[Callable[[Story], None]]:
    """Live through a story with a new connection, which commits by itself as those of the engine do."""

    def live(story: Story) -> None:
        async def through() -> None:
            connection = await Counting.connect(
                server.url("postgres").replace("+psycopg", ""), autocommit=True
            )
            try:
                await asyncio.wait_for(story(connection), 20)
            finally:
                await connection.close()

        uvloop.run(through())

    return live


def test_what_does_not_fit_a_socket_is_sent_and_read_in_pieces(lived):
    async def story(connection: Counting) -> None:
        large = "é" * 15_000_000
        done = await connection.execute("SELECT %s::text, length(%s)", (large, large))
        assert await done.fetchone() == (large, 15_000_000)

    lived(story)


def test_others_run_while_it_waits(lived):
    async def story(connection: Counting) -> None:
        slow = asyncio.ensure_future(connection.execute("SELECT pg_sleep(1)"))
        turns = 0
        while not slow.done():
            await asyncio.sleep(0.01)
            turns += 1
        await slow
        assert turns > 2

    lived(story)


def test_it_goes_on_after_an_error_inside_a_transaction_and_outside(lived):
    async def story(connection: Counting) -> None:
        for begin, end in (("BEGIN", "ROLLBACK"), ("SELECT 1", "SELECT 2")):
            await connection.execute(begin)
            with pytest.raises(psycopg.errors.DivisionByZero):
                await connection.execute("SELECT 1 / 0")
            await connection.execute(end)
            done = await connection.execute("SELECT 3")
            assert await done.fetchone() == (3,)

    lived(story)


def test_one_that_is_cut_while_it_rests_wakes_nobody_and_says_so_when_asked(lived, server):
    async def story(connection: Counting) -> None:
        await connection.execute("BEGIN")
        await connection.execute("COMMIT")
        server.run(f"SELECT pg_terminate_backend({connection.info.backend_pid})")
        before = connection.woken
        await asyncio.sleep(0.2)
        assert connection.woken == before
        with pytest.raises(psycopg.OperationalError):
            await connection.execute("SELECT 1")
        await asyncio.sleep(0.05)
        assert connection.woken <= before + 2
        assert connection.closed

    lived(story)


def test_one_that_is_cut_in_its_transaction_fails_once(lived, server):
    async def story(connection: Counting) -> None:
        await connection.execute("BEGIN")
        server.run(f"SELECT pg_terminate_backend({connection.info.backend_pid})")
        with pytest.raises(psycopg.OperationalError):
            await connection.execute("SELECT 1")
        before = connection.woken
        await asyncio.sleep(0.1)
        assert connection.woken == before

    lived(story)


def test_what_is_cancelled_leaves_no_transaction_behind(lived, server):
    async def story(connection: Counting) -> None:
        await connection.execute("BEGIN")
        await connection.execute("SELECT pg_advisory_xact_lock(77)")
        slow = asyncio.ensure_future(connection.execute("SELECT pg_sleep(60)"))
        await asyncio.sleep(0.05)
        slow.cancel()
        with pytest.raises(asyncio.CancelledError):
            await slow
        assert connection.closed
        take = "SET LOCAL lock_timeout = '5s'; SELECT pg_advisory_xact_lock(77)"
        await asyncio.to_thread(server.run, f"BEGIN; {take}; COMMIT")

    lived(story)


def test_one_whose_server_cannot_be_asked_to_stop_is_cancelled_all_the_same(
    lived, monkeypatch
):
    async def unreachable(_self: LoopConnection, *, timeout: float) -> None:  # noqa: ASYNC109
        raise psycopg.OperationalError(f"nobody answered in {timeout} seconds")

    async def story(connection: Counting) -> None:
        monkeypatch.setattr(Counting, "cancel_safe", unreachable)
        slow = asyncio.ensure_future(connection.execute("SELECT pg_sleep(60)"))
        await asyncio.sleep(0.05)
        slow.cancel()
        with pytest.raises(asyncio.CancelledError):
            await slow
        assert connection.closed

    lived(story)
