"""A flush that waits for its database lets the rest of the server answer, and a broken connection is replaced."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from litestar.testing import TestClient
from sqlalchemy import select, text

from app import instance
from app.database import Database, FilesPlace
from app.devices import new_device
from app.web import create_app
from ledger.identifiers import new_id
from ledger.models import gate
from tests.app.running import FEBRUARY, an_instance
from tests.builders import World, a_workshop, a_world, an_order, given
from tests.conftest import as_superuser, moment


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
        assert [words(scan.result(10)) for scan in waiting] == [["accepted"]] * 3


def test_keys_that_are_read_again_hold_up_nobody(site, monkeypatch):
    """Every few seconds the keys are read anew, and the scans that wait for it are judged after it."""
    monkeypatch.setattr(instance, "KEYRING_SECONDS", -1.0)
    with ThreadPoolExecutor(8) as phones:
        sent = [phones.submit(site.scan) for _ in range(8)]
        assert [words(scan.result(10)) for scan in sent] == [["accepted"]] * 8


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
