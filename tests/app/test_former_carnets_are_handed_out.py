"""Carnets of a former operator are handed out by what stands on them; nobody tries numbers without end."""

import re

import pytest
from sqlalchemy import select

from app import remembered
from app.guessing import MOST
from app.people.roles import Role
from issuance import codes
from issuance.models import foreign_carnet, handed_out, voucher
from issuance.serials import Serial
from tests.app.visiting import engine_house, house, plain
from tests.builders import a_foreign_list, an_order, done, taken_over

__all__ = ["engine_house", "house"]

GIVE = {"pic": "yes", "proof": "attested", "give": "1"}
COVERS = ("APTIC-0012345", "7", "APTIC-0012346", "APTIC-0012347", "APTIC-0012348")
QR = "https://aptic.example/p/K7{n}"
FRENCH = str.maketrans("1234567890-", "&é\"'(-è_çà)")


def number_of(cover: int, rank: int) -> str:
    return str(88_100_000 + 10 * cover + rank)


@pytest.fixture(scope="module")
def theirs(engine_house):
    """Our numbers of five carnets of theirs, by cover; one cover bears a number of ours."""
    rows = [
        f"{cover};{number_of(n, rank)};10;2020-12-31;{QR.format(n=number_of(n, rank))}"
        for n, cover in enumerate(COVERS)
        for rank in (1, 2)
    ]
    with engine_house.database.begin("23") as session:
        an_order(session, engine_house.world, 1)
        done(taken_over(session, engine_house.world, a_foreign_list(*rows)))
        found = session.execute(select(foreign_carnet.c.label, foreign_carnet.c.carnet))
        return dict(found.all())


@pytest.fixture
def agent(house, theirs, monkeypatch):
    monkeypatch.setattr(remembered, "SECONDS", -1.0)  # read again each time
    return house.entered(house.person(Role.PRESCRIBER_AGENT))


def given_of(house, carnet: int) -> int:
    passes = select(voucher.c.serial).where(voucher.c.carnet == carnet)
    return house.count(handed_out, handed_out.c.serial.in_(passes))


def test_a_cover_names_its_carnet_and_is_shown_with_our_number(house, agent, theirs):
    number, cover = theirs["APTIC-0012345"], "APTIC-0012345"
    shown = agent.post("/remise", carnet="aptic-0012345")
    assert f"Carnet {number} ({cover})" in plain(shown.text)
    told = agent.post("/remise", carnet=cover, about=str(number), **GIVE)
    assert f"Carnet {number} ({cover}) remis : 2 pass" in plain(told.text)
    assert given_of(house, number) == 2


def test_a_cover_with_a_number_of_ours_is_asked_which_and_what_is_shown_is_clear(
    house, agent, theirs
):
    told = agent.post("/remise", carnet="7", **GIVE)
    assert told.status_code == 422
    assert 'id="carnet-error"' in told.text
    assert "aptic 7" in plain(told.text)
    assert "23-000007" in plain(told.text)
    ours = agent.post("/remise", carnet="23-000007")
    assert "<strong>Carnet 7</strong>" in ours.text
    # What the field says of it names it again.
    assert re.search(r'<input id="carnet"[^>]* value="23-000007"', ours.text)
    told = agent.post("/remise", carnet="aptic 7", **GIVE)
    assert f"Carnet {theirs['7']} (7) remis : 2 pass" in plain(told.text)
    assert given_of(house, 7) == 0


@pytest.mark.parametrize("named", ["number", "qr", "number on AZERTY"])
def test_a_pass_of_theirs_names_its_carnet(house, agent, theirs, named):
    n = ["number", "qr", "number on AZERTY"].index(named) + 2
    secret = number_of(n, 2)
    texts = {
        "number": secret,
        "qr": QR.format(n=secret),
        "number on AZERTY": secret.translate(FRENCH),
    }
    number = theirs[COVERS[n]]
    shown = agent.post("/remise", carnet=texts[named])
    assert f"Carnet {number} ({COVERS[n]})" in plain(shown.text)
    assert secret not in shown.text
    assert re.findall(r"Pass n° (\d), celui que vous avez scanné", shown.text) == ["2"]
    agent.post("/remise", carnet=texts[named], **GIVE)
    assert given_of(house, number) == 2


@pytest.mark.parametrize("tried", ["code", "number", "text"])
def test_the_field_is_no_place_to_try_codes_and_numbers(house, theirs, tried):
    who = house.person(Role.PRESCRIBER_AGENT)
    agent = house.entered(who)
    guesses = house.http.app.state.serving.guesses
    guesses.add(str(who.id), MOST - 1)
    key = house.world.signer.code_key
    never = codes.display("23", codes.derive(key, Serial("23", 900_000, 1)))
    typed = {"code": never, "number": "88999999", "text": "K7-88999999"}[tried]
    first = agent.post("/remise", carnet=typed)
    assert "trop de codes" not in plain(first.text)
    second = agent.post("/remise", carnet=number_of(1, 1))
    assert "trop de codes" in plain(second.text)
    assert "APTIC" not in second.text
    program = {"Accept": "application/json"}
    sent = {"csrf": agent.csrf, "carnet": number_of(1, 1), **GIVE}
    assert agent.send("/remise", sent, headers=program).status_code == 429
    # Numbers that stand on covers are no secret, and the queue goes on.
    assert agent.post("/remise", carnet="1").status_code == 200
