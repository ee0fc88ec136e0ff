"""Nobody gets in by the window: stolen cookies, forged forms, guesses, borrowed invitations."""

import re
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from html import unescape
from typing import Any

import httpx
import pyotp
import pytest
from sqlalchemy import select

from app.messages import messages
from app.people import failures, second_factor, sessions, signing_in
from app.people.failures import SignInSlowed
from app.people.memberships import memberships
from app.people.models import invitation, membership, sign_in_failures, web_session
from app.people.roles import Role
from app.people.signing_in import SignInRefused
from ledger import canonical
from ledger.identifiers import new_id
from ledger.models import entry
from ledger.refusal import Refusal
from tests.app.visiting import (
    CHEAP,
    PASSWORD,
    Browser,
    House,
    Person,
    addresses,
    codes_on,
    engine_house,
    everything,
    forms,
    house,
    set_cookies,
)
from tests.builders import SEALER

__all__ = ["engine_house", "house"]

ELSEWHERE = "https://ailleurs.example"
ANOTHER = "une autre phrase assez longue"
WRONG = "not this one"


def is_at_the_door(answer: httpx.Response) -> bool:
    return answer.status_code == 303 and answer.headers["location"] == "/23/connexion"


def _guess(house: House, login: str, password: str = WRONG) -> Any:
    with house.database.begin("23") as session:
        guess = signing_in.guess(session, login, now=house.now)
    if isinstance(guess, Refusal):
        return guess
    proved = signing_in.verify(guess, password)
    if isinstance(proved, Refusal):
        return proved
    with house.database.begin("23") as session:
        return signing_in.sign_in(session, proved, device="test", now=house.now)


def _roles(house: House, who: Person) -> set[Role]:
    with house.database.begin("23", read_only=True) as session:
        return {held.role for held in memberships(session, who.id)}


# Sessions.


@pytest.mark.parametrize("token", ["A" * 43, "", "23.x", "of a session that ended"])
def test_a_token_set_before_signing_in_never_becomes_a_session(house, token):
    someone = house.person(Role.MANAGER)
    if token.startswith("of"):
        ended = house.entered(someone)
        token = ended.token
        ended.post("/deconnexion")
    planted = {"passnum_23": f"23.{token}"}
    browser = house.browser(cookies=dict(planted))

    assert browser.sign_in(someone.login).headers["location"] == "/23/"

    assert browser.token != token
    assert browser.is_in()
    assert is_at_the_door(house.browser(cookies=planted).get("/compte"))


def test_the_token_changes_when_the_second_proof_is_given(house):
    someone = house.person(Role.MANAGER)
    telephone = house.telephone(someone)
    browser = house.browser()
    browser.sign_in(someone.login)
    before = dict(browser.cookies)

    answer = browser.post("/connexion/code", code=telephone.at(house.clock()))

    assert answer.headers["location"] == "/23/"
    assert browser.cookies != before
    assert browser.is_in()
    for path in ("/compte", "/connexion/code", "/"):
        assert is_at_the_door(house.browser(cookies=before).get(path))


def _signs_out(house: House, owner: Browser, who: Person) -> None:
    owner.post("/deconnexion")


def _closes_it_from_the_account(house: House, owner: Browser, who: Person) -> None:
    desk = house.browser()
    desk.sign_in(who.login)
    page = desk.get("/compte").text
    [other] = re.findall(r'name="session" value="([0-9a-f]{64})"', page)
    assert desk.post("/compte/sessions/fermer", session=other).status_code == 303
    assert desk.is_in()


def _changes_the_password_here(house: House, owner: Browser, who: Person) -> None:
    answer = owner.post("/compte/mot-de-passe", old=PASSWORD, password=ANOTHER)
    assert answer.headers["location"] == "/23/compte?fait=password_changed"
    assert owner.is_in()


def _changes_the_password_elsewhere(house: House, owner: Browser, who: Person) -> None:
    other = house.entered(who)
    other.post("/compte/mot-de-passe", old=PASSWORD, password=ANOTHER)
    assert other.is_in()


def _takes_up_a_new_code(house: House, owner: Browser, who: Person) -> None:
    assert house.accept(house.code(who), ANOTHER).status_code == 303


