"""A passkey is a second proof: bound to one person, one address, one challenge, and one device."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from html import unescape
from typing import Any

import pytest
from sqlalchemy import select

from app.people.models import web_session
from app.people.roles import Role
from ledger import canonical
from ledger.models import entry
from tests.app.authenticator import ORIGIN, Authenticator
from tests.app.visiting import PASSWORD, Browser, House, Person, a_house
from tests.conftest import ENGINES

COPIED = "Cette clé d'accès a été copiée"
REFUSED = "Cette clé d'accès n'a pas été reconnue"
KNOWN = "Cette clé d'accès est déjà enregistrée"


@dataclass
class Story:
    """Somebody, and the browser they sit at."""

    house: House
    who: Person = field(init=False)
    browser: Browser = field(init=False)

    def __post_init__(self) -> None:
        self.who = self.house.person(Role.MANAGER)
        self.browser = self.house.entered(self.who)

    def add(self, key: Authenticator, name: str = "Ma clé") -> Any:
        options = self.browser.post("/compte/cles/options").json()
        return self.browser.post("/compte/cles", name=name, credential=key.create(options))

    def again(self) -> Any:
        """Sign in afresh, with the password."""
        self.browser = self.house.browser()
        return self.browser.sign_in(self.who.login)

    def options(self) -> dict[str, Any]:
        told: dict[str, Any] = self.browser.post("/connexion/cle/options").json()
        return told

    def prove(self, credential: str) -> Any:
        return self.browser.post("/connexion/cle", credential=credential)

    def is_refused(self, credential: str, why: str = REFUSED) -> None:
        answer = self.prove(credential)
        assert answer.status_code == 422
        assert why in unescape(answer.text)
        assert not self.browser.is_in()

    def entries(self, kind: str) -> list[dict[str, Any]]:
        with self.house.database.begin("23", read_only=True) as session:
            bodies = session.scalars(select(entry.c.body).where(entry.c.kind == kind)).all()
        told = [canonical.decode(body)["facts"] for body in bodies]
        return [facts for facts in told if facts["person"] == str(self.who.id)]

    def factors(self) -> list[str | None]:
        with self.house.database.begin("23", read_only=True) as session:
            asked = select(web_session.c.second_factor).order_by(web_session.c.opened_at)
            return list(session.scalars(asked.where(web_session.c.person == self.who.id)))


@pytest.fixture(scope="module", params=ENGINES)
def house(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("passkeys")
    with a_house(request, request.param, folder, base_url=ORIGIN) as house:
        yield house


@pytest.fixture
def story(house: House) -> Story:
    return Story(house)


def as_read(answer: Any) -> str:
    return unescape(answer.text)


@pytest.mark.parametrize("attested", [False, True], ids=["none", "packed"])
def test_a_key_is_added_then_asked_for_at_each_sign_in(
    story: Story, attested: bool
) -> None:
    key = Authenticator(attested=attested)
    before = story.browser.token
    added = story.add(key)
    assert added.status_code == 200
    codes = re.findall(r"[0-9A-Z]{4}-[0-9A-Z]{4}-[0-9A-Z]{4}", added.text)
    assert len(codes) == 10
    # The proof rotates the session's token.
    assert story.browser.token != before

    assert story.again().headers["location"] == "/23/connexion/code"
    asked = as_read(story.browser.get("/connexion/code"))
    assert "Utiliser ma clé d'accès" in asked
    assert "Six chiffres" not in asked
    assert not story.browser.is_in()
    half = story.browser.token
    options = story.options()
    assert options["rpId"] == "pass.creuse.fr"
    assert story.prove(key.get(options)).headers["location"] == "/23/"
    assert story.browser.token != half
    assert story.factors() == ["passkey", "passkey"]
    assert "utilisée le" in story.browser.get("/compte").text
    # The journal names nobody, and no key.
    assert story.entries("passkey_added") == [{"person": str(story.who.id)}]

    # A lost key: a code of the sheet opens the door once.
    story.again()
    assert story.browser.post("/connexion/code", code=codes[0]).status_code == 303
    assert story.browser.is_in()


def test_a_challenge_is_answered_once(story: Story) -> None:
    key = Authenticator()
    story.add(key)
    story.again()
    answer = key.get(story.options())
    assert story.prove(answer).status_code == 303
    story.again()
    story.is_refused(answer)
    # Nor does it fit a challenge that another session was given.
    story.options()
    story.is_refused(answer)


def test_a_challenge_is_answered_within_five_minutes(story: Story) -> None:
    key = Authenticator()
    story.add(key)
    story.again()
    answer = key.get(story.options())
    story.house.clock.at += timedelta(minutes=5)
    story.is_refused(answer)


def test_a_challenge_to_add_a_key_is_answered_once(story: Story) -> None:
    options = story.browser.post("/compte/cles/options").json()
    for status, key in ((200, Authenticator()), (422, Authenticator())):
        answer = story.browser.post("/compte/cles", credential=key.create(options))
        assert answer.status_code == status
    assert REFUSED in as_read(answer)


@pytest.mark.parametrize(
    "elsewhere",
    [
        {"origin": "https://pass.creuse.fr.example"},
        {"origin": "http://pass.creuse.fr"},
        {"rp_id": "creuse.example"},
    ],
    ids=["origin", "scheme", "rpId"],
)
def test_a_key_answers_for_the_address_it_is_at(
    story: Story, elsewhere: dict[str, Any]
) -> None:
    assert REFUSED in as_read(story.add(Authenticator(**elsewhere)))
    key = Authenticator()
    story.add(key)
    story.again()
    for name, value in elsewhere.items():
        setattr(key, name, value)
    story.is_refused(key.get(story.options()))


def test_a_copied_key_is_told_and_leaves_an_entry(story: Story) -> None:
    key = Authenticator()
    story.add(key)
    story.again()
    story.prove(key.get(story.options()))
    story.again()
    key.count -= 1
    story.is_refused(key.get(story.options()), COPIED)
    assert story.entries("passkey_copied") == [{"person": str(story.who.id)}]

    # Whoever has not the key cannot have it called copied.
    forger = Authenticator(id=key.id)
    story.is_refused(forger.get(story.options()))
    assert len(story.entries("passkey_copied")) == 1


def test_a_key_that_does_not_count_is_taken_each_time(story: Story) -> None:
    key = Authenticator(counts=False)
    story.add(key)
    for _time in range(2):
        story.again()
        assert story.prove(key.get(story.options())).status_code == 303


def test_the_key_of_someone_else_opens_nothing(house: House) -> None:
    theirs, own = Authenticator(), Authenticator()
    Story(house).add(theirs)
    story = Story(house)
    assert story.add(own).status_code == 200
    # Nor may they add it as their own.
    assert KNOWN in as_read(story.add(theirs))
    story.again()
    story.is_refused(theirs.get(story.options()))


def test_five_wrong_answers_make_the_next_one_wait(story: Story) -> None:
    key = Authenticator()
    story.add(key)
    story.again()
    for _time in range(5):
        story.is_refused("{}")
    story.is_refused(key.get(story.options()), "Plusieurs essais n'ont pas marché")


def test_a_new_key_shuts_out_whoever_had_only_the_password(story: Story) -> None:
    elsewhere = story.house.browser()
    elsewhere.sign_in(story.who.login)
    assert elsewhere.is_in()
    story.add(Authenticator())
    assert story.browser.is_in()
    assert not elsewhere.is_in()


def test_removing_a_key_needs_the_password(story: Story) -> None:
    key, name = Authenticator(), "Ordinateur du bureau"
    story.add(key, name)
    asked = {"passkey": key.id.hex()}
    wrong = story.browser.post("/compte/cles/retirer", **asked, passkey_password="x")
    assert wrong.status_code == 422
    assert name in wrong.text
    for which, left in (("00", True), ("é", True), (key.id.hex(), False)):
        answer = story.browser.post(
            "/compte/cles/retirer", passkey=which, passkey_password=PASSWORD
        )
        assert answer.status_code == 303
        assert (name in story.browser.get("/compte").text) is left
    assert len(story.entries("passkey_removed")) == 1
    assert story.again().headers["location"] == "/23/"


def test_someone_else_s_key_is_not_removed(house: House) -> None:
    key, owner = Authenticator(), Story(house)
    owner.add(key)
    Story(house).browser.post(
        "/compte/cles/retirer", passkey=key.id.hex(), passkey_password=PASSWORD
    )
    assert owner.again().headers["location"] == "/23/connexion/code"


@pytest.mark.parametrize(
    "told",
    ["", "null", "[]", "{", '{"id": 1}', json.dumps({"id": "a", "rawId": "é"}), "1" * 5000],
)
def test_what_is_not_an_answer_is_refused_in_a_sentence(story: Story, told: str) -> None:
    story.browser.post("/compte/cles/options")
    assert REFUSED in as_read(story.browser.post("/compte/cles", credential=told))
    story.add(Authenticator())
    story.again()
    story.options()
    story.is_refused(told)
