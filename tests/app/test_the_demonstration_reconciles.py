"""The demonstration reconciles: two years in the Creuse, to the cent, or not a figure."""

import json
import re
import shutil
import signal
import sqlite3
import stat
import subprocess
import time
from pathlib import Path

import httpx
import pytest

from tests.app.postbox import free_port
from tests.app.running import PASSNUM, Printed, environment, typed

TRANCHES = ("T1", "T2", "ESSAI")


def demo(folder: Path) -> Printed:
    return typed("demo", "--no-serve", "--data-dir", folder)


def figures(printed: Printed) -> list[str]:
    """Return the amounts and the counts that were printed."""
    return re.findall(r"\d[\d\s]*,\d\d\s€|\s{2}\d+\s", printed.out)


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> tuple[Path, Printed]:
    """The demonstration, built once for this file, and what building it printed."""
    folder = tmp_path_factory.mktemp("demonstration") / "demo"
    return folder, demo(folder)


@pytest.fixture
def copy(made, tmp_path) -> Path:
    """A copy that a test may spoil."""
    shutil.copytree(made[0], tmp_path / "demo")
    return tmp_path / "demo"


def test_every_tranche_is_told_to_the_cent(made):
    folder, first = made
    assert (first.code, first.err) == (0, "")
    for tranche in TRANCHES:
        assert f" {tranche} " in first.out
    told = typed("reconcile", "--format", "json", "--data-dir", folder).json["tranches"]
    assert [tranche["tranche"] for tranche in told] == list(TRANCHES)
    for tranche in told:
        lines = {line["state"]: line["cents"] for line in tranche["lines"]}
        assert sum(lines.values()) == tranche["envelope_cents"]
        assert tranche["not_yet_logged"] == 0
    t1 = {part["convention"]: part["cents"] for part in told[0]["funders"]}
    used = told[0]["used_cents"]
    assert used > 500_000
    assert t1["FSE-2019"] * 10 == used * 6
    assert t1["ETAT-2019"] == t1["CD23-2019"] == used // 5
    assert told[1]["used_cents"] > 0


def test_a_second_run_builds_nothing_and_tells_the_same(made):
    folder, first = made
    before = {file.name: file.stat().st_mtime_ns for file in folder.glob("demo.*")}

    second = demo(folder)

    assert second.code == 0
    start = first.out.index("Tranche T1")
    assert second.out == first.out[start:]
    assert {file.name: file.stat().st_mtime_ns for file in folder.glob("demo.*")} == before


@pytest.mark.usefixtures("interruptible")
def test_it_is_built_in_an_empty_folder_and_served_until_an_interruption(made, tmp_path):
    folder, printed, port = tmp_path / "again", tmp_path / "printed", free_port()
    folder.mkdir()
    command = [PASSNUM, "demo", "--port", str(port), "--data-dir", str(folder)]
    with (
        httpx.Client(base_url=f"http://127.0.0.1:{port}", follow_redirects=True) as pages,
        printed.open("w") as told,
        subprocess.Popen(command, env=environment(), stdout=told, stderr=told) as served,
    ):
        try:
            deadline = time.monotonic() + 60
            while (first := answer(pages, "/")) is None:
                assert served.poll() is None, printed.read_text()
                assert time.monotonic() < deadline
                time.sleep(0.05)
            paths = re.findall(rf"http://127\.0\.0\.1:{port}(/\S*)", printed.read_text())
            shown = {path: pages.get(path) for path in paths}
            served.send_signal(signal.SIGINT)
            code = served.wait(timeout=60)
        finally:
            served.kill()

    out = printed.read_text()
    assert code == 0, out
    assert not re.search("Traceback|ERROR", out)
    assert "Creuse" in first.text
    assert {page.status_code for page in shown.values()} == {200}
    passes = [page.text for path, page in shown.items() if path.startswith("/V/")]
    assert [("10,00" in page) for page in passes] == [True] * 3
    assert "/23/connexion" in shown
    # The story is the same every time.
    amounts = figures(made[1])
    assert len(amounts) > 40
    assert figures(Printed(code, out, "")) == amounts


def answer(pages: httpx.Client, path: str) -> httpx.Response | None:
    """Return what the server answers, or nothing while nobody listens."""
    try:
        return pages.get(path)
    except httpx.TransportError:
        return None


def test_the_readme_shows_what_is_printed(made):
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    [shown] = re.findall(r"^```text\n(.*?)^```$", readme, re.DOTALL | re.MULTILINE)
    printed = re.sub("[\N{NARROW NO-BREAK SPACE}\N{NO-BREAK SPACE}]", " ", made[1].out)
    parts = [part.strip("\n") for part in re.split(r"\n(?:…\n)?\n|\n…\n", shown)]
    assert len(parts) == 5
    places = [f"\n{printed}\n".find(f"\n{part}\n") for part in parts]
    assert -1 not in places, [p for p, at in zip(parts, places, strict=True) if at < 0]
    assert places == sorted(places)
    assert len(figures(Printed(0, shown, ""))) > 15


