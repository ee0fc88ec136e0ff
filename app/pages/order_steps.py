"""The life of an order as its page tells it: what was done and when, and the one thing to do next."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.mail.desks import Told, desks_told
from issuance.at_desks import delivered_of, desks_that_know, lots_of, to_deliver
from issuance.models import activation
from issuance.orders import order_row
from issuance.print_batches import batches
from issuance.proofs import Approval, approvals
from issuance.queries import OrderLine, orders_with_stock_lapsed
from issuance.signing import PIECE
from ledger.entries import entry_id
from ledger.models import entry

Name = Literal["ordered", "proof", "made", "printed", "delivered", "active", "told"]
# What somebody has to do next; specimens are made and printed, and that is all.
Next = Literal[
    "make", "proof", "print", "deliver", "activate", "tell", "cancel", "nothing", "over"
]


@dataclass(frozen=True)
class Milestone:
    """One step: when it was done, if it is; of how many carnets, where it is done bit by bit."""

    name: Name
    at: datetime | None
    done: bool
    count: int = 0
    of: int = 0


@dataclass(frozen=True)
class Life:
    """Where an order is."""

    milestones: tuple[Milestone, ...]
    approved: tuple[Approval, ...]
    told: tuple[Told, ...]
    holding: tuple[str, ...]
    # Desks that hold carnets which are good, and that nothing shows to know it.
    unaware: tuple[str, ...] = ()
    # Of what was made nothing is left to hand out: given, blocked, voided or lapsed.
    over: bool = False

    @property
    def next(self) -> Next:
        """The first step, in their order, that is not done.

        A making that has stopped comes before all else, and carnets that are at a desk were
        printed, whoever did it.
        """
        if not self.has("made"):
            return "make"
        if self.over:
            return "over"
        past = {"proof", "printed"} if self.count("delivered") else set()
        left = [m.name for m in self.milestones if not m.done and m.name not in past]
        return _NEXT[left[0]] if left else "nothing"

    def count(self, name: Name) -> int:
        """Return of how many carnets a step is done."""
        return sum(m.count for m in self.milestones if m.name == name)

    def has(self, name: Name) -> bool:
        """Tell whether a step is done."""
        return any(m.name == name and m.done for m in self.milestones)


_NEXT: dict[Name, Next] = {
    "ordered": "nothing", "made": "make", "proof": "proof", "printed": "print",
    "delivered": "deliver", "active": "activate", "told": "tell",
}  # fmt: skip


def life_of(session: Session, line: OrderLine) -> Life:
    """Read where an order is; a few statements, whatever its size."""
    row = order_row(session, line.number)
    asked = line.carnets - line.given_up
    approved = approvals(session, line.number)
    printed = [batch for batch in batches(session, line.number) if batch.kind != "phone"]
    ordered = Milestone("ordered", _at(session, row.act), done=True)
    last_piece = -(-line.made // PIECE)
    made_at = _at(session, entry_id(row.act, last_piece)) if last_piece else None
    made = Milestone("made", made_at, line.is_made, line.made, asked)
    paper = Milestone("printed", printed[-1].at if printed else None, bool(printed))
    if line.specimen:
        return Life((ordered, made, paper), (), (), ())
    seen = max((each.at for each in approved), default=None)
    proof = Milestone("proof", seen, bool(approved))
    count, delivered_at = delivered_of(session, line.number)
    # What was blocked or voided before it came to a desk is not waited for.
    waiting = to_deliver(session, line.number)
    due = count + waiting + asked - line.made
    delivered = Milestone(
        "delivered", delivered_at, line.is_made and not waiting, count, due
    )
    active_at = session.scalar(
        select(entry.c.recorded_at)
        .join(activation, activation.c.entry_id == entry.c.id)
        .where(activation.c.order_number == line.number)
    )
    active = Milestone("active", active_at, active_at is not None)
    told = tuple(desks_told(session, line.number))
    holding = tuple(sorted({lot.desk for lot in lots_of(session, line.number)}))
    unaware = set(holding) - {each.desk for each in told}
    if unaware and active_at is not None:
        unaware -= desks_that_know(session, line.number, since=active_at)
    last_told = max((each.at for each in told), default=None)
    said = Milestone("told", last_told, active.done and not unaware)
    lapsed = line.number in orders_with_stock_lapsed(session)
    over = line.is_made and not holding and (lapsed or not waiting)
    steps: tuple[Milestone, ...] = (ordered, proof, made, paper, delivered, active, said)
    if line.taken_over:  # a former operator printed it
        steps = (ordered, made, delivered, active, said)
    return Life(
        steps,
        tuple(approved),
        told,
        holding,
        tuple(sorted(unaware)) if active.done else (),
        over,
    )


def _at(session: Session, which: object) -> datetime | None:
    return session.scalar(select(entry.c.recorded_at).where(entry.c.id == which))
