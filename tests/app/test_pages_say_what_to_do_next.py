"""Pages speak to the person who reads them: names, not codes, and what to do next."""

import re
from html import unescape

import pytest

from app.messages import LANGUAGES, messages
from app.people.roles import Role
from funding.models import tranche as tranches
from funding.tranches import OpenTranche
from issuance.serials import Serial
from ledger.identifiers import new_id
from redemption.sites import open_tranche
from tests.app.visiting import engine_house, house, plain
from tests.builders import CALENDAR, an_order, done
from tests.conftest import moment

__all__ = ["engine_house", "house"]

OF_ITS_OWN = "voisins du lac"


def words(text: str) -> str:
    """What a page says without its tags."""
    return plain(re.sub(r"<[^>]*>", " ", text))


@pytest.fixture
def reserved(house) -> int:
    """The number of a carnet for some publics, one of which the département made up."""
    number = house.count(tranches) + 1
    with house.database.begin("23") as session:
        tranche = OpenTranche(
            new_id(), number, f"T{number}", "tela", "AAP", 100_000, {"DEP": 1}, CALENDAR,
            publics=("rsa", "young", OF_ITS_OWN),
        )  # fmt: skip
        done(open_tranche(session, tranche, by="test", now=moment("2020-01-06")))
        [first, *_] = an_order(session, house.world, 1, tranche=tranche.code)
    return Serial.parse(first).carnet


def test_a_public_has_a_name_and_one_of_the_departement_has_its_own_words(house, reserved):
    agent = house.entered(house.of(Role.PRESCRIBER_AGENT))
    told = agent.post("/remise", carnet=str(reserved)).text
    options = dict(re.findall(r'<option value="([^"]+)">([^<]*)</option>', unescape(told)))
    m = messages("fr")
    assert options["rsa"] == m.word("public", "rsa") == "Bénéficiaire du RSA"
    assert options["young"] == m.word("public", "young")
    assert options[OF_ITS_OWN] == OF_ITS_OWN
    fields = {"csrf": agent.csrf, "carnet": str(reserved)}
    english = agent.send("/remise", fields, headers={"Accept-Language": "en"})
    assert messages("en").word("public", "rsa") in words(english.text)


def test_a_desk_that_chose_no_public_reads_their_names(house, reserved):
    agent = house.entered(house.of(Role.PRESCRIBER_AGENT))
    told = agent.post(
        "/remise", carnet=str(reserved), pic="yes", proof="declared", give="1"
    )
    assert told.status_code == 422
    assert f"Bénéficiaire du RSA, {OF_ITS_OWN}" in words(told.text)


@pytest.mark.parametrize("day", ["0001-01-01", "9999-12-31"])
def test_a_workshop_of_an_impossible_day_can_be_typed_again(house, day):
    mediator = house.entered(house.of(Role.MEDIATOR))
    typed = {"day": day, "kind": "individual", "id": str(new_id())}
    told = mediator.post("/ateliers", **typed)
    assert told.status_code == 422
    assert words(told.text).count("puis recommencez") == 2, (
        "beside the field, and summed up"
    )
    right = mediator.post("/ateliers", **(typed | {"day": "2020-02-03"}))
    assert right.status_code == 303
    assert right.headers["location"] == f"/23/ateliers/{typed['id']}"


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_is_missing_is_named_each_time(house, language):
    m = messages(language)
    manager = house.entered(house.of(Role.MANAGER))
    fields = {"csrf": manager.csrf}
    told = manager.send("/personnes", fields, headers={"Accept-Language": language})
    page = unescape(told.text)
    for label in ("Nom et prénom", "Adresse e-mail, ou un identifiant court", "Rôle"):
        said = m.refusal("field_needed", {"field": m.text(label)})
        assert m.text(label) in said
        assert page.count(said) == 2, "beside the field, and summed up"
    told = manager.send(
        "/personnes",
        fields | {"role": "mediator", "name": "x" * 201, "login": "x"},
        headers={"Accept-Language": language},
    )
    page = unescape(told.text)
    assert m.refusal("field_needed", {"field": m.text("Lieu")}) in page
    long = {"field": m.text("Nom et prénom"), "most": 200}
    assert m.refusal("field_too_long", long) in page

    mediator = house.entered(house.of(Role.MEDIATOR))
    told = mediator.send(
        f"/ateliers/{house.workshop}",
        {"csrf": mediator.csrf},
        headers={"Accept-Language": language},
    )
    said = m.refusal("field_needed", {"field": m.text("Code du pass")})
    assert said in unescape(told.text)


def test_no_page_of_a_department_that_begins_tells_a_command(house):
    manager = house.entered(house.person(Role.MANAGER, at="974"), at="974")
    for path in ("/", "/tranches", "/lieux", "/personnes"):
        told = manager.get(path)
        assert told.status_code == 200, path
        assert "passnum " not in words(told.text), path
    assert "elle ouvrira la tranche" in words(manager.get("/tranches").text)


def test_a_form_that_comes_back_changed_says_to_open_the_page_again(house):
    manager = house.entered(house.of(Role.MANAGER))
    fields = {"csrf": manager.csrf, "id": str(new_id()), "name": "x", "role": "auditor"}
    manager.send("/personnes", fields | {"login": f"{new_id()}@exemple.fr"})
    told = manager.send("/personnes", fields | {"login": f"{new_id()}@exemple.fr"})
    assert told.status_code == 422
    assert "Rouvrez la page, puis recommencez." in words(told.text)
