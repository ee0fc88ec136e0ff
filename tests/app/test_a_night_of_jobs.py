"""A night of jobs: what is past its date lapses once a day, whatever the restarts."""

import threading
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import select

from app import jobs
from app.instance import Instance
from app.models import job_run
from app.people import failures
from app.people.models import sign_in_failures
from ledger import queries
from ledger.models import entry
from ledger.moments import Moment
from redemption.lapsing import DueLapse, lapse
from redemption.models import workshop as workshops
from tests.app.running import an_instance
from tests.builders import CALENDAR, World, a_workshop, a_world, an_order, given, scanned
from tests.conftest import CREUSE, PARIS, REUNION, moment
from tests.together import together

LAST_DAY, AFTER = CALENDAR.present_by, date(2021, 2, 8)
RUNS_AT = ZoneInfo("Indian/Reunion")


def at(day: date, hour: int, minute: int, zone: ZoneInfo = PARIS) -> datetime:
    return datetime.combine(day, time(hour, minute), zone).astimezone(UTC)


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = at(LAST_DAY, 12, 0)

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def instance(database, tmp_path, clock) -> Instance:
    """Twenty passes of the Creuse: five used, five in people's hands, ten in stock."""
    with database.begin("23") as session:
        world = a_world(session)
        serials = an_order(session, world)
        given(session, *serials[:10])
        workshop = a_workshop(session)
        scanned(session, world, workshop, *serials[:5])
    return an_instance(database, tmp_path, clock)


def lapsed(instance: Instance, code: str = "23") -> dict[str | None, int]:
    with instance.database.begin(code, read_only=True) as session:
        held = queries.holdings(session, ["1"])
    return {h.party: h.cents for h in held if h.kind == "lapsed"}


def runs(instance: Instance, code: str = "23") -> list[date]:
    with instance.database.begin(code, read_only=True) as session:
        days = select(job_run.c.day).where(job_run.c.job == "lapse").order_by(job_run.c.day)
        return list(session.scalars(days))


def acts(instance: Instance, code: str = "23") -> int:
    with instance.database.begin(code, read_only=True) as session:
        found = session.scalars(select(entry.c.id).where(entry.c.kind == "lapsed")).all()
    return len(found)


NOTHING = {"circulating": 0, "stock": 0}
ALL = {"circulating": 5_000, "stock": 10_000}


def test_what_is_left_lapses_once(instance, clock):
    clock.now = at(AFTER, 0, 5)
    assert lapsed(instance) == NOTHING

    assert jobs.run_once_a_day(instance, "23", "lapse") == 2
    assert lapsed(instance) == ALL
    assert jobs.run_once_a_day(instance, "23", "lapse") is None
    clock.now = at(AFTER, 23, 59)
    assert jobs.run_once_a_day(instance, "23", "lapse") is None
    clock.now = at(date(2021, 2, 9), 0, 5)
    assert jobs.run_once_a_day(instance, "23", "lapse") == 0

    assert lapsed(instance) == ALL
    assert acts(instance) == 2
    assert runs(instance) == [AFTER, date(2021, 2, 9)]


def test_what_is_refused_is_not_counted_as_done(instance, clock, monkeypatch):
    clock.now = at(AFTER, 0, 5)
    found = jobs.due_lapses

    def and_one_that_is_not(session, today):
        return [*found(session, today), DueLapse(99, "stock")]

    monkeypatch.setattr(jobs, "due_lapses", and_one_that_is_not)
    assert jobs.run_once_a_day(instance, "23", "lapse") == 2
    assert lapsed(instance) == ALL


def test_the_presentation_day_is_over_first(instance, clock):
    clock.now = at(LAST_DAY, 0, 5)
    assert jobs.run_once_a_day(instance, "23", "lapse") == 0
    clock.now = at(LAST_DAY, 23, 59)
    assert jobs.run_once_a_day(instance, "23", "lapse") is None
    assert lapsed(instance) == NOTHING
    clock.now = at(AFTER, 0, 5)
    assert jobs.run_once_a_day(instance, "23", "lapse") == 2
    assert lapsed(instance) == ALL


def test_a_first_run_in_the_last_minute_of_the_presentation_day_lapses_nothing(
    instance, clock
):
    clock.now = at(LAST_DAY, 23, 59)
    assert jobs.run_once_a_day(instance, "23", "lapse") == 0
    assert lapsed(instance) == NOTHING
    clock.now = at(AFTER, 0, 0)
    assert jobs.run_once_a_day(instance, "23", "lapse") == 2


