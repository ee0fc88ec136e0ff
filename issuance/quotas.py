"""How many passes went to the publics that a tranche is for, live: one question over the rows of hand-outs.

Half of the passes are for publics of the PIC, says the call of 2019; of which passes it does not say
(DOMAIN §6.8, 27).  So the share is data of the tranche, and both readings are told: of what was
handed out so far, and of what was bought, the passes that the whole envelope pays for.
"""

import msgspec
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from funding.models import tranche, tranche_budget
from issuance.models import hand_out

HUNDRED = 100


class Quota(msgspec.Struct, frozen=True):
    """Where a tranche stands, in passes; what was replaced, blocked or used since counts as handed out.

    `share` is the part promised, in percent, if any.  `by_proof` tells how sure the PIC passes
    are.
    """

    tranche: str
    programme: str
    bought: int
    handed_out: int
    pic: int
    by_proof: dict[str, int]
    share: int | None

    @property
    def needed_of_bought(self) -> int | None:
        """How many passes in all must go to PIC publics, of what was bought."""
        return self._part(self.bought)

    @property
    def needed_so_far(self) -> int | None:
        """How many should have, of what was handed out so far."""
        return self._part(self.handed_out)

    @property
    def still_needed(self) -> int | None:
        """How many more PIC passes keep the promise on what was bought."""
        needed = self.needed_of_bought
        return None if needed is None else max(0, needed - self.pic)

    @property
    def out_of_reach(self) -> bool:
        """Whether giving all that is left to PIC publics would not be enough."""
        still = self.still_needed
        return still is not None and still > self.bought - self.handed_out

    @property
    def behind(self) -> bool:
        """Whether fewer than promised went to PIC publics so far."""
        needed = self.needed_so_far
        return needed is not None and self.pic < needed

    def _part(self, passes: int) -> int | None:
        return None if self.share is None else -(-passes * self.share // HUNDRED)


def quotas(session: Session, code: str | None = None) -> list[Quota]:
    """Return where each tranche stands, or one of them, by number."""
    chosen = (
        select(
            tranche.c.number,
            tranche.c.code,
            tranche.c.programme,
            tranche_budget.c.envelope_cents,
            tranche.c.face_cents,
            tranche.c.pic_share,
        )
        .join(tranche_budget, tranche_budget.c.tranche == tranche.c.number)
        .order_by(tranche.c.number)
    )
    if code is not None:
        chosen = chosen.where(tranche.c.code == code)
    rows = session.execute(chosen).all()
    counted = session.execute(
        select(
            hand_out.c.tranche,
            hand_out.c.pic,
            hand_out.c.proof,
            func.sum(hand_out.c.passes),
        )
        .where(hand_out.c.tranche.in_([row.number for row in rows]))
        .group_by(hand_out.c.tranche, hand_out.c.pic, hand_out.c.proof)
        .order_by(hand_out.c.tranche, hand_out.c.proof)
    ).all()
    return [
        Quota(
            row.code,
            row.programme,
            row.envelope_cents // row.face_cents,
            sum(int(n) for t, _, _, n in counted if t == row.number),
            sum(int(n) for t, pic, _, n in counted if t == row.number and pic),
            {proof: int(n) for t, pic, proof, n in counted if t == row.number and pic},
            row.pic_share,
        )
        for row in rows
    ]
