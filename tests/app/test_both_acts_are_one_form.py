"""At a workshop, a pass is handed out and used by one form: where it was offered, and nowhere else."""

import pytest

from app.guessing import MOST
from app.people.roles import Role
from funding.hand_out_rules import HandOutRules
from funding.tranches import OpenTranche
from issuance import codes
from issuance.models import handed_out
from issuance.serials import Serial
from ledger.identifiers import new_id
from redemption.sites import open_tranche
from tests.app.visiting import engine_house, house, plain
from tests.builders import CALENDAR, an_order, done
from tests.conftest import moment

__all__ = ["engine_house", "house"]

GIVE = {"pic": "yes", "proof": "attested", "desk": "CAF"}


@pytest.fixture(scope="module")
def stock(engine_house):
    """The first passes of carnets of a tranche that lets any desk hand out at sites."""
    with engine_house.database.begin("23") as session:
        asked = OpenTranche(
            new_id(), 9, "T9", "tela", "AAP", 200_000, {"FSE": 60, "DEP": 40}, CALENDAR,
            hand_out=HandOutRules(at_sites=True),
        )  # fmt: skip
        done(open_tranche(session, asked, by="test", now=moment("2020-01-06")))
        serials = an_order(session, engine_house.world, 8, tranche="T9")
    return iter(serials[::5])


@pytest.fixture
def serial(stock) -> str:
    return next(stock)


@pytest.fixture
def mediator(house):
    who = house.person(Role.MEDIATOR)
    house.person(Role.PRESCRIBER_AGENT, who.login)
    return house.entered(who)


def path(house) -> str:
    return f"/ateliers/{house.workshop}/remise"


def is_given(house, serial: str) -> bool:
    return bool(house.count(handed_out, handed_out.c.serial == serial))


def test_a_pass_that_was_offered_is_given_and_used_once(house, mediator, serial):
    token = house.world.token(serial)
    shown = mediator.post(f"/ateliers/{house.workshop}", token=token)
    assert "Remettre ce pass et l'utiliser ici" in plain(shown.text)
    fields = {"csrf": mediator.csrf, "id": str(new_id()), "token": token, **GIVE}
    for _ in range(2):
        told = mediator.send(path(house), fields)
        assert told.status_code == 200
        assert 'class="verdict yes"' in told.text
    assert is_given(house, serial)


def test_what_is_missing_is_asked_for_the_pass_that_is_at_the_desk(house, mediator, serial):
    told = mediator.post(path(house), token=house.world.token(serial), desk="CAF")
    assert told.status_code == 422
    assert f"Le pass {serial} est à votre guichet CAF" in plain(told.text)
    assert not is_given(house, serial)


def test_a_pass_that_is_not_offered_is_not_shown_nor_given(house, mediator, serial):
    there = house.serials[30]  # of a tranche that lets no desk hand out at sites
    for sent in (
        {"token": house.world.token(there), **GIVE},
        {"token": house.world.token(there), "desk": "CAF"},
        {"token": house.world.token(serial), **GIVE, "desk": "CCAS"},
    ):
        told = mediator.post(path(house), **sent)
        assert told.status_code == 404
        assert "à votre guichet" not in plain(told.text)
        assert there not in told.text
    assert not is_given(house, there)
    assert not is_given(house, serial)


def test_codes_are_not_tried_without_end(house, serial):
    who = house.person(Role.MEDIATOR)
    house.person(Role.PRESCRIBER_AGENT, who.login)
    mediator = house.entered(who)
    house.http.app.state.serving.guesses.add(str(who.id), MOST - 1)
    # The code of a pass that will never be, as it would be printed.
    key = house.world.signer.code_key
    never = codes.display("23", codes.derive(key, Serial("23", 900_000, 1)))
    assert mediator.post(path(house), token=never, **GIVE).status_code == 422
    told = mediator.post(path(house), token=house.world.token(serial), **GIVE)
    assert told.status_code == 429
    assert not is_given(house, serial)
