"""A full disk, a writer that hangs, a clock set back: what was acknowledged is there, and the rest can be sent again."""

import threading
import time
from datetime import timedelta

import pytest
from litestar.testing import TestClient
from sqlalchemy import event, func, select, text
from sqlalchemy.exc import OperationalError

from app.audit import audit_departement
from app.database import FilesPlace
from app.devices import new_device
from app.web import create_app
from ledger import canonical, queries
from ledger.identifiers import new_id
from ledger.models import attempt, entry, log_leaf
from ledger.moments import Moment
from tests.app.running import an_instance
from tests.builders import a_workshop, a_world, an_order, given, scanned, sequence
from tests.conftest import PARIS, as_superuser, moment

NOW = moment("2020-02-03", 14)


class Disk:
    """The disk of a database, which a test fills."""

    def __init__(self, database, request):
        self.database, self.request, self.full = database, request, False
        self.on_files = isinstance(database.place, FilesPlace)
        if self.on_files:
            for engine in database.place._engines.values():
                event.listen(engine, "begin", self._limit)

    def _limit(self, connection):
        """SQLite lets a connection say how many pages there may be: as many as there are."""
        most = 1 if self.full else 1_000_000
        connection.exec_driver_sql(f"PRAGMA max_page_count = {most}")

    def fill(self, *, full: bool = True) -> None:
        self.full = full
        if self.on_files:
            return
        engine = as_superuser(self.database, self.request)
        with engine.begin() as connection:
            connection.execute(text("SET LOCAL search_path = d23"))
            if full:  # what the server says when it cannot extend a file
                connection.execute(
                    text(
                        "CREATE FUNCTION no_room() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
                        " RAISE EXCEPTION 'could not extend file' USING ERRCODE = 'disk_full'; END $$"
                    )
                )
                connection.execute(
                    text(
                        "CREATE TRIGGER no_room BEFORE INSERT ON pending"
                        " FOR EACH STATEMENT EXECUTE FUNCTION no_room()"
                    )
                )
            else:
                connection.execute(text("DROP FUNCTION no_room CASCADE"))
        engine.dispose()


def counted(database) -> tuple[int, int]:
    with database.begin("23", read_only=True) as session:
        return tuple(
            session.scalar(select(func.count()).select_from(t)) for t in (attempt, entry)
        )


def findings(database) -> list[str]:
    with database.begin("23", read_only=True) as session:
        return [f"{n}: {f.code}" for n, check in audit_departement(session) for f in check]


@pytest.fixture
def world(database):
    with database.begin("23") as session:
        made = a_world(session)
        made.serials = an_order(session, made, 8)
        given(session, *made.serials[:20])
        made.workshop = a_workshop(session)
    return made


def test_a_full_disk_keeps_all_or_nothing_and_the_phone_sends_again(
    database, world, request, tmp_path
):
    with database.begin("23") as session:
        _, token = new_device(session, "23", scope="site", at="lieu-1", label="x", now=NOW)
    headers = {"Authorization": f"Bearer {token}"}

    def queue(*serials):
        return [
            {"id": str(new_id()), "token": world.token(s), "workshop": str(world.workshop), "at": "2020-02-03T12:00:00Z"}
            for s in serials
        ]  # fmt: skip

    disk = Disk(database, request)
    with TestClient(create_app(an_instance(database, tmp_path))) as phone:
        phone.headers.update(headers)
        first = phone.post("/api/v1/scans", json=queue(*world.serials[:3]))
        assert [v["verdict"] for v in first.json()] == ["accepted"] * 3
        sequence(database)
        before = counted(database)

        disk.fill()
        # Enough of them that no room left in half-filled pages would do.
        waiting = queue(*world.serials[3:19])
        for _ in range(2):
            told = phone.post("/api/v1/scans", json=waiting)
            assert told.status_code == 503, told.text
            assert told.json()["code"] == "unavailable"
            assert told.headers["retry-after"] == "30"
            assert counted(database) == before
        disk.fill(full=False)

        again = phone.post("/api/v1/scans", json=waiting)
        assert [v["verdict"] for v in again.json()] == ["accepted"] * 16
        assert phone.post("/api/v1/scans", json=waiting).json() == [
            v | {"replayed": True} for v in again.json()
        ]
        sequence(database)
        assert findings(database) == []


