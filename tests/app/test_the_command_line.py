"""The command line runs a département from the call for projects to the cents, and explains each no."""

import csv
import io
import json
import pkgutil
import re
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib import import_module
from pathlib import Path
from xml.etree import ElementTree as ET
from zoneinfo import ZoneInfo

import click
import pytest
from babel.messages.pofile import read_po
from click import Context

import app.demo
from app import cli
from app.cli.main import WORDS
from app.cli.main import passnum as passnum_command
from app.instance import Instance
from app.jobs import JOBS
from redemption.drawing import draw
from tests.app.running import PASSNUM, Printed, environment, passnum, typed
from tests.conftest import NUMBERS

# The command line works in the département, whatever this machine thinks the time is; a day that
# begins while these tests run is none of theirs.
NOW = datetime.now(UTC)
TODAY = NOW.astimezone(ZoneInfo("Europe/Paris")).date()
YESTERDAY, YEAR = TODAY - timedelta(days=1), timedelta(days=365)
COLUMNS = (
    (Path(app.demo.__path__[0]) / "lieux.csv").read_text("utf-8").splitlines()[0].split(",")
)
SITE = {
    "pivot": "99900001100018",
    "commune": "Guéret",
    "code_postal": "23000",
    "code_insee": "23096",
    "adresse": "1 place du Marché",
    "date_maj": "2020-01-02",
}


@dataclass
class Terminal:
    """Somebody at a terminal: the same folder, or the same logins, for every command."""

    place: list[str]
    stdin: str = ""

    def try_(self, *words: object) -> Printed:
        return typed(*words, *self.place, stdin=self.stdin)

    def __call__(self, *words: object) -> Printed:
        printed = self.try_(*words)
        assert printed.code == 0, printed
        assert printed.err == ""
        return printed


def write_sites(path: Path, *rows: dict[str, str], separator: str = ";") -> Path:
    """Write a list of sites as spreadsheets do: a mark at the start, and semicolons."""
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, delimiter=separator, restval="")
        writer.writeheader()
        for number, row in enumerate(rows, 1):
            named = {"id": f"lieu-{number}", "nom": f"Médiathèque {number}"}
            writer.writerow(SITE | named | row)
    return path


CALENDAR = [
    *("--hand-out-stop", TODAY + YEAR, "--use-by", TODAY + YEAR),
    *("--tolerance", TODAY + YEAR, "--present-by", TODAY + YEAR),
    *("--pay-by", TODAY + YEAR, "--report-by", TODAY + YEAR),
]


def found(run: Terminal, sites: Path) -> None:
    """Found a département: keys, three funders, a programme, a tranche, two sites, a desk."""
    run("keys", "new")
    run("call", "open", "AAP", "Appel à projets")
    for code, funder in (("FSE", "EU_ESF"), ("ETAT", "STATE"), ("DEP", "DEPARTMENT")):
        window = ["--from", f"01/01/{TODAY.year}", "--until", TODAY + YEAR]
        named = ["--call", "AAP", "--funder", funder, "--name", code]
        run("convention", "sign", code, *named, *window)
    run("programme", "start", "tela", "Tela")
    shares = ["--share", "FSE=60", "--share", "ETAT=20", "--share", "DEP=20"]
    money = [
        "--number",
        1,
        "--programme",
        "tela",
        "--call",
        "AAP",
        "--envelope",
        "1 000,00",
    ]
    opened = run("tranche", "open", "T1", *money, *shares, *CALENDAR)
    assert "aucun lien entre un pass et une personne n'est gardé" in opened.out
    run("sites", "import", sites, "--programme", "tela")
    for site in ("lieu-1", "lieu-2"):
        run("accreditation", "grant", site, "--programme", "tela", "--from", YESTERDAY)
    desk = ["--prescriber", "CAF de la Creuse", "--name", "Accueil", "--programme", "tela"]
    run("desk", "open", "CAF", *desk)


def ordered(run: Terminal, folder: Path, carnets: int = 4) -> list[dict[str, str]]:
    """Order carnets, have them printed and delivered; return the lines of the printer's list."""
    run("order", "place", "T1", "--carnets", carnets)
    run("order", "activate", 1, "--commitment", "ENG-1")
    proof = folder.with_name("proof.pdf")
    proof.write_bytes(b"%PDF-1.7 what the shop sent back")
    run("order", "approve", 1, "--kind", "shop", "--proof", proof)
    run("print", 1, "--kind", "shop", "--out", folder)
    run("desk", "deliver", "CAF", "--first", 1, "--last", carnets)
    with (folder / "pass.csv").open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(autouse=True)
