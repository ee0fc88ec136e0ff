"""The covers of carnets that were taken over: what a desk reads on them, beside our numbers, which stand nowhere there."""

from collections.abc import Callable, Iterable

from sqlalchemy.orm import Session

from issuance.foreign_carnets import covers_between, covers_written

Spans = Iterable[tuple[int, int]]
Covers = Callable[[Spans], str]


def covers_of_all(session: Session, lists: Iterable[Spans]) -> Covers:
    """Return what tells, of some of these carnets, the covers of those taken over ("" for none)."""
    spans = [span for ranges in lists for span in ranges]
    ends = ((min(a for a, _ in spans), max(b for _, b in spans)),) if spans else ()
    covers = covers_between(session, ends)
    return lambda ranges: covers_written(covers, ranges)