def _adds_a_telephone(house: House, owner: Browser, who: Person) -> None:
    owner.post("/compte/telephone")
    secret = re.findall(r"<code>([A-Z2-7]{32})</code>", owner.get("/compte/telephone").text)
    now = pyotp.TOTP(secret[0]).at(house.clock())
    assert owner.post("/compte/telephone/confirmer", code=now).status_code == 200
    assert owner.is_in()


@pytest.mark.parametrize(
    "owner_acts",
    [
        _signs_out,
        _closes_it_from_the_account,
        _changes_the_password_here,
        _changes_the_password_elsewhere,
        _takes_up_a_new_code,
        _adds_a_telephone,
    ],
)
def test_a_stolen_cookie_opens_nothing_once_its_owner_has_acted(house, owner_acts):
    someone = house.person(Role.MANAGER)
    owner = house.entered(someone)
    thief = house.browser(cookies=dict(owner.cookies))
    assert thief.is_in()

    owner_acts(house, owner, someone)

    for path in ("/compte", "/", "/tranches"):
        assert is_at_the_door(thief.get(path))


def test_nobody_closes_the_session_of_another(house):
    victim = house.entered(house.person(Role.MANAGER))
    digest = sessions.digest_of(victim.token).hex()
    other = house.entered(house.person(Role.MANAGER))

    for typed in (digest, "", "zz", "0" * 64):
        assert other.post("/compte/sessions/fermer", session=typed).status_code == 303

    assert victim.is_in()
    assert other.is_in()


def test_a_session_ends_after_two_hours_without_use_and_after_twelve_whatever_the_use(
    house,
):
    someone = house.person(Role.MANAGER)
    used, idle = house.entered(someone), house.entered(someone)
    for _hour in range(6):
        house.later(hours=1, minutes=59)
        assert used.is_in()
    assert is_at_the_door(idle.get("/compte"))
    house.later(minutes=5)
    assert used.is_in()
    house.later(minutes=1)
    assert is_at_the_door(used.get("/compte"))


def test_two_idle_hours_are_counted_from_the_last_page(house):
    browser = house.entered(house.person(Role.MANAGER))
    house.later(hours=1, minutes=59, seconds=59)
    assert browser.is_in()
    house.later(hours=2)
    assert is_at_the_door(browser.get("/compte"))


def test_signing_out_takes_the_cookie_back(house):
    browser = house.entered(house.person(Role.MANAGER))
    answer = browser.post("/deconnexion")
    [(name, cookie)] = set_cookies(answer).items()
    assert (name, cookie["path"], cookie["max-age"]) == ("passnum_23", "/23", "0")


# Where one is sent.

PARAMETERS = ["next", "url", "to", "retour", "suite", "redirect", "redirect_uri", "return_to", "fait"]  # fmt: skip
AWAY = [ELSEWHERE, "//ailleurs.example", "/\\ailleurs.example", "https:ailleurs.example", "/23/\r\nSet-Cookie: a=b"]  # fmt: skip


@pytest.mark.parametrize("to", AWAY)
def test_no_parameter_sends_anybody_elsewhere(house, to):
    someone = house.person(Role.MANAGER)
    answers = []
    headers = {"Referer": to.split("\r")[0], "X-Forwarded-Host": "ailleurs.example"}
    for name in PARAMETERS:
        asked = {"params": {name: to}, "headers": headers}
        browser, fields = house.browser(), {"login": someone.login, "password": PASSWORD}
        answers.append(browser.ask("GET", "/23/tranches", **asked))
        answers.append(browser.ask("GET", "/23/connexion", **asked))
        answers.append(browser.ask("POST", "/23/connexion", fields | {name: to}, **asked))
        assert browser.is_in()
        answers.append(browser.ask("GET", "/23/compte", **asked))
        answers.append(
            browser.ask(
                "POST", "/23/deconnexion", {"csrf": browser.csrf, name: to}, **asked
            )
        )
    assert {a.status_code for a in answers} == {200, 303}
    for answer in answers:
        location = answer.headers.get("location", "/23/")
        assert re.fullmatch(r"/23/[a-z/]*(\?fait=[a-z_]+)?", location), location
        assert "a" not in set_cookies(answer)
        assert "ailleurs" not in answer.text
        assert all(re.match(r"/(?!/)|#|data:,", a) for a in addresses(answer.text))


