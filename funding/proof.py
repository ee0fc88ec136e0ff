"""What falls to each funder is proved by the entries before it is printed.

Amounts by funder are the split of a segment's cents by its weights.  The cents are summed again by
whoever proves them; here, who pays and by which weights is: the tables of shares, windows and caps
say what the entries told, each segment weighs what its share version and its open windows give, and
each use and undo falls where its day and its place in the log put it.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import and_, case, func, literal_column, select
from sqlalchemy.orm import Session

from funding.models import attribution, segment
from funding.terms import SegmentKey, Terms
from funding.told import SHARED_BY, funds_told
from ledger.models import account, entry, log_leaf
from ledger.refusal import Refusal
from ledger.told import first_difference


@dataclass(eq=False)
class FundsToldOtherwise(Refusal):
    """The database does not say of the funders what the entries say: no figure is printed."""

    code = "funds_told_otherwise"

    table: str


def prove_sharing(session: Session, numbers: Collection[int]) -> None:
    """Raise `FundsToldOtherwise` unless the entries give the terms and the segments of these tranches.

    Reads every entry once, and every use of these tranches; in a fixed number of statements.
    """
    told = funds_told(session)
    differs = first_difference(session, told, SHARED_BY)
    if differs is not None:
        raise FundsToldOtherwise(differs.table)
    terms = told.terms()
    if any(segments_weighed_otherwise(session, terms)):
        raise FundsToldOtherwise(str(segment.name))
    if not _uses_fall_in_their_segments(session, terms, numbers):
        raise FundsToldOtherwise(str(attribution.name))


def segments_weighed_otherwise(
    session: Session, terms: Terms
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield each stored segment whose weights are not those of its share version and open windows."""
    for row in session.execute(select(segment).order_by(segment.c.id)).all():
        of = SegmentKey(row.tranche, row.version, row.open_windows)
        try:
            expected = terms.told_weights(of)
        except KeyError:
            expected = None
        if row.weights != expected:
            yield row.id, {"kept": row.weights, "derived": expected}


def _uses_fall_in_their_segments(
    session: Session, terms: Terms, numbers: Collection[int]
) -> bool:
    first, last = session.execute(
        select(func.min(attribution.c.idx), func.max(attribution.c.idx))
    ).one()
    if first is None:
        return True
    # Between two changes of the terms, the uses of a day have one segment: one of them stands for all.
    # Places are written into the statement: PostgreSQL groups by what it reads, not by a parameter.
    between = [idx for idx in terms.changes if first < idx < last]
    at = log_leaf.c.idx
    whens: list[tuple[Any, Any]] = [
        (at < literal_column(str(idx)), literal_column(str(n)))
        for n, idx in enumerate(between)
    ]
    by = [segment.c.tranche, segment.c.version, segment.c.open_windows]
    by += [account.c.book, entry.c.occurred_on]
    known = case(*whens) if whens else entry.c.occurred_on
    uses = session.execute(
        select(*by, func.min(at))
        .join(attribution, attribution.c.segment == segment.c.id)
        .join(log_leaf, at == attribution.c.idx)
        .join(entry, entry.c.id == log_leaf.c.entry_id)
        .join(account, account.c.id == entry.c.debit_id)
        .where(segment.c.tranche.in_(numbers), entry.c.uses == "spend")
        .group_by(*by, known)
    ).all()
    if any(SegmentKey(*of) != terms.segment_of(int(b), day, i) for *of, b, day, i in uses):
        return False
    return _undos_fall_with_their_uses(session)


def _undos_fall_with_their_uses(session: Session) -> bool:
    undo, use = entry.alias(), entry.alias()
    its, its_uses = attribution.alias(), attribution.alias()
    undone, used = log_leaf.alias(), log_leaf.alias()
    right = and_(
        use.c.uses == "spend", use.c.subject == undo.c.subject, use.c.turn == undo.c.turn
    )
    elsewhere = (
        select(its.c.idx)
        .join(undone, undone.c.idx == its.c.idx)
        .join(undo, and_(undo.c.id == undone.c.entry_id, undo.c.uses == "undo"))
        .join(use, right)
        .join(used, used.c.entry_id == use.c.id)
        .outerjoin(its_uses, its_uses.c.idx == used.c.idx)
        .where(its.c.segment.is_distinct_from(its_uses.c.segment))
    )
    return session.execute(elsewhere.limit(1)).first() is None
