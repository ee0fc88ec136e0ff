"""A list of sites is sent from a page, followed, and told row by row; what is no list is refused with a way out."""

import csv
import io
import re
import zipfile
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from app.instance import Instance
from app.people.roles import Role
from app.works.doing import do_all
from app.works.kinds import KINDS
from app.works.models import INPUT_MAX, work
from app.works.site_lists import ROWS_MAX
from funding import operations as funds
from ledger.identifiers import new_id
from ledger.models import entry
from redemption.models import site
from tests.app.visiting import Browser, House, a_list, engine_house, house

__all__ = ["engine_house", "house"]

CREUSE = Path(__file__).parents[2].parent / "shared/data/lieux-creuse.csv"
GOOD = "{id},35600000000048,La Quincaillerie,Guéret,23000,22 avenue,2020-01-01"


def row(which: str = "", text: str = GOOD) -> str:
    return text.format(id=which or f"lieu-{new_id().hex}")


def send(browser: Browser, data: bytes, name: str = "lieux.csv", **fields: Any) -> Any:
    """Send a list as the form does."""
    asked = {"csrf": browser.csrf, "id": str(new_id()), "programme": "tela", "mode": "each"}
    files = {"file": (name, data, "text/csv")}
    return browser.send("/lieux/import", asked | fields, files=files)


def do(house: House) -> None:
    instance: Instance = house.http.app.state.serving.instance
    do_all(instance, KINDS)


def sites(house: House) -> set[str]:
    with house.database.begin("23", read_only=True) as session:
        return set(session.scalars(select(site.c.national_id)))


def told(page: str) -> str:
    """The text of the main part of a page, its spaces plain."""
    main = page[page.index("<main") : page.index("</main")]
    text = re.sub(r"<[^>]+>", " ", main).replace("\u202f", " ").replace("\xa0", " ")
    return re.sub(r"\s+", " ", unescape(text))


@pytest.fixture
def manager(house: House) -> Browser:
    return house.entered(house.person(Role.MANAGER))


def test_a_list_is_sent_followed_and_told_row_by_row(house, manager):
    do(house)
    form = manager.get("/lieux/import").text
    assert 'enctype="multipart/form-data"' in form
    new, twice = f"lieu-{new_id().hex}", f"lieu-{new_id().hex}"
    data = a_list(
        row(new),
        row(twice, "{id},,Sans Siret,Guéret,23000,rue,2020-01-01"),
        row(twice),
        row("", "{id},35600000000048,=1+1,Guéret,0,rue,2020-01-01"),
    )
    answer = send(manager, data)
    assert answer.status_code == 303
    there = answer.headers["location"].removeprefix("/23")

    waiting = manager.get(there).text
    assert '<progress id="progress" value="0" max="4">' in waiting
    assert 'hx-trigger="every 1s"' in waiting
    assert "Actualiser" in waiting, "without a script"
    assert new not in sites(house)

    do(house)
    page = manager.get(there).text
    assert "hx-trigger" not in page
    assert "<progress" not in page
    said = told(page)
    assert (
        "Lignes lues : 4. Acceptées : 1 ; corrigées : 0 ; sans SIRET valable : 1 ; refusées : 2."
        in said
    )
    assert said.index("même identifiant") < said.index("sans SIRET. Ajoutez-le")
    assert said.index("sans SIRET. Ajoutez-le") < said.index("Lieu gardé. ")
    assert {new, twice} <= sites(house)
    in_order = told(manager.get(f"{there}?tri=ligne").text)
    assert in_order.index("Lieu gardé. ") < in_order.index("même identifiant")
    for by in ("id", "nom", "nothing"):
        assert manager.get(f"{there}?tri={by}").status_code == 200

    copy = manager.post(f"{there}/export")
    assert copy.headers["content-type"] == "text/csv; charset=utf-8"
    rows = list(csv.DictReader(io.StringIO(copy.text)))
    assert [r["verdict"] for r in rows] == ["refused", "refused", "candidate", "accepted"]
    assert rows[1]["name"] == "'=1+1", "no spreadsheet runs it"
    assert rows[1]["line"] == "5"
    with house.database.begin("23", read_only=True) as session:
        [by] = session.scalars(select(work.c.asked_by).where(work.c.id == there[-36:]))
        bodies = session.scalars(select(entry.c.body).where(entry.c.kind == "exported"))
        assert any(f"work/{there[-36:]}".encode() in body for body in bodies)
        kept = session.scalars(select(entry.c.actor).where(entry.c.kind == "site_kept"))
        assert by in set(kept), "who sent the list is who kept its sites"

    listed = told(manager.get("/lieux/import").text)
    assert "Derniers imports lieux.csv" in listed


