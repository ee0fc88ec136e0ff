"""Pages give nothing away and do nothing twice: what they tell, how they are sent, what is typed into them."""

import logging
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any
from urllib.parse import quote

import httpx
import pyotp
import pytest
from sqlalchemy import select, text

from app.people import second_factor, signing_in
from app.people.memberships import memberships
from app.people.models import invitation, membership, person
from app.people.roles import Role
from issuance.models import handed_out
from ledger.identifiers import new_id
from ledger.models import entry
from redemption.models import workshop as workshops
from tests.app.visiting import (
    CHEAP,
    PASSWORD,
    Browser,
    House,
    addresses,
    codes_on,
    engine_house,
    everything,
    forms,
    house,
    set_cookies,
)

__all__ = ["engine_house", "house"]

ANOTHER = "une autre phrase assez longue"


# Telling nothing.


class Counted:
    """A hasher that counts what it is asked."""

    def __init__(self) -> None:
        self.asked = 0

    def verify_and_update(self, typed: str, kept: str) -> tuple[bool, str | None]:
        self.asked += 1
        assert kept.startswith("$argon2id$")
        return CHEAP.verify_and_update(typed, kept)


def test_an_unknown_login_and_a_wrong_password_get_one_answer_for_the_same_work(
    house, monkeypatch
):
    known, invited = house.of(Role.MANAGER), house.person(Role.MANAGER, entered=False)
    said = set()
    for login in (known.login, invited.login, f"{new_id()}@exemple.fr", "", "é" * 500):
        hasher = Counted()
        monkeypatch.setattr(signing_in, "_hasher", hasher)
        answer = house.browser().sign_in(login, "not this one")
        assert hasher.asked == 1
        assert (answer.status_code, set_cookies(answer)) == (422, {})
        said.add(re.sub(r'value="[^"]*"', "", answer.text))
    assert len(said) == 1


def test_the_hash_that_stands_for_nobody_costs_what_the_others_cost():
    real = re.compile(r"\$argon2id\$v=19\$m=\d+,t=\d+,p=\d+\$")
    hasher = signing_in.PasswordHash((signing_in.Argon2Hasher(),))
    fresh = real.match(hasher.hash(PASSWORD))
    assert fresh is not None
    costs = fresh[0].split("$")[3]
    memory, rounds = (int(part.split("=")[1]) for part in costs.split(",")[:2])
    assert (memory >= 19_456, rounds >= 2) == (True, True), costs


def test_a_cookie_is_unseen_by_scripts_and_stays_on_its_pages(house):
    someone = house.person(Role.MANAGER)
    answer = house.browser().sign_in(someone.login)
    [(name, cookie)] = set_cookies(answer).items()
    assert name == "passnum_23"
    assert (cookie["path"], cookie["samesite"].lower()) == ("/23", "lax")
    assert cookie["httponly"]
    assert cookie["domain"] == ""
    assert cookie["max-age"] == str(12 * 3600)
    assert not cookie["secure"]


@pytest.mark.parametrize("how", ["https here", "https in front"])
def test_over_https_the_cookie_is_sent_over_nothing_else(house, how):
    someone = house.person(Role.MANAGER)
    telephone = house.telephone(someone)
    scheme = "https" if how == "https here" else "http"
    headers = {} if how == "https here" else {"X-Forwarded-Proto": "https"}
    origin = f"{scheme}://testserver.local"
    browser = house.browser()

    def sent(path: str, fields: dict[str, str]) -> httpx.Response:
        return browser.ask("POST", f"{origin}/23{path}", fields, headers=headers)

    answers = [sent("/connexion", {"login": someone.login, "password": PASSWORD})]
    right = {"csrf": browser.csrf, "code": telephone.at(house.clock())}
    answers.append(sent("/connexion/code", right))
    changed = {"csrf": browser.csrf, "old": PASSWORD, "password": ANOTHER}
    answers.append(sent("/compte/mot-de-passe", changed))
    for answer in answers:
        assert answer.status_code == 303
        assert set_cookies(answer)["passnum_23"]["secure"], answer.url


