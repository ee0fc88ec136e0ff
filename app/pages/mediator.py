"""A site's room: workshops, and the passes used there, typed from the paper."""

import asyncio
from datetime import UTC, date, datetime, timedelta
from typing import Any, get_args
from uuid import UUID

from litestar import Controller, Response, get, post
from litestar.params import FromPath
from litestar.response import Redirect
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.errors import language_of
from app.pages.frame import (
    Asked,
    act_id,
    again,
    form_of,
    go,
    number_of,
    page,
    serving_of,
    visitor_of,
)
from app.pages.visitors import NoSuchRoom, Visitor
from app.people.roles import Action
from ledger.attempts import Answer as Told
from ledger.identifiers import new_id
from redemption.counter import Device, Presented, Scan, Verdict
from redemption.models import site, workshop
from redemption.workshops import Kind, OpenWorkshop, open_workshop

Answer = Response[str] | Redirect
RECENT = timedelta(days=14)
# A list that a form carries along: what this sitting has taken so far.
LONGEST_SITTING = 100
LAST_SECOND = int(datetime.max.replace(tzinfo=UTC).timestamp()) - 1


class Mediator(Controller):
    """What a mediator or a volunteer does."""

    path = "/{departement:str}/ateliers"
    include_in_schema = False

    @get("/", opt={"door": Action.SCAN}, sync_to_thread=True)
    def workshops(self, departement: FromPath[str], request: Asked) -> Response[str]:
        """List the workshops of the last fortnight, and open one."""
        return page(request, "workshops.html", typed={}, **_workshops(request, departement))

    @post("/", opt={"door": Action.SCAN})
    async def open(self, departement: FromPath[str], request: Asked) -> Answer:
        """Open a workshop, once whatever the clicks."""
        fields = await form_of(request)
        visitor, serving = visitor_of(request), serving_of(request)
        m = language_of(request)
        try:
            day = date.fromisoformat(fields.get("day", ""))
        except ValueError:
            told = await asyncio.to_thread(_workshops, request, departement)
            wrong = {"day": m.refusal("date_needed")}
            return again(request, "workshops.html", wrong, typed=fields, **told)
        identifier = act_id(fields)

        def opened() -> Told:
            now = serving.instance.moment(departement)
            with serving.instance.database.begin(departement) as session:
                number, key = _site(session, visitor, fields.get("site", ""))
                kind: Any = fields.get("kind")
                asked = OpenWorkshop(
                    identifier, key, day, kind if kind in get_args(Kind) else "collective"
                )
                device = Device(str(visitor.session.person), number)
                return open_workshop(session, asked, device=device, now=now)

        told_ = await asyncio.to_thread(opened)
        await asyncio.to_thread(serving.committed, departement)
        if not told_.accepted:
            told = await asyncio.to_thread(_workshops, request, departement)
            said = m.refusal(told_.code, told_.facts)
            return again(request, "workshops.html", {"day": said}, typed=fields, **told)
        return go(f"/{departement}/ateliers/{identifier}")

    @get("/{workshop_id:uuid}", opt={"door": Action.SCAN}, sync_to_thread=True)
    def workshop(
        self, departement: FromPath[str], workshop_id: FromPath[UUID], request: Asked
    ) -> Response[str]:
        """Ask for the passes of a workshop, one after the other."""
        held = _workshop(request, departement, workshop_id)
        return page(request, "workshop.html", w=held, verdict=None, taken=[])

    @post("/{workshop_id:uuid}", opt={"door": Action.SCAN})
    async def take(
        self, departement: FromPath[str], workshop_id: FromPath[UUID], request: Asked
    ) -> Response[str]:
        """Use a pass: what was typed is judged as a scan is, at the same counter."""
        fields = await form_of(request)
        visitor, serving = visitor_of(request), serving_of(request)
        held = await asyncio.to_thread(_workshop, request, departement, workshop_id)
        taken = [s for s in fields.get("taken", "").split(",") if s][:LONGEST_SITTING]
        typed = fields.get("token", "")
        if not typed:
            needed = {"token": language_of(request).refusal("field_needed")}
            return again(
                request, "workshop.html", needed, w=held, verdict=None, taken=taken
            )
        identifier = act_id(fields)
        scan = Scan(identifier, typed, workshop_id, _claimed(identifier))
        device = Device(str(visitor.session.person), held["site"])
        [verdict] = await serving.redeem(departement, [Presented(scan, device)])
        if verdict.verdict == "accepted" and verdict.serial not in taken:
            taken.append(verdict.serial or "")
        return page(
            request, "workshop.html", w=held, verdict=_shown(request, verdict), taken=taken
        )


