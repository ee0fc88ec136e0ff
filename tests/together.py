"""Work done by several threads that start together."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


def at_once(work: Callable[[int], T], count: int = 16) -> list[T]:
    """Do the same work in this many threads; return what each came to, raise what one raised."""
    barrier = threading.Barrier(count)

    def one(turn: int) -> T:
        barrier.wait()
        return work(turn)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(one, range(count)))


def run_together(*jobs: Callable[[], object]) -> None:
    """Do each job in a thread of its own, and wait for all of them."""
    at_once(lambda turn: jobs[turn](), len(jobs))


def together(count: int, work: Callable[[], object]) -> list[object]:
    """Return what each of them came to: its result, or what it raised."""

    def one(_turn: int) -> object:
        try:
            return work()
        except BaseException as failure:  # noqa: BLE001 - it is what the test looks at
            return failure

    return at_once(one, count)
