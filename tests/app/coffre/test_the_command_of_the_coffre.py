"""`passnum coffre export`: a file, or a sentence."""

import pytest
from sqlalchemy import select

from app.coffre.proofs import newest_seal
from app.coffre.sealing import TransferKeyWrong, read_private
from issuance import vault
from issuance.models import vault_person
from tests.app.coffre.world import alone, contents, live, published, witnessed
from tests.app.running import typed
from tests.builders import SEALER, SECRET, a_workshop, sequence
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
    assert f"Coffre écrit : {target}, 110 écritures sur 110" in told.out
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


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_a_coffre_says_when_a_newer_checkpoint_waits_for_witnesses(database, folder):
    witnessed(database, moment("2020-12-01"))
    for day in range(2, 5):
        with database.begin("23") as session:
            a_workshop(session, "2020-11-05", now=moment(f"2020-12-0{day}"))
        published(database, moment(f"2020-12-0{day}"))
    told = typed("coffre", "export", "--out", folder / "c.zip", "--data-dir", folder)
    assert told.code == 0, told
    assert "n'a pas encore les contresignatures" in told.out
    assert alone(folder / "c.zip").code == 0


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_a_checkpoint_is_found_behind_many_that_nobody_cosigned(database, folder):
    witnessed(database, moment("2020-12-01"))
    with database.begin("23", read_only=True) as session:
        size = newest_seal(session).published.size
    for _ in range(201):
        with database.begin("23") as session:
            a_workshop(session, "2020-11-05", now=moment("2020-12-02"))
        published(database, moment("2020-12-02"))
    with database.begin("23", read_only=True) as session:
        seal = newest_seal(session)
    assert seal.published.size == size
    assert seal.newest == size + 201


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_a_departement_moves_by_commands(database, folder):
    with database.begin("23") as session:
        [person] = session.scalars(select(vault_person.c.id).limit(1))
        now = moment("2020-11-30")
        vault.read(session, SEALER, [person], purpose="audit_sample", by="x", now=now)
    sequence(database)
    published(database, moment("2020-12-01"))
    key, coffre, out = folder / "operator.key", folder / "c.zip", folder / "t.sealed"
    public = typed("coffre", "key", "--out", key).out.strip()
    assert typed("coffre", "export", "--out", coffre, "--data-dir", folder).code == 0
    asked = ["coffre", "transfer", "--to", public, "--out", out, "--data-dir", folder]
    assert typed(*asked).code == 2
    told = typed(*asked, "--coffre", coffre)
    if told.code:  # the vault of this folder has no key
        assert "[vault_locked]" in told.err
    told = typed("coffre", "import", coffre, "--data-dir", folder / "theirs")
    assert told.code == 0, told
    assert "L'authenticité repose sur le coffre lui-même" in told.out
    # The vault stayed where it was, and nobody is alarmed every night for it.
    told = typed("audit", "--data-dir", folder / "theirs")
    assert told.code == 0, told
    keys = folder / "keys.txt"
    keys.write_bytes(contents(coffre)["keys.txt"])
    told = typed(
        "coffre", "import", coffre, "--keys", keys, "--data-dir", folder / "others"
    )
    assert told.code == 0, told
    assert "L'authenticité" not in told.out


def test_a_key_that_is_no_text_is_told(tmp_path):
    (tmp_path / "key").write_bytes(bytes(range(128, 160)))
    with pytest.raises(TransferKeyWrong):
        read_private(tmp_path / "key")
