"""In the Creuse a library hands out and teaches: allowed where it is so, and always to be seen."""

import msgspec
import pytest
from sqlalchemy import select

from funding.hand_out_rules import HandOutRules
from issuance.desks import Deliver, OpenDesk, deliver, open_desk
from issuance.given import given as listed
from issuance.hand_outs import HandOut
from issuance.models import desk
from issuance.orders import order_row
from issuance.paper import printed_passes
from issuance.transfers import Receive, Send, receive, send
from ledger.identifiers import new_id
from ledger.models import entry
from redemption.both_acts import done_before, give_and_use, offer
from redemption.counter import Device
from redemption.hand_out import hand_out
from redemption.mednum import clean
from redemption.replacing import ReplaceHandOut, replace_hand_out
from redemption.same_organisation import SameOrganisation, same_organisation
from redemption.sites import save_site, site_row
from redemption.undoing import Undo, undo
from tests.builders import (
    MANAGER,
    SEALER,
    SIRETS,
    a_workshop,
    a_world,
    an_order,
    done,
    given,
    scan_of,
    scanned,
)
from tests.conftest import moment
from tests.sending import sent

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
    assert same_organisation(session, programmes=["tela"]) == same_organisation(session)
    assert same_organisation(session, programmes=["aliso"]) == []


def test_what_was_replaced_often_is_found_in_as_many_queries(session):
    world, serials = a_library(session)
    lost = [done(at_site(session, "MEDIA", "lieu-1", serial)) for serial in serials[5:8]]
    workshop = a_workshop(session)

    asked = []
    for one in lost:
        again = ReplaceHandOut(new_id(), one.act)
        told = replace_hand_out(session, again, signer=world.signer, by="test", now=LATER)
        world.passes |= _printed(session, world, done(told).facts["order"])
        [verdict] = scanned(session, world, workshop, *told.facts["serials"], now=LATER)
        assert verdict.verdict == "accepted"
        with sent() as queries:
            same_organisation(session)
        asked.append(len(queries))
    assert len(set(asked)) == 1
    assert asked[0] > 0
    assert same_organisation(session)[0].passes == 3


def _printed(session, world, order: int) -> dict:
    made = printed_passes(order_row(session, order), world.signer, world.host)
    return {str(p.serial): p for p in made}


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        ({"siret": "99900001100019"}, "desk_siret"),
        ({"commune": "2309"}, "desk_commune"),
        ({"commune": "1A001"}, "desk_commune"),
    ],
)
def test_a_desk_tells_a_true_siret_and_commune_or_none(session, told, reason):
    a_world(session)
    opening = OpenDesk(new_id(), "MEDIA", "Médiathèque", "Accueil", ("tela",), **told)
    answer = open_desk(session, opening, by="test", now=NOW)
    assert (answer.code, answer.facts) == ("desk_impossible", {"reason": reason})
    assert session.scalars(select(desk.c.code)).all() == ["CAF"]


def both(session, world, code: str, serial: str, workshop, **more):
    asked = HandOut(new_id(), code, True, "declared", serials=(serial,), at_site=1)
    asked = msgspec.structs.replace(asked, **more)
    scan = scan_of(world.token(serial), workshop, LATER)
    told = give_and_use(
        session,
        asked,
        scan,
        device=Device("her", 1),
        now=LATER,
        sealer=SEALER,
        keyring=world.ring,
    )
    return asked, scan, told


def test_both_acts_are_one_and_sent_again_are_done_once(session):
    world, serials = a_library(session)
    workshop = a_workshop(session)
    token = world.token(serials[5])
    assert offer(session, token, 1, ["MEDIA"], world.ring) == (serials[5], "MEDIA")
    asked, scan, (answer, verdict) = both(session, world, "MEDIA", serials[5], workshop)
    assert (answer.facts["at_site"], verdict.verdict, verdict.cents) == (
        1,
        "accepted",
        1000,
    )

    again, replayed = give_and_use(
        session,
        asked,
        scan,
        device=Device("her", 1),
        now=LATER,
        sealer=SEALER,
        keyring=world.ring,
    )
    assert (again.replayed, replayed.verdict, replayed.replayed) == (True, "accepted", True)
    assert (
        len(session.scalars(select(entry.c.id).where(entry.c.kind == "redeemed")).all())
        == 1
    )
    assert offer(session, token, 1, ["MEDIA"], world.ring) is None


def test_a_number_is_not_taken_for_the_national_id_of_another_site(session):
    world, serials = a_library(session)
    workshop = a_workshop(session)
    row = {
        "id": "1", "nom": "Ailleurs", "commune": "Aubusson", "code_postal": "23200",
        "adresse": "1 rue Vieille", "date_maj": "2020-01-01",
    }  # fmt: skip
    called_1 = clean(row, imported_on=NOW.day).site
    save_site(session, called_1, dated=True, by="test", now=NOW)
    assert site_row(session, "1").number == 3, "what is typed is a national id first"

    assert offer(session, world.token(serials[5]), 1, ["MEDIA"], world.ring) is not None
    _, _, (answer, verdict) = both(session, world, "MEDIA", serials[5], workshop)
    assert (done(answer).facts["at_site"], verdict.verdict) == (1, "accepted")
    assert at_site(session, "MEDIA", "1", serials[6]).code == "not_at_this_site"