def _pages(house: House) -> Iterator[tuple[str, httpx.Response]]:
    """A page of every kind, with those that say no."""
    manager = house.all_trades()
    nobody = house.browser()
    for path in ("/", "/V/1", "/v/1", "/23/connexion", "/23/invitation"):
        yield path, nobody.ask("GET", path)
    for path in ("", "/tranches", "/tranches/T1", "/lieux", "/personnes", "/compte", "/remise",
                 "/ateliers", f"/ateliers/{house.workshop}"):  # fmt: skip
        yield path, manager.get(path)
    manager.post("/compte/telephone")
    yield "telephone", manager.get("/compte/telephone")
    fields = {"login": f"{new_id()}@exemple.fr", "name": "x", "role": "accountant"}
    yield "invited", manager.post("/personnes", **fields)
    yield "typed wrong", manager.post("/personnes")
    yield "sign-in refused", nobody.sign_in("x", "x")
    yield "404, in a room", manager.get("/tranches/T999")
    yield "404, nowhere", manager.ask("GET", "/nowhere/at/all")
    yield "404, unknown département", manager.ask("GET", "/75/")
    yield "404, no département", manager.ask("GET", "/favicon.ico/")
    yield "404, unknown département, door", nobody.ask("GET", "/75/connexion")
    yield "405", manager.ask("PUT", "/23/tranches")
    yield "403", house.entered(house.person(Role.MEDIATOR)).get("/tranches")
    yield "403, officer", house.entered(house.person(Role.OFFICER)).get("/tranches")
    yield "403, form", manager.send("/personnes", {})
    yield "413", manager.send("/personnes", {"name": "x" * 2_100_000})
    multipart = {"Content-Type": "multipart/form-data; boundary=x"}
    yield "400", manager.ask("POST", "/23/connexion", headers=multipart, content=b"--x\r\n")


def _strict(policy: str) -> bool:
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    return (
        rules["default-src"] == rules["frame-ancestors"] == rules["base-uri"] == "'none'"
        and rules["form-action"] == "'self'"
        and "unsafe" not in policy
        and "*" not in policy
        and "http" not in policy
    )


def test_every_page_comes_under_the_strict_policy_and_keeps_to_it(house):
    statuses = set()
    for what, answer in _pages(house):
        statuses.add(answer.status_code)
        assert answer.headers["content-type"].startswith("text/html"), what
        assert _strict(answer.headers["content-security-policy"]), what
        assert answer.headers["x-content-type-options"] == "nosniff", what
        assert answer.headers["cache-control"] == "no-store", what
        assert answer.headers["referrer-policy"] in {"same-origin", "no-referrer"}, what
        _read(answer.text)
        assert all(a.startswith(("/", "#", "data:,")) for a in addresses(answer.text)), what
    assert statuses >= {200, 400, 403, 404, 405, 413, 422}


def test_what_programs_redirects_and_files_get_is_kept_by_nobody_either(house):
    manager = house.entered(house.person(Role.MANAGER))
    program = {"Accept": "application/json"}
    answers = [
        manager.get("/tranches/T999", headers=program),
        house.browser().get("/tranches", headers=program),
        house.browser().get("/tranches"),
        manager.post("/tranches/T1/export"),
        house.browser().sign_in(house.person(Role.MANAGER).login),
    ]
    assert [a.status_code for a in answers] == [404, 401, 303, 200, 303]
    for answer in answers:
        assert answer.headers["cache-control"] == "no-store"
        if answer.content:
            assert answer.headers["x-content-type-options"] == "nosniff"


def test_a_failure_of_ours_is_a_page_without_its_inside(house, monkeypatch):
    def broken(*_args: Any, **_kwargs: Any) -> int:
        raise RuntimeError("the inside of the house")

    manager = house.entered(house.person(Role.MANAGER))
    monkeypatch.setattr(second_factor, "recovery_codes_left", broken)
    answer = manager.get("/compte")
    assert answer.status_code == 500
    assert _strict(answer.headers["content-security-policy"])
    assert answer.headers["cache-control"] == "no-store"
    assert "inside" not in answer.text


LOGGERS = ("", "litestar", "app", "sqlalchemy", "asyncio", "multipart")


