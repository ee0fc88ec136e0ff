"""Long work is done once: asked for twice, killed in the middle, taken by two, or hopeless."""

import signal
import subprocess
import threading
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import func, insert, select, update
from sqlalchemy.exc import IntegrityError, OperationalError

from app.database import Database, FilesPlace
from app.instance import Instance
from app.works import doing, site_lists
from app.works.asking import AskWork, Work, WorkReused, ask, find, results
from app.works.doing import LEASE, TRIES, Piece, Worker, do_all, work_until
from app.works.kinds import KINDS
from app.works.models import INPUT_MAX, work, work_result
from ledger.identifiers import new_id
from ledger.models import entry
from ledger.moments import Moment
from ledger.refusal import Refusal
from redemption.import_sites import import_sites
from redemption.models import site
from tests.app.running import PASSNUM, an_instance, environment
from tests.app.visiting import Clock, a_list, an_import
from tests.builders import a_world

ROWS = [
    f"l-{n},{'' if n % 3 else '35600000000048'},Lieu {n},Guéret,{23000 if n % 7 else '2'},rue {n},2020-01-0{n % 9 + 1}"
    for n in range(1, 101)
] + ["l-1,,Le même,Guéret,23000,rue 1,2020-01-01"]
LIST = a_list(*ROWS)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def instance(database: Database, tmp_path, clock: Clock) -> Instance:
    with database.begin("23") as session:
        a_world(session)
    return an_instance(database, tmp_path, clock)


def now(instance: Instance) -> Moment:
    return instance.moment("23")


def asked(instance: Instance, data: bytes = LIST, **more: Any) -> UUID:
    with instance.database.begin("23") as session:
        return an_import(session, data, now=now(instance), **more)


def told(instance: Instance, which: UUID) -> Work:
    with instance.database.begin("23", read_only=True) as session:
        found = find(session, which)
    assert found is not None
    return found


def told_by_row(instance: Instance, which: UUID) -> list[dict[str, Any]]:
    with instance.database.begin("23", read_only=True) as session:
        return results(session, which)


def kept(instance: Instance, code: str = "23") -> list[tuple[Any, ...]]:
    """The sites of the list, and how many entries tell of each."""
    with instance.database.begin(code, read_only=True) as session:
        rows = session.execute(
            select(site.c.national_id, site.c.name, site.c.siret, site.c.details)
            .where(site.c.national_id.like("l-%"))
            .order_by(site.c.national_id)
        )
        return [tuple(row) for row in rows]


def entries(instance: Instance) -> int:
    with instance.database.begin("23", read_only=True) as session:
        chosen = select(func.count()).where(entry.c.kind == "site_kept")
        return session.scalars(chosen).one()


@pytest.fixture
def uninterrupted(instance: Instance) -> tuple[list[Any], list[Any]]:
    """What the command makes of the same list, elsewhere: its rows, and its sites."""
    with instance.database.begin("974") as session:
        rows = import_sites(
            session, LIST, all_or_nothing=False, by="test", now=now(instance)
        )
    return [site_lists.told(row) for row in rows], kept(instance, "974")


def is_whole(instance: Instance, which: UUID, uninterrupted: tuple[list[Any], list[Any]]):
    found = told(instance, which)
    assert (found.refused, found.done) == (None, len(ROWS))
    assert (told_by_row(instance, which), kept(instance)) == uninterrupted
    assert found.outcome["verdicts"]["refused"] == 15
    assert entries(instance) == 2 + len(uninterrupted[1]), "two sites were there"


def test_a_work_is_done_piece_by_piece_and_its_input_goes(instance, uninterrupted):
    which = asked(instance)
    worker = Worker(instance, KINDS)
    seen = []
    while worker.step("23"):
        seen.append(told(instance, which).done)
    assert seen == [40, 80, 101]
    is_whole(instance, which, uninterrupted)
    with instance.database.begin("23", read_only=True) as session:
        row = session.execute(select(work)).one()
    assert (row.input, row.holder, row.held_until) == (None, None, None)


def test_the_same_work_asked_twice_is_one_and_another_under_its_id_is_refused(instance):
    request = AskWork(new_id(), "x", {"a": 1}, 2, b"given")
    with instance.database.begin("23") as session:
        assert ask(session, request, by="test", now=now(instance))
    with instance.database.begin("23") as session:
        assert not ask(session, request, by="test", now=now(instance))
        for other in ({"input": b"other"}, {"request": {"a": 2}}, {"kind": "y"}):
            fields = {f: getattr(request, f) for f in request.__struct_fields__} | other
            with pytest.raises(WorkReused):
                ask(session, AskWork(**fields), by="test", now=now(instance))
    with instance.database.begin("974", read_only=True) as session:
        assert find(session, request.id) is None


