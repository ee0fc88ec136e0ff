"""The room of stock: who holds what, on a day; and carnets that are taken out of it for good.

A desk sees what it holds and what comes to it; the département sees every holder.
"""

import asyncio
from collections import defaultdict
from datetime import date
from typing import Any, NamedTuple

from litestar import Controller, Response, get, post
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.carnet_lists import CarnetsUnreadable, read_carnets
from app.covers import covers_of_all
from app.errors import language_of
from app.pages.carnet_numbers import SeveralCarnets
from app.pages.frame import (
    Answer,
    Asked,
    act_id,
    acting,
    again,
    form_of,
    go,
    now_of,
    page,
    reading,
    sentence,
    visitor_of,
)
from app.pages.visitors import Visitor
from app.people.roles import MAY, Action
from funding.models import tranche
from issuance.foreign_carnets import covers_between, covers_written
from issuance.holdings import Holding, holdings
from issuance.models import desk_programme, voucher_order
from issuance.on_the_way import open_transfers
from issuance.queries import desk_names
from issuance.ranges import Ranges, written
from issuance.whereabouts import CarnetsMissing, order_of
from ledger.attempts import Answer as Told
from ledger.moments import Moment
from ledger.refusal import Refusal
from redemption.blocking import BlockStock, NothingInStock, block_stock, in_stock
from redemption.voiding import VoidMisprints, void_misprints

REASONS = ("stolen", "lost", "misprinted")
# Where a scanner ends each code with a new line.
LINES = ("carnets",)
# What stands for the central store in a form.
STORE = "store"


class Holder(NamedTuple):
    """A holder that a visitor may act for: what a form sends, and what it is called (None: the store)."""

    value: str
    name: str | None


class Organisation(NamedTuple):
    """What the desks of a prescriber hold together."""

    name: str
    whole: int
    started: int
    passes: int
    cents: int


class StockRoom(Controller):
    """What is held, and by whom."""

    path = "/{departement:str}/stock"
    include_in_schema = False

    @get("/", opt={"door": Action.SEE_STOCK}, sync_to_thread=True)
    def stock(self, request: Asked) -> Response[str]:
        """List holders on a day: of all, or of this visitor's own desks; and what is on the way."""
        visitor, today = visitor_of(request), now_of(request).day
        typed = request.query_params.get("jour", "").strip()
        on, errors = today, {}
        if typed:
            try:
                on = date.fromisoformat(typed)
            except ValueError:
                errors["jour"] = language_of(request).refusal("day_needed")
        desks = own_desks(visitor, Action.SEE_STOCK)
        with reading(request) as session:
            found = holdings(session, on=None if on >= today else on, desks=desks)
            coming = open_transfers(session, desks)
            names = holder_names(session)
            covers = covers_of_all(session, [t.left for t in coming])
        found = [h for h in found if visitor.sees(Action.SEE_STOCK, h.programme)]
        coming = [t for t in coming if visitor.sees(Action.SEE_STOCK, t.programme)]
        context: dict[str, Any] = {
            "on": min(on, today),
            "today": today,
            "typed": typed,
            "found": found,
            "organisations": _organisations(found) if desks is None else [],
            "to_sign": [t for t in coming if t.target in visitor.desks],
            "coming": coming,
            "covers": covers,
            "names": names,
            "whole_picture": desks is None,
            "written": written,
        }
        if errors:
            return again(request, "stock.html", errors, **context)
        return page(request, "stock.html", **context)

    @get("/retrait", opt={"door": Action.MANAGE_STOCK}, sync_to_thread=True)
    def withdrawal(self, request: Asked) -> Response[str]:
        """Ask which carnets are gone, and why."""
        return page(request, "stock_withdraw.html", typed={}, reasons=REASONS, about=None)

    @post("/retrait", opt={"door": Action.MANAGE_STOCK})
    async def withdraw(self, request: Asked) -> Answer:
        """Show what would go, then block what was stolen or lost, void what came out wrong.

        For good, once whatever the clicks, and only what was shown: it is sent again by our own numbers.
        """
        fields = await form_of(request, lines=LINES)
        visitor, m = visitor_of(request), language_of(request)
        carnets, errors = await typed_carnets(request, fields)
        reason = fields.get("reason")
        if reason not in REASONS:
            errors["reason"] = m.refusal("choice_needed")
        if "carnets" not in errors and len(carnets) != 1:
            errors["carnets"] = m.refusal("one_range_needed")
        if errors:
            return _withdraw_again(request, errors, fields)
        if fields.get("sure") != "yes":
            return await asyncio.to_thread(_to_be_sure, request, carnets, fields)
        which, by, [(first, last)] = act_id(fields), str(visitor.session.person), carnets

        def done(session: Session, now: Moment) -> Told:
            be_of_programmes(session, visitor, Action.MANAGE_STOCK, carnets)
            if reason == "misprinted":
                misprint = VoidMisprints(which, first, last)
                return void_misprints(session, misprint, by=by, now=now)
            gone = BlockStock(which, first, last, "lost" if reason == "lost" else "stolen")
            return block_stock(session, gone, by=by, now=now)

        try:
            told = await acting(request, done)
        except Refusal as no:
            return _withdraw_again(request, {"carnets": sentence(request, no)}, fields)
        if not told.accepted:
            said = m.refusal(told.code, told.facts)
            return _withdraw_again(request, {"carnets": said}, fields)
        return go(
            f"/{visitor.departement}/stock",
            done="misprints_voided" if reason == "misprinted" else "stock_blocked",
        )


