"""A site's room: workshops, and the passes used there, typed from the paper."""

import asyncio
from datetime import UTC, date, datetime, timedelta
from typing import Any, cast, get_args
from uuid import UUID

from litestar import Controller, Response, get, post
from litestar.params import FromPath
from sqlalchemy.orm import Session

from app.errors import language_of
from app.pages.frame import (
    Answer,
    Asked,
    act_id,
    acting,
    again,
    form_of,
    go,
    now_of,
    number_of,
    page,
    reading,
    serving_of,
    visitor_of,
)
from app.pages.visitors import NoSuchRoom, Visitor
from app.people.roles import Action
from issuance.hand_outs import HandOut, Proof
from ledger.attempts import Answer as Told
from ledger.attempts import facts_of
from ledger.moments import Moment
from redemption.both_acts import Offer, done_before, give_and_use, offer
from redemption.counter import Device, Presented, Scan, Verdict
from redemption.recognition import recognise
from redemption.sites import listed_sites
from redemption.workshops import (
    Kind,
    OpenWorkshop,
    WorkshopInFuture,
    WorkshopRow,
    WorkshopTooEarly,
    open_workshop,
    recent_workshops,
    workshop_row,
)

RECENT = timedelta(days=14)
# A list that a form carries along: what this sitting has taken so far.
LONGEST_SITTING = 100
# What a pass is told to be that no desk has recorded yet.
NOT_GIVEN = {"not_handed_out", "kept"}
LAST_SECOND = int(datetime.max.replace(tzinfo=UTC).timestamp()) - 1


class Mediator(Controller):
    """What a mediator or a volunteer does."""

    path = "/{departement:str}/ateliers"
    include_in_schema = False

    @get("/", opt={"door": Action.SCAN}, sync_to_thread=True)
    def workshops(self, request: Asked) -> Response[str]:
        """List the workshops of the last fortnight, and open one."""
        return page(request, "workshops.html", typed={}, **_workshops(request))

    @post("/", opt={"door": Action.SCAN})
    async def open(self, departement: FromPath[str], request: Asked) -> Answer:
        """Open a workshop, once whatever the clicks."""
        fields = await form_of(request)
        visitor, m = visitor_of(request), language_of(request)
        try:
            day = date.fromisoformat(fields.get("day", ""))
        except ValueError:
            return await _again(request, {"day": m.refusal("date_needed")}, fields)
        identifier = act_id(fields)

        def opened(session: Session, now: Moment) -> Told:
            number, key = _site(session, visitor, fields.get("site", ""))
            kind: Any = fields.get("kind")
            asked = OpenWorkshop(
                identifier, key, day, kind if kind in get_args(Kind) else "collective"
            )
            device = Device(str(visitor.session.person), number)
            return open_workshop(session, asked, device=device, now=now)

        try:
            told = await acting(request, opened)
        except (WorkshopInFuture, WorkshopTooEarly) as no:
            told = Told(identifier, no.code, facts_of(no))
        if not told.accepted:
            return await _again(request, {"day": m.refusal(told.code, told.facts)}, fields)
        return go(f"/{departement}/ateliers/{identifier}")

    @get("/{workshop_id:uuid}", opt={"door": Action.SCAN}, sync_to_thread=True)
    def workshop(self, workshop_id: FromPath[UUID], request: Asked) -> Response[str]:
        """Ask for the passes of a workshop, one after the other."""
        held = _workshop(request, workshop_id)
        return page(request, "workshop.html", w=held, verdict=None, taken=[], offer=None)

    @post("/{workshop_id:uuid}", opt={"door": Action.SCAN})
    async def take(
        self, departement: FromPath[str], workshop_id: FromPath[UUID], request: Asked
    ) -> Response[str]:
        """Use a pass: what was typed is judged as a scan is, at the same counter."""
        fields = await form_of(request)
        held = await asyncio.to_thread(_workshop, request, workshop_id)
        taken = [s for s in fields.get("taken", "").split(",") if s][:LONGEST_SITTING]
        typed = fields.get("token", "")
        if not typed:
            m = language_of(request)
            needed = m.refusal("field_needed", {"field": m.text("Code du pass")})
            return again(
                request,
                "workshop.html",
                {"token": needed},
                w=held,
                verdict=None,
                taken=taken,
                offer=None,
            )
        identifier = act_id(fields)
        scan = Scan(identifier, typed, workshop_id, _claimed(identifier))
        device = Device(str(visitor_of(request).session.person), held.site)
        [verdict] = await serving_of(request).redeem(departement, [Presented(scan, device)])
        if verdict.verdict == "accepted" and verdict.serial not in taken:
            taken.append(verdict.serial or "")
        offered = None
        if verdict.verdict in NOT_GIVEN:
            offered = await asyncio.to_thread(_offer, request, typed, held.site)
        return page(
            request,
            "workshop.html",
            w=held,
            verdict=_shown(request, verdict),
            taken=taken,
            offer=offered,
            token=typed,
            typed={},
        )

    @post("/{workshop_id:uuid}/remise", opt={"door": Action.SCAN})
    async def give_and_take(
        self, workshop_id: FromPath[UUID], request: Asked
    ) -> Response[str]:
        """Hand a pass out and use it, in one act: where desk and site are one organisation."""
        fields, m = await form_of(request), language_of(request)
        held = await asyncio.to_thread(_workshop, request, workshop_id)
        taken = [s for s in fields.get("taken", "").split(",") if s][:LONGEST_SITTING]
        typed, identifier = fields.get("token", ""), act_id(fields)
        visitor, instance = visitor_of(request), serving_of(request).instance
        ring = instance.keyring(visitor.departement)
        told: dict[str, Any] = {"w": held, "taken": taken, "token": typed, "typed": fields}
        desk = fields.get("desk")
        offered = await asyncio.to_thread(
            _offer, request, typed, held.site, sent=identifier
        )
        if not typed or offered is None:
            needed = m.refusal("field_needed", {"field": m.text("Code du pass")})
            return again(
                request,
                "workshop.html",
                {"token": needed},
                verdict=None,
                offer=None,
                **told,
            )
        if offered.desk != desk:
            raise NoSuchRoom
        serial = offered.serial
        pic, proof = fields.get("pic"), fields.get("proof")
        missing = {
            name: m.refusal("choice_needed")
            for name, good in (
                ("pic", pic in {"yes", "no"}),
                ("proof", proof in get_args(Proof)),
            )
            if not good
        }
        if missing:
            return again(
                request, "workshop.html", missing, verdict=None, offer=offered, **told
            )
        device = Device(str(visitor.session.person), held.site)
        scan = Scan(identifier, typed, workshop_id, _claimed(identifier))
        asked = HandOut(
            identifier,
            desk,
            pic == "yes",
            cast("Proof", proof),
            serials=(serial,),
            at_site=held.site,
        )

        def done(session: Session, now: Moment) -> tuple[Told, Verdict | None]:
            return give_and_use(
                session,
                asked,
                scan,
                device=device,
                now=now,
                sealer=instance.sealer,
                keyring=ring,
            )

        answer, verdict = await acting(request, done)
        if verdict is None:
            said = m.refusal(answer.code, answer.facts)
            return again(
                request, "workshop.html", {"token": said}, verdict=None, offer=None, **told
            )
        if verdict.verdict == "accepted" and serial not in taken:
            taken.append(serial)
        shown = _shown(request, verdict)
        return page(request, "workshop.html", verdict=shown, offer=None, **told)


