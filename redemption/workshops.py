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
from redemption.counter import Device
from redemption.models import site, workshop
from redemption.sites import site_row

Kind = Literal["individual", "collective", "at_home", "itinerant"]


@dataclass(eq=False)
class WorkshopInFuture(Refusal):
    """A workshop is recorded on its day or later."""

    code = "workshop_in_future"

    day: date
    today: date


@dataclass(eq=False)
class OtherSite(Refusal):
    """The device scans for another site."""

    code = "other_site"


class OpenWorkshop(msgspec.Struct, frozen=True):
    """A workshop at a site, on a civil day there; `service` is one of the national list, as data."""

    id: UUID
    site: Word
    day: date
    kind: Kind = "collective"
    service: Word = "Maîtrise des outils numériques du quotidien"


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

    Refused with `not_found`, `other_site`, `workshop_in_future`.  How long after its day a use
    may still be received is the tranche's presentation date, not a rule of the workshop.
    """
    act = Act(request.id, "open_workshop", device.id, now)

    def done() -> None:
        number, *_ = site_row(session, request.site)
        if device.site not in (None, number):
            raise OtherSite
        if request.day > now.day:
            raise WorkshopInFuture(request.day, now.day)
        facts = {
            "kind": request.kind,
            "service": request.service,
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
                service=request.service,
                entry_id=act.id,
            )
        )

    return perform(session, act, request, done)


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