@pytest.mark.parametrize("path", ["//ailleurs.example/23/", "/23//ailleurs.example", "/%2F%2Failleurs.example/", "/23/%2e%2e/974/", "/..%2F23/"])  # fmt: skip
def test_no_path_sends_anybody_elsewhere(house, path):
    browser = house.entered(house.person(Role.MANAGER))
    answer = browser.ask("GET", f"http://testserver.local{path}")
    assert answer.status_code in {200, 303, 404}
    assert answer.headers.get("location", "/23/connexion") == "/23/connexion"


# Forms that are not ours.


MARKS = {
    "no mark": None,
    "an empty mark": "",
    "a wrong mark": "0" * 64,
    "a mark with accents": "é" * 64,
    "the mark of another session": "other",
    "the mark in another case": "upper",
}


@pytest.mark.parametrize("mark", MARKS.values(), ids=MARKS.keys())
def test_a_form_without_the_mark_of_this_session_does_nothing(house, mark):
    mine, other = house.all_trades(), house.all_trades()
    marks = {"other": other.csrf, "upper": mine.csrf.upper()}
    fields = _filled(house)
    if mark is not None:
        fields["csrf"] = marks.get(mark, mark)
    before = everything(house)

    for path in forms(house):
        answer = mine.send(path, fields, headers={"Accept": "application/json"})
        assert (answer.status_code, answer.json()["code"]) == (403, "from_elsewhere"), path

    assert everything(house) == before


def _filled(house: House) -> dict[str, Any]:
    """Fields that every form would act on."""
    return {
        "membership": str(house.of(Role.ACCOUNTANT).membership), "login": "x", "name": "x", "role": "manager",
        "old": PASSWORD, "password": ANOTHER, "carnet": "10", "pic": "yes", "proof": "attested",
        "day": "2020-02-03", "site": "1", "token": "rien", "code": "123456",
    }  # fmt: skip


ORIGINS = {
    "from another site": {"Sec-Fetch-Site": "cross-site"},
    "from a neighbour": {"Sec-Fetch-Site": "same-site"},
    "typed by nobody": {"Sec-Fetch-Site": "none"},
    "with a word of its own": {"Sec-Fetch-Site": "Same-Origin, cross-site"},
    "from another site, which claims ours": {
        "Sec-Fetch-Site": "cross-site",
        "Origin": "http://testserver.local",
    },
    "saying nothing": {"Sec-Fetch-Site": None},
    "from an origin elsewhere": {"Sec-Fetch-Site": None, "Origin": ELSEWHERE},
    "from a name that begins like ours": {
        "Sec-Fetch-Site": None,
        "Origin": "http://testserver.local.ailleurs.example",
    },
    "from another port": {"Sec-Fetch-Site": None, "Origin": "http://testserver.local:81"},
    "from an opaque origin": {"Sec-Fetch-Site": None, "Origin": "null"},
    "from an origin that is none": {"Sec-Fetch-Site": None, "Origin": "http://["},
    "from an empty origin": {"Sec-Fetch-Site": None, "Origin": ""},
}


@pytest.mark.parametrize("headers", ORIGINS.values(), ids=ORIGINS.keys())
def test_a_form_from_elsewhere_does_nothing_even_with_the_mark(house, headers):
    mine = house.all_trades()
    fields = {"csrf": mine.csrf} | _filled(house)
    before = everything(house)
    sent = headers | {"Accept": "application/json"}

    for path in forms(house, open_too=True):
        answer = mine.send(path, fields, headers=sent)
        assert (answer.status_code, answer.json()["code"]) == (403, "from_elsewhere"), path

    assert everything(house) == before


def test_nobody_is_signed_in_by_a_form_from_elsewhere(house):
    thief = house.person(Role.MANAGER)
    fields = {"login": thief.login, "password": PASSWORD}
    victim = house.browser()
    answer = victim.send("/connexion", fields, headers={"Sec-Fetch-Site": "cross-site"})
    assert answer.status_code == 403
    assert victim.cookies == {}


def test_a_browser_that_says_only_its_origin_is_heard(house):
    someone = house.person(Role.MANAGER)
    fields = {"login": someone.login, "password": PASSWORD}
    headers = {"Sec-Fetch-Site": None, "Origin": "http://testserver.local"}
    browser = house.browser()
    assert browser.send("/connexion", fields, headers=headers).status_code == 303
    assert browser.is_in()


# Guesses.


