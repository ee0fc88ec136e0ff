"""The room where needs are sized before carnets are ordered; nothing that is sent there is kept."""

import asyncio
from collections.abc import Sequence
from typing import Any

from litestar import Controller, Response, get, post
from litestar.datastructures import UploadFile
from litestar.status_codes import HTTP_413_REQUEST_ENTITY_TOO_LARGE

from app.errors import language_of
from app.needs import Needs, assess, coverage_sentences, order_sentences
from app.pages.frame import (
    Answer,
    Asked,
    again,
    now_of,
    number_of,
    page,
    reading,
    sentence,
    visitor_of,
)
from app.pages.uploads import BODY_MAX, UploadTooLarge, csv_of, form_with_file
from app.people.roles import Action
from funding.queries import TrancheLeft, tranches_with_money_left
from issuance.needs import rates
from ledger.refusal import Refusal
from redemption.communes import Commune, read_communes

TEMPLATE = "needs.html"
PEOPLE_MAX = 100_000_000
EACH_MAX = 100
# What a browser shows at once; the command gives the whole of a longer list.
SHOWN_MAX = 500


class NeedsRoom(Controller):
    """What those who order carnets look at first."""

    path = "/{departement:str}/besoins"
    include_in_schema = False

    @get("/", opt={"door": Action.ORDER}, sync_to_thread=True)
    def form(self, request: Asked) -> Response[str]:
        """Ask for a population or a list of communes, and for a tranche."""
        return page(request, TEMPLATE, typed={}, found=None, **_offered(request))

    @post("/", opt={"door": Action.ORDER}, request_max_body_size=BODY_MAX)
    async def assess(self, request: Asked) -> Answer:
        """Show what is needed, what covers it, and what to order."""
        offered = await asyncio.to_thread(_offered, request)
        shown: dict[str, Any] = {"found": None, **offered}
        try:
            fields = await form_with_file(request)
        except UploadTooLarge as no:
            told, status = (
                {"file": sentence(request, no)},
                HTTP_413_REQUEST_ENTITY_TOO_LARGE,
            )
            return page(request, TEMPLATE, status=status, errors=told, typed={}, **shown)
        errors, numbers = _numbers(request, fields)
        among: int | Sequence[Commune] | None = numbers.get("population")
        try:
            sent = await _communes(request)
            among = sent if sent is not None else among
        except Refusal as no:
            errors["file"] = sentence(request, no)
        if among is None and not errors:
            errors["population"] = language_of(request).refusal("population_needed")
        tranche = fields.get("tranche") or None
        if tranche is not None and tranche not in {t.code for t in offered["tranches"]}:
            errors["tranche"] = language_of(request).refusal("choice_needed")
        if errors or among is None:
            return again(request, TEMPLATE, errors, typed=fields, **shown)
        shown["found"] = await asyncio.to_thread(
            _assessed, request, among, tranche, numbers
        )
        return page(request, TEMPLATE, typed=fields, **shown)


def _assessed(
    request: Asked,
    among: int | Sequence[Commune],
    tranche: str | None,
    numbers: dict[str, int],
) -> dict[str, Any]:
    m = language_of(request)
    with reading(request) as session:
        found: Needs = assess(
            session,
            among,
            tranche=tranche,
            people=numbers.get("people"),
            each=numbers.get("each", 1),
            on=now_of(request).day,
        )
    covered, order = found.coverage, found.order
    return {
        "sizing": found.sizing,
        "coverage": covered,
        "covered_told": [] if covered is None else coverage_sentences(covered, m),
        "order_told": [] if order is None else order_sentences(order, tranche or "", m),
        "communes": [] if covered is None else covered.communes[:SHOWN_MAX],
        "more": 0 if covered is None else max(0, len(covered.communes) - SHOWN_MAX),
    }


async def _communes(request: Asked) -> list[Commune] | None:
    """Return the communes of the file that was sent, None when none was."""
    sent = (await request.form()).get("file")
    if not isinstance(sent, UploadFile) or not sent.filename:
        return None
    _name, data = await csv_of(request, "file")
    return await asyncio.to_thread(read_communes, data)


def _numbers(
    request: Asked, fields: dict[str, str]
) -> tuple[dict[str, str], dict[str, int]]:
    """Return what is wrong with the numbers that were typed, and those that were."""
    errors, numbers = {}, {}
    for name, least, most in (
        ("population", 0, PEOPLE_MAX),
        ("people", 0, PEOPLE_MAX),
        ("each", 1, EACH_MAX),
    ):
        typed = "".join(fields.get(name, "").split())
        if not typed:
            continue
        number = number_of(typed)
        if number is None or not least <= number <= most:
            errors[name] = language_of(request).refusal(
                "number_needed", {"least": least, "most": most}
            )
        else:
            numbers[name] = number
    return errors, numbers


def _offered(request: Asked) -> dict[str, Any]:
    visitor = visitor_of(request)
    with reading(request) as session:
        found: list[TrancheLeft] = [
            t
            for t in tranches_with_money_left(session)
            if visitor.sees(Action.ORDER, t.programme)
        ]
    return {"tranches": found, "rates": rates()}