def test_no_person_no_code_and_no_token_is_logged_nor_put_in_an_address(
    house, caplog, capfd
):
    # The client of this test is no part of the server.
    caplog.set_level(logging.WARNING, "httpx")
    loggers = [logging.getLogger(name) for name in LOGGERS]
    engine = logging.getLogger("sqlalchemy.engine")
    for logger in loggers:
        logger.addHandler(caplog.handler)
    login, name = f"zelie-{new_id().hex}@exemple.fr", "Zélie Quatrevaux"
    secrets, sent = [login, name, PASSWORD, ANOTHER], []
    caplog.set_level(logging.DEBUG)
    # Every statement is told, as an operator might ask: what it was sent with is not.
    engine.setLevel(logging.INFO)
    try:
        manager = house.browser()
        chief = house.person(Role.MANAGER)
        secrets.append(chief.login)
        sent.append(manager.sign_in(chief.login))
        secrets += [manager.token, manager.csrf]
        answer = manager.post("/personnes", login=login, name=name, role="accountant")
        [code] = codes_on(answer.text)
        secrets += [code, code.replace("-", "")]
        fields = {"code": code, "password": ANOTHER, "password_again": ANOTHER}
        browser = house.browser()
        sent += [answer, browser.send("/invitation", fields)]
        secrets += [browser.token, browser.csrf]
        sent += [browser.post("/compte/telephone"), browser.get("/compte/telephone")]
        [secret] = re.findall(r"<code>([A-Z2-7]{32})</code>", browser.page)
        telephone = pyotp.TOTP(secret)
        sent.append(
            browser.post("/compte/telephone/confirmer", code=telephone.at(house.clock()))
        )
        recovery = codes_on(browser.page)
        secrets += [secret, browser.token, *recovery]
        sent.append(browser.post("/deconnexion"))
        sent += [browser.sign_in(login, "a wrong phrase"), browser.sign_in(login, ANOTHER)]
        secrets += ["a wrong phrase", browser.token]
        sent.append(browser.post("/connexion/code", code="000000"))
        sent.append(browser.post("/connexion/code", code=recovery[0]))
        secrets.append(browser.token)
        fields = {"old": ANOTHER, "password": PASSWORD}
        sent.append(browser.post("/compte/mot-de-passe", **fields))
        with house.database.place.connection("23", "owner") as connection:
            connection.execute(text("ALTER TABLE sign_in_failures RENAME TO gone"))
        try:
            sent.append(house.browser().sign_in(login, "a wrong phrase"))
        finally:
            with house.database.place.connection("23", "owner") as connection:
                connection.execute(text("ALTER TABLE gone RENAME TO sign_in_failures"))
    finally:
        engine.setLevel(logging.NOTSET)
        for logger in loggers:
            logger.removeHandler(caplog.handler)

    assert [a.status_code for a in sent] == [
        303, 200, 303, 303, 200, 200, 303, 422, 303, 422, 303, 303, 500,
    ]  # fmt: skip
    written = capfd.readouterr()
    logged = "\n".join(
        f"{r.getMessage()} {r.args} {caplog.handler.format(r)}" for r in caplog.records
    )
    assert "INSERT INTO web_session" in logged
    assert "a request failed" in logged
    for told in (logged, written.out, written.err):
        assert not [hidden for hidden in secrets if hidden in told]
    for answer in sent:
        addresses_seen = f"{answer.url} {answer.headers.get('location', '')}"
        assert not [hidden for hidden in secrets if hidden in addresses_seen]


# Hostile texts.

HOSTILE = [
    "<script>alert(1)</script>",
    "\"><img src=x onerror=alert(1)>",
    "' onmouseover='alert(1)",
    "{visitor.session} {0} {name.__class__} %s %(x)s {{ 7*7 }} {% raw %}",
    "</title><base href=//ailleurs.example>",
]  # fmt: skip


@pytest.mark.parametrize("hostile", HOSTILE)
def test_a_name_is_shown_as_it_was_typed_and_does_nothing(house, hostile):
    manager = house.entered(house.person(Role.MANAGER))
    login = f"{hostile}{new_id().hex[-12:]}".lower()
    fields = {"login": login, "name": hostile, "role": "manager"}
    pages = [manager.post("/personnes", **fields).text]
    pages.append(manager.get("/personnes").text)
    pages.append(manager.post("/personnes", **(fields | {"name": ""})).text)
    [code] = codes_on(pages[0])
    browser = house.browser()
    chosen = {"code": code, "password": ANOTHER, "password_again": ANOTHER}
    assert browser.send("/invitation", chosen).status_code == 303
    pages += [browser.get("/").text, browser.get("/compte").text]
    pages.append(house.browser().sign_in(login, "no").text)
    for page in pages:
        assert hostile.lower() in _read(page).lower()


class Hostile(HTMLParser):
    """Reads a page as a browser does, and notices what we never write."""

    def __init__(self) -> None:
        super().__init__()
        self.noticed: list[str] = []
        self.said = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = dict(attrs)
        if tag in {"img", "base", "iframe", "object"} or (
            tag == "script" and "src" not in names
        ):
            self.noticed.append(tag)
        self.noticed += [name for name in names if name.startswith("on") or name == "style"]
        self.said += f" {names.get('value') or ''}"

    def handle_data(self, data: str) -> None:
        self.said += data


