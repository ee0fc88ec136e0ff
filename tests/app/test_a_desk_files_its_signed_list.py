"""A desk prints the list that it signs for, and files the paper: the hash alone is kept."""

import re
from hashlib import sha256

import pytest

from app.people.roles import Role
from issuance.attestations import filed
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
