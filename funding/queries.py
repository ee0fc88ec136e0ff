"""Reading the funds: the tranches of a call, and what each use of them falls to, funder by funder."""

from collections import Counter
from collections.abc import Collection, Sequence
from datetime import date
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Select,
    Table,
    and_,
    case,
    cast,
    func,
    select,
    true,
)
from sqlalchemy.orm import Session

from funding.allocation import Fallen, Funder, Payer, Share, arrange, under_caps
from funding.models import (
    attribution,
    calendar,
    call,
    convention,
    convention_window,
    programme,
    segment,
    share,
    share_version,
    tranche,
    tranche_budget,
)
from funding.operations import NotFound
from funding.tranches import Basis, Calendar, TrancheRow, tranche_row
from ledger import canonical
from ledger.models import entry, log_leaf
from ledger.queries import placed_within


class FunderPart(msgspec.Struct, frozen=True):
    """What falls to one funder of a tranche, in cents, beside the terms of its convention.

    `weight` over `weights` is its rate in the newest share version.
    """

    convention: str
    funder: str
    basis: str
    cap_cents: int | None
    weight: int
    weights: int
    cents: int


class _Terms(NamedTuple):
    convention: str
    funder: str
    basis: str
    cap_cents: int | None
    weight: int


def tranches(
    session: Session,
    *,
    code: str | None = None,
    of_call: str | None = None,
    known_by: int | None = None,
) -> list[TrancheRow]:
    """Return one tranche, those of a call, or all of them, by number; raises `NotFound`.

    With a log size, only what the log of that size held is there, and can be found.
    """
    columns = [tranche.c[name] for name in TrancheRow.__struct_fields__]
    chosen = _logged(select(*columns).order_by(tranche.c.number), tranche, known_by)
    if code is not None:
        one = tranche_row(session, code)
        if session.execute(chosen.where(tranche.c.number == one.number)).one_or_none():
            return [one]
        raise NotFound("tranche", code)
    if of_call is not None:
        opened = _logged(select(call.c.code).where(call.c.code == of_call), call, known_by)
        if session.scalar(opened) is None:
            raise NotFound("call", of_call)
        chosen = chosen.where(tranche.c.call == of_call)
    return [TrancheRow(*row) for row in session.execute(chosen)]


def _logged(
    chosen: Select[*tuple[Any, ...]], of: Table, known_by: int | None
) -> Select[*tuple[Any, ...]]:
    """Keep the rows of a table whose entry the log of this size holds; all of them without a size."""
    if known_by is None:
        return chosen
    return chosen.join(log_leaf, log_leaf.c.entry_id == of.c.entry_id).where(
        placed_within(known_by)
    )


def envelope(session: Session, number: int) -> int:
    """Return what funders committed to a tranche, in cents."""
    chosen = select(tranche_budget.c.envelope_cents).where(
        tranche_budget.c.tranche == number
    )
    return int(session.scalars(chosen).one())


def calendar_in_force(session: Session, number: int) -> Calendar:
    """Return the newest calendar of a tranche."""
    row = session.execute(
        select(*[calendar.c[name] for name in Calendar.__struct_fields__])
        .where(calendar.c.tranche == number)
        .order_by(calendar.c.version.desc())
        .limit(1)
    ).one()
    return Calendar(*row)


def calendars_in_force(session: Session, numbers: Collection[int]) -> dict[int, Calendar]:
    """Return the newest calendar of each of these tranches, by number."""
    rows = session.execute(
        select(
            calendar.c.tranche, *[calendar.c[name] for name in Calendar.__struct_fields__]
        )
        .where(calendar.c.tranche.in_(numbers))
        .order_by(calendar.c.version)
    )
    return {number: Calendar(*days) for number, *days in rows}