@pytest.fixture
def island(database, tmp_path, clock) -> Instance:
    """Twenty passes of La Réunion, where midnight comes three hours before Paris in winter."""
    with database.begin("974") as session:
        world = a_world(session, now=moment("2020-01-06", zone=RUNS_AT))
        an_order(session, world, now=moment("2020-01-07", zone=RUNS_AT))
    return an_instance(database, tmp_path, clock)


def test_the_day_is_over_when_it_is_over_there(island, clock):
    clock.now = at(LAST_DAY, 23, 59, RUNS_AT)
    assert jobs.run_once_a_day(island, "974", "lapse") == 0
    clock.now = at(AFTER, 0, 5, RUNS_AT)
    assert clock.now < at(LAST_DAY, 22, 0), "it is still the evening before in the Creuse"

    assert jobs.run_once_a_day(island, "974", "lapse") == 2

    assert lapsed(island, "974") == {"circulating": 0, "stock": 20_000}
    assert runs(island, "974") == [LAST_DAY, AFTER]


def test_two_departements_run_each_on_their_own_day(instance, clock):
    clock.now = at(LAST_DAY, 21, 30)
    for tenant in (CREUSE, REUNION):
        jobs.run_all(instance, tenant)
    assert runs(instance, "23") == [LAST_DAY]
    assert runs(instance, "974") == [AFTER]
    assert lapsed(instance) == NOTHING


def test_days_of_downtime_are_caught_up(instance, clock):
    clock.now = at(LAST_DAY, 0, 5)
    jobs.run_once_a_day(instance, "23", "lapse")
    clock.now = at(date(2021, 2, 20), 9, 17)

    assert jobs.run_all(instance, CREUSE) == {"lapse": 2, "forget_failures": 0}

    assert lapsed(instance) == ALL
    assert jobs.run_all(instance, CREUSE) == {"lapse": None, "forget_failures": None}
    assert runs(instance) == [LAST_DAY, date(2021, 2, 20)]


def test_failures_of_sign_ins_are_forgotten_after_a_day_and_no_sooner(instance, clock):
    def guessed(about: str) -> None:
        with instance.database.begin("23") as session:
            assert failures.guess(session, about, now=instance.moment("23")) is None

    def kept() -> int:
        with instance.database.begin("23", read_only=True) as session:
            return len(session.execute(select(sign_in_failures.c.digest)).all())

    clock.now = at(LAST_DAY, 23, 59)
    guessed("somebody who gave up")
    clock.now = at(AFTER, 0, 4)
    guessed("somebody who has only begun")
    clock.now = at(AFTER, 0, 5)
    assert jobs.run_once_a_day(instance, "23", "forget_failures") == 0
    clock.now = at(AFTER + timedelta(days=1), 0, 0)
    assert jobs.run_once_a_day(instance, "23", "forget_failures") == 1
    assert jobs.run_once_a_day(instance, "23", "forget_failures") is None
    assert kept() == 1


def test_what_a_job_did_is_in_the_log_when_it_ends_on_sqlite(instance, clock):
    clock.now = at(AFTER, 0, 5)
    jobs.run_all(instance, CREUSE)
    if not instance.database.place.sequencer_is_apart:
        with instance.database.begin("23") as session:
            assert queries.waiting(session) == 0


def test_several_processes_at_once_do_it_once(instance, clock):
    clock.now = at(AFTER, 0, 5)

    results = together(4, lambda: jobs.run_once_a_day(instance, "23", "lapse"))

    assert sum(result or 0 for result in results) == 2
    assert acts(instance) == 2
    assert runs(instance) == [AFTER]
    assert lapsed(instance) == ALL


class Crash(Exception):
    """The power goes."""


def test_a_job_that_crashes_leaves_no_half_and_goes_on_where_it_was(
    instance, clock, monkeypatch
):
    def crash(session, *args, **kwargs):
        answer = lapse(session, *args, **kwargs)
        if answer.facts["stage"] == "circulating":
            raise KeyboardInterrupt  # no error: the process is told to end
        return answer

    clock.now = at(AFTER, 0, 5)
    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(jobs, "lapse", crash)
        with pytest.raises(KeyboardInterrupt):
            jobs.run_once_a_day(instance, "23", "lapse")

    assert runs(instance) == []
    assert lapsed(instance) == {"circulating": 0, "stock": 10_000}
    assert jobs.run_once_a_day(instance, "23", "lapse") == 1
    assert lapsed(instance) == ALL
    assert runs(instance) == [AFTER]


