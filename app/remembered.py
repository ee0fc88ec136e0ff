"""What changes seldom in a département, kept in memory for some seconds."""

import asyncio
import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")

SECONDS = 10.0


class Remembered(Generic[T]):
    """Read again every ten seconds, by one thread at a time, which holds up no other département."""

    def __init__(self, read: Callable[[str], T]) -> None:
        self._read = read
        self._kept: dict[str, tuple[float, T]] = {}
        self._locks: dict[str, threading.Lock] = {}
        self._readings: dict[str, asyncio.Task[T]] = {}

    def get(self, code: str) -> T:
        """Return it from memory, or read it and wait for the database."""
        with self._locks.setdefault(code, threading.Lock()):
            kept = self._fresh(code)
            if kept is None:
                kept = self._kept[code] = time.monotonic(), self._read(code)
            return kept[1]

    async def soon(self, code: str) -> T:
        """Return it without holding up the loop; all who wait for it take one thread together."""
        if (kept := self._fresh(code)) is not None:
            return kept[1]
        if code not in self._readings:
            reading = asyncio.create_task(asyncio.to_thread(self.get, code))
            self._readings[code] = reading
            reading.add_done_callback(lambda _: self._readings.pop(code))
        return await asyncio.shield(self._readings[code])

    def forget(self) -> None:
        """Have it read again when it is next asked for."""
        self._kept.clear()

    def _fresh(self, code: str) -> tuple[float, T] | None:
        kept = self._kept.get(code)
        return kept if kept is not None and time.monotonic() - kept[0] <= SECONDS else None