def one_day(monkeypatch) -> None:
    """Have the commands of this process live at that instant."""
    monkeypatch.setattr(Instance.__init__, "__defaults__", (lambda: NOW,))


@pytest.fixture
def run(tmp_path, monkeypatch) -> Terminal:
    """A new département on SQLite."""
    for name in ("PASSNUM_DATABASE_URL", "PASSNUM_DATA_DIR", "PASSNUM_DEPARTEMENT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PASSNUM_KEY_PASSPHRASE", "un secret des tests")
    terminal = Terminal(["--data-dir", str(tmp_path / "data")])
    terminal("departement", "add", "23", "Creuse", "--host", "pass.creuse.fr")
    return terminal


@pytest.fixture
def founded(run, tmp_path) -> Terminal:
    found(run, write_sites(tmp_path / "lieux.csv", {}, {"pivot": "99900002900010"}))
    return run


def test_every_word_is_found_in_the_module_that_the_table_names():
    context = Context(passnum_command)
    for word in WORDS:
        assert passnum_command.get_command(context, word).name == word
    written = {
        command.name
        for module in pkgutil.iter_modules(cli.__path__, "app.cli.")
        for command in getattr(import_module(module.name), "COMMANDS", ())
    }
    assert written == set(WORDS)
    assert passnum_command.get_command(context, "rien") is None


def test_a_command_starts_without_what_only_the_server_needs():
    heavy = "litestar,alembic,httpx,typst,uvicorn,webauthn"
    script = (
        "import sys; sys.argv = ['passnum', 'order', 'list', '--help']\n"
        "from app.cli.start import main\n"
        "try: main()\n"
        f"finally: print([m for m in '{heavy}'.split(',') if m in sys.modules])"
    )
    ran = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert ran.stdout.splitlines()[-1] == "[]"


def test_a_whole_year_is_told_by_commands_alone(founded, tmp_path):
    run = founded
    passes = ordered(run, tmp_path / "paper")
    assert run("hand-out", "--desk", "CAF", "--carnet", 1, "--pic", "--proof", "attested")
    run("hand-out", "--desk", "CAF", "--serial", passes[5]["serial"], "--not-pic")
    workshop = run("workshop", "open", "lieu-1", "--day", TODAY).out.strip()

    spent = run("redeem", passes[0]["url"], passes[1]["code"], "--workshop", workshop)
    assert [line.split(" : ")[0] for line in spent.out.splitlines()] == [
        passes[0]["serial"],
        passes[1]["serial"],
    ]
    twice = run.try_("redeem", passes[0]["url"], "--workshop", workshop)
    assert (twice.code, twice.out.strip().rpartition(" ")[2]) == (1, "[already_redeemed]")
    run("undo", passes[1]["serial"], "--reason", "wrong_pass")
    again = run.try_("undo", passes[1]["serial"], "--reason", "wrong_pass")
    assert again.refusal == "nothing_to_undo"
    run("redeem", passes[1]["url"], passes[2]["url"], "--workshop", workshop)
    run("block", 1, "--reason", "lost")
    for stage in ("stock", "circulating"):
        assert run.try_("lapse", 1, "--stage", stage).refusal == "too_early_to_lapse"

    [tranche] = run("reconcile", "T1", "--format", "json").json["tranches"]
    lines = {line["state"]: line["count"] for line in tranche["lines"]}
    assert lines == {
        "available": 80,
        "stock": 14,
        "circulating": 1,
        "due": 3,
        "blocked": 2,
        "lapsed": 0,
        "paid": 0,
    }
    assert tranche["not_yet_logged"] == 0
    rows = list(csv.DictReader(io.StringIO(run("reconcile", "--format", "csv").out)))
    parts = {row["code_convention"]: row["part_financeur_centimes"] for row in rows}
    assert parts == {"FSE": "1800", "ETAT": "600", "DEP": "600"}
    assert {row["frais_centimes"] for row in rows} == {""}, "empty is not zero"
    text = run("reconcile", "T1").out
    assert "T1" in text
    assert "Médiathèque 1" in text
    of_call = run("reconcile", "--call", "AAP", "--format", "json").json
    assert of_call["call"]["used_cents"] == 3000
    assert {p["convention"]: p["cents"] for p in of_call["call"]["funders"]} == {
        "FSE": 1800,
        "ETAT": 600,
        "DEP": 600,
    }
    assert "weight" not in of_call["call"]["funders"][0], "each tranche has its own rate"
    summed = run("reconcile", "--call", "AAP").out.partition(
        "Appel à projets AAP, une tranche"
    )
    assert "18,00" in summed[2]

    def used(*asked: object) -> int:
        [seen] = run("reconcile", "T1", "--format", "json", *asked).json["tranches"]
        return seen["used_cents"]

    assert used("--as-of", YESTERDAY) == 0
    assert used("--as-of", TODAY) == 3000
    assert used("--as-of", f"{TODAY:%d/%m/%Y}") == 3000
    assert used("--known-by", TODAY, "--as-of", YESTERDAY) == 0
    assert used("--known-by", TODAY) == 3000
    assert used("--log-size", tranche["log_size"]) == 3000
    assert used("--log-size", tranche["log_size"], "--as-of", YESTERDAY) == 0
    assert run("jobs", "--once").out.count("\n") == len(JOBS)
    assert len(run("audit").out.splitlines()) >= 7


