"""The exercise of the operations guide is run as it is written: a key is stolen, and the paper survives it."""

import csv
import json
import os
import re
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from app.instance import Instance
from app.settings import read_settings
from issuance import codes
from issuance.serials import Serial
from redemption.touched import STATES

ROOT = Path(__file__).parents[2]
TITLE = "### Une clé de pass est tombée dans d'autres mains"


@pytest.fixture(scope="module")
def exercise(tmp_path_factory):
    """The commands of the guide, run in a folder of their own."""
    folder = tmp_path_factory.mktemp("exercise")
    told = (ROOT / "docs" / "exploitation.md").read_text(encoding="utf-8")
    chapter = told.split(TITLE)[1].split("\n### ")[0].split("\n## ")[0]
    [script] = re.findall(r"^```sh\n(.*?)^```$", chapter, re.DOTALL | re.MULTILINE)
    ran = in_(folder, "bash", "-euo", "pipefail", "-c", script)
    assert ran.returncode == 0, ran.stderr
    return folder, script, ran.stdout


def in_(folder: Path, *command: str) -> "subprocess.CompletedProcess[str]":
    clean = {k: v for k, v in os.environ.items() if not k.startswith("PASSNUM_")}
    here = str(Path(sys.executable).parent)
    env = clean | {"LANG": "C.UTF-8", "PATH": f"{here}:{clean['PATH']}"}
    return subprocess.run(
        command, cwd=folder, env=env, capture_output=True, text=True, check=False
    )


def passnum(folder: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    return in_(folder, "passnum", *words, "--data-dir", "var/exercice")


def code_of(folder: Path, serial: str) -> str:
    """Return what is printed under the QR code of a pass."""
    instance = Instance(read_settings({}, data_dir=folder / "var/exercice"))
    code = codes.derive(instance.signer("23").code_key, Serial.parse(serial))
    instance.close()
    return codes.display("23", code)


def test_the_guide_names_every_command_that_the_exercise_needs(exercise):
    _folder, script, out = exercise
    for command in ("keys revoke", "keys touched", "keys new", "order place", "audit"):
        assert f"passnum {command}" in script
    assert "Clé 0 révoquée." in out
    assert "conforme" in out


def test_every_pass_that_the_key_signed_is_listed_where_it_is(exercise):
    folder, _script, _out = exercise
    orders = json.loads(passnum(folder, "keys", "touched", "0", "--format", "json").stdout)
    with (folder / "var/exercice/touches.csv").open(encoding="utf-8", newline="") as file:
        each = list(csv.DictReader(file))
    assert len(each) == sum(order["made"] for order in orders) > 2_000
    for order in orders:
        assert sum(order[part] for part in STATES) == order["made"]
        for part in STATES:
            mine = [p for p in each if p["order"] == str(order["order"])]
            assert sum(p["state"] == part for p in mine) == order[part]
    table = list(
        csv.DictReader(
            passnum(folder, "keys", "touched", "0", "--format", "csv").stdout.splitlines()
        )
    )
    assert [int(row["made"]) for row in table] == [order["made"] for order in orders]


def test_new_paper_is_of_another_key_and_the_old_one_prints_nothing(exercise):
    folder, _script, _out = exercise
    newest = json.loads(passnum(folder, "order", "list", "--format", "json").stdout)[-1]
    printed = passnum(
        folder, "print", str(newest["number"]), "--out", "neuf", "--kind", "phone"
    )
    assert printed.returncode == 0, printed.stderr
    old = passnum(folder, "print", "1", "--out", "vieux", "--kind", "shop")
    assert (old.returncode, "[signing_key_revoked]" in old.stderr) == (1, True)
    keys = json.loads(passnum(folder, "keys", "list", "--format", "json").stdout)
    assert {
        key["key_id"]: key["revoked"] for key in keys if key["purpose"] == "voucher"
    } == {
        0: "compromised",
        3: None,
    }
    again = passnum(folder, "keys", "revoke", "0", "--why", "compromised")
    assert "[voucher_key_unknown]" in again.stderr


def test_at_the_counter_the_qr_code_is_refused_and_the_code_beneath_is_accepted(exercise):
    folder, _script, _out = exercise
    good = json.loads((folder / "var/exercice/demo.json").read_text("utf-8"))["passes"][
        "good"
    ]
    today = datetime.now(ZoneInfo("Europe/Paris")).date().isoformat()
    workshop = passnum(folder, "workshop", "open", "demo-1", "--day", today).stdout.strip()

    by_qr = passnum(folder, "redeem", good["url"], "--workshop", workshop)
    by_code = passnum(
        folder, "redeem", code_of(folder, good["serial"]), "--workshop", workshop
    )

    assert (by_qr.returncode, "[key_revoked]" in by_qr.stdout) == (1, True)
    assert "Tapez le code écrit dessous" in by_qr.stdout
    assert by_code.returncode == 0, by_code.stdout
