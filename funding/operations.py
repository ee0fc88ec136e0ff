"""Calls for projects, the funders' conventions, programmes: what a tranche stands on."""

import re
from dataclasses import dataclass
from datetime import date
from itertools import pairwise
from typing import Literal
from uuid import UUID

import msgspec
from sqlalchemy import func, insert, select
from sqlalchemy.orm import Session
from sqlalchemy.sql.schema import Column

from funding.allocation import Funder
from funding.models import call, convention, convention_window, programme, suspension
from ledger import gates
from ledger.attempts import Act, Answer, perform
from ledger.journal import must_record
from ledger.moments import Moment
from ledger.refusal import Refusal

# Ten thousand million euros, in cents.
AMOUNT_MAX = 1_000_000_000_000


@dataclass(eq=False)
class CodeTaken(Refusal):
    """Something of this kind already has the code."""

    code = "code_taken"

    what: str
    name: str


@dataclass(eq=False)
class CodeUnusable(Refusal):
    """The code is empty, or has a sign that separates codes elsewhere."""

    code = "code_unusable"

    name: str


# Where several conventions are written together: in a segment, in `--share CODE=WEIGHT`, on a line.
UNUSABLE = re.compile(r"[,=\x00-\x1f\x7f]")


@dataclass(eq=False)
class NotFound(Refusal):
    """Nothing of this kind has the code."""

    code = "not_found"

    what: str
    name: str


@dataclass(eq=False)
class DaysOutOfOrder(Refusal):
    """Days that cannot follow one another so."""

    code = "days_out_of_order"

    first: str
    second: str


@dataclass(eq=False)
class AmountImpossible(Refusal):
    """An amount or a weight that no budget has; `field` says which."""

    code = "amount_impossible"

    field: str


class OpenCall(msgspec.Struct, frozen=True):
    """A call for projects under which funders commit money."""

    id: UUID
    code: str
    name: str


class SignConvention(msgspec.Struct, frozen=True):
    """An agreement with one funder of a call.

    `basis` is what it pays for, the window is that of workshop days (both included), the cap
    is in cents over the whole call; none of it is a rule of ours, all of it is data.
    """

    id: UUID
    code: str
    call: str
    funder: Funder
    name: str
    opens_on: date
    closes_on: date
    basis: Literal["bought", "used", "paid", "unit_cost"] = "used"
    payment_mode: Literal["prepaid", "advance", "on_claim"] = "on_claim"
    cap_cents: int | None = None


class ExtendConvention(msgspec.Struct, frozen=True):
    """An amendment: this funder's window, from now on; what the log already holds keeps its own."""

    id: UUID
    convention: str
    opens_on: date
    closes_on: date


class StartProgramme(msgspec.Struct, frozen=True):
    """A département's scheme with its own network of prescribers and accredited sites."""

    id: UUID
    code: str
    name: str


class SuspendProgramme(msgspec.Struct, frozen=True):
    """No workshop of these days counts; without an end, until the resumption is recorded."""

    id: UUID
    programme: str
    starts_on: date
    ends_on: date | None = None
    reason: Literal["health_crisis", "network_review", "funding_pause", "other"] = "other"


def open_call(session: Session, request: OpenCall, *, by: str, now: Moment) -> Answer:
    """Open a call for projects, once; refused with `code_taken`."""
    act = Act(request.id, "open_call", by, now)

    def done() -> None:
        gates.alone(session)
        be_free(session, call.c.code, request.code)
        must_record(
            session,
            [act.entry("call_opened", {"call": request.code, "name": request.name})],
        )
        session.execute(
            insert(call).values(
                code=request.code, name=request.name, opened_on=now.day, entry_id=act.id
            )
        )

    return perform(session, act, request, done)


def sign_convention(
    session: Session, request: SignConvention, *, by: str, now: Moment
) -> Answer:
    """Record a funder's agreement, once.

    Refused with `code_taken`, `code_unusable`, `not_found`, `days_out_of_order`.
    """
    act = Act(request.id, "sign_convention", by, now)

    def done() -> None:
        gates.alone(session)
        exist(session, call.c.code, request.call)
        be_free(session, convention.c.code, request.code)
        if UNUSABLE.search(request.code) or not request.code.strip():
            raise CodeUnusable(request.code)
        in_order(request.opens_on, request.closes_on)
        be_amount("cap", request.cap_cents)
        facts = msgspec.to_builtins(request)
        del facts["id"]
        must_record(session, [act.entry("convention_signed", facts)])
        session.execute(
            insert(convention).values(
                code=request.code,
                call=request.call,
                funder=request.funder.value,
                name=request.name,
                basis=request.basis,
                payment_mode=request.payment_mode,
                cap_cents=request.cap_cents,
                entry_id=act.id,
            )
        )
        _write_window(session, request.code, 1, request.opens_on, request.closes_on, act.id)

    return perform(session, act, request, done)


