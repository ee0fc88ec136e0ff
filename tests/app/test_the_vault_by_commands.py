"""The vault at a terminal: a key that is never told, a rotation, an erasure, the list of who looked."""

import shutil
import signal
import sqlite3
import stat
import subprocess
import time
from pathlib import Path

import pyotp
import pytest
from sqlalchemy import select

from app.database import Database, FilesPlace
from app.instance import Instance
from app.people.memberships import Invite, invite
from app.people.models import person
from app.people.roles import Role
from app.people.second_factor import begin_totp, check_totp, waiting_secret
from app.registry import Departement
from app.rotation import SHELVES, rotate
from app.settings import Settings, SettingsWrong, read_settings
from issuance import vault
from issuance.models import vault_person
from ledger.columns import metadata
from ledger.identifiers import new_id
from ledger.sealing import Sealer, key_text, new_key, read_keys
from tests.app.running import PASSNUM, environment, typed
from tests.conftest import moment

NEWER, OLDER = new_key(), new_key()
PERSONS = 4_000


@pytest.fixture
def key_file(tmp_path: Path, monkeypatch) -> Path:
    file = tmp_path / "vault.key"
    file.write_text(key_text(OLDER), encoding="ascii")
    for name in ("PASSNUM_VAULT_KEY", "PASSNUM_DATABASE_URL", "PASSNUM_DATA_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PASSNUM_VAULT_KEY_FILE", str(file))
    return file


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """The demonstration, whose hand-outs tell a category and a need."""
    folder = tmp_path_factory.mktemp("demonstration") / "demo"
    assert typed("demo", "--no-serve", "--data-dir", folder).code == 0
    return folder


@pytest.fixture
def demo(made, tmp_path: Path, key_file) -> list[object]:
    """A copy of it, and its master key where that of a real instance is."""
    folder = tmp_path / "demo"
    shutil.copytree(made, folder)
    key_file.write_bytes((folder / "demo.vault").read_bytes())
    return ["--data-dir", folder]


def test_the_key_of_the_demonstration_is_read_by_nobody_else(made):
    assert stat.S_IMODE((made / "demo.vault").stat().st_mode) == 0o600
    assert len(read_settings({}, data_dir=made).vault_keys) == 1


def test_a_new_key_is_printed_alone_and_kept_nowhere(tmp_path):
    first, second = typed("vault", "key", "new"), typed("vault", "key", "new")
    assert (first.code, first.err, first.out.count("\n")) == (0, "", 1)
    assert len(read_keys(first.out)) == 1
    assert first.out != second.out


def test_the_keys_are_read_from_a_file_or_from_the_environment(tmp_path):
    file = tmp_path / "keys"
    file.write_text(f"{key_text(NEWER)}\n{key_text(OLDER)}\n", encoding="ascii")
    written = f"{key_text(OLDER)},{key_text(NEWER)}"
    from_file = {"PASSNUM_VAULT_KEY_FILE": str(file)}
    place = {"PASSNUM_DATA_DIR": str(tmp_path)}
    assert read_settings(place).vault_keys == ()
    assert read_settings(place | from_file).vault_keys == (NEWER, OLDER)
    assert read_settings(place | {"PASSNUM_VAULT_KEY": written}).vault_keys == (
        OLDER,
        NEWER,
    )
    both = place | from_file | {"PASSNUM_VAULT_KEY": key_text(OLDER)}
    assert read_settings(both).vault_keys == (NEWER, OLDER)


@pytest.mark.parametrize("written", [b"not a key", b"c2hvcnQ=", b"\xff\xfe\x00", b"\n"])
def test_a_key_that_cannot_be_one_stops_the_start_and_is_not_repeated(tmp_path, written):
    file = tmp_path / "keys"
    file.write_bytes(written)
    with pytest.raises(SettingsWrong) as no:
        read_settings({"PASSNUM_VAULT_KEY_FILE": str(file)}, data_dir=tmp_path)
    assert no.value.reason.startswith("PASSNUM_VAULT_KEY_FILE: ")
    assert "c2hvcnQ" not in str(no.value)
    assert no.value.__suppress_context__
    with pytest.raises(SettingsWrong, match="PASSNUM_VAULT_KEY_FILE: No such file"):
        read_settings({"PASSNUM_VAULT_KEY_FILE": str(tmp_path / "gone")}, data_dir=tmp_path)


