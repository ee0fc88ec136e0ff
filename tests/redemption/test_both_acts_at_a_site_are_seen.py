"""In the Creuse a library hands out and teaches: allowed where it is so, and always to be seen."""

import pytest
from sqlalchemy import select

from funding.hand_out_rules import HandOutRules
from issuance.desks import Deliver, OpenDesk, deliver, open_desk
from issuance.given import given as listed
from issuance.hand_outs import HandOut
from issuance.models import desk
from issuance.orders import order_row
from issuance.paper import printed_passes
from ledger.identifiers import new_id
from redemption.hand_out import hand_out
from redemption.replacing import ReplaceHandOut, replace_hand_out
from redemption.same_organisation import SameOrganisation, same_organisation
from redemption.undoing import Undo, undo
from tests.builders import (
    MANAGER,
    SIRETS,
    a_workshop,
    a_world,
    an_order,
    done,
    given,
    scanned,
)
from tests.conftest import moment

NOW = moment("2020-01-20")
LATER = moment("2020-02-04")


def a_library(session, **rules) -> tuple:
    """A desk of the organisation of the first site, with the second carnet; CAF's desk keeps the others."""
    world = a_world(session, hand_out=HandOutRules(**rules))
    serials = an_order(session, world)
    opening = OpenDesk(
        new_id(), "MEDIA", "Médiathèque", "Accueil", ("tela",), SIRETS[0], "23096"
    )
    done(open_desk(session, opening, by="test", now=NOW))
    done(deliver(session, Deliver(new_id(), "MEDIA", 2, 2), by="test", now=NOW))
    return world, serials


def at_site(session, code: str, site: str, *serials: str):
    asked = HandOut(new_id(), code, True, "attested", serials=serials, at_site=site)
    return hand_out(session, asked, by=f"desk-{code}", now=NOW)


def test_a_desk_hands_out_at_the_sites_of_its_organisation(session):
    _, serials = a_library(session)
    answer = done(at_site(session, "MEDIA", "lieu-1", serials[5]))
    assert answer.facts["at_site"] == 1
    [row] = listed(session, "at-site")
    assert (row.desk, row.at_site, row.passes) == ("MEDIA", 1, 1)
    for code, site, serial in (
        ("MEDIA", "lieu-2", serials[6]),
        ("CAF", "lieu-1", serials[0]),
    ):
        no = at_site(session, code, site, serial)
        assert no.code == "not_at_this_site"
    assert at_site(session, "MEDIA", "lieu-9", serials[6]).code == "not_found"
    assert len(listed(session, "at-site")) == 1


def test_a_tranche_may_let_any_desk_hand_out_at_sites(session):
    _, serials = a_library(session, at_sites=True)
    assert done(at_site(session, "CAF", "2", serials[0])).facts["at_site"] == 2


def test_what_an_organisation_gave_and_took_is_counted_net_with_what_replaced_it(session):
    world, serials = a_library(session)
    assert same_organisation(session) == []
    lost = done(at_site(session, "MEDIA", "lieu-1", *serials[5:10]))
    done(given(session, *serials[:5]))
    workshop, other = a_workshop(session), a_workshop(session, site="lieu-2")
    scanned(session, world, workshop, *serials[5:7], serials[0])
    scanned(session, world, other, serials[7])
    taken_back = Undo(new_id(), serials[5], "wrong_pass")
    done(undo(session, taken_back, device=MANAGER, now=LATER))

    told = SameOrganisation("999000011", "MEDIA", 1, "Médiathèque 1", 1, 1000, 2, 50)
    assert same_organisation(session) == [told]

    again = ReplaceHandOut(new_id(), lost.act)
    answer = done(
        replace_hand_out(session, again, signer=world.signer, by="test", now=LATER)
    )
    new = answer.facts["serials"]
    world.passes |= _printed(session, world, answer.facts["order"])
    [verdict] = scanned(session, world, workshop, new[0], now=LATER)
    assert verdict.verdict == "accepted"
    assert same_organisation(session) == [
        told._replace(passes=2, cents=2000, site_passes=3, percent=66)
    ]


def _printed(session, world, order: int) -> dict:
    made = printed_passes(order_row(session, order), world.signer, world.host)
    return {str(p.serial): p for p in made}


@pytest.mark.parametrize(
    ("told", "reason"),
    [({"siret": "99900001100019"}, "desk_siret"), ({"commune": "2309"}, "desk_commune")],
)
def test_a_desk_tells_a_true_siret_and_commune_or_none(session, told, reason):
    a_world(session)
    opening = OpenDesk(new_id(), "MEDIA", "Médiathèque", "Accueil", ("tela",), **told)
    answer = open_desk(session, opening, by="test", now=NOW)
    assert (answer.code, answer.facts) == ("desk_impossible", {"reason": reason})
    assert session.scalars(select(desk.c.code)).all() == ["CAF"]
