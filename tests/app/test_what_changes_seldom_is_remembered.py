"""Keys are read again every few seconds, once for all who wait, and no département waits for another's."""

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from app import remembered
from app.remembered import Remembered


class ABook:
    """Tells how often each département was read; one can be held shut, and one torn."""

    def __init__(self) -> None:
        self.read: list[str] = []
        self.open = threading.Event()
        self.open.set()
        self.torn = False
        self.remembered = Remembered(self._read)

    def _read(self, code: str) -> int:
        self.read.append(code)
        if self.torn:
            raise OSError(code)
        if code == "23":
            assert self.open.wait(20)
        return len(self.read)


@pytest.fixture
def book() -> Iterator[ABook]:
    book = ABook()
    yield book
    book.open.set()


def test_it_is_read_once_until_its_time_is_over(book, monkeypatch):
    assert [book.remembered.get("23") for _ in range(3)] == [1, 1, 1]
    monkeypatch.setattr(remembered, "SECONDS", -1.0)
    assert [book.remembered.get("23") for _ in range(2)] == [2, 3]


def test_what_is_forgotten_is_read_again(book):
    assert book.remembered.get("23") == 1
    book.remembered.forget()
    assert book.remembered.get("23") == 2


def test_while_one_is_read_another_departement_is_told(book):
    book.open.clear()
    with ThreadPoolExecutor(1) as elsewhere:
        slow = elsewhere.submit(book.remembered.get, "23")
        while not book.read:
            pass
        assert book.remembered.get("974") == 2
        assert not slow.done()
        book.open.set()
        assert slow.result(20) == 2


def test_threads_that_ask_at_once_read_it_once(book):
    book.open.clear()
    with ThreadPoolExecutor(16) as threads:
        asked = [threads.submit(book.remembered.get, "23") for _ in range(16)]
        book.open.set()
        assert {answer.result(20) for answer in asked} == {1}


def test_those_who_wait_on_the_loop_take_one_thread_together_and_leave_the_others_free(
    book,
):
    async def story() -> None:
        book.open.clear()
        many = [asyncio.create_task(book.remembered.soon("23")) for _ in range(100)]
        await asyncio.sleep(0.02)
        assert await asyncio.wait_for(book.remembered.soon("974"), 10) == 2
        many.pop().cancel()  # whoever hangs up takes the answer from nobody
        book.open.set()
        assert set(await asyncio.gather(*many)) == {2}
        assert book.read == ["23", "974"]
        assert await book.remembered.soon("23") == 2

    asyncio.run(story())


def test_a_reading_that_fails_is_told_to_all_and_tried_again(book):
    async def story() -> None:
        book.torn = True
        both = (book.remembered.soon("974") for _ in range(2))
        failed = await asyncio.gather(*both, return_exceptions=True)
        assert [type(failure) for failure in failed] == [OSError, OSError]
        book.torn = False
        assert await book.remembered.soon("974") == 2

    asyncio.run(story())