def test_five_wrong_passwords_slow_a_login_down_and_no_other(house):
    victim, neighbour = house.person(Role.MANAGER), house.person(Role.MANAGER)
    thief = house.browser()
    for _n in range(5):
        assert thief.sign_in(victim.login, WRONG).status_code == 422

    refused = house.browser().sign_in(victim.login)
    assert refused.status_code == 422
    assert messages("fr").refusal("sign_in_slowed", {"minutes": 1}) in unescape(
        refused.text
    )
    assert set_cookies(refused) == {}
    # From the same address and the same browser.
    assert thief.sign_in(neighbour.login).status_code == 303

    house.later(seconds=61)
    assert house.browser().sign_in(victim.login).status_code == 303
    assert thief.sign_in(victim.login, WRONG).status_code == 422
    assert house.browser().sign_in(victim.login).status_code == 303


@pytest.mark.parametrize("spelling", [str.upper, str.title, "  {}  ".format])
def test_a_login_is_the_same_however_it_is_written(house, spelling):
    victim = house.person(Role.MANAGER)
    for _n in range(5):
        assert isinstance(_guess(house, spelling(victim.login)), SignInRefused)
    assert isinstance(_guess(house, victim.login, PASSWORD), SignInSlowed)


def test_the_wait_doubles_up_to_an_hour_and_what_is_typed_meanwhile_changes_nothing(
    house,
):
    login = house.person(Role.MANAGER).login
    for _n in range(5):
        _guess(house, login)
    for minutes in (1, 2, 4, 8, 16, 32, 60, 60, 60):
        slowed = _guess(house, login, PASSWORD)
        assert (slowed.code, slowed.minutes) == ("sign_in_slowed", minutes)
        house.later(minutes=minutes - 1, seconds=59.5)
        slowed = _guess(house, login, PASSWORD)
        assert (slowed.code, slowed.minutes) == ("sign_in_slowed", 1)
        house.later(seconds=0.5)
        assert isinstance(_guess(house, login), SignInRefused)
    house.later(hours=1)
    assert _guess(house, login, PASSWORD).token


def _at_once(count: int, act: Callable[[], Any]) -> list[Any]:
    """Do something in several threads that start together."""
    ready = threading.Barrier(count)

    def one(_n: int) -> Any:
        ready.wait(timeout=60)
        return act()

    with ThreadPoolExecutor(count) as threads:
        return list(threads.map(one, range(count)))


def test_two_first_failures_at_once_are_both_counted(house):
    login = f"nobody-{new_id()}"
    told = _at_once(2, lambda: _guess(house, login))
    assert [t.code for t in told] == ["sign_in_refused"] * 2
    digest = failures._digest(f"password of {login}")
    row = sign_in_failures.c.digest == digest
    assert house.count(sign_in_failures, row, sign_in_failures.c.failures == 2) == 1


def test_guesses_sent_at_once_are_no_more_guesses(house):
    login = house.person(Role.MANAGER).login
    told = _at_once(12, lambda: _guess(house, login))
    assert sorted(t.code for t in told) == ["sign_in_refused"] * 5 + ["sign_in_slowed"] * 7


def test_codes_sent_at_once_are_no_more_guesses(house):
    someone = house.person(Role.MANAGER)
    house.telephone(someone)
    thief = house.half_entered(someone)
    with house.database.begin("23") as session:
        open_one = sessions.recall(session, thief.token, now=house.now)

    def guessed() -> Any:
        with house.database.begin("23") as session:
            return second_factor.prove(
                session, open_one, "000000", sealer=SEALER, now=house.now
            )

    told = _at_once(12, guessed)
    assert (
        sorted(t.code for t in told) == ["sign_in_slowed"] * 7 + ["wrong_second_factor"] * 5
    )


def test_the_counter_goes_on_while_a_password_is_verified(house, monkeypatch):
    someone = house.person(Role.MANAGER)
    written = []

    class Slow:
        def verify_and_update(self, typed: str, kept: str) -> tuple[bool, str | None]:
            # Somebody else writes in the meantime: this would wait for an open transaction.
            written.append(house.person(Role.MEDIATOR, entered=False))
            return CHEAP.verify_and_update(typed, kept)

    monkeypatch.setattr(signing_in, "_hasher", Slow())
    assert house.browser().sign_in(someone.login).status_code == 303
    assert house.browser().sign_in(someone.login, WRONG).status_code == 422
    assert len(written) == 2


