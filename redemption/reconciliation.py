"""Reconciliation: where every cent of a tranche is, who it falls to, and the proof that it adds up.

    envelope = available + stock + circulating + due + blocked + lapsed + paid

In count and in cents, per tranche and per call for projects, as far as the log goes: the
figures of a log size are the same for ever.  Recoverable money and open disputes are shown
apart.  If the lines do not equal the movements of the ledger, nothing is printed.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import NamedTuple, TypedDict

import msgspec
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from funding import queries as funds
from funding.queries import FunderPart
from funding.tranches import TrancheRow
from issuance.models import activation, handed_out, voucher, voucher_order
from ledger import queries as books
from ledger.models import entry, log_leaf
from ledger.moments import Moment
from ledger.queries import Holding
from ledger.refusal import Refusal
from redemption.models import dispute, kept_scan, site

STATES = ("available", "stock", "circulating", "due", "blocked", "lapsed", "paid")
AT_SITES = frozenset({"due", "paid", "recoverable"})


@dataclass(eq=False)
class DoesNotReconcile(Refusal):
    """The figures do not add up: none is printed, and the difference is told instead."""

    code = "does_not_reconcile"

    tranche: str
    check: str
    expected_cents: int
    found_cents: int


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
    """A tranche at a log size: its lines, its funders, its sites, and what is apart."""

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
    not_yet_logged: int

    def line(self, state: str) -> Line:
        """Return the line of a state."""
        return next(line for line in self.lines if line.state == state)


class CallReconciliation(msgspec.Struct, frozen=True):
    """A call for projects: its tranches, and their sums."""

    call: str
    envelope_cents: int
    lines: tuple[Line, ...]
    used_cents: int
    funders: tuple[FunderPart, ...]
    tranches: tuple[Reconciliation, ...]


def reconcile(
    session: Session,
    *,
    now: Moment,
    tranche: str | None = None,
    call: str | None = None,
    as_of: date | None = None,
    known_by: date | None = None,
    proof: bool = True,
) -> list[Reconciliation]:
    """Reconcile a tranche, those of a call, or all of them.

    `as_of` is a day in the world, `known_by` a day of the books: what the log held when that
    day ended.  `proof` sums every entry again and compares; without it, only the roll-ups are
    compared among themselves.  Raises `NotFound`, `DoesNotReconcile`.  Only reads, in as many
    statements for many tranches as for one; the session must see one picture throughout.
    """
    view = _view(session, now, as_of, known_by)
    rows = funds.tranches(session, code=tranche, of_call=call)
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
        parts = funds.funder_parts(session, numbers, **view.bounds)
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
    waiting: int

    @property
    def bounds(self) -> _Bounds:
        return {"happened_by": self.as_of, "known_by": self.size}


def _view(
    session: Session, now: Moment, as_of: date | None, known_by: date | None
) -> _View:
    if known_by is None or known_by >= now.day:
        instant, size = now.at, books.log_size(session)
    else:
        instant = datetime.combine(known_by + timedelta(days=1), time.min, now.zone)
        size = books.size_known_by(session, instant)
    root = books.root_at(session, size)
    return _View(
        as_of,
        as_of is not None or known_by is not None,
        as_of or now.day,
        min(instant, now.at),
        size,
        root.hex() if root is not None else "",
        books.waiting(session),
    )


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
    funders: dict[str, FunderPart] = {}
    for t in tranches:
        for part in t.funders:
            before = funders.get(part.convention)
            cents = part.cents + (before.cents if before is not None else 0)
            funders[part.convention] = msgspec.structs.replace(part, cents=cents)
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
    sites: dict[int, tuple[str, str | None, str]]


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
        _waiting_scans(session, numbers),
        _places(session, places),
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
    places: Mapping[int, tuple[str, str | None, str]],
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


def _places(
    session: Session, numbers: Collection[int]
) -> dict[int, tuple[str, str | None, str]]:
    """Return national id, SIRET and name of sites, by number."""
    columns = select(site.c.number, site.c.national_id, site.c.siret, site.c.name)
    rows = session.execute(columns.where(site.c.number.in_(numbers)))
    return {number: (key, siret, name) for number, key, siret, name in rows}


def _active(session: Session, numbers: Collection[int], view: _View) -> dict[int, int]:
    """Count the passes of the orders whose commitment number was recorded by then, by tranche."""
    chosen = (
        select(
            voucher_order.c.tranche,
            func.sum(voucher_order.c.carnets * voucher_order.c.carnet_size),
        )
        .join(activation, activation.c.order_number == voucher_order.c.number)
        .join(entry, entry.c.id == activation.c.entry_id)
        .join(log_leaf, log_leaf.c.entry_id == entry.c.id)
        .where(
            voucher_order.c.tranche.in_(numbers),
            ~voucher_order.c.specimen,
            log_leaf.c.idx < view.size,
        )
        .group_by(voucher_order.c.tranche)
    )
    if view.as_of is not None:
        chosen = chosen.where(entry.c.occurred_on <= view.as_of)
    return {number: int(count) for number, count in session.execute(chosen)}


def _cases(session: Session, numbers: Collection[int], view: _View) -> dict[int, int]:
    chosen = (
        select(dispute.c.tranche, func.count())
        .select_from(dispute)
        .join(entry, entry.c.id == dispute.c.entry_id)
        .join(log_leaf, log_leaf.c.entry_id == entry.c.id)
        .where(dispute.c.tranche.in_(numbers), log_leaf.c.idx < view.size)
        .group_by(dispute.c.tranche)
    )
    if view.as_of is not None:
        chosen = chosen.where(entry.c.occurred_on <= view.as_of)
    return dict(session.execute(chosen).all())


def _waiting_scans(session: Session, numbers: Collection[int]) -> dict[int, int]:
    """Count, by tranche, the passes that were scanned and still wait for their hand-out to be recorded."""
    rows = session.execute(
        select(voucher_order.c.tranche, func.count(func.distinct(kept_scan.c.serial)))
        .join(voucher, voucher.c.serial == kept_scan.c.serial)
        .join(voucher_order, voucher_order.c.number == voucher.c.order_number)
        .outerjoin(handed_out, handed_out.c.serial == kept_scan.c.serial)
        .where(voucher_order.c.tranche.in_(numbers), handed_out.c.serial.is_(None))
        .group_by(voucher_order.c.tranche)
    )
    return dict(rows.all())


def _check(result: Reconciliation, held: Sequence[Holding], view: _View) -> None:
    """Raise `DoesNotReconcile` unless the lines add up, to the cent and to the pass."""
    sums = {
        "envelope": (result.envelope_cents, sum(line.cents for line in result.lines)),
        "funders": (result.used_cents, sum(part.cents for part in result.funders)),
        "sites": (result.used_cents, sum(s.due_cents + s.paid_cents for s in result.sites)),
        "whole_passes": (
            sum(line.cents for line in result.lines),
            sum(line.count * result.face_cents for line in result.lines),
        ),
    }
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
