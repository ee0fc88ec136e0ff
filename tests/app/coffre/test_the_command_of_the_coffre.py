"""`passnum coffre export`: a file, or a sentence."""

import pytest

from tests.app.coffre.world import alone, live, published
from tests.app.running import typed
from tests.builders import SECRET
from tests.conftest import moment


@pytest.fixture
def folder(database, tmp_path, monkeypatch):
    monkeypatch.setenv("PASSNUM_DEPARTEMENT", "23")
    monkeypatch.setenv("PASSNUM_KEY_PASSPHRASE", SECRET.decode())
    live(database)
    database.close()
    return tmp_path


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_a_coffre_is_written_once_there_is_a_checkpoint(database, folder):
    target = folder / "coffre.zip"
    told = typed("coffre", "export", "--out", target, "--data-dir", folder)
    assert told.code == 1
    assert "[nothing_published]" in told.err
    assert "passnum log publish" in told.err
    published(database, moment("2020-12-01"))

    told = typed("coffre", "export", "--out", target, "--data-dir", folder)
    assert (told.code, told.err) == (0, "")
    assert f"Coffre écrit : {target}, 68 écritures sur 68" in told.out
    assert alone(target).code == 0

    told = typed("coffre", "export", "--out", target, "--data-dir", folder)
    assert told.code == 1
    assert "[coffre_exists]" in told.err


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_a_choice_is_one_or_the_other(database, folder):
    published(database, moment("2020-12-01"))
    one = typed(
        "coffre",
        "export",
        "--out",
        folder / "one.zip",
        "--site",
        "lieu-1",
        "--data-dir",
        folder,
    )
    assert one.code == 0
    assert alone(folder / "one.zip").code == 0
    both = typed(
        "coffre",
        "export",
        "--out",
        folder / "both.zip",
        "--site",
        "lieu-1",
        "--call",
        "AAP",
        "--data-dir",
        folder,
    )
    assert both.code == 2
    other = typed(
        "coffre",
        "export",
        "--out",
        folder / "other.zip",
        "--site",
        "nowhere",
        "--data-dir",
        folder,
    )
    assert (other.code, "[not_found]" in other.err) == (1, True)
    assert not (folder / "other.zip").exists()


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_a_folder_that_is_not_there_is_told(database, folder):
    published(database, moment("2020-12-01"))
    told = typed(
        "coffre", "export", "--out", folder / "none" / "coffre.zip", "--data-dir", folder
    )
    assert told.code == 1
    assert "[coffre_not_written]" in told.err
