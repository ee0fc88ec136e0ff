"""The sequencer serves every département, whatever happens in one of them."""

import threading

import pytest
from sqlalchemy.exc import OperationalError

from app import sequencing
from app.works.doing import Worker
from tests.app.running import an_instance

CODES = ("23", "974")


class Unforeseen(Exception):
    """What nobody thought of."""


@pytest.fixture
def troubled(monkeypatch, database, tmp_path):
    """An instance whose first département fails in a way of one's choice, and who was stepped."""
    instance = an_instance(database, tmp_path)
    stepped: list[str] = []
    enough = threading.Event()

    def fails(error: Exception) -> None:
        def step(code: str) -> int:
            stepped.append(code)
            if stepped.count("974") >= 2:
                enough.set()
            if code == "23":
                raise error
            return 0

        monkeypatch.setattr(instance, "step", step)

    monkeypatch.setattr(sequencing, "RETRY_SECONDS", 0.001)
    return instance, fails, stepped, enough


@pytest.mark.parametrize(
    "error", [OperationalError("SELECT", {}, Exception("gone")), Unforeseen("never seen")]
)
def test_a_departement_that_fails_holds_up_no_other(troubled, error):
    instance, fails, stepped, enough = troubled
    fails(error)
    stop = threading.Event()
    running = threading.Thread(target=sequencing.run_until, args=(instance, stop))
    running.start()
    try:
        assert enough.wait(10), stepped
    finally:
        stop.set()
        running.join(10)
    assert not running.is_alive()
    assert stepped[:4] == [*CODES, *CODES]


def test_the_works_of_one_wait_for_no_other(troubled, monkeypatch):
    instance, *_ = troubled
    tried: list[str] = []

    def step(code: str) -> bool:
        tried.append(code)
        if code == "23":
            raise Unforeseen
        return True

    worker = Worker(instance, {})
    monkeypatch.setattr(worker, "step", step)
    with pytest.raises(Unforeseen):
        worker.round()
    assert tried == list(CODES)
