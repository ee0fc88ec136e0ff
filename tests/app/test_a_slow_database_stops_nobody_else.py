"""A flush that waits for its database lets the rest of the server answer, and a broken connection is replaced."""

import asyncio
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from litestar.testing import TestClient
from sqlalchemy import select, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from app import remembered
from app.database import Database, FilesPlace, PostgresPlace, is_out_of_service
from app.devices import new_device
from app.loop_database import LoopDatabase
from app.web import create_app
from ledger.identifiers import new_id
from ledger.models import gate
from tests.app.running import FEBRUARY, an_instance
from tests.builders import World, a_workshop, a_world, an_order, given
from tests.conftest import as_superuser, moment

MANY = 6
on_a_server = pytest.mark.parametrize(
    "database", [pytest.param("postgres", marks=pytest.mark.postgres)], indirect=True
)


@dataclass
class Site:
    """A server, and a phone at a site with passes to scan."""

    http: TestClient[Any]
    database: Database
    world: World
    serials: list[str]
    workshop: str
    token: str

    def scan(self) -> httpx.Response:
        scan = {
            "id": str(new_id()), "token": self.world.token(self.serials.pop()),
            "workshop": self.workshop, "at": FEBRUARY.isoformat(),
        }  # fmt: skip
        return self.send([scan])

    def send(self, queue: list[dict[str, Any]]) -> httpx.Response:
        signed = {"Authorization": f"Bearer {self.token}"}
        return self.http.post("/api/v1/scans", json=queue, headers=signed)


def words(answer: httpx.Response) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [verdict["verdict"] for verdict in answer.json()]


@pytest.fixture
def site(database, tmp_path) -> Iterator[Site]:
    with database.begin("23") as session:
        world = a_world(session)
        serials = an_order(session, world, 4)
        given(session, *serials)
        workshop = str(a_workshop(session))
        _id, token = new_device(
            session, "23", scope="site", at="lieu-1", label="site",
            now=moment("2020-02-03", 14),
        )  # fmt: skip
    with TestClient(create_app(an_instance(database, tmp_path))) as http:
        yield Site(http, database, world, serials, workshop, token)


def test_while_a_scan_waits_for_a_lock_others_are_answered(site):
    assert words(site.scan()) == ["accepted"]
    with ThreadPoolExecutor(3) as phones:
        # On SQLite whoever writes is alone; on PostgreSQL the gates of the order are held.
        with site.database.begin("23") as session:
            if not isinstance(site.database.place, FilesPlace):
                session.execute(select(gate).with_for_update())
            waiting = [phones.submit(site.scan) for _ in range(3)]
            time.sleep(0.2)
            for _ in range(5):
                assert site.http.get("/health").status_code == 200
            assert not any(scan.done() for scan in waiting)
        assert [words(scan.result(60)) for scan in waiting] == [["accepted"]] * 3


def test_keys_that_are_read_again_hold_up_nobody(site, monkeypatch):
    """Every few seconds the keys are read anew, and the scans that wait for it are judged after it."""
    monkeypatch.setattr(remembered, "SECONDS", -1.0)
    with ThreadPoolExecutor(8) as phones:
        sent = [phones.submit(site.scan) for _ in range(8)]
        assert [words(scan.result(60)) for scan in sent] == [["accepted"]] * 8


def test_a_connection_that_was_cut_is_replaced_and_the_scan_counts_once(site, request):
    assert words(site.scan()) == ["accepted"]
    scan = {
        "id": str(new_id()), "token": site.world.token(site.serials.pop()),
        "workshop": site.workshop, "at": FEBRUARY.isoformat(),
    }  # fmt: skip
    if not isinstance(site.database.place, FilesPlace):  # a file has no connection to cut
        cut_every_connection(site.database, request)
    answers = [site.send([scan]) for _ in range(3)]
    assert {answer.status_code for answer in answers} <= {200, 503}
    assert words(answers[-1]) == ["accepted"]
    assert words(site.scan()) == ["accepted"]


@on_a_server
@pytest.mark.parametrize("on_the_loop", [False, True], ids=["in threads", "on the loop"])
def test_after_the_server_of_the_database_began_anew_one_attempt_fails(
    database, request, on_the_loop
):
    """Each connection that rested is dead; whoever meets the first of them has all of them replaced."""

    async def story() -> list[str]:
        loop_database = LoopDatabase(database, database.place)
        await asyncio.gather(
            *(loop_database.act("23", pause) for _ in range(MANY)),
            *(asyncio.to_thread(in_a_thread, pause) for _ in range(MANY)),
        )
        cut_every_connection(database, request)
        told = []
        for _ in range(MANY):
            try:
                if on_the_loop:
                    await loop_database.act("23", one)
                else:
                    in_a_thread(one)
                told.append("done")
            except OperationalError as error:
                told.append("out of service" if is_out_of_service(error) else "failed")
        await loop_database.close()
        return told

    def in_a_thread(work: Callable[[Session], object]) -> None:
        with database.begin("23") as session:
            work(session)

    assert asyncio.run(story()) == ["out of service", *["done"] * (MANY - 1)]


def one(session: Session) -> None:
    session.execute(text("SELECT 1"))


def pause(session: Session) -> None:
    """Keep a connection for as long as the others take theirs."""
    session.execute(text("SELECT pg_sleep(0.5)"))


@on_a_server
def test_a_network_that_falls_silent_is_noticed_unless_the_address_says_otherwise(
    database, server
):
    name = database.place.engine("app").url.database or ""
    for more, idle in (("", "30"), ("&keepalives_idle=300", "300")):
        place = PostgresPlace({"app": server.url(name, "passnum_app") + more})
        with place.connection("23") as connection:
            told = connection.connection.driver_connection.info.get_parameters()
        place.close()
        assert (told["keepalives_idle"], told["tcp_user_timeout"]) == (idle, "60000")


@on_a_server
def test_that_no_connection_is_free_is_told_as_a_database_that_is_out_of_service(
    database, server
):
    url = server.url(database.place.engine("app").url.database or "", "passnum_app")
    place = PostgresPlace({"app": url}, pool_size=1, max_overflow=0, pool_timeout=0.1)
    with place.connection("23"):
        with pytest.raises(OperationalError) as busy, place.connection("974"):
            pass
        assert is_out_of_service(busy.value)
    place.close()


def cut_every_connection(database: Database, request: pytest.FixtureRequest) -> None:
    superuser = as_superuser(database, request)
    with superuser.connect() as connection:
        cut = connection.execute(
            text(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        )
        assert cut.rowcount > 0
    superuser.dispose()
