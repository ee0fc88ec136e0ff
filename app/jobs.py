"""What runs by itself: the lapse, once a day whatever the restarts; e-mails every minute; works at once.

A job of the night is steps, each a transaction of its own that can be done twice and counts once:
what a step holds, nobody waits for longer than that step takes, and what fails undoes itself alone.
"""

import logging
import threading
from collections.abc import Callable
from datetime import date
from functools import partial
from hashlib import sha256
from uuid import UUID

from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.interval import IntervalTrigger
from sqlalchemy import insert, select
from sqlalchemy.dialects import postgresql
from sqlalchemy.orm import Session

from app.instance import Instance
from app.mail.sending import send_due
from app.models import job_run
from app.people import failures
from app.registry import Departement
from app.works.doing import work_until
from app.works.kinds import KINDS
from ledger.bulk import is_postgres
from ledger.moments import Moment
from redemption.lapsing import DueLapse, Lapse, due_lapses, lapse

BY = "jobs"
FAILED = "failed"

log = logging.getLogger(__name__)

Step = Callable[[Session], int]


class StepsFailedError(Exception):
    """Some steps of a job failed: the others are done, and the job is due again."""


def lapses_due(session: Session, now: Moment) -> list[Step]:
    """Return a step for each order and stage whose presentation date is past: it lapses there.

    A lapse takes the gate of its order and stage.  Two in one transaction would be taken in the order
    of the lapses, and scans hold theirs in the order of the keys: each would wait for the other.
    """
    return [partial(_let_lapse, now=now, due=due) for due in due_lapses(session, now.day)]


def _let_lapse(session: Session, *, now: Moment, due: DueLapse) -> int:
    """Lapse, under an id that follows from order, stage and day; 1 if it is done here and now."""
    seed = f"lapse/{due.order}/{due.stage}/{now.day}".encode()
    act = UUID(bytes=sha256(seed).digest()[:16], version=5)
    answer = lapse(session, Lapse(act, due.order, due.stage), by=BY, now=now)
    return int(answer.accepted and not answer.replayed)


def old_failures(session: Session, now: Moment) -> list[Step]:
    """Return the one step that forgets yesterday's failures of sign-ins."""
    del session  # whatever there is, it is one statement
    return [partial(failures.forget_old, now=now)]


JOBS: dict[str, Callable[[Session, Moment], list[Step]]] = {
    "lapse": lapses_due,
    "forget_failures": old_failures,
}


def run_once_a_day(instance: Instance, code: str, job: str) -> int | None:
    """Run a job of a département unless it ran today; returns what it did, None if it had run.

    The row of the day is written when every step is through, so that what crashed or failed is done
    by the next try, and nothing twice.  Of two processes at once each does what the other has not.
    Raises `StepsFailedError` after the last step if any of them failed.
    """
    now = instance.moment(code)
    with instance.database.begin(code, read_only=True) as session:
        if has_run(session, job, now.day):
            return None
        steps = JOBS[job](session, now)
    done, failed = 0, 0
    for step in steps:
        try:
            with instance.database.begin(code) as session:
                done += step(session)
        except Exception:  # its own transaction is undone: the others owe it nothing
            failed += 1
            log.exception("a step of the job %s of %s failed", job, code)
    if failed:
        raise StepsFailedError(f"{job}: {failed} of {len(steps)}")
    with instance.database.begin(code) as session:
        _ran_today(session, job, now)
    return done


def _ran_today(session: Session, job: str, now: Moment) -> None:
    row = {"job": job, "day": now.day, "ran_at": now.at}
    if is_postgres(session):
        session.execute(postgresql.insert(job_run).values(row).on_conflict_do_nothing())
    elif not has_run(session, job, now.day):  # BEGIN IMMEDIATE made us the only writer
        session.execute(insert(job_run).values(row))


def has_run(session: Session, job: str, day: date) -> bool:
    """Tell whether every step of a job was through on this day."""
    ran = select(job_run.c.day).where(job_run.c.job == job, job_run.c.day == day)
    return session.scalar(ran) is not None


def run_all(instance: Instance, tenant: Departement) -> dict[str, int | str | None]:
    """Run every job of a département that has not run today, and sequence what they did.

    Returns what each did, None where it had run, `FAILED` where it will have to be tried again:
    the others go on, and the log of the process says why.
    """
    done: dict[str, int | str | None] = {}
    for job in JOBS:
        try:
            done[job] = run_once_a_day(instance, tenant.code, job)
        except Exception:  # whatever it is, the other jobs are not to blame
            log.exception("the job %s of %s failed", job, tenant.code)
            done[job] = FAILED
    if not instance.database.place.sequencer_is_apart:
        instance.drain(tenant.code)
    return done


def schedule(instance: Instance) -> BackgroundScheduler:
    """Return a scheduler that runs every job at 00:05 of each département, and at once to catch up.

    What failed is tried again within the hour.  Where an SMTP server is set, what is due leaves
    every minute.

    00:05, because 02:30 happens twice one night a year, and not at all on another.
    """
    scheduler = BackgroundScheduler(timezone="UTC")
    for tenant in instance.database.working_departements():
        scheduler.add_job(
            run_all,
            CronTrigger(hour=0, minute=5, timezone=tenant.zone),
            args=[instance, tenant],
            misfire_grace_time=None,
            coalesce=True,
            id=f"nightly-{tenant.code}",
        )
        scheduler.add_job(run_all, args=[instance, tenant], id=f"catch-up-{tenant.code}")
        # A day that is done costs this a look at its row.
        scheduler.add_job(
            run_all,
            IntervalTrigger(hours=1),
            args=[instance, tenant],
            misfire_grace_time=None,
            coalesce=True,
            id=f"again-{tenant.code}",
        )
        if instance.settings.mail is not None:
            # A round that lasts is not doubled: the minutes it took are passed over.
            scheduler.add_job(
                send_due,
                IntervalTrigger(minutes=1),
                args=[instance, tenant.code],
                misfire_grace_time=None,
                coalesce=True,
                max_instances=1,
                id=f"mail-{tenant.code}",
            )
    return scheduler


def run_until(instance: Instance, stop: threading.Event) -> None:
    """Run the jobs, and do the works that are asked for, until told to stop."""
    scheduler = schedule(instance)
    scheduler.start()
    work_only(instance, stop)
    scheduler.shutdown(wait=True)


def work_only(instance: Instance, stop: threading.Event) -> None:
    """Do the works that are asked for, and no job of the night, until told to stop."""
    work_until(instance, stop, KINDS)
