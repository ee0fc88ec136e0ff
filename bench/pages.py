"""Pages of people who are signed in, over a large journal: server time, and how much of it is SQL."""

import logging
import statistics
import tempfile
import time
from pathlib import Path
from uuid import UUID

from litestar.testing import TestClient

from app.database import Database
from app.instance import Instance
from app.people.memberships import Invite, invite
from app.people.roles import Role
from app.people.signing_in import hashed, set_password
from app.settings import Settings
from app.web import create_app
from ledger.identifiers import new_id
from tests.conftest import moment

PASSWORD = "a long enough sentence"  # noqa: S105 - of the bench alone
PAGES = (
    "/23/",
    "/23/tranches",
    "/23/tranches/T1",
    "/23/lieux",
    "/23/personnes",
    "/23/compte",
)


def time_pages(
    database: Database, today: str, *, repeat: int = 15
) -> list[tuple[str, float]]:
    """Return each page and its median time in milliseconds, the test client's included.

    Closes the database with the server.
    """
    logging.getLogger("httpx").setLevel(logging.WARNING)
    now = moment(today)
    with database.begin("23") as session:
        asked = Invite(new_id(), "bench", "Bench", Role.MANAGER)
        invited = invite(session, asked, inviter=None, by="bench", now=now)
        set_password(session, UUID(invited.facts["person"]), hashed(PASSWORD), now=now)
    instance = Instance(Settings(Path(tempfile.mkdtemp()), {}, None))
    instance.database = database
    told = []
    with TestClient(create_app(instance), base_url="http://bench.test") as client:
        client.headers["Origin"] = "http://bench.test"
        client.post("/23/connexion", data={"login": "bench", "password": PASSWORD})
        for page in PAGES:
            times = []
            for _turn in range(repeat):
                started = time.perf_counter()
                answer = client.get(page)
                times.append((time.perf_counter() - started) * 1000)
                assert answer.status_code == 200, (page, answer.status_code)
            told.append((page, statistics.median(times)))
    return told