def _offer(
    request: Asked, token: str, site: int, *, sent: UUID | None = None
) -> Offer | None:
    """Return what this visitor may hand out here, at a desk of theirs, before it is used.

    Or what they did already by the form `sent`: it hears what it heard before.  A pass that was
    never offered to them is not there; None for a text that is no pass.
    """
    visitor, serving = visitor_of(request), serving_of(request)
    ring, who = serving.instance.keyring(visitor.departement), str(visitor.session.person)
    serving.guesses.check(who)
    with reading(request) as session:
        seen = recognise(session, token, ring)
        offered = offer(session, token, site, visitor.desks, ring)
        if offered is None and seen.row is not None and sent is not None:
            offered = done_before(session, sent, by=who, serial=seen.row.serial)
            if offered is None:
                raise NoSuchRoom
    serving.guesses.looked(who, seen)
    return offered


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
    "void": "no",
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
    [key] = [row.national_id for row in listed_sites(session) if row.number == number]
    return number, key


def _workshop(request: Asked, identifier: UUID) -> WorkshopRow:
    """Return a workshop of one of the visitor's sites; another site's is not there."""
    with reading(request) as session:
        row = workshop_row(session, identifier)
    if row is None or row.site not in visitor_of(request).sites:
        raise NoSuchRoom
    return row


def _workshops(request: Asked) -> dict[str, Any]:
    theirs, today = visitor_of(request).sites, now_of(request).day
    with reading(request) as session:
        recent = recent_workshops(session, theirs, since=today - RECENT)
        sites = [(row.name, row.number) for row in listed_sites(session)]
    return {
        "recent": recent,
        "sites": [(number, name) for name, number in sorted(sites) if number in theirs],
        "today": today.isoformat(),
        "kinds": get_args(Kind),
    }


async def _again(
    request: Asked, errors: dict[str, str], typed: dict[str, str]
) -> Response[str]:
    told = await asyncio.to_thread(_workshops, request)
    return again(request, "workshops.html", errors, typed=typed, **told)