def test_what_fails_stops_neither_the_other_lapses_nor_the_other_jobs(
    instance, clock, monkeypatch, caplog
):
    def crash(session, request, **kwargs):
        answer = lapse(session, request, **kwargs)
        if request.stage == "stock":
            raise Crash
        return answer

    clock.now = at(AFTER, 0, 5)
    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(jobs, "lapse", crash)
        night = jobs.run_all(instance, CREUSE)

    assert night == {"lapse": jobs.FAILED, "forget_failures": 0}
    assert "lapse: 1 of 2" in caplog.text
    assert lapsed(instance) == {"circulating": 5_000, "stock": 0}
    if not instance.database.place.sequencer_is_apart:
        with instance.database.begin("23", read_only=True) as session:
            assert queries.waiting(session) == 0
    # The day is not done: the next try does what is left of it, and that alone.
    clock.now = at(AFTER, 1, 0)
    assert jobs.run_all(instance, CREUSE) == {"lapse": 1, "forget_failures": None}
    assert lapsed(instance) == ALL
    assert runs(instance) == [AFTER]


@pytest.fixture
def ten_orders(database, tmp_path, clock) -> tuple[Instance, World, list[str]]:
    """Ten orders of one carnet each, all handed out."""
    with database.begin("23") as session:
        world = a_world(session)
        firsts = [an_order(session, world, 1)[0] for _ in range(10)]
        given(session, firsts[1])
        given(session, firsts[9])
        a_workshop(session)
    return an_instance(database, tmp_path, clock), world, firsts


@pytest.mark.parametrize(
    "database", [pytest.param("postgres", marks=pytest.mark.postgres)], indirect=True
)
def test_the_lapses_of_a_night_and_a_queue_of_scans_never_wait_for_each_other_in_a_ring(
    ten_orders, clock
):
    """A queue has a pass of order 10 in hand, then asks for one of order 2, while both lapse."""
    instance, world, firsts = ten_orders
    clock.now = at(AFTER, 0, 5)
    came = Moment(at(LAST_DAY, 23, 0), PARIS)
    night: list[int | None] = []
    with instance.database.begin("23") as session:
        workshop = session.scalars(select(workshops.c.id)).one()
        [before] = scanned(session, world, workshop, firsts[9], now=came)
        running = threading.Thread(
            target=lambda: night.append(jobs.run_once_a_day(instance, "23", "lapse"))
        )
        running.start()
        # Orders 1 to 9 lapse meanwhile, in stock and in hand, and the stock of the tenth waits.
        for _ in range(3_000):
            if acts(instance) == 18:
                break
            threading.Event().wait(0.01)
        [after] = scanned(session, world, workshop, firsts[1], now=came)
    running.join(10)

    assert (before.verdict, after.verdict) == ("accepted", "lapsed")
    assert night == [20]
    assert runs(instance) == [AFTER]


def test_jobs_that_start_together_leave_every_cent_in_one_place(instance, clock):
    clock.now = at(AFTER, 0, 5)
    together(3, lambda: jobs.run_all(instance, CREUSE))
    with instance.database.begin("23") as session:
        held = {(h.kind, h.party): h.cents for h in queries.holdings(session, ["1"])}
    assert held["stock", None] == held["circulating", None] == 0
    assert held["due", "1"] == 5_000


def test_every_departement_is_scheduled_at_its_own_five_past_midnight(instance):
    scheduler = jobs.schedule(instance)
    nightly = {job.id: job for job in scheduler.get_jobs() if job.id.startswith("nightly")}
    assert set(nightly) == {"nightly-23", "nightly-974"}
    evening = at(LAST_DAY, 18, 0)
    due = {
        name: job.trigger.get_next_fire_time(None, evening) for name, job in nightly.items()
    }
    assert due["nightly-974"] == at(AFTER, 0, 5, RUNS_AT)
    assert due["nightly-23"] == at(AFTER, 0, 5)
    # The clocks go forward and back at 02:00: five past midnight exists, once, on both days.
    for day in (date(2021, 3, 28), date(2021, 10, 31)):
        midday_before = at(date.fromordinal(day.toordinal() - 1), 12, 0)
        fires = nightly["nightly-23"].trigger.get_next_fire_time(None, midday_before)
        assert fires == at(day, 0, 5)


def test_jobs_run_at_once_and_stop_when_told(instance, clock):
    clock.now = at(AFTER, 9, 0)
    stop = threading.Event()
    running = threading.Thread(target=jobs.run_until, args=(instance, stop))
    running.start()
    try:
        deadline = threading.Event()
        for _ in range(3_000):
            if acts(instance) == 2 and runs(instance, "974") == [AFTER]:
                break
            deadline.wait(0.02)
    finally:
        stop.set()
        running.join(10)
    assert not running.is_alive()
    assert lapsed(instance) == ALL
    assert runs(instance, "974") == [AFTER]