def test_a_job_that_failed_is_told_by_the_exit_code_and_done_by_the_next_try(
    run, monkeypatch
):
    def broken(_session, _now):
        raise ValueError("broken")

    with monkeypatch.context() as meanwhile:
        meanwhile.setitem(JOBS, "lapse", broken)
        told = run.try_("jobs", "--once")
    assert told.code == 1
    assert "23 lapse : échec" in told.out
    assert "23 forget_failures : 0 fait" in told.out
    again = run("jobs", "--once").out
    assert "23 lapse : 0 fait" in again
    assert "23 forget_failures : déjà faite" in again


def test_what_is_printed_is_read_by_the_printer_alone(founded, tmp_path):
    paper = tmp_path / "paper"
    passes = ordered(founded, paper, 2)

    modes = {stat.S_IMODE(path.stat().st_mode) for path in [paper, *paper.rglob("*")]}
    assert modes == {0o700, 0o600}
    assert len(passes) == 10
    assert ET.parse(paper / passes[0]["svg"]).getroot().tag.endswith("svg")  # noqa: S314 - we wrote it
    assert passes[0]["url"].startswith("HTTPS://PASS.CREUSE.FR/V/")
    assert len({row["code"] for row in passes}) == 10
    before = (paper / "pass.csv").read_bytes()
    founded("print", 1, "--kind", "shop", "--out", paper)
    assert (paper / "pass.csv").read_bytes() == before


def test_batches_are_printed_and_listed(founded, tmp_path):
    ordered(founded, tmp_path / "shop", 3)
    founded("order", "proof", 1, "--out", tmp_path)
    founded("order", "approve", 1, "--proof", tmp_path / "epreuve-commande-1.pdf")
    said = founded("print", 1, "--out", tmp_path / "a4", "--first", 2, "--count", 2).out

    assert f"Carnets 2 à 3 écrits dans {tmp_path / 'a4'} : lot 2 de la commande 1." in said
    founded("print", 1, "--out", tmp_path / "phone", "--kind", "phone", "--count", 1)
    listed = founded("order", "prints", 1, "--format", "json").json
    assert [(b["number"], b["kind"], b["last_carnet"]) for b in listed] == [
        (1, "shop", 3),
        (2, "pdf", 3),
        (3, "phone", 1),
    ]
    assert {b["publicity"] for b in listed} == {"fse-2014-2020/1"}
    assert "carnet" in founded("order", "prints", 1).out
    assert {p.suffix for p in (tmp_path / "phone").glob("23-*")} == {".html", ".pdf"}


LISTS = [
    ["departement", "list"],
    ["keys", "list"],
    ["call", "list"],
    ["convention", "list"],
    ["programme", "list"],
    ["tranche", "list"],
    ["sites", "list"],
    ["accreditation", "list"],
    ["desk", "list"],
    ["stock"],
    ["device", "list"],
    ["order", "list"],
    ["order", "prints", "1"],
]


def test_every_list_is_read_by_people_and_by_machines(founded, tmp_path):
    ordered(founded, tmp_path / "paper", 1)
    founded("device", "new", "--site", "lieu-1", "--label", "tablette")
    for words in LISTS:
        if words[0] == "departement":
            rows = founded(*words, "--format", "json").json
        else:
            rows = founded(*words, "--format", "json", "-d", "23").json
        text = founded(*words).out.splitlines()
        assert rows, words
        assert len(text) == len(rows) + 1
        assert text[0].split() == list(rows[0])
    [tranche] = founded("tranche", "list", "--format", "json").json
    assert tranche["envelope_cents"] == 100_000
    assert tranche["use_by"] == (TODAY + YEAR).isoformat()


def test_no_secret_is_ever_listed(founded, tmp_path):
    passes = ordered(founded, tmp_path / "paper", 1)
    token = founded("device", "new", "--site", "lieu-1").out.splitlines()[1]
    told = "".join(founded(*words, "--format", "json").out for words in LISTS)
    for secret in (
        token,
        passes[0]["code"],
        passes[0]["url"][-191:],
        "un secret des tests",
    ):
        assert secret not in told


