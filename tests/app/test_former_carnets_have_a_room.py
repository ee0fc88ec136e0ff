"""Carnets of a former operator are taken over from a page or a command, and named by what stands on their covers."""

import re
from html import unescape
from typing import Any

import pytest

from app.people.roles import Role
from funding.tranches import OpenTranche
from issuance.queries import order_lines
from ledger.identifiers import new_id
from redemption.sites import open_tranche
from tests.app.visiting import Browser, House, engine_house, house, plain
from tests.builders import CALENDAR, a_foreign_list, done, foreign_rows, taken_over

__all__ = ["engine_house", "house"]

ROOM = "/commandes/reprise"
ASKED = {"tranche": "T1", "operator": "aptic", "commitment": "ENG-2020-9"}


@pytest.fixture
def manager(house: House) -> Browser:
    return house.entered(house.person(Role.MANAGER))


def rows(prefix: str, first: int) -> list[str]:
    """Rows of two carnets of two that no other test has."""
    return [f"{prefix}-{n // 2 + 1};{first + n};10;2020-12-31;" for n in range(4)]


def send(browser: Browser, data: bytes, name: str = "liste.csv", **fields: Any) -> Any:
    told = {"csrf": browser.csrf, "id": str(new_id())} | ASKED | fields
    return browser.send(ROOM, told, files={"file": (name, data, "text/csv")})


def confirm(browser: Browser, **changed: str) -> Any:
    """Send the form of the page that asks to confirm."""
    form = browser.page[browser.page.rindex("<form") :]
    fields = {
        name: unescape(value)
        for name, value in re.findall(r'name="(\w+)" value="([^"]*)"', form)
    }
    return browser.send(ROOM, fields | changed)


def orders(house: House) -> list[Any]:
    with house.database.begin("23", read_only=True) as session:
        return order_lines(session)


def test_a_list_is_looked_at_then_confirmed(house, manager):
    assert "Reprendre d'anciens carnets" in plain(manager.get("/commandes").text)
    before = len(orders(house))
    shown = send(manager, a_foreign_list(*rows("A", 77_110_000)))
    assert shown.status_code == 200
    told = plain(shown.text)
    assert "2 carnets de 2 pass, jusqu'au 31 décembre 2020 : de « A-1 » à « A-2 »" in told
    assert "40,00 €" in told
    assert len(orders(house)) == before
    assert "77110000" not in shown.text
    answer = confirm(manager)
    assert answer.status_code == 303
    there = answer.headers["location"].removeprefix("/23")
    page = plain(manager.get(there).text)
    assert "Les carnets sont repris" in page
    assert "imprimés par un autre opérateur (aptic)" in page
    assert "A-2" in page
    assert "passnum print" not in page
    assert "preuve" not in page  # « épreuve », with or without a capital
    assert "livrer les carnets aux guichets" in page
    assert "repris, valable" in plain(manager.get("/commandes").text)
    assert len(orders(house)) == before + 1


def test_confirming_twice_takes_it_over_once(house, manager):
    send(manager, a_foreign_list(*rows("B", 77_120_000)))
    there = confirm(manager).headers["location"]
    before = len(orders(house))
    assert confirm(manager).headers["location"] == there
    again = confirm(manager, id=str(new_id()))
    assert again.status_code == 422
    assert "Rien n'est repris" in plain(again.text)
    assert len(orders(house)) == before


def test_each_wrong_line_is_told_and_nothing_is_done(house, manager):
    before = len(orders(house))
    wrong = [*rows("C", 77_130_000), "C-9;1,23E+15;10;2020-12-31;", "C-9;55;20;hier;"]
    answer = send(manager, a_foreign_list(*wrong))
    assert answer.status_code == 422
    told = plain(answer.text)
    assert "Ligne 6 Excel a abrégé un numéro" in " ".join(
        re.sub(r"<[^>]*>", " ", told).split()
    )
    assert "2 choses sont à corriger" in told
    assert 'value="ENG-2020-9"' in answer.text
    assert 'name="list"' not in answer.text
    assert len(orders(house)) == before


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"tranche": "T9"}, "Choisissez"),
        ({"operator": ""}, "l'opérateur se dit en un mot"),
        ({"operator": "La Société"}, "l'opérateur se dit en un mot"),
        ({"commitment": " "}, "Tapez le numéro d'engagement"),
    ],
)
def test_what_is_missing_is_told_beside_its_field(house, manager, changed, told):
    answer = send(manager, a_foreign_list(*rows("D", 77_140_000)), **changed)
    assert answer.status_code == 422
    assert told in plain(answer.text)


