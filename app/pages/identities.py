"""Signing in through ProConnect, or another OpenID provider: there, back, and out.

Where no provider is set, these addresses lead to the usual door.

The browser is sent by a link, never by a form: a page's policy lets forms go nowhere else, and
a provider sends on to others.  It comes back with the cookie it left with, or not at all.
"""

import asyncio
import re

from litestar import Controller, get, post
from litestar.datastructures import Cookie
from litestar.params import FromPath
from litestar.response import Redirect
from litestar.status_codes import HTTP_303_SEE_OTHER
from sqlalchemy.orm import Session

from app.pages.doors import account_again, device_of, knowing, let_in
from app.pages.frame import (
    Answer,
    Asked,
    acting,
    again,
    form_of,
    go,
    page,
    sentence,
    serving_of,
    visitor_of,
)
from app.pages.leaving import address, on_https, provider_of, remembered
from app.pages.visitors import SignInNeeded, token_of
from app.people import identities, sessions, signing_in
from app.people.identities import FLOW_LASTS, Flow, SignInUnfinished
from app.people.provider import Proof, ProviderRefused, Sent
from app.people.roles import Door
from app.people.signing_in import Proved, SignedIn
from ledger.moments import Moment
from ledger.refusal import Refusal

# A plain word is repeated to people, anything else is not (RFC 6749, 4.1.2.1).
ERROR = re.compile(r"[a-z_]{1,40}")


def _cookie(request: Asked, departement: str, secret: str) -> Cookie:
    return Cookie(
        key=_cookie_name(departement),
        value=secret,
        path=_path(departement),
        httponly=True,
        # The provider's answer is a visit from another site.
        samesite="lax",
        secure=on_https(request),
        max_age=int(FLOW_LASTS.total_seconds()),
    )


def _cookie_name(departement: str) -> str:
    return f"passnum_{departement}_oidc"


def _path(departement: str) -> str:
    return f"/{departement}/connexion/oidc"


def _back(request: Asked, departement: str) -> str:
    return address(request, f"{_path(departement)}/retour")


