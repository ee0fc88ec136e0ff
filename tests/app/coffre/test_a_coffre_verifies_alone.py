"""A coffre is verified by whoever has it and Python, and it is the log as far as its checkpoint goes."""

import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from app.coffre import export as exporting
from app.coffre.packing import CoffreExists
from app.coffre.proofs import NotCosigned, NothingPublished, newest_seal
from app.durable import DiskFull
from funding.operations import NotFound
from ledger.identifiers import new_id
from ledger.witness_policies import SetPolicy, set_policy
from redemption.undoing import Undo, undo
from tests.app.coffre.world import (
    POLICY,
    VERIFY,
    WITNESS_KEY,
    alone,
    close,
    contents,
    exported,
    live,
    published,
    verified,
    witnessed,
)
from tests.builders import MANAGER, a_workshop, a_world, done
from tests.conftest import CREUSE, moment

ALL_PROVED = "Tout ce qui devait être prouvé l'est."


def test_an_interpreter_alone_proves_all_of_it(database, tmp_path):
    live(database)
    close(database)
    published(database, moment("2021-03-01"))
    told = alone(exported(database, tmp_path / "coffre.zip"))
    assert (told.code, told.err) == (0, ""), told
    assert ALL_PROVED in told.out
    for proved in (
        "racine signée",
        "Chaque droit a servi une fois",
        "Les soldes",
        "Le partage",
        "Les totaux",
    ):
        assert f"✓ {proved}" in told.out or proved in told.out
    assert "clefs viennent du coffre lui-même" in told.out


def test_the_coffre_ends_where_its_checkpoint_does(database, tmp_path):
    live(database)
    published(database, moment("2020-12-01"))
    before = exported(database, tmp_path / "before.zip")
    with database.begin("23") as session:
        done(
            undo(
                session,
                Undo(new_id(), "23-000001-1", "wrong_pass"),
                device=MANAGER,
                now=moment("2020-12-02"),
            )
        )
        a_workshop(session, "2020-12-02")
    after = exported(database, tmp_path / "after.zip")
    assert before.read_bytes() == after.read_bytes()
    close(database)
    published(database, moment("2021-03-01"))
    later = exported(database, tmp_path / "later.zip")
    assert alone(later, "--since", before).code == 0


def test_a_log_that_goes_on_does_not_change_a_coffre_of_its_beginning(database, tmp_path):
    live(database)
    witnessed(database, moment("2020-12-01"))
    before = exported(database, tmp_path / "before.zip")
    close(database)
    # No witness has seen this one yet: the coffre is that of the one before.
    published(database, moment("2021-03-01"))
    assert exported(database, tmp_path / "after.zip").read_bytes() == before.read_bytes()


def test_nothing_is_exported_before_a_checkpoint_is_published(database, tmp_path):
    with database.begin("23") as session:
        a_world(session)
    with pytest.raises(NothingPublished):
        exported(database, tmp_path / "coffre.zip")
    assert not list(tmp_path.glob("*.zip"))


def test_nothing_is_exported_before_the_witnesses_have_signed(database, tmp_path):
    live(database)
    with database.begin("23") as session:
        done(
            set_policy(
                session, SetPolicy(new_id(), POLICY), by="test", now=moment("2020-12-01")
            )
        )
    published(database, moment("2020-12-01"))
    with pytest.raises(NotCosigned):
        exported(database, tmp_path / "coffre.zip")


def test_witnesses_are_named_and_their_policy_may_come_from_elsewhere(database, tmp_path):
    live(database)
    witnessed(database, moment("2020-12-01"))
    coffre = exported(database, tmp_path / "coffre.zip")
    told = verified(coffre)
    assert told.code == 0, told
    assert (
        "contresigné, comme l'exige la politique : temoin.example (2020-12-01)" in told.out
    )
    assert "Qui sont ces témoins" in told.out
    policy = tmp_path / "policy.txt"
    policy.write_bytes(contents(coffre)["policy.txt"])
    told = verified(coffre, "--policy", policy)
    assert told.code == 0, told
    assert "Qui sont ces témoins" not in told.out
    assert "clefs viennent du coffre" not in told.out
    assert WITNESS_KEY.vkey in policy.read_text(encoding="utf-8")


