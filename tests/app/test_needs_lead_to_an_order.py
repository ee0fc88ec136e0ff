"""A manager sizes needs before ordering, by a page or by a command; nothing of it is kept."""

import csv
import io
import re
from html import unescape

import pytest

from app.people.roles import Role
from tests.app.running import typed
from tests.app.visiting import Browser, House, engine_house, everything, house

__all__ = ["engine_house", "house"]

COMMUNES = "Code INSEE;Nom;Population\r\n23096;Guéret;12 734\r\n23008;Aubusson;3104\r\n"


@pytest.fixture
def manager(house: House) -> Browser:
    return house.entered(house.person(Role.MANAGER))


def told(page: str) -> str:
    """The text of the main part of a page, its spaces plain."""
    main = page[page.index("<main") : page.index("</main")]
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", main)).split())


def asked(browser: Browser, file: str | bytes | None = None, name="communes.csv", **fields):
    """Send the form, with a file of communes where there is one."""
    data = file.encode("cp1252") if isinstance(file, str) else file or b""
    # A browser sends the field of a file that was not chosen too, without a name.
    files = {"file": (name if file is not None else "", data, "text/csv")}
    sent = {
        "csrf": browser.csrf,
        "population": "",
        "people": "",
        "each": "1",
        "tranche": "",
    }
    return browser.send("/besoins", sent | fields, files=files)


def test_the_figures_of_the_creuse_are_shown_and_lead_to_an_order(house, manager):
    before = everything(house)
    assert 'href="/23/besoins"' in manager.get("/tranches").text
    answer = asked(manager, population="119 502", tranche="T1", people="100")
    said = told(answer.text)
    assert answer.status_code == 200
    for figure in ("8 365", "22 705", "16 730", "47 800"):
        assert figure in said
    assert "Il faut 100 carnets, soit 500 pass et 5 000,00 €" in said
    assert "C'est 50,0 % de l'enveloppe de la tranche T1 (10 000,00 €)" in said
    assert 'href="/23/commandes/nouvelle"' in answer.text
    assert 'value="119 502"' in answer.text, "what was typed stays"
    assert everything(house) == before


def test_a_list_saved_by_excel_tells_which_communes_have_a_place(manager):
    said = told(asked(manager, COMMUNES).text)
    assert "Communes qui ont un lieu habilité : 1 sur 2 (50,0 %)." in said
    assert "Habitants de ces communes : 12 734 sur 15 838 (80,4 %)." in said
    assert re.search(r"Aubusson 23008 3 104 590 aucun", said)


def test_what_the_tranche_cannot_pay_is_told(manager):
    said = told(asked(manager, population="119502", tranche="T1", each="2").text)
    assert "Pour 22 705 personnes, carnets par personne : 2. Il faut 45 410 carnets" in said
    assert re.search(r"Ce qui reste paie \d+ carnets, pour \d+ personnes\.", said)


@pytest.mark.parametrize(
    ("file", "name", "fields", "said"),
    [
        (None, "", {}, "Tapez un nombre d'habitants, ou choisissez un fichier"),
        (None, "", {"population": "beaucoup"}, "Tapez un nombre entier"),
        (None, "", {"population": "10", "each": "0"}, "Tapez un nombre entier"),
        (None, "", {"population": "10", "tranche": "T99"}, "Choisissez"),
        (COMMUNES, "communes.xlsx", {}, "Ce fichier n'est pas un CSV"),
        (b"PK\x03\x04", "c.csv", {}, "Ce fichier n'est pas un CSV"),
        (b"", "c.csv", {}, "Ce fichier n'a aucune commune"),
        ("nom;population\nGuéret;3", "c.csv", {}, "Il manque des colonnes dans le fichier : insee"),
        (
            "insee;nom;population\n2,3E+04;Guéret;3", "c.csv", {},
            "Ligne 2 : le tableur a arrondi le code INSEE (2,3E+04)",
        ),
        (
            "insee;nom;population\n23096;Guéret;12.734", "c.csv", {},
            "Ligne 2 : la population peut se lire de deux façons",
        ),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_beside_its_field(manager, file, name, fields, said):
    answer = asked(manager, file, name, **fields)
    assert answer.status_code == 422
    assert said in told(answer.text)
    assert 'aria-invalid="true"' in answer.text


def test_it_is_for_those_who_order(house):
    for role in (Role.ACCOUNTANT, Role.PRESCRIBER_MANAGER, Role.AUDITOR):
        assert house.entered(house.of(role)).get("/besoins").status_code == 403


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("needs")
    there = ("--data-dir", folder)
    made = typed("departement", "add", "23", "Creuse", "--host", "pass.creuse.fr", *there)
    assert made.code == 0, made
    return lambda *words: typed("needs", *words, *there)


def test_the_command_tells_the_same_to_people_and_to_machines(run):
    text = run("--population", 119_502)
    assert text.code == 0, text
    plain = text.out.replace("\u202f", " ").replace("\xa0", " ")
    assert "Loin du numérique, mais peut apprendre (19,0 %) : 22 705" in plain
    data = run("--population", 119_502, "--format", "json").json
    assert (data["assist"], data["train"], data["boost"]) == (8_365, 22_705, 16_730)
    assert data["rates"]["levels"] == {"assist": 7, "train": 19, "boost": 14}
    [row] = csv.DictReader(io.StringIO(run("--population", 5, "--format", "csv").out))
    assert row == {"population": "5", "assist": "0", "train": "1", "boost": "1"}


def test_the_command_reads_communes_and_refuses_with_a_sentence(run, tmp_path):
    file = tmp_path / "communes.csv"
    file.write_bytes(COMMUNES.encode("cp1252"))
    found = run("--communes", file, "--format", "json").json
    assert [c["name"] for c in found["coverage"]["communes"]] == ["Guéret", "Aubusson"]
    assert (found["population"], found["coverage"]["covered"]) == (15_838, 0)
    rows = list(csv.DictReader(io.StringIO(run("--communes", file, "--format", "csv").out)))
    assert [row["train"] for row in rows] == ["2419", "590"]
    assert "Communes qui ont un lieu" in run("--communes", file).out

    file.write_text("insee;nom;population\n23096;Guéret;x\n", encoding="utf-8")
    wrong = run("--communes", file)
    assert (wrong.code, wrong.refusal) == (1, "commune_wrong")
    assert "Ligne 2" in wrong.err
    assert run("--communes", tmp_path / "nothing.csv").code == 1
    assert run("--population", 1, "--tranche", "T9").refusal == "not_found"


@pytest.mark.parametrize(
    "words",
    [(), ("--population", 1, "--communes", "x.csv"), ("--population", 1, "--people", 3)],
)
def test_the_command_asks_for_one_of_the_two(run, words):
    assert run(*words).code == 2
