"""Passkeys: adding one, removing one, and giving one as the second proof.

The browser's part is frontend/src/passkeys.js: it asks for options, has them signed, and sends
the answer in the form, so that what follows is a page like any other.
"""

import asyncio
from typing import Any

from litestar import Controller, MediaType, Response, post
from litestar.params import FromPath
from litestar.status_codes import HTTP_200_OK
from sqlalchemy.orm import Session

from app.errors import language_of
from app.pages.doors import account_again, knowing, let_in, proofs_of, session_cookie
from app.pages.frame import (
    HEADERS,
    Answer,
    Asked,
    acting,
    again,
    form_of,
    go,
    page,
    sentence,
    visitor_of,
)
from app.people import passkeys
from app.people.passkeys import Added, Place
from app.people.roles import Door
from app.people.signing_in import Proved, SignedIn
from ledger.moments import Moment
from ledger.refusal import Refusal


def _place(request: Asked) -> Place:
    return passkeys.place(request.headers.get("host", ""))


def _told(options: str) -> Response[Any]:
    return Response(
        options.encode(),
        media_type=MediaType.JSON,
        status_code=HTTP_200_OK,
        headers=HEADERS,
    )


class PasskeyDoor(Controller):
    """The second proof, given by a passkey."""

    path = "/{departement:str}/connexion/cle"
    include_in_schema = False

    @post("/options", opt={"door": Door.HALF})
    async def options(self, request: Asked) -> Response[Any]:
        """Tell the browser what to sign."""
        await form_of(request)
        open_one, at = visitor_of(request).session, _place(request)

        def asked(session: Session, now: Moment) -> str:
            return passkeys.options_to_prove(session, open_one, at=at, now=now)

        return _told(await acting(request, asked))

    @post("/", opt={"door": Door.HALF})
    async def prove(self, departement: FromPath[str], request: Asked) -> Answer:
        """Take what the key signed."""
        signed = (await form_of(request)).get("credential", "")
        open_one, at = visitor_of(request).session, _place(request)

        def checked(session: Session, now: Moment) -> str | Refusal:
            return passkeys.prove(session, open_one, signed, at=at, now=now)

        result = await acting(request, checked)
        if isinstance(result, Refusal):
            proofs = await asyncio.to_thread(proofs_of, request)
            wrong = {"passkey": sentence(request, result)}
            return again(request, "second_factor.html", wrong, **proofs)
        return let_in(request, departement, SignedIn(result, factor_due=False))


class Passkeys(Controller):
    """One's own passkeys."""

    path = "/{departement:str}/compte/cles"
    include_in_schema = False

    @post("/options", opt={"door": Door.SIGNED_IN})
    async def options(self, request: Asked) -> Response[Any]:
        """Tell the browser what key to make."""
        await form_of(request)
        visitor, at = visitor_of(request), _place(request)

        def asked(session: Session, now: Moment) -> str:
            return passkeys.options_to_add(
                session,
                visitor.session,
                login=visitor.login,
                name=visitor.name,
                at=at,
                now=now,
            )

        return _told(await acting(request, asked))

    @post("/", opt={"door": Door.SIGNED_IN})
    async def add(self, departement: FromPath[str], request: Asked) -> Answer:
        """Keep a key; recovery codes are shown once where there were none."""
        fields = await form_of(request)
        open_one, at = visitor_of(request).session, _place(request)
        made = fields.get("credential", "")
        name = fields.get("name") or language_of(request).text("Ma clé d'accès")

        def added(session: Session, now: Moment) -> Added | Refusal:
            return passkeys.add(session, open_one, made, name=name, at=at, now=now)

        result = await acting(request, added)
        if isinstance(result, Refusal):
            return await account_again(request, {"passkey": result})
        answer: Answer
        if result.codes:
            answer = page(request, "recovery_codes.html", codes=result.codes)
        else:
            answer = go(f"/{departement}/compte", done="passkey_added")
        answer.set_cookie(session_cookie(request, departement, result.token))
        return answer

    @post("/retirer", opt={"door": Door.SIGNED_IN})
    async def remove(self, departement: FromPath[str], request: Asked) -> Answer:
        """Remove a key, with the password."""
        fields = await form_of(request)
        try:
            which = bytes.fromhex(fields.get("passkey", ""))
        except ValueError:
            which = b""

        def removed(session: Session, proved: Proved, now: Moment) -> Refusal | None:
            return passkeys.remove(session, proved, which, now=now)

        typed = fields.get("passkey_password", "")
        no = await knowing(request, visitor_of(request).login, typed, removed)
        if no is not None:
            return await account_again(request, {"passkey_password": no})
        return go(f"/{departement}/compte", done="passkey_removed")
