"""What a tranche asks of hand-outs: data of the tranche, since calls and conventions differ on each of them."""

import msgspec
from sqlalchemy import select
from sqlalchemy.orm import Session

from funding.models import tranche

LATE_DAYS_MOST = 366
PASSES_MOST = 1_000
HUNDRED = 100


class HandOutRules(msgspec.Struct, frozen=True):
    """How hand-outs of a tranche are recorded, and what they are counted against.

    `late_days`: how many days after the paper was given a desk may still record it.
    `limit_per_person`: how many passes of this tranche one person may get, over all desks.
    `pic_share`: the part of the passes, in percent, that is for publics of the PIC.
    `holders_named`: each hand-out says whom it is to, for the vault; European money (ESF) asks
    it, and without such money nothing allows to (DOMAIN §4.6): a limit needs a mark, no name.
    `at_sites`: desks of any organisation may hand out at the counter of an accredited site.
    """

    late_days: int = 31
    limit_per_person: int | None = None
    pic_share: int | None = None
    holders_named: bool = False
    at_sites: bool = False

    @property
    def late_days_fit(self) -> bool:
        """Whether the days are a number that a desk can mean."""
        return 0 <= self.late_days <= LATE_DAYS_MOST

    @property
    def limit_fits(self) -> bool:
        """Whether the limit, if any, is a number of passes."""
        return self.limit_per_person is None or 1 <= self.limit_per_person <= PASSES_MOST

    @property
    def pic_share_fits(self) -> bool:
        """Whether the share, if any, is a part of a hundred."""
        return self.pic_share is None or 1 <= self.pic_share <= HUNDRED


def hand_out_rules(session: Session, number: int) -> HandOutRules:
    """Return the rules of a tranche by its number."""
    columns = [tranche.c[name] for name in HandOutRules.__struct_fields__]
    row = session.execute(select(*columns).where(tranche.c.number == number)).one()
    return HandOutRules(*row)
