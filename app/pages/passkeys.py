"""Passkeys: adding one, removing one, and giving one as the second proof.

The browser's part is frontend/src/passkeys.js: it asks for options, has them signed, and sends
the answer in the form, so that what follows is a page like any other.
"""

import asyncio
from typing import Any

from litestar import Controller, MediaType, Response, post
from litestar.params import FromPath
from litestar.status_codes import HTTP_200_OK

from app.errors import language_of
from app.pages.doors import Answer, account_of, let_in, proofs_of, session_cookie
from app.pages.frame import (
    HEADERS,
    Asked,
    again,
    form_of,
    go,
    page,
    sentence,
    serving_of,
    visitor_of,
)
from app.people import passkeys
from app.people.passkeys import Added, Place
from app.people.roles import Door
from app.people.signing_in import SignedIn
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
    async def options(self, departement: FromPath[str], request: Asked) -> Response[Any]:
        """Tell the browser what to sign."""
        await form_of(request)
        visitor, serving = visitor_of(request), serving_of(request)

        def asked() -> str:
            with serving.instance.database.begin(departement) as session:
                now = serving.instance.moment(departement)
                return passkeys.options_to_prove(
                    session, visitor.session, at=_place(request), now=now
                )

        return _told(await asyncio.to_thread(asked))

    @post("/", opt={"door": Door.HALF})
    async def prove(self, departement: FromPath[str], request: Asked) -> Answer:
        """Take what the key signed."""
        fields = await form_of(request)
        visitor, serving = visitor_of(request), serving_of(request)

        def proved() -> str | Refusal:
            with serving.instance.database.begin(departement) as session:
                return passkeys.prove(
                    session,
                    visitor.session,
                    fields.get("credential", ""),
                    at=_place(request),
                    now=serving.instance.moment(departement),
                )

        result = await asyncio.to_thread(proved)
        await asyncio.to_thread(serving.committed, departement)
        if isinstance(result, Refusal):
            proofs = await asyncio.to_thread(proofs_of, request, departement)
            wrong = {"passkey": sentence(request, result)}
            return again(request, "second_factor.html", wrong, **proofs)
        return let_in(request, departement, SignedIn(result, factor_due=False))


class Passkeys(Controller):
    """One's own passkeys."""

    path = "/{departement:str}/compte/cles"
    include_in_schema = False

    @post("/options", opt={"door": Door.SIGNED_IN})
    async def options(self, departement: FromPath[str], request: Asked) -> Response[Any]:
        """Tell the browser what key to make."""
        await form_of(request)
        visitor, serving = visitor_of(request), serving_of(request)

        def asked() -> str:
            with serving.instance.database.begin(departement) as session:
                return passkeys.options_to_add(
                    session,
                    visitor.session,
                    login=visitor.login,
                    name=visitor.name,
                    at=_place(request),
                    now=serving.instance.moment(departement),
                )

        return _told(await asyncio.to_thread(asked))

    @post("/", opt={"door": Door.SIGNED_IN})
    async def add(self, departement: FromPath[str], request: Asked) -> Answer:
        """Keep a key; recovery codes are shown once where there were none."""
        fields = await form_of(request)
        visitor, serving = visitor_of(request), serving_of(request)
        name = fields.get("name") or language_of(request).text("Ma clé d'accès")

        def added() -> Added | Refusal:
            with serving.instance.database.begin(departement) as session:
                return passkeys.add(
                    session,
                    visitor.session,
                    fields.get("credential", ""),
                    name=name,
                    at=_place(request),
                    now=serving.instance.moment(departement),
                )

        result = await asyncio.to_thread(added)
        if isinstance(result, Refusal):
            return await self._again(request, departement, {"passkey": result})
        await asyncio.to_thread(serving.committed, departement)
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
        visitor, serving = visitor_of(request), serving_of(request)
        try:
            which = bytes.fromhex(fields.get("passkey", ""))
        except ValueError:
            which = b""

        def removed() -> Refusal | None:
            with serving.instance.database.begin(departement) as session:
                return passkeys.remove(
                    session,
                    visitor.session.person,
                    which,
                    fields.get("passkey_password", ""),
                    now=serving.instance.moment(departement),
                )

        no = await asyncio.to_thread(removed)
        if no is not None:
            return await self._again(request, departement, {"passkey_password": no})
        await asyncio.to_thread(serving.committed, departement)
        return go(f"/{departement}/compte", done="passkey_removed")

    async def _again(
        self, request: Asked, departement: str, wrong: dict[str, Refusal]
    ) -> Answer:
        told = await asyncio.to_thread(account_of, request, departement)
        errors = {field: sentence(request, no) for field, no in wrong.items()}
        return again(request, "account.html", errors, **told)
