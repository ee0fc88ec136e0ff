"""Paper that was lost or stolen: found by its number or its two words, made again in three steps."""

import asyncio
from typing import Any, cast, get_args
from uuid import UUID

from litestar import Controller, Response, get, post
from sqlalchemy.orm import Session

from app.errors import language_of
from app.pages.carnet_numbers import carnet_named
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
from app.pages.visitors import Visitor
from app.people.roles import MAY, Action
from issuance.hand_outs import CarnetUnknown
from issuance.queries import in_hand
from ledger.attempts import Answer as Told
from ledger.moments import Moment
from ledger.refusal import Refusal
from redemption.replacing import (
    Given,
    HandedOutElsewhere,
    HandOutUnknown,
    Loss,
    ReplaceHandOut,
    WordsUnknown,
    given_at_once,
    given_of_carnet,
    given_of_words,
    replace_hand_out,
)

TYPED = ("carnet", "mot1", "mot2")


class Replacement(Controller):
    """What a desk, or the département, does for someone whose carnet is gone."""

    path = "/{departement:str}/remplacement"
    include_in_schema = False

    @get("/", opt={"door": Action.REPLACE}, sync_to_thread=True)
    def find(self, request: Asked) -> Response[str]:
        """Step 1 asks for the number or the two words; step 2, once it is found, what happened."""
        typed = {name: request.query_params.get(name, "").strip() for name in TYPED}
        if not any(typed.values()):
            return page(request, "replace_1.html", typed=typed)
        try:
            found, several = _found(request, typed)
        except Refusal as no:
            field = "carnet" if typed["carnet"] else "mot1"
            errors = {field: sentence(request, no)}
            return again(request, "replace_1.html", errors, typed=typed)
        return page(request, "replace_2.html", **_shown(found, several=several))

    @post("/", opt={"door": Action.REPLACE})
    async def replace(self, request: Asked) -> Answer:
        """Step 3: make it again, once whatever the clicks, and say who prints."""
        fields = await form_of(request)
        visitor, serving = visitor_of(request), serving_of(request)
        try:
            given = await asyncio.to_thread(_given, request, fields.get("hand_out", ""))
        except HandOutUnknown as no:
            typed = dict.fromkeys(TYPED, "")
            return again(
                request, "replace_1.html", {"carnet": sentence(request, no)}, typed=typed
            )
        if fields.get("reason") not in get_args(Loss):
            needed = language_of(request).refusal("choice_needed")
            return _again(request, {"reason": needed}, given)
        asked = ReplaceHandOut(
            act_id(fields), given.id, _desk(visitor, given), cast("Loss", fields["reason"])
        )
        code, by = visitor.departement, str(visitor.session.person)
        try:
            signer = await asyncio.to_thread(serving.instance.signer, code)

            def done(session: Session, now: Moment) -> Told:
                return replace_hand_out(session, asked, signer=signer, by=by, now=now)

            told = await acting(request, done)
        except Refusal as no:  # nothing was kept of it: it can be sent again
            return _again(request, {"carnet": sentence(request, no)}, given)
        if not told.accepted:
            said = language_of(request).refusal(told.code, told.facts)
            return _again(request, {"carnet": said}, given)
        return page(request, "replace_3.html", new=told.facts)


def _found(request: Asked, typed: dict[str, str]) -> tuple[list[Given], bool]:
    """Return the hand-outs that this visitor may make again, and whether others are of the same paper.

    Raises why there is none.
    """
    visitor = visitor_of(request)
    with reading(request) as session:
        if typed["carnet"]:
            number = carnet_named(session, visitor.departement, typed["carnet"])
            known = None if number is None else in_hand(session, number)
            if known is None or not visitor.sees(Action.REPLACE, known.programme):
                raise CarnetUnknown(typed["carnet"])
            every = given_of_carnet(session, known.number)
        else:
            every = given_of_words(session, typed["mot1"], typed["mot2"])
    seen = [given for given in every if visitor.sees(Action.REPLACE, given.programme)]
    if not seen:
        raise WordsUnknown
    own = [given for given in seen if _desk(visitor, given) in (None, given.desk)]
    if not own:
        raise HandedOutElsewhere(seen[0].desk)
    return own, len(every) > 1


def _given(request: Asked, typed: str) -> Given:
    """Return a hand-out of a programme that this visitor acts for; another one is not there."""
    try:
        asked = UUID(typed)
    except ValueError:
        raise HandOutUnknown(typed) from None
    with reading(request) as session:
        given = given_at_once(session, asked)
    if not visitor_of(request).sees(Action.REPLACE, given.programme):
        raise HandOutUnknown(typed)
    return given


def _desk(visitor: Visitor, given: Given) -> str | None:
    """Return for whom the visitor acts: the desk that gave if it is theirs, else the département (None).

    Else another desk, which will be refused.  The visitor acts for the programme somewhere.
    """
    desks = [
        held.desk
        for held in visitor.roles
        if Action.REPLACE in MAY[held.role] and held.programme in (None, given.programme)
    ]
    if given.desk in desks:
        return given.desk
    return None if None in desks else desks[0]


def _again(request: Asked, errors: dict[str, str], given: Given) -> Response[str]:
    return again(request, "replace_2.html", errors, **_shown([given], several=False))


def _shown(found: list[Given], *, several: bool) -> dict[str, Any]:
    """Return what step 2 shows; of `several`, one is chosen, even where one alone has passes left."""
    return {
        "several": several,
        "left": [given for given in found if given.unused],
        "replaced_by": sorted({n for given in found for n in given.replaced_by}),
        "losses": get_args(Loss),
    }