def test_its_secrets_are_read_by_nobody_else(made):
    folder, first = made
    for name in ("demo.key", "demo.json"):
        assert stat.S_IMODE((folder / name).stat().st_mode) == 0o600
    assert (folder / "demo.key").read_text() not in first.out
    access = json.loads((folder / "demo.json").read_text())
    assert set(access["tokens"]) == {"site", "desk", "departement"}
    assert set(access["passes"]) == {"good", "also_good", "used", "lapsed"}


def test_a_folder_that_holds_something_else_is_left_alone(tmp_path):
    (tmp_path / "thesis.txt").write_text("ten years of work")

    refused = demo(tmp_path)

    assert refused.refusal == "not_a_demonstration"
    assert figures(refused) == []
    assert [file.name for file in tmp_path.iterdir()] == ["thesis.txt"]
    assert [file.name for file in tmp_path.parent.glob(f"{tmp_path.name}*")] == [
        tmp_path.name
    ]


def test_a_real_departement_is_not_taken_for_a_demonstration(tmp_path):
    place = ["--data-dir", tmp_path / "data"]
    typed("departement", "add", "23", "Creuse", "--host", "PASS.CREUSE.FR", *place)
    before = (tmp_path / "data" / "d23.db").read_bytes()
    assert demo(tmp_path / "data").refusal == "not_a_demonstration"
    assert (tmp_path / "data" / "d23.db").read_bytes() == before


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize("sign", [signal.SIGKILL, signal.SIGINT])
def test_an_interruption_leaves_nothing_half_made(tmp_path, sign):
    folder = tmp_path / "demo"
    command = [PASSNUM, "demo", "--no-serve", "--data-dir", str(folder)]
    with subprocess.Popen(
        command, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    ) as building:
        deadline = time.monotonic() + 60
        while not list(tmp_path.glob("**/d23.db")):
            assert time.monotonic() < deadline
            assert building.poll() is None
            time.sleep(0.01)
        time.sleep(0.3)
        building.send_signal(sign)
        _out, told = building.communicate()
    assert not folder.exists()
    if sign == signal.SIGINT:
        assert list(tmp_path.iterdir()) == []
        assert b"Traceback" not in told
        return

    again = demo(folder)

    assert again.code == 0
    assert list(tmp_path.iterdir()) == [folder], "what the crash left is swept away"


FIRST_USE = "id = (SELECT min(id) FROM entry WHERE kind = 'redeemed')"
SPOILED = {
    "a balance": ("balance", "UPDATE balance SET debits = debits + 1000 WHERE debits > 0"),
    "one cent of one entry": (
        "entry",
        f"UPDATE entry SET amount_cents = amount_cents + 1 WHERE {FIRST_USE}",
    ),
    "what an entry says": (
        "entry",
        f"UPDATE entry SET body = CAST(replace(body, '1000', '1001') AS BLOB) WHERE {FIRST_USE}",
    ),
    "a pass given to nobody": (
        "handed_out",
        "DELETE FROM handed_out WHERE serial = (SELECT min(serial) FROM handed_out)",
    ),
    "a leaf of the log": ("log_leaf", "DELETE FROM log_leaf WHERE idx = 700"),
    "how a use was shared": ("attribution", "DELETE FROM attribution WHERE idx > 1000"),
    "by how much": (
        "segment",
        "UPDATE segment SET weights = replace(weights, '\"EU_ESF\",60', '\"EU_ESF\",50')",
    ),
    "the day of every workshop": ("workshop", "UPDATE workshop SET day = '2020-02-04'"),
}


@pytest.mark.parametrize(("table", "change"), SPOILED.values(), ids=SPOILED.keys())
def test_a_figure_that_was_altered_behind_our_back_is_not_printed(copy, table, change):
    raw = sqlite3.connect(copy / "d23.db")
    triggers = raw.execute(
        "SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = ?", (table,)
    ).fetchall()
    for (trigger,) in triggers:
        raw.execute(f"DROP TRIGGER {trigger}")
    raw.execute("PRAGMA foreign_keys = OFF")
    assert raw.execute(change).rowcount > 0
    raw.commit()
    raw.close()

    told = demo(copy)

    assert told.refusal in ("does_not_reconcile", "funds_told_otherwise", "audit_differs")
    assert figures(told) == []
    assert "Bearer" not in told.out
