"""A desk's room: handing a carnet out, in three steps."""

import asyncio
from dataclasses import dataclass
from datetime import date
from typing import Any, cast, get_args

from litestar import Controller, Response, get, post
from litestar.params import FromPath
from litestar.response import Redirect
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.errors import language_of
from app.pages.frame import (
    Asked,
    act_id,
    again,
    form_of,
    number_of,
    page,
    serving_of,
    visitor_of,
)
from app.pages.visitors import Visitor
from app.people.roles import Action
from funding import queries as funds
from funding.models import target_public, tranche
from issuance.hand_outs import HandOut, Need, Proof
from issuance.models import carnet, handed_out, voucher
from issuance.orders import order_row
from ledger.attempts import Answer as Told
from ledger.attempts import facts_of
from ledger.refusal import Refusal
from redemption.hand_out import hand_out

Answer = Response[str] | Redirect


@dataclass(frozen=True)
class InHand:
    """A carnet on the desk: what is left in it, what it is worth, and until when."""

    number: int
    left: int
    of: int
    face_cents: int
    use_by: date
    publics: tuple[str, ...]
    programme: str


class Prescriber(Controller):
    """What someone at a desk does."""

    path = "/{departement:str}/remise"
    include_in_schema = False

    @get("/", opt={"door": Action.HAND_OUT}, sync_to_thread=True)
    def carnet(self, departement: FromPath[str], request: Asked) -> Response[str]:
        """Step 1 asks for the carnet's number; step 2, once it is known, for whom it is."""
        typed = request.query_params.get("carnet", "").strip()
        if not typed:
            return page(request, "hand_out_1.html", typed="")
        digits = "".join(
            c for c in typed.split("-")[1 if "-" in typed else 0] if c.isdigit()
        )
        serving = serving_of(request)
        number = number_of(digits)
        with serving.instance.database.begin(departement, read_only=True) as session:
            found = (
                None if number is None else _in_hand(session, visitor_of(request), number)
            )
        if found is None:
            unknown = language_of(request).refusal("carnet_unknown", {"asked": typed})
            return again(request, "hand_out_1.html", {"carnet": unknown}, typed=typed)
        return page(request, "hand_out_2.html", carnet=found, typed={}, **_choices())

    @post("/", opt={"door": Action.HAND_OUT})
    async def give(self, departement: FromPath[str], request: Asked) -> Answer:
        """Step 3: hand out, once whatever the clicks, and say what to tell the person."""
        fields = await form_of(request)
        visitor, serving = visitor_of(request), serving_of(request)
        digits = fields.get("carnet", "")
        number = number_of(digits) or 0

        def found() -> InHand | None:
            with serving.instance.database.begin(departement, read_only=True) as session:
                return _in_hand(session, visitor, number)

        in_hand = await asyncio.to_thread(found)
        if in_hand is None:
            unknown = language_of(request).refusal("carnet_unknown", {"asked": digits})
            return again(request, "hand_out_1.html", {"carnet": unknown}, typed=digits)
        errors = _missing(request, fields, visitor.desks)
        if errors:
            return again(
                request,
                "hand_out_2.html",
                errors,
                carnet=in_hand,
                typed=fields,
                **_choices(),
            )
        need, category = fields.get("need"), fields.get("category")
        asked = HandOut(
            act_id(fields),
            fields.get("desk") or visitor.desks[0],
            fields["pic"] == "yes",
            cast("Proof", fields["proof"]),
            carnet=number,
            category=category if category in in_hand.publics else None,
            need=cast("Need", need) if need in get_args(Need) else None,
        )

        def given() -> Told:
            with serving.instance.database.begin(departement) as session:
                now = serving.instance.moment(departement)
                by = str(visitor.session.person)
                sealer = serving.instance.sealer
                return hand_out(session, asked, by=by, now=now, sealer=sealer)

        try:
            told = await asyncio.to_thread(given)
        except Refusal as no:  # nothing was kept of it: what was typed can be sent again
            told = Told(asked.id, no.code, facts_of(no))
        await asyncio.to_thread(serving.committed, departement)
        if not told.accepted:
            said = language_of(request).refusal(told.code, told.facts)
            return again(
                request,
                "hand_out_2.html",
                {"carnet": said},
                carnet=in_hand,
                typed=fields,
                **_choices(),
            )
        return page(
            request, "hand_out_3.html", carnet=in_hand, count=len(told.facts["serials"])
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


def _in_hand(session: Session, visitor: Visitor, number: int) -> InHand | None:
    """Return a carnet of a programme that this visitor hands out for; another one is not there."""
    row = session.execute(
        select(carnet.c.order_number).where(carnet.c.number == number)
    ).one_or_none()
    if row is None:
        return None
    order = order_row(session, row.order_number)
    programme = session.scalars(
        select(tranche.c.programme).where(tranche.c.number == order.tranche)
    ).one()
    if not visitor.sees(Action.HAND_OUT, programme):
        return None
    of, gone = session.execute(
        select(func.count(voucher.c.serial), func.count(handed_out.c.serial))
        .outerjoin(handed_out, handed_out.c.serial == voucher.c.serial)
        .where(voucher.c.carnet == number)
    ).one()
    publics = session.scalars(
        select(target_public.c.public)
        .where(target_public.c.tranche == order.tranche)
        .order_by(target_public.c.public)
    )
    dates = funds.calendar_in_force(session, order.tranche)
    return InHand(
        number, of - gone, of, order.face_cents, dates.use_by, tuple(publics), programme
    )
