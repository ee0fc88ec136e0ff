"""ProConnect lets in whoever linked that identity: proved by the provider, once, in the browser that left."""

import base64
import json
import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import OctKey, RSAKey
from sqlalchemy import func, select

from app.instance import utc_now
from app.people.memberships import new_invitation
from app.people.models import identity, oidc_flow, oidc_proof, person, web_session
from app.people.provider import Provider
from app.people.roles import Role
from app.settings import OidcSettings, SettingsWrong, read_settings
from ledger import canonical
from ledger.models import entry
from tests.app.authenticator import Authenticator
from tests.app.visiting import (
    PASSWORD,
    Browser,
    House,
    Person,
    a_house,
    plain,
    set_cookies,
)
from tests.conftest import ENGINES
from tests.oidc.running import CLIENT_SECRET, Running, provider, signed

SITE = "https://pass.creuse.fr"
BACK = f"{SITE}/23/connexion/oidc/retour"
AFTER = f"{SITE}/23/connexion"
SIRET = "22230027500013"


class Meddler(httpx.HTTPTransport):
    """The way to the provider, where a test may change what comes back."""

    def __init__(self) -> None:
        super().__init__()
        self.change: Callable[[dict[str, Any]], dict[str, Any]] | None = None
        self.userinfo: Callable[[dict[str, Any]], dict[str, Any]] | None = None
        self.down = False
        self.asked: list[str] = []

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request.url.path)
        if self.down:
            raise httpx.ConnectError("nobody there")
        answer = super().handle_request(request)
        for path, change in (("/token", self.change), ("/me", self.userinfo)):
            if request.url.path == path and change is not None:
                told = change(json.loads(answer.read()))
                return httpx.Response(answer.status_code, json=told)
        return answer


@pytest.fixture(scope="module")
def running() -> Iterator[Running]:
    with provider(back=BACK, after=AFTER) as there:
        yield there


