"""Reading hand-outs that somebody looks at again: given despite a limit, recorded late, given at a site."""

from collections.abc import Collection, Sequence
from datetime import date
from typing import Literal, NamedTuple
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from funding.models import tranche
from issuance.models import hand_out

Looked = Literal["at-site", "late", "despite-limit"]


class Given(NamedTuple):
    """A hand-out as it is listed: nobody is named; `hand_out` is its entry."""

    hand_out: UUID
    given_on: date
    desk: str
    tranche: str
    passes: int
    pic: bool
    proof: str
    despite_limit: str | None
    recorded_late: bool
    at_site: int | None


_CHOSEN = {
    "despite-limit": hand_out.c.despite_limit.is_not(None),
    "late": hand_out.c.recorded_late,
    "at-site": hand_out.c.at_site.is_not(None),
}


def given(
    session: Session,
    looked: Looked,
    *,
    code: str | None = None,
    programmes: Collection[str] | None = None,
    most: int | None = None,
) -> Sequence[Given]:
    """Return the hand-outs of a kind, the newest day first, so many at `most`.

    Of all tranches, of one by its `code`, or of those of some programmes alone.
    """
    chosen = (
        select(
            hand_out.c.entry_id,
            hand_out.c.given_on,
            hand_out.c.desk,
            tranche.c.code,
            hand_out.c.passes,
            hand_out.c.pic,
            hand_out.c.proof,
            hand_out.c.despite_limit,
            hand_out.c.recorded_late,
            hand_out.c.at_site,
        )
        .join(tranche, tranche.c.number == hand_out.c.tranche)
        .where(_CHOSEN[looked])
        .order_by(hand_out.c.given_on.desc(), hand_out.c.desk, hand_out.c.entry_id)
        .limit(most)
    )
    if code is not None:
        chosen = chosen.where(tranche.c.code == code)
    if programmes is not None:
        chosen = chosen.where(tranche.c.programme.in_(programmes))
    return [Given._make(row) for row in session.execute(chosen)]


def how_many(
    session: Session, looked: Looked, *, programmes: Collection[str] | None = None
) -> int:
    """Return how many hand-outs of a kind there are, of all tranches or of some programmes alone."""
    chosen = (
        select(func.count())
        .join_from(hand_out, tranche, tranche.c.number == hand_out.c.tranche)
        .where(_CHOSEN[looked])
    )
    if programmes is not None:
        chosen = chosen.where(tranche.c.programme.in_(programmes))
    return session.scalars(chosen).one()
