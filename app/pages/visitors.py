"""Who is at the door: the one guard that every route passes, and the session behind a page.

A route names its door in `opt`; a route that names none is shut.  A session belongs to one
département: its cookie is sent to that département's pages only, and says which it is.
"""

import asyncio
import hmac
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from litestar.connection import ASGIConnection
from litestar.datastructures import Cookie
from litestar.handlers import BaseRouteHandler

from app.devices import NotAllowed
from app.people import sessions
from app.people.memberships import Membership, memberships, name_and_login
from app.people.roles import AT_A_DESK, AT_A_SITE, MAY, SECOND_FACTOR_DUE, Action, Door
from app.people.sessions import WebSession
from app.registry import MalformedDepartement, UnknownDepartement
from app.serving import Serving
from ledger.refusal import Refusal

Connection = ASGIConnection[Any, Any, Any, Any]
SAFE = {"GET", "HEAD", "OPTIONS"}


@dataclass(eq=False)
class SignInNeeded(Refusal):
    """Nobody is signed in here, or the session has ended."""

    code = "sign_in_needed"


@dataclass(eq=False)
class SecondFactorNeeded(Refusal):
    """The password was right; the second proof is still due."""

    code = "second_factor_needed"


@dataclass(eq=False)
class SecondFactorMissing(Refusal):
    """This role acts with a second proof only, and none is set up."""

    code = "second_factor_missing"


@dataclass(eq=False)
class NoSuchRoom(Refusal):
    """There is nothing here for this visitor; whether it exists elsewhere is not told."""

    code = "no_such_page"


@dataclass(eq=False)
class FromElsewhere(Refusal):
    """The form was not sent from one of our own pages."""

    code = "from_elsewhere"


class Visitor(NamedTuple):
    """Someone signed in: a person, their roles, and the session they came with."""

    departement: str
    name: str
    login: str
    session: WebSession
    roles: list[Membership]
    token: str

    def may(self, action: Action) -> bool:
        """Tell whether one of the roles held allows an action."""
        return any(action in MAY[held.role] for held in self.roles)

    def sees(self, action: Action, programme: str) -> bool:
        """Tell whether a role held allows an action on what belongs to a programme."""
        return any(
            action in MAY[held.role] and held.programme in (None, programme)
            for held in self.roles
        )

    def programmes(self, action: Action) -> frozenset[str] | None:
        """The programmes on which an action is allowed; None where it is on all of them."""
        found = {held.programme for held in self.roles if action in MAY[held.role]}
        return None if None in found else frozenset(p for p in found if p is not None)

    @property
    def desks(self) -> list[str]:
        """The desks this person hands out at."""
        return [m.desk for m in self.roles if m.role in AT_A_DESK and m.desk is not None]

    @property
    def sites(self) -> list[int]:
        """The sites this person scans for."""
        return [m.site for m in self.roles if m.role in AT_A_SITE and m.site is not None]

    @property
    def csrf(self) -> str:
        """What each of this session's forms carries."""
        return hmac.digest(self.token.encode(), b"passnum form", sha256).hex()


def cookie_name(departement: str) -> str:
    """Return the name of a département's session cookie."""
    return f"passnum_{departement}"


def cookie(departement: str, token: str, *, secure: bool) -> Cookie:
    """Return the cookie of a session: for this département's pages only, unseen by scripts."""
    return Cookie(
        key=cookie_name(departement),
        value=f"{departement}.{token}",
        path=f"/{departement}",
        httponly=True,
        samesite="lax",
        secure=secure,
        max_age=int(sessions.LONGEST.total_seconds()),
    )


async def guard(connection: Connection, handler: BaseRouteHandler) -> None:
    """Let a request through its route's door, or refuse it; the visitor is kept for the page."""
    door = handler.opt.get("door")
    if door is None:
        raise NoSuchRoom
    if door == Door.BEARER:
        return
    if connection.scope.get("method") not in SAFE:
        _came_from_our_page(connection)
    serving: Serving = connection.app.state.serving
    code = connection.path_params.get("departement")
    if code is not None:
        _be_served_here(serving, connection, code)
        connection.scope["state"]["departement"] = code
    if door == Door.OPEN:
        return
    if code is None:
        raise NoSuchRoom
    visitor = await asyncio.to_thread(_recall, serving, code, connection)
    # Before the door: who is refused still finds the way to their own rooms on the page.
    connection.scope["state"]["visitor"] = visitor
    _admit(visitor, door)


def _admit(visitor: Visitor, door: Door | Action) -> None:
    if door == Door.HALF:
        return
    if visitor.session.factor_due:
        raise SecondFactorNeeded
    if isinstance(door, Action):
        if not visitor.may(door):
            raise NotAllowed(str(door))
        opening = {held.role for held in visitor.roles if door in MAY[held.role]}
        if opening <= SECOND_FACTOR_DUE and visitor.session.second_factor is None:
            raise SecondFactorMissing


def _be_served_here(serving: Serving, connection: Connection, code: str) -> None:
    """Raise `NoSuchRoom` for a département that is not here, or is at another address."""
    try:
        served = serving.instance.departement(code)
    except (UnknownDepartement, MalformedDepartement):
        raise NoSuchRoom from None
    asked = connection.headers.get("host", "").partition(":")[0].upper().rstrip(".")
    for tenant in serving.instance.database.known_departements():
        if tenant.host.upper() == asked and tenant.code != served.code:
            raise NoSuchRoom


def _came_from_our_page(connection: Connection) -> None:
    """Refuse a form that another site sent: browsers say where it comes from."""
    site = connection.headers.get("sec-fetch-site")
    if site is not None:
        if site != "same-origin":
            raise FromElsewhere
        return
    try:
        origin = urlsplit(connection.headers.get("origin", "")).netloc
    except ValueError:
        raise FromElsewhere from None
    if not origin or origin != connection.headers.get("host"):
        raise FromElsewhere


def token_of(connection: Connection, code: str) -> str:
    """Return the token of the session that a browser brings, or raise `SignInNeeded`."""
    value = connection.cookies.get(cookie_name(code), "")
    of, _dot, token = value.partition(".")
    if not token:
        raise SignInNeeded
    if of != code:
        raise NoSuchRoom
    return token


def _recall(serving: Serving, code: str, connection: Connection) -> Visitor:
    token = token_of(connection, code)
    now = serving.instance.moment(code)
    with serving.instance.database.begin(code, read_only=True) as session:
        found = sessions.recall(session, token, now=now)
        if found is None:
            raise SignInNeeded
        name, login = name_and_login(session, found.person)
        roles = memberships(session, found.person)
    if now.at - found.seen_at > sessions.SEEN_EVERY:
        with serving.instance.database.begin(code) as session:
            sessions.touch(session, found, now=now)
    return Visitor(code, name, login, found, roles, token)
