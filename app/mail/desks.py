"""Telling desks that carnets can be handed out: written with the act that makes it so, once.

Carnets lie in a drawer before they are worth anything (DOMAIN, 1.3, steps 12 to 14).  When their order
becomes active, or when carnets of an active order come to a desk, whoever works at that desk is
written to.  The e-mail is queued in the transaction of the act, so that the same act sent again
queues nothing; someone who works at two desks gets one e-mail.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.covers import covers_of_all
from app.instance import Instance
from app.mail.models import outbox
from app.mail.outbox import queue
from app.mail.server import is_address
from app.people.models import membership, person
from issuance.at_desks import Lot, Range, lots_of
from ledger import canonical
from ledger.attempts import Answer
from ledger.moments import Moment

TEMPLATE = "carnets_active"
# From then on the page of the desk says more than the e-mail would.
TRUE_FOR = timedelta(days=30)


class Told(NamedTuple):
    """A desk that was written to about an order: how many people, since when, and how many e-mails have left."""

    desk: str
    people: int
    at: datetime
    sent: int


def tell_active(
    session: Session, instance: Instance, answer: Answer, *, now: Moment
) -> int:
    """Write to each desk that holds carnets of an order that has just become active.

    `answer` is that of the activation, in the same transaction.  Returns how many people are written to: none
    where it was refused or sent again, or where no mail server is set.
    """
    if not answer.accepted or answer.replayed:
        return 0
    order = int(answer.facts["order"])
    return _tell(session, instance, order, lots_of(session, order), now)


def tell_delivered(
    session: Session, instance: Instance, answer: Answer, *, now: Moment
) -> int:
    """Write to a desk to which carnets of an active order have just come; `answer` is that of the delivery."""
    if not answer.accepted or answer.replayed:
        return 0
    order, first, last = (
        int(answer.facts[name]) for name in ("order", "first_carnet", "last_carnet")
    )
    lots = [
        replace(lot, ranges=ranges)
        for lot in lots_of(session, order)
        if lot.active
        and lot.desk == answer.facts["desk"]
        and (ranges := _within(lot.ranges, first, last))
    ]
    return _tell(session, instance, order, lots, now)


def _within(ranges: Iterable[Range], first: int, last: int) -> tuple[Range, ...]:
    cut = ((max(a, first), min(b, last)) for a, b in ranges)
    return tuple((a, b) for a, b in cut if a <= b)


def _tell(
    session: Session, instance: Instance, order: int, lots: Sequence[Lot], now: Moment
) -> int:
    if instance.settings.mail is None or not lots:
        return 0
    by_desk = {lot.desk: lot for lot in lots}
    rows = session.execute(
        select(membership.c.person, membership.c.desk, person.c.email)
        .join(person, person.c.id == membership.c.person)
        .where(membership.c.desk.in_(by_desk), membership.c.ended_at.is_(None))
        .order_by(membership.c.person, membership.c.desk)
    )
    covers = covers_of_all(session, [lot.ranges for lot in lots])
    wanted: dict[UUID, dict[str, Lot]] = {}
    for who, code, email in rows:
        if is_address(email or ""):
            wanted.setdefault(who, {})[code] = by_desk[code]
    for who, held in wanted.items():
        facts: dict[str, Any] = {
            "order": order,
            "lots": [
                {
                    "covers": covers(lot.ranges),
                    "desk": lot.desk,
                    "name": lot.desk_name,
                    "ranges": lot.ranges,
                }
                for lot in held.values()
            ],
        }
        queue(
            session,
            who,
            TEMPLATE,
            facts,
            secrets={},
            sealer=instance.sealer,
            ends_at=now.at + TRUE_FOR,
            now=now,
        )
    return len(wanted)


def desks_told(session: Session, order: int) -> list[Told]:
    """Return the desks that were written to about an order, by code."""
    rows = session.execute(
        select(outbox.c.facts, outbox.c.made_at, outbox.c.sent_at)
        .where(outbox.c.template == TEMPLATE, outbox.c.facts.contains(f'"order":{order}}}'))
        .order_by(outbox.c.made_at)
    )
    found: dict[str, Told] = {}
    for body, made_at, sent_at in rows:
        for lot in canonical.decode(body.encode())["lots"]:
            code, sent = lot["desk"], int(sent_at is not None)
            before = found.get(code, Told(code, 0, made_at, 0))
            found[code] = Told(code, before.people + 1, before.at, before.sent + sent)
    return [found[code] for code in sorted(found)]