def test_a_pass_per_line_is_read_from_the_standard_input(founded, tmp_path):
    passes = ordered(founded, tmp_path / "paper", 1)
    founded("hand-out", "--desk", "CAF", "--carnet", 1)
    workshop = founded("workshop", "open", "lieu-1", "--day", TODAY).out.strip()
    founded.stdin = "\n".join([passes[0]["url"], "", f"  {passes[1]['code']} ", ""])
    spent = founded("redeem", "--from-stdin", "--workshop", workshop)
    assert len(spent.out.splitlines()) == 2


def test_a_device_is_shown_its_token_once_and_revoked_once(founded):
    identifier, token = founded("device", "new", "--desk", "CAF").out.split()
    assert token.startswith("pn_23_")
    founded("device", "revoke", identifier)
    assert founded.try_("device", "revoke", identifier).refusal == "not_found"
    assert founded.try_("device", "new", "--site", "nowhere").refusal == "not_found"
    both = founded.try_("device", "new", "--site", "lieu-1", "--desk", "CAF")
    assert both.code == 2


def test_stock_is_sent_signed_for_counted_and_voided(founded, tmp_path):
    ordered(founded, tmp_path / "paper", 6)
    desk = ["--prescriber", "MSA", "--name", "Accueil", "--programme", "tela"]
    founded("desk", "open", "MSA", *desk)
    told = founded("transfer", "send", "1-3, 5", "--from", "CAF", "--to", "MSA")
    assert told.out.strip() == "Transfert 1 : 4 carnets en chemin."
    assert founded.try_("hand-out", "--desk", "MSA", "--carnet", 1).code == 1
    told = founded("transfer", "receive", 1, "--at", "MSA", "--carnets", "1-2")
    assert told.out.strip().endswith("2 carnets reçus. Manquent : 3, 5.")
    listed = json.loads(founded("transfer", "list", "--format", "json").out)
    assert [(t["left"], t["missing"]) for t in listed] == [("3, 5", True)]
    founded("transfer", "receive", 1, "--at", "CAF")
    assert founded.try_("transfer", "receive", 1).code == 2
    assert founded.try_("transfer", "receive", 1, "--at", "MSA", "--none").code == 1
    assert founded.try_("transfer", "send", "les bleus", "--to", "MSA").code == 1

    told = founded("count", "record", "1, 7", "--desk", "MSA")
    assert told.out.strip() == "Attendus : 2. Comptés : 2. Manquent : 2. En trop : 7."
    rows = csv.DictReader(
        io.StringIO(founded("count", "export", "--desk", "MSA", "--format", "csv").out)
    )
    assert [row["ecart"] for row in rows] == ["0", "-1", "1"]
    assert founded("count", "record", "--store").out.startswith("Attendus : 0.")
    assert founded.try_("count", "record", "1").code == 2

    assert (
        "Carnets 23-000006 à 6 annulés : 5 pass"
        in founded("void-misprints", "--first", "23-000006", "--last", 6, "--yes").out
    )
    # Nobody said yes: what would go is told, and nothing goes.
    asked = founded.try_("block-stock", "--first", 3, "--last", 5)
    assert asked.code == 1
    assert "Carnets 3 à 5, nos numéros 3 à 5 : 3 carnets, 15 pass en stock." in asked.out
    held = json.loads(founded("stock", "--format", "json").out)
    assert [(h["desk"], h["carnets"]) for h in held] == [("CAF", "3-5"), ("MSA", "1-2")]
    only = json.loads(
        founded("stock", "--organisation", "MSA", "--on", TODAY, "--format", "json").out
    )
    assert [h["passes"] for h in only] == [10]
    assert (
        json.loads(
            founded("stock", "--desk", "CAF", "--on", YESTERDAY, "--format", "json").out
        )
        == []
    )
    assert founded.try_("stock", "--desk", "NOPE").code == 1
    founded("audit")


def test_amendments_are_recorded(founded):
    window = ["--from", YESTERDAY, "--until", TODAY + 2 * YEAR]
    founded("convention", "extend", "FSE", *window)
    founded("tranche", "extend", "T1", *CALENDAR)
    founded("tranche", "shares", "T1", "--share", "DEP=1", "--from", TODAY)
    founded("programme", "suspend", "tela", "--from", TODAY, "--reason", "health_crisis")
    ending = ["--programme", "tela", "--last-day", TODAY, "--reason", "withdrawn"]
    founded("accreditation", "end", "lieu-2", *ending)
    [*_, last] = founded("accreditation", "list", "--format", "json").json
    assert last["ended_for"] == "withdrawn"


