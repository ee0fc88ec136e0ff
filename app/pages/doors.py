"""The doors: signing in, the second proof, invitations, and one's own account."""

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

from litestar import Controller, Response, get, post
from litestar.datastructures import Cookie
from litestar.params import FromPath
from litestar.response import Redirect
from sqlalchemy.orm import Session

from app.errors import language_of
from app.pages import leaving
from app.pages.frame import (
    Answer,
    Asked,
    acting,
    again,
    form_of,
    go,
    now_of,
    page,
    reading,
    sentence,
    serving_of,
    visitor_of,
)
from app.pages.leaving import on_https, way_out
from app.pages.visitors import cookie, cookie_name
from app.people import identities, passkeys, second_factor, sessions, signing_in
from app.people.roles import Door
from app.people.second_factor import Confirmed, WrongCode
from app.people.signing_in import PasswordTooShort, Proved, SignedIn
from issuance.qr import plain_svg
from ledger.moments import Moment
from ledger.refusal import Refusal

T = TypeVar("T")


def device_of(request: Asked) -> str:
    """Return what the list of sessions calls this browser."""
    agent = request.headers.get("user-agent", "")
    system = next(
        (
            name
            for mark, name in (
                ("Android", "Android"),
                ("iPhone", "iPhone"),
                ("iPad", "iPad"),
                ("Windows", "Windows"),
                ("Mac OS", "Mac"),
                ("Linux", "Linux"),
            )
            if mark in agent
        ),
        "?",
    )
    browser = next(
        (
            name
            for mark, name in (
                ("Firefox/", "Firefox"),
                ("Edg/", "Edge"),
                ("Chrome/", "Chrome"),
                ("Safari/", "Safari"),
            )
            if mark in agent
        ),
        "?",
    )
    return f"{browser}, {system}"


def let_in(request: Asked, departement: str, signed: SignedIn) -> Redirect:
    """Send someone on with the cookie of their session: home, or to the second proof."""
    to = f"/{departement}/connexion/code" if signed.factor_due else f"/{departement}/"
    answer = go(to)
    answer.set_cookie(session_cookie(request, departement, signed.token))
    return answer


def session_cookie(request: Asked, departement: str, token: str) -> Cookie:
    """Return the cookie of a session, for HTTPS only where the browser speaks it."""
    return cookie(departement, token, secure=on_https(request))


async def knowing(
    request: Asked, login: str, typed: str, work: Callable[[Session, Proved, Moment], T]
) -> T | Refusal:
    """Verify a password, then do `work(session, proved, now)`; nothing is held while it is verified.

    Returns `SignInRefused`, or `SignInSlowed` after five failures.
    """
    guess = await acting(
        request, lambda session, now: signing_in.guess(session, login, now=now)
    )
    if isinstance(guess, Refusal):
        return guess
    proved = await asyncio.to_thread(signing_in.verify, guess, typed)
    if isinstance(proved, Refusal):
        return proved
    return await acting(request, lambda session, now: work(session, proved, now))