def funder_parts(
    session: Session,
    numbers: Collection[int],
    *,
    happened_by: date | None = None,
    known_by: int | None = None,
    agreed_by: int | None = None,
) -> dict[int, list[FunderPart]]:
    """Return what falls to each funder of these tranches, by number: département first, EU last.

    Without bounds, from the projection; with them (a day in the world, a log size), summed
    again from the attributed entries.  `agreed_by` is a log size too: which funders there are,
    and at what rate, by the share versions that it holds.  As many statements for all of the
    tranches as for one.
    """
    terms = _terms(session, numbers, agreed_by)
    caps = {
        t.convention: t.cap_cents for each in terms.values() for t in each if t.cap_cents
    }
    together = {*numbers, *_tranches_of(session, caps)}  # a cap holds over all of them
    segments = session.execute(select(segment).where(segment.c.tranche.in_(together))).all()
    totals = {s.id: s.cents for s in segments}
    if happened_by is not None or known_by is not None:
        totals = _segment_totals(session, together, happened_by, known_by)
    fallen = []
    for row in segments:
        codes, _funders, weights = zip(*canonical.decode(row.weights.encode()), strict=True)
        of = row.tranche, row.version, row.open_windows
        fallen.append(Fallen(*of, codes, weights, totals.get(row.id, 0)))
    cents: Counter[tuple[int, str]] = Counter()
    for of_segment, parts in under_caps(fallen, caps):
        for code, part in zip(of_segment.conventions, parts, strict=True):
            cents[of_segment.tranche, code] += part
    return {
        number: [
            FunderPart(
                t.convention,
                t.funder,
                t.basis,
                t.cap_cents,
                t.weight,
                sum(other.weight for other in terms[number]),
                cents[number, t.convention],
            )
            for t in terms[number]
        ]
        for number in terms
    }


def _terms(
    session: Session, numbers: Collection[int], agreed_by: int | None
) -> dict[int, list[_Terms]]:
    """Return, by tranche, the conventions that had a share by then; weights of the newest version."""
    chosen = (
        select(
            share.c.tranche,
            convention.c.code,
            convention.c.funder,
            convention.c.basis,
            convention.c.cap_cents,
            share.c.weight,
            share.c.priority,
            share.c.version,
        )
        .join(convention, convention.c.code == share.c.convention)
        .join(
            share_version,
            and_(
                share_version.c.tranche == share.c.tranche,
                share_version.c.version == share.c.version,
            ),
        )
        .where(share.c.tranche.in_(numbers))
        .order_by(share.c.version, share.c.priority)
    )
    rows = session.execute(_logged(chosen, share_version, agreed_by)).all()
    newest = {row.tranche: row.version for row in rows}
    found: dict[int, dict[str, _Terms]] = {}
    for row in rows:
        weight = row.weight if row.version == newest[row.tranche] else 0
        found.setdefault(row.tranche, {})[row.code] = _Terms(
            row.code, row.funder, row.basis, row.cap_cents, weight
        )
    return {number: _arranged(terms) for number, terms in found.items()}


def _arranged(terms: dict[str, _Terms]) -> list[_Terms]:
    shares = [Share(t.convention, Funder(t.funder), t.weight) for t in terms.values()]
    return [terms[s.convention] for s in arrange(shares)]


def _tranches_of(session: Session, conventions: Collection[str]) -> Sequence[int]:
    if not conventions:
        return []
    chosen = select(share.c.tranche).where(share.c.convention.in_(conventions)).distinct()
    return session.scalars(chosen).all()


def _segment_totals(
    session: Session,
    numbers: Collection[int],
    happened_by: date | None,
    known_by: int | None,
) -> dict[int, int]:
    signed = case(
        (entry.c.uses == "undo", -entry.c.amount_cents), else_=entry.c.amount_cents
    )
    chosen = (
        select(attribution.c.segment, cast(func.sum(signed), BigInteger))
        .join(segment, segment.c.id == attribution.c.segment)
        .join(log_leaf, log_leaf.c.idx == attribution.c.idx)
        .join(entry, entry.c.id == log_leaf.c.entry_id)
        .where(segment.c.tranche.in_(numbers), _within(happened_by, known_by))
        .group_by(attribution.c.segment)
    )
    return {key: int(total) for key, total in session.execute(chosen)}


def _within(happened_by: date | None, known_by: int | None) -> ColumnElement[bool]:
    bounds: Sequence[ColumnElement[bool]] = [
        *([entry.c.occurred_on <= happened_by] if happened_by is not None else []),
        *([log_leaf.c.idx < known_by] if known_by is not None else []),
    ]
    return and_(true(), *bounds)


