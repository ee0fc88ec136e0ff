"""The sequencer as a loop: steps while something waits, rests a little when nothing does."""

import logging
import threading

from sqlalchemy.exc import SQLAlchemyError

from app.instance import Instance

# Little steps cost as much as big ones: entries gather meanwhile, and the log is never far behind.
REST_SECONDS = 0.1
RETRY_SECONDS = 1.0
FULL_STEP = 2_000

log = logging.getLogger(__name__)


def run_until(instance: Instance, stop: threading.Event) -> None:
    """Sequence every département until told to stop; two at once are harmless.

    A database that goes away is waited for: nothing is lost, entries wait in their queue.
    """
    while not stop.is_set():
        try:
            stepped = sum(
                instance.step(t.code) for t in instance.database.working_departements()
            )
        except SQLAlchemyError as error:
            why = type(getattr(error, "orig", error)).__name__
            log.warning("the sequencer waits for the database: %s", why)
            stop.wait(RETRY_SECONDS)
            continue
        if stepped < FULL_STEP:
            stop.wait(REST_SECONDS)
