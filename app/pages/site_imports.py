"""The room where a list of sites is sent, and what is shown of it once it is imported."""

import asyncio
from typing import Any, NamedTuple

from litestar import Controller, get, post
from litestar.params import FromPath
from litestar.response import Response
from litestar.status_codes import HTTP_413_REQUEST_ENTITY_TOO_LARGE
from sqlalchemy.orm import Session

from app.errors import language_of
from app.messages import Messages
from app.pages.frame import (
    Answer,
    Asked,
    act_id,
    acting,
    again,
    go,
    page,
    reading,
    sentence,
    visitor_of,
)
from app.pages.uploads import BODY_MAX, UploadTooLarge, csv_of, form_with_file
from app.people.roles import Action
from app.works.asking import Work, latest, results
from app.works.models import INPUT_MAX
from app.works.site_lists import (
    KIND,
    ROWS_MAX,
    ask_import,
    count_rows,
    row_sentence,
)
from funding import queries as funds
from ledger.moments import Moment
from ledger.refusal import Refusal

TEMPLATE = "site_import.html"
LATEST = 5
# What a browser shows at once; the whole of a longer list is in the CSV.
SHOWN_MAX = 500
CSV_TITLES = ("line", "id", "name", "verdict", "kept", "code", "sentence")
# What needs somebody's attention comes first.
ATTENTION = ("refused", "candidate", "corrected", "accepted")


class SiteImports(Controller):
    """The form that sends a list of sites."""

    path = "/{departement:str}/lieux/import"
    include_in_schema = False

    @get("/", opt={"door": Action.MANAGE_SITES}, sync_to_thread=True)
    def form(self, departement: FromPath[str], request: Asked) -> Response[str]:
        """Ask for a file, and list the last ones that were sent."""
        del departement
        return page(request, TEMPLATE, typed={}, **_offered(request))

    @post("/", opt={"door": Action.MANAGE_SITES}, request_max_body_size=BODY_MAX)
    async def send(self, departement: FromPath[str], request: Asked) -> Answer:
        """Look at a file and ask for its import; the form sent twice is one import."""
        try:
            fields = await form_with_file(request)
        except UploadTooLarge as no:
            offered = await asyncio.to_thread(_offered, request)
            told, status = (
                {"file": sentence(request, no)},
                HTTP_413_REQUEST_ENTITY_TOO_LARGE,
            )
            return page(request, TEMPLATE, status=status, errors=told, typed={}, **offered)
        offered = await asyncio.to_thread(_offered, request)
        errors = {}
        file, data, rows = "", b"", 0
        try:
            file, data = await csv_of(request, "file")
            rows = await asyncio.to_thread(count_rows, data)
        except Refusal as no:
            errors["file"] = sentence(request, no)
        for field, choices in (
            ("programme", {code for code, _name in offered["programmes"]}),
            ("mode", {"each", "all"}),
        ):
            if fields.get(field) not in choices:
                errors[field] = language_of(request).refusal("choice_needed")
        if errors:
            return again(request, TEMPLATE, errors, typed=fields, **offered)
        which, by = act_id(fields), str(visitor_of(request).session.person)

        def asked(session: Session, now: Moment) -> None:
            ask_import(
                session,
                which,
                data,
                rows=rows,
                file=file,
                programme_code=fields["programme"],
                all_or_nothing=fields["mode"] == "all",
                by=by,
                now=now,
            )

        await acting(request, asked)
        return go(f"/{departement}/travaux/{which}")


def _offered(request: Asked) -> dict[str, Any]:
    visitor = visitor_of(request)
    with reading(request) as session:
        programmes = [
            (code, name)
            for code, name in funds.listed_programmes(session)
            if visitor.sees(Action.MANAGE_SITES, code)
        ]
        known = {code for code, _name in programmes}
        works = [
            work
            for work in latest(session, KIND, most=LATEST)
            if work.request["programme"] in known
        ]
    return {
        "programmes": programmes,
        "works": works,
        "megabytes": INPUT_MAX // 1_000_000,
        "rows_max": ROWS_MAX,
    }


class Line(NamedTuple):
    """What became of a row, as a page and a CSV tell it."""

    line: int
    id: str
    name: str
    verdict: str
    kept: str
    code: str
    sentence: str


def lines_of(session: Session, work: Work, m: Messages, by: str = "") -> list[Line]:
    """Return what became of each row, in the order that was asked for: what needs attention first, otherwise."""
    lines = [
        Line(
            row["line"],
            row["id"],
            row["name"],
            row["verdict"],
            row["kept"],
            row["code"],
            m.text("Pas gardé, comme toute la liste.")
            if row["kept"] == "no" and row["verdict"] != "refused"
            else row_sentence(m, row["code"], row["corrections"]),
        )
        for row in results(session, work.id)
    ]
    match by:
        case "ligne":
            return lines
        case "id":
            return sorted(lines, key=lambda told: (told.id.casefold(), told.line))
        case "nom":
            return sorted(lines, key=lambda told: (told.name.casefold(), told.line))
        case _:
            return sorted(
                lines, key=lambda told: (ATTENTION.index(told.verdict), told.line)
            )


def shown(session: Session, work: Work, request: Asked) -> dict[str, Any]:
    """Return what the page of a finished import shows."""
    by = request.query_params.get("tri", "")
    lines = lines_of(session, work, language_of(request), by)
    return {
        "lines": lines[:SHOWN_MAX],
        "more": len(lines) - SHOWN_MAX,
        "by": by,
        "verdicts": dict.fromkeys(ATTENTION, 0) | work.outcome.get("verdicts", {}),
        "kept": {"new": 0, "changed": 0, "same": 0} | work.outcome.get("kept", {}),
    }