class Doors(Controller):
    """Pages that let people in."""

    path = "/{departement:str}"
    include_in_schema = False

    @get("/connexion", opt={"door": Door.OPEN}, sync_to_thread=True)
    def sign_in_form(self, request: Asked) -> Response[str]:
        """Show the way in."""
        return page(request, "sign_in.html", login="")

    @post("/connexion", opt={"door": Door.OPEN})
    async def sign_in(self, departement: FromPath[str], request: Asked) -> Answer:
        """Open a session, or tell that something is wrong, never what."""
        fields = await form_of(request)
        login, device = fields.get("login", ""), device_of(request)

        def entered(session: Session, proved: Proved, now: Moment) -> SignedIn | Refusal:
            return signing_in.sign_in(session, proved, device=device, now=now)

        result = await knowing(request, login, fields.get("password", ""), entered)
        if isinstance(result, Refusal):
            wrong = {"login": sentence(request, result)}
            return again(request, "sign_in.html", wrong, login=login)
        return let_in(request, departement, result)

    @get("/connexion/code", opt={"door": Door.HALF}, sync_to_thread=True)
    def code_form(self, departement: FromPath[str], request: Asked) -> Answer:
        """Ask for the second proof."""
        if not visitor_of(request).session.factor_due:
            return go(f"/{departement}/")
        return page(request, "second_factor.html", **proofs_of(request))

    @post("/connexion/code", opt={"door": Door.HALF})
    async def code(self, departement: FromPath[str], request: Asked) -> Answer:
        """Take the second proof: six digits, or a recovery code; each is good once."""
        typed = (await form_of(request)).get("code", "")
        open_one, sealer = visitor_of(request).session, serving_of(request).instance.sealer

        def checked(session: Session, now: Moment) -> str | Refusal:
            return second_factor.prove(session, open_one, typed, sealer=sealer, now=now)

        result = await acting(request, checked)
        if isinstance(result, Refusal):
            proofs = await asyncio.to_thread(proofs_of, request)
            wrong = {"code": sentence(request, result)}
            return again(request, "second_factor.html", wrong, **proofs)
        return let_in(request, departement, SignedIn(result, factor_due=False))

    @post("/deconnexion", opt={"door": Door.HALF})
    async def sign_out(self, departement: FromPath[str], request: Asked) -> Answer:
        """Close the session; its cookie opens nothing any more.

        Whoever came in through a provider is sent to sign out there too: by the page that is
        answered, for its policy lets a form go nowhere else.
        """
        await form_of(request)
        this = visitor_of(request).session

        def closed(session: Session, now: Moment) -> None:
            sessions.close(session, this.person, this.digest, now=now)

        await acting(request, closed)
        there = await asyncio.to_thread(way_out, request, departement)
        answer: Answer
        if there is None:
            answer = go(f"/{departement}/connexion", done="signed_out")
        else:
            request.scope["state"].pop("visitor")
            answer = page(request, "identity_left.html", there=there)
            answer.headers["Refresh"] = f"0; url={there}"
            answer.delete_cookie(
                leaving.cookie_name(departement), path=f"/{departement}/deconnexion"
            )
        answer.delete_cookie(cookie_name(departement), path=f"/{departement}")
        return answer

    @get("/invitation", opt={"door": Door.OPEN}, sync_to_thread=True)
    def invitation_form(self, request: Asked) -> Response[str]:
        """Ask for the code of a letter or an e-mail, and for a password."""
        return page(request, "invitation.html", code="")

    @post("/invitation", opt={"door": Door.OPEN})
    async def accept(self, departement: FromPath[str], request: Asked) -> Answer:
        """Take an invitation up, once."""
        fields = await form_of(request)
        code, chosen = fields.get("code", ""), fields.get("password", "")
        if chosen != fields.get("password_again", ""):
            differ = language_of(request).refusal("passwords_differ")
            return again(request, "invitation.html", {"password_again": differ}, code=code)

        result = await _accepted(request, code, chosen)
        if isinstance(result, Refusal):
            field = "code" if result.code == "invitation_refused" else "password"
            wrong = {field: sentence(request, result)}
            return again(request, "invitation.html", wrong, code=code)
        return let_in(request, departement, result)


async def _accepted(request: Asked, code: str, typed: str) -> SignedIn | Refusal:
    """Take an invitation up; nothing is held while the password is hashed."""

    def look() -> str | Refusal:
        with reading(request) as session:
            return signing_in.invited(session, code, now=now_of(request))

    login = await asyncio.to_thread(look)
    if isinstance(login, Refusal):
        return login
    chosen = await asyncio.to_thread(signing_in.choose, login, typed)
    if isinstance(chosen, Refusal):
        return chosen

    def accepted(session: Session, now: Moment) -> SignedIn | Refusal:
        device = device_of(request)
        return signing_in.accept_invitation(session, code, chosen, device=device, now=now)

    return await acting(request, accepted)


