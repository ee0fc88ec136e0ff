"""A desk's room: handing a carnet out, in three steps."""

import asyncio
from typing import Any, cast, get_args

from litestar import Controller, Response, get, post
from sqlalchemy.orm import Session

from app.errors import language_of
from app.pages.carnet_numbers import SeveralCarnets, carnet_named, carnet_typed
from app.pages.frame import (
    Answer,
    Asked,
    act_id,
    acting,
    again,
    form_of,
    page,
    reading,
    sentence,
    serving_of,
    visitor_of,
)
from app.people.roles import Action
from issuance.hand_outs import HandOut, Need, Proof
from issuance.queries import InHand, in_hand
from ledger.attempts import Answer as Told
from ledger.attempts import facts_of
from ledger.moments import Moment
from ledger.refusal import Refusal
from redemption.hand_out import hand_out


class Prescriber(Controller):
    """What someone at a desk does."""

    path = "/{departement:str}/remise"
    include_in_schema = False

    @get("/", opt={"door": Action.HAND_OUT}, sync_to_thread=True)
    def carnet(self, request: Asked) -> Response[str]:
        """Step 1 asks for the carnet's number; step 2, once it is known, for whom it is."""
        typed = request.query_params.get("carnet", "").strip()
        if not typed:
            return page(request, "hand_out_1.html", typed="")
        try:
            found = _named(request, typed)
        except SeveralCarnets as no:
            return again(
                request, "hand_out_1.html", {"carnet": sentence(request, no)}, typed=typed
            )
        if found is None:
            return _unknown(request, typed)
        return page(request, "hand_out_2.html", carnet=found, typed={}, **_choices())

    @post("/", opt={"door": Action.HAND_OUT})
    async def give(self, request: Asked) -> Answer:
        """Step 3: hand out, once whatever the clicks, and say what to tell the person."""
        fields = await form_of(request)
        visitor, sealer = visitor_of(request), serving_of(request).instance.sealer
        typed = fields.get("carnet", "")
        number = carnet_typed(visitor.departement, typed)
        carnet = await asyncio.to_thread(_in_hand, request, number)
        if carnet is None:
            return _unknown(request, typed)
        if errors := _missing(request, fields, visitor.desks):
            return _again(request, errors, carnet, fields)
        need, category = fields.get("need"), fields.get("category")
        asked = HandOut(
            act_id(fields),
            fields.get("desk") or visitor.desks[0],
            fields["pic"] == "yes",
            cast("Proof", fields["proof"]),
            carnet=carnet.number,
            category=category if category in carnet.publics else None,
            need=cast("Need", need) if need in get_args(Need) else None,
        )

        def given(session: Session, now: Moment) -> Told:
            by = str(visitor.session.person)
            return hand_out(session, asked, by=by, now=now, sealer=sealer)

        try:
            told = await acting(request, given)
        except Refusal as no:  # nothing was kept of it: what was typed can be sent again
            told = Told(asked.id, no.code, facts_of(no))
        if not told.accepted:
            m, facts = language_of(request), dict(told.facts)
            if "publics" in facts:
                named = [m.word_or_code("public", public) for public in facts["publics"]]
                facts["publics"] = named
            said = m.refusal(told.code, facts)
            return _again(request, {"carnet": said}, carnet, fields)
        return page(
            request, "hand_out_3.html", carnet=carnet, count=len(told.facts["serials"])
        )


def _named(request: Asked, typed: str) -> InHand | None:
    """Return the carnet that was typed, ours or taken over; see `_in_hand`."""
    with reading(request) as session:
        number = carnet_named(session, visitor_of(request).departement, typed)
    return _in_hand(request, number)


def _in_hand(request: Asked, number: int | None) -> InHand | None:
    """Return a carnet of a programme that this visitor hands out for; another one is not there."""
    if number is None:
        return None
    with reading(request) as session:
        found = in_hand(session, number)
    sees = found and visitor_of(request).sees(Action.HAND_OUT, found.programme)
    return found if sees else None


def _unknown(request: Asked, typed: str) -> Response[str]:
    unknown = language_of(request).refusal("carnet_unknown", {"asked": typed})
    return again(request, "hand_out_1.html", {"carnet": unknown}, typed=typed)


def _again(
    request: Asked, errors: dict[str, str], carnet: InHand, typed: dict[str, str]
) -> Response[str]:
    return again(
        request, "hand_out_2.html", errors, carnet=carnet, typed=typed, **_choices()
    )


def _choices() -> dict[str, Any]:
    return {"proofs": get_args(Proof)[:3], "needs": get_args(Need)}


def _missing(request: Asked, fields: dict[str, str], desks: list[str]) -> dict[str, str]:
    m = language_of(request)
    errors = {}
    if (len(desks) > 1 and fields.get("desk") not in desks) or (
        fields.get("desk") and fields["desk"] not in desks
    ):
        errors["desk"] = m.refusal("choice_needed")
    if fields.get("pic") not in {"yes", "no"}:
        errors["pic"] = m.refusal("choice_needed")
    if fields.get("proof") not in get_args(Proof):
        errors["proof"] = m.refusal("choice_needed")
    return errors