def _read(page: str) -> str:
    """Return what a page says, in its text and its fields, once sure that it does nothing else."""
    reader = Hostile()
    reader.feed(page)
    assert reader.noticed == []
    return reader.said


@pytest.mark.parametrize("hostile", HOSTILE)
def test_whatever_is_typed_is_shown_as_text(house, hostile):
    browser = house.all_trades()
    pages = [
        house.browser().get("/connexion", params={"fait": hostile}).text,
        browser.get("/remise", params={"carnet": hostile}).text,
        browser.post("/remise", carnet=hostile, desk=hostile, category=hostile).text,
        browser.post(f"/ateliers/{house.workshop}", taken=hostile, token="").text,
        browser.post("/ateliers", day=hostile, kind=hostile, site=hostile).text,
        browser.post("/personnes", desk=hostile, site=hostile, role=hostile).text,
        house.browser().send("/invitation", {"code": hostile, "password": "x"}).text,
        browser.get(f"/tranches/{hostile.replace('/', '')}").text,
        browser.get("/compte", headers={"User-Agent": hostile}).text,
    ]
    for page in pages:
        _read(page)


STRANGE = [
    "\x00", "a\r\nSet-Cookie: x=1", "\x1b[31m", "²", "٣", "9" * 5_000, "9" * 19, "-1", "1e9", "NaN",
    "￿", "\u202e", "👩‍💻" * 100, "é" * 1_000, "2020-13-45", "9999-99-99", "0001-01-01", "../../x", "",
]  # fmt: skip


@pytest.mark.parametrize("strange", STRANGE, ids=range(len(STRANGE)))
def test_no_field_of_no_form_breaks_the_server(house, strange):
    browser = house.all_trades()
    mark = browser.csrf
    plain = {"login": "x", "name": "x", "role": "mediator", "pic": "yes", "proof": "attested",
             "day": "2020-02-03"}  # fmt: skip
    every = dict.fromkeys([*plain, "id", "site", "carnet", "membership", "session", "desk", "kind",
                           "need", "category", "give", "given_on", "given_at", "about", "pass_1", "taken", "token", "code", "old", "password"], strange)  # fmt: skip
    for path in set(forms(house, open_too=True)) - {"/deconnexion"}:
        for fields in (every, every | plain):
            answer = browser.send(path, fields | {"csrf": mark})
            assert answer.status_code < 500, (path, answer.status_code)
            assert set(set_cookies(answer)) <= {"passnum_23"}
    typed = quote(strange, safe="")
    for path in ("/tranches/", "/ateliers/", "/compte?fait=", ""):
        answer = browser.get(path + typed)
        assert answer.status_code < 500, (path, answer.status_code)
    assert browser.is_in()


def test_a_name_keeps_no_control_characters(house):
    manager = house.entered(house.person(Role.MANAGER))
    login = f"{new_id()}@exemple.fr"
    name = "Zo\x00é\r\nSet-Cookie: x=1\u202e\x1b[31m"
    manager.post("/personnes", login=f" {login}\x00\n", name=name, role="auditor")
    with house.database.begin("23", read_only=True) as session:
        kept = session.scalar(select(person.c.name).where(person.c.login == login))
    assert kept == "ZoéSet-Cookie: x=1[31m"


@pytest.mark.parametrize("fields", [{"name": "x" * 201}, {"login": "x" * 321}, {"name": "x" * 1_900_000}])  # fmt: skip
def test_a_name_that_nobody_has_is_refused(house, fields):
    manager = house.entered(house.person(Role.MANAGER))
    before = house.count(person)
    sent = {"login": f"{new_id()}@exemple.fr", "name": "x", "role": "auditor"} | fields
    assert manager.post("/personnes", **sent).status_code == 422
    assert house.count(person) == before


def test_a_form_that_is_too_large_is_not_read(house):
    manager = house.entered(house.person(Role.MANAGER))
    before = everything(house)
    mark = manager.csrf
    for size in (2_100_000, 20_000_000):
        answer = manager.send("/personnes", {"csrf": mark, "name": "x" * size})
        assert answer.status_code == 413
    many = {f"f{n}": "" for n in range(50_000)} | {"csrf": mark}
    assert manager.send("/personnes", many).status_code in {413, 422}
    assert everything(house) == before


# Once, whatever the clicks.