def test_the_counter_goes_on_while_a_password_is_hashed(house, monkeypatch):
    someone, invited = house.person(Role.MANAGER), house.person(Role.MEDIATOR)
    owner, code = house.entered(someone), house.code(invited)
    written = []

    class Slow:
        def hash(self, chosen: str) -> str:
            written.append(house.code(someone))
            return CHEAP.hash(chosen)

        def verify_and_update(self, typed: str, kept: str) -> tuple[bool, str | None]:
            return CHEAP.verify_and_update(typed, kept)

    monkeypatch.setattr(signing_in, "_hasher", Slow())
    assert house.accept(code, ANOTHER).headers["location"] == "/23/"
    changed = owner.post("/compte/mot-de-passe", old=PASSWORD, password=ANOTHER)
    assert changed.status_code == 303
    assert len(written) == 2
    monkeypatch.undo()
    for login in (someone.login, invited.login):
        assert house.browser().sign_in(login, ANOTHER).status_code == 303


def test_a_code_that_is_used_while_a_password_is_hashed_is_refused(house, monkeypatch):
    someone = house.person(Role.MEDIATOR)
    code, first = house.code(someone), CHEAP.hash(ANOTHER)

    class Slow:
        def hash(self, chosen: str) -> str:
            with house.database.begin("23") as session:
                done = signing_in.accept_invitation(
                    session, code, first, device="test", now=house.now
                )
            assert not isinstance(done, Refusal)
            return CHEAP.hash(chosen)

    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(signing_in, "_hasher", Slow())
        answer = house.accept(code, "yet another long phrase")
    assert (answer.status_code, set_cookies(answer)) == (422, {})
    assert house.browser().sign_in(someone.login, ANOTHER).status_code == 303


def test_a_password_that_changes_while_it_is_verified_opens_nothing(house):
    someone = house.person(Role.MANAGER)
    with house.database.begin("23") as session:
        guess = signing_in.guess(session, someone.login, now=house.now)
    proved = signing_in.verify(guess, PASSWORD)
    with house.database.begin("23") as session:
        another = signing_in.hashed(ANOTHER)
        signing_in.set_password(session, someone.id, another, now=house.now)

    with house.database.begin("23") as session:
        told = signing_in.sign_in(session, proved, device="test", now=house.now)
    assert isinstance(told, SignInRefused)
    assert house.count(web_session, web_session.c.person == someone.id) == 0


def test_five_wrong_codes_slow_the_second_proof_of_one_person_down(house):
    victim, neighbour = house.person(Role.MANAGER), house.person(Role.MANAGER)
    phones = house.telephone(victim), house.telephone(neighbour)
    thief = house.browser()
    thief.sign_in(victim.login)
    for n in range(5):
        assert thief.post("/connexion/code", code=f"00000{n}").status_code == 422

    for browser in (thief, house.browser()):
        browser.sign_in(victim.login)
        right = phones[0].at(house.clock())
        assert browser.post("/connexion/code", code=right).status_code == 422
    other = house.browser()
    other.sign_in(neighbour.login)
    assert (
        other.post("/connexion/code", code=phones[1].at(house.clock())).status_code == 303
    )

    house.later(seconds=61)
    right = phones[0].at(house.clock())
    assert thief.post("/connexion/code", code=right).status_code == 303


def test_a_login_that_reads_like_something_else_slows_nothing_else(house):
    victim = house.person(Role.MANAGER)
    telephone = house.telephone(victim)
    for _n in range(6):
        _guess(house, f"second factor of {victim.id}")
    browser = house.browser()
    browser.sign_in(victim.login)
    right = telephone.at(house.clock())
    assert browser.post("/connexion/code", code=right).status_code == 303


def test_the_old_password_is_not_guessed_from_an_open_session(house):
    someone = house.person(Role.MANAGER)
    thief = house.entered(someone)
    for n in range(5):
        told = thief.post("/compte/mot-de-passe", old=f"guess {n}", password=ANOTHER)
        assert told.status_code == 422
    right = thief.post("/compte/mot-de-passe", old=PASSWORD, password=ANOTHER)
    assert right.status_code == 422
    house.later(seconds=61)
    assert house.browser().sign_in(someone.login).status_code == 303