def test_every_row_of_a_list_of_sites_is_reported(run, tmp_path):
    run("programme", "start", "tela", "Tela")
    rows = [{}, {"nom": ""}, {"pivot": ""}, {"id": "lieu-1"}, {"commune": "  Guéret "}]
    sites = write_sites(tmp_path / "lieux.csv", *rows)
    report = tmp_path / "report.jsonl"

    printed = run("sites", "import", sites, "--programme", "tela", "--report", report)

    lines = [json.loads(line) for line in report.read_text("utf-8").splitlines()]
    assert [line["line"] for line in lines] == [2, 3, 4, 5, 6]
    verdicts = [line["verdict"] for line in lines]
    assert verdicts[1] == verdicts[3] == "refused"
    assert verdicts[0] in ("accepted", "corrected")
    assert verdicts[2] == "candidate"
    assert lines[3]["code"] == "id_twice"
    assert all(line["sentence"] not in ("", line["code"]) for line in lines)
    assert printed.out.splitlines()[0].startswith("5 ")
    kept = run("sites", "list", "--format", "json").json
    assert [row["id"] for row in kept] == ["lieu-1", "lieu-3", "lieu-5"]
    again = run("sites", "import", sites, "--programme", "tela", "--report", report)
    assert again.out != printed.out
    counts = [line.rpartition(" : ")[2] for line in again.out.splitlines()[5:8]]
    assert counts == ["0", "0", "3"], "nothing new, nothing changed, three the same"
    assert run("sites", "list", "--format", "json").json == kept


def test_a_site_keeps_the_siret_that_a_later_list_has_lost(run, tmp_path):
    run("programme", "start", "tela", "Tela")
    words = ["sites", "import", tmp_path / "lieux.csv", "--programme", "tela"]
    write_sites(tmp_path / "lieux.csv", {})
    run(*words)
    before = run("sites", "list", "--format", "json").json
    report = tmp_path / "report.jsonl"
    for pivot in ("", "12345678901234"):
        write_sites(tmp_path / "lieux.csv", {"pivot": pivot})
        run(*words, "--report", report)
        [line] = [json.loads(line) for line in report.read_text("utf-8").splitlines()]
        assert line["verdict"] == "corrected"
        assert line["corrections"][-1]["code"] == "siret_kept"
        assert run("sites", "list", "--format", "json").json == before


def test_a_report_that_cannot_be_written_is_told_before_anything_is_kept(run, tmp_path):
    run("programme", "start", "tela", "Tela")
    sites = write_sites(tmp_path / "lieux.csv", {})
    nowhere = tmp_path / "nulle" / "part.jsonl"
    wrong = run.try_("sites", "import", sites, "--programme", "tela", "--report", nowhere)
    assert (wrong.code, wrong.out) == (1, "")
    assert wrong.err.startswith(f"Impossible d'écrire {nowhere}")
    assert run("sites", "list", "--format", "json").json == []


def test_all_or_nothing_keeps_nothing_when_a_row_is_refused(run, tmp_path):
    run("programme", "start", "tela", "Tela")
    sites = write_sites(tmp_path / "lieux.csv", {}, {"nom": ""})
    words = ["sites", "import", sites, "--programme", "tela", "--all-or-nothing"]
    assert run.try_(*words).refusal == "import_refused"
    assert run("sites", "list", "--format", "json").json == []
    run("sites", "import", sites, "--programme", "tela")
    assert len(run("sites", "list", "--format", "json").json) == 1


