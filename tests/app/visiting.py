"""People with roles, and the browsers they come with, over the real application."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from html import unescape
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pyotp
import pytest
from litestar.testing import TestClient
from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.database import Database, FilesPlace
from app.pages.visitors import Visitor
from app.people import second_factor, sessions, signing_in
from app.people.memberships import Invite, invite, new_invitation
from app.people.models import invitation, membership, person, web_session
from app.people.roles import AT_A_DESK, AT_A_SITE, Role
from app.web import create_app
from app.works.models import work as works
from app.works.site_lists import ask_import, count_rows
from issuance.desks import OpenDesk, open_desk
from issuance.models import handed_out
from issuance.transfers import Receive, Send, receive, send
from ledger.identifiers import new_id
from ledger.models import entry
from ledger.moments import Moment
from redemption.models import workshop as workshops
from tests.app.running import FEBRUARY, an_instance
from tests.builders import SEALER, World, a_workshop, a_world, an_order, done, given
from tests.conftest import ENGINES, PARIS, a_database, moment

# What anyone may read of a log, with and without the code of the département: for programs, and
# there once a checkpoint is published.
OF_THE_LOG = frozenset(
    before + path
    for before in ("", "/{departement:str}")
    for path in (
        "/checkpoint",
        "/policy",
        "/tile/{level:str}/{rest:path}",
        "/proof/{entry:uuid}",
        "/receipt/{entry:uuid}",
    )
)
# The public keys of paper: for scanners.
KEYS = "/.well-known/passnum-keys.json"
PASSWORD = "une phrase assez longue"
# Good enough to tell a right password from a wrong one, where the hash is not the point.
CHEAP = PasswordHash((Argon2Hasher(time_cost=1, memory_cost=8, parallelism=1),))


@dataclass
class Clock:
    """A clock that a test moves."""

    at: datetime = FEBRUARY

    def __call__(self) -> datetime:
        return self.at


@dataclass
class Person:
    """Someone with a role, and what they sign in with."""

    id: UUID
    login: str
    membership: UUID
    password: str = PASSWORD


@dataclass
class House:
    """A server where people work: a tranche, two sites, two desks, a workshop; a test moves its clock."""

    http: TestClient[Any]
    database: Database
    clock: Clock
    world: World
    serials: list[str]
    workshop: str
    work: str
    cast: dict[Role, Person] = field(default_factory=dict)

    @property
    def on_sqlite(self) -> bool:
        return isinstance(self.database.place, FilesPlace)

    @property
    def now(self) -> Moment:
        return Moment(self.clock(), PARIS)

    def person(
        self,
        role: Role,
        login: str = "",
        *,
        at: str = "23",
        entered: bool = True,
        **place: Any,
    ) -> Person:
        """Someone with this role, at the desk CAF or at site 1 unless told; with a password if they `entered`."""
        login = login or f"{role.value}-{new_id().hex[-8:]}@exemple.fr"
        if role in AT_A_DESK:
            place = {"desk": "CAF"} | place
        if role in AT_A_SITE:
            place = {"site": 1} | place
        asked = Invite(new_id(), login, f"Personne {login}", role, **place)
        with self.database.begin(at) as session:
            told = done(invite(session, asked, inviter=None, by="test", now=self.now))
            who = UUID(told.facts["person"])
            if entered:
                kept = signing_in.hashed(PASSWORD)
                signing_in.set_password(session, who, kept, now=self.now)
        return Person(who, login, told.act)

    def of(self, role: Role) -> Person:
        """Somebody of this role, the same each time: for tests that do nothing to people."""
        if role not in self.cast:
            self.cast[role] = self.person(role)
        return self.cast[role]

    def all_trades(self) -> "Browser":
        """A new session of somebody who passes every door."""
        role = Role.OFFICER
        if role not in self.cast:
            for other in (Role.MANAGER, Role.PRESCRIBER_AGENT, Role.MEDIATOR):
                self.person(other, self.of(role).login)
        return self.entered(self.cast[role], factor="totp")

    def count(self, table: Any, *where: Any, at: str = "23") -> int:
        with self.database.begin(at, read_only=True) as session:
            chosen = select(func.count()).select_from(table).where(*where)
            return session.scalars(chosen).one()

    def telephone(self, who: Person, at: str = "23") -> pyotp.TOTP:
        """A telephone that someone confirmed half a minute ago."""
        with self.database.begin(at) as session:
            telephone = pyotp.TOTP(second_factor.begin_totp(session, who.id, sealer=SEALER))
            before = telephone.at(self.clock() - timedelta(seconds=30))
            assert second_factor.check_totp(
                session, who.id, before, sealer=SEALER, now=self.now
            )
        return telephone

    def code(self, who: Person, at: str = "23") -> str:
        """A new code of invitation for someone."""
        with self.database.begin(at) as session:
            return new_invitation(session, who.id, by="test", now=self.now)

    def accept(self, code: str, chosen: str, at: str = "23") -> httpx.Response:
        """Somebody's answer when they choose a password with a code."""
        fields = {"code": code, "password": chosen, "password_again": chosen}
        return self.browser(at).send("/invitation", fields)

    def later(self, **of: float) -> None:
        """Let time pass."""
        self.clock.at += timedelta(**of)

    def browser(self, at: str = "23", **options: Any) -> "Browser":
        return Browser(self, at, **options)

    def entered(
        self, who: Person, at: str = "23", *, factor: str | None = None
    ) -> "Browser":
        """A browser whose session is open already; `factor` is the second proof it gave."""
        with self.database.begin(at) as session:
            token = sessions.open_session(
                session, who.id, factor_due=False, device="test", now=self.now
            )
            if factor is not None:
                opened = sessions.recall(session, token, now=self.now)
                assert opened is not None
                token = sessions.confirm(session, opened, factor=factor)
        return self.browser(at, cookies={f"passnum_{at}": f"{at}.{token}"})

    def half_entered(self, who: Person, at: str = "23") -> "Browser":
        """A browser that gave the password, and still owes the second proof."""
        with self.database.begin(at) as session:
            token = sessions.open_session(
                session, who.id, factor_due=True, device="test", now=self.now
            )
        return self.browser(at, cookies={f"passnum_{at}": f"{at}.{token}"})


