"""Desks sign for what comes to them and count their drawer; the département sees every holder."""

import csv
import io

import pytest

from app.people.roles import Role
from issuance.on_the_way import open_transfers
from issuance.transfers import Send, send
from ledger.identifiers import new_id
from tests.app.visiting import Browser, House, engine_house, house, plain
from tests.builders import an_order, done
from tests.conftest import moment

__all__ = ["engine_house", "house"]


@pytest.fixture
def manager(house: House) -> Browser:
    return house.entered(house.of(Role.MANAGER))


@pytest.fixture
def ccas(house: House) -> Browser:
    return house.entered(house.person(Role.PRESCRIBER_AGENT, desk="CCAS"))


def carnets(house: House, count: int = 3) -> int:
    """Carnets that are made and went nowhere; returns the first number."""
    with house.database.begin("23") as session:
        serials = an_order(session, house.world, count, delivered=False)
    return int(serials[0].split("-")[1])


def sent_to(house: House, desk: str, first: int, last: int) -> int:
    with house.database.begin("23") as session:
        sending = Send(new_id(), None, desk, ((first, last),))
        told = done(send(session, sending, by="test", now=moment("2020-02-03")))
    return int(told.facts["transfer"])


def left(house: House, number: int) -> list[tuple[int, int]]:
    with house.database.begin("23", read_only=True) as session:
        found = {line.number: list(line.left) for line in open_transfers(session)}
    return found.get(number, [])


def test_a_desk_signs_for_all_with_one_button(house, ccas):
    first = carnets(house)
    number = sent_to(house, "CCAS", first, first + 2)
    ccas.get("/stock")
    assert f"Des carnets arrivent : transfert {number}" in plain(ccas.page)

    answer = ccas.post(f"/stock/transferts/{number}", how="all", at="CCAS")
    assert answer.status_code == 303
    ccas.get(answer.headers["location"].removeprefix("/23"))
    assert "Tout est arrivé." in plain(ccas.page)
    ccas.get("/stock")
    assert f"transfert {number}" not in plain(ccas.page)
    assert f"{first}-{first + 2}" in plain(ccas.page)


def test_what_is_missing_is_told_to_the_departement_which_finds_it(house, ccas, manager):
    first = carnets(house)
    number = sent_to(house, "CCAS", first, first + 2)
    path = f"/stock/transferts/{number}"
    scanned = f"{house.world.token(f'23-{first:06d}-2')}\r\n23-{first + 1:06d}\r\n"
    assert ccas.post(path, how="part", carnets=scanned).status_code == 303
    assert left(house, number) == [(first + 2, first + 2)]
    manager.get("/stock")
    assert "Manquants" in plain(manager.page)
    assert ccas.post(path, how="part", carnets="").status_code == 422
    assert ccas.post(path, how="part", carnets=str(first)).status_code == 422
    assert "ne sont pas en chemin" in plain(ccas.page)
    # Found where it had left from: only the département may say so.
    assert ccas.post(path, how="all", at="store").status_code == 422
    assert manager.post(path, how="all", at="store").status_code == 303
    assert left(house, number) == []


def test_a_desk_sees_its_own_and_no_transfer_of_others(house, ccas):
    first = carnets(house)
    number = sent_to(house, "CAF", first, first)
    assert ccas.get(f"/stock/transferts/{number}").status_code == 404
    assert ccas.post(f"/stock/transferts/{number}", how="all", at="CAF").status_code == 404
    assert left(house, number) == [(first, first)]
    ccas.get("/stock")
    for other in ("CAF de la Creuse", "Réserve centrale", "Par organisme"):
        assert other not in plain(ccas.page)
    assert ccas.get("/stock/transferts/99999").status_code == 404


def test_a_manager_sends_and_the_page_travels_with_the_carnets(house, manager):
    first = carnets(house)
    form = {"source": "store", "target": "CCAS", "carnets": f"{first} à {first + 1}"}
    answer = manager.post("/stock/envoi", **form)
    assert answer.status_code == 303
    manager.get(answer.headers["location"].removeprefix("/23"))
    assert f"En chemin : n° {first}-{first + 1}" in plain(manager.page)
    again = manager.post("/stock/envoi", **form)
    assert again.status_code == 422
    assert "sont en chemin" in plain(manager.page)
    for wrong in (
        {"carnets": "les bleus"},
        {"source": "NOPE"},
        {"carnets": ""},
        {"target": "store"},
    ):
        assert manager.post("/stock/envoi", **(form | wrong)).status_code == 422, wrong