def test_an_auditor_has_a_sample_drawn_and_draws_it_again(founded, tmp_path):
    run = founded
    sampling = ["sample", "--size", 2, "--seed", "0042"]
    assert run.try_(*sampling).refusal == "checkpoint_not_published"
    passes = ordered(run, tmp_path / "paper")
    run("hand-out", "--desk", "CAF", "--carnet", 1)
    workshop = run("workshop", "open", "lieu-1", "--day", TODAY).out.strip()
    run("redeem", *[p["url"] for p in passes[:5]], "--workshop", workshop)
    run("undo", passes[1]["serial"], "--reason", "wrong_pass")
    run("log", "key", "new")
    run("log", "publish")

    told = run(*sampling, "--format", "json").json

    assert (told["number"], told["population"], told["tranche"]) == ("42", 4, None)
    drawn = [use["serial"] for use in told["drawn"]]
    assert len({*drawn} - {passes[1]["serial"]}) == 2
    places = draw(bytes.fromhex(told["root"]), 42, 4, 2)
    kept = [p["serial"] for n, p in enumerate(passes[:5]) if n != 1]
    assert drawn == [kept[place] for place in places]
    # Publishing goes on, and so does the log: the checkpoint is what names the sample.
    run("redeem", passes[1]["url"], "--workshop", workshop)
    again = [*sampling, "--checkpoint", told["checkpoint"]]
    run("log", "publish")
    assert run(*again, "--format", "json").json == told
    rows = list(csv.DictReader(io.StringIO(run(*again, "--format", "csv").out)))
    assert [row["serial"] for row in rows] == drawn
    assert {row["root"] for row in rows} == {told["root"]}
    text = run(*again).out
    assert all(word in text for word in (*drawn, told["root"], told["announcement"], "42"))
    assert run("log", "proof", told["announcement"]).out.startswith(
        "c2sp.org/tlog-proof@v1"
    )
    assert run(*sampling, "--tranche", "T1", "--format", "json").json["tranche"] == "T1"
    for code, words in (
        ("sample_size_impossible", ["--size", 0, "--seed", 1]),
        ("sample_size_impossible", ["--size", 99, "--seed", 1]),
        ("sample_number_impossible", ["--size", 1, "--seed", -1]),
        (
            "sample_scope_double",
            ["--size", 1, "--seed", 1, "--tranche", "T1", "--call", "AAP"],
        ),
        ("checkpoint_not_published", ["--size", 1, "--seed", 1, "--checkpoint", 3]),
        ("not_found", ["--size", 1, "--seed", 1, "--call", "NONE"]),
    ):
        assert run.try_("sample", *words).refusal == code, words


def test_a_file_that_is_no_list_of_sites_is_refused(run, tmp_path):
    run("programme", "start", "tela", "Tela")
    for name, content in (
        ("empty.csv", b""),
        ("columns.csv", "id;nom\n1;Médiathèque\n".encode()),
        ("image.csv", bytes(range(256)) * 10),
    ):
        (tmp_path / name).write_bytes(content)
        refused = run.try_("sites", "import", tmp_path / name, "--programme", "tela")
        assert refused.refusal in ("empty_file", "missing_columns", "not_a_csv")
    gone = run.try_("sites", "import", tmp_path / "gone.csv", "--programme", "tela")
    assert gone.code == 1
    assert "gone.csv" in gone.err
    sites = write_sites(tmp_path / "lieux.csv", {})
    assert run.try_("sites", "import", sites, "--programme", "x").refusal == "not_found"


REFUSALS = [
    ("unknown_departement", ["call", "list", "-d", "75"]),
    ("malformed_departement", ["call", "list", "-d", "../23"]),
    ("not_found", ["reconcile", "T9"]),
    ("not_found", ["reconcile", "--call", "NONE"]),
    ("no_such_log_size", ["reconcile", "T1", "--log-size", "99999"]),
    ("no_such_log_size", ["reconcile", "T1", "--log-size", "-1"]),
    ("known_by_twice", ["reconcile", "--log-size", "1", "--known-by", "2020-01-01"]),
    ("not_found", ["order", "place", "T9", "--carnets", "1"]),
    ("not_found", ["order", "activate", "9", "--commitment", "x"]),
    ("not_found", ["order", "make", "9"]),
    ("not_found", ["print", "9", "--out", "/nowhere/at/all"]),
    ("not_found", ["order", "prints", "9"]),
    ("not_found", ["lapse", "9", "--stage", "stock"]),
    ("carnet_unknown", ["block", "99"]),
    ("not_found", ["desk", "deliver", "MSA", "--first", "1", "--last", "1"]),
    ("carnet_unknown", ["hand-out", "--desk", "CAF", "--carnet", "99"]),
    ("not_found", ["workshop", "open", "nowhere", "--day", "2020-01-01"]),
    ("workshop_too_early", ["workshop", "open", "lieu-1", "--day", "0001-01-01"]),
    ("workshop_in_future", ["workshop", "open", "lieu-1", "--day", "9999-12-31"]),
    (
        "service_unknown",
        [
            "workshop",
            "open",
            "lieu-1",
            "--day",
            "2020-01-01",
            "--service",
            "06 12 34 56 78",
        ],
    ),
    ("malformed_departement", ["departement", "add", "999", "Ailleurs", "--host", "A.FR"]),
    ("host_too_long", ["departement", "add", "75", "Paris", "--host", "A" * 60 + ".FR"]),
    ("host_not_printable", ["departement", "add", "75", "Paris", "--host", "été.fr"]),
]


def test_each_no_is_one_sentence_with_its_code(founded):
    for code, words in REFUSALS:
        assert founded.try_(*words).refusal == code, words
    again = ["call", "open", "AAP", "Appel à projets"]
    assert founded.try_(*again).refusal
    for carnets in (0, -1, 101, 10**9):
        refused = founded.try_("order", "place", "T1", "--carnets", carnets)
        assert refused.code in (1, 2), carnets
        assert "Traceback" not in refused.err