def test_keys_may_come_from_elsewhere(coffres, tmp_path):
    keys = tmp_path / "keys.txt"
    keys.write_bytes(b"# by letter\n" + coffres.files()["keys.txt"])
    told = verified(coffres.new, "--keys", keys)
    assert told.code == 0
    assert "clefs viennent du coffre" not in told.out


def test_an_unpacked_folder_is_verified_where_it_is(coffres, tmp_path):
    with zipfile.ZipFile(coffres.new) as packed:
        packed.extractall(tmp_path)
    ended = subprocess.run(
        [sys.executable, "-I", "-S", "verify.py"], cwd=tmp_path, capture_output=True, check=False, encoding="utf-8", env={"PYTHONUTF8": "1"},
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    assert ALL_PROVED in ended.stdout


def test_english_on_request(coffres):
    told = verified(coffres.new, "--lang", "en")
    assert told.code == 0
    assert "All that had to be proved is proved." in told.out


def test_a_terminal_that_does_not_know_every_sign_still_tells(coffres):
    ended = subprocess.run(
        [sys.executable, "-I", "-S", str(VERIFY), str(coffres.new)], capture_output=True, check=False, env={"PYTHONIOENCODING": "cp850"},
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr


@pytest.mark.parametrize("version", ["3.9", "3.10", "3.12", "3.13"])
def test_older_and_newer_pythons_verify_it_too(coffres, version):
    found = [
        *Path("/root/.pyenv/versions").glob(f"{version}.*/bin/python"),
        *filter(None, [shutil.which(f"python{version}")]),
    ]
    running = [
        p
        for p in found
        if subprocess.run([p, "-V"], capture_output=True, check=False).returncode == 0
    ]
    if not running:
        pytest.skip(f"no Python {version} here")
    told = alone(coffres.new, python=str(running[0]))
    assert told.code == 0, told


@pytest.mark.parametrize("chosen", ["call", "site"])
def test_a_choice_says_that_it_may_not_be_complete(coffres, chosen):
    told = alone(getattr(coffres, chosen), "--since", coffres.old)
    assert (told.code, told.err) == (0, ""), told
    assert "Que ce choix est complet" in told.out
    assert "inchangées" in told.out
    manifest = json.loads(contents(getattr(coffres, chosen))["manifest.json"])
    assert (
        manifest["filter"] == {"call": {"call": "AAP"}, "site": {"site": "lieu-1"}}[chosen]
    )


def test_a_choice_holds_what_tells_of_it_and_nothing_else(coffres):
    lines = [
        json.loads(line) for line in contents(coffres.site)["journal.jsonl"].splitlines()
    ]
    assert {line["facts"]["site"] for line in lines} == {1}
    every = [json.loads(line) for line in coffres.lines()]
    assert lines == [line for line in every if line["facts"].get("site") == 1]
    kinds = {
        json.loads(line)["kind"]
        for line in contents(coffres.call)["journal.jsonl"].splitlines()
    }
    assert {
        "carnet_blocked",
        "committed",
        "convention_extended",
        "lapsed",
        "undone",
    } <= kinds
    assert "keys_made" not in kinds


def test_a_choice_of_something_unknown_is_refused(database, tmp_path):
    live(database)
    published(database, moment("2020-12-01"))
    for chosen in ({"call": "NONE"}, {"site": "nowhere"}):
        with pytest.raises(NotFound):
            exported(database, tmp_path / "coffre.zip", **chosen)


def test_a_file_that_is_there_is_left_alone(database, tmp_path):
    live(database)
    published(database, moment("2020-12-01"))
    target = tmp_path / "coffre.zip"
    target.write_text("mine")
    with pytest.raises(CoffreExists):
        exported(database, target)
    assert target.read_text() == "mine"
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize(
    "interruption", [KeyboardInterrupt, OSError(28, "No space left on device")]
)
def test_an_interrupted_export_leaves_nothing(database, tmp_path, interruption):
    live(database)
    published(database, moment("2020-12-01"))

    def interrupt(done: int) -> None:
        if done:
            raise interruption

    with (
        database.begin("23", read_only=True) as session,
        pytest.raises((KeyboardInterrupt, DiskFull)),
    ):
        exporting.export(
            session,
            CREUSE,
            tmp_path / "coffre.zip",
            seal=newest_seal(session),
            progress=interrupt,
        )
    assert [
        p
        for p in tmp_path.iterdir()
        if p.suffix != ".db" and not p.name.startswith(("d23", "d974", "registry"))
    ] == []