def test_a_confirmed_telephone_is_not_guessed_from_an_open_session(house):
    someone = house.person(Role.MANAGER)
    telephone = house.telephone(someone)
    thief = house.entered(someone, factor="totp")
    answer = thief.post("/compte/telephone/confirmer", code=telephone.at(house.clock()))
    assert answer.headers["location"] == "/23/compte"
    assert codes_on(answer.text) == []
    assert thief.post("/compte/telephone").status_code == 303
    assert thief.get("/compte/telephone").headers["location"] == "/23/compte"


# The second proof.


def _proved(house: House, who: Person, code: str) -> bool:
    browser = house.browser()
    assert browser.sign_in(who.login).headers["location"] == "/23/connexion/code"
    answer = browser.post("/connexion/code", code=code)
    assert answer.status_code in {303, 422}
    return answer.status_code == 303


@pytest.mark.parametrize(("seconds", "good"), [(-60, False), (-30, False), (0, True), (30, True), (60, False)])  # fmt: skip
def test_a_telephone_may_be_one_step_off(house, seconds, good):
    someone = house.person(Role.MANAGER)
    telephone = house.telephone(someone)  # whose code of the step before is used up
    code = telephone.at(house.clock() + timedelta(seconds=seconds))
    assert _proved(house, someone, code) is good


def test_a_telephone_may_be_one_step_late_too(house):
    someone = house.person(Role.MANAGER)
    telephone = house.telephone(someone)
    house.later(minutes=5)
    assert not _proved(house, someone, telephone.at(house.clock() - timedelta(seconds=60)))
    assert _proved(house, someone, telephone.at(house.clock() - timedelta(seconds=30)))


def test_a_code_is_good_once_and_those_before_it_no_more(house):
    someone = house.person(Role.MANAGER)
    telephone = house.telephone(someone)
    house.later(minutes=5)
    now, next_one = telephone.at(house.clock()), telephone.at(house.clock() + timedelta(seconds=30))  # fmt: skip
    assert _proved(house, someone, next_one)
    assert not _proved(house, someone, next_one)
    assert not _proved(house, someone, now)


def test_a_code_sent_twice_at_once_is_good_once(house):
    someone = house.person(Role.MANAGER)
    code = house.telephone(someone).at(house.clock())

    def used() -> bool:
        with house.database.begin("23") as session:
            return second_factor.check_totp(
                session, someone.id, code, sealer=SEALER, now=house.now
            )

    assert sorted(_at_once(2, used)) == [False, True]


@pytest.mark.parametrize(
    "typed", ["", "٣٣٣٣٣٣", "１２３４５６", "²²²²²²", "é", "1" * 100_000]
)
def test_what_is_no_code_is_a_wrong_code(house, typed):
    someone = house.person(Role.MANAGER)
    house.telephone(someone)
    assert not _proved(house, someone, typed)


def test_a_recovery_code_is_good_once_and_old_ones_are_no_more(house):
    someone, other = house.person(Role.MANAGER), house.person(Role.MANAGER)
    for who in (someone, other):
        house.telephone(who)
    with house.database.begin("23") as session:
        replaced = second_factor.new_recovery_codes(session, someone.id)
        codes = second_factor.new_recovery_codes(session, someone.id)
        theirs = second_factor.new_recovery_codes(session, other.id)

    assert _proved(house, someone, codes[0].lower().replace("-", " "))
    assert not _proved(house, someone, codes[0])
    assert not _proved(house, someone, replaced[1])
    assert not _proved(house, someone, theirs[0])
    assert _proved(house, someone, codes[1])


# Invitations.


def refused_codes(house: House) -> dict[str, str]:
    used, old = (house.person(Role.MEDIATOR) for _ in range(2))
    first = house.code(used)
    assert house.accept(first, ANOTHER).status_code == 303
    late = house.code(old)
    house.later(days=14)
    return {"used": first, "late": late, "unknown": "0K3M-9QRT-2XVA", "empty": ""}


def test_a_code_that_is_used_or_late_or_unknown_gets_one_answer(house):
    said = set()
    for why, code in refused_codes(house).items():
        answer = house.accept(code, "yet another long phrase")
        assert (answer.status_code, set_cookies(answer)) == (422, {}), why
        said.add(answer.text.replace(code, "") if code else answer.text)
    assert len(said) == 1


