"""Processes that work for one of ours, on several cores, and end with it whatever ends it."""

import os
import signal
import threading
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context, parent_process


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0))


def pool(workers: int) -> ProcessPoolExecutor:
    """Return a pool of fresh processes.

    They are not replaced after some tasks: on Python 3.11 a pool that does that can stop dead.
    """
    return ProcessPoolExecutor(
        workers, mp_context=get_context("spawn"), initializer=_end_with_parent
    )


def _end_with_parent() -> None:
    """Leave nobody behind: a killed parent closes no queue, and its children would wait for ever.

    Ctrl-C at a terminal reaches them all: the parent alone answers it, and ends the others.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = parent_process()
    if parent is None:
        return

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