def test_no_secret_is_shown_with_the_settings():
    shown = repr(Settings(None, {"app": "postgresql://a:pwd@h"}, b"secret", (NEWER,)))
    for secret in ("pwd", "secret", repr(NEWER), key_text(NEWER)):
        assert secret not in shown.replace("key_secret", "")


def test_what_a_desk_told_is_read_for_a_purpose_then_erased(demo):
    one = ["--pass", "23-000001-1"]
    [before] = typed("reconcile", "T1", "--format", "json", *demo).json["tranches"]

    read = typed(
        "vault", "read", *one, "--purpose", "person_asks", *demo, "--format", "json"
    )
    [record] = read.json
    assert set(record["told"]) == {"category", "need"}
    by_number = ["--person", record["person"], "--purpose", "correction"]
    assert typed("vault", "read", *by_number, *demo).code == 0
    by_act = ["--hand-out", record["entry"], "--purpose", "audit_sample"]
    assert record["told"]["need"] in typed("vault", "read", *by_act, *demo).out
    seen = typed("vault", "accesses", "--format", "json", *demo).json
    assert [line["purpose"] for line in seen] == [
        "audit_sample",
        "correction",
        "person_asks",
    ]
    assert {(line["who"], line["person"]) for line in seen} == {("cli", record["person"])}

    erased = typed("vault", "erase", *one, *demo)
    assert (erased.code, erased.err) == (0, "")
    again = typed("vault", "erase", "--hand-out", record["entry"], *demo)
    assert again.refusal == "person_erased"
    unread = typed("vault", "read", *one, "--purpose", "person_asks", *demo)
    assert unread.refusal == "person_erased"
    assert len(typed("vault", "accesses", *demo).out.splitlines()) == 4
    assert typed("audit", *demo).code == 0
    [after] = typed("reconcile", "T1", "--format", "json", *demo).json["tranches"]
    assert after["lines"] == before["lines"]


def test_one_person_is_named_in_one_way(demo):
    for words in ([], ["--pass", "23-000001-1", "--person", new_id()]):
        assert typed("vault", "erase", *words, *demo).code == 2
    unknown = typed("vault", "erase", "--pass", "23-999999-1", *demo)
    assert unknown.refusal == "nothing_in_vault"
    assert typed("vault", "read", "--pass", "23-000001-1", *demo).code == 2


def test_a_hand_out_that_tells_needs_a_key(demo, monkeypatch):
    folder = demo[1]
    monkeypatch.delenv("PASSNUM_VAULT_KEY_FILE")
    (folder / "demo.vault").unlink()
    carnet = ["--desk", "CAF", "--carnet", _in_stock(folder)]
    assert typed("hand-out", *carnet, "--need", "train", *demo).refusal == "vault_locked"
    read = typed("vault", "read", "--pass", "23-000001-1", "--purpose", "correction", *demo)
    assert read.refusal == "vault_locked"
    assert typed("vault", "rotate", *demo).refusal == "vault_locked"
    assert typed("hand-out", *carnet, *demo).code == 0


def _in_stock(folder: Path) -> int:
    with sqlite3.connect(folder / "d23.db") as raw:
        found = raw.execute(
            "SELECT d.carnet FROM delivery AS d JOIN voucher AS v ON v.carnet = d.carnet"
            " WHERE d.desk = 'CAF' AND v.serial NOT IN (SELECT serial FROM handed_out)"
            " ORDER BY d.carnet DESC LIMIT 1"
        ).fetchone()
    return int(found[0])