def _claimed(identifier: UUID) -> datetime:
    """Return the instant in a form's id: sent twice, it must be the same scan to the second.

    The counter bounds it, as it does what a phone claims.
    """
    milliseconds = identifier.int >> 80 if identifier.version == 7 else 0
    return datetime.fromtimestamp(min(milliseconds // 1000, LAST_SECOND), UTC)


_CUES = {
    "accepted": "yes",
    "kept": "kept",
    "disputed": "kept",
    "already_redeemed": "no",
    "replaced": "no",
    "blocked": "no",
    "too_late": "wait",
    "lapsed": "wait",
    "not_handed_out": "wait",
    "not_active": "wait",
    "programme_suspended": "wait",
    "not_accredited": "barred",
    "wrong_territory": "barred",
}


def _shown(request: Asked, verdict: Verdict) -> dict[str, Any]:
    m = language_of(request)
    facts: dict[str, Any] = {"on": verdict.on, "site": verdict.site, **verdict.facts}
    good = verdict.verdict in {"accepted", "kept", "disputed"}
    if verdict.cents is not None:
        facts["face_cents"] = verdict.cents
    return {
        "cue": _CUES.get(verdict.verdict, "unknown"),
        "title": m.word("verdict_title", verdict.verdict),
        "text": (
            m.text(f"verdict_text.{verdict.verdict}", **facts)
            if good
            else m.refusal(verdict.verdict, facts)
        ),
        "serial": verdict.serial,
    }


def _site(session: Session, visitor: Visitor, typed: str) -> tuple[int, str]:
    """Return number and national id of one of the visitor's sites, or raise `NoSuchRoom`."""
    number = number_of(typed)
    if number is None and len(set(visitor.sites)) == 1:
        number = visitor.sites[0]
    if number is None or number not in visitor.sites:
        raise NoSuchRoom
    key = session.scalars(select(site.c.national_id).where(site.c.number == number)).one()
    return number, key


def _workshop(request: Asked, departement: str, identifier: UUID) -> dict[str, Any]:
    """Return a workshop of one of the visitor's sites; another site's is not there."""
    visitor, serving = visitor_of(request), serving_of(request)
    with serving.instance.database.begin(departement, read_only=True) as session:
        row = session.execute(
            select(
                workshop.c.id, workshop.c.site, workshop.c.day, workshop.c.kind, site.c.name
            )
            .join(site, site.c.number == workshop.c.site)
            .where(workshop.c.id == identifier)
        ).one_or_none()
    if row is None or row.site not in visitor.sites:
        raise NoSuchRoom
    return dict(row._mapping)  # noqa: SLF001 - SQLAlchemy's own name


def _workshops(request: Asked, departement: str) -> dict[str, Any]:
    visitor, serving = visitor_of(request), serving_of(request)
    today = serving.instance.moment(departement).day
    with serving.instance.database.begin(departement, read_only=True) as session:
        recent = session.execute(
            select(workshop.c.id, workshop.c.day, workshop.c.kind, site.c.name)
            .join(site, site.c.number == workshop.c.site)
            .where(workshop.c.site.in_(visitor.sites), workshop.c.day >= today - RECENT)
            .order_by(workshop.c.day.desc(), workshop.c.id.desc())
            .limit(50)
        ).all()
        sites = session.execute(
            select(site.c.number, site.c.name)
            .where(site.c.number.in_(visitor.sites))
            .order_by(site.c.name)
        ).all()
    return {
        "recent": recent,
        "sites": sites,
        "today": today.isoformat(),
        "kinds": get_args(Kind),
        "fresh_id": new_id(),
    }
