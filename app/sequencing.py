"""The sequencer as a loop: steps while something waits, rests a little when nothing does."""

import logging
import threading

from sqlalchemy.exc import SQLAlchemyError

from app.instance import Instance

# Little steps cost as much as big ones: entries gather meanwhile, and the log is never far behind.
REST_SECONDS = 0.25
RETRY_SECONDS = 1.0
FULL_STEP = 2_000

log = logging.getLogger(__name__)


def run_until(instance: Instance, stop: threading.Event) -> None:
    """Sequence every département until told to stop; two at once are harmless.

    A database that goes away is waited for: nothing is lost, entries wait in their queue.  What
    fails in one département holds up no other.
    """
    while not stop.is_set():
        stepped, failed = _round(instance)
        if failed:
            stop.wait(RETRY_SECONDS)
        elif stepped < FULL_STEP:
            stop.wait(REST_SECONDS)


def _round(instance: Instance) -> tuple[int, bool]:
    """Step once in each département; return how many entries got their place, and whether anything failed."""
    stepped, failed = 0, False
    try:
        codes = [tenant.code for tenant in instance.database.working_departements()]
    except Exception as error:  # noqa: BLE001 - it is told, and tried again
        _tell("the sequencer", error)
        return 0, True
    for code in codes:
        try:
            stepped += instance.step(code)
        except Exception as error:  # noqa: BLE001 - it is told, and tried again
            _tell(f"the sequencer of {code}", error)
            failed = True
    return stepped, failed


def _tell(who: str, error: Exception) -> None:
    if isinstance(error, SQLAlchemyError):
        why = type(getattr(error, "orig", error)).__name__
        log.warning("%s waits for the database: %s", who, why)
    else:
        log.error("%s goes on", who, exc_info=error)