def test_all_or_nothing_with_a_bad_row_says_what_to_correct(house, manager):
    good = f"lieu-{new_id().hex}"
    data = a_list(row(good), row("", "{id},,,Guéret,23000,rue,2020-01-01"))
    there = send(manager, data, mode="all").headers["location"].removeprefix("/23")
    do(house)
    said = told(manager.get(there).text)
    assert "Rien n'a été gardé : des lignes sont refusées (3)." in said
    assert "Pas gardé, comme toute la liste." in said
    assert "pas gardé" in said
    assert good not in sites(house)


def test_the_form_sent_twice_is_one_import(house, manager):
    data, fields = a_list(row()), {"id": str(new_id())}
    before = house.count(work)
    answers = [send(manager, data, **fields) for _ in range(2)]
    assert [a.headers["location"] for a in answers] == [f"/23/travaux/{fields['id']}"] * 2
    do(house)
    assert (
        send(manager, data, **fields).headers["location"] == answers[0].headers["location"]
    )
    assert house.count(work) == before + 1
    other = send(manager, a_list(row()), **fields)
    assert other.status_code == 409
    assert "Ce formulaire a déjà servi" in told(other.text)


def workbook() -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as file:
        file.writestr("xl/workbook.xml", "<workbook/>")
    return made.getvalue()


IN_EXCEL = "choisissez « CSV UTF-8 »"
HEADER = "id,pivot,nom,commune,code_postal,adresse,date_maj\n"


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("lieux.xlsx", workbook(), IN_EXCEL),
        ("lieux.csv", workbook(), IN_EXCEL),
        ("lieux.csv", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", IN_EXCEL),
        ("lieux.csv", b"%PDF-1.7\n1 0 obj\n", IN_EXCEL),
        ("lieux.csv", b"\x89PNG\r\n\x1a\n", IN_EXCEL),
        ("lieux.csv", b"\xff\xd8\xff\xe0JFIF", IN_EXCEL),
        ("lieux.csv", b"<html><table>", IN_EXCEL),
        ("lieux.csv", HEADER.encode("utf-16"), IN_EXCEL),
        ("lieux.csv", HEADER.encode() + b"a,\0,b,c,23000,e\n", IN_EXCEL),
        ("lieux.txt", HEADER.encode(), IN_EXCEL),
        ("lieux.csv", b"", "Ce fichier est vide."),
        ("lieux.csv", b" \n\n", "Ce fichier est vide."),
        ("lieux.csv", HEADER.encode(), "aucun lieu en dessous"),
        ("lieux.csv", b"id,nom\n1,x\n", "Il manque des colonnes dans le fichier : commune"),
        ("lieux.csv", a_list(*(["a,,b,c,23000,d,"] * (ROWS_MAX + 1))), "plus de 5000 lignes"),
        ("", b"", "Aucun fichier n'est choisi."),
    ],
    ids=[
        "an Excel workbook", "a workbook under another name", "an old workbook", "a PDF", "a PNG",
        "a JPEG", "a page", "UTF-16", "a NUL", "another extension", "empty", "blank", "no row",
        "columns missing", "too many rows", "no file",
    ],
)  # fmt: skip
def test_what_is_no_list_of_sites_is_refused_with_a_way_out(
    house, manager, name, data, said
):
    before = house.count(work)
    answer = send(manager, data, name)
    assert answer.status_code == 422
    assert said in told(answer.text)
    assert 'aria-invalid="true"' in answer.text
    assert house.count(work) == before


