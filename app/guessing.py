"""Trying codes at the counter is slowed by device, never by address: a village shares one line.

A phone that sends what is no pass, again and again, waits; its queue is kept by the phone and
nothing of it is judged meanwhile.  In memory: a restart forgets, which costs nothing.
"""

import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from ledger.refusal import Refusal
from redemption.counter import Verdict
from redemption.recognition import LOOKED_UP, Seen

# A mistyped code is seen by its check symbol and a forged token by its signature: neither is
# looked up, so neither is a guess, unless it could have been a number of a former operator.
# What is well formed and is no pass of ours may be one.
MOST = 100
WITHIN_SECONDS = 600.0
GUESSES = {"unknown"}


@dataclass(eq=False)
class TooManyGuesses(Refusal):
    """The device has sent too much that is no pass: wait."""

    code = "too_many_guesses"

    minutes: int = int(WITHIN_SECONDS // 60)


class Guesses:
    """What each device has sent lately that is no pass; safe from many threads."""

    def __init__(self) -> None:
        self._seen: dict[str, deque[float]] = {}
        self._lock = threading.Lock()

    def check(self, device: str) -> None:
        """Raise `TooManyGuesses` for a device that has tried too often."""
        with self._lock:
            if (seen := self._seen.get(device)) is None:
                return
            limit = time.monotonic() - WITHIN_SECONDS
            while seen and seen[0] < limit:
                seen.popleft()
            if not seen:
                del self._seen[device]
            elif len(seen) >= MOST:
                raise TooManyGuesses

    def count(self, device: str, verdicts: Sequence[Verdict]) -> None:
        """Count what was no pass; a retry of the same scan is not counted again."""
        self.add(
            device,
            sum(
                (v.verdict in GUESSES or LOOKED_UP in v.facts) and not v.replayed
                for v in verdicts
            ),
        )

    def looked(self, device: str, seen: Seen) -> None:
        """Count what a page looked up, where it was no pass: as the counter does."""
        if seen.row is None:
            self.add(device, int(seen.refusal in GUESSES or LOOKED_UP in seen.facts))

    def add(self, device: str, tried: int) -> None:
        """Count so many things that a device sent and that were no pass."""
        if tried:
            with self._lock:
                seen = self._seen.setdefault(device, deque(maxlen=MOST))
                seen.extend([time.monotonic()] * tried)
