"""What runs by itself: the lapse, once a day whatever the restarts; e-mails every minute; works at once."""

import threading
from collections.abc import Callable
from datetime import date
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
from redemption.lapsing import Lapse, due_lapses, lapse

BY = "jobs"


def lapse_what_is_due(session: Session, now: Moment) -> int:
    """Let lapse every order and stage whose presentation date is past; returns how many did.

    Each act's id follows from the order, the stage and the day, so that a second run of the
    same day is a replay.
    """
    done = 0
    for found in due_lapses(session, now.day):
        seed = f"lapse/{found.order}/{found.stage}/{now.day}".encode()
        act = UUID(bytes=sha256(seed).digest()[:16], version=5)
        answer = lapse(session, Lapse(act, found.order, found.stage), by=BY, now=now)
        done += answer.accepted
    return done


JOBS: dict[str, Callable[[Session, Moment], int]] = {
    "lapse": lapse_what_is_due,
    "forget_failures": failures.forget_old,
}


def run_once_a_day(instance: Instance, code: str, job: str) -> int | None:
    """Run a job of a département unless it ran today; returns what it did, None if it had run.

    The row of the day and what the job does are one transaction: a crash leaves neither, and a
    second process that tries at the same instant finds the row.
    """
    now = instance.moment(code)
    with instance.database.begin(code) as session:
        if not _first_today(session, job, now):
            return None
        return JOBS[job](session, now)


def _first_today(session: Session, job: str, now: Moment) -> bool:
    row = {"job": job, "day": now.day, "ran_at": now.at}
    if not is_postgres(session):  # BEGIN IMMEDIATE made us the only writer
        ran = select(job_run.c.day).where(job_run.c.job == job, job_run.c.day == now.day)
        if session.scalar(ran) is not None:
            return False
        session.execute(insert(job_run).values(row))
        return True
    # A second process waits here for the first, then finds its row.
    written = postgresql.insert(job_run).values(row).on_conflict_do_nothing()
    return session.scalar(written.returning(job_run.c.job)) is not None


def last_run(session: Session, job: str) -> date | None:
    """Return the last day on which a job ran."""
    chosen = (
        select(job_run.c.day).where(job_run.c.job == job).order_by(job_run.c.day.desc())
    )
    return session.scalar(chosen.limit(1))


def run_all(instance: Instance, tenant: Departement) -> dict[str, int | None]:
    """Run every job of a département that has not run today, and sequence what they did."""
    done = {job: run_once_a_day(instance, tenant.code, job) for job in JOBS}
    if not instance.database.place.sequencer_is_apart:
        instance.drain(tenant.code)
    return done


def schedule(instance: Instance) -> BackgroundScheduler:
    """Return a scheduler that runs every job at 00:05 of each département, and at once to catch up.

    Where an SMTP server is set, what is due leaves every minute.

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
