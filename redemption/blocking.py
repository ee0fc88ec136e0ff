"""Lost or stolen: the passes of a carnet that are not spent stop being worth anything."""

from dataclasses import dataclass
from typing import Literal
from uuid import UUID

import msgspec
from sqlalchemy import select
from sqlalchemy.orm import Session

from issuance.hand_outs import CarnetUnknown, mark_handed_out
from issuance.models import voucher
from issuance.orders import OrderRow, circulating_gate, order_row, stock_gate
from ledger import gates
from ledger.accounts import account_name
from ledger.attempts import Act, Answer, perform
from ledger.entries import Entry, Right
from ledger.journal import must_record
from ledger.moments import Moment
from ledger.refusal import Refusal
from redemption import presented
from redemption.presented import PassRow


@dataclass(eq=False)
class NothingToBlock(Refusal):
    """Every pass of the carnet is already spent, blocked or lapsed."""

    code = "nothing_to_block"

    carnet: int


class BlockCarnet(msgspec.Struct, frozen=True):
    """A carnet nobody should be able to use any more."""

    id: UUID
    carnet: int
    reason: Literal["lost", "stolen", "misprinted"] = "lost"


def block_carnet(session: Session, request: BlockCarnet, *, by: str, now: Moment) -> Answer:
    """Block each pass of a carnet that is left, one entry each; its value is set apart.

    A pass still in stock leaves it by the same act, so that nobody can hand it out later.
    Refused with `carnet_unknown`, `nothing_to_block`.
    """
    act = Act(request.id, "block_carnet", by, now)

    def done() -> None:
        serials = session.scalars(
            select(voucher.c.serial)
            .where(voucher.c.carnet == request.carnet)
            .order_by(voucher.c.rank)
        ).all()
        rows = presented.passes(session, serials)
        if not rows:
            raise CarnetUnknown(str(request.carnet))
        order = order_row(session, next(iter(rows.values())).order)
        held = gates.hold(
            session, [stock_gate(order.number), circulating_gate(order.number)]
        )
        closed = {key for key, gate in held.items() if gate.closed_by is not None}
        left = [
            rows[serial]
            for serial in serials
            if not rows[serial].held
            and (
                circulating_gate(order.number)
                if rows[serial].handed_out
                else stock_gate(order.number)
            )
            not in closed
        ]
        if not left:
            raise NothingToBlock(request.carnet)
        in_stock = [row.serial for row in left if not row.handed_out]
        summary = act.entry(
            "carnet_blocked",
            {"carnet": request.carnet, "count": len(left), "reason": request.reason},
        )
        blocked = [
            _entry(act, request, order, row, rank) for rank, row in enumerate(left, 1)
        ]
        must_record(session, [summary, *blocked])
        if in_stock:
            mark_handed_out(session, in_stock, act.id)

    return perform(session, act, request, done)


def _entry(
    act: Act, request: BlockCarnet, order: OrderRow, row: PassRow, rank: int
) -> Entry:
    book, worth = str(order.tranche), not order.specimen
    stage = row.stage
    return act.entry(
        "blocked",
        {"reason": request.reason, "serial": row.serial, "tranche": order.tranche},
        rank=rank,
        credit=account_name(stage, book) if worth else None,
        debit=account_name("blocked", book, stage) if worth else None,
        cents=order.face_cents if worth else 0,
        right=Right("spend", row.serial, row.turn),
    )
