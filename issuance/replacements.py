"""New paper for passes that somebody has already: an order of its own, good at once, worth what is taken back.

Such an order reserves nothing and moves no money: its passes take the place, in circulation, of
those that the same act ends.  It has one carnet, as long as is needed; the tranche, the face
value, the printed date and the commitment number are those of the order that it comes after.
"""

from typing import NamedTuple
from uuid import UUID

from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from issuance.hand_outs import mark_handed_out
from issuance.keys import Signer, check_signs
from issuance.making import CARNET_COLUMNS, VOUCHER_COLUMNS, stamp
from issuance.models import activation, carnet, voucher, voucher_order
from issuance.orders import OrderRow, circulating_gate, stock_gate, take_numbers
from issuance.serials import Serial
from issuance.signing import sign_piece
from ledger import gates
from ledger.bulk import write_rows


class NewPaper(NamedTuple):
    """An order that replaces, numbered and not yet written; the serials of its passes, in order."""

    order: OrderRow
    commitment_number: str
    basis: str
    serials: list[str]


def number_paper(
    session: Session, of: OrderRow, count: int, *, signer: Signer, act: UUID
) -> NewPaper:
    """Number an order of one carnet with as many passes as replace others; `act` will record it.

    Refused with `signing_key_revoked`.
    """
    check_signs(session, signer.voucher_key_id)
    commitment_number, basis = session.execute(
        select(activation.c.commitment_number, activation.c.basis).where(
            activation.c.order_number == of.number
        )
    ).one()
    order = OrderRow(
        number=take_numbers(session, "order", 1),
        tranche=of.tranche,
        carnets=1,
        first_carnet=take_numbers(session, "carnet", 1),
        carnet_size=count,
        face_cents=of.face_cents,
        printed_use_by=of.printed_use_by,
        specimen=False,
        key_id=signer.voucher_key_id,
        act=act,
    )
    ranks = range(1, count + 1)
    serials = [str(Serial(signer.departement, order.first_carnet, r)) for r in ranks]
    return NewPaper(order, commitment_number, basis, serials)


def write_paper(session: Session, paper: NewPaper, *, signer: Signer) -> None:
    """Sign the passes and write them: made, active and in people's hands, by the act that is recorded."""
    order = paper.order
    told = {name: getattr(order, name) for name in OrderRow.__struct_fields__}
    session.execute(insert(voucher_order).values(entry_id=told.pop("act"), **told))
    gates.install(session, [stock_gate(order.number), circulating_gate(order.number)])
    signed = sign_piece(stamp(order, signer), 0)
    write_rows(session, carnet, CARNET_COLUMNS, [(order.first_carnet, order.number)])
    write_rows(session, voucher, VOUCHER_COLUMNS, signed.rows)
    session.execute(
        insert(activation).values(
            order_number=order.number,
            commitment_number=paper.commitment_number,
            basis=paper.basis,
            entry_id=order.act,
        )
    )
    mark_handed_out(session, paper.serials, order.act)
