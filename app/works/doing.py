"""Doing the works that were asked for, one piece at a time: take, do, finish (see the package)."""

import logging
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, NamedTuple, Protocol, TypeVar
from uuid import UUID

from sqlalchemy import ColumnElement, and_, or_, select, update
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.orm import Session

from app.instance import Instance
from app.works.asking import COLUMNS, Work, as_work, report
from app.works.models import work
from ledger import canonical
from ledger.attempts import facts_of
from ledger.identifiers import new_id
from ledger.moments import Moment
from ledger.refusal import Refusal

# Much longer than a piece, and what somebody waits for after a kill.
LEASE = timedelta(seconds=30)
TRIES = 3
REST_SECONDS = 1.0

T = TypeVar("T")

log = logging.getLogger(__name__)


@dataclass(eq=False)
class WorkFailed(Refusal):
    """Something went wrong that nobody foresaw; what was committed before stays."""

    code = "work_failed"


class Piece(NamedTuple):
    """How many units a piece did, and what became of each, where that is told."""

    done: int
    results: Sequence[dict[str, Any]] = ()


class Steps(Protocol):
    """A work laid out, ready to be done from any unit on."""

    def do(self, session: Session, start: int, now: Moment) -> Piece:
        """Do the piece that begins at this unit, in the caller's transaction, in a second or two.

        At least one unit.  A `Refusal` ends the work; so does any other error, as `work_failed`.
        """
        ...

    def outcome(self, session: Session) -> tuple[str | None, dict[str, Any]]:
        """Return how the work ended, once every unit is done: the code of a refusal or None, and facts."""
        ...


Kinds = dict[str, Callable[[Instance, str, Work, bytes | None], Steps]]


class LeaseLostError(Exception):
    """Another worker went on with this work: what this one was doing is undone."""


