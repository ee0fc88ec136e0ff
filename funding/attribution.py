"""Following the money day by day: which co-funders each use of a pass falls to.

A projection over net use, run by the sequencer in log order.  It stores a segment and the
cumulative cents before each entry, never rows of parts: parts are `allocation.split`, a pure
function of the cumulative.  The share version and the windows that count are those in force
on the workshop's day among the ones that the log already held, so that an amendment recorded
later never changes history.  An undo falls to the segment of the spend that it undoes.
"""

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from datetime import date
from typing import NamedTuple

import msgspec
from sqlalchemy import insert, select, tuple_, update
from sqlalchemy.orm import Session

from funding.allocation import Funder, Share, arrange, capped, part, weights_when
from funding.models import (
    attribution,
    capped_attribution,
    capped_use,
    convention,
    convention_window,
    segment,
    share,
    share_version,
)
from ledger import canonical
from ledger.bulk import integers_array, is_postgres, run
from ledger.entries import Right
from ledger.models import account, entry, log_leaf
from ledger.sequencer import Sequenced


class Segment(msgspec.Struct):
    """A share version with one set of open windows; `cents` is its net cumulative."""

    id: int
    shares: tuple[Share, ...]
    weights: tuple[int, ...]
    cents: int
    stored: bool


class Version(NamedTuple):
    """A share version, from a workshop day on, as the log knows it from `idx` on."""

    number: int
    from_day: date
    idx: int
    shares: tuple[Share, ...]


class Window(NamedTuple):
    """A funder's eligible workshop days, as the log knows them from `idx` on."""

    idx: int
    opens_on: date
    closes_on: date


def project(session: Session, batch: Sequence[Sequenced]) -> None:
    """Attribute the uses and undos of a batch that has just got its places in the log."""
    uses = _tranches_of_uses(session, batch)
    undone = [e for e in batch if e.uses == "undo"]
    if not uses and not undone:
        return
    earlier = _segments_of_spends(session, undone)
    books = Books(session, set(uses.values()) | {t for t, _ in earlier.values()})
    written: list[tuple[int, int, int]] = []
    capped_rows: list[dict[str, object]] = []
    in_batch: dict[Right, tuple[int, Segment]] = {}
    for e in batch:
        right = Right("spend", e.subject or "", e.turn or 0)
        if e.idx in uses:
            number = uses[e.idx]
            found, sign = books.segment_for(number, e.occurred_on, e.idx), 1
            in_batch[right] = (number, found)
        elif e.uses == "undo" and right in in_batch:
            (number, found), sign = in_batch[right], -1
        elif e.uses == "undo" and right in earlier:
            number, key = earlier[right]
            found, sign = books.by_id[key], -1
        else:
            continue
        before = found.cents
        found.cents += sign * e.amount_cents
        written.append((e.idx, found.id, before))
        capped_rows += books.move_caps(e.idx, number, found, before)
    books.save(session)
    _write(session, written)
    if capped_rows:
        session.execute(insert(capped_attribution), capped_rows)


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
    """What the projection knows of the tranches of a batch: versions, windows, segments, caps."""

    def __init__(self, session: Session, tranches: set[int]) -> None:
        self._versions = _versions(session, tranches)
        conventions = {
            s.convention for vs in self._versions.values() for v in vs for s in v.shares
        }
        self._windows = _windows(session, conventions)
        self._caps = _caps(session, conventions)
        self._uncapped: dict[str, int] = dict.fromkeys(self._caps, 0)
        self._capped_use: dict[tuple[str, int], list[int]] = {}
        for code, number, uncapped, used in session.execute(
            select(capped_use).where(capped_use.c.convention.in_(self._caps))
        ):
            self._uncapped[code] += uncapped
            self._capped_use[code, number] = [uncapped, used]
        self._stored_caps = set(self._capped_use)
        self.by_id: dict[int, Segment] = {}
        self._by_key: dict[tuple[int, int, str], Segment] = {}
        self._load_segments(session, tranches)
        self._next = (
            session.scalar(select(segment.c.id).order_by(segment.c.id.desc()).limit(1)) or 0
        ) + 1
        self._resolved: dict[tuple[int, date, int], Segment] = {}
        changes = [v.idx for vs in self._versions.values() for v in vs]
        changes += [w.idx for ws in self._windows.values() for w in ws]
        self._changes = sorted(changes)

    def forget(self) -> None:
        """Start again from nothing, to derive what is stored; segments keep their ids."""
        for loaded in self.by_id.values():
            loaded.cents = 0
        self._uncapped = dict.fromkeys(self._uncapped, 0)
        self._capped_use = {}

    def _load_segments(self, session: Session, tranches: set[int]) -> None:
        by_version = {
            (number, v.number): v.shares
            for number, vs in self._versions.items()
            for v in vs
        }
        for row in session.execute(select(segment).where(segment.c.tranche.in_(tranches))):
            weights = tuple(w for _, _, w in canonical.decode(row.weights.encode()))
            loaded = Segment(
                row.id,
                by_version[row.tranche, row.version],
                weights,
                row.cents,
                stored=True,
            )
            self.by_id[row.id] = loaded
            self._by_key[row.tranche, row.version, row.open_windows] = loaded

    def segment_for(self, number: int, day: date, idx: int) -> Segment:
        """Return the segment of a use: share version and windows of its day, as known at `idx`."""
        known = bisect_left(self._changes, idx)
        try:
            return self._resolved[number, day, known]
        except KeyError:
            found = self._resolve(number, day, idx)
            self._resolved[number, day, known] = found
            return found

    def _resolve(self, number: int, day: date, idx: int) -> Segment:
        candidates = [
            v for v in self._versions[number] if v.idx < idx and v.from_day <= day
        ]
        version = max(candidates, key=lambda v: (v.from_day, v.number))
        open_now = sorted(
            s.convention for s in version.shares if self._is_open(s.convention, day, idx)
        )
        key = (number, version.number, ",".join(open_now))
        if key not in self._by_key:
            weights = weights_when(version.shares, open_now)
            fresh = Segment(self._next, version.shares, weights, 0, stored=False)
            self._next += 1
            self.by_id[fresh.id] = self._by_key[key] = fresh
        return self._by_key[key]

    def _is_open(self, code: str, day: date, idx: int) -> bool:
        known = [w for w in self._windows[code] if w.idx < idx]
        return bool(known) and known[-1].opens_on <= day <= known[-1].closes_on

    def move_caps(
        self, idx: int, number: int, moved: Segment, before: int
    ) -> list[dict[str, object]]:
        """Move the cumulatives of the capped funders of a segment; return the rows to keep."""
        rows: list[dict[str, object]] = []
        if not self._caps:
            return rows
        for place, s in enumerate(moved.shares):
            cap = self._caps.get(s.convention)
            if cap is None or place == 0:
                continue
            change = part(moved.weights, place, moved.cents) - part(
                moved.weights, place, before
            )
            had = self._uncapped[s.convention]
            self._uncapped[s.convention] = had + change
            use = self._capped_use.setdefault((s.convention, number), [0, 0])
            use[0] += change
            use[1] += capped(cap, had, had + change)
            rows.append(
                {
                    "idx": idx,
                    "convention": s.convention,
                    "uncapped_before": had,
                    "uncapped_after": had + change,
                }
            )
        return rows

    def save(self, session: Session) -> None:
        """Write the segments and the cumulatives back."""
        for (number, version, open_windows), s in self._by_key.items():
            if s.stored:
                session.execute(
                    update(segment).where(segment.c.id == s.id).values(cents=s.cents)
                )
                continue
            told = [
                [share_.convention, share_.funder.value, weight]
                for share_, weight in zip(s.shares, s.weights, strict=True)
            ]
            session.execute(
                insert(segment).values(
                    id=s.id,
                    tranche=number,
                    version=version,
                    open_windows=open_windows,
                    weights=canonical.encode(told).decode(),
                    cents=s.cents,
                )
            )
        for (code, number), (uncapped, used) in self._capped_use.items():
            values = {"uncapped_cents": uncapped, "capped_cents": used}
            if (code, number) in self._stored_caps:
                session.execute(
                    update(capped_use)
                    .where(capped_use.c.convention == code, capped_use.c.tranche == number)
                    .values(**values)
                )
            else:
                session.execute(
                    insert(capped_use).values(convention=code, tranche=number, **values)
                )


