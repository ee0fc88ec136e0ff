"""Every door has a lock: whoever may not pass is refused, on every route there is, and a new one is shut."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pyotp
import pytest
from litestar import Litestar, get
from litestar.params import FromPath

from app.devices import new_device
from app.people import second_factor
from app.people.roles import MAY, Role
from app.web import create_app
from ledger.identifiers import new_id
from tests.app.visiting import KEYS, OF_THE_LOG, Browser, House, Person, engine_house
from tests.builders import SEALER

__all__ = ["engine_house"]

M, C, O = Role.MANAGER, Role.ACCOUNTANT, Role.OFFICER  # noqa: E741 - a column each, below
PM, PA = Role.PRESCRIBER_MANAGER, Role.PRESCRIBER_AGENT
SM, ME, V = Role.SITE_MANAGER, Role.MEDIATOR, Role.VOLUNTEER
A, OP = Role.AUDITOR, Role.OPERATOR

SHUT, OPEN, BEARER = "shut", "open", "bearer"
# Open, and without a provider it leads to the usual door.
SENT_ON = "sent on"
READERS = {M, C, O, A}
INVITERS = {M, PM, SM, OP}
GIVERS = {PM, PA}
SCANNERS = {SM, ME, V}
EVERYONE = set(Role)
HALF = "half"

# Who passes which door. A set is of roles; HALF is everyone, the second proof given or not.
DOORS: dict[tuple[str, str], Any] = {
    ("GET", "/"): OPEN,
    ("GET", "/health"): OPEN,
    ("GET", "/checkpoint"): OPEN,
    ("GET", "/{departement:str}/checkpoint"): OPEN,
    ("GET", "/policy"): OPEN,
    ("GET", "/{departement:str}/policy"): OPEN,
    ("GET", "/tile/{level:str}/{rest:path}"): OPEN,
    ("GET", "/{departement:str}/tile/{level:str}/{rest:path}"): OPEN,
    ("GET", "/proof/{entry:uuid}"): OPEN,
    ("GET", "/{departement:str}/proof/{entry:uuid}"): OPEN,
    ("GET", "/receipt/{entry:uuid}"): OPEN,
    ("GET", "/{departement:str}/receipt/{entry:uuid}"): OPEN,
    ("GET", "/.well-known/passnum-keys.json"): OPEN,
    ("GET", "/{departement:str}/.well-known/passnum-keys.json"): OPEN,
    ("GET", "/V/{token:str}"): OPEN,
    ("GET", "/v/{token:str}"): OPEN,
    ("GET", "/static/{name:str}"): OPEN,
    ("HEAD", "/static/{name:str}"): OPEN,
    ("GET", "/api/v1/openapi.json"): OPEN,
    ("GET", "/api/description"): SHUT,
    ("GET", "/api/description/openapi.json"): SHUT,
    ("GET", "/api/description/{path:str}"): SHUT,
    ("POST", "/api/v1/scans"): BEARER,
    ("POST", "/api/v1/workshops"): BEARER,
    ("POST", "/api/v1/undos"): BEARER,
    ("POST", "/api/v1/vouchers/check"): BEARER,
    ("POST", "/api/v1/hand-outs"): BEARER,
    ("POST", "/api/v1/hand-outs/queue"): BEARER,
    ("GET", "/api/v1/reconciliations"): BEARER,
    ("GET", "/api/v1/reconciliations/{tranche:str}"): BEARER,
    ("GET", "/{departement:str}/connexion"): OPEN,
    ("POST", "/{departement:str}/connexion"): OPEN,
    ("GET", "/{departement:str}/invitation"): OPEN,
    ("POST", "/{departement:str}/invitation"): OPEN,
    ("GET", "/{departement:str}/connexion/code"): HALF,
    ("POST", "/{departement:str}/connexion/code"): HALF,
    ("GET", "/{departement:str}/connexion/oidc"): SENT_ON,
    ("GET", "/{departement:str}/connexion/oidc/retour"): SENT_ON,
    ("GET", "/{departement:str}/connexion/oidc/invitation"): SENT_ON,
    ("POST", "/{departement:str}/connexion/oidc/invitation"): OPEN,
    ("POST", "/{departement:str}/connexion/cle"): HALF,
    ("POST", "/{departement:str}/connexion/cle/options"): HALF,
    ("POST", "/{departement:str}/deconnexion"): HALF,
    ("GET", "/{departement:str}/compte"): EVERYONE,
    ("POST", "/{departement:str}/compte/mot-de-passe"): EVERYONE,
    ("POST", "/{departement:str}/compte/sessions/fermer"): EVERYONE,
    ("GET", "/{departement:str}/compte/telephone"): EVERYONE,
    ("POST", "/{departement:str}/compte/telephone"): EVERYONE,
    ("POST", "/{departement:str}/compte/telephone/confirmer"): EVERYONE,
    ("POST", "/{departement:str}/compte/cles"): EVERYONE,
    ("POST", "/{departement:str}/compte/cles/options"): EVERYONE,
    ("POST", "/{departement:str}/compte/cles/retirer"): EVERYONE,
    ("POST", "/{departement:str}/compte/oidc"): EVERYONE,
    ("POST", "/{departement:str}/compte/oidc/retirer"): EVERYONE,
    ("GET", "/{departement:str}"): EVERYONE,
    ("GET", "/{departement:str}/tranches"): READERS,
    ("GET", "/{departement:str}/tranches/{tranche:str}"): READERS,
    ("POST", "/{departement:str}/tranches/{tranche:str}/export"): READERS,
    ("POST", "/{departement:str}/lieux/export"): READERS,
    ("GET", "/{departement:str}/commandes"): READERS,
    ("GET", "/{departement:str}/commandes/nouvelle"): {M},
    ("POST", "/{departement:str}/commandes/nouvelle"): {M},
    ("GET", "/{departement:str}/commandes/reprise"): {M},
    ("POST", "/{departement:str}/commandes/reprise"): {M},
    ("GET", "/{departement:str}/commandes/{number:int}"): READERS,
    ("POST", "/{departement:str}/commandes/{number:int}/fabrication"): {M},
    ("POST", "/{departement:str}/commandes/{number:int}/activation"): {M, C, O},
    ("GET", "/{departement:str}/commandes/{number:int}/epreuve"): READERS,
    ("POST", "/{departement:str}/commandes/{number:int}/epreuve"): {M},
    ("GET", "/{departement:str}/commandes/{number:int}/annulation"): {M},
    ("POST", "/{departement:str}/commandes/{number:int}/annulation"): {M},
    ("GET", "/{departement:str}/besoins"): {M},
    ("POST", "/{departement:str}/besoins"): {M},
    ("GET", "/{departement:str}/lieux"): READERS,
    ("GET", "/{departement:str}/lieux/meme-organisme"): READERS,
    ("GET", "/{departement:str}/lieux/import"): {M},
    ("POST", "/{departement:str}/lieux/import"): {M},
    ("GET", "/{departement:str}/travaux/{work_id:uuid}"): {M},
    ("POST", "/{departement:str}/travaux/{work_id:uuid}/export"): {M},
    ("GET", "/{departement:str}/personnes"): INVITERS,
    ("POST", "/{departement:str}/personnes"): INVITERS,
    ("POST", "/{departement:str}/personnes/code"): INVITERS,
    ("POST", "/{departement:str}/personnes/lettre"): INVITERS,
    ("POST", "/{departement:str}/personnes/fin"): INVITERS,
    ("GET", "/{departement:str}/rappels"): GIVERS,
    ("GET", "/{departement:str}/attestations"): READERS | GIVERS,
    ("POST", "/{departement:str}/attestations"): GIVERS,
    ("GET", "/{departement:str}/stock"): READERS | GIVERS,
    ("GET", "/{departement:str}/stock/comptage"): GIVERS | {M},
    ("POST", "/{departement:str}/stock/comptage"): GIVERS | {M},
    ("POST", "/{departement:str}/stock/comptage/export"): GIVERS | {M},
    ("GET", "/{departement:str}/stock/envoi"): {M},
    ("POST", "/{departement:str}/stock/envoi"): {M},
    ("GET", "/{departement:str}/stock/retrait"): {M},
    ("POST", "/{departement:str}/stock/retrait"): {M},
    ("GET", "/{departement:str}/stock/transferts/{number:int}"): READERS | GIVERS,
    ("POST", "/{departement:str}/stock/transferts/{number:int}"): GIVERS | {M},
    ("GET", "/{departement:str}/remise"): GIVERS,
    ("POST", "/{departement:str}/remise"): GIVERS,
    ("GET", "/{departement:str}/remplacement"): GIVERS | {M},
    ("POST", "/{departement:str}/remplacement"): GIVERS | {M},
    ("GET", "/{departement:str}/ateliers"): SCANNERS,
    ("POST", "/{departement:str}/ateliers"): SCANNERS,
    ("GET", "/{departement:str}/ateliers/{workshop_id:uuid}"): SCANNERS,
    ("POST", "/{departement:str}/ateliers/{workshop_id:uuid}"): SCANNERS,
    ("POST", "/{departement:str}/ateliers/{workshop_id:uuid}/remise"): SCANNERS,
}

# Devices: which token passes which of the API's doors.
TOKENS = {
    ("POST", "/api/v1/scans"): {"site"},
    ("POST", "/api/v1/workshops"): {"site"},
    ("POST", "/api/v1/undos"): {"site"},
    ("POST", "/api/v1/vouchers/check"): {"site", "desk"},
    ("POST", "/api/v1/hand-outs"): {"desk"},
    ("POST", "/api/v1/hand-outs/queue"): {"desk"},
    ("GET", "/api/v1/reconciliations"): {"departement"},
    ("GET", "/api/v1/reconciliations/{tranche:str}"): {"departement"},
}

# A role that each inviter could give, so that there is somebody to give a code to, or to dismiss.
COLLEAGUES = {M: C, PM: PA, SM: V, OP: M}
WITH_A_SESSION = {route: who for route, who in DOORS.items() if isinstance(who, set)}
OF_PEOPLE = WITH_A_SESSION | {route: HALF for route, who in DOORS.items() if who == HALF}


def routes(app: Litestar) -> dict[tuple[str, str], Any]:
    """Every method of every route, with what its handler says of its door."""
    return {
        (method, route.path): handler.opt.get("door")
        for route in app.routes
        for handler in route.route_handlers
        for method in handler.http_methods
        if method != "OPTIONS"
    }


def check(app: Litestar) -> None:
    """Every route stands in the table above, and no other; none but those named there is without a door."""
    found = routes(app)
    assert set(found) == set(DOORS)
    doorless = {route for route, door in found.items() if door is None}
    assert doorless == {route for route, who in DOORS.items() if who == SHUT}


@dataclass
class Locks:
    """A server, somebody of each role, and what fills the addresses and the forms."""

    house: House
    people: dict[Role, Person]
    workshop: str
    tokens: dict[str, str]

    def address(self, path: str) -> str:
        filled = {
            "{departement:str}": "23",
            "{tranche:str}": "T1",
            "{workshop_id:uuid}": self.workshop,
            "{number:int}": "1",
            "{work_id:uuid}": self.house.work,
            "{token:str}": "1" * 191,
            "{name:str}": "manifest",
            "{path:str}": "x",
        }
        for name, value in filled.items():
            path = path.replace(name, value)
        return path

    def knock(
        self, browser: Browser, route: tuple[str, str], *, accept: str = "text/html"
    ) -> Any:
        """Ask for a route as this browser, with a form that its page could have sent."""
        method, path = route
        fields = None
        if method == "POST":
            fields = {"csrf": browser.csrf, "id": str(new_id()), "token": "rien"}
            if path.endswith(("/code", "/lettre", "/fin")):
                fields["membership"] = self.colleague(browser)
        return browser.ask(method, self.address(path), fields, headers={"Accept": accept})

    def colleague(self, browser: Browser) -> str:
        role = next((r for r, b in self.browsers.items() if b is browser), None)
        return str(self.house.person(COLLEAGUES.get(role, C)).membership)

    def enter(self, role: Role, **more: Any) -> Browser:
        browser = self.house.entered(self.people[role], **more)
        self.browsers[role] = browser
        return browser

    def __post_init__(self) -> None:
        self.browsers: dict[Role | None, Browser] = {}


@pytest.fixture(scope="module")
def locks(engine_house: House) -> Locks:
    house, tokens = engine_house, {}
    with house.database.begin("23") as session:
        for scope, at in (("site", "lieu-1"), ("desk", "CAF"), ("departement", None)):
            _, tokens[scope] = new_device(
                session, "23", scope=scope, at=at, label=scope, now=house.now
            )
    return Locks(house, {role: house.of(role) for role in Role}, house.workshop, tokens)


def test_every_route_stands_in_the_table_of_doors(locks):
    check(locks.house.http.app)


def test_a_new_route_without_a_row_is_noticed(locks):
    @get("/{departement:str}/nouveau", opt={"door": "open"}, sync_to_thread=False)
    def added(departement: FromPath[str]) -> str:
        return departement

    app = create_app(locks.house.http.app.state.serving.instance)
    check(app)
    app.register(added)
    with pytest.raises(AssertionError):
        check(app)


def test_a_route_without_a_door_is_shut_and_noticed(locks):
    @get("/{departement:str}/oubli", sync_to_thread=False)
    def forgotten(departement: FromPath[str]) -> str:
        return departement

    app: Litestar = locks.house.http.app
    app.register(forgotten)
    try:
        for browser in (locks.house.browser(), locks.enter(M)):
            assert browser.get("/oubli").status_code == 404
        with pytest.raises(AssertionError):
            check(app)
    finally:
        app.routes[:] = [r for r in app.routes if not r.path.endswith("/oubli")]


@pytest.mark.parametrize("role", Role)
def test_each_role_passes_its_doors_and_no_other(locks, role):
    passed = set()
    for route in OF_PEOPLE:
        # The officer has shown a second proof: without one, see below.
        answer = locks.knock(locks.enter(role, factor="totp"), route)
        allowed = OF_PEOPLE[route] == HALF or role in OF_PEOPLE[route]
        told = (route, answer.status_code)
        if allowed:
            assert answer.status_code < 500, told
            assert answer.status_code not in {401, 403, 404, 405}, told
            assert answer.headers.get("location") != "/23/connexion", told
            passed.add(route)
        else:
            assert answer.status_code == 403, told
            assert "content-disposition" not in answer.headers, told
    assert passed


def test_the_table_of_roles_says_what_the_doors_do(locks):
    found = routes(locks.house.http.app)
    for route, who in WITH_A_SESSION.items():
        may = {role for role in Role if found[route] in MAY[role]}
        assert found[route] == "signed_in" or may == who, route


@pytest.mark.parametrize("signed", ["nobody", "an ended session", "a token nobody gave"])
def test_who_is_not_signed_in_is_sent_to_the_door(locks, signed):
    browser = locks.house.browser()
    if signed == "an ended session":
        browser = locks.enter(M)
        cookies = dict(browser.cookies)
        assert browser.post("/deconnexion").status_code == 303
        browser.cookies = cookies
    if signed == "a token nobody gave":
        browser.cookies = {"passnum_23": "23." + "A" * 43}
    for route in OF_PEOPLE:
        answer = locks.knock(browser, route)
        assert (answer.status_code, answer.headers.get("location")) == (
            303,
            "/23/connexion",
        ), route
        program = locks.knock(browser, route, accept="application/json")
        assert (program.status_code, program.json()["code"]) == (401, "sign_in_needed")


@pytest.mark.parametrize("role", [M, O, V])
def test_half_signed_in_opens_the_second_door_and_the_way_out_only(locks, role):
    browser = locks.house.half_entered(locks.people[role])
    for route in WITH_A_SESSION:
        answer = locks.knock(browser, route)
        told = (answer.status_code, answer.headers.get("location"))
        assert told == (303, "/23/connexion/code"), route
        program = locks.knock(browser, route, accept="application/json")
        assert (program.status_code, program.json()["code"]) == (
            401,
            "second_factor_needed",
        )
    assert browser.get("/connexion/code").status_code == 200
    assert browser.post("/connexion/code", code="nothing").status_code == 422
    assert browser.post("/deconnexion").headers["location"].startswith("/23/connexion")
    assert browser.cookies == {}


def test_an_officer_without_a_second_proof_is_refused_and_told_where_to_set_it_up(locks):
    theirs = {route for route, who in WITH_A_SESSION.items() if O in who}
    account = {route for route in theirs if "/compte" in route[1]}
    assert account
    assert theirs - account
    for route in theirs - account:
        browser = locks.enter(O)
        told = locks.knock(browser, route, accept="application/json")
        assert (told.status_code, told.json()["code"]) == (403, "second_factor_missing")
        shown = locks.knock(browser, route)
        assert shown.status_code == 403
        main = shown.text[shown.text.index("<main") : shown.text.index("</main")]
        assert 'href="/23/compte"' in main, route
        assert 'action="/23/deconnexion"' in shown.text, route
    for route in account:
        answer = locks.knock(locks.enter(O), route)
        assert answer.status_code in {200, 303, 422}, route

    browser = locks.enter(O)
    assert 'action="/23/compte/telephone"' in browser.get("/compte").text
    assert browser.post("/compte/telephone").headers["location"] == "/23/compte/telephone"
    assert browser.get("/compte/telephone").status_code == 200


def test_an_officer_who_sets_a_telephone_up_goes_in_at_once(locks):
    browser = locks.house.entered(locks.house.person(O))
    browser.post("/compte/telephone")
    digits = _digits_of(locks.house, browser)

    assert browser.post("/compte/telephone/confirmer", code=digits()).status_code == 200
    assert browser.get("/tranches").status_code == 200


def _digits_of(house: House, browser: Browser) -> Callable[[], str]:
    shown = browser.get("/compte/telephone").text
    secret = shown.split("<code>")[1].split("</code>")[0]
    return lambda: pyotp.TOTP(secret).at(house.clock())


def test_people_without_a_role_open_their_account_only(locks):
    someone = locks.house.person(C)
    browser = locks.house.entered(someone)
    manager = locks.enter(M)
    fields = {"membership": str(someone.membership), "id": str(new_id())}
    assert manager.post("/personnes/fin", **fields).status_code == 303

    for route in WITH_A_SESSION:
        answer = locks.knock(browser, route)
        expected = {200, 303, 422} if "/compte" in route[1] else {403}
        assert answer.status_code in expected, route


@pytest.mark.parametrize("scope", [None, "site", "desk", "departement", "unknown", "other"])
def test_the_doors_of_devices_open_to_their_tokens_and_to_no_session(locks, scope):
    assert set(TOKENS) == {route for route, who in DOORS.items() if who == BEARER}
    manager = locks.enter(M)
    tokens = locks.tokens | {"unknown": "pn_23_" + "A" * 43, "other": "pn_974_" + "A" * 43}
    bodies = _bodies(locks)
    for (method, path), scopes in TOKENS.items():
        headers = {"Accept": "application/json"}
        if scope is not None:
            headers["Authorization"] = f"Bearer {tokens[scope]}"
        answer = manager.ask(
            method, locks.address(path), headers=headers, json=bodies.get(path)
        )
        if scope in scopes:
            assert answer.status_code not in {401, 403, 404}, (path, scope)
        else:
            told = (401, "not_signed_in"), (403, "not_allowed")
            assert (answer.status_code, answer.json()["code"]) in told, (path, scope)
            assert (answer.status_code == 403) == (scope in locks.tokens), (path, scope)


def _bodies(locks: Locks) -> dict[str, Any]:
    act = str(new_id())
    return {
        "/api/v1/scans": [],
        "/api/v1/workshops": {"id": act, "site": "lieu-1", "day": "2020-02-03"},
        "/api/v1/undos": {"id": str(new_id()), "serial": "x", "reason": "wrong_pass"},
        "/api/v1/vouchers/check": {"token": "x"},
        "/api/v1/hand-outs": {
            "id": str(new_id()), "pic": True, "proof": "attested", "carnet": 10,
        },
        "/api/v1/hand-outs/queue": [],
    }  # fmt: skip


def test_what_is_open_needs_nobody_and_what_is_shut_opens_to_nobody(locks):
    for browser in (locks.house.browser(), locks.enter(M)):
        for route, who in DOORS.items():
            if who == OPEN and route[0] != "POST":
                answer = locks.knock(browser, route)
                unknown = "{token" in route[1] or "{name" in route[1]
                # Two départements are here, and this host is neither's.
                unknown |= route[1] == KEYS
                if route[1] in OF_THE_LOG:  # nothing is published here
                    unknown = route[1] != "/{departement:str}/policy"
                assert answer.status_code == (404 if unknown else 200), route
            if who == SENT_ON:
                answer = locks.knock(browser, route)
                assert answer.headers["location"] == "/23/connexion", route
            if who == SHUT:
                assert locks.knock(browser, route).status_code == 404, route


def test_other_methods_are_refused_and_tell_nothing(locks):
    manager = locks.enter(M)
    paths = {path for _method, path in OF_PEOPLE}
    for path in paths:
        offered = {method for method, known in OF_PEOPLE if known == path}
        for method in {"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD"} - offered:
            fields = {"csrf": manager.csrf} if method == "POST" else None
            answer = manager.ask(method, locks.address(path), fields)
            assert answer.status_code == 405, (method, path)
        asked = manager.ask("OPTIONS", locks.address(path))
        assert asked.status_code == 404, path


def test_the_second_factor_is_due_at_the_door_once_a_telephone_is_confirmed(locks):
    someone = locks.house.person(C)
    with locks.house.database.begin("23") as session:
        second_factor.begin_totp(session, someone.id, sealer=SEALER)
    waiting = locks.house.browser()
    assert waiting.sign_in(someone.login).headers["location"] == "/23/"

    browser = locks.house.entered(someone)
    digits = _digits_of(locks.house, browser)
    assert browser.post("/compte/telephone/confirmer", code=digits()).status_code == 200

    again = locks.house.browser()
    assert again.sign_in(someone.login).headers["location"] == "/23/connexion/code"
    assert again.get("/tranches").headers["location"] == "/23/connexion/code"
