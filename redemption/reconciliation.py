"""Reconciliation: where every cent of a tranche is, who it falls to, and the proof that it adds up.

    envelope = available + stock + circulating + due + blocked + lapsed + paid

In count and in cents, per tranche and per call for projects, as far as the log goes.
Recoverable money and open disputes are shown apart.  If the lines do not equal the movements
of the ledger, nothing is printed.

Two times bound a question: what happened by a day in the world, and what was known by then, which
is a log size.  Of a log size, or of a day that is over, the answer is the same bytes for ever: it
comes from the entries within that size alone.  A tranche or a call that they do not open is not
found, funders have the rates of the last share version among them, and a site is called as the
last of them that tells of it called it.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import NamedTuple, TypedDict

import msgspec
from sqlalchemy import exists, func, select
from sqlalchemy.orm import Session

from funding import queries as funds
from funding.proof import prove_sharing
from funding.queries import FunderPart
from funding.tranches import TrancheRow
from issuance.models import activation, voucher, voucher_order
from issuance.queries import REPLACEMENT, VOID, carnets_given_up
from ledger import canonical
from ledger import queries as books
from ledger.models import entry, log_leaf
from ledger.moments import Moment
from ledger.queries import Holding
from ledger.refusal import Refusal
from redemption.models import dispute, kept_scan
from redemption.sites import SiteNames, site_names

STATES = ("available", "stock", "circulating", "due", "blocked", "lapsed", "paid")
AT_SITES = frozenset({"due", "paid", "recoverable"})
# A sequencer may still be writing the last checkpoint of a day when the day ends.
CLOSES_AFTER = timedelta(minutes=1)


@dataclass(eq=False)
class DoesNotReconcile(Refusal):
    """The figures do not add up: none is printed, and the difference is told instead."""

    code = "does_not_reconcile"

    tranche: str
    check: str
    expected_cents: int
    found_cents: int


@dataclass(eq=False)
class NoSuchLogSize(Refusal):
    """The log has never had this size: it is larger than the log, or below zero."""

    code = "no_such_log_size"

    asked: int
    size: int


@dataclass(eq=False)
class KnownByTwice(Refusal):
    """What was known is told by a day or by a log size, not by both."""

    code = "known_by_twice"


class Line(msgspec.Struct, frozen=True):
    """One state: how many passes, worth how many cents."""

    state: str
    count: int
    cents: int


class SiteLine(msgspec.Struct, frozen=True):
    """What one site did: passes used there, and what is due and paid for them, in cents."""

    site: int
    national_id: str
    siret: str | None
    name: str
    count: int
    due_cents: int
    paid_cents: int
    recoverable_cents: int


class Reconciliation(msgspec.Struct, frozen=True):
    """A tranche at a log size: its lines, its funders, its sites, and what is apart.

    `known_by` is when the log was like this: the end of a day that is over, when the last entry of
    a log size was recorded, or now.  `not_yet_logged` is None where the question is of a
    log size, or of a day that is over, since what waits outside the log is no part of the answer.
    """

    call: str
    tranche: str
    number: int
    programme: str
    face_cents: int
    envelope_cents: int
    lines: tuple[Line, ...]
    made: int
    active: int
    handed_out: int
    used: int
    used_cents: int
    funders: tuple[FunderPart, ...]
    sites: tuple[SiteLine, ...]
    recoverable_cents: int
    disputes_open: int
    scans_waiting: int
    happened_by: date
    known_by: datetime
    log_size: int
    log_root: str
    not_yet_logged: int | None

    def line(self, state: str) -> Line:
        """Return the line of a state."""
        return next(line for line in self.lines if line.state == state)


class CallPart(msgspec.Struct, frozen=True):
    """What falls to one funder in all the tranches of a call, in cents.

    Without a rate: each tranche has its own.
    """

    convention: str
    funder: str
    basis: str
    cap_cents: int | None
    cents: int


class CallReconciliation(msgspec.Struct, frozen=True):
    """A call for projects: its tranches, and their sums."""

    call: str
    envelope_cents: int
    lines: tuple[Line, ...]
    used_cents: int
    funders: tuple[CallPart, ...]
    tranches: tuple[Reconciliation, ...]


def reconcile(
    session: Session,
    *,
    now: Moment,
    tranche: str | None = None,
    call: str | None = None,
    as_of: date | None = None,
    known_by: date | None = None,
    log_size: int | None = None,
    proof: bool = True,
) -> list[Reconciliation]:
    """Reconcile a tranche, those of a call, or all of them.

    `as_of` is a day in the world, with the whole of it.  `known_by` is a day of the books: what
    the log held when that day ended; a day that is not over, or by less than a minute, is as
    known now.  `log_size` says it in entries, and does not need the clock.  The same question
    about a log size, or about a day that is over, has the same answer for ever.

    `proof` sums every entry again and compares, and holds who pays to the entries; without it, only
    the roll-ups are compared among themselves.  Raises `NotFound`, `NoSuchLogSize`,
    `KnownByTwice`, `DoesNotReconcile`, `FundsToldOtherwise`.  Only
    reads, in as many statements for many tranches as for one; the session must see one picture
    throughout.
    """
    view = _view(session, now, as_of, known_by, log_size)
    rows = funds.tranches(session, code=tranche, of_call=call, known_by=view.told_by)
    if proof:
        prove_sharing(session)
    books_read = _read(session, rows, view, derived=view.bounded)
    counts = _count(session, rows, books_read, view)
    found = []
    for row in rows:
        held = books_read.held[row.number]
        result = _assemble(row, held, books_read.parts[row.number], counts, view)
        _check(result, held, view)
        found.append(result)
    if proof and not view.bounded:
        _prove(rows, books_read, _read(session, rows, view, derived=True))
    return found


class _Read(NamedTuple):
    """What the books say of tranches, by number: their accounts, and their funders' parts."""

    held: dict[int, list[Holding]]
    parts: dict[int, list[FunderPart]]