@dataclass
class Browser:
    """A browser of its own: its cookies, and what it says of where a form comes from."""

    house: House
    at: str = "23"
    cookies: dict[str, str] = field(default_factory=dict)
    page: str = ""

    def ask(
        self,
        method: str,
        path: str,
        fields: Mapping[str, Any] | None = None,
        *,
        headers: Mapping[str, str | None] | None = None,
        **more: Any,
    ) -> httpx.Response:
        """Send a request as a browser does; a header given as None is left out."""
        sent: dict[str, str | None] = {"Accept": "text/html,*/*;q=0.8"}
        if self.cookies:
            sent["Cookie"] = "; ".join(f"{k}={v}" for k, v in self.cookies.items())
        if method != "GET":
            sent["Sec-Fetch-Site"] = "same-origin"
        sent |= headers or {}
        said = {name: value for name, value in sent.items() if value is not None}
        self.house.http.cookies.clear()
        answer = self.house.http.request(
            method, path, data=fields, headers=said, follow_redirects=False, **more
        )
        self.house.http.cookies.clear()
        for name, morsel in set_cookies(answer).items():
            gone = morsel["max-age"] == "0" or not morsel.value
            self.cookies.pop(name, None)
            if not gone:
                self.cookies[name] = morsel.value
        if answer.headers.get("content-type", "").startswith("text/html"):
            self.page = answer.text
        return answer

    def get(self, path: str, **more: Any) -> httpx.Response:
        return self.ask("GET", f"/{self.at}{path}", **more)

    def post(self, path: str, **fields: Any) -> httpx.Response:
        """Send a form with the mark of this session, as its pages carry it."""
        return self.send(path, {"csrf": self.csrf} | fields)

    def send(self, path: str, fields: Mapping[str, Any], **more: Any) -> httpx.Response:
        return self.ask("POST", f"/{self.at}{path}", fields, **more)

    @property
    def token(self) -> str:
        """The token of the session, as its cookie holds it."""
        return self.cookies[f"passnum_{self.at}"].partition(".")[2]

    @property
    def csrf(self) -> str:
        """What this session's forms carry."""
        if f"passnum_{self.at}" not in self.cookies:
            return ""
        return Visitor("", "", "", Any, [], self.token).csrf

    def sign_in(self, login: str, password: str = PASSWORD) -> httpx.Response:
        return self.send("/connexion", {"login": login, "password": password})

    def is_in(self) -> bool:
        """Whether the account page opens."""
        return self.get("/compte").status_code == 200


def a_list(*rows: str) -> bytes:
    """A list of sites: a header line, and these rows."""
    header = "id,pivot,nom,commune,code_postal,adresse,date_maj"
    return "\n".join([header, *rows, ""]).encode()


