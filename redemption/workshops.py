"""Workshops: where passes are used; made by the client with its own id, even without a network."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Literal, NamedTuple
from uuid import UUID

import msgspec
from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from ledger.attempts import Act, Answer, perform
from ledger.columns import Word
from ledger.journal import must_record
from ledger.moments import Moment
from ledger.refusal import Refusal
from redemption.counter import EARLIEST, Device
from redemption.mednum_vocabulary import VOCABULARY, official
from redemption.models import site, workshop
from redemption.sites import site_row

Kind = Literal["individual", "collective", "at_home", "itinerant"]

# What stands in the entry for a service that the national list does not have.
OTHER_SERVICE = "Autre"


@dataclass(eq=False)
class WorkshopInFuture(Refusal):
    """A workshop is recorded on its day or later; its id can be sent again, with its true day."""

    code = "workshop_in_future"
    kept = False

    day: date
    today: date


@dataclass(eq=False)
class WorkshopTooEarly(Refusal):
    """No workshop is older than the first passes; its id can be sent again, with its true day."""

    code = "workshop_too_early"
    kept = False

    day: date
    earliest: date


@dataclass(eq=False)
class ServiceUnknown(Refusal):
    """The service is none of the national list; what was written is not repeated."""

    code = "service_unknown"

    known: tuple[str, ...]


@dataclass(eq=False)
class OtherSite(Refusal):
    """The device scans for another site."""

    code = "other_site"


class OpenWorkshop(msgspec.Struct, frozen=True):
    """A workshop at a site, on a civil day there; `service` is a word of the national list of sites."""

    id: UUID
    site: Word
    day: date
    kind: Kind = "collective"
    service: str = "Maîtrise des outils numériques du quotidien"


class WorkshopRow(NamedTuple):
    """A workshop that was opened, with the name of its site."""

    id: UUID
    site: int
    day: date
    kind: Kind
    name: str


def open_workshop(
    session: Session, request: OpenWorkshop, *, device: Device, now: Moment
) -> Answer:
    """Record a workshop, once; its id is the client's.

    A service that is not of the national list is recorded as « Autre »: an entry stands for
    ever, and holds no free text, but a phone's workshop is not lost for a word, nor are the
    scans that wait for it.  Refused with `not_found`, `other_site`; raises, and keeps nothing,
    `WorkshopInFuture` or `WorkshopTooEarly`: a phone whose clock is wrong sends the same id
    again once it is set, and its scans find their workshop.  How long after its day a use may
    still be received is the tranche's presentation date, not a rule of the workshop.
    """
    act = Act(request.id, "open_workshop", device.id, now)

    def done() -> None:
        number, *_ = site_row(session, request.site)
        if device.site not in (None, number):
            raise OtherSite
        if request.day > now.day:
            raise WorkshopInFuture(request.day, now.day)
        if request.day < EARLIEST.date():
            raise WorkshopTooEarly(request.day, EARLIEST.date())
        service = official("services", request.service) or OTHER_SERVICE
        facts = {
            "kind": request.kind,
            "service": service,
            "site": number,
            "workshop": str(request.id),
        }
        must_record(session, [act.entry("workshop_opened", facts, on=request.day)])
        session.execute(
            insert(workshop).values(
                id=request.id,
                site=number,
                day=request.day,
                kind=request.kind,
                service=service,
                entry_id=act.id,
            )
        )

    return perform(session, act, request, done)


def listed_service(text: str) -> str:
    """Return the national list's spelling of a service; raises `ServiceUnknown`, for people who can choose again."""
    found = official("services", text)
    if found is None:
        raise ServiceUnknown(VOCABULARY["services"])
    return found


_ROWS = select(
    workshop.c.id, workshop.c.site, workshop.c.day, workshop.c.kind, site.c.name
).join(site, site.c.number == workshop.c.site)


def workshop_row(session: Session, identifier: UUID) -> WorkshopRow | None:
    """Return a workshop by its id."""
    row = session.execute(_ROWS.where(workshop.c.id == identifier)).one_or_none()
    return None if row is None else WorkshopRow._make(row)


def recent_workshops(
    session: Session, sites: Sequence[int], *, since: date, most: int = 50
) -> list[WorkshopRow]:
    """Return the workshops of these sites since a day, the latest first."""
    rows = session.execute(
        _ROWS.where(workshop.c.site.in_(sites), workshop.c.day >= since)
        .order_by(workshop.c.day.desc(), workshop.c.id.desc())
        .limit(most)
    ).all()
    return [WorkshopRow._make(row) for row in rows]