def listed_calls(session: Session) -> Sequence[tuple[str, str, date]]:
    """Return the calls: code, name, day of opening."""
    rows = session.execute(
        select(call.c.code, call.c.name, call.c.opened_on).order_by(call.c.code)
    )
    return rows.all()


def listed_conventions(session: Session) -> Sequence[tuple[Any, ...]]:
    """Return the conventions: code, call, funder, name, basis, payment mode, cap, window in force."""
    newest = (
        select(
            convention_window.c.convention,
            func.max(convention_window.c.version).label("version"),
        )
        .group_by(convention_window.c.convention)
        .subquery()
    )
    return session.execute(
        select(
            convention.c.code,
            convention.c.call,
            convention.c.funder,
            convention.c.name,
            convention.c.basis,
            convention.c.payment_mode,
            convention.c.cap_cents,
            convention_window.c.opens_on,
            convention_window.c.closes_on,
        )
        .join(newest, newest.c.convention == convention.c.code)
        .join(
            convention_window,
            (convention_window.c.convention == newest.c.convention)
            & (convention_window.c.version == newest.c.version),
        )
        .order_by(convention.c.code)
    ).all()


class TrancheLeft(NamedTuple):
    """A tranche with what is left of its envelope for new orders."""

    code: str
    programme: str
    face_cents: int
    carnet_size: int
    left_cents: int
    envelope_cents: int
    activated_on: Basis

    @property
    def carnets_left(self) -> int:
        """How many carnets can still be ordered."""
        return self.left_cents // (self.face_cents * self.carnet_size)


def tranches_with_money_left(
    session: Session, *, on: date | None = None
) -> list[TrancheLeft]:
    """Return the tranches by number, with what no order has set aside yet.

    With a day, only those whose passes can still be handed out then.
    """
    chosen = (
        select(
            tranche.c.code,
            tranche.c.programme,
            tranche.c.face_cents,
            tranche.c.carnet_size,
            tranche_budget.c.envelope_cents - tranche_budget.c.reserved_cents,
            tranche_budget.c.envelope_cents,
            tranche.c.activated_on,
        )
        .join(tranche_budget, tranche_budget.c.tranche == tranche.c.number)
        .order_by(tranche.c.number)
    )
    if on is not None:
        newest = select(func.max(calendar.c.version)).where(
            calendar.c.tranche == tranche.c.number
        )
        chosen = chosen.join(calendar, calendar.c.tranche == tranche.c.number).where(
            calendar.c.version == newest.correlate(tranche).scalar_subquery(),
            calendar.c.hand_out_stop >= on,
        )
    return [TrancheLeft(*row) for row in session.execute(chosen)]


def listed_programmes(session: Session) -> Sequence[tuple[str, str]]:
    """Return the programmes: code, name."""
    return session.execute(
        select(programme.c.code, programme.c.name).order_by(programme.c.code)
    ).all()


def payers(session: Session, number: int) -> list[Payer]:
    """Return who pays, paid or will pay for a tranche, in the order of the rule: département first, EU last."""
    opened = (
        select(func.min(convention_window.c.opens_on))
        .where(convention_window.c.convention == convention.c.code)
        .scalar_subquery()
    )
    rows = session.execute(
        select(convention.c.code, convention.c.name, convention.c.funder, opened)
        .join(share, share.c.convention == convention.c.code)
        .where(share.c.tranche == number, share.c.weight > 0)
        .distinct()
    )
    found = {code: Payer(name, Funder(funder), since) for code, name, funder, since in rows}
    shares = [Share(code, payer.funder, 1) for code, payer in found.items()]
    return [found[s.convention] for s in arrange(shares)]


def esf_keeps_no_link(session: Session, number: int) -> bool:
    """Tell whether the European Social Fund pays a tranche that keeps nothing of whom a pass was for."""
    asked = select(tranche.c.holders_named).where(tranche.c.number == number)
    by_esf = any(payer.funder.is_esf for payer in payers(session, number))
    return by_esf and not session.scalars(asked).one()