def _twice(
    house: House, browser: Browser, path: str, **fields: str
) -> tuple[httpx.Response, httpx.Response]:
    """Send a form, and the same one again three seconds later."""
    sent = {"csrf": browser.csrf, "id": str(new_id())} | fields
    first = browser.send(path, sent)
    house.later(seconds=3)
    return first, browser.send(path, sent)


def test_an_invitation_sent_twice_gives_one_role_and_one_code(house):
    manager = house.entered(house.person(Role.MANAGER))
    before = house.count(membership), house.count(invitation)
    fields = {"login": f"{new_id()}@exemple.fr", "name": "x", "role": "auditor"}
    first, second = _twice(house, manager, "/personnes", **fields)
    assert (first.status_code, second.status_code) == (200, 303)
    after = house.count(membership), house.count(invitation)
    assert after == (before[0] + 1, before[1] + 1)


def test_the_form_of_one_invitation_does_not_stand_for_another(house):
    manager = house.entered(house.person(Role.MANAGER))
    fields = {"csrf": manager.csrf, "id": str(new_id()), "name": "x", "role": "auditor"}
    manager.send("/personnes", fields | {"login": f"{new_id()}@exemple.fr"})
    before = house.count(membership)
    again = manager.send("/personnes", fields | {"login": f"{new_id()}@exemple.fr"})
    assert again.status_code == 422
    assert house.count(membership) == before


def test_a_role_is_ended_once(house):
    manager = house.entered(house.person(Role.MANAGER))
    someone = house.person(Role.AUDITOR)
    held = str(someone.membership)
    before = house.count(entry)
    first, second = _twice(house, manager, "/personnes/fin", membership=held)
    third = manager.post("/personnes/fin", membership=held)  # from a page of before
    assert [a.status_code for a in (first, second, third)] == [303] * 3
    with house.database.begin("23", read_only=True) as session:
        assert memberships(session, someone.id) == []
    assert house.count(entry, entry.c.kind == "role_ended") >= 1
    assert house.count(entry) == before + 1


def test_a_workshop_is_opened_once(house):
    mediator = house.entered(house.person(Role.MEDIATOR))
    before = house.count(workshops)
    first, second = _twice(house, mediator, "/ateliers", day="2020-02-03")
    assert first.headers["location"] == second.headers["location"]
    assert house.count(workshops) == before + 1


def test_a_carnet_is_handed_out_once(house):
    agent = house.entered(house.person(Role.PRESCRIBER_AGENT))
    before = house.count(handed_out)
    fields = {
        "carnet": "8",
        "pic": "yes",
        "proof": "attested",
        "need": "assist",
        "give": "1",
    }
    first, second = _twice(house, agent, "/remise", **fields)
    assert (first.status_code, second.status_code) == (200, 200)
    assert house.count(handed_out) == before + 5


def test_a_pass_is_used_once_and_the_second_click_hears_what_the_first_did(house):
    mediator = house.entered(house.person(Role.MEDIATOR))
    before = house.count(entry, entry.c.kind == "redeemed")
    first, second = _twice(
        house,
        mediator,
        f"/ateliers/{house.workshop}",
        token=house.world.token(house.serials[0]),
    )
    verdicts = [
        re.search(r'class="verdict (\w+)"', page.text)[1] for page in (first, second)
    ]
    assert verdicts == ["yes", "yes"]
    assert house.count(entry, entry.c.kind == "redeemed") == before + 1


def test_a_password_changed_twice_by_one_click_is_changed(house):
    someone = house.person(Role.MANAGER)
    browser = house.entered(someone)
    fields = {"csrf": browser.csrf, "old": PASSWORD, "password": ANOTHER}
    assert browser.send("/compte/mot-de-passe", fields).status_code == 303
    assert house.browser().sign_in(someone.login, ANOTHER).status_code == 303
    assert house.browser().sign_in(someone.login, PASSWORD).status_code == 422


def test_what_a_form_calls_its_act_is_only_a_name(house):
    """An id of another act, or of another person, is refused and tells nothing."""
    manager = house.entered(house.person(Role.MANAGER))
    with house.database.begin("23", read_only=True) as session:
        taken = session.scalars(
            select(entry.c.id).where(entry.c.kind == "tranche_opened")
        ).one()
    fields = {"login": f"{new_id()}@exemple.fr", "name": "x", "role": "auditor"}
    answer = manager.post("/personnes", id=str(taken), **fields)
    assert answer.status_code == 422
    assert "envelope" not in answer.text