class OidcDoor(Controller):
    """The way in through a provider."""

    path = "/{departement:str}/connexion/oidc"
    include_in_schema = False

    @get("/", opt={"door": Door.OPEN}, sync_to_thread=True)
    def leave(self, departement: FromPath[str], request: Asked) -> Answer:
        """Send the browser to the provider."""
        provider, instance = provider_of(request), serving_of(request).instance
        if provider is None:
            return go(f"/{departement}/connexion")
        with instance.database.begin(departement) as session:
            now = instance.moment(departement)
            secret, sent = identities.begin(session, link=None, now=now)
        there = provider.way_in(sent, back=_back(request, departement))
        answer = Redirect(there, status_code=HTTP_303_SEE_OTHER)
        answer.set_cookie(_cookie(request, departement, secret))
        return answer

    @get("/retour", opt={"door": Door.OPEN}, sync_to_thread=True)
    def come_back(self, departement: FromPath[str], request: Asked) -> Answer:
        """Judge what the provider sent the browser back with, once."""
        provider, instance = provider_of(request), serving_of(request).instance
        if provider is None:
            return go(f"/{departement}/connexion")
        now = instance.moment(departement)
        told = request.query_params
        secret = request.cookies.get(_cookie_name(departement), "")
        with instance.database.begin(departement) as session:
            flow = identities.come_back(session, secret, told.get("state", ""), now=now)
        if flow is None:
            raise SignInUnfinished
        if (error := told.get("error")) is not None:
            raise ProviderRefused(error if ERROR.fullmatch(error) else "?")
        # No transaction is open while the provider is asked.
        proof, id_token = provider.proved(
            told.get("code", ""),
            told.get("iss"),
            flow.sent,
            back=_back(request, departement),
            now=now.at,
        )
        if flow.session is not None:
            answer = self._linked(request, departement, flow, proof)
        else:
            answer = self._entered(request, departement, proof)
        if (kept := remembered(request, departement, id_token)) is not None:
            answer.set_cookie(kept)
        return answer

    def _entered(self, request: Asked, departement: str, proof: Proof) -> Answer:
        serving = serving_of(request)
        now = serving.instance.moment(departement)
        with serving.instance.database.begin(departement) as session:
            signed = identities.sign_in(session, proof, device=device_of(request), now=now)
            secret = "" if signed else identities.keep(session, proof, now=now)
        if signed is None:
            answer = go(f"{_path(departement)}/invitation")
            answer.set_cookie(_cookie(request, departement, secret))
            return answer
        serving.committed(departement)
        answer = let_in(request, departement, signed)
        answer.delete_cookie(_cookie_name(departement), path=_path(departement))
        return answer

    def _linked(self, request: Asked, departement: str, flow: Flow, proof: Proof) -> Answer:
        serving = serving_of(request)
        now = serving.instance.moment(departement)
        with serving.instance.database.begin(departement) as session:
            # The session that asked is the one that comes back, and still opens its doors.
            found = sessions.recall(session, token_of(request, departement), now=now)
            if found is None or found.digest != flow.session:
                raise SignInNeeded
            no = identities.link(session, found.person, proof, now=now)
        if no is not None:
            raise no
        serving.committed(departement)
        return go(f"/{departement}/compte", done="identity_linked")

    @get("/invitation", opt={"door": Door.OPEN}, sync_to_thread=True)
    def unknown(self, departement: FromPath[str], request: Asked) -> Answer:
        """Tell that this identity is nobody's yet, and ask for an invitation code."""
        if provider_of(request) is None:
            return go(f"/{departement}/connexion")
        return page(request, "identity_unknown.html", code="")

    @post("/invitation", opt={"door": Door.OPEN})
    async def accept(self, departement: FromPath[str], request: Asked) -> Answer:
        """Link the identity that was proved to whoever was invited, once."""
        fields = await form_of(request)
        if provider_of(request) is None:
            return go(f"/{departement}/connexion")
        secret = request.cookies.get(_cookie_name(departement), "")
        code, device = fields.get("code", ""), device_of(request)

        def accepted(session: Session, now: Moment) -> SignedIn | Refusal:
            return identities.accept_invitation(
                session, secret, code, device=device, now=now
            )

        result = await acting(request, accepted)
        if isinstance(result, Refusal):
            wrong = {"code": sentence(request, result)}
            return again(request, "identity_unknown.html", wrong, code=code)
        answer = let_in(request, departement, result)
        answer.delete_cookie(_cookie_name(departement), path=_path(departement))
        return answer


class Identities(Controller):
    """One's own identities."""

    path = "/{departement:str}/compte/oidc"
    include_in_schema = False

    @post("/", opt={"door": Door.SIGNED_IN})
    async def link(self, departement: FromPath[str], request: Asked) -> Answer:
        """Prepare to link an identity, with the password; a page's link leads to the provider."""
        provider, fields = provider_of(request), await form_of(request)
        if provider is None:
            return go(f"/{departement}/compte")
        visitor = visitor_of(request)

        def begun(
            session: Session, proved: Proved, now: Moment
        ) -> tuple[str, Sent] | Refusal:
            no = signing_in.may_change(session, proved)
            return no or identities.begin(session, link=visitor.session, now=now)

        typed = fields.get("oidc_password", "")
        result = await knowing(request, visitor.login, typed, begun)
        if isinstance(result, Refusal):
            return await account_again(request, {"oidc_password": result})
        secret, sent = result
        back = _back(request, departement)
        there = await asyncio.to_thread(provider.way_in, sent, back=back)
        answer = page(request, "identity_leave.html", there=there)
        answer.set_cookie(_cookie(request, departement, secret))
        return answer

    @post("/retirer", opt={"door": Door.SIGNED_IN})
    async def unlink(self, departement: FromPath[str], request: Asked) -> Answer:
        """Unlink one's identities, with the password that is left to sign in with."""
        fields = await form_of(request)
        if provider_of(request) is None:
            return go(f"/{departement}/compte")

        def unlinked(session: Session, proved: Proved, now: Moment) -> Refusal | None:
            no = signing_in.may_change(session, proved)
            if no is None:
                identities.unlink(session, proved.person, now=now)
            return no

        typed = fields.get("oidc_password", "")
        no = await knowing(request, visitor_of(request).login, typed, unlinked)
        if no is not None:
            return await account_again(request, {"oidc_password": no})
        return go(f"/{departement}/compte", done="identity_unlinked")