TYPED_WRONG = [
    ["workshop", "open", "lieu-1", "--day", "hier"],
    ["workshop", "open", "lieu-1", "--day", "31/02/2020"],
    ["tranche", "open", "T2", "--number", "2", "--envelope", "12,345"],
    ["tranche", "open", "T2", "--number", "2", "--envelope", "12²"],
    ["tranche", "open", "T2", "--number", "2", "--envelope", "12,²"],
    ["tranche", "shares", "T1", "--share", "FSE", "--from", "2020-01-01"],
    ["tranche", "shares", "T1", "--share", "FSE=²", "--from", "2020-01-01"],
    [
        "tranche",
        "shares",
        "T1",
        "--share",
        "FSE=6",
        "--share",
        "FSE=4",
        "--from",
        "2020-01-01",
    ],
    ["tranche", "open", "T2", "--number", "2", "--envelope", "9" * 5_000],
    ["workshop", "open", "lieu-1", "--day", "31/12/20"],
    ["lapse", str(2**64), "--stage", "stock"],
    ["order", "activate", "9" * 30, "--commitment", "x"],
    ["serve", "--port", "80000"],
    ["redeem", "x", "--workshop", "no-uuid"],
    ["nothing"],
    ["lapse", "1", "--stage", "all"],
]


def test_what_is_typed_wrong_is_shown_the_usage(founded):
    for words in TYPED_WRONG:
        wrong = founded.try_(*words)
        assert wrong.code == 2, words
        assert "Traceback" not in wrong.err


def test_the_words_of_click_are_french_too(founded):
    shown = founded("workshop", "open", "--help").out.replace("\u00a0", " ")
    assert "Usage :" in shown
    assert "[obligatoire]" in shown
    for words, said in (
        (["workshop", "opne"], "La commande 'opne' n'existe pas."),
        (["workshop", "open", "--dya", TODAY], "L'option '--dya' n'existe pas."),
        (["workshop", "open", "--day", TODAY], "Il manque l'argument 'SITE'."),
        (["lapse", "1", "--stage", "all"], "n'est pas l'un de ces mots"),
    ):
        wrong = founded.try_(*words).err
        assert said in wrong
        assert not re.search("Usage:|Error|Try|Missing|No such|Invalid|not one of", wrong)


def test_each_word_that_we_say_for_click_is_one_it_asks_for():
    asked = "".join(
        path.read_text(encoding="utf-8")
        for path in Path(click.__file__).parent.glob("*.py")
    )
    asked = re.sub(r'"\n\s*f?"', "", asked)
    catalogue = Path(app.__file__).parent / "locale" / "fr" / "LC_MESSAGES" / "click.po"
    with catalogue.open("rb") as file:
        words = [m.id for m in read_po(file, locale="fr") if m.id]
    ours = [word for told in words for word in ([told] if isinstance(told, str) else told)]
    assert len(ours) > 40
    gone = [word for word in ours if f'"{word}"'.replace("\n\t", "\\n\\t") not in asked]
    assert gone == []


def test_one_of_several_departements_must_be_named(run, monkeypatch):
    run("departement", "add", "2a", "Corse-du-Sud", "--host", "PASS.CORSE.FR")
    assert run.try_("call", "list").refusal == "which_departement"
    run("call", "open", "AAP", "Appel", "-d", "2a")
    assert run("call", "list", "-d", "23", "--format", "json").json == []
    monkeypatch.setenv("PASSNUM_DEPARTEMENT", "2A")
    assert len(run("call", "list", "--format", "json").json) == 1


def test_a_departement_is_made_once(run):
    again = ["departement", "add", "23", "Creuse", "--host", "PASS.CREUSE.FR"]
    assert run.try_(*again).refusal
    assert len(run("departement", "list", "--format", "json").json) == 1


def test_a_clock_of_nowhere_is_refused(run):
    adding = ["departement", "add", "75", "Paris", "--host", "A.FR"]
    wrong = run.try_(*adding, "--timezone", "Europe/Nowhere")
    assert wrong.code in (1, 2)
    assert "Traceback" not in wrong.err
    assert len(run("departement", "list", "--format", "json").json) == 1


@pytest.mark.parametrize("words", [["departement", "list"], ["call", "list"], ["migrate"]])
def test_a_folder_that_is_not_there_is_explained(run, tmp_path, words):
    elsewhere = Terminal(["--data-dir", str(tmp_path / "nowhere")])
    told = elsewhere.try_(*words)
    assert told.code == 0 or told.refusal
    assert "Traceback" not in told.err