def test_a_work_has_something_to_do_on_little_enough(instance):
    with instance.database.begin("23") as session:
        for total, given in ((0, b"x"), (1, b"x" * (INPUT_MAX + 1))):
            with pytest.raises(ValueError, match="2 MB"):
                ask(
                    session,
                    AskWork(new_id(), "x", {}, total, given),
                    by="test",
                    now=now(instance),
                )


def test_after_a_kill_between_pieces_another_goes_on_once_the_lease_is_out(
    instance, clock, uninterrupted
):
    which = asked(instance)
    assert Worker(instance, KINDS).step("23")
    clock.at += LEASE - timedelta(seconds=1)
    second = Worker(instance, KINDS)
    assert not second.step("23"), "the first may still be at it"
    clock.at += timedelta(seconds=1)
    while second.step("23"):
        pass
    is_whole(instance, which, uninterrupted)


class Killed(BaseException):
    """What nothing catches."""


def test_after_a_kill_inside_a_piece_nothing_is_lost_or_doubled(
    instance, clock, uninterrupted, monkeypatch
):
    which = asked(instance)
    worker = Worker(instance, KINDS)
    worker.step("23")
    with monkeypatch.context() as patch:
        patch.setattr(doing, "report", lambda *_: (_ for _ in ()).throw(Killed))
        with pytest.raises(Killed):
            worker.step("23")
    assert (told(instance, which).done, len(told_by_row(instance, which))) == (40, 40)
    # The day after: the verdicts are those of the day when the list was sent.
    clock.at += timedelta(days=1)
    do_all(instance, KINDS)
    is_whole(instance, which, uninterrupted)


def test_who_lost_the_lease_does_nothing_more(instance, clock, uninterrupted):
    which = asked(instance)
    first, second = Worker(instance, KINDS), Worker(instance, KINDS)
    first.step("23")
    clock.at += LEASE
    second.step("23")
    assert told(instance, which).done == 80
    assert first.step("23"), "it finds out"
    assert told(instance, which).done == 80
    assert not first.step("23")
    first.let_go()
    second.step("23")
    is_whole(instance, which, uninterrupted)


def test_several_workers_at_once_do_each_piece_once(instance, uninterrupted):
    which = asked(instance)
    others = [asked(instance) for _ in range(3)]
    begin = threading.Barrier(4)

    def run() -> None:
        begin.wait()
        do_all(instance, KINDS)

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    do_all(instance, KINDS)
    same = [told(instance, other) for other in (which, *others)]
    assert {(w.done, w.refused, w.finished_at is None) for w in same} == {
        (101, None, False)
    }
    assert kept(instance) == uninterrupted[1]
    assert entries(instance) == 2 + len(uninterrupted[1])


def test_a_worker_that_stops_lets_another_go_on_at_once(instance, uninterrupted):
    which = asked(instance)
    first = Worker(instance, KINDS)
    first.step("23")
    first.let_go()
    do_all(instance, KINDS)
    is_whole(instance, which, uninterrupted)


def test_all_or_nothing_with_a_bad_row_writes_nothing(instance):
    before = entries(instance)
    which = asked(instance, all_or_nothing=True)
    do_all(instance, KINDS)
    found = told(instance, which)
    assert (found.refused, found.done) == ("import_refused", 101)
    assert found.outcome["lines"][0] == "8"
    assert found.outcome["lines"][-1] == "…"
    assert {row["kept"] for row in told_by_row(instance, which)} == {"no"}
    assert (kept(instance), entries(instance)) == ([], before)


def test_all_or_nothing_without_a_bad_row_keeps_all(instance):
    which = asked(instance, a_list(*ROWS[:6]), all_or_nothing=True)
    do_all(instance, KINDS)
    assert told(instance, which).refused is None
    assert len(kept(instance)) == 6


class Told(Refusal):
    """A refusal that a work may come to."""

    code = "no_rows"


def steps(act: Callable[[int], object]) -> Any:
    class Steps:
        def __init__(self, *_given: object) -> None:
            pass

        def do(self, _session: object, start: int, _now: Moment) -> Piece:
            act(start)
            return Piece(1, [{"unit": start}])

        def outcome(self, _session: object) -> tuple[str | None, dict[str, Any]]:
            return None, {}

    return Steps


def another(instance: Instance, total: int = 3) -> UUID:
    which = new_id()
    with instance.database.begin("23") as session:
        assert ask(session, AskWork(which, "x", {}, total), by="test", now=now(instance))
    return which


def at_the_second(no: BaseException) -> Callable[[int], object]:
    def act(start: int) -> None:
        if start == 1:
            raise no

    return act


@pytest.mark.parametrize(
    ("no", "code"),
    [(RuntimeError("a bug"), "work_failed"), (Told(), "no_rows")],
    ids=["unforeseen", "refused"],
)
def test_a_work_that_cannot_go_on_says_so_and_keeps_what_was_done(instance, no, code):
    which = another(instance)
    do_all(instance, {"x": steps(at_the_second(no))})
    found = told(instance, which)
    assert (found.refused, found.done) == (code, 1)
    assert found.finished_at is not None
    assert told_by_row(instance, which) == [{"unit": 0}]