def test_what_is_no_list_is_refused(house, manager):
    for data, name, told in (
        (b"PK\x03\x04", "liste.csv", "n'est pas un CSV"),
        (a_foreign_list(), "liste.xlsx", "n'est pas un CSV"),
        (a_foreign_list(), "liste.csv", "la liste ne contient aucun pass"),
        (b"carnet;numero\n", "liste.csv", "Il manque des colonnes"),
        (a_foreign_list(*foreign_rows(1_100, 10)), "liste.csv", "Il reste"),
    ):
        answer = send(manager, data, name)
        assert answer.status_code == 422, told
        assert told in plain(answer.text)
    for packed in ("", "!!", "AAAA"):
        fields = {"csrf": manager.csrf, "id": str(new_id()), "list": packed} | ASKED
        assert manager.send(ROOM, fields).status_code == 422


def test_a_desk_hands_it_out_by_the_number_on_its_cover_and_a_site_takes_its_number(house):
    with house.database.begin("23") as session:
        data = a_foreign_list(*rows("E", 77_150_000))
        done(taken_over(session, house.world, data, now=house.now))
    desk = house.entered(house.of(Role.PRESCRIBER_AGENT))
    shown = desk.post("/remise", carnet="e 1")
    assert "E-1" in plain(shown.text)
    given = desk.post("/remise", carnet="e 1", pic="yes", proof="attested", give="1")
    assert "remis" in plain(given.text)

    site = house.entered(house.of(Role.MEDIATOR))
    house.http.app.state.serving.instance.keyrings.forget()  # as ten seconds later
    page = f"/ateliers/{house.workshop}"
    assert "Sur un ancien pass, tapez son numéro" in plain(site.get(page).text)
    scan = {"csrf": site.csrf, "id": str(new_id()), "token": "77 150-000"}
    assert "Pass accepté" in plain(site.send(page, scan).text)
    again = scan | {"id": str(new_id())}
    assert "Pass déjà utilisé" in plain(site.send(page, again).text)

    lost = desk.get("/remplacement?carnet=E-1")
    assert lost.status_code == 200
    assert "1 pass" in plain(lost.text)


def test_a_number_that_two_carnets_bear_is_asked_again(house):
    with house.database.begin("23") as session:
        data = a_foreign_list("7;77160000;10;2020-12-31;")
        done(taken_over(session, house.world, data, now=house.now))
    desk = house.entered(house.of(Role.PRESCRIBER_AGENT))
    asked = desk.post("/remise", carnet="7")
    assert asked.status_code == 422
    assert "aptic 7, 23-000007" in plain(asked.text)
    assert desk.get("/remplacement?carnet=007").status_code == 422


def test_a_prepaid_tranche_asks_for_the_mandat(house, manager):
    assert "engagement, ou de mandat" not in plain(manager.get(ROOM).text)
    prepaid = OpenTranche(
        new_id(), 7, "PREPAID", "tela", "AAP", 9_000, {"FSE": 60, "ETAT": 20, "DEP": 20},
        CALENDAR, activated_on="mandat",
    )  # fmt: skip
    with house.database.begin("23") as session:
        done(open_tranche(session, prepaid, by="test", now=house.now))
    assert "Numéro d'engagement, ou de mandat" in plain(manager.get(ROOM).text)
    listed = a_foreign_list(*rows("P", 77_190_000))
    asked = {"tranche": "PREPAID"}
    missing = plain(send(manager, listed, **asked, commitment=" ").text)
    assert "Tapez le numéro de mandat" in missing
    shown = plain(send(manager, listed, **asked, commitment="M-7").text)
    assert "<dt>Numéro de mandat</dt><dd>M-7</dd>" in shown
    there = confirm(manager).headers["location"].removeprefix("/23")
    assert "<dt>Numéro de mandat</dt><dd>M-7</dd>" in plain(manager.get(there).text)


def test_wherever_carnets_are_listed_their_covers_are_told(house):
    with house.database.begin("23") as session:
        data = a_foreign_list(*(f"W-00{n};7717000{n};10;2020-12-31;" for n in range(1, 5)))
        done(taken_over(session, house.world, data, now=house.now))
    desk = house.entered(house.of(Role.PRESCRIBER_AGENT))
    assert "Sur la couverture : W-001 … W-004" in plain(desk.get("/").text)
    assert "W-001 … W-004" in plain(desk.get("/stock").text)
    manager = house.entered(house.of(Role.MANAGER))
    fields = {"csrf": manager.csrf, "carnets": "W-002 à W-003", "reason": "lost"}
    shown = manager.send("/stock/retrait", fields)
    assert shown.status_code == 200
    assert "W-002 … W-003" in plain(shown.text)
    assert (
        manager.send("/stock/retrait", fields | {"carnets": "W-002-3"}).status_code == 422
    )