def _withdraw_again(
    request: Asked, errors: dict[str, str], typed: dict[str, str]
) -> Response[str]:
    return again(
        request, "stock_withdraw.html", errors, typed=typed, reasons=REASONS, about=None
    )


def _to_be_sure(request: Asked, carnets: Ranges, typed: dict[str, str]) -> Response[str]:
    """Show the carnets that would be blocked or voided, and ask."""
    visitor, [(first, last)] = visitor_of(request), carnets
    try:
        with reading(request) as session:
            be_of_programmes(session, visitor, Action.MANAGE_STOCK, carnets)
            found = in_stock(session, first, last)
            covers = covers_written(covers_between(session, carnets), carnets)
        if not found.passes:
            raise NothingInStock(first, last)
    except Refusal as no:
        return _withdraw_again(request, {"carnets": sentence(request, no)}, typed)
    code = visitor.departement
    about = {
        "carnets": f"{code}-{first:06d} à {code}-{last:06d}",
        "count": last - first + 1,
        "covers": covers,
        "first": first,
        "last": last,
        "passes": found.passes,
        "waiting": found.waiting,
    }
    return page(request, "stock_withdraw.html", typed=typed, reasons=REASONS, about=about)


async def typed_carnets(
    request: Asked, fields: dict[str, str]
) -> tuple[Ranges, dict[str, str]]:
    """Return the carnets of a form, and what is wrong with them beside their field."""
    return await asyncio.to_thread(_typed_carnets, request, fields)


def _typed_carnets(request: Asked, fields: dict[str, str]) -> tuple[Ranges, dict[str, str]]:
    try:
        with reading(request) as session:
            code = visitor_of(request).departement
            return read_carnets(session, code, fields.get("carnets", "")), {}
    except (CarnetsUnreadable, SeveralCarnets) as no:
        return (), {"carnets": sentence(request, no)}


def own_desks(visitor: Visitor, action: Action) -> list[str] | None:
    """Return the desks that a visitor does something at; None for whoever does it for the département."""
    held = [role.desk for role in visitor.roles if action in MAY[role.role]]
    return None if None in held else [desk for desk in held if desk is not None]


def holders(session: Session, visitor: Visitor, action: Action) -> list[Holder]:
    """Return the holders that a visitor may act for: their own desks, or those of their programmes."""
    own = own_desks(visitor, action)
    serves: dict[str, set[str]] = defaultdict(set)
    for code, programme in session.execute(
        select(desk_programme.c.desk, desk_programme.c.programme)
    ):
        serves[code].add(programme)
    found = [
        Holder(code, f"{prescriber}, {name} ({code})")
        for code, prescriber, name in desk_names(session)
        if (own is None or code in own)
        and any(visitor.sees(action, programme) for programme in serves[code])
    ]
    return [Holder(STORE, None), *found] if own is None else found


def holder_names(session: Session) -> dict[str, str]:
    """Return what each desk is called, by its code."""
    return {code: f"{prescriber}, {name}" for code, prescriber, name in desk_names(session)}


def be_of_programmes(
    session: Session, visitor: Visitor, action: Action, carnets: Ranges
) -> None:
    """Raise `CarnetsMissing` unless these carnets are of a programme that the visitor acts for."""
    programme = session.scalars(
        select(tranche.c.programme)
        .join(voucher_order, voucher_order.c.tranche == tranche.c.number)
        .where(voucher_order.c.number == order_of(session, carnets))
    ).one()
    if not visitor.sees(action, programme):
        raise CarnetsMissing(carnets[0][0], carnets[-1][1])


def _organisations(found: list[Holding]) -> list[Organisation]:
    """Sum what is at desks by prescriber: what is on the way is nobody's yet."""
    sums: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0, 0])
    for h in found:
        if h.prescriber is not None and h.state == "desk" and not h.specimen:
            for place, more in enumerate((h.whole, h.started, h.passes, h.cents)):
                sums[h.prescriber][place] += more
    return [Organisation(name, *sums[name]) for name in sorted(sums)]