def test_a_code_is_good_for_the_whole_of_fourteen_days(house):
    code = house.code(house.person(Role.MEDIATOR))
    house.later(days=14, seconds=-1)
    assert house.accept(code, ANOTHER).status_code == 303


def test_of_two_who_take_up_a_code_at_once_one_wins(house):
    someone = house.person(Role.MEDIATOR)
    code, chosen = house.code(someone), signing_in.hashed(ANOTHER)

    def taken() -> Any:
        with house.database.begin("23") as session:
            return signing_in.accept_invitation(
                session, code, chosen, device="test", now=house.now
            )

    told = _at_once(4, taken)
    assert sum(hasattr(t, "token") for t in told) == 1
    assert [t.code for t in told if not hasattr(t, "token")] == ["invitation_refused"] * 3


@pytest.mark.parametrize("weak", ["", "too short", "x" * 11, "login"])
def test_a_weak_password_is_refused_and_leaves_the_code_good(house, weak):
    someone = house.person(Role.MEDIATOR, f"caf-accueil-{new_id().hex}")
    code = house.code(someone)
    answer = house.accept(code, someone.login.upper() if weak == "login" else weak)
    assert (answer.status_code, set_cookies(answer)) == (422, {})
    assert house.accept(code, ANOTHER).status_code == 303


def test_a_new_code_replaces_the_one_before(house):
    someone = house.person(Role.MEDIATOR)
    before, after = house.code(someone), house.code(someone)
    assert house.accept(before, ANOTHER).status_code == 422
    assert house.accept(after, ANOTHER).status_code == 303


def test_a_code_is_no_way_around_the_second_proof(house):
    someone = house.person(Role.MANAGER)
    house.telephone(someone)
    answer = house.accept(house.code(someone), ANOTHER)
    assert answer.headers["location"] == "/23/connexion/code"


# Taking over somebody's account.

CODES = ("/personnes/code", "/personnes/lettre")


@pytest.mark.parametrize("signed_in_before", [True, False])
def test_a_desk_gets_no_code_for_a_manager_it_invites(house, signed_in_before):
    victim = house.person(Role.MANAGER, entered=signed_in_before)
    desk = house.entered(house.person(Role.PRESCRIBER_MANAGER))
    before = house.count(invitation)

    fields = {"login": victim.login, "name": "x", "role": "prescriber_agent", "desk": "CAF"}
    answer = desk.post("/personnes", **fields)

    assert answer.headers["location"] == "/23/personnes?fait=role_given"
    assert house.count(invitation) == before
    [line] = [
        row for row in desk.get("/personnes").text.split("<tr") if victim.login in row
    ]
    [held] = set(re.findall(r'name="membership" value="([^"]*)"', line))
    for path in CODES:
        again = desk.post(path, membership=held)
        assert (again.status_code, codes_on(again.text)) == (422, [])
    assert house.count(invitation) == before


def test_a_code_given_before_a_greater_role_opens_nothing_after(house):
    desk = house.entered(house.person(Role.PRESCRIBER_MANAGER))
    login = f"{new_id()}@exemple.fr"
    fields = {"login": login, "name": "x", "desk": "CAF"}
    [kept] = codes_on(desk.post("/personnes", role="prescriber_agent", **fields).text)
    manager = house.entered(house.person(Role.MANAGER))
    [theirs] = codes_on(
        manager.post("/personnes", login=login, name="x", role="manager").text
    )

    assert house.accept(kept, ANOTHER).status_code == 422
    assert house.accept(theirs, ANOTHER).status_code == 303


def test_nor_does_it_where_the_greater_role_comes_without_a_code(house):
    desk = house.entered(house.person(Role.PRESCRIBER_MANAGER))
    login = f"{new_id()}@exemple.fr"
    fields = {"login": login, "name": "x", "desk": "CAF"}
    [kept] = codes_on(desk.post("/personnes", role="prescriber_agent", **fields).text)
    operator = house.entered(house.person(Role.OPERATOR))
    given = operator.post("/personnes", login=login, name="x", role="manager")

    assert (given.status_code, codes_on(given.text)) == (303, [])
    assert house.accept(kept, ANOTHER).status_code == 422


def test_nobody_gets_a_code_for_somebody_whose_role_ended(house):
    someone = house.person(Role.PRESCRIBER_AGENT)
    desk = house.entered(house.person(Role.PRESCRIBER_MANAGER))
    fields = {"membership": str(someone.membership)}
    assert desk.post("/personnes/fin", **fields).status_code == 303
    before = house.count(invitation)
    for path in CODES:
        assert desk.post(path, **fields).status_code == 404
    assert house.count(invitation) == before