class Account(Controller):
    """What a person decides about their own account."""

    path = "/{departement:str}/compte"
    include_in_schema = False

    @get("/", opt={"door": Door.SIGNED_IN}, sync_to_thread=True)
    def account(self, request: Asked) -> Response[str]:
        """Show roles, second proof and open sessions."""
        return page(request, "account.html", **account_of(request))

    @post("/mot-de-passe", opt={"door": Door.SIGNED_IN})
    async def password(self, departement: FromPath[str], request: Asked) -> Answer:
        """Change the password; other sessions end."""
        fields = await form_of(request)
        visitor = visitor_of(request)
        chosen = await asyncio.to_thread(
            signing_in.choose, visitor.login, fields.get("password", "")
        )

        def changed(session: Session, proved: Proved, now: Moment) -> str | Refusal:
            if isinstance(chosen, PasswordTooShort):
                return chosen
            this = visitor.session
            no = signing_in.change_password(
                session, proved, chosen, keep=this.digest, now=now
            )
            return no or sessions.renew(session, this)

        result = await knowing(request, visitor.login, fields.get("old", ""), changed)
        if isinstance(result, Refusal):
            field = "password" if isinstance(result, PasswordTooShort) else "old"
            return await account_again(request, {field: result})
        answer = go(f"/{departement}/compte", done="password_changed")
        answer.set_cookie(session_cookie(request, departement, result))
        return answer

    @post("/sessions/fermer", opt={"door": Door.SIGNED_IN})
    async def close(self, departement: FromPath[str], request: Asked) -> Answer:
        """End one of one's own sessions."""
        fields = await form_of(request)
        who = visitor_of(request).session.person
        try:
            digest = bytes.fromhex(fields.get("session", ""))
        except ValueError:
            digest = b""

        def closed(session: Session, now: Moment) -> None:
            sessions.close(session, who, digest, now=now)

        await acting(request, closed)
        return go(f"/{departement}/compte", done="session_closed")

    @post("/telephone", opt={"door": Door.SIGNED_IN})
    async def begin(self, departement: FromPath[str], request: Asked) -> Answer:
        """Draw a secret for a telephone; nothing changes until its first code is typed."""
        await form_of(request)
        who, sealer = (
            visitor_of(request).session.person,
            serving_of(request).instance.sealer,
        )

        def begun(session: Session, now: Moment) -> None:
            del now
            if not second_factor.has_totp(session, who):
                second_factor.begin_totp(session, who, sealer=sealer)

        await acting(request, begun)
        return go(f"/{departement}/compte/telephone")

    @get("/telephone", opt={"door": Door.SIGNED_IN}, sync_to_thread=True)
    def telephone(self, departement: FromPath[str], request: Asked) -> Answer:
        """Show the QR code to scan with an authenticator."""
        shown = _secret(request, departement)
        return (
            page(request, "telephone.html", **shown)
            if shown
            else go(f"/{departement}/compte")
        )

    @post("/telephone/confirmer", opt={"door": Door.SIGNED_IN})
    async def confirm(self, departement: FromPath[str], request: Asked) -> Answer:
        """Take the first code, and show the recovery codes once."""
        fields = await form_of(request)
        open_one, sealer = visitor_of(request).session, serving_of(request).instance.sealer

        def confirmed(session: Session, now: Moment) -> Confirmed | WrongCode:
            typed = fields.get("code", "")
            return second_factor.confirm_totp(
                session, open_one, typed, sealer=sealer, now=now
            )

        result = await acting(request, confirmed)
        if isinstance(result, WrongCode):
            shown = await asyncio.to_thread(_secret, request, departement)
            if shown is None:
                return go(f"/{departement}/compte")
            return again(
                request, "telephone.html", {"code": sentence(request, result)}, **shown
            )
        token, codes = result
        answer = page(request, "recovery_codes.html", codes=codes)
        answer.set_cookie(session_cookie(request, departement, token))
        return answer


def account_of(request: Asked) -> dict[str, Any]:
    """Return what the page of an account shows."""
    who, now = visitor_of(request).session.person, now_of(request)
    with reading(request) as session:
        return {
            "sessions": sessions.open_sessions(session, who, now=now),
            "telephone": second_factor.has_totp(session, who),
            "passkeys": passkeys.passkeys(session, who),
            "identities": identities.identities(session, who),
            "codes_left": second_factor.recovery_codes_left(session, who),
        }


async def account_again(request: Asked, wrong: dict[str, Refusal]) -> Response[str]:
    """Show the page of an account again, with what was refused beside its field."""
    told = await asyncio.to_thread(account_of, request)
    errors = {field: sentence(request, no) for field, no in wrong.items()}
    return again(request, "account.html", errors, **told)


def proofs_of(request: Asked) -> dict[str, Any]:
    """Return which second proofs a visitor can give."""
    who = visitor_of(request).session.person
    with reading(request) as session:
        return {
            "telephone": second_factor.has_totp(session, who),
            "passkey": second_factor.has_passkey(session, who),
        }


def _secret(request: Asked, departement: str) -> dict[str, Any] | None:
    visitor, sealer = visitor_of(request), serving_of(request).instance.sealer
    with reading(request) as session:
        secret = second_factor.waiting_secret(
            session, visitor.session.person, sealer=sealer
        )
    if secret is None:
        return None
    issuer = f"Pass numérique {departement}"
    address = second_factor.address(secret, login=visitor.login, issuer=issuer)
    return {"secret": secret, "qr": plain_svg(address)}