def test_a_kind_that_nobody_knows_is_given_up(instance):
    which = another(instance)
    do_all(instance, {})
    assert told(instance, which).refused == "work_failed"


def test_a_database_that_is_busy_is_waited_for(instance, clock):
    which = another(instance)
    busy = OperationalError("x", {}, Exception("busy"))
    do_all(instance, {"x": steps(at_the_second(busy))})
    assert (told(instance, which).done, told(instance, which).refused) == (1, None)
    clock.at += LEASE
    do_all(instance, {"x": steps(lambda _start: None)})
    assert (told(instance, which).done, told(instance, which).refused) == (3, None)


def test_a_work_that_kills_who_takes_it_is_given_up(instance, clock):
    which = another(instance)

    def die(_start: int) -> None:
        raise Killed

    for _ in range(TRIES):
        with pytest.raises(Killed):
            do_all(instance, {"x": steps(die)})
        clock.at += LEASE
    do_all(instance, {"x": steps(die)})
    assert told(instance, which).refused == "work_failed"


def test_a_long_work_may_be_taken_often_while_it_goes_forward(instance, clock):
    which = another(instance, total=TRIES + 3)
    for _ in range(TRIES + 3):
        worker = Worker(instance, {"x": steps(lambda _start: None)})
        worker.step("23")
        clock.at += LEASE
    assert (told(instance, which).refused, told(instance, which).done) == (None, TRIES + 3)


@pytest.mark.postgres
@pytest.mark.parametrize("database", ["postgres"], indirect=True)
def test_a_piece_longer_than_its_lease_is_not_taken_by_another(instance, clock):
    which = another(instance, total=2)
    other = Worker(instance, {"x": steps(lambda _start: None)})
    taken = []

    def long(_start: int) -> None:
        clock.at += 2 * LEASE
        taken.append(other.step("23"))

    do_all(instance, {"x": steps(long)})
    assert taken == [False, False]
    assert told(instance, which).done == 2


def test_a_unit_is_told_once_and_of_a_work_that_exists(instance):
    which = another(instance)
    do_all(instance, {"x": steps(lambda _start: None)})
    for told_of, broken in ((which, "(?i)unique"), (new_id(), "(?i)foreign key")):
        with (
            pytest.raises(IntegrityError, match=broken),
            instance.database.begin("23") as session,
        ):
            line = {"work": told_of, "number": 0, "body": "{}"}
            session.execute(insert(work_result).values(line))


def test_what_is_finished_keeps_no_input(instance):
    which = another(instance)
    with (
        pytest.raises(IntegrityError, match="ck_work_end_lets_go"),
        instance.database.begin("23") as session,
    ):
        session.execute(
            update(work)
            .where(work.c.id == which)
            .values(finished_at=now(instance).at, outcome="{}", refused="x", input=b"kept")
        )


def test_a_worker_wakes_up_within_a_second_and_stops_when_told(instance):
    stop = threading.Event()
    thread = threading.Thread(target=work_until, args=(instance, stop, KINDS))
    thread.start()
    try:
        which = asked(instance)
        until = time.monotonic() + 60
        while told(instance, which).finished_at is None and time.monotonic() < until:
            time.sleep(0.05)
        assert told(instance, which).finished_at is not None
    finally:
        stop.set()
        thread.join(10)
    assert not thread.is_alive()


def test_a_program_killed_at_work_is_taken_over_by_another(
    instance, tmp_path, uninterrupted
):
    if not isinstance(instance.database.place, FilesPlace):
        pytest.skip("the program is started over files only: the leases are the same")
    many = [f"m-{n},,Lieu {n},Guéret,23000,rue {n},2020-01-01" for n in range(2_000)]
    which = asked(instance, a_list(*many))
    env = environment(PASSNUM_DATA_DIR=str(tmp_path))
    with subprocess.Popen([PASSNUM, "jobs"], env=env) as program:
        until = time.monotonic() + 60
        while told(instance, which).done < 80 and time.monotonic() < until:
            time.sleep(0.02)
        program.send_signal(signal.SIGKILL)
    found = told(instance, which)
    assert 80 <= found.done < 2_000
    assert len(told_by_row(instance, which)) == found.done
    assert found.held_until is not None

    def later() -> datetime:
        assert found.held_until is not None
        return found.held_until

    do_all(an_instance(instance.database, tmp_path, later), KINDS)
    rows = told_by_row(instance, which)
    assert [row["id"] for row in rows] == [f"m-{n}" for n in range(2_000)]
    assert {row["kept"] for row in rows} == {"new"}
    assert entries(instance) == 2 + 2_000