class Worker:
    """Does the works of every département in turn, a piece of each; two at once share them out.

    One for a thread.  What it holds is laid out once, and kept between pieces.
    """

    def __init__(self, instance: Instance, kinds: Kinds) -> None:
        self.id = new_id()
        self._instance = instance
        self._kinds = kinds
        self._held: dict[str, tuple[Work, Steps]] = {}

    def round(self) -> bool:
        """Do a piece in each département where something waits; False when nothing did.

        What fails in one holds up no other: it is raised once all had their turn.
        """
        worked, failed = False, None
        for tenant in self._instance.database.working_departements():
            try:
                worked |= self.step(tenant.code)
            except Exception as error:  # noqa: BLE001 - raised below
                failed = failed or error
        if failed is not None:
            raise failed
        return worked

    def step(self, code: str) -> bool:
        """Do one piece of a work of a département; False when nothing waits there."""
        held = self._held.get(code)
        if held is None:
            taken = self._take(code)
            if taken is None:
                return False
            asked, given = taken
            held = self._guarded(code, asked, lambda: self._laid_out(code, asked, given))
            if held is None:
                return True
        self._held[code] = held
        asked, steps = held
        goes_on = self._guarded(code, asked, lambda: self._do(code, asked.id, steps))
        if not goes_on:
            del self._held[code]
        if not self._instance.database.place.sequencer_is_apart:
            self._instance.drain(code)
        return True

    def let_go(self) -> None:
        """Give back what is not finished, so that another worker need not wait for the lease."""
        for code, (asked, _steps) in self._held.items():
            with self._instance.database.begin(code) as session:
                session.execute(
                    update(work)
                    .where(work.c.id == asked.id, work.c.holder == self.id)
                    .values(holder=None, held_until=None)
                )
        self._held.clear()

    def _take(self, code: str) -> tuple[Work, bytes | None] | None:
        """Take the work that has waited longest, and count that it was taken."""
        now = self._instance.moment(code)
        with self._instance.database.begin(code, read_only=True) as session:
            if session.scalar(select(work.c.id).where(_waits(now)).limit(1)) is None:
                return None
        with self._instance.database.begin(code) as session:
            row = session.execute(
                select(*COLUMNS, work.c.input, work.c.tries)
                .where(_waits(now))
                .order_by(work.c.asked_at, work.c.id)
                .limit(1)
                .with_for_update(skip_locked=True)
            ).one_or_none()
            if row is None:
                return None
            if row.tries >= TRIES:
                log.error("a work was taken %s times in vain: %s", row.tries, row.id)
                _finish(session, row.id, WorkFailed.code, {}, now)
                return None
            held = {"holder": self.id, "held_until": now.at + LEASE, "tries": row.tries + 1}
            session.execute(update(work).where(work.c.id == row.id).values(held))
        return as_work(row[: len(COLUMNS)]), row.input

    def _laid_out(self, code: str, asked: Work, given: bytes | None) -> tuple[Work, Steps]:
        return asked, self._kinds[asked.kind](self._instance, code, asked, given)

    def _do(self, code: str, which: UUID, steps: Steps) -> bool:
        """Do a piece; tell whether there is another."""
        now = self._instance.moment(code)
        with self._instance.database.begin(code) as session:
            done, total = self._still_ours(session, which)
            piece = steps.do(session, done, now)
            report(session, which, done, piece.results)
            done += piece.done
            session.execute(
                update(work)
                .where(work.c.id == which)
                .values(done=done, held_until=now.at + LEASE, tries=0)
            )
            if done < total:
                return True
            refused, facts = steps.outcome(session)
            _finish(session, which, refused, facts, now)
            return False

    def _still_ours(self, session: Session, which: UUID) -> tuple[int, int]:
        """Lock the row until the piece is committed, or raise `LeaseLostError`."""
        row = session.execute(
            select(work.c.done, work.c.total)
            .where(work.c.id == which, work.c.holder == self.id)
            .with_for_update()
        ).one_or_none()
        if row is None:
            raise LeaseLostError
        return row.done, row.total

    def _guarded(self, code: str, asked: Work, act: Callable[[], T]) -> T | None:
        """Do a part of a work; None once nothing more is to be done of it by this worker."""
        try:
            return act()
        except LeaseLostError:
            log.warning("another worker went on with a work: %s", asked.id)
        except (OperationalError, InterfaceError) as error:
            # The database is busy or away: it is taken again once the lease has run out.
            log.warning("a work waits for the database: %s", type(error.orig).__name__)
        except Refusal as no:
            self._give_up(code, asked, no)
        except Exception as error:
            log.exception("a work failed: %s %s", asked.kind, asked.id, exc_info=error)
            self._give_up(code, asked, WorkFailed())
        return None

    def _give_up(self, code: str, asked: Work, no: Refusal) -> None:
        now = self._instance.moment(code)
        with (
            suppress(LeaseLostError),
            self._instance.database.begin(code) as session,
        ):
            self._still_ours(session, asked.id)
            _finish(session, asked.id, no.code, facts_of(no), now)


def _waits(now: Moment) -> ColumnElement[bool]:
    free = or_(work.c.held_until.is_(None), work.c.held_until <= now.at)
    return and_(work.c.finished_at.is_(None), free)


def _finish(
    session: Session, which: UUID, refused: str | None, facts: dict[str, Any], now: Moment
) -> None:
    session.execute(
        update(work)
        .where(work.c.id == which)
        .values(
            finished_at=now.at,
            refused=refused,
            outcome=canonical.encode(facts).decode(),
            input=None,
            holder=None,
            held_until=None,
        )
    )


def work_until(instance: Instance, stop: threading.Event, kinds: Kinds) -> None:
    """Do what is asked for until told to stop, at most a second after it was.

    A database that goes away is waited for; a piece under way is finished before stopping.
    """
    worker = Worker(instance, kinds)
    while not stop.is_set():
        try:
            worked = worker.round()
        except DBAPIError as error:
            log.warning("works wait for the database: %s", type(error.orig).__name__)
            worked = False
        except Exception:
            log.exception("works go on")
            worked = False
        if not worked:
            stop.wait(REST_SECONDS)
    with suppress(DBAPIError):
        worker.let_go()


def do_all(instance: Instance, kinds: Kinds) -> None:
    """Do everything that waits now, and return."""
    worker = Worker(instance, kinds)
    while worker.round():
        pass