def extend_convention(
    session: Session, request: ExtendConvention, *, by: str, now: Moment
) -> Answer:
    """Give a funder another window; refused with `not_found`, `days_out_of_order`."""
    act = Act(request.id, "extend_convention", by, now)

    def done() -> None:
        gates.alone(session)
        exist(session, convention.c.code, request.convention)
        in_order(request.opens_on, request.closes_on)
        newest = session.scalar(
            select(func.max(convention_window.c.version)).where(
                convention_window.c.convention == request.convention
            )
        )
        facts = {
            "convention": request.convention,
            "opens_on": request.opens_on.isoformat(),
            "closes_on": request.closes_on.isoformat(),
        }
        must_record(session, [act.entry("convention_extended", facts)])
        _write_window(
            session,
            request.convention,
            (newest or 0) + 1,
            request.opens_on,
            request.closes_on,
            act.id,
        )

    return perform(session, act, request, done)


def start_programme(
    session: Session, request: StartProgramme, *, by: str, now: Moment
) -> Answer:
    """Start a programme, once; refused with `code_taken`."""
    act = Act(request.id, "start_programme", by, now)

    def done() -> None:
        gates.alone(session)
        be_free(session, programme.c.code, request.code)
        facts = {"programme": request.code, "name": request.name}
        must_record(session, [act.entry("programme_started", facts)])
        session.execute(
            insert(programme).values(code=request.code, name=request.name, entry_id=act.id)
        )

    return perform(session, act, request, done)


def suspend_programme(
    session: Session, request: SuspendProgramme, *, by: str, now: Moment
) -> Answer:
    """Suspend a programme, or tell the end of a suspension that started the same day.

    Refused with `not_found`, `days_out_of_order`.
    """
    act = Act(request.id, "suspend_programme", by, now)

    def done() -> None:
        gates.alone(session)
        exist(session, programme.c.code, request.programme)
        if request.ends_on is not None:
            in_order(request.starts_on, request.ends_on)
        newest = session.scalar(
            select(func.max(suspension.c.version)).where(
                suspension.c.programme == request.programme,
                suspension.c.starts_on == request.starts_on,
            )
        )
        facts = msgspec.to_builtins(request)
        del facts["id"]
        must_record(session, [act.entry("programme_suspended", facts)])
        session.execute(
            insert(suspension).values(
                programme=request.programme,
                starts_on=request.starts_on,
                version=(newest or 0) + 1,
                ends_on=request.ends_on,
                reason=request.reason,
                entry_id=act.id,
            )
        )

    return perform(session, act, request, done)


def exist(session: Session, column: "Column[str]", code: str) -> None:
    """Raise `NotFound` unless a row has this code."""
    if session.scalar(select(column).where(column == code)) is None:
        raise NotFound(str(column.table.name), code)


def be_free(session: Session, column: "Column[str]", code: str) -> None:
    """Raise `CodeTaken` if a row has this code; the primary key has the last word."""
    if session.scalar(select(column).where(column == code)) is not None:
        raise CodeTaken(str(column.table.name), code)


def be_amount(field: str, value: int | None, least: int = 1) -> None:
    """Raise `AmountImpossible` unless this is a sum of cents, or a weight, that books can hold."""
    if value is not None and not least <= value <= AMOUNT_MAX:
        raise AmountImpossible(field)


def in_order(*days: date) -> None:
    """Raise `DaysOutOfOrder` for the first day that comes before the one it should follow."""
    for first, second in pairwise(days):
        if first > second:
            raise DaysOutOfOrder(first.isoformat(), second.isoformat())


def _write_window(
    session: Session, code: str, version: int, opens_on: date, closes_on: date, entry: UUID
) -> None:
    session.execute(
        insert(convention_window).values(
            convention=code,
            version=version,
            opens_on=opens_on,
            closes_on=closes_on,
            entry_id=entry,
        )
    )