def test_stolen_carnets_are_blocked_and_misprints_voided(house, manager):
    first = carnets(house)
    form = {"carnets": f"{first}-{first + 1}", "reason": "misprinted", "sure": "yes"}
    for wrong in ({"reason": "x"}, {"carnets": f"{first}, {first + 2}"}):
        assert manager.post("/stock/retrait", **(form | wrong)).status_code == 422, wrong
    # Shown first, by our own numbers; nothing is gone yet.
    assert manager.post("/stock/retrait", **(form | {"sure": ""})).status_code == 200
    assert f"les carnets {first} à {first + 1}" in plain(manager.page)
    form["carnets"] = f"23-{first:06d} à 23-{first + 1:06d}"
    assert form["carnets"] in manager.page
    missing = form | {"sure": "", "carnets": "999990"}
    assert manager.post("/stock/retrait", **missing).status_code == 422
    answer = manager.post("/stock/retrait", **form)
    assert answer.headers["location"] == "/23/stock?fait=misprints_voided"
    assert manager.post("/stock/retrait", **form).status_code == 422
    assert "ne sont pas entiers" in plain(manager.page)
    stolen = form | {"carnets": str(first + 2), "reason": "stolen"}
    answer = manager.post("/stock/retrait", **stolen)
    assert answer.headers["location"] == "/23/stock?fait=stock_blocked"
    assert manager.post("/stock/retrait", **(stolen | {"sure": ""})).status_code == 422
    assert "Rien n'est en stock" in plain(manager.page)


def test_a_lost_parcel_is_over_once_its_carnets_are_blocked(house, ccas, manager):
    first = carnets(house)
    number = sent_to(house, "CCAS", first, first + 2)
    path = f"/stock/transferts/{number}"
    block = {"reason": "lost", "sure": "yes"}
    assert manager.post("/stock/retrait", carnets=str(first), **block).status_code == 303
    ccas.get(path)
    assert f"En chemin : n° {first + 1}-{first + 2}." in plain(ccas.page)
    assert "Bloqués, annulés ou périmés en chemin" in plain(ccas.page)
    rest = f"{first + 1}-{first + 2}"
    assert manager.post("/stock/retrait", carnets=rest, **block).status_code == 303
    ccas.get(path)
    assert "Ce transfert est terminé" in plain(ccas.page)
    assert "Confirmer la réception" not in plain(ccas.page)
    for how in ("all", "nothing"):
        assert ccas.post(path, how=how, at="CCAS").status_code == 422
        assert "Il n'y a plus rien à confirmer" in plain(ccas.page)


def test_what_was_blocked_on_the_way_is_not_missing(house, ccas, manager):
    first = carnets(house)
    number = sent_to(house, "CCAS", first, first + 2)
    block = {"carnets": str(first), "reason": "lost", "sure": "yes"}
    assert manager.post("/stock/retrait", **block).status_code == 303
    answer = ccas.post(f"/stock/transferts/{number}", how="all", at="CCAS")
    assert answer.headers["location"].endswith("fait=transfer_received")


def test_a_count_tells_the_gaps_and_is_taken_away_as_csv(house, ccas):
    first = carnets(house)
    number = sent_to(house, "CCAS", first, first + 1)
    done_ = ccas.post(f"/stock/transferts/{number}", how="all", at="CCAS")
    assert done_.status_code == 303
    assert ccas.post("/stock/comptage", carnets="").status_code == 422
    assert ccas.post("/stock/comptage", carnets="rien").status_code == 422

    assert ccas.post("/stock/comptage", carnets=f"{first} 10 888888").status_code == 200
    page = plain(ccas.page)
    assert "Il manque" in page
    assert "chez CAF de la Creuse, Accueil" in page
    assert "888888" in page
    taken = ccas.post("/stock/comptage/export", at="CCAS")
    assert 'filename="inventaire_stock.csv"' in taken.headers["content-disposition"]
    rows = list(csv.DictReader(io.StringIO(taken.text)))
    assert list(rows[0]) == [
        "detenteur", "premier_num", "dernier_num", "quantite_theorique", "quantite_comptee",
        "ecart", "date_comptage", "compteur",
    ]  # fmt: skip
    gaps = {row["premier_num"]: row["ecart"] for row in rows}
    assert (gaps["10"], gaps["888888"], gaps[str(first + 1)]) == ("1", "1", "-1")
    assert ccas.post("/stock/comptage/export", at="CAF").status_code == 422
    assert ccas.post("/stock/comptage", empty="yes", carnets="").status_code == 200


def test_a_past_day_is_chosen_and_a_day_that_is_none_is_told(house, manager):
    manager.get("/stock?jour=2020-01-06")
    assert "Aucun carnet en stock ce jour-là" in plain(manager.page)
    manager.get("/stock?jour=2020-01-10")
    assert "À la fin du 10 janvier 2020" in plain(manager.page)
    assert "1-10" in plain(manager.page)
    assert manager.get("/stock?jour=hier").status_code == 422
