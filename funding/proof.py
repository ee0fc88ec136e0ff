"""What falls to each funder is proved by the entries before it is printed.

Amounts by funder are the split of a segment's cents by its weights.  The cents are summed again by
whoever proves them; here, who pays and by which weights is: the rows of shares, windows and caps say
what their entries told, and each segment weighs what its share version and its open windows give.
That each use falls in its segment, and that no row is missing, takes a replay of the whole log: the
audit does it (`funding.audit`).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select, union
from sqlalchemy.orm import Session

from funding.models import segment
from funding.terms import SegmentKey, Terms
from funding.told import SHARED_BY, funds_told
from ledger import canonical
from ledger.columns import metadata
from ledger.refusal import Refusal
from ledger.told import first_difference


@dataclass(eq=False)
class FundsToldOtherwise(Refusal):
    """The database does not say of the funders what the entries say: no figure is printed."""

    code = "funds_told_otherwise"

    table: str


def prove_sharing(session: Session) -> None:
    """Raise `FundsToldOtherwise` unless the entries of the terms give them, and the segments' weights.

    Reads the entries that the rows name, however long the log; in a fixed number of statements.
    """
    made_by = [metadata.tables[name].c.get("entry_id") for name in SHARED_BY]
    named = union(*(select(column) for column in made_by if column is not None))
    told = funds_told(session, only=named)
    differs = first_difference(session, told, SHARED_BY)
    if differs is not None:
        raise FundsToldOtherwise(differs.table)
    if any(segments_weighed_otherwise(session, told.terms())):
        raise FundsToldOtherwise(str(segment.name))


def segments_weighed_otherwise(
    session: Session, terms: Terms
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield each stored segment whose weights are not those of its share version and open windows."""
    for row in session.execute(select(segment).order_by(segment.c.id)).all():
        of = SegmentKey(row.tranche, row.version, row.open_windows)
        try:
            expected = terms.told_weights(of)
            same = canonical.decode(row.weights.encode()) == expected
        except (KeyError, ValueError):  # of a version that nobody told, or no JSON at all
            expected, same = None, False
        if not same:
            yield row.id, {"kept": row.weights, "derived": expected}