def test_a_file_too_large_is_refused_before_it_is_read(house, manager):
    before = house.count(work)
    for size in (INPUT_MAX + 1, INPUT_MAX + 30_000, 5 * INPUT_MAX):
        answer = send(manager, b"x" * size)
        assert answer.status_code == (422 if size == INPUT_MAX + 1 else 413)
        assert "Ce fichier dépasse 2 Mo." in told(answer.text)
        assert 'name="file"' in answer.text, "the form is there to try again"
    assert house.count(work) == before


def test_another_form_too_large_says_so(manager):
    answer = manager.send("/personnes", {"csrf": manager.csrf, "name": "x" * 3_000_000})
    assert answer.status_code == 413
    assert "L'envoi est trop gros." in told(answer.text)


def test_the_choices_of_the_form_are_its_own(house, manager):
    before = house.count(work)
    for wrong in ({"programme": "aliso"}, {"programme": ""}, {"mode": "some"}):
        answer = send(manager, a_list(row()), **wrong)
        assert answer.status_code == 422
        assert "Il manque un choix ici." in told(answer.text)
    assert send(manager, a_list(row()), csrf="x").status_code == 403
    plain = manager.post("/lieux/import", programme="tela", mode="each")
    assert plain.status_code == 422
    assert house.count(work) == before


def test_who_may_not_manage_sites_neither_sends_nor_sees(house, manager):
    there = send(manager, a_list(row())).headers["location"].removeprefix("/23")
    for role in (Role.AUDITOR, Role.ACCOUNTANT, Role.MEDIATOR, Role.PRESCRIBER_AGENT):
        other = house.entered(house.of(role))
        assert send(other, a_list(row())).status_code == 403
        assert other.get("/lieux/import").status_code == 403
        assert other.get(there).status_code == 403
        assert other.post(f"{there}/export").status_code == 403
    assert "/lieux/import" not in house.entered(house.of(Role.AUDITOR)).get("/lieux").text
    assert "/23/lieux/import" in manager.get("/lieux").text


def test_a_work_of_another_departement_or_programme_is_not_there(house, manager):
    there = send(manager, a_list(row())).headers["location"].removeprefix("/23")
    islander = house.entered(house.person(Role.MANAGER, at="974"), "974")
    for path in (there, f"/travaux/{new_id()}"):
        assert islander.get(path).status_code == 404
        assert islander.post(f"{path}/export").status_code == 404
    assert manager.get(there).status_code == 200
    with house.database.begin("23") as session:
        asked = funds.StartProgramme(new_id(), "autre", "Autre")
        funds.start_programme(session, asked, by="test", now=house.now)
    theirs = house.entered(house.person(Role.MANAGER, programme="autre"))
    assert theirs.get(there).status_code == 404
    assert theirs.post(f"{there}/export").status_code == 404
    assert there not in theirs.get("/lieux/import").text
    assert send(theirs, a_list(row())).status_code == 422


def test_a_work_that_nobody_takes_up_says_whom_to_tell(house, manager):
    there = send(manager, a_list(row())).headers["location"].removeprefix("/23")
    house.later(minutes=3)
    assert "les tâches ne tournent pas" in told(manager.get(there).text)


@pytest.mark.skipif(not CREUSE.exists(), reason="the list of the Creuse is not at hand")
def test_the_real_list_of_the_creuse_comes_in_whole(house, manager):
    data = CREUSE.read_bytes()
    for outcome in ("Lieux nouveaux : 91", "inchangés : 91"):
        answer = send(manager, data, CREUSE.name)
        do(house)
        said = told(manager.get(answer.headers["location"].removeprefix("/23")).text)
        assert "Lignes lues : 91." in said
        assert "sans SIRET valable : 91 ; refusées : 0." in said
        assert outcome in said