def an_import(
    session: Session, data: bytes = b"", *, now: Moment, all_or_nothing: bool = False
) -> UUID:
    """An import of a list of sites that was asked for, and waits."""
    which = new_id()
    data = data or a_list("lieu-3,,Médiathèque 3,Guéret,23000,1 rue de la Paix,2020-01-01")
    asked = ask_import(
        session,
        which,
        data,
        rows=count_rows(data),
        file="lieux.csv",
        programme_code="tela",
        all_or_nothing=all_or_nothing,
        by="test",
        now=now,
    )
    assert asked
    return which


def plain(page: str) -> str:
    """What a page says, its entities read and each space a plain one."""
    return " ".join(unescape(page).split())


def codes_on(page: str) -> list[str]:
    """The invitation and recovery codes that a page shows."""
    return re.findall(r"<code>([0-9A-Z]{4}-[0-9A-Z]{4}-[0-9A-Z]{4})</code>", page)


def rooms(house: House) -> list[tuple[str, str, str]]:
    """Method, path inside a département, and door, of every page and form; with ids that are there."""
    filled = {
        "{tranche:str}": "T1",
        "{workshop_id:uuid}": house.workshop,
        "{work_id:uuid}": house.work,
        "{number:int}": "1",
    }
    found = []
    for route in house.http.app.routes:
        path = route.path.removeprefix("/{departement:str}")
        if path == route.path:
            continue
        for name, value in filled.items():
            path = path.replace(name, value)
        found += [
            (method, path or "/", str(handler.opt["door"]))
            for handler in route.route_handlers
            for method in handler.http_methods
            if method != "OPTIONS"
        ]
    assert len(found) > 20
    return sorted(found)


def forms(house: House, *, open_too: bool = False) -> list[str]:
    """The path of every form of somebody signed in; of anybody, where told."""
    return [
        path
        for method, path, door in rooms(house)
        if method == "POST" and (open_too or door != "open")
    ]


def everything(house: House) -> list[int]:
    """How much there is of all that a form could change."""
    tables = (entry, membership, person, invitation, workshops, handed_out, works)
    open_ones = house.count(web_session, web_session.c.closed_at.is_(None))
    return [open_ones, *(house.count(table) for table in tables)]


def set_cookies(answer: httpx.Response) -> SimpleCookie:
    """The cookies that an answer sets."""
    jar = SimpleCookie()
    for line in answer.headers.get_list("set-cookie"):
        jar.load(line)
    return jar


def addresses(page: str) -> list[str]:
    """Every address that a page links to or sends a form to."""
    return [unescape(a) for a in re.findall(r'(?:href|action|src)="([^"]*)"', page)]


@contextmanager
def a_house(
    request: pytest.FixtureRequest, engine: str, folder: Path, **client: Any
) -> Iterator[House]:
    """A server on an engine; the other département has nothing yet."""
    with (
        a_database(request, engine, folder) as database,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setattr(signing_in, "_hasher", CHEAP)
        patch.setattr(signing_in, "_NOBODY", CHEAP.hash("nobody has this password"))
        with database.begin("23") as session:
            world = a_world(session)
            serials = an_order(session, world, 10)
            done(given(session, *serials[:20]))
            workshop = str(a_workshop(session))
            sending = Send(new_id(), "CAF", None, ((10, 10),))
            done(send(session, sending, by="test", now=moment("2020-01-20")))
            back = Receive(new_id(), 1, "CAF", ((10, 10),))
            done(receive(session, back, by="test", now=moment("2020-01-20")))
            desk = OpenDesk(new_id(), "CCAS", "CCAS de Guéret", "Accueil", ("tela",))
            done(open_desk(session, desk, by="test", now=moment("2020-01-06")))
            work = an_import(session, now=moment("2020-02-03"))
        clock = Clock()
        app = create_app(an_instance(database, folder, clock))
        with TestClient(app, raise_server_exceptions=False, **client) as http:
            yield House(http, database, clock, world, serials, workshop, str(work))


@pytest.fixture(params=ENGINES, scope="module")
def engine_house(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[House]:
    """One server for a file, on each engine: each test brings people of its own."""
    with a_house(request, request.param, tmp_path_factory.mktemp("house")) as house:
        yield house


@pytest.fixture
def house(engine_house: House) -> Iterator[House]:
    """That server, on a Monday afternoon of February."""
    engine_house.clock.at = FEBRUARY
    yield engine_house
    engine_house.clock.at = FEBRUARY
