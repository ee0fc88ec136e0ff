"""Whether carnets of some desks ask more of a person than every carnet does: who they are, or of which public.

A page without a network does not know which carnet is of which tranche.  Where one of them asks
more, it must not let a carnet go that it could not look at: nobody could record it afterwards.
"""

from collections.abc import Collection
from datetime import date

from sqlalchemy import exists, or_, select
from sqlalchemy.orm import Session

from funding.models import calendar, target_public, tranche
from issuance.models import carnet, delivery, voucher_order


def more_is_asked(session: Session, desks: Collection[str], *, today: date) -> bool:
    """Tell whether carnets that were brought to these desks may need a name or a public still.

    Tranches that are handed out no more, whatever their calendar said before, do not count.
    """
    names = or_(tranche.c.holders_named, tranche.c.limit_per_person.is_not(None))
    publics = exists().where(target_public.c.tranche == tranche.c.number)
    given = exists().where(
        calendar.c.tranche == tranche.c.number, calendar.c.hand_out_stop >= today
    )
    here = (
        exists()
        .select_from(delivery)
        .where(
            delivery.c.desk.in_(list(desks)),
            carnet.c.number == delivery.c.carnet,
            voucher_order.c.number == carnet.c.order_number,
            voucher_order.c.tranche == tranche.c.number,
        )
    )
    found = select(tranche.c.number).where(or_(names, publics), given, here).limit(1)
    return session.scalar(found) is not None
