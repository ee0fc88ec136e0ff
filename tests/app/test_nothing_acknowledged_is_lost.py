"""Nothing acknowledged is lost: real servers are killed in the middle, and asked again."""

import socket
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import select

from app.database import Database, FilesPlace
from app.devices import new_device
from funding.tranches import Calendar
from ledger import queries
from ledger.audit import CHECKS
from ledger.identifiers import new_id
from ledger.models import entry
from ledger.moments import Moment
from tests.app.running import PASSNUM, environment, passnum
from tests.builders import SECRET, World, a_workshop, a_world, an_order, given
from tests.conftest import ENGINES, PARIS, a_database

PHONES = 6
YEAR = timedelta(days=365)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@dataclass
class Place:
    """A département with passes in people's hands today, and the programs that serve it."""

    database: Database
    folder: Path
    world: World
    held: list[str]
    workshop: str
    token: str
    port: int = field(default_factory=free_port)

    @property
    def on_sqlite(self) -> bool:
        return isinstance(self.database.place, FilesPlace)

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def words(self) -> list[str]:
        return ["--data-dir", str(self.folder)] if self.on_sqlite else []

    def environment(self) -> dict[str, str]:
        sealed = environment(PASSNUM_KEY_PASSPHRASE=SECRET.decode())
        if self.on_sqlite:
            return sealed
        names = {"app": "DATABASE", "owner": "OWNER", "sequencer": "SEQUENCER"}
        return sealed | {
            f"PASSNUM_{name}_URL": self.database.place.engine(role).url.render_as_string(
                hide_password=False
            )
            for role, name in names.items()
        }

    @contextmanager
    def program(self, *words: str) -> Iterator["subprocess.Popen[bytes]"]:
        """Start a program of ours; whatever is left of it is killed at the end."""
        command = [PASSNUM, *words, *self.words]
        with (self.folder / "printed").open("ab") as printed:
            running = subprocess.Popen(
                command, env=self.environment(), stdout=printed, stderr=printed
            )
        try:
            yield running
        finally:
            running.kill()
            running.wait()

    @contextmanager
    def serving(self) -> Iterator["subprocess.Popen[bytes]"]:
        """Serve until the end of the block, once the server answers."""
        apart = [] if self.on_sqlite else ["--no-sequencer"]
        with self.program("serve", "--port", str(self.port), "--no-jobs", *apart) as server:
            deadline = time.monotonic() + 60
            while True:
                assert server.poll() is None, (self.folder / "printed").read_text()
                try:
                    httpx.get(f"{self.address}/health").raise_for_status()
                    break
                except httpx.TransportError:
                    assert time.monotonic() < deadline
                    time.sleep(0.02)
            yield server

    def sequencing(self) -> "ExitStack | Any":
        """Sequence beside the server, where that is another program."""
        return ExitStack() if self.on_sqlite else self.program("sequencer")

    def redeemed(self) -> Counter[str]:
        """Return how many times each pass was redeemed, according to the journal."""
        with self.database.begin("23", read_only=True) as session:
            chosen = select(entry.c.subject).where(entry.c.kind == "redeemed")
            return Counter(session.scalars(chosen))

    def recorded(self) -> set[str]:
        with self.database.begin("23", read_only=True) as session:
            chosen = select(entry.c.id).where(entry.c.kind == "redeemed")
            return {str(found) for found in session.scalars(chosen)}

    def waiting(self) -> int:
        with self.database.begin("23", read_only=True) as session:
            return queries.waiting(session)

    def doubts(self) -> list[Any]:
        with self.database.begin("23", read_only=True) as session:
            return [finding for check in CHECKS for finding in check(session)]


@pytest.fixture(params=ENGINES)
def place(request, tmp_path) -> Iterator[Place]:
    now = Moment(datetime.now(UTC), PARIS)
    calendar = Calendar(*[now.day + YEAR] * 6)
    with a_database(request, request.param, tmp_path) as database:
        with database.begin("23") as session:
            world = a_world(session, now=now, calendar=calendar, envelope_cents=10_000_000)
            held = an_order(session, world, 300, now=now)
            given(session, *held, now=now)
            workshop = str(a_workshop(session, now.day.isoformat(), now=now))
            _id, token = new_device(
                session, "23", scope="site", at="lieu-1", label="phone", now=now
            )
        yield Place(database, tmp_path, world, held, workshop, token)


@dataclass
class Phones:
    """Phones that scan until they are stopped, and remember what they were told."""

    place: Place
    sent: dict[str, dict[str, Any]] = field(default_factory=dict)
    acknowledged: dict[str, dict[str, Any]] = field(default_factory=dict)
    refused: list[httpx.Response] = field(default_factory=list)
    stop: threading.Event = field(default_factory=threading.Event)

    @property
    def accepted(self) -> set[str]:
        return {
            key for key, told in self.acknowledged.items() if told["verdict"] == "accepted"
        }

    def post(self, client: httpx.Client, queue: list[dict[str, Any]]) -> bool:
        """Send a queue; return whether it was answered."""
        self.sent |= {scan["id"]: scan for scan in queue}
        answer = client.post(f"{self.place.address}/api/v1/scans", json=queue)
        if answer.status_code != 200:
            self.refused.append(answer)
            return False
        for told in answer.json():
            told.pop("replayed", None)
            before = self.acknowledged.setdefault(told["id"], told)
            assert before == told, "another answer than the first time"
        return True

    def client(self) -> httpx.Client:
        return httpx.Client(
            headers={"Authorization": f"Bearer {self.place.token}"}, timeout=10
        )

    def scan(self, serial: str) -> dict[str, Any]:
        return {
            "id": str(new_id()),
            "token": self.place.world.token(serial),
            "workshop": self.place.workshop,
            "at": datetime.now(UTC).isoformat(),
        }

    def _one(self, number: int) -> None:
        # Some passes are shown to two phones at once.
        own = self.place.held[number::PHONES] + self.place.held[number + 1 :: PHONES]
        with self.client() as client:
            turn = 0
            while own and not self.stop.is_set():
                size = 1 if turn % 3 else 7
                batch, own = own[:size], own[size:]
                turn += 1
                try:
                    self.post(client, [self.scan(serial) for serial in batch])
                except httpx.TransportError:
                    time.sleep(0.02)

    @contextmanager
    def scanning(self) -> Iterator[None]:
        """Scan in the background during the block."""
        threads = [threading.Thread(target=self._one, args=(n,)) for n in range(PHONES)]
        self.stop.clear()
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self.stop.set()
            for thread in threads:
                thread.join()

    def wait_for(self, count: int) -> None:
        """Wait until so many scans are acknowledged."""
        deadline = time.monotonic() + 60
        while len(self.acknowledged) < count:
            assert time.monotonic() < deadline, (len(self.acknowledged), self.refused[:1])
            time.sleep(0.001)

    def send_everything_again(self) -> None:
        queue = list(self.sent.values())
        with self.client() as client:
            for start in range(0, len(queue), 100):
                assert self.post(client, queue[start : start + 100])


