"""The cover of a carnet tells the accredited places nearest to the desk."""

from datetime import date

import pytest

from ledger.identifiers import new_id
from redemption.mednum import clean
from redemption.nearest import CommuneUnknown, nearest
from redemption.sites import (
    Accredit,
    EndAccreditation,
    accredit,
    end_accreditation,
    save_site,
)
from tests.builders import CALENDAR, a_world, done
from tests.conftest import moment

NOW = moment("2020-01-07")
PLACES = {
    # commune: postcode, INSEE, latitude and longitude where the list tells them
    "La Souterraine": ("23300", "23176", "46.2377", "1.4866"),
    "Aubusson": ("23200", "23008", "45.9570", "2.1687"),
    "Saint-Fiel": ("23000", "23195", "", ""),
    "Bourganeuf": ("23400", "23030", "45.9530", "1.7560"),
    "Guéret": ("23000", "23096", "46.1706", "1.8681"),
}


# Known to the list, and accredited by nobody.
OTHERS = {
    "Bénévent-l'Abbaye": ("23210", "23021", "46.1170", "1.6300"),
    "Saint-Laurent": ("23000", "23206", "", ""),
}


def a_place(session, commune, number, told=None):
    postcode, insee, latitude, longitude = told or PLACES[commune]
    row = {
        "id": f"place-{number}", "pivot": "99900001100018", "nom": f"Lieu de {commune}", "commune": commune,
        "code_postal": postcode, "code_insee": insee, "adresse": "1 rue Haute", "telephone": "+33555000000",
        "latitude": latitude, "longitude": longitude, "date_maj": "2020-01-01",
    }  # fmt: skip
    cleaned = clean(row, imported_on=NOW.day).site
    assert cleaned is not None
    save_site(session, cleaned, dated=True, by="test", now=NOW)
    if told is not None:
        return
    told = Accredit(new_id(), cleaned.id, "tela", date(2020, 1, 1))
    done(accredit(session, told, by="test", now=NOW))


def a_network(session, **tranche):
    a_world(session, **tranche)
    for number in (1, 2):
        ended = EndAccreditation(new_id(), f"lieu-{number}", "tela", date(2020, 1, 1))
        done(end_accreditation(session, ended, by="test", now=NOW))
    for number, commune in enumerate(PLACES):
        a_place(session, commune, number)


def communes(found):
    return [place.name.removeprefix("Lieu de ") for place in found]


@pytest.mark.parametrize("near", ["Guéret", "guéret ", "GUERET", "23096"])
def test_the_places_of_the_commune_then_those_nearest_to_it(session, near):
    a_network(session)

    found = nearest(session, 1, on=NOW.day, near=near, count=5)

    assert communes(found) == [
        "Guéret", "Bourganeuf", "La Souterraine", "Aubusson", "Saint-Fiel",
    ]  # fmt: skip
    assert found[0].address == "1 rue Haute, 23000 Guéret"
    assert found[0].phone


def test_a_commune_that_cannot_be_placed_begins_with_its_own_places_and_its_postcode(
    session,
):
    a_network(session)

    found = nearest(session, 1, on=NOW.day, near="Saint-Fiel")

    assert communes(found) == ["Saint-Fiel", "Guéret", "La Souterraine"]


def test_without_a_commune_they_come_in_the_order_of_their_numbers(session):
    a_network(session)

    found = nearest(session, 1, on=NOW.day, near=None)

    assert communes(found) == list(PLACES)[:3]


@pytest.mark.parametrize("near", ["Nowhere", "23999", "", "Guér"])
def test_a_commune_that_no_site_is_in_is_refused_and_not_taken_for_far_away(session, near):
    a_network(session)

    with pytest.raises(CommuneUnknown) as no:
        nearest(session, 1, on=NOW.day, near=near)

    assert no.value.commune == near


@pytest.mark.parametrize(
    ("near", "found"),
    [
        ("Benevent l'abbaye", ["La Souterraine", "Guéret", "Bourganeuf"]),
        ("Saint-Laurent", ["Saint-Fiel", "Guéret", "La Souterraine"]),
    ],
)
def test_a_commune_without_an_accredited_place_is_placed_by_the_sites_it_has(
    session, near, found
):
    a_network(session)
    for number, (commune, told) in enumerate(OTHERS.items(), len(PLACES)):
        a_place(session, commune, number, told)

    assert communes(nearest(session, 1, on=NOW.day, near=near)) == found


def test_a_commune_of_the_same_name_elsewhere_is_not_this_one(session):
    a_network(session)
    a_place(session, "Aubusson", 9, ("61100", "61014", "48.7800", "-0.5500"))

    found = communes(nearest(session, 1, on=NOW.day, near="61014"))

    assert found == ["La Souterraine", "Guéret", "Bourganeuf"]


def test_only_places_that_are_accredited_that_day_are_told(session):
    a_network(session)

    assert nearest(session, 1, on=date(2019, 12, 31), near=None) == []


def test_only_places_within_the_territory_of_the_tranche_are_told(session):
    a_network(session, territory=("23008", "87"), calendar=CALENDAR)

    assert communes(nearest(session, 1, on=NOW.day, near="Guéret")) == ["Aubusson"]
