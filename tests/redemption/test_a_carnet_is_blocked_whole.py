"""A carnet that is blocked while something of it is used or handed out is blocked, for what is left."""

import threading

import pytest
from sqlalchemy import text

from app.database import FilesPlace
from ledger.identifiers import new_id
from redemption.blocking import BlockCarnet, block_carnet
from tests.builders import a_workshop, a_world, an_order, done, given, scanned
from tests.conftest import as_superuser, moment

AT = moment("2020-02-03", 14)


@pytest.fixture
def somebody_waits(database, request):
    """Wait until some transaction waits for another; on SQLite no writer even begins before."""
    if isinstance(database.place, FilesPlace):
        yield lambda: None
        return
    engine = as_superuser(database, request)
    waiting = text("SELECT count(*) FROM pg_locks WHERE NOT granted")

    def until() -> None:
        for _ in range(6_000):
            with engine.connect() as connection:
                if connection.scalar(waiting):
                    return
            threading.Event().wait(0.01)
        raise AssertionError("nobody waits")

    yield until
    engine.dispose()


@pytest.mark.parametrize("meanwhile", ["used", "handed out"])
def test_what_happens_to_a_pass_at_that_moment_does_not_save_the_others(
    database, somebody_waits, meanwhile
):
    with database.begin("23") as session:
        world = a_world(session)
        serials = an_order(session, world, 1)
        done(given(session, serials[0]))
        workshop = a_workshop(session)
    request, answers = BlockCarnet(new_id(), 1), []

    def block() -> None:
        with database.begin("23") as session:
            answers.append(block_carnet(session, request, by="test", now=AT))

    blocking = threading.Thread(target=block)
    with database.begin("23") as session:
        if meanwhile == "used":
            [verdict] = scanned(session, world, workshop, serials[0])
            assert verdict.verdict == "accepted"
        else:
            done(given(session, serials[1]))
        blocking.start()
        somebody_waits()
    blocking.join()

    left = {"used": 4, "handed out": 5}[meanwhile]
    assert done(answers[0]).facts == {"carnet": 1, "count": left, "reason": "lost"}
    with database.begin("23") as session:
        told = scanned(session, world, workshop, *serials)
    assert {v.verdict for v in told[1:]} == {"blocked"}
