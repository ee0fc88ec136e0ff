"""Following the money day by day: which co-funders each use of a pass falls to.

A projection over net use, run by the sequencer in log order.  It stores a segment and the
cumulative cents before each entry, never rows of parts: parts are `allocation.under_caps`, a pure
function of the cumulatives.  `funding.terms` says which share version and which windows count.
An undo falls to the segment of the spend that it undoes.
"""

from collections.abc import Iterable, Sequence
from datetime import date

import msgspec
from sqlalchemy import insert, select, tuple_, update
from sqlalchemy.orm import Session

from funding.models import attribution, segment
from funding.terms import SegmentKey, Terms, terms_in_force
from ledger import canonical
from ledger.bulk import integers_array, is_postgres, run
from ledger.entries import Right
from ledger.models import account, entry, log_leaf
from ledger.sequencer import Sequenced


class Segment(msgspec.Struct):
    """A share version with one set of open windows; `cents` is its net cumulative."""

    id: int
    of: SegmentKey
    cents: int
    stored: bool


def project(session: Session, batch: Sequence[Sequenced]) -> None:
    """Attribute the uses and undos of a batch that has just got its places in the log."""
    uses = _tranches_of_uses(session, batch)
    undone = [e for e in batch if e.uses == "undo"]
    if not uses and not undone:
        return
    earlier = _segments_of_spends(session, undone)
    books = Books.load(session, set(uses.values()) | {t for t, _ in earlier.values()})
    written: list[tuple[int, int, int]] = []
    in_batch: dict[Right, Segment] = {}
    for e in batch:
        right = Right("spend", e.subject or "", e.turn or 0)
        if e.idx in uses:
            found, sign = books.segment_for(uses[e.idx], e.occurred_on, e.idx), 1
            in_batch[right] = found
        elif e.uses == "undo" and right in in_batch:
            found, sign = in_batch[right], -1
        elif e.uses == "undo" and right in earlier:
            found, sign = books.by_id[earlier[right][1]], -1
        else:
            continue
        before = found.cents
        found.cents += sign * e.amount_cents
        written.append((e.idx, found.id, before))
    books.save(session)
    _write(session, written)


def _tranches_of_uses(session: Session, batch: Sequence[Sequenced]) -> dict[int, int]:
    """Return the tranche of each spend that makes money due to a site, by its idx."""
    spends = [e for e in batch if e.uses == "spend" and e.debit_id is not None]
    if not spends:
        return {}
    due = dict(
        session.execute(
            select(account.c.id, account.c.book).where(
                account.c.id.in_({e.debit_id for e in spends}), account.c.kind == "due"
            )
        ).all()
    )
    return {e.idx: int(due[e.debit_id]) for e in spends if e.debit_id in due}


def _segments_of_spends(
    session: Session, undone: Iterable[Sequenced]
) -> dict[Right, tuple[int, int]]:
    """Return tranche and segment of the earlier spends that these undo, where they had one."""
    rights = [("spend", e.subject, e.turn) for e in undone]
    if not rights:
        return {}
    rows = session.execute(
        select(entry.c.subject, entry.c.turn, segment.c.tranche, segment.c.id)
        .join(log_leaf, log_leaf.c.entry_id == entry.c.id)
        .join(attribution, attribution.c.idx == log_leaf.c.idx)
        .join(segment, segment.c.id == attribution.c.segment)
        .where(tuple_(entry.c.uses, entry.c.subject, entry.c.turn).in_(rights))
    ).all()
    return {Right("spend", subject, turn): (t, key) for subject, turn, t, key in rows}


class Books:
    """What the projection knows of tranches: their terms, and segments as they grow.

    It begins with nothing; segments are numbered from 1 in the order in which they are first used.
    """

    def __init__(self, terms: Terms) -> None:
        self._terms = terms
        self.by_id: dict[int, Segment] = {}
        self._by_key: dict[SegmentKey, Segment] = {}
        self._next = 1
        self._resolved: dict[tuple[int, date, int], Segment] = {}

    @classmethod
    def load(cls, session: Session, tranches: set[int]) -> "Books":
        """Return the books of these tranches as they stand."""
        books = cls(terms_in_force(session, tranches))
        for row in session.execute(
            select(
                segment.c.id,
                segment.c.cents,
                segment.c.tranche,
                segment.c.version,
                segment.c.open_windows,
            ).where(segment.c.tranche.in_(tranches))
        ):
            books._hold(row.id, SegmentKey(*row[2:]), row.cents, stored=True)
        newest = select(segment.c.id).order_by(segment.c.id.desc()).limit(1)
        books._next = (session.scalar(newest) or 0) + 1
        return books

    def _hold(self, key: int, of: SegmentKey, cents: int, *, stored: bool) -> Segment:
        held = Segment(key, of, cents, stored)
        self.by_id[key] = self._by_key[of] = held
        return held

    def segment_for(self, number: int, day: date, idx: int) -> Segment:
        """Return the segment of a use: share version and windows of its day, as known at `idx`."""
        known = self._terms.known_at(idx)
        try:
            return self._resolved[number, day, known]
        except KeyError:
            of = self._terms.segment_of(number, day, idx)
            found = self._by_key.get(of)
            if found is None:
                found = self._hold(self._next, of, 0, stored=False)
                self._next += 1
            self._resolved[number, day, known] = found
            return found

    def save(self, session: Session) -> None:
        """Write the segments back."""
        for s in self.by_id.values():
            if s.stored:
                session.execute(
                    update(segment).where(segment.c.id == s.id).values(cents=s.cents)
                )
                continue
            session.execute(
                insert(segment).values(
                    id=s.id,
                    **s.of._asdict(),
                    weights=canonical.encode(self._terms.told_weights(s.of)).decode(),
                    cents=s.cents,
                )
            )


_WRITE = """
    INSERT INTO attribution (idx, segment, cents_before)
    SELECT * FROM unnest(CAST(%(idx)s AS bigint[]), CAST(%(segment)s AS bigint[]),
                         CAST(%(before)s AS bigint[]))
    """


def _write(session: Session, rows: Sequence[tuple[int, int, int]]) -> None:
    if not rows:
        return
    if is_postgres(session):
        idx, segments, before = zip(*rows, strict=True)
        run(
            session,
            _WRITE,
            {
                "idx": integers_array(idx),
                "segment": integers_array(segments),
                "before": integers_array(before),
            },
        )
    else:
        session.execute(
            insert(attribution),
            [{"idx": i, "segment": s, "cents_before": b} for i, s, b in rows],
        )