def whole(place: Place, phones: Phones) -> None:
    """Assert that what was accepted is there exactly once, and that the books are in order."""
    assert phones.accepted <= place.recorded()
    assert set(place.redeemed().values()) <= {1}
    assert len(place.redeemed()) == len(place.recorded())
    deadline = time.monotonic() + 60
    while place.waiting():
        assert time.monotonic() < deadline, "the log does not catch up"
        time.sleep(0.02)
    assert place.doubts() == []


def killed_and_asked_again(place: Place, rounds: int, kill_after: int) -> None:
    phones = Phones(place)
    for turn in range(rounds):
        with place.sequencing() as sequencer, place.serving() as server:
            if phones.sent:
                phones.send_everything_again()
            target = len(phones.acknowledged) + kill_after
            with phones.scanning():
                phones.wait_for(target)
                if not place.on_sqlite:
                    sequencer.kill()
                    phones.wait_for(target + kill_after // 2)
                server.kill()
                server.wait()
        assert phones.accepted <= place.recorded(), f"lost in round {turn}"
        phones.place.held = phones.place.held[kill_after:]

    with place.sequencing(), place.serving() as server:
        before = len(phones.acknowledged)
        phones.send_everything_again()
        assert len(phones.acknowledged) == len(phones.sent) >= before
        accepted = {phones.sent[key]["token"] for key in phones.accepted}
        assert len(accepted) == len(phones.accepted), "a pass accepted twice"
        assert accepted == {scan["token"] for scan in phones.sent.values()}
        assert phones.accepted == place.recorded()
        if place.on_sqlite:
            server.terminate()
            assert server.wait(60) == 0
        whole(place, phones)


def test_a_server_that_is_killed_has_lost_nothing_that_it_acknowledged(place):
    killed_and_asked_again(place, rounds=1, kill_after=200)


@pytest.mark.long
def test_a_server_that_is_killed_again_and_again_has_lost_nothing(place):
    killed_and_asked_again(place, rounds=8, kill_after=100)


def test_a_server_that_is_stopped_answers_first_and_loses_nothing(place):
    phones = Phones(place)
    with place.sequencing() as sequencer, place.serving() as server:
        with phones.scanning():
            phones.wait_for(150)
            server.terminate()
            assert server.wait(60) == 0
        assert {answer.status_code for answer in phones.refused} <= {503}
        assert {answer.json()["code"] for answer in phones.refused} <= {"stopping"}
        whole(place, phones)
        if not place.on_sqlite:
            sequencer.terminate()
            assert sequencer.wait(60) == 0
    assert phones.accepted <= place.recorded()
    assert b"Traceback" not in (place.folder / "printed").read_bytes()


@pytest.mark.parametrize("place", ["sqlite"], indirect=True)
def test_what_a_crash_left_is_in_the_log_soon_after_the_restart(place):
    assert place.waiting()
    with place.serving():
        deadline = time.monotonic() + 60
        while place.waiting() and time.monotonic() < deadline:
            time.sleep(0.02)
        assert place.waiting() == 0, "nobody has scanned yet, and it waits"


@pytest.mark.parametrize("place", ["sqlite"], indirect=True)
def test_a_folder_is_served_once_and_a_port_too(place, tmp_path):
    with place.serving() as server:
        second = passnum("serve", "--port", free_port(), *place.words)
        assert second.returncode == 1
        assert second.stderr.startswith("Un serveur tourne déjà sur le dossier ")
        assert second.stderr.endswith("[already_serving]\n")
        assert str(server.pid) in second.stderr
        assert "écoute" not in second.stdout, "it does not listen, and does not say so"

        elsewhere = tmp_path / "elsewhere"
        nothing = passnum("serve", "--port", free_port(), "--data-dir", elsewhere)
        assert nothing.returncode == 1
        assert nothing.stderr.endswith("[no_instance]\n")
        assert not elsewhere.exists()

        passnum(
            "departement",
            "add",
            "974",
            "La Réunion",
            "--host",
            "pass.re",
            "--data-dir",
            elsewhere,
        )
        taken = passnum("serve", "--port", place.port, "--data-dir", elsewhere)
        assert taken.returncode == 1
        assert taken.stderr.startswith(f"Le port {place.port} est déjà pris.")
        assert taken.stderr.endswith("[port_taken]\n")
        assert httpx.get(f"{place.address}/health").json()["status"] == "ok"