def test_the_master_key_is_changed_and_the_older_one_forgotten(demo, key_file):
    older = key_file.read_text("ascii")
    key_file.write_text(f"{key_text(NEWER)}\n{older}", encoding="ascii")
    first = typed("vault", "rotate", *demo)
    assert first.code == 0
    assert Sealer([NEWER]).current in first.out
    assert " 0 " not in first.out.splitlines()[0].partition(",")[0]
    again = typed("vault", "rotate", *demo)
    assert " 0 " in again.out.splitlines()[0].partition(",")[0]

    key_file.write_text(key_text(NEWER), encoding="ascii")
    reading = ["vault", "read", "--pass", "23-000001-1", "--purpose", "correction"]
    assert typed(*reading, *demo).code == 0
    key_file.write_text(older, encoding="ascii")
    assert typed(*reading, *demo).refusal == "sealed_by_unknown_key"
    missing = typed("vault", "rotate", *demo)
    assert missing.code == 1
    assert missing.err
    for printed in (first, again, missing):
        assert key_text(NEWER) not in printed.out + printed.err
        assert older.strip() not in printed.out + printed.err


def test_a_rotation_that_is_killed_goes_on_where_it_was(tmp_path, key_file):
    folder = tmp_path / "data"
    database = Database(FilesPlace(folder))
    database.add_departement(Departement("23", "Creuse", "Europe/Paris", "PASS.CREUSE.FR"))
    with database.begin("23") as session:
        for _person in range(PERSONS):
            vault.new_person(session, Sealer([OLDER]), now=moment("2020-01-20"))
    key_file.write_text(f"{key_text(NEWER)},{key_text(OLDER)}", encoding="ascii")
    newer = Sealer([NEWER])

    def done() -> int:
        with database.begin("23", read_only=True) as session:
            rows = session.execute(select(vault_person.c.sealed_key)).scalars()
            return sum(key.startswith(newer.header) for key in rows)

    command = [PASSNUM, "vault", "rotate", "--data-dir", str(folder)]
    env = environment(PASSNUM_VAULT_KEY_FILE=str(key_file))
    with subprocess.Popen(command, env=env, stdout=subprocess.PIPE) as turning:
        deadline = time.monotonic() + 60
        while not done() and turning.poll() is None:
            assert time.monotonic() < deadline
        turning.send_signal(signal.SIGKILL)

    assert done() % 500 == 0, "a piece is whole or nothing"
    assert done() > 0
    assert typed("vault", "rotate", "--data-dir", folder).code == 0
    assert done() == PERSONS
    database.close()


def test_a_telephone_still_proves_who_someone_is_after_a_rotation(database):
    both, newer = Sealer([NEWER, OLDER]), Sealer([NEWER])
    now = moment("2020-01-20")
    with database.begin("23") as session:
        request = Invite(new_id(), "a.martin", "A. Martin", Role.MANAGER)
        invite(session, request, inviter=None, by="cli", now=now)
        [who] = session.scalars(select(person.c.id))
        secret = begin_totp(session, who, sealer=Sealer([OLDER]))
    instance = Instance(Settings(None, {}, None, (NEWER, OLDER)))
    instance.database = database

    assert sum(piece.resealed for piece in rotate(instance, "23")) == 1

    with database.begin("23") as session:
        assert waiting_secret(session, who, sealer=both) == secret
        digits = pyotp.TOTP(secret).at(now.at)
        assert check_totp(session, who, digits, sealer=newer, now=now)


def test_every_sealed_column_is_on_a_shelf_of_the_rotation():
    columns = {
        str(column)
        for table in metadata.tables.values()
        for column in table.columns
        if column.name.startswith("sealed")
    }
    # The one is sealed by the secret of the keys, the other by each person's own key.
    others = {"secret_key.sealed", "log_key.sealed", "vault_record.sealed"}
    assert {str(shelf.sealed) for shelf in SHELVES} == columns - others
