"""Which communes have a place is counted on the day, of the programme, and a place that is nowhere is named."""

from datetime import date

from funding import operations as funds
from ledger.identifiers import new_id
from redemption.communes import Commune
from redemption.coverage import cover
from redemption.mednum import clean
from redemption.sites import (
    Accredit,
    EndAccreditation,
    accredit,
    end_accreditation,
    save_site,
)
from tests.builders import SIRETS, a_world, done
from tests.conftest import moment

NOW = moment("2020-02-03")
COMMUNES = [
    Commune("23096", "Guéret", 12_734),
    Commune("23008", "Aubusson", 3_104),
    Commune("23999", "Saint-Vaury", 1_700),
]


def a_place(session, key: str, commune: str, insee: str = "", *, programme="tela") -> None:
    row = {
        "id": key, "pivot": SIRETS[2], "nom": f"Lieu {key}", "commune": commune,
        "code_postal": "23200", "code_insee": insee, "adresse": "1 rue", "date_maj": "2020-01-01",
    }  # fmt: skip
    cleaned = clean(row, imported_on=NOW.day)
    assert cleaned.site is not None
    save_site(session, cleaned.site, dated=True, by="test", now=NOW)
    if programme:
        asked = Accredit(new_id(), key, programme, date(2020, 1, 1))
        done(accredit(session, asked, by="test", now=NOW))


def counted(session, day="2020-02-03", **chosen):
    return cover(session, COMMUNES, on=date.fromisoformat(day), **chosen)


def test_each_commune_has_its_needs_and_its_places(session):
    a_world(session)  # two accredited places in Guéret
    found = counted(session)
    assert found.communes[0] == ("23096", "Guéret", 12_734, 891, 2_419, 1_783, 2)
    assert [c.places for c in found.communes] == [2, 0, 0]
    assert (found.covered, found.population, found.people_covered) == (1, 17_538, 12_734)
    assert found.sizing == (17_538, 1_228, 3_332, 2_455)
    assert found.elsewhere == []


def test_a_place_without_a_code_is_in_the_commune_of_its_name(session):
    a_world(session)
    a_place(session, "a", "ST VAURY")
    a_place(session, "b", "AUBUSSON  Cedex")
    assert [c.places for c in counted(session).communes] == [2, 1, 1]


def test_a_code_wins_over_a_name_and_what_is_in_no_commune_is_named(session):
    a_world(session)
    a_place(session, "a", "Guéret", "23008")
    a_place(session, "b", "Limoges")
    a_place(session, "c", "Guéret", "87085")
    found = counted(session)
    assert [c.places for c in found.communes] == [2, 1, 0]
    assert found.elsewhere == ["Lieu b (Limoges)", "Lieu c (Guéret)"]


def test_two_communes_of_one_name_take_no_place_without_a_code(session):
    a_world(session)
    a_place(session, "a", "Bellevue")
    twins = [Commune("23001", "Bellevue", 10), Commune("23002", "Bellevue", 20)]
    found = cover(session, twins, on=NOW.day)
    assert [c.places for c in found.communes] == [0, 0]
    assert "Lieu a (Bellevue)" in found.elsewhere


def test_only_places_accredited_that_day_count_and_of_the_programme_if_one_is_named(
    session,
):
    a_world(session)
    other = funds.StartProgramme(new_id(), "aliso", "Aliso")
    done(funds.start_programme(session, other, by="test", now=NOW))
    a_place(session, "a", "Aubusson", programme="aliso")
    a_place(session, "b", "Saint-Vaury", programme="")
    ended = EndAccreditation(new_id(), "lieu-1", "tela", date(2020, 3, 1), "withdrawn")
    done(end_accreditation(session, ended, by="test", now=NOW))

    assert [c.places for c in counted(session).communes] == [2, 1, 0]
    assert [c.places for c in counted(session, programme="tela").communes] == [2, 0, 0]
    assert [c.places for c in counted(session, "2020-03-01").communes] == [2, 1, 0]
    assert [c.places for c in counted(session, "2020-03-02").communes] == [1, 1, 0]
    assert [c.places for c in counted(session, "2019-12-31").communes] == [0, 0, 0]
