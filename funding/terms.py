"""Who pays for a workshop's day, as the log knew it by a place in it: share versions, windows.

The share version and the windows that count are those in force on the workshop's day among the
ones that the log already held, so that an amendment recorded later never changes history.
"""

from bisect import bisect_left
from collections.abc import Sequence
from datetime import date
from functools import cached_property
from typing import NamedTuple

import msgspec
from sqlalchemy import select
from sqlalchemy.orm import Session

from funding.allocation import Funder, Share, arrange, weights_when
from funding.models import convention, convention_window, share, share_version
from ledger.models import log_leaf


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


class SegmentKey(NamedTuple):
    """What a segment is of: a share version, and the conventions whose window is open, by code."""

    tranche: int
    version: int
    open_windows: str


class Terms(msgspec.Struct, dict=True):
    """The share versions of tranches by number, and the windows of their conventions.

    Windows stand in the order of their versions.
    """

    versions: dict[int, list[Version]]
    windows: dict[str, list[Window]]

    @cached_property
    def changes(self) -> Sequence[int]:
        """The places in the log after which another answer is possible, in order."""
        places = [v.idx for vs in self.versions.values() for v in vs]
        places += [w.idx for ws in self.windows.values() for w in ws]
        return sorted(places)

    def known_at(self, idx: int) -> int:
        """Return how many of the changes the log held before this place."""
        return bisect_left(self.changes, idx)

    @cached_property
    def _shares(self) -> dict[tuple[int, int], tuple[Share, ...]]:
        return {
            (number, v.number): v.shares for number, vs in self.versions.items() for v in vs
        }

    def shares(self, key: SegmentKey) -> tuple[Share, ...]:
        """Return the shares of a segment, arranged; KeyError for a version that is not among these."""
        return self._shares[key.tranche, key.version]

    def weights(self, key: SegmentKey) -> tuple[int, ...]:
        """Return the weights of a segment: a function of its version and of its open windows alone."""
        return weights_when(self.shares(key), key.open_windows.split(","))

    def told_weights(self, key: SegmentKey) -> list[list[str | int]]:
        """Return the weights of a segment beside their conventions and funders, as its row tells them."""
        return [
            [s.convention, s.funder.value, weight]
            for s, weight in zip(self.shares(key), self.weights(key), strict=True)
        ]

    def segment_of(self, number: int, day: date, idx: int) -> SegmentKey:
        """Return the segment of a use of a tranche, for a workshop's day, as known at `idx`."""
        candidates = [v for v in self.versions[number] if v.idx < idx and v.from_day <= day]
        version = max(candidates, key=lambda v: (v.from_day, v.number))
        open_now = sorted(
            s.convention for s in version.shares if self._is_open(s.convention, day, idx)
        )
        return SegmentKey(number, version.number, ",".join(open_now))

    def _is_open(self, code: str, day: date, idx: int) -> bool:
        known = [w for w in self.windows[code] if w.idx < idx]
        return bool(known) and known[-1].opens_on <= day <= known[-1].closes_on


def terms_in_force(session: Session, tranches: set[int]) -> Terms:
    """Return the terms of these tranches as the tables have them, for entries about to be attributed."""
    versions = _versions(session, tranches)
    conventions = {s.convention for vs in versions.values() for v in vs for s in v.shares}
    return Terms(versions, _windows(session, conventions))


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
