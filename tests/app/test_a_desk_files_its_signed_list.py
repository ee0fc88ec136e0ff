"""A desk prints the list that it signs for, and files the paper: the hash alone is kept."""

import re
from hashlib import sha256

import pytest

from app.people.roles import Role
from funding import operations as funds
from issuance.attestations import filed
from issuance.desks import Deliver, OpenDesk, deliver, open_desk
from issuance.hand_outs import HandOut
from ledger.identifiers import new_id
from redemption.hand_out import hand_out
from tests.app.test_pages_do_not_grow import BEFORE, a_tranche
from tests.app.test_pages_say_what_to_do_next import words
from tests.app.visiting import engine_house, house
from tests.builders import an_order, done, given

__all__ = ["engine_house", "house"]

PAPER = b"%PDF a signed list"


@pytest.fixture
def serials(house) -> list[str]:
    with house.database.begin("23") as session:
        made = an_order(session, house.world, 1)
        done(given(session, *made[:2], now=house.now))
    return made


def fields_of(page: str) -> dict[str, str]:
    names = ("desk", "from", "until", "list")
    return {
        name: re.findall(rf'type="hidden" name="{name}" value="([^"]*)"', page)[-1]
        for name in names
    }


def filing(browser, data: bytes, **fields: str):
    sent = {"csrf": browser.csrf} | fields
    return browser.send("/attestations", sent, files={"file": ("a.pdf", data)})


def papers(house) -> list[str]:
    with house.database.begin("23", read_only=True) as session:
        return [line.sha256 for line in filed(session)]


def test_a_desk_prints_its_list_and_files_the_paper(house, serials):
    agent = house.entered(house.of(Role.PRESCRIBER_AGENT))
    shown = agent.get("/attestations").text
    assert serials[0] in shown
    assert "Gardez l'original" in words(shown)
    sent = fields_of(shown)
    missing = agent.post("/attestations", **sent)
    assert missing.status_code == 422
    empty = filing(agent, b"", **sent)
    assert empty.status_code == 422

    with house.database.begin("23") as session:
        done(given(session, serials[2], now=house.now))
    stale = filing(agent, PAPER, **sent)
    assert stale.status_code == 422
    assert "La liste a changé depuis" in words(stale.text)

    good = fields_of(agent.get("/attestations").text)
    filing(agent, PAPER, **good)
    assert sha256(PAPER).hexdigest() in papers(house)
    after = agent.get("/attestations").text
    assert serials[0] not in after
    assert sha256(PAPER).hexdigest()[:16] in after


def test_readers_see_lists_of_their_programmes_and_file_nothing(house, serials):
    reader = house.entered(house.of(Role.AUDITOR))
    shown = reader.get("/attestations?desk=CAF").text
    assert serials[0] in shown
    assert 'type="file"' not in shown
    before = papers(house)
    told = filing(reader, b"other", desk="CAF")
    assert told.status_code == 403
    other = house.entered(house.person(Role.PRESCRIBER_AGENT, desk="CAF"))
    foreign = fields_of(other.get("/attestations").text) | {"desk": "MSA"}
    refused = filing(other, b"o", **foreign)
    assert refused.status_code == 422
    assert papers(house) == before


@pytest.fixture(scope="module")
def of_two_programmes(engine_house) -> list[str]:
    """The first pass of each of two carnets that one desk handed out, of two programmes."""
    first = []
    with engine_house.database.begin("23") as session:
        programme = funds.StartProgramme(new_id(), "deux", "Deux")
        done(funds.start_programme(session, programme, by="test", now=BEFORE))
        a_tranche(session, "D", number=98, programme="deux")
        desk = OpenDesk(new_id(), "DEUX", "Deux", "Accueil", ("tela", "deux"))
        done(open_desk(session, desk, by="test", now=BEFORE))
        for tranche in ("T1", "D"):
            made = an_order(
                session, engine_house.world, 1, tranche=tranche, delivered=False
            )
            number = int(made[0].split("-")[1])
            done(
                deliver(
                    session,
                    Deliver(new_id(), "DEUX", number, number),
                    by="test",
                    now=BEFORE,
                )
            )
            act = HandOut(new_id(), "DEUX", True, "attested", serials=(made[0],))
            done(hand_out(session, act, by="test", now=BEFORE))
            first.append(made[0])
    return first


def test_whoever_hands_out_for_one_programme_signs_the_whole_list_of_the_desk(
    house, of_two_programmes
):
    """The paper is the desk's, and covers all that it gave on its word: a part is no list to sign."""
    agent = house.entered(
        house.person(Role.PRESCRIBER_AGENT, desk="DEUX", programme="tela")
    )
    shown = agent.get("/attestations").text
    assert all(serial in shown for serial in of_two_programmes)
    reader = house.entered(house.person(Role.AUDITOR, programme="tela"))
    theirs = reader.get("/attestations?desk=DEUX").text
    assert [serial in theirs for serial in of_two_programmes] == [True, False]

    data = PAPER + b" of two programmes"
    filing(agent, data, **fields_of(shown))
    assert sha256(data).hexdigest() in papers(house)
    assert of_two_programmes[1] not in agent.get("/attestations").text