def test_a_sequencer_without_room_leaves_everything_waiting(database, world, request):
    sequence(database)
    disk = Disk(database, request)
    with database.begin("23") as session:
        for _ in range(4):
            scanned(session, world, world.workshop, *world.serials[:20])
    with database.begin("23", read_only=True) as session:
        waiting = queries.waiting(session)
    assert waiting == 20
    if disk.on_files:
        disk.fill()
        with pytest.raises(OperationalError):
            for _ in range(50):  # until what room was left in its pages is used
                sequence(database)
                with database.begin("23") as session:
                    given(session, *world.serials[20:21])
        disk.fill(full=False)
    sequence(database)
    with database.begin("23", read_only=True) as session:
        assert queries.waiting(session) == 0
    assert findings(database) == []


@pytest.mark.postgres
@pytest.mark.parametrize("database", ["postgres"], indirect=True)
def test_a_writer_that_hangs_makes_only_itself_late(database, world):
    """The oldest number in the queue commits last: nobody waits for it, and it is not forgotten."""
    sequence(database)
    hung, go_on = threading.Event(), threading.Event()

    def writer():
        with database.begin("23") as session:
            scanned(session, world, world.workshop, world.serials[0])
            hung.set()
            go_on.wait(20)

    thread = threading.Thread(target=writer)
    thread.start()
    assert hung.wait(10)
    try:
        with database.begin("23") as session:
            scanned(session, world, world.workshop, *world.serials[1:4])
        started = time.monotonic()
        sequence(database)
        assert time.monotonic() - started < 15
        with database.begin("23", read_only=True) as session:
            assert queries.waiting(session) == 0
            early = session.scalar(select(func.count()).select_from(log_leaf))
    finally:
        go_on.set()
        thread.join()
    sequence(database)
    with database.begin("23", read_only=True) as session:
        assert session.scalar(select(func.count()).select_from(log_leaf)) == early + 1
        last = session.scalar(
            select(entry.c.subject)
            .join(log_leaf, log_leaf.c.entry_id == entry.c.id)
            .order_by(log_leaf.c.idx.desc())
            .limit(1)
        )
    assert last == world.serials[0]
    assert findings(database) == []


def test_a_clock_set_back_changes_dates_and_no_order(database, world):
    """Order is the place in the log, never the time that an entry bears."""
    sequence(database)
    back = Moment(NOW.at - timedelta(days=20), PARIS)
    with database.begin("23") as session:
        scanned(session, world, world.workshop, world.serials[0], now=NOW)
    sequence(database, now=NOW)
    with database.begin("23") as session:
        scanned(session, world, world.workshop, world.serials[1], now=back)
    sequence(database, now=back)
    with database.begin("23", read_only=True) as session:
        rows = session.execute(
            select(entry.c.subject, entry.c.recorded_at)
            .join(log_leaf, log_leaf.c.entry_id == entry.c.id)
            .where(entry.c.kind == "redeemed")
            .order_by(log_leaf.c.idx)
        ).all()
    assert [subject for subject, _ in rows] == world.serials[:2]
    assert rows[0].recorded_at > rows[1].recorded_at
    assert findings(database) == []


def test_a_library_that_writes_json_otherwise_changes_no_old_leaf(
    database, world, monkeypatch
):
    """Bodies are stored and hashed as they were written: what writes the next ones does not matter to them."""
    with database.begin("23") as session:
        scanned(session, world, world.workshop, world.serials[0])
    sequence(database)
    written = canonical.encode
    with monkeypatch.context() as m:
        m.setattr(canonical, "encode", lambda value: b" " + written(value) + b" ")
        with database.begin("23") as session:
            scanned(session, world, world.workshop, world.serials[1])
        sequence(database)
        assert findings(database) == []
    assert findings(database) == []
    with database.begin("23", read_only=True) as session:
        bodies = session.scalars(
            select(entry.c.body)
            .join(log_leaf, log_leaf.c.entry_id == entry.c.id)
            .order_by(log_leaf.c.idx.desc())
            .limit(2)
        ).all()
    assert [body[:1] for body in bodies] == [b" ", b"{"]