@pytest.fixture(scope="module", params=ENGINES)
def place(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("identities")
    with a_house(request, request.param, folder, base_url=SITE) as house:
        yield house


def settings(issuer: str, **more: Any) -> OidcSettings:
    scope = "openid uid siret email"
    return OidcSettings(issuer, "passnum", CLIENT_SECRET, scope=scope, **more)


@pytest.fixture
def meddler() -> Meddler:
    return Meddler()


@pytest.fixture
def house(place: House, running: Running, meddler: Meddler) -> Iterator[House]:
    place.clock.at = utc_now()
    with_provider(place, Provider(settings(running.issuer), meddler))
    yield place
    with_provider(place, None)


def with_provider(house: House, provider: Provider | None) -> None:
    instance = house.http.app.state.serving.instance
    if instance.provider is not None:
        instance.provider.close()
    instance.provider = provider


def leave(browser: Browser) -> str:
    """Click on the button; return where the browser is sent."""
    answer = browser.get("/connexion/oidc")
    assert answer.status_code == 303
    cookie = set_cookies(answer)["passnum_23_oidc"]
    assert cookie["path"] == "/23/connexion/oidc"
    assert cookie["httponly"]
    assert cookie["secure"]
    assert cookie["samesite"] == "lax"
    assert int(cookie["max-age"]) == 600
    return answer.headers["location"]


def come_back(browser: Browser, address: str) -> httpx.Response:
    assert address.startswith(SITE)
    return browser.ask("GET", address.removeprefix(SITE))


def through(browser: Browser, there: Running) -> httpx.Response:
    return come_back(browser, there.visit(leave(browser), BACK))


def linked(house: House, there: Running, sub: str, role: Role = Role.MANAGER) -> Person:
    """Somebody whose invitation code linked this identity to them."""
    someone = house.person(role)
    there.who(sub)
    browser = house.browser()
    through(browser, there)
    with house.database.begin("23") as session:
        code = new_invitation(session, someone.id, by="test", now=house.now)
    browser.send("/connexion/oidc/invitation", {"code": code})
    assert browser.is_in()
    return someone


def count(house: House, table: Any) -> int:
    with house.database.begin("23", read_only=True) as session:
        return int(session.scalar(select(func.count()).select_from(table)) or 0)


def is_told(answer: httpx.Response, sentence: str) -> None:
    assert answer.status_code >= 400
    assert sentence in plain(answer.text), answer.text


def test_the_button_is_there_where_a_provider_is_set(house: House) -> None:
    button = "Se connecter avec ProConnect"
    browser = house.browser()
    assert button in browser.get("/connexion").text
    with_provider(house, None)
    assert button not in browser.get("/connexion").text
    for path in ("", "/retour?code=1&state=2", "/invitation"):
        answer = browser.get(f"/connexion/oidc{path}")
        assert answer.headers["location"] == "/23/connexion"
    signed_in = house.entered(house.person(Role.MANAGER))
    assert "ProConnect" not in signed_in.get("/compte").text
    for path in ("", "/retirer"):
        answer = signed_in.post(f"/compte/oidc{path}", oidc_password=PASSWORD)
        assert answer.headers["location"] == "/23/compte"


def test_an_invited_person_links_their_identity_once_then_comes_in(
    house: House, running: Running
) -> None:
    someone = house.person(Role.MANAGER)
    running.who("agent-1", siret=SIRET, uid="idp-77", email="agent@creuse.fr")
    browser = house.browser()
    asked = {
        name: told[0] for name, told in parse_qs(urlsplit(leave(browser)).query).items()
    }
    assert asked["code_challenge_method"] == "S256"
    assert asked["redirect_uri"] == BACK
    assert asked["nonce"] != asked["state"]
    assert CLIENT_SECRET not in str(asked)

    answer = through(browser, running)
    assert answer.headers["location"] == "/23/connexion/oidc/invitation"
    page = unescape(browser.get("/connexion/oidc/invitation").text)
    assert "Rien n'a été créé" in page
    assert count(house, identity) == 0
    wrong = browser.send("/connexion/oidc/invitation", {"code": "7K3M-9QRT-2XVB"})
    assert wrong.status_code == 422
    with house.database.begin("23") as session:
        code = new_invitation(session, someone.id, by="test", now=house.now)
    assert browser.send("/connexion/oidc/invitation", {"code": code}).status_code == 303
    assert browser.is_in()
    with house.database.begin("23", read_only=True) as session:
        row = session.execute(select(identity)).one()
        bodies = session.scalars(
            select(entry.c.body).where(entry.c.kind.in_(["identity_linked", "signed_in"]))
        ).all()
    assert (row.issuer, row.sub, row.person) == (running.issuer, "agent-1", someone.id)
    assert (row.siret, row.uid) == (SIRET, "idp-77")
    facts = [canonical.decode(body)["facts"] for body in bodies]
    assert {"person": str(someone.id)} in facts
    assert {"person": str(someone.id), "by": "oidc"} in facts
    assert "agent" not in str(facts)

    # The next time, ProConnect is enough; what it tells of the person is kept as told last.
    running.who("agent-1", siret="22190001400010", uid="idp-78")
    again = house.browser()
    assert through(again, running).headers["location"] == "/23/"
    assert again.is_in()
    assert "Employeur annoncé : 22190001400010" in plain(again.get("/compte").text)
    # The code was used up.
    running.who("agent-2")
    other = house.browser()
    through(other, running)
    assert other.send("/connexion/oidc/invitation", {"code": code}).status_code == 422


def test_an_identity_that_nobody_linked_opens_and_leaves_nothing(
    house: House, running: Running
) -> None:
    before = [count(house, table) for table in (person, identity, web_session, entry)]
    running.who("a-stranger", email="claire@creuse.fr")
    browser = house.browser()
    assert through(browser, running).headers["location"].endswith("/invitation")
    assert not browser.is_in()
    assert "passnum_23" not in browser.cookies
    assert [count(house, t) for t in (person, identity, web_session, entry)] == before
    # Nor is what was proved kept beyond ten minutes.
    house.clock.at += timedelta(minutes=10)
    someone = house.person(Role.AUDITOR)
    with house.database.begin("23") as session:
        code = new_invitation(session, someone.id, by="test", now=house.now)
    late = browser.send("/connexion/oidc/invitation", {"code": code})
    is_told(late, "a commencé il y a trop longtemps")
    through(house.browser(), running)
    with house.database.begin("23", read_only=True) as session:
        assert min(session.scalars(select(oidc_proof.c.ends_at))) > house.clock.at


def test_the_same_e_mail_address_is_not_the_same_person(
    house: House, running: Running
) -> None:
    linked(house, running, "first-holder")
    running.who("first-holder", email="accueil@creuse.fr")
    assert through(house.browser(), running).headers["location"] == "/23/"
    running.who("second-holder", email="accueil@creuse.fr")
    heir = house.browser()
    assert through(heir, running).headers["location"].endswith("/invitation")
    assert not heir.is_in()


def test_the_person_of_an_address_that_is_a_login_is_not_entered(
    house: House, running: Running
) -> None:
    someone = house.person(Role.MANAGER)
    running.who("unlinked", email=someone.login)
    browser = house.browser()
    assert through(browser, running).headers["location"].endswith("/invitation")
    assert not browser.is_in()


def test_a_browser_comes_back_once_with_the_state_it_left_with(
    house: House, running: Running
) -> None:
    linked(house, running, "stateful")
    browser = house.browser()
    address = running.visit(leave(browser), BACK)
    cookie = browser.cookies["passnum_23_oidc"]
    # Another browser, which a link was sent to.
    is_told(come_back(house.browser(), address), "dans un autre navigateur")
    # Another state, and so another way than the one this browser is on.
    wrong = re.sub(r"state=[^&]*", "state=autre", address)
    is_told(come_back(browser, wrong), "dans un autre navigateur")
    # That was its only time.
    browser.cookies["passnum_23_oidc"] = cookie
    is_told(come_back(browser, address), "dans un autre navigateur")
    assert not browser.is_in()

    address = running.visit(leave(browser), BACK)
    cookie = browser.cookies["passnum_23_oidc"]
    assert come_back(browser, address).headers["location"] == "/23/"
    replayer = house.browser(cookies={"passnum_23_oidc": cookie})
    is_told(come_back(replayer, address), "dans un autre navigateur")


def test_a_browser_comes_back_within_ten_minutes(house: House, running: Running) -> None:
    linked(house, running, "slow")
    browser = house.browser()
    address = running.visit(leave(browser), BACK)
    house.clock.at += timedelta(minutes=10)
    is_told(come_back(browser, address), "trop longtemps")
    house.browser().get("/connexion/oidc")
    with house.database.begin("23", read_only=True) as session:
        assert min(session.scalars(select(oidc_flow.c.ends_at))) > house.clock.at


def test_a_code_is_exchanged_once_and_by_its_own_verifier(
    house: House, running: Running
) -> None:
    linked(house, running, "coded")
    first = running.visit(leave(browser := house.browser()), BACK)
    assert come_back(browser, first).headers["location"] == "/23/"
    # The code again, and a fresh one of another browser, in a browser that left by itself.
    [used] = parse_qs(urlsplit(first).query)["code"]
    other = running.visit(leave(house.browser()), BACK)
    [stolen] = parse_qs(urlsplit(other).query)["code"]
    for code in (used, stolen, "", "nothing"):
        thief = house.browser()
        own = running.visit(leave(thief), BACK)
        replaced = re.sub(r"code=[^&]*", f"code={code}", own)
        is_told(come_back(thief, replaced), "(contrôle « code »)")
        assert not thief.is_in()


def alg_none(claims: dict[str, Any]) -> str:
    parts = ({"alg": "none"}, claims)
    told = [
        base64.urlsafe_b64encode(json.dumps(p).encode()).decode().rstrip("=") for p in parts
    ]
    return ".".join([*told, ""])


def hmac_by_our_secret(claims: dict[str, Any]) -> str:
    return jwt.encode({"alg": "HS256"}, claims, OctKey.import_key(CLIENT_SECRET))


def another_key(claims: dict[str, Any]) -> str:
    own = RSAKey.generate_key(2048, {"kid": "k1"})
    return jwt.encode({"alg": "RS256", "kid": "k1"}, claims, own)


LIES: dict[str, tuple[str, Callable[[dict[str, Any]], str]]] = {
    "alg none": ("signature", alg_none),
    "our own secret": ("signature", hmac_by_our_secret),
    "another key": ("signature", another_key),
    "not a token": ("signature", lambda _claims: "a.b.c"),
    "another issuer": (
        "iss",
        lambda claims: signed(claims | {"iss": "https://other.example"}),
    ),
    "another audience": ("aud", lambda claims: signed(claims | {"aud": "other"})),
    "an audience of two": ("azp", lambda c: signed(c | {"aud": ["passnum", "other"]})),
    "for another party": ("azp", lambda claims: signed(claims | {"azp": "other"})),
    "another nonce": ("nonce", lambda claims: signed(claims | {"nonce": "other"})),
    "no nonce": ("nonce", lambda c: signed({k: v for k, v in c.items() if k != "nonce"})),
    "expired": ("exp", lambda claims: signed(claims | {"exp": claims["iat"] - 100})),
    "no end": ("exp", lambda c: signed({k: v for k, v in c.items() if k != "exp"})),
    "of tomorrow": ("iat", lambda claims: signed(claims | {"iat": claims["iat"] + 86400})),
    "another access token": (
        "at_hash",
        lambda claims: signed(claims | {"at_hash": "AAAA"}),
    ),
    "another person": ("userinfo", lambda claims: signed(claims | {"sub": "another"})),
    "nobody": ("sub", lambda claims: signed(claims | {"sub": ""})),
    "a long name": ("sub", lambda claims: signed(claims | {"sub": "a" * 256})),
}


@pytest.mark.parametrize(("check", "lie"), LIES.values(), ids=LIES.keys())
def test_a_token_that_says_something_else_is_not_believed(
    house: House,
    running: Running,
    meddler: Meddler,
    check: str,
    lie: Callable[[dict[str, Any]], str],
) -> None:
    running.who("honest")

    def change(tokens: dict[str, Any]) -> dict[str, Any]:
        part = tokens["id_token"].split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
        return tokens | {"id_token": lie(claims)}

    meddler.change = change
    browser = house.browser()
    is_told(through(browser, running), f"(contrôle « {check} »)")
    assert not browser.is_in()


def test_a_token_as_old_as_its_end_is_not_believed(house: House, running: Running) -> None:
    running.who("late")
    house.clock.at += timedelta(hours=1)
    is_told(through(house.browser(), running), "(contrôle « exp »)")


@pytest.mark.parametrize("told", ["https://other.example", None])
def test_an_answer_of_another_provider_is_not_taken(
    house: House, running: Running, told: str | None
) -> None:
    running.who("mixed-up")
    browser = house.browser()
    address = running.visit(leave(browser), BACK)
    replaced = re.sub(r"&iss=[^&]*", f"&iss={told}" if told else "", address)
    is_told(come_back(browser, replaced), "(contrôle « iss »)")


def test_a_provider_that_publishes_another_name_is_not_used(
    house: House, running: Running, meddler: Meddler
) -> None:
    lying = settings(running.issuer.replace("127.0.0.1", "localhost"))
    with_provider(house, Provider(lying, meddler))
    is_told(house.browser().get("/connexion/oidc"), "ProConnect ne répond pas")


def test_userinfo_may_be_a_signed_token(house: House, meddler: Meddler) -> None:
    with provider(back=BACK, after=AFTER, signed_userinfo=True) as there:
        with_provider(house, Provider(settings(there.issuer), meddler))
        there.who("signed", siret=SIRET, uid="u")
        browser = house.browser()
        assert through(browser, there).headers["location"].endswith("/invitation")
        with house.database.begin("23", read_only=True) as session:
            row = session.execute(
                select(oidc_proof).where(oidc_proof.c.sub == "signed")
            ).one()
        assert (row.siret, row.uid) == (SIRET, "u")


def test_userinfo_about_someone_else_is_not_believed(
    house: House, running: Running, meddler: Meddler
) -> None:
    running.who("oneself")
    meddler.userinfo = lambda told: told | {"sub": "someone else"}
    is_told(through(house.browser(), running), "(contrôle « userinfo »)")


def test_what_the_provider_refuses_is_told_by_its_code_only(
    house: House, running: Running
) -> None:
    running.who("barred", error="access_denied")
    browser = house.browser()
    answer = through(browser, running)
    is_told(answer, "n'a pas voulu vous laisser entrer (access_denied)")
    assert "told by the provider" not in answer.text
    browser = house.browser()
    [state] = parse_qs(urlsplit(leave(browser)).query)["state"]
    answer = browser.get(f"/connexion/oidc/retour?state={state}&error=<b>Appelez%20le%2036")
    is_told(answer, "laisser entrer (?)")


def test_a_provider_that_does_not_answer_is_told_in_a_sentence(
    house: House, running: Running, meddler: Meddler
) -> None:
    meddler.down = True
    answer = house.browser().get("/connexion/oidc")
    assert answer.status_code == 503
    is_told(answer, "ProConnect ne répond pas")
    meddler.down = False
    running.who("patient")
    browser = house.browser()
    address = running.visit(leave(browser), BACK)
    meddler.down = True
    is_told(come_back(browser, address), "ProConnect ne répond pas")


def test_what_the_provider_publishes_is_asked_once(
    house: House, running: Running, meddler: Meddler
) -> None:
    for sub in ("x", "y"):
        running.who(sub)
        through(house.browser(), running)
    assert meddler.asked.count("/.well-known/openid-configuration") == 1
    assert meddler.asked.count("/jwks") == 1


def with_a_passkey(house: House, someone: Person) -> None:
    browser = house.entered(someone)
    options = browser.post("/compte/cles/options").json()
    assert browser.post(
        "/compte/cles", credential=Authenticator().create(options)
    ).is_success


@pytest.mark.parametrize(
    ("claims", "due"),
    [
        ({}, True),
        ({"amr": ["pwd"], "acr": "eidas1"}, True),
        ({"amr": ["pwd", "mfa"]}, False),
        ({"acr": "eidas2"}, False),
    ],
    ids=["untold", "password", "amr", "acr"],
)
def test_a_second_proof_given_there_is_not_asked_here(
    house: House, running: Running, claims: dict[str, Any], due: bool
) -> None:
    sub = f"factor-{len(claims)}-{claims.get('acr')}"
    someone = linked(house, running, sub)
    with_a_passkey(house, someone)
    running.who(sub, **claims)
    browser = house.browser()
    to = "/23/connexion/code" if due else "/23/"
    assert through(browser, running).headers["location"] == to
    assert browser.is_in() is not due
    with house.database.begin("23", read_only=True) as session:
        opened = select(web_session.c.second_factor)
        factors = session.scalars(opened.where(web_session.c.person == someone.id)).all()
    assert ("oidc" in factors) is not due


def test_an_identity_is_linked_from_the_account_with_the_password(
    house: House, running: Running
) -> None:
    someone = house.person(Role.MANAGER)
    browser = house.entered(someone)
    running.who("from-the-account")
    wrong = browser.post("/compte/oidc", oidc_password="not mine")
    assert wrong.status_code == 422
    page = browser.post("/compte/oidc", oidc_password=PASSWORD)
    [there] = re.findall(r'href="(http://127[^"]*)"', page.text)
    answer = come_back(browser, running.visit(unescape(there), BACK))
    assert answer.headers["location"] == "/23/compte?fait=identity_linked"
    assert through(house.browser(), running).headers["location"] == "/23/"

    # Nobody else's account takes it.
    other = house.entered(house.person(Role.AUDITOR))
    page = other.post("/compte/oidc", oidc_password=PASSWORD)
    [there] = re.findall(r'href="(http://127[^"]*)"', page.text)
    answer = come_back(other, running.visit(unescape(there), BACK))
    is_told(answer, "déjà reliée à un autre compte")

    wrong = browser.post("/compte/oidc/retirer", oidc_password="not mine")
    assert wrong.status_code == 422
    assert browser.post("/compte/oidc/retirer", oidc_password=PASSWORD).status_code == 303
    assert through(house.browser(), running).headers["location"].endswith("/invitation")


def test_an_identity_is_linked_in_the_session_that_asked(
    house: House, running: Running
) -> None:
    victim, attacker = (house.entered(house.person(Role.MANAGER)) for _ in range(2))
    running.who("of-the-attacker")
    page = attacker.post("/compte/oidc", oidc_password=PASSWORD)
    [there] = re.findall(r'href="(http://127[^"]*)"', page.text)
    address = running.visit(unescape(there), BACK)
    # Even with the attacker's own cookie, the victim's session links nothing.
    victim.cookies["passnum_23_oidc"] = attacker.cookies["passnum_23_oidc"]
    assert come_back(victim, address).headers["location"] == "/23/connexion"
    assert through(house.browser(), running).headers["location"].endswith("/invitation")


def test_signing_out_ends_the_session_there_too(house: House, running: Running) -> None:
    linked(house, running, "leaver")
    browser = house.browser()
    answer = through(browser, running)
    kept = set_cookies(answer)["passnum_23_id"]
    assert (kept["path"], kept["httponly"]) == ("/23/deconnexion", True)
    answer = browser.post("/deconnexion")
    assert answer.status_code == 200
    there = answer.headers["refresh"].removeprefix("0; url=")
    assert there.startswith(f"{running.issuer}/session/end?id_token_hint=")
    asked = parse_qs(urlsplit(there).query)
    assert asked["post_logout_redirect_uri"] == [AFTER]
    assert httpx.get(there).status_code == 200
    assert "passnum_23_id" not in browser.cookies
    assert not browser.is_in()
    # Who came in by a password is not sent there.
    someone = house.person(Role.AUDITOR)
    plain = house.browser()
    plain.sign_in(someone.login)
    assert plain.post("/deconnexion").headers["location"] == "/23/connexion?fait=signed_out"


def test_no_address_of_a_request_leads_out(house: House, running: Running) -> None:
    linked(house, running, "straight")
    browser = house.browser()
    answer = browser.get(
        "/connexion/oidc?next=https://evil.example&redirect_uri=https://evil.example"
    )
    assert "evil" not in answer.headers["location"]
    address = running.visit(answer.headers["location"], BACK)
    answer = come_back(browser, f"{address}&next=https://evil.example")
    assert answer.headers["location"] == "/23/"


def test_settings_that_do_not_fit_are_refused_without_the_secret(tmp_path: Path) -> None:
    whole = {
        "PASSNUM_DATA_DIR": str(tmp_path),
        "PASSNUM_OIDC_ISSUER": "https://pro.example",
        "PASSNUM_OIDC_CLIENT_ID": "passnum",
        "PASSNUM_OIDC_CLIENT_SECRET": "s3cret",
    }
    read = read_settings(whole)
    assert read.oidc is not None
    assert read.oidc.scope == "openid uid siret"
    assert "eidas2" in read.oidc.strong_acr
    assert "s3cret" not in repr(read)
    kept = tmp_path / "secret"
    kept.write_text("from a file\n")
    by_file = whole | {"PASSNUM_OIDC_CLIENT_SECRET_FILE": str(kept)}
    told = read_settings(by_file | {"PASSNUM_OIDC_STRONG_ACR": "high higher"}).oidc
    assert told is not None
    assert told.client_secret == "from a file"
    assert told.strong_acr == {"high", "higher"}
    assert read_settings({"PASSNUM_DATA_DIR": str(tmp_path)}).oidc is None
    for change in (
        {"PASSNUM_OIDC_ISSUER": "http://pro.example"},
        {"PASSNUM_OIDC_CLIENT_ID": ""},
        {"PASSNUM_OIDC_CLIENT_SECRET": ""},
        {"PASSNUM_OIDC_CLIENT_SECRET_FILE": str(tmp_path / "none")},
    ):
        with pytest.raises(SettingsWrong) as no:
            read_settings(whole | change)
        assert "s3cret" not in str(no.value)