def _read(
    session: Session, rows: Sequence[TrancheRow], view: "_View", *, derived: bool
) -> _Read:
    """Read the roll-ups, or derive them from the entries."""
    numbers = [row.number for row in rows]
    names = [str(number) for number in numbers]
    if derived:
        holdings = books.derived_holdings(session, names, **view.bounds)
        parts = funds.funder_parts(session, numbers, **view.bounds, agreed_by=view.told_by)
    else:
        holdings = books.logged_holdings(session, names)
        parts = funds.funder_parts(session, numbers)
    held: dict[int, list[Holding]] = {number: [] for number in numbers}
    for h in holdings:
        held[int(h.book)].append(h)
    return _Read(held, parts)


class _Bounds(TypedDict):
    happened_by: date | None
    known_by: int | None


class _View(NamedTuple):
    """Which entries count: what happened by a day, as the log of this size knew it."""

    as_of: date | None
    bounded: bool
    happened_by: date
    known_by: datetime
    size: int
    root: str
    waiting: int | None

    @property
    def bounds(self) -> _Bounds:
        return {"happened_by": self.as_of, "known_by": self.size}

    @property
    def told_by(self) -> int | None:
        """How much of the log tells what tranches, rates and sites there are; None: all, as today."""
        return self.size if self.bounded else None


def _view(
    session: Session,
    now: Moment,
    as_of: date | None,
    known_by: date | None,
    log_size: int | None,
) -> _View:
    held = books.log_size(session)
    end = _end_of(known_by, now) if known_by is not None else None
    if log_size is not None:
        if known_by is not None:
            raise KnownByTwice
        if not 0 <= log_size <= held:
            raise NoSuchLogSize(log_size, held)
        size = log_size
        instant = (books.last_recorded_at(session, size) or now.at).astimezone(now.zone)
        day, waiting = instant.date(), None
    elif known_by is not None and end is not None:
        size, instant = books.size_known_by(session, end), end
        day, waiting = known_by, None
    else:
        size, instant = held, now.at
        day, waiting = now.day, books.waiting(session)
    root = books.root_at(session, size)
    return _View(
        as_of,
        any(bound is not None for bound in (as_of, known_by, log_size)),
        as_of or day,
        instant,
        size,
        root.hex() if root is not None else "",
        waiting,
    )


def _end_of(day: date, now: Moment) -> datetime | None:
    """Return the instant at which a day ended, None while it is not closed."""
    if day >= now.day:
        return None
    end = datetime.combine(day + timedelta(days=1), time.min, now.zone)
    return end if now.at >= end + CLOSES_AFTER else None


def of_call(call: str, tranches: Sequence[Reconciliation]) -> CallReconciliation:
    """Sum the tranches of a call, line by line and funder by funder."""
    lines = tuple(
        Line(
            state,
            sum(t.line(state).count for t in tranches),
            sum(t.line(state).cents for t in tranches),
        )
        for state in STATES
    )
    funders: dict[str, CallPart] = {}
    for t in tranches:
        for part in t.funders:
            before = funders.get(part.convention)
            cents = part.cents + (before.cents if before is not None else 0)
            funders[part.convention] = CallPart(
                part.convention, part.funder, part.basis, part.cap_cents, cents
            )
    return CallReconciliation(
        call,
        sum(t.envelope_cents for t in tranches),
        lines,
        sum(t.used_cents for t in tranches),
        tuple(funders.values()),
        tuple(tranches),
    )


