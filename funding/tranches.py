"""Tranches: an envelope committed by funders, their shares, a calendar of explicit dates."""

import re
from dataclasses import dataclass
from datetime import date
from typing import Literal
from uuid import UUID

import msgspec
from sqlalchemy import func, insert, select, update
from sqlalchemy.orm import Session

from funding.allocation import Funder, Share, arrange, check, split
from funding.hand_out_rules import HandOutRules
from funding.models import (
    calendar,
    call,
    convention,
    programme,
    share,
    share_version,
    target_public,
    territory,
    tranche,
    tranche_budget,
)
from funding.operations import (
    AMOUNT_MAX,
    CodeTaken,
    NotFound,
    be_amount,
    be_free,
    exist,
    in_order,
)
from ledger import gates
from ledger.accounts import account_name, open_accounts
from ledger.attempts import Act, Answer, perform
from ledger.journal import must_record
from ledger.moments import Moment
from ledger.refusal import Refusal

# What makes an order good: the commitment by which the département holds its own money, or, in a
# prepaid scheme, the mandat that has paid for it (DOMAIN, correction 1).
Basis = Literal["commitment", "mandat"]


# What a site's place is compared with: the INSEE code of a commune, or that of a département. No
# commune is numbered 000: 23000 is a postal code.
AREA = re.compile(
    r"(?:[013-9][0-9]|2[1-9AB])(?!000)[0-9]{3}|(?!00|20)(?:[0-8][0-9]|9[0-5])|2[AB]|9[78][0-9]"
)


@dataclass(eq=False)
class EnvelopeExceeded(Refusal):
    """Making this many vouchers would promise more than the funders committed."""

    code = "envelope_exceeded"

    tranche: str
    asked_cents: int
    left_cents: int


@dataclass(eq=False)
class TrancheImpossible(Refusal):
    """A tranche that paper or money cannot carry; `reason` says why."""

    code = "tranche_impossible"

    reason: str


class Calendar(msgspec.Struct, frozen=True):
    """The legal dates of a tranche, each with its whole day, in the order they come.

    `tolerance_until` is the last workshop day, `present_by` the last day a use may be
    received; an extension moves them, never what is printed.
    """

    hand_out_stop: date
    use_by: date
    tolerance_until: date
    present_by: date
    pay_by: date
    report_by: date

    def check(self) -> None:
        """Raise `DaysOutOfOrder` unless the days follow one another."""
        in_order(self.hand_out_stop, self.use_by, self.tolerance_until, self.present_by)
        in_order(self.present_by, self.pay_by)
        in_order(self.present_by, self.report_by)


class OpenTranche(msgspec.Struct, frozen=True):
    """Money with dates: the envelope in cents, the weights of its conventions, its rules as data.

    `territory`: the INSEE codes of communes and départements whose sites accept; none: all do.
    `publics`: words of the département's own, or of `funding.publics`.
    """

    id: UUID
    number: int
    code: str
    programme: str
    call: str
    envelope_cents: int
    shares: dict[str, int]
    calendar: Calendar
    face_cents: int = 1000
    carnet_size: int = 5
    regularise: bool = False
    territory: tuple[str, ...] = ()
    publics: tuple[str, ...] = ()
    hand_out: HandOutRules = HandOutRules()
    activated_on: Basis = "commitment"


class ChangeShares(msgspec.Struct, frozen=True):
    """Other weights for the workshops from a day on; what the log already holds keeps its own."""

    id: UUID
    tranche: str
    shares: dict[str, int]
    from_day: date


class AmendCalendar(msgspec.Struct, frozen=True):
    """An amendment (avenant): the whole calendar as it stands from now on."""

    id: UUID
    tranche: str
    calendar: Calendar