def test_a_pass_that_waited_for_its_hand_out_is_used_by_it_and_not_twice(session):
    world = a_world(session, regularise=True, hand_out=HandOutRules(at_sites=True))
    serials = an_order(session, world)
    workshop = a_workshop(session)
    [kept] = scanned(session, world, workshop, serials[0])
    assert kept.verdict == "kept"
    for _ in range(2):
        _, _, (answer, verdict) = both(session, world, "CAF", serials[0], workshop)
        if answer.accepted:
            assert (verdict.verdict, verdict.cents) == ("accepted", 1000)
        else:
            assert (answer.code, verdict) == ("already_handed_out", None)
    assert (
        len(session.scalars(select(entry.c.id).where(entry.c.kind == "redeemed")).all())
        == 1
    )


def test_a_use_that_is_refused_leaves_the_hand_out(session):
    world, serials = a_library(session)
    too_late = a_workshop(session, "2021-02-01", now=moment("2021-02-01"))
    _, _, (answer, verdict) = both(session, world, "MEDIA", serials[5], too_late)
    assert (answer.accepted, verdict.verdict) == (True, "too_late")


def test_both_acts_are_offered_only_where_they_may_be_done_without_more(session):
    world, serials = a_library(session)
    token = world.token(serials[5])
    assert offer(session, token, 2, ["MEDIA"], world.ring) is None
    assert offer(session, token, 1, ["CAF"], world.ring) is None
    assert offer(session, "nonsense", 1, ["MEDIA"], world.ring) is None
    assert offer(session, world.token(serials[0]), 1, ["CAF", "MEDIA"], world.ring) is None


def test_nothing_is_offered_of_a_carnet_that_left_the_desk(session):
    world, serials = a_library(session, at_sites=True)
    token = world.token(serials[5])
    sent = Send(new_id(), "MEDIA", "CAF", ((2, 2),))
    done(send(session, sent, by="test", now=NOW))
    assert offer(session, token, 1, ["CAF", "MEDIA"], world.ring) is None
    here = Receive(new_id(), 1, "CAF", ((2, 2),))
    done(receive(session, here, by="test", now=NOW))
    assert offer(session, token, 1, ["CAF", "MEDIA"], world.ring) == (serials[5], "CAF")


@pytest.mark.parametrize(
    "asks",
    [
        {"hand_out": HandOutRules(at_sites=True, limit_per_person=5)},
        {"hand_out": HandOutRules(at_sites=True, holders_named=True)},
        {"hand_out": HandOutRules(at_sites=True), "publics": ("rsa",)},
    ],
)
def test_a_tranche_that_asks_more_of_the_person_takes_the_page_of_the_desk(session, asks):
    world = a_world(session, **asks)
    serials = an_order(session, world)
    assert offer(session, world.token(serials[0]), 1, ["CAF"], world.ring) is None


def test_both_acts_at_a_workshop_of_yesterday_are_of_yesterday(session):
    world, serials = a_library(session)
    workshop = a_workshop(session)  # the day before LATER
    asked, scan, (answer, verdict) = both(session, world, "MEDIA", serials[5], workshop)
    assert (verdict.verdict, answer.facts["recorded_late"]) == ("accepted", True)
    [row] = listed(session, "at-site")
    assert row.given_on.isoformat() == "2020-02-03"
    again, _ = give_and_use(
        session,
        asked,
        scan,
        device=Device("her", 1),
        now=moment("2020-02-05"),
        sealer=SEALER,
        keyring=world.ring,
    )
    assert again.replayed


def test_both_acts_are_refused_for_a_day_that_no_hand_out_can_be_of(session):
    world, serials = a_library(session, late_days=0)
    _, _, (answer, verdict) = both(session, world, "MEDIA", serials[5], a_workshop(session))
    assert (answer.code, answer.facts["reason"]) == ("given_on_impossible", "too_old")
    assert verdict is None


def test_an_act_of_somebody_is_known_again_to_them_alone(session):
    world, serials = a_library(session)
    asked, *_ = both(session, world, "MEDIA", serials[5], a_workshop(session))
    told = done_before(session, asked.id, by="her", serial=serials[5])
    assert told == (serials[5], "MEDIA")
    assert done_before(session, asked.id, by="him", serial=serials[5]) is None
    assert done_before(session, asked.id, by="her", serial=serials[6]) is None
    assert done_before(session, new_id(), by="her", serial=serials[5]) is None
