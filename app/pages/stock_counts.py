"""Counting a drawer: what somebody sees, beside what the books have there, and what to do about it."""

import asyncio
from collections import defaultdict
from typing import Any, NamedTuple

from litestar import Controller, Response, get, post
from litestar.status_codes import HTTP_200_OK
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.covers import covers_of_all
from app.errors import language_of
from app.pages.frame import (
    HEADERS,
    Answer,
    Asked,
    act_id,
    acting,
    again,
    form_of,
    page,
    reading,
    visitor_of,
)
from app.pages.stock import LINES, STORE, holder_names, holders, typed_carnets
from app.people import signing_in
from app.people.roles import Action
from app.spreadsheets import csv_text
from issuance.counts import INVENTORY, Count, count_stock, counts
from issuance.models import carnet
from issuance.ranges import Ranges, numbers_of, ranges_of, read_ranges, written
from issuance.whereabouts import among, where_are, with_something_left
from ledger.attempts import Answer as Told
from ledger.moments import Moment

# More than these are not asked after one by one.
ASKED_AFTER = 500


class Found(NamedTuple):
    """Carnets that were not expected, and where the books have them: `what` is a word of the page."""

    what: str
    where: str | int | None
    carnets: str


class StockCounts(Controller):
    """Counting, and taking the last count away."""

    path = "/{departement:str}/stock/comptage"
    include_in_schema = False

    @get("/", opt={"door": Action.KEEP_STOCK}, sync_to_thread=True)
    def form(self, request: Asked) -> Response[str]:
        """Ask for the carnets that are in the drawer: typed, or scanned one after the other."""
        return page(request, "stock_count.html", typed={}, **_offered(request))

    @post("/", opt={"door": Action.KEEP_STOCK})
    async def count(self, request: Asked) -> Answer:
        """Record a count, and show it beside what was expected."""
        fields = await form_of(request, lines=LINES)
        visitor, m = visitor_of(request), language_of(request)
        offered = await asyncio.to_thread(_offered, request)
        values = [holder.value for holder in offered["holders"]]
        carnets, errors = await typed_carnets(request, fields)
        at = fields.get("at") or (values[0] if len(values) == 1 else "")
        if at not in values:
            errors["at"] = m.refusal("choice_needed")
        if not errors and not carnets and fields.get("empty") != "yes":
            errors["carnets"] = m.refusal("carnets_to_name")
        if errors:
            return again(request, "stock_count.html", errors, typed=fields, **offered)
        asked = Count(act_id(fields), None if at == STORE else at, carnets)
        by = str(visitor.session.person)

        def done(
            session: Session, now: Moment
        ) -> tuple[Told, list[Found], dict[str, str], str]:
            told = count_stock(session, asked, by=by, now=now)
            odd = read_ranges(told.facts.get("unexpected", ()))
            gone = read_ranges(told.facts.get("missing", ()))
            covers = covers_of_all(session, [gone])(gone)
            return told, _where_they_are(session, odd), holder_names(session), covers

        told, found, names, covers = await acting(request, done)
        if not told.accepted:
            wrong = {"carnets": m.refusal(told.code, told.facts)}
            return again(request, "stock_count.html", wrong, typed=fields, **offered)
        return page(
            request,
            "stock_counted.html",
            told=told.facts,
            at=at,
            missing=written(told.facts["missing"]),
            missing_covers=covers,
            unexpected=found,
            names=names,
        )

    @post("/export", opt={"door": Action.KEEP_STOCK})
    async def export(self, request: Asked) -> Response[str]:
        """Give the last count of a holder as CSV; taking a copy away leaves an entry."""
        fields = await form_of(request, lines=LINES)
        visitor = visitor_of(request)
        offered = await asyncio.to_thread(_offered, request)
        at = fields.get("at", "")
        if at not in {holder.value for holder in offered["holders"]}:
            errors = {"at": language_of(request).refusal("choice_needed")}
            return again(request, "stock_count.html", errors, typed=fields, **offered)

        def noted(session: Session, now: Moment) -> str:
            signing_in.note_export(session, visitor.session.person, "stock", now)
            last = counts(session, None if at == STORE else at, most=1)
            return csv_text(INVENTORY, [row for each in last for row in each.rows()])

        name = "inventaire_stock.csv"
        return Response(
            await acting(request, noted),
            status_code=HTTP_200_OK,
            media_type="text/csv",
            headers=HEADERS | {"Content-Disposition": f'attachment; filename="{name}"'},
        )


def _offered(request: Asked) -> dict[str, Any]:
    with reading(request) as session:
        return {"holders": holders(session, visitor_of(request), Action.KEEP_STOCK)}


def _where_they_are(session: Session, carnets: Ranges) -> list[Found]:
    """Tell where the books have carnets that somebody sees and that were not expected there."""
    asked = ranges_of(list(numbers_of(carnets))[:ASKED_AFTER])
    if not asked:
        return []
    known = set(
        session.scalars(select(carnet.c.number).where(among(carnet.c.number, asked)))
    )
    where, left = where_are(session, asked), with_something_left(session, asked)
    places: dict[tuple[str, Any], list[int]] = defaultdict(list)
    for number in numbers_of(asked):
        at = where.get(number)
        if number not in known:
            key: tuple[str, Any] = ("unknown", None)
        elif number not in left:
            key = ("used_up", None)
        elif at is not None and at.transfer is not None:
            key = ("on_the_way", at.transfer)
        elif at is not None and at.desk is not None:
            key = ("desk", at.desk)
        else:
            key = ("store", None)
        places[key].append(number)
    return [
        Found(what, at, written(ranges_of(numbers)))
        for (what, at), numbers in sorted(places.items(), key=str)
    ]