def open_tranche(session: Session, request: OpenTranche, *, by: str, now: Moment) -> Answer:
    """Open a tranche: funders' money is committed to it, vouchers can be made up to it.

    Refused with `not_found`, `code_taken`, `days_out_of_order`, `shares_impossible`,
    `tranche_impossible`.
    """
    act = Act(request.id, "open_tranche", by, now)

    def done() -> None:
        gates.alone(session)
        exist(session, programme.c.code, request.programme)
        exist(session, call.c.code, request.call)
        be_free(session, tranche.c.code, request.code)
        if session.scalar(select(tranche.c.code).where(tranche.c.number == request.number)):
            raise CodeTaken("tranche", str(request.number))
        _check_limits(request)
        request.calendar.check()
        shares = _shares(session, request.call, request.shares, request.face_cents)
        _check_names(request.hand_out, shares)
        book = str(request.number)
        open_accounts(
            session,
            [
                *[(kind, book, stage) for kind, stage in TRANCHE_ACCOUNTS],
                *[("committed", book, s.convention) for s in shares],
            ],
        )
        committed = split([s.weight for s in shares], request.envelope_cents)
        facts = msgspec.to_builtins(request)
        del facts["id"]
        must_record(
            session,
            [
                act.entry("tranche_opened", facts),
                *[
                    act.entry(
                        "committed",
                        {"tranche": request.number, "convention": s.convention},
                        rank=rank,
                        credit=account_name("committed", book, s.convention),
                        debit=account_name("available", book),
                        cents=cents,
                    )
                    for rank, (s, cents) in enumerate(
                        zip(shares, committed, strict=True), 1
                    )
                    if cents
                ],
            ],
        )
        _write_tranche(session, request, act)
        _write_rules(session, request)
        _write_calendar(session, request.number, 1, request.calendar, act.id)
        _write_shares(
            session, request.number, 1, request.call, shares, date(1, 1, 1), act.id
        )

    return perform(session, act, request, done)


# What is blocked or lapsed remembers whether it had been handed out.
TRANCHE_ACCOUNTS = (
    ("available", None),
    ("stock", None),
    ("circulating", None),
    ("blocked", "stock"),
    ("blocked", "circulating"),
    ("lapsed", "stock"),
    ("lapsed", "circulating"),
)


def change_shares(
    session: Session, request: ChangeShares, *, by: str, now: Moment
) -> Answer:
    """Add a share version; refused with `not_found`, `shares_impossible`."""
    act = Act(request.id, "change_shares", by, now)

    def done() -> None:
        gates.alone(session)
        row = tranche_row(session, request.tranche)
        shares = _shares(session, row.call, request.shares, row.face_cents)
        newest = session.scalar(
            select(func.max(share_version.c.version)).where(
                share_version.c.tranche == row.number
            )
        )
        facts = msgspec.to_builtins(request)
        del facts["id"]
        must_record(session, [act.entry("shares_changed", facts)])
        _write_shares(
            session,
            row.number,
            (newest or 0) + 1,
            row.call,
            shares,
            request.from_day,
            act.id,
        )

    return perform(session, act, request, done)


def amend_calendar(
    session: Session, request: AmendCalendar, *, by: str, now: Moment
) -> Answer:
    """Add a calendar version, in force at once; refused with `not_found`, `days_out_of_order`."""
    act = Act(request.id, "amend_calendar", by, now)

    def done() -> None:
        gates.alone(session)
        row = tranche_row(session, request.tranche)
        request.calendar.check()
        newest = session.scalar(
            select(func.max(calendar.c.version)).where(calendar.c.tranche == row.number)
        )
        facts = msgspec.to_builtins(request)
        del facts["id"]
        must_record(session, [act.entry("calendar_amended", facts)])
        _write_calendar(session, row.number, (newest or 0) + 1, request.calendar, act.id)

    return perform(session, act, request, done)


def reserve(session: Session, number: int, cents: int) -> None:
    """Set money of a tranche aside for vouchers, under its row's lock, or raise `EnvelopeExceeded`.

    The lock is held until the transaction ends; the table's CHECK says the same.
    """
    row = session.execute(
        update(tranche_budget)
        .where(
            tranche_budget.c.tranche == number,
            tranche_budget.c.reserved_cents + cents <= tranche_budget.c.envelope_cents,
        )
        .values(reserved_cents=tranche_budget.c.reserved_cents + cents)
        .returning(tranche_budget.c.tranche)
    ).all()
    if row:
        return
    code, left = session.execute(
        select(
            tranche.c.code,
            tranche_budget.c.envelope_cents - tranche_budget.c.reserved_cents,
        )
        .join(tranche_budget, tranche_budget.c.tranche == tranche.c.number)
        .where(tranche.c.number == number)
    ).one()
    raise EnvelopeExceeded(code, cents, left)


def release(session: Session, number: int, cents: int) -> None:
    """Give money of a tranche that was set aside back to it, under its row's lock, for other vouchers.

    The caller's own act says why; the table's CHECK refuses to give back more than was taken.
    """
    session.execute(
        update(tranche_budget)
        .where(tranche_budget.c.tranche == number)
        .values(reserved_cents=tranche_budget.c.reserved_cents - cents)
    )