def _versions(session: Session, tranches: set[int]) -> dict[int, list[Version]]:
    shares: dict[tuple[int, int], list[Share]] = {}
    for row in session.execute(
        select(
            share.c.tranche,
            share.c.version,
            share.c.convention,
            convention.c.funder,
            share.c.weight,
        )
        .join(convention, convention.c.code == share.c.convention)
        .where(share.c.tranche.in_(tranches))
        .order_by(share.c.tranche, share.c.version, share.c.priority)
    ):
        shares.setdefault((row.tranche, row.version), []).append(
            Share(row.convention, Funder(row.funder), row.weight)
        )
    found: dict[int, list[Version]] = {}
    for number, version, from_day, idx in session.execute(
        select(
            share_version.c.tranche,
            share_version.c.version,
            share_version.c.from_day,
            log_leaf.c.idx,
        )
        .join(log_leaf, log_leaf.c.entry_id == share_version.c.entry_id)
        .where(share_version.c.tranche.in_(tranches))
    ):
        arranged = arrange(shares[number, version])
        found.setdefault(number, []).append(Version(version, from_day, idx, arranged))
    return found


def _windows(session: Session, conventions: set[str]) -> dict[str, list[Window]]:
    found: dict[str, list[Window]] = {code: [] for code in conventions}
    rows = session.execute(
        select(
            convention_window.c.convention,
            log_leaf.c.idx,
            convention_window.c.opens_on,
            convention_window.c.closes_on,
        )
        .join(log_leaf, log_leaf.c.entry_id == convention_window.c.entry_id)
        .where(convention_window.c.convention.in_(conventions))
        .order_by(convention_window.c.version)
    ).all()
    for code, idx, opens_on, closes_on in rows:
        found[code].append(Window(idx, opens_on, closes_on))
    return found


def _caps(session: Session, conventions: set[str]) -> dict[str, int]:
    return dict(
        session.execute(
            select(convention.c.code, convention.c.cap_cents).where(
                convention.c.code.in_(conventions), convention.c.cap_cents.is_not(None)
            )
        ).all()
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
