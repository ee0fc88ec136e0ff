"""The doors: signing in, the second proof, invitations, and one's own account."""

import asyncio
from typing import Any

from litestar import Controller, Response, get, post
from litestar.datastructures import Cookie
from litestar.params import FromPath
from litestar.response import Redirect

from app.errors import language_of
from app.pages import leaving
from app.pages.frame import (
    Asked,
    again,
    form_of,
    go,
    page,
    sentence,
    serving_of,
    visitor_of,
)
from app.pages.leaving import on_https, way_out
from app.pages.visitors import cookie, cookie_name
from app.people import failures, identities, passkeys, second_factor, sessions, signing_in
from app.people.roles import Door
from app.people.second_factor import WrongCode
from app.people.signing_in import SignedIn
from issuance.qr import plain_svg
from ledger.refusal import Refusal

Answer = Response[str] | Redirect


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


class Doors(Controller):
    """Pages that let people in."""

    path = "/{departement:str}"
    include_in_schema = False

    @get("/connexion", opt={"door": Door.OPEN}, sync_to_thread=True)
    def sign_in_form(self, departement: FromPath[str], request: Asked) -> Response[str]:
        """Show the way in."""
        del departement
        return page(request, "sign_in.html", login="")

    @post("/connexion", opt={"door": Door.OPEN})
    async def sign_in(self, departement: FromPath[str], request: Asked) -> Answer:
        """Open a session, or tell that something is wrong, never what."""
        fields = await form_of(request)
        serving = serving_of(request)

        def entered() -> SignedIn | Refusal:
            with serving.instance.database.begin(departement) as session:
                return signing_in.sign_in(
                    session,
                    fields.get("login", ""),
                    fields.get("password", ""),
                    device=device_of(request),
                    now=serving.instance.moment(departement),
                )

        result = await asyncio.to_thread(entered)
        if isinstance(result, Refusal):
            return again(
                request,
                "sign_in.html",
                {"login": sentence(request, result)},
                login=fields.get("login", ""),
            )
        await asyncio.to_thread(serving.committed, departement)
        return let_in(request, departement, result)

    @get("/connexion/code", opt={"door": Door.HALF}, sync_to_thread=True)
    def code_form(self, departement: FromPath[str], request: Asked) -> Answer:
        """Ask for the second proof."""
        if not visitor_of(request).session.factor_due:
            return go(f"/{departement}/")
        return page(request, "second_factor.html", **proofs_of(request, departement))

    @post("/connexion/code", opt={"door": Door.HALF})
    async def code(self, departement: FromPath[str], request: Asked) -> Answer:
        """Take the second proof: six digits, or a recovery code; each is good once."""
        fields = await form_of(request)
        visitor, serving = visitor_of(request), serving_of(request)
        typed = fields.get("code", "")

        def proved() -> str | Refusal:
            now = serving.instance.moment(departement)
            who, sealer = visitor.session.person, serving.instance.sealer
            about = second_factor.guessed(who)
            with serving.instance.database.begin(departement) as session:
                if (slowed := failures.wait(session, about, now=now)) is not None:
                    return slowed
                factor = None
                if second_factor.check_totp(session, who, typed, sealer=sealer, now=now):
                    factor = "totp"
                elif second_factor.use_recovery_code(session, who, typed, now=now):
                    factor = "recovery"
                if factor is None:
                    failures.count(session, about, now=now)
                    return WrongCode()
                failures.forget(session, about)
                return sessions.confirm(session, visitor.session, factor=factor)

        result = await asyncio.to_thread(proved)
        if isinstance(result, Refusal):
            proofs = await asyncio.to_thread(proofs_of, request, departement)
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
        visitor, serving = visitor_of(request), serving_of(request)

        def closed() -> None:
            with serving.instance.database.begin(departement) as session:
                sessions.close(
                    session,
                    visitor.session.person,
                    visitor.session.digest,
                    now=serving.instance.moment(departement),
                )

        await asyncio.to_thread(closed)
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
    def invitation_form(self, departement: FromPath[str], request: Asked) -> Response[str]:
        """Ask for the code of a letter or an e-mail, and for a password."""
        del departement
        return page(request, "invitation.html", code="")

    @post("/invitation", opt={"door": Door.OPEN})
    async def accept(self, departement: FromPath[str], request: Asked) -> Answer:
        """Take an invitation up, once."""
        fields = await form_of(request)
        serving = serving_of(request)
        chosen = fields.get("password", "")
        if chosen != fields.get("password_again", ""):
            differ = language_of(request).refusal("passwords_differ")
            code = fields.get("code", "")
            return again(request, "invitation.html", {"password_again": differ}, code=code)

        def accepted() -> SignedIn | Refusal:
            now = serving.instance.moment(departement)
            with serving.instance.database.begin(departement) as session:
                return signing_in.accept_invitation(
                    session,
                    fields.get("code", ""),
                    chosen,
                    device=device_of(request),
                    now=now,
                )

        result = await asyncio.to_thread(accepted)
        if isinstance(result, Refusal):
            field = "code" if result.code == "invitation_refused" else "password"
            return again(
                request,
                "invitation.html",
                {field: sentence(request, result)},
                code=fields.get("code", ""),
            )
        await asyncio.to_thread(serving.committed, departement)
        return let_in(request, departement, result)