class TrancheRow(msgspec.Struct, frozen=True):
    """A tranche's own, immutable facts."""

    number: int
    code: str
    programme: str
    call: str
    face_cents: int
    carnet_size: int
    regularise: bool


def tranche_row(session: Session, code: str) -> TrancheRow:
    """Return a tranche by its code, or raise `NotFound`."""
    if "\x00" in code:  # no text of PostgreSQL holds one
        raise NotFound("tranche", "")
    row = session.execute(
        select(
            tranche.c.number,
            tranche.c.code,
            tranche.c.programme,
            tranche.c.call,
            tranche.c.face_cents,
            tranche.c.carnet_size,
            tranche.c.regularise,
        ).where(tranche.c.code == code)
    ).one_or_none()
    if row is None:
        raise NotFound("tranche", code)
    return TrancheRow(*row)


def _check_limits(request: OpenTranche) -> None:
    be_amount("envelope", request.envelope_cents)
    limits = {
        "number": 1 <= request.number <= 65_535,
        "face_value": 1 <= request.face_cents <= 65_535,
        "carnet_size": 1 <= request.carnet_size <= 255,
        "envelope": request.envelope_cents >= request.face_cents * request.carnet_size,
        "envelope_not_whole": request.envelope_cents % max(request.face_cents, 1) == 0,
        "late_days": request.hand_out.late_days_fit,
        "limit_per_person": request.hand_out.limit_fits,
        "pic_share": request.hand_out.pic_share_fits,
        "territory": all(map(AREA.fullmatch, request.territory)),
    }
    for reason, kept in limits.items():
        if not kept:
            raise TrancheImpossible(reason)


def _check_names(rules: HandOutRules, shares: tuple[Share, ...]) -> None:
    """Raise `TrancheImpossible` where names would be kept without anything that allows to: a limit needs none."""
    if rules.holders_named and not any(s.funder.is_esf and s.weight for s in shares):
        raise TrancheImpossible("holders_named")


def _shares(
    session: Session, call_code: str, weights: dict[str, int], face_cents: int
) -> tuple[Share, ...]:
    rows = session.execute(
        select(convention.c.code, convention.c.funder).where(
            convention.c.call == call_code, convention.c.code.in_(list(weights))
        )
    ).all()
    funders = {code: Funder(funder) for code, funder in rows}
    for code in weights:
        if code not in funders:
            raise NotFound("convention", code)
    for weight in weights.values():
        be_amount("weight", weight, least=-AMOUNT_MAX)
    shares = [Share(code, funders[code], weight) for code, weight in weights.items()]
    check(shares, face_cents)
    return arrange(shares)


def _write_tranche(session: Session, request: OpenTranche, act: Act) -> None:
    session.execute(
        insert(tranche).values(
            number=request.number,
            code=request.code,
            programme=request.programme,
            call=request.call,
            face_cents=request.face_cents,
            carnet_size=request.carnet_size,
            regularise=request.regularise,
            activated_on=request.activated_on,
            entry_id=act.id,
            **msgspec.structs.asdict(request.hand_out),
        )
    )


def _write_rules(session: Session, request: OpenTranche) -> None:
    session.execute(
        insert(tranche_budget).values(
            tranche=request.number, envelope_cents=request.envelope_cents, reserved_cents=0
        )
    )
    for table, column, values in (
        (territory, "area", request.territory),
        (target_public, "public", request.publics),
    ):
        if values:
            session.execute(
                insert(table),
                [
                    {"tranche": request.number, column: value}
                    for value in sorted(set(values))
                ],
            )


def _write_calendar(
    session: Session, number: int, version: int, days: Calendar, entry: UUID
) -> None:
    session.execute(
        insert(calendar).values(
            tranche=number, version=version, entry_id=entry, **msgspec.structs.asdict(days)
        )
    )


def _write_shares(
    session: Session,
    number: int,
    version: int,
    call_code: str,
    shares: tuple[Share, ...],
    from_day: date,
    entry: UUID,
) -> None:
    session.execute(
        insert(share_version).values(
            tranche=number,
            version=version,
            call=call_code,
            from_day=from_day,
            entry_id=entry,
        )
    )
    session.execute(
        insert(share),
        [
            {
                "tranche": number,
                "version": version,
                "convention": s.convention,
                "call": call_code,
                "priority": priority,
                "weight": s.weight,
            }
            for priority, s in enumerate(shares)
        ],
    )