class _Counts(NamedTuple):
    """What is counted beside the books, by tranche; and who the sites are, by number."""

    active: dict[int, int]
    disputes: dict[int, int]
    waiting: dict[int, int]
    sites: dict[int, SiteNames]


def _count(
    session: Session, rows: Sequence[TrancheRow], read: _Read, view: _View
) -> _Counts:
    numbers = [row.number for row in rows]
    places = {
        int(h.party)
        for held in read.held.values()
        for h in held
        if h.kind in AT_SITES and h.party is not None and h.cents
    }
    return _Counts(
        _active(session, numbers, view),
        _cases(session, numbers, view),
        _waiting_scans(session, numbers, view),
        site_names(session, places, known_by=view.told_by),
    )


def _assemble(
    row: TrancheRow,
    held: Sequence[Holding],
    parts: Sequence[FunderPart],
    counts: _Counts,
    view: _View,
) -> Reconciliation:
    cents = {state: sum(h.cents for h in held if h.kind == state) for state in STATES}
    lines = tuple(Line(s, cents[s] // row.face_cents, cents[s]) for s in STATES)
    used = cents["due"] + cents["paid"]
    given = used + sum(h.cents for h in held if "circulating" in (h.kind, h.party))
    envelope = -sum(h.cents for h in held if h.kind == "committed")
    return Reconciliation(
        call=row.call,
        tranche=row.code,
        number=row.number,
        programme=row.programme,
        face_cents=row.face_cents,
        envelope_cents=envelope,
        lines=lines,
        made=(envelope - cents["available"]) // row.face_cents,
        active=counts.active.get(row.number, 0),
        handed_out=given // row.face_cents,
        used=used // row.face_cents,
        used_cents=used,
        funders=tuple(parts),
        sites=_sites(row, held, counts.sites),
        recoverable_cents=sum(h.cents for h in held if h.kind == "recoverable"),
        disputes_open=counts.disputes.get(row.number, 0),
        scans_waiting=counts.waiting.get(row.number, 0),
        happened_by=view.happened_by,
        known_by=view.known_by,
        log_size=view.size,
        log_root=view.root,
        not_yet_logged=view.waiting,
    )


def _sites(
    row: TrancheRow,
    held: Sequence[Holding],
    places: Mapping[int, SiteNames],
) -> tuple[SiteLine, ...]:
    money: dict[int, dict[str, int]] = {}
    for h in held:
        if h.party is not None and h.kind in AT_SITES and h.cents:
            money.setdefault(int(h.party), {})[h.kind] = h.cents
    return tuple(
        SiteLine(
            number,
            *places[number],
            (of.get("due", 0) + of.get("paid", 0)) // row.face_cents,
            of.get("due", 0),
            of.get("paid", 0),
            of.get("recoverable", 0),
        )
        for number, of in sorted(money.items())
    )


def _active(session: Session, numbers: Collection[int], view: _View) -> dict[int, int]:
    """Count the passes of the orders that had become active by then, by tranche.

    Passes that replace others are not counted again, nor misprints that were voided, nor what a
    cancelled order never had.
    """
    chosen = (
        select(
            voucher_order.c.number,
            voucher_order.c.tranche,
            voucher_order.c.carnets,
            voucher_order.c.carnet_size,
        )
        .join(activation, activation.c.order_number == voucher_order.c.number)
        .join(entry, entry.c.id == activation.c.entry_id)
        .join(log_leaf, log_leaf.c.entry_id == entry.c.id)
        .where(
            voucher_order.c.tranche.in_(numbers),
            ~voucher_order.c.specimen,
            entry.c.kind != REPLACEMENT,
            books.placed_within(view.size),
        )
    )
    if view.as_of is not None:
        chosen = chosen.where(entry.c.occurred_on <= view.as_of)
    given_up, voided = carnets_given_up(session), _voided(session, view)
    found = Counter[int]()
    for number, of, carnets, size in session.execute(chosen):
        found[of] += (carnets - given_up.get(number, 0)) * size - voided[number]
    return found


def _voided(session: Session, view: _View) -> Counter[int]:
    """Count the misprints that were voided by then, by order: an entry for each lot of them."""
    chosen = (
        select(entry.c.body)
        .join(log_leaf, log_leaf.c.entry_id == entry.c.id)
        .where(books.uses_right(VOID), books.placed_within(view.size))
    )
    if view.as_of is not None:
        chosen = chosen.where(entry.c.occurred_on <= view.as_of)
    found = Counter[int]()
    for body in session.scalars(chosen):
        facts = canonical.decode(body)["facts"]
        found[facts["order"]] += facts["count"]
    return found


def _cases(session: Session, numbers: Collection[int], view: _View) -> dict[int, int]:
    chosen = (
        select(dispute.c.tranche, func.count())
        .select_from(dispute)
        .join(entry, entry.c.id == dispute.c.entry_id)
        .join(log_leaf, log_leaf.c.entry_id == entry.c.id)
        .where(dispute.c.tranche.in_(numbers), books.placed_within(view.size))
        .group_by(dispute.c.tranche)
    )
    if view.as_of is not None:
        chosen = chosen.where(entry.c.occurred_on <= view.as_of)
    return dict(session.execute(chosen).all())


def _waiting_scans(
    session: Session, numbers: Collection[int], view: _View
) -> dict[int, int]:
    """Count, by tranche, the passes that were scanned and still wait for their hand-out to be recorded.

    Today's count needs no log.  Within a log size, a scan waits until its pass is spent by an entry
    that it holds, whatever the day of that: the hand-out decides for the day of the workshop.  One
    that the hand-out could not accept (the place was not accredited that day) goes on waiting, for
    a manager: nothing is dropped in silence.
    """
    ended = select(entry.c.id).where(
        entry.c.uses == "spend", entry.c.subject == kept_scan.c.serial
    )
    chosen = (
        select(voucher_order.c.tranche, func.count(func.distinct(kept_scan.c.serial)))
        .join(voucher, voucher.c.serial == kept_scan.c.serial)
        .join(voucher_order, voucher_order.c.number == voucher.c.order_number)
        .group_by(voucher_order.c.tranche)
    )
    if view.bounded:
        placed = log_leaf.alias()
        ended = ended.join(placed, placed.c.entry_id == entry.c.id).where(
            books.placed_within(view.size, placed)
        )
        chosen = chosen.join(log_leaf, log_leaf.c.entry_id == kept_scan.c.entry_id).where(
            books.placed_within(view.size)
        )
    if view.as_of is not None:
        scanned = entry.alias()
        chosen = chosen.join(scanned, scanned.c.id == kept_scan.c.entry_id).where(
            scanned.c.occurred_on <= view.as_of
        )
    chosen = chosen.where(voucher_order.c.tranche.in_(numbers), ~exists(ended))
    return dict(session.execute(chosen).all())


def _check(result: Reconciliation, held: Sequence[Holding], view: _View) -> None:
    """Raise `DoesNotReconcile` unless the lines add up, to the cent and to the pass."""
    sums = {
        "envelope": (result.envelope_cents, sum(line.cents for line in result.lines)),
        "funders": (result.used_cents, sum(part.cents for part in result.funders)),
        "sites": (result.used_cents, sum(s.due_cents + s.paid_cents for s in result.sites)),
    }
    if result.envelope_cents % result.face_cents == 0:
        # An envelope is whole; a log size may stand between the entries that commit it.
        sums["whole_passes"] = (
            sum(line.cents for line in result.lines),
            sum(line.count * result.face_cents for line in result.lines),
        )
    if view.as_of is None:
        # As of a day, a pass used before its hand-out was recorded leaves less than nothing there.
        sums["no_debt"] = (0, sum(min(h.cents, 0) for h in held if h.kind in STATES))
    for check, (expected, found) in sums.items():
        if expected != found:
            raise DoesNotReconcile(result.tranche, check, expected, found)


def _prove(rows: Sequence[TrancheRow], rolled_up: _Read, derived: _Read) -> None:
    """Raise `DoesNotReconcile` unless summing every entry again gives the same lines and parts."""
    for row in rows:
        again = derived.held[row.number]
        for before, after in zip(rolled_up.held[row.number], again, strict=True):
            if before.cents != after.cents:
                name = f"{before.kind}/{before.party or ''}"
                raise DoesNotReconcile(row.code, name, after.cents, before.cents)
        summed = derived.parts[row.number]
        for part, other in zip(rolled_up.parts[row.number], summed, strict=True):
            if part.cents != other.cents:
                raise DoesNotReconcile(row.code, part.convention, other.cents, part.cents)