def test_keys_stay_sealed_without_their_secret(founded, monkeypatch):
    monkeypatch.setenv("PASSNUM_KEY_PASSPHRASE", "another")
    wrong = founded.try_("order", "place", "T1", "--carnets", 1)
    assert wrong.refusal == "keys_locked"
    monkeypatch.delenv("PASSNUM_KEY_PASSPHRASE")
    for words in (["keys", "new"], ["order", "place", "T1", "--carnets", 1]):
        assert founded.try_(*words).refusal == "keys_locked"
    monkeypatch.setenv("PASSNUM_KEY_FILE", "/nowhere/key")
    assert founded.try_("call", "list").refusal == "settings_wrong"


def test_an_interrupted_order_is_taken_up_where_it_was(founded):
    founded("order", "place", "T1", "--carnets", 2)
    made = founded("order", "make", 1)
    assert "10" in made.out
    [order] = founded("order", "list", "--format", "json").json
    assert order["made"] == order["carnets"] == 2


def test_a_schema_is_brought_up_to_date_by_doing_nothing_when_it_is(run):
    assert "23" in run("migrate").out
    assert "23" in run("migrate").out


def test_a_no_is_told_in_french_and_in_english_on_request(run):
    words = ["reconcile", "T9", *run.place]
    french = passnum(*words, env=environment())
    english = passnum(*words, env=environment(LANG="en_GB.UTF-8"))
    for told in (french, english):
        assert told.returncode == 1
        assert told.stdout == ""
        assert told.stderr.endswith(" [not_found]\n")
        assert "Traceback" not in told.stderr
    assert french.stderr.startswith("«\xa0T9\xa0» n'existe pas ici.")
    assert french.stderr != english.stderr
    assert "«" not in english.stderr


@pytest.fixture
def postgres(server, monkeypatch) -> Iterator[Terminal]:
    """A département on PostgreSQL, its roles made by an administrator from what we print."""
    name = f"t{next(NUMBERS)}"
    server.run(f"CREATE DATABASE {name}")
    roles = Terminal([]).try_("departement", "roles", "23")
    server.run(roles.out, database=name)
    server.run(roles.out, database=name)
    monkeypatch.setenv("PASSNUM_KEY_PASSPHRASE", "un secret des tests")
    for variable, login in (
        ("PASSNUM_DATABASE_URL", "passnum_app"),
        ("PASSNUM_OWNER_URL", "passnum_owner"),
        ("PASSNUM_SEQUENCER_URL", "passnum_sequencer"),
    ):
        url = server.url(name, login).replace("+psycopg", "")
        monkeypatch.setenv(variable, url)
    yield Terminal([])
    server.run(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.mark.postgres
def test_the_same_words_work_on_postgresql(postgres, tmp_path):
    run = postgres
    run("departement", "add", "23", "Creuse", "--host", "PASS.CREUSE.FR")
    found(run, write_sites(tmp_path / "lieux.csv", {}, {"pivot": "99900002900010"}))
    passes = ordered(run, tmp_path / "paper", 1)
    run("hand-out", "--desk", "CAF", "--carnet", 1)
    workshop = run("workshop", "open", "lieu-1", "--day", TODAY).out.strip()
    run("redeem", passes[0]["url"], passes[1]["code"], "--workshop", workshop)
    run("undo", passes[1]["serial"], "--reason", "wrong_pass")
    assert run.try_("lapse", 1, "--stage", "stock").refusal == "too_early_to_lapse"
    assert run("jobs", "--once").code == 0

    with subprocess.Popen([PASSNUM, "sequencer"]) as sequencer:
        try:
            deadline = time.monotonic() + 60
            while True:
                [tranche] = run("reconcile", "T1", "--format", "json").json["tranches"]
                if tranche["not_yet_logged"] == 0:
                    break
                assert time.monotonic() < deadline
                time.sleep(0.05)
        finally:
            sequencer.send_signal(signal.SIGTERM)
        assert sequencer.wait(60) == 0

    assert tranche["used_cents"] == 1000
    assert run("audit").code == 0


@pytest.mark.postgres
def test_a_login_that_is_missing_is_explained(postgres, monkeypatch):
    monkeypatch.delenv("PASSNUM_OWNER_URL")
    adding = ["departement", "add", "23", "Creuse", "--host", "PASS.CREUSE.FR"]
    assert postgres.try_(*adding).refusal


def test_a_database_that_is_not_there_is_explained(monkeypatch):
    monkeypatch.setenv("PASSNUM_DATABASE_URL", "postgresql://nobody@/x?host=/nowhere")
    assert Terminal([]).try_("departement", "list").refusal
