"""Work done by several threads that start together."""

import threading
from collections.abc import Callable


def together(count: int, work: Callable[[], object]) -> list[object]:
    """Return what each of them came to: its result, or what it raised."""
    barrier, results = threading.Barrier(count), []

    def one() -> None:
        barrier.wait()
        try:
            results.append(work())
        except BaseException as failure:  # noqa: BLE001 - it is what the test looks at
            results.append(failure)

    threads = [threading.Thread(target=one) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results
