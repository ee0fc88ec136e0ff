"""Carnets of a former operator by commands: looked at, taken over, delivered and handed out by their covers."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from app.database import Database, FilesPlace
from funding.tranches import Calendar
from tests.app.running import Printed, typed
from tests.builders import SECRET, a_foreign_list, a_world, an_order, foreign_rows
from tests.conftest import moment

YEAR = datetime.now(UTC).date() + timedelta(days=365)
FIN = (YEAR - timedelta(days=30)).strftime("%d/%m/%Y")
Terminal = Callable[..., Printed]


@pytest.fixture
def terminal(database: Database, monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """Somebody at a terminal, today, where a tranche is open and two carnets of ours are at the desk."""
    assert isinstance(database.place, FilesPlace)
    monkeypatch.setenv("PASSNUM_KEY_PASSPHRASE", SECRET.decode())
    monkeypatch.setenv("PASSNUM_DEPARTEMENT", "23")
    monkeypatch.setenv("PASSNUM_DATA_DIR", str(database.place.folder))
    with database.begin("23") as session:
        world = a_world(session, calendar=Calendar(*[YEAR] * 6))
        an_order(session, world, 2, now=moment("2020-01-07"))
    return typed


@pytest.fixture
def listed(tmp_path: Path) -> Path:
    path = tmp_path / "liste.csv"
    path.write_bytes(a_foreign_list(*foreign_rows(fin=FIN)))
    return path


def take_over(terminal: Terminal, file: Path, *more: str) -> Printed:
    asked = ("--operator", "aptic", "--commitment", "ENG-9")
    return terminal("order", "take-over", "T1", file, *asked, *more)


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_a_list_is_tried_taken_over_delivered_and_handed_out(terminal, listed):
    tried = take_over(terminal, listed, "--dry-run")
    assert (tried.code, tried.err) == (0, "")
    assert tried.out == "3 carnets, 6 pass.\nRien n'a été repris : c'était un essai.\n"
    assert len(terminal("order", "list", "--format", "json").json) == 1

    done = take_over(terminal, listed)
    assert (done.code, done.err) == (0, "")
    assert "Commande 2 : carnets 3 à 5, de « C-001 » à « C-003 », valables." in done.out
    covers = terminal("order", "covers", 2, "--format", "json").json
    assert [(c["carnet"], c["label"]) for c in covers] == [
        (3, "C-001"),
        (4, "C-002"),
        (5, "C-003"),
    ]
    assert take_over(terminal, listed).refusal == "foreign_list_refused"

    lot = ("--first", "C-001", "--last", "C-003")
    delivered = terminal("desk", "deliver", "CAF", *lot)
    assert "Carnets C-001 à C-003 livrés au guichet CAF." in delivered.out
    given = terminal("hand-out", "--desk", "CAF", "--carnet", "aptic c-002", "--pic")
    assert given.out == "2 pass remis.\n"
    replaced = terminal("replace", "--carnet", "C 002", "--desk", "CAF")
    assert "2 pass remplacés par le carnet 6" in replaced.out
    blocked = terminal("block", "C-003")
    assert "Carnet C-003 bloqué : 2 pass." in blocked.out
    stolen = terminal("block-stock", "--first", "C001", "--last", "C001", "--yes")
    assert "2 pass bloqués" in stolen.out
    ours = terminal("hand-out", "--desk", "CAF", "--carnet", "1", "--not-pic")
    assert ours.out == "5 pass remis.\n"
    assert terminal("block", "C-099").refusal == "carnet_unknown"
    assert terminal("audit").code == 0


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_each_line_to_correct_is_told_and_paper_of_others_is_not_printed(
    terminal, listed, tmp_path
):
    wrong = tmp_path / "faux.csv"
    rows = [*foreign_rows(1, fin=FIN), f"C-9;1,23E+15;10;{FIN};", f"C-9;5;20;{FIN};"]
    wrong.write_bytes(a_foreign_list(*rows))
    for more in ((), ("--dry-run",)):
        told = take_over(terminal, wrong, *more)
        assert told.code == 1
        assert "ligne 4 : Excel a abrégé un numéro" in told.out
        assert "Lignes à corriger : 4, 5." in told.err.replace("\xa0", " ")
    assert take_over(terminal, tmp_path / "absent.csv").code == 1

    assert take_over(terminal, listed).code == 0
    for kind in ("pdf", "phone", "shop"):
        out = tmp_path / kind
        told = terminal("print", 2, "--out", out, "--kind", kind)
        assert told.refusal == "order_taken_over"
        assert not out.exists()
