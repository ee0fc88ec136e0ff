"""Another département is nowhere: its addresses, its ids and its people open nothing here, and nothing of it shows."""

import re
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any

import pytest
from sqlalchemy import select

from app.devices import new_device
from app.people.models import membership, person, web_session
from app.people.roles import Role
from app.people.sessions import digest_of
from funding import operations as funds
from issuance.desks import OpenDesk, open_desk
from ledger.identifiers import new_id
from ledger.models import entry
from redemption.models import site
from tests.app.visiting import (
    OF_THE_LOG,
    Browser,
    House,
    Person,
    engine_house,
    everything,
    rooms,
)
from tests.builders import a_site, done
from tests.conftest import REUNION

__all__ = ["engine_house"]

THEIR_HOSTS = [
    "pass.departement974.fr",
    "PASS.DEPARTEMENT974.FR:443",
    "pass.departement974.fr.",
]
ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9a-f]{64}")


class Reader(HTMLParser):
    """Reads where a page leads: its links, and its forms with what they carry."""

    def __init__(self) -> None:
        super().__init__()
        self.links: set[str] = set()
        self.forms: list[tuple[str, str, dict[str, str]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        said = {name: value or "" for name, value in attrs}
        if tag == "a" and "href" in said:
            self.links.add(said["href"])
        if tag == "form":
            self.forms.append((said.get("method", "get").upper(), said["action"], {}))
        if tag in {"input", "option", "button"} and self.forms and said.get("value"):
            self.forms[-1][2].setdefault(said.get("name", tag), said["value"])


@dataclass(frozen=True)
class Way:
    """A request that a page of the Creuse leads to."""

    method: str
    path: str
    fields: tuple[tuple[str, str], ...] = ()

    @property
    def is_plain(self) -> bool:
        """Whether the address names no thing: a room that each département has."""
        return not ID.search(self.path) and not re.search(r"/tranches/.", self.path)

    def under(self, code: str) -> str:
        return f"/{code}{self.path}"


@dataclass
class Seen:
    """All that the people of the Creuse can reach, and words that only their pages say."""

    house: House
    ways: list[Way]
    words: list[str]
    visited: dict[Role, set[str]] = field(default_factory=dict)

    def tells_nothing(self, answer: Any, why: Any) -> None:
        told = f"{answer.text} {answer.headers}"
        assert not [word for word in self.words if word in told], why


def _followed(browser: Browser) -> tuple[set[str], set[Way]]:
    """Follow every link from the home page, and note the forms."""
    waiting, visited, ways = {"/23/"}, set[str](), set[Way]()
    while waiting:
        address = waiting.pop()
        visited.add(address)
        answer = browser.ask("GET", address)
        assert answer.status_code in {200, 303}, address
        ways.add(Way("GET", address.removeprefix("/23")))
        reader = Reader()
        reader.feed(answer.text)
        for method, action, fields in reader.forms:
            ours = {name: v for name, v in fields.items() if name != "csrf"}
            ways.add(Way(method, action.removeprefix("/23"), tuple(sorted(ours.items()))))
        inside = {link for link in reader.links if re.match(r"/23(/|$)", link)}
        waiting |= {link.rstrip("/") or link for link in inside} - visited - {"/23"}
    return visited, ways


@pytest.fixture(scope="module")
def seen(engine_house: House) -> Seen:
    house = engine_house
    with house.database.begin("974") as session:
        programme = funds.StartProgramme(new_id(), "ile", "Île")
        done(funds.start_programme(session, programme, by="test", now=house.now))
        desk = OpenDesk(new_id(), "MSA", "Mutuelle", "Guichet", ("ile",))
        done(open_desk(session, desk, by="test", now=house.now))
        a_site(session, 9, house.now)
    ways: set[Way] = set()
    found = Seen(house, [], [])
    for role in Role:
        someone = house.of(role)
        elsewhere = house.entered(someone)  # so that the account lists a session to close
        browser = house.entered(someone, factor="totp")
        visited, theirs = _followed(browser)
        ways |= theirs
        found.visited[role] = visited
        assert elsewhere.is_in()
    found.ways = sorted(
        ways | _more(house), key=lambda way: (way.path, way.method, way.fields)
    )
    with house.database.begin("23", read_only=True) as session:
        names = session.execute(select(person.c.name, person.c.login)).all()
        sites = session.scalars(select(site.c.name)).all()
    found.words = [word for row in names for word in row] + [*sites, "Creuse"]
    return found


def _more(house: House) -> set[Way]:
    """What no link leads to, and somebody may know: ids of acts, serials, addresses."""
    held = str(house.of(Role.AUDITOR).membership)
    with house.database.begin("23", read_only=True) as session:
        act = str(session.scalars(select(entry.c.id).limit(1)).one())
        digest = session.scalars(select(web_session.c.digest).limit(1)).one().hex()
    code = house.code(house.person(Role.AUDITOR))
    chosen = (
        ("password", "a long enough phrase"),
        ("password_again", "a long enough phrase"),
    )
    return {
        *(Way(method, path) for method, path, _door in rooms(house)),
        Way("POST", "/remise", (("carnet", "1"),)),
        Way("POST", "/remise", (("carnet", house.serials[0]),)),
        Way("GET", f"/ateliers/{act}"),
        Way("GET", f"/tranches/{held}"),
        Way("POST", "/invitation", (("code", code), *chosen)),
        Way("POST", f"/ateliers/{house.workshop}", (("token", house.serials[0]),)),
        Way("POST", f"/ateliers/{house.workshop}", (("token", house.world.token(house.serials[0])),)),
        Way("POST", "/personnes/fin", (("id", act), ("membership", held))),
        Way("POST", "/compte/sessions/fermer", (("session", digest),)),
        Way("POST", "/remise", (("carnet", "9"), ("pic", "yes"), ("proof", "attested"), ("desk", "CAF"), ("give", "1"))),
        Way("POST", "/personnes", (("login", "x"), ("name", "x"), ("role", "mediator"), ("site", "2"))),
        Way("POST", "/personnes", (("login", "x"), ("name", "x"), ("role", "prescriber_agent"), ("desk", "CAF"))),
    }  # fmt: skip


@pytest.fixture(scope="module")
def islander(seen: Seen) -> Person:
    """Somebody of La Réunion who passes all of its doors."""
    house = seen.house
    who = house.person(Role.OFFICER, at="974")
    house.person(Role.MANAGER, who.login, at="974")
    house.person(Role.PRESCRIBER_AGENT, who.login, at="974", desk="MSA")
    house.person(Role.MEDIATOR, who.login, at="974")
    return who


def of_974(house: House) -> list[int]:
    return [house.count(table, at="974") for table in (membership, person)]


def ask(browser: Browser, way: Way, code: str, **headers: str) -> Any:
    fields = {"csrf": browser.csrf, **dict(way.fields)} if way.method == "POST" else None
    return browser.ask(way.method, way.under(code), fields, headers=headers)


def test_the_rooms_of_every_role_were_walked(seen):
    for role, visited in seen.visited.items():
        assert "/23/compte" in visited, role
    everywhere = set[str]().union(*seen.visited.values())
    workshop = f"/23/ateliers/{seen.house.workshop}"
    assert everywhere >= {
        "/23/tranches/T1",
        "/23/lieux",
        "/23/personnes",
        "/23/remise",
        workshop,
    }
    carried = {name for way in seen.ways for name, _value in way.fields}
    assert carried >= {"membership", "session", "id", "desk", "site"}


def test_with_a_session_of_theirs_our_things_are_not_there(seen, islander):
    house = seen.house
    before = everything(house), of_974(house)
    for way in seen.ways:
        browser = house.entered(islander, "974", factor="totp")
        answer = ask(browser, way, "974")
        if way.is_plain:
            # A room of their own: what it lists is theirs.
            assert answer.status_code in {200, 303, 404, 422}, way
            assert answer.headers.get("location", "/974/").startswith("/974/"), way
        else:
            assert answer.status_code == 404, way
        if "membership" in dict(way.fields):
            assert answer.status_code == 404, way
        seen.tells_nothing(answer, way)
        assert browser.is_in() or way.path == "/deconnexion", way
    assert (everything(house), of_974(house)) == before


def _is_their_door(answer: Any, way: Way) -> bool:
    return answer.status_code == 303 and answer.headers["location"] == "/974/connexion"


def _is_open(house: House, way: Way) -> bool:
    doors = {(method, path): door for method, path, door in rooms(house)}
    return doors.get((way.method, way.path)) == "open"


def ours(seen: Seen) -> Browser:
    return seen.house.all_trades()


def test_with_our_cookie_their_door_stays_where_it_was(seen):
    for cookies in ({}, dict(ours(seen).cookies)):
        browser = seen.house.browser("974", cookies=cookies)
        for way in seen.ways:
            answer = ask(browser, way, "974")
            if way.path in OF_THE_LOG:  # they have published nothing
                assert answer.status_code in {200, 404}, way
            elif _is_open(seen.house, way):
                assert answer.status_code in {200, 422} or _is_their_door(answer, way), way
            else:
                assert _is_their_door(answer, way), way
            seen.tells_nothing(answer, way)


def test_our_cookie_under_their_name_finds_nothing(seen):
    value = ours(seen).cookies["passnum_23"]
    for way in seen.ways:
        browser = seen.house.browser("974", cookies={"passnum_974": value})
        answer = ask(browser, way, "974")
        if not _is_open(seen.house, way):
            assert answer.status_code == 404, way
        seen.tells_nothing(answer, way)


def test_our_token_in_a_cookie_of_theirs_is_no_session(seen):
    token = ours(seen).token
    for way in seen.ways:
        browser = seen.house.browser("974", cookies={"passnum_974": f"974.{token}"})
        answer = ask(browser, way, "974")
        if not _is_open(seen.house, way):
            assert _is_their_door(answer, way), way
        seen.tells_nothing(answer, way)


def test_at_their_address_nothing_of_ours_is_served(seen):
    browser = ours(seen)
    before = everything(seen.house)
    for host in THEIR_HOSTS:
        for way in seen.ways:
            answer = ask(browser, way, "23", Host=host)
            assert answer.status_code == 404, (host, way)
            seen.tells_nothing(answer, way)
    assert everything(seen.house) == before
    assert browser.is_in()


def test_at_our_address_and_at_a_plain_one_we_are_served(seen):
    for host in ("pass.creuse.fr", "PASS.CREUSE.FR:8000", "localhost", "127.0.0.1:8000"):
        assert ours(seen).get("/tranches", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize("cookie", ["theirs", "theirs under our name", "theirs as if ours"])
def test_their_session_opens_none_of_our_rooms(seen, islander, cookie):
    value = seen.house.entered(islander, "974", factor="totp").cookies["passnum_974"]
    cookies = {
        "theirs": {"passnum_974": value},
        "theirs under our name": {"passnum_23": value},
        "theirs as if ours": {"passnum_23": "23." + value.partition(".")[2]},
    }[cookie]
    before = everything(seen.house)
    for way in seen.ways:
        if _is_open(seen.house, way):
            continue
        browser = seen.house.browser("23", cookies=dict(cookies))
        answer = ask(browser, way, "23")
        if cookie == "theirs under our name":
            assert answer.status_code == 404, way
        else:
            assert (answer.status_code, answer.headers["location"]) == (
                303,
                "/23/connexion",
            )
    assert everything(seen.house) == before


def test_our_people_do_not_sign_in_there(seen):
    house = seen.house
    for role in Role:
        browser = house.browser("974")
        answer = browser.sign_in(house.of(role).login)
        assert (answer.status_code, browser.cookies) == (422, {})


def test_our_invitation_is_none_there_and_stays_good_here(seen):
    house = seen.house
    code = house.code(house.person(Role.MEDIATOR))
    assert house.accept(code, "a long enough phrase", "974").status_code == 422
    assert house.accept(code, "a long enough phrase").status_code == 303


def test_our_device_is_none_there(seen):
    with seen.house.database.begin("23") as session:
        _, token = new_device(
            session, "23", scope="departement", at=None, label="x", now=seen.house.now
        )
    theirs = token.replace("pn_23_", "pn_974_")
    answers = [
        seen.house.http.get(
            "/api/v1/reconciliations", headers={"Authorization": f"Bearer {said}"}
        )
        for said in (token, theirs, token.replace("pn_23_", "pn_75_"))
    ]
    assert [answer.status_code for answer in answers] == [200, 401, 401]
    assert "T1" in answers[0].text


@pytest.mark.parametrize("code", ["75", "2A", "2a", "zz", "023", "23 ", "23%00", "d23", "public", "..", "%2e%2e", "٢٣"])  # fmt: skip
def test_a_departement_that_is_not_here_is_a_page_that_is_not_here(seen, code):
    browser = ours(seen)
    for path in ("/", "/connexion", "/tranches", "/compte", "/personnes/code"):
        for method in ("GET", "POST"):
            answer = browser.ask(method, f"/{code}{path}", {} if method == "POST" else None)
            if ".." in str(answer.request.url.raw_path) or code in {"..", "%2e%2e"}:
                assert answer.status_code in {404, 405, 200}, (code, path)
            else:
                assert answer.status_code in {404, 405}, (code, path)
            seen.tells_nothing(answer, (code, path)) if code != ".." else None


def test_the_digest_of_a_session_is_no_token(seen):
    browser = ours(seen)
    digest = digest_of(browser.token).hex()
    for said in (digest, digest.upper()):
        thief = seen.house.browser(cookies={"passnum_23": f"23.{said}"})
        assert thief.get("/compte").headers["location"] == "/23/connexion"


def test_the_two_have_their_own_names(seen, islander):
    shown = seen.house.entered(islander, "974", factor="totp").get("/compte").text
    assert REUNION.name in shown
    assert "Creuse" not in shown
