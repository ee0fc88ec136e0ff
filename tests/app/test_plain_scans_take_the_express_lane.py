"""Plain scans are answered before the framework, and what is not plain is told by it, as ever."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from litestar import Litestar
from litestar.testing import TestClient
from sqlalchemy.exc import OperationalError

from app.devices import new_device
from app.express import Express
from app.serving import Serving
from app.web import create_app
from ledger.identifiers import new_id
from tests.app.running import FEBRUARY, an_instance
from tests.builders import World, a_workshop, a_world, an_order, given
from tests.conftest import ENGINES, a_database, moment


class Framework:
    """The application behind the lane, counting what it is asked."""

    def __init__(self, app: Litestar) -> None:
        self._app, self.state, self.asked = app, app.state, 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.asked += 1
        await self._app(scope, receive, send)


@dataclass
class Lane:
    """A server with passes in people's hands, and a device that may scan them."""

    client: TestClient[Any]
    framework: Framework
    world: World
    serials: list[str]
    workshop: str
    token: str

    @property
    def asked(self) -> int:
        return self.framework.asked

    def post(
        self, body: Any, path: str = "/api/v1/scans", **headers: str
    ) -> httpx.Response:
        async def sent() -> httpx.Response:
            lane: Any = Express(self.framework)  # type: ignore[arg-type]
            transport = httpx.ASGITransport(lane, raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url="http://test") as c:
                signed = {"Authorization": f"Bearer {self.token}"} | headers
                content = {"content": body} if isinstance(body, bytes) else {"json": body}
                return await c.post(path, headers=signed, **content)

        with self.client.portal() as its_loop:  # a counter belongs to one
            return its_loop.call(sent)

    def scan(self) -> dict[str, Any]:
        token = self.world.token(self.serials.pop())
        return {
            "id": str(new_id()), "token": token, "workshop": self.workshop, "at": FEBRUARY.isoformat()
        }  # fmt: skip


@pytest.fixture(params=ENGINES, scope="module")
def served(request, tmp_path_factory) -> Iterator[Lane]:
    folder = tmp_path_factory.mktemp("lane")
    with a_database(request, request.param, folder) as database:
        with database.begin("23") as session:
            world = a_world(session)
            serials = an_order(session, world, 4)
            given(session, *serials)
            workshop = str(a_workshop(session))
            now = moment("2020-02-03", 14)
            _id, token = new_device(
                session, "23", scope="site", at="lieu-1", label="site", now=now
            )
        app = create_app(an_instance(database, folder))
        with TestClient(app) as client:
            yield Lane(client, Framework(app), world, serials, workshop, token)


@pytest.fixture
def lane(served) -> Lane:
    """The lane, once the token is known: what was not seen lately goes through the framework."""
    served.post([])
    served.framework.asked = 0
    return served


def test_a_plain_queue_never_reaches_the_framework(lane):
    [verdict] = lane.post([lane.scan()]).json()
    assert (verdict["verdict"], verdict["cents"]) == ("accepted", 1000)
    assert lane.asked == 0


def test_what_cannot_be_read_is_told_by_the_framework(lane):
    answer = lane.post(b"[{")
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"
    assert lane.asked == 1


def test_another_address_and_an_unknown_token_go_through_whole(lane):
    assert lane.post([], Authorization="Bearer 23.nobody").status_code == 401
    assert lane.post({"token": "0" * 191}, path="/api/v1/vouchers/check").status_code < 500
    assert lane.asked == 2


def test_a_database_that_fails_is_told_as_everywhere_and_nothing_is_lost(lane, monkeypatch):
    """The scan is sent again when the database is back, and counts once."""
    scan = lane.scan()

    async def full(*_args: object) -> Any:
        raise OperationalError("INSERT", {}, Exception("the disk is full"))

    with monkeypatch.context() as patch:
        patch.setattr(Serving, "redeem", full)
        answer = lane.post([scan])
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
    assert int(answer.headers["retry-after"]) > 0
    assert lane.asked == 1

    [first] = lane.post([scan]).json()
    [again] = lane.post([scan]).json()
    assert first["verdict"] == again["verdict"] == "accepted"
    assert again["replayed"]


def test_an_answer_that_could_not_be_signed_is_judged_once(lane, monkeypatch):
    """Signed or not, the scan was judged: the framework gives the same verdict."""
    signature = Serving.signature
    failed: list[bool] = []

    async def fails_once(self: Serving, code: str, body: bytes) -> dict[str, str]:
        if not failed:
            failed.append(True)
            raise OperationalError("SELECT", {}, Exception("gone"))
        return await signature(self, code, body)

    monkeypatch.setattr(Serving, "signature", fails_once)
    [verdict] = lane.post([lane.scan()]).json()
    assert (verdict["verdict"], verdict["replayed"]) == ("accepted", True)
    assert lane.asked == 1
