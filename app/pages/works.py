"""The page of a work: how far it is while it is done, then what came of it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from litestar import Controller, get, post
from litestar.params import FromPath
from litestar.response import Response
from sqlalchemy.orm import Session

from app.errors import language_of
from app.messages import Messages
from app.pages import site_imports
from app.pages.frame import (
    HEADERS,
    Asked,
    acting,
    form_of,
    page,
    reading,
    serving_of,
    visitor_of,
)
from app.pages.visitors import NoSuchRoom
from app.people import signing_in
from app.people.roles import Action
from app.spreadsheets import csv_text
from app.works import order_making, site_lists
from app.works.asking import Work, find
from ledger.moments import Moment

# Nobody took it up: whoever runs the server is to be told.
LATE = timedelta(minutes=2)


@dataclass(frozen=True)
class Told:
    """How a kind of work is told: facts for its part of the page, and its rows as CSV, if it has any."""

    shown: Callable[[Session, Work, Asked], dict[str, Any]] = lambda *_: {}
    titles: Sequence[str] = ()
    rows: Callable[[Session, Work, Messages], Sequence[Sequence[Any]]] | None = None


KINDS = {
    order_making.KIND: Told(),
    site_lists.KIND: Told(
        site_imports.shown, site_imports.CSV_TITLES, site_imports.lines_of
    ),
}


class Works(Controller):
    """What was asked to be done in the background, for those whose work it is."""

    path = "/{departement:str}/travaux/{work_id:uuid}"
    include_in_schema = False

    @get("/", opt={"door": Action.SEE_WORKS}, sync_to_thread=True)
    def work(
        self, departement: FromPath[str], work_id: FromPath[UUID], request: Asked
    ) -> Response[str]:
        """Say how far a work is; once it is finished, what came of it and what to do next."""
        now = serving_of(request).instance.moment(departement)
        with reading(request) as session:
            work = _theirs(session, request, work_id)
            facts = (
                KINDS[work.kind].shown(session, work, request) if work.finished_at else {}
            )
        late = work.held_until is None and now.at - work.asked_at > LATE
        return page(request, f"work_{work.kind}.html", work=work, late=late, **facts)

    @post("/export", opt={"door": Action.SEE_WORKS})
    async def export(
        self, departement: FromPath[str], work_id: FromPath[UUID], request: Asked
    ) -> Response[str]:
        """Give what became of each row as CSV; taking a copy away leaves an entry."""
        del departement
        await form_of(request)
        who, m = visitor_of(request).session.person, language_of(request)

        def written(session: Session, now: Moment) -> str:
            work = _theirs(session, request, work_id)
            told = KINDS[work.kind]
            if told.rows is None:
                raise NoSuchRoom
            signing_in.note_export(session, who, f"work/{work.id}", now)
            return csv_text(told.titles, told.rows(session, work, m))

        text = await acting(request, written)
        named = {"Content-Disposition": f'attachment; filename="import-{work_id}.csv"'}
        return Response(
            text, status_code=200, media_type="text/csv", headers=HEADERS | named
        )


def _theirs(session: Session, request: Asked, which: UUID) -> Work:
    """Return a work of this département, of a programme that this visitor sees, or raise `NoSuchRoom`."""
    work = find(session, which)
    if work is None:
        raise NoSuchRoom
    programme = work.request.get("programme")
    if programme and not visitor_of(request).sees(Action.SEE_WORKS, programme):
        raise NoSuchRoom
    return work
