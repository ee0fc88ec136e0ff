"""A desk's room: carnets handed out one after the other, on one page, to people in a queue.

A form that only names a carnet is answered by what is to be asked of it; one sent by its last
button hands out.  The same forms come from a browser without scripts, from the page's script, and
from what it kept while there was no network, which asks for JSON.
"""

import asyncio
from datetime import date, timedelta
from typing import Any, get_args

from litestar import Controller, MediaType, Response, get, post
from litestar.status_codes import HTTP_200_OK, HTTP_422_UNPROCESSABLE_ENTITY
from sqlalchemy.orm import Session

from app.errors import STATUSES, language_of, problem
from app.pages.frame import (
    HEADERS,
    Asked,
    acting,
    again,
    form_of,
    now_of,
    page,
    reading,
    serving_of,
    visitor_of,
)
from app.pages.hand_out_form import (
    Looked,
    No,
    asked_for,
    look,
    missing,
    names_asked,
    shown_again,
)
from app.people.roles import Action
from issuance.asked_at_desks import more_is_asked
from issuance.given_today import given_today
from issuance.hand_outs import HandOut, Need, Proof
from issuance.quotas import quotas
from ledger.attempts import Answer as Told
from ledger.attempts import facts_of
from ledger.moments import Moment
from ledger.refusal import Refusal
from redemption.hand_out import hand_out

TEMPLATE = "hand_out.html"
# What is offered to the next person as it was answered for the last one.
KEPT = ("desk", "pic", "proof", "category")
# The field that a refusal is about; any other is about the carnet.
FIELDS = {
    "public_not_targeted": "category",
    "given_on_impossible": "given_on",
    "holder_needed": "surname",
    "limit_per_person": "despite_limit",
}


class Prescriber(Controller):
    """What someone at a desk does."""

    path = "/{departement:str}/remise"
    include_in_schema = False

    @get("/", opt={"door": Action.HAND_OUT}, sync_to_thread=True)
    def room(self, request: Asked) -> Response[str]:
        """Ask for a carnet.  Nothing is read from the address: a QR code in it would be logged."""
        return page(request, TEMPLATE, **_shown(request))

    @post("/", opt={"door": Action.HAND_OUT})
    async def give(self, request: Asked) -> Response[Any]:
        """Say what is to be asked of a carnet; or hand it out, once whatever the clicks."""
        fields = await form_of(request)
        visitor, m = visitor_of(request), language_of(request)
        for_a_program = _wants_json(request)
        found = await asyncio.to_thread(_look, request, fields)
        if isinstance(found, No):
            said = m.refusal(found.code, found.facts)
            if for_a_program:
                return _problem(found.code, said)
            return await _again(request, {"carnet": said}, fields)
        named = str(found.carnet.number)
        other = fields.get("about", named) != named and not for_a_program
        if other or not fields.get("give"):
            shown = await asyncio.to_thread(_shown, request, fields, found)
            return page(request, TEMPLATE, **shown)
        if errors := missing(m, fields, visitor.desks, found.carnet.rules):
            if for_a_program:
                return _problem("choice_needed", next(iter(errors.values())))
            return await _again(request, errors, fields, found)
        asked = asked_for(visitor, found, fields)
        told = await _given(request, asked, shown="kept" if for_a_program else None)
        if not told.accepted:
            said = _why(request, told)
            if for_a_program:
                return _problem(told.code, said)
            errors = {FIELDS.get(told.code, "carnet"): said}
            return await _again(request, errors, fields, found)
        result = _result(request, found, asked, told)
        if for_a_program:
            body = {"code": told.code, "text": result["title"]}
            return Response(
                body, status_code=HTTP_200_OK, media_type=MediaType.JSON, headers=HEADERS
            )
        kept = {name: fields[name] for name in KEPT if name in fields}
        shown = await asyncio.to_thread(_shown, request, kept, of=found.carnet.tranche)
        return page(request, TEMPLATE, **(shown | {"result": result}))


async def _given(request: Asked, asked: HandOut, shown: str | None) -> Told:
    visitor, sealer = visitor_of(request), serving_of(request).instance.sealer

    def given(session: Session, now: Moment) -> Told:
        by = str(visitor.session.person)
        return hand_out(session, asked, by=by, now=now, sealer=sealer, shown=shown)

    try:
        return await acting(request, given)
    except Refusal as no:  # nothing was kept of it: what was typed can be sent again
        return Told(asked.id, no.code, facts_of(no))


def _why(request: Asked, told: Told) -> str:
    m, facts = language_of(request), dict(told.facts)
    if "publics" in facts:
        facts["publics"] = [m.word_or_code("public", public) for public in facts["publics"]]
    return m.refusal(told.code, facts)


def _look(request: Asked, fields: dict[str, str]) -> Looked | No:
    visitor = visitor_of(request)
    serving = serving_of(request)
    keyring = serving.instance.keyring(visitor.departement)
    try:
        with reading(request) as session:
            return look(session, visitor, keyring, serving.guesses, fields)
    except Refusal as no:
        return No(no.code, facts_of(no))


def _wants_json(request: Asked) -> bool:
    """Tell whether the page's script asks again for what it kept: it reads no page then."""
    return request.headers.get("accept", "").startswith("application/json")


def _problem(code: str, said: str) -> Response[bytes]:
    return problem(STATUSES.get(code, HTTP_422_UNPROCESSABLE_ENTITY), code, said)


def _result(request: Asked, found: Looked, asked: HandOut, told: Told) -> dict[str, Any]:
    """Return what the page says first: what was given, what is left, what to tell the person."""
    m, called, serials = language_of(request), found.called, told.facts["serials"]
    return {
        "title": m.text("Carnet {carnet} remis : {n} pass", carnet=called, n=len(serials)),
        "late": asked.given_on if told.facts.get("recorded_late") else None,
        "rest": len(set(found.left) - set(serials)),
        "carnet": found.carnet,
    }


def _shown(
    request: Asked,
    typed: dict[str, str] | None = None,
    found: Looked | None = None,
    *,
    of: str | None = None,
) -> dict[str, Any]:
    """Return what the page shows: the answers so far, the carnet, what was handed out today.

    And where the tranche stands: that of the carnet, or `of` the last one.
    """
    tranche = of if found is None else found.carnet.tranche
    typed, now, visitor = dict(typed or {}), now_of(request), visitor_of(request)
    if found is not None:
        typed["carnet"] = found.again
    typed["carnet"] = shown_again(typed.get("carnet", ""))
    with reading(request) as session:
        today = given_today(session, str(visitor.session.person), visitor.desks, now=now)
        asks = more_is_asked(session, visitor.desks, today=now.day)
        quota = None if tranche is None else quotas(session, tranche)[0]
    return {
        "typed": typed,
        "looked": found,
        "part": any(name.startswith("pass_") for name in typed),
        "result": None,
        "today": today,
        "quota": quota,
        "asks": asks,
        "now": now,
        "names": found is not None and names_asked(found.carnet.rules),
        "since": _since(found, now),
        "proofs": get_args(Proof)[:3],
        "needs": get_args(Need),
    }


def _since(found: Looked | None, now: Moment) -> date | None:
    """Return the first day that a hand-out recorded today may have been of."""
    if found is None:
        return None
    return now.day - timedelta(days=found.carnet.rules.late_days)


async def _again(
    request: Asked,
    errors: dict[str, str],
    fields: dict[str, str],
    found: Looked | None = None,
) -> Response[str]:
    shown = await asyncio.to_thread(_shown, request, fields, found)
    return again(request, TEMPLATE, errors, **shown)