BEYOND = {
    Role.PRESCRIBER_MANAGER: [
        ("manager", {}), ("authorising_officer", {}), ("operator", {}), ("auditor", {}),
        ("mediator", {"site": "1"}), ("prescriber_agent", {"desk": "CCAS"}),
        ("prescriber_manager", {"desk": "CCAS"}),
    ],
    Role.SITE_MANAGER: [
        ("manager", {}), ("accountant", {}), ("prescriber_agent", {"desk": "CAF"}),
        ("mediator", {"site": "2"}), ("site_manager", {"site": "2"}),
    ],
    Role.OPERATOR: [("accountant", {}), ("authorising_officer", {}), ("mediator", {"site": "1"})],
    Role.MANAGER: [("operator", {})],
}  # fmt: skip


@pytest.mark.parametrize("inviter", BEYOND)
def test_nobody_gives_a_role_beyond_their_own_nor_ends_one_nor_gets_its_code(
    house, inviter
):
    browser = house.entered(house.person(inviter))
    before = house.count(membership), house.count(invitation)
    for role, place in BEYOND[inviter]:
        fields = {"login": f"{new_id()}@exemple.fr", "name": "x", "role": role} | place
        answer = browser.post("/personnes", **fields)
        assert answer.status_code == 422, role
    assert (house.count(membership), house.count(invitation)) == before

    for role, place in BEYOND[inviter]:
        there = {k: int(v) if k == "site" else v for k, v in place.items()}
        other = house.person(Role(role), **there)
        before = everything(house)
        for path in ("/personnes/fin", *CODES):
            answer = browser.post(path, membership=str(other.membership))
            assert answer.status_code == 404, (role, path)
        assert everything(house) == before
        assert _roles(house, other) == {Role(role)}
        assert other.login not in browser.get("/personnes").text


def test_a_code_is_not_given_for_somebody_who_also_holds_a_role_beyond_ones_own(house):
    both = house.person(Role.PRESCRIBER_AGENT)
    house.person(Role.ACCOUNTANT, both.login)
    desk = house.entered(house.person(Role.PRESCRIBER_MANAGER))
    manager = house.entered(house.person(Role.MANAGER))
    before = house.count(invitation)

    for path in CODES:
        refused = desk.post(path, membership=str(both.membership))
        assert (refused.status_code, codes_on(refused.text)) == (422, [])
    assert house.count(invitation) == before
    made = manager.post("/personnes/code", membership=str(both.membership))
    assert len(codes_on(made.text)) == 1


@pytest.mark.parametrize("role", ["accountant", "authorising_officer", "manager"])
def test_nobody_gives_themselves_a_role(house, role):
    someone = house.person(Role.MANAGER)
    house.person(Role.MEDIATOR, someone.login)
    browser = house.entered(someone)
    before = house.count(membership), house.count(invitation)

    told = browser.post(
        "/personnes", login=f" {someone.login.upper()} ", name="x", role=role
    )

    assert told.status_code == 422
    assert messages("fr").refusal("role_for_oneself") in unescape(told.text)
    assert (house.count(membership), house.count(invitation)) == before
    assert _roles(house, someone) == {Role.MANAGER, Role.MEDIATOR}


def test_who_gave_a_code_to_whom_is_told_by_the_ledger_and_the_code_is_not(house):
    def given() -> list[dict[str, Any]]:
        with house.database.begin("23", read_only=True) as session:
            chosen = select(entry.c.body).where(entry.c.kind == "code_given")
            return [canonical.decode(body) for body in session.scalars(chosen)]

    manager, someone = house.person(Role.MANAGER), house.person(Role.MEDIATOR)
    browser, before = house.entered(manager), len(given())
    fields = {"membership": str(someone.membership)}
    [code] = codes_on(browser.post("/personnes/code", **fields).text)
    assert browser.post("/personnes/lettre", **fields).status_code == 200

    said = [
        body
        for body in given()
        if body["facts"] == {"person": str(someone.id)} and body["actor"] == str(manager.id)
    ]
    assert (len(said), len(given())) == (2, before + 2)
    assert code not in str(said)
