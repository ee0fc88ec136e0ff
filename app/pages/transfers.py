"""Carnets on the way: sending them, and signing for what arrived."""

import asyncio
from typing import Any

from litestar import Controller, Response, get, post
from litestar.params import FromPath
from sqlalchemy.orm import Session

from app.covers import covers_of_all
from app.errors import language_of
from app.pages.frame import (
    Answer,
    Asked,
    act_id,
    acting,
    again,
    form_of,
    go,
    page,
    reading,
    sentence,
    visitor_of,
)
from app.pages.stock import (
    LINES,
    STORE,
    Holder,
    be_of_programmes,
    holder_names,
    holders,
    own_desks,
    typed_carnets,
)
from app.pages.visitors import NoSuchRoom
from app.people.roles import Action
from funding.operations import NotFound
from issuance.on_the_way import Transfer, transfer_row
from issuance.ranges import numbers_of, read_ranges, written
from issuance.transfers import Receive, Send, receive, send
from ledger.attempts import Answer as Told
from ledger.moments import Moment
from ledger.refusal import Refusal


class Transfers(Controller):
    """What leaves one holder for another."""

    path = "/{departement:str}/stock"
    include_in_schema = False

    @get("/envoi", opt={"door": Action.MANAGE_STOCK}, sync_to_thread=True)
    def form(self, request: Asked) -> Response[str]:
        """Ask what leaves, from where, for where."""
        return page(request, "stock_send.html", typed={}, holders=_offered(request))

    @post("/envoi", opt={"door": Action.MANAGE_STOCK})
    async def send(self, departement: FromPath[str], request: Asked) -> Answer:
        """Put carnets on the way, once whatever the clicks; its page is what travels with them."""
        fields = await form_of(request, lines=LINES)
        visitor, m = visitor_of(request), language_of(request)
        offered = await asyncio.to_thread(_offered, request)
        carnets, errors = await typed_carnets(request, fields)
        for name in ("source", "target"):
            if fields.get(name) not in {holder.value for holder in offered}:
                errors[name] = m.refusal("choice_needed")
        if not errors and not carnets:
            errors["carnets"] = m.refusal("carnets_to_name")
        if errors:
            return _send_again(request, errors, fields, offered)
        ends = (_holder(fields["source"]), _holder(fields["target"]))
        asked, by = Send(act_id(fields), *ends, carnets), str(visitor.session.person)

        def done(session: Session, now: Moment) -> Told:
            be_of_programmes(session, visitor, Action.MANAGE_STOCK, carnets)
            return send(session, asked, by=by, now=now)

        try:
            told = await acting(request, done)
        except Refusal as no:
            return _send_again(request, {"carnets": sentence(request, no)}, fields, offered)
        if not told.accepted:
            said = m.refusal(told.code, told.facts)
            return _send_again(request, {"carnets": said}, fields, offered)
        to = f"/{departement}/stock/transferts/{told.facts['transfer']}"
        return go(to, done="transfer_sent")

    @get("/transferts/{number:int}", opt={"door": Action.SEE_STOCK}, sync_to_thread=True)
    def transfer(self, number: FromPath[int], request: Asked) -> Response[str]:
        """One transfer, as it travels: a page to print, and to sign for."""
        return page(request, "stock_transfer.html", typed={}, **_shown(request, number))

    @post("/transferts/{number:int}", opt={"door": Action.KEEP_STOCK})
    async def receive(
        self, departement: FromPath[str], number: FromPath[int], request: Asked
    ) -> Answer:
        """Sign for all that is on the way, for a part of it, or for nothing."""
        fields = await form_of(request, lines=LINES)
        visitor, m = visitor_of(request), language_of(request)
        shown = await asyncio.to_thread(_shown, request, number)
        transfer: Transfer = shown["transfer"]
        carnets, errors = await typed_carnets(request, fields)
        how = fields.get("how")
        if how == "all":
            carnets, errors = transfer.left, {}
            if not carnets:  # nobody signs for what was blocked meanwhile
                errors["carnets"] = m.refusal("nothing_on_the_way", {"transfer": number})
        elif how == "nothing":
            carnets, errors = (), {}
        elif not errors and not carnets:
            errors["carnets"] = m.refusal("carnets_to_name")
        places = {holder.value for holder in shown["places"]}
        where = fields.get("at") or (shown["places"][0].value if places else "")
        if where not in places:
            errors["at"] = m.refusal("choice_needed")
        if errors:
            return again(request, "stock_transfer.html", errors, typed=fields, **shown)
        asked = Receive(act_id(fields), number, _holder(where), carnets)
        by = str(visitor.session.person)

        def done(session: Session, now: Moment) -> Told:
            return receive(session, asked, by=by, now=now)

        told = await acting(request, done)
        if not told.accepted:
            wrong = {"carnets": m.refusal(told.code, told.facts)}
            shown = await asyncio.to_thread(_shown, request, number)
            return again(request, "stock_transfer.html", wrong, typed=fields, **shown)
        missing = {*numbers_of(read_ranges(told.facts["missing"]))}
        missing -= {*numbers_of(transfer.gone)}
        return go(
            f"/{departement}/stock/transferts/{number}",
            done="transfer_received_in_part" if missing else "transfer_received",
        )


def _holder(value: str) -> str | None:
    return None if value == STORE else value


def _offered(request: Asked) -> list[Holder]:
    with reading(request) as session:
        return holders(session, visitor_of(request), Action.MANAGE_STOCK)


def _send_again(
    request: Asked, errors: dict[str, str], typed: dict[str, str], offered: list[Holder]
) -> Response[str]:
    return again(request, "stock_send.html", errors, typed=typed, holders=offered)


def _shown(request: Asked, number: int) -> dict[str, Any]:
    """Return a transfer that this visitor may see, and the ends where they may sign for it."""
    visitor = visitor_of(request)
    with reading(request) as session:
        try:
            found = transfer_row(session, number)
        except (NotFound, OverflowError):
            raise NoSuchRoom from None
        names = holder_names(session)
        covers = covers_of_all(session, [found.carnets])
    ends = (found.target, found.source)
    own = own_desks(visitor, Action.SEE_STOCK)
    if not visitor.sees(Action.SEE_STOCK, found.programme) or not (
        own is None or {*own} & {*ends}
    ):
        raise NoSuchRoom
    keeps = visitor.sees(Action.KEEP_STOCK, found.programme)
    signs = own_desks(visitor, Action.KEEP_STOCK) if keeps else []
    return {
        "transfer": found,
        "covers": covers,
        "left": written(found.left),
        "names": names,
        "places": [
            Holder(end or STORE, names.get(end or ""))
            for end in ends
            if signs is None or end in signs
        ],
        "written": written,
    }