class Account(Controller):
    """What a person decides about their own account."""

    path = "/{departement:str}/compte"
    include_in_schema = False

    @get("/", opt={"door": Door.SIGNED_IN}, sync_to_thread=True)
    def account(self, departement: FromPath[str], request: Asked) -> Response[str]:
        """Show roles, second proof and open sessions."""
        return page(request, "account.html", **account_of(request, departement))

    @post("/mot-de-passe", opt={"door": Door.SIGNED_IN})
    async def password(self, departement: FromPath[str], request: Asked) -> Answer:
        """Change the password; other sessions end."""
        fields = await form_of(request)
        visitor, serving = visitor_of(request), serving_of(request)

        def changed() -> str | Refusal:
            with serving.instance.database.begin(departement) as session:
                no = signing_in.change_password(
                    session,
                    visitor.session.person,
                    fields.get("old", ""),
                    fields.get("password", ""),
                    keep=visitor.session.digest,
                    now=serving.instance.moment(departement),
                )
                return no or sessions.renew(session, visitor.session)

        result = await asyncio.to_thread(changed)
        if isinstance(result, Refusal):
            field = "password" if result.code == "password_too_short" else "old"
            told = await asyncio.to_thread(account_of, request, departement)
            wrong = {field: sentence(request, result)}
            return again(request, "account.html", wrong, **told)
        await asyncio.to_thread(serving.committed, departement)
        answer = go(f"/{departement}/compte", done="password_changed")
        answer.set_cookie(session_cookie(request, departement, result))
        return answer

    @post("/sessions/fermer", opt={"door": Door.SIGNED_IN})
    async def close(self, departement: FromPath[str], request: Asked) -> Answer:
        """End one of one's own sessions."""
        fields = await form_of(request)
        visitor, serving = visitor_of(request), serving_of(request)
        try:
            digest = bytes.fromhex(fields.get("session", ""))
        except ValueError:
            digest = b""

        def closed() -> None:
            with serving.instance.database.begin(departement) as session:
                now = serving.instance.moment(departement)
                sessions.close(session, visitor.session.person, digest, now=now)

        await asyncio.to_thread(closed)
        return go(f"/{departement}/compte", done="session_closed")

    @post("/telephone", opt={"door": Door.SIGNED_IN})
    async def begin(self, departement: FromPath[str], request: Asked) -> Answer:
        """Draw a secret for a telephone; nothing changes until its first code is typed."""
        await form_of(request)
        visitor, serving = visitor_of(request), serving_of(request)

        def begun() -> None:
            with serving.instance.database.begin(departement) as session:
                if not second_factor.has_totp(session, visitor.session.person):
                    second_factor.begin_totp(
                        session, visitor.session.person, sealer=serving.instance.sealer
                    )

        await asyncio.to_thread(begun)
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
        visitor, serving = visitor_of(request), serving_of(request)

        def confirmed() -> tuple[str, list[str]] | None:
            who, now = visitor.session.person, serving.instance.moment(departement)
            with serving.instance.database.begin(departement) as session:
                if second_factor.has_totp(session, who):
                    return None  # no guessing at a code that is in use
                right = second_factor.check_totp(
                    session,
                    who,
                    fields.get("code", ""),
                    sealer=serving.instance.sealer,
                    now=now,
                )
                if not right:
                    return None
                codes = second_factor.new_recovery_codes(session, who)
                # Whoever had only the password is shut out.
                sessions.close_others(session, who, but=visitor.session.digest, now=now)
                return sessions.confirm(session, visitor.session, factor="totp"), codes

        result = await asyncio.to_thread(confirmed)
        if result is None:
            shown = await asyncio.to_thread(_secret, request, departement)
            wrong = {"code": sentence(request, WrongCode())}
            if shown is None:
                return go(f"/{departement}/compte")
            return again(request, "telephone.html", wrong, **shown)
        token, codes = result
        answer = page(request, "recovery_codes.html", codes=codes)
        answer.set_cookie(session_cookie(request, departement, token))
        return answer


def account_of(request: Asked, departement: str) -> dict[str, Any]:
    """Return what the page of an account shows."""
    visitor, serving = visitor_of(request), serving_of(request)
    with serving.instance.database.begin(departement, read_only=True) as session:
        who = visitor.session.person
        now = serving.instance.moment(departement)
        return {
            "sessions": sessions.open_sessions(session, who, now=now),
            "telephone": second_factor.has_totp(session, who),
            "passkeys": passkeys.passkeys(session, who),
            "identities": identities.identities(session, who),
            "codes_left": second_factor.recovery_codes_left(session, who),
        }


def proofs_of(request: Asked, departement: str) -> dict[str, Any]:
    """Return which second proofs a visitor can give."""
    visitor, serving = visitor_of(request), serving_of(request)
    with serving.instance.database.begin(departement, read_only=True) as session:
        who = visitor.session.person
        return {
            "telephone": second_factor.has_totp(session, who),
            "passkey": second_factor.has_passkey(session, who),
        }


def _secret(request: Asked, departement: str) -> dict[str, Any] | None:
    visitor, serving = visitor_of(request), serving_of(request)
    with serving.instance.database.begin(departement, read_only=True) as session:
        secret = second_factor.waiting_secret(
            session, visitor.session.person, sealer=serving.instance.sealer
        )
    if secret is None:
        return None
    issuer = f"Pass numérique {departement}"
    address = second_factor.address(secret, login=visitor.login, issuer=issuer)
    return {"secret": secret, "qr": plain_svg(address)}
