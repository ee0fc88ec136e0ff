"""Taking over what a former operator left in drawers: paper that is not ours, honoured out of a tranche of ours.

The operator is gone, the carnets are still in the drawers of desks, and people believe what is printed
on them.  A département may decide to honour them: a list of their numbers, with the carnet each is in,
its value and its use-by date, becomes orders of their own, one for each date and number of passes in a
carnet.  One act sets their value aside, puts their passes in stock and makes them good, all or none.

Such a pass has a serial of ours, and the number that is printed on it opens it at the counter; the
number itself is kept nowhere (`issuance.foreign`).  It is never printed again: what is lost of it is
made again on paper of ours.  The key that its order names is the code key, since that is what recognises
it: no key that signs has anything to do with it, and none that is revoked touches it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
from sqlalchemy import func, insert, select
from sqlalchemy.orm import Session

from funding.tranches import Basis, TrancheRow, reserve, tranche_row
from issuance.foreign import bare, file_mark, mark
from issuance.foreign_carnets import labels_hash
from issuance.foreign_lists import ForeignList, Lot, judged, lots
from issuance.keys import Signer
from issuance.making import CARNET_COLUMNS, VOUCHER_COLUMNS
from issuance.models import (
    activation,
    carnet,
    foreign_carnet,
    foreign_qr,
    secret_key,
    voucher,
    voucher_order,
)
from issuance.orders import (
    OrderImpossible,
    OrderRow,
    check_basis,
    circulating_gate,
    stock_gate,
    take_numbers,
)
from issuance.queries import TAKEN_OVER
from issuance.serials import Serial, serials_hash
from ledger import gates
from ledger.accounts import account_name
from ledger.attempts import Act, Answer, perform
from ledger.bulk import write_rows
from ledger.entries import Entry, Right
from ledger.journal import must_record
from ledger.moments import Moment
from ledger.refusal import Refusal

# How many lines a refusal names; the report names each.
NAMED = 20
FOREIGN_CARNET_COLUMNS = ("carnet", "order_number", "operator", "label", "found_by")
FOREIGN_QR_COLUMNS = ("digest", "serial")


@dataclass(eq=False)
class ForeignListRefused(Refusal):
    """Some lines of the list cannot be taken over: nothing of it is."""

    code = "foreign_list_refused"

    lines: tuple[str, ...]


class TakeOver(msgspec.Struct, frozen=True):
    """A list of carnets to honour: the tranche that pays, a word for whose paper it is, what makes it good.

    That is a number of commitment (engagement), or of mandat, as the tranche asks (`basis`).
    """

    id: UUID
    tranche: str
    operator: str
    commitment_number: str
    listed: ForeignList
    basis: Basis = "commitment"


class _Paper(NamedTuple):
    """A lot with the order that it becomes, and the rows of its passes."""

    lot: Lot
    order: OrderRow
    labels: list[tuple[int, str]]
    vouchers: list[tuple[str, int, int, int, bytes, bytes]]
    qrs: list[tuple[bytes, str]]


def take_over(
    session: Session, request: TakeOver, *, signer: Signer, by: str, now: Moment
) -> Answer:
    """Take a list over, all of it or nothing: its orders are made and good at once.

    The answer tells the first and the last order.  Refused with `not_found`, `order_impossible`,
    `take_over_impossible`, `foreign_list_refused`, `envelope_exceeded`.
    """
    act = Act(request.id, "take_over", by, now)
    listed = request.listed
    # Whoever reads the attempt learns no number: not even a hash of the list, which could be tried.
    told = {
        "basis": request.basis,
        "commitment_number": request.commitment_number.strip(),
        "file_mark": file_mark(signer.code_key, listed.file_sha256),
        "operator": request.operator,
    }

    def done() -> None:
        # What is looked for and not found stays unknown until the commit.
        gates.alone(session)
        row = tranche_row(session, request.tranche)
        check_basis(session, row.number, request.basis)
        if not 1 <= len(told["commitment_number"]) <= 40:
            raise OrderImpossible("commitment_number")
        faults = judged(
            session,
            listed,
            tranche=request.tranche,
            operator=request.operator,
            signer=signer,
            today=now.day,
        )
        if faults:
            lines = list(dict.fromkeys(str(fault.line) for fault in faults))
            more = ["…"] if len(lines) > NAMED else []
            raise ForeignListRefused((*lines[:NAMED], *more))
        reserve(session, row.number, len(listed.passes) * row.face_cents)
        papers = list(_papers(session, act, row, lots(listed.passes), signer))
        span = [papers[0].order.number, papers[-1].order.number]
        entries = [
            _entry(act, rank, paper, told | {"orders": span})
            for rank, paper in enumerate(papers)
        ]
        must_record(session, entries)
        for entry, paper in zip(entries, papers, strict=True):
            _write(session, entry.id, paper, told)

    return perform(session, act, told | {"tranche": request.tranche}, done)


def _papers(
    session: Session, act: Act, row: TrancheRow, found: list[Lot], signer: Signer
) -> Iterator[_Paper]:
    """Number the orders, the carnets and the passes of the lots."""
    key_id = session.scalars(
        select(func.max(secret_key.c.key_id)).where(secret_key.c.purpose == "code")
    ).one()
    number = take_numbers(session, "order", len(found))
    first = take_numbers(session, "carnet", sum(len(lot.carnets) for lot in found))
    for lot in found:
        order = OrderRow(
            number=number,
            tranche=row.number,
            carnets=len(lot.carnets),
            first_carnet=first,
            carnet_size=lot.size,
            face_cents=row.face_cents,
            printed_use_by=lot.use_by,
            specimen=False,
            key_id=key_id,
            act=act.id,
        )
        yield _paper(lot, order, signer)
        number, first = number + 1, first + len(lot.carnets)


def _paper(lot: Lot, order: OrderRow, signer: Signer) -> _Paper:
    paper = _Paper(lot, order, [], [], [])
    for number, (label, held) in enumerate(lot.carnets, order.first_carnet):
        paper.labels.append((number, label))
        for rank, one in enumerate(held, 1):
            serial = str(Serial(signer.departement, number, rank))
            marks = [mark(signer.code_key, text) for text in one.texts]
            # No token of ours has such a digest: its serial, in a token, is a forgery.
            paper.vouchers.append((serial, number, rank, order.number, marks[-1], marks[0]))
            paper.qrs.extend((other, serial) for other in marks[1:])
    return paper


def _entry(act: Act, rank: int, paper: _Paper, told: dict[str, Any]) -> Entry:
    order, book = paper.order, str(paper.order.tranche)
    serials = [row[0] for row in paper.vouchers]
    value = len(serials) * order.face_cents
    facts = told | {
        "carnet_size": order.carnet_size,
        "carnets": order.carnets,
        "count": len(serials),
        "face_cents": order.face_cents,
        "first_carnet": order.first_carnet,
        "labels_sha256": labels_hash(paper.labels),
        "order": order.number,
        "reserved_cents": value,
        "serials_sha256": serials_hash(serials),
        "specimen": False,
        "tranche": order.tranche,
        "use_by": order.printed_use_by.isoformat(),
    }
    return act.entry(
        TAKEN_OVER,
        facts,
        rank=rank,
        credit=account_name("available", book),
        debit=account_name("stock", book),
        cents=value,
        right=Right("activate", f"order/{order.number}", 0),
    )


def _write(session: Session, entry: UUID, paper: _Paper, told: dict[str, str]) -> None:
    """Write an order and its passes: made, and good, by the entry that is recorded."""
    order = paper.order
    row = {name: getattr(order, name) for name in OrderRow.__struct_fields__}
    del row["act"]
    session.execute(insert(voucher_order).values(entry_id=entry, **row))
    gates.install(session, [stock_gate(order.number), circulating_gate(order.number)])
    numbers = [number for number, _label in paper.labels]
    write_rows(session, carnet, CARNET_COLUMNS, [(n, order.number) for n in numbers])
    write_rows(session, voucher, VOUCHER_COLUMNS, paper.vouchers)
    labels = [
        (number, order.number, told["operator"], label, bare(label))
        for number, label in paper.labels
    ]
    write_rows(session, foreign_carnet, FOREIGN_CARNET_COLUMNS, labels)
    if paper.qrs:
        write_rows(session, foreign_qr, FOREIGN_QR_COLUMNS, paper.qrs)
    session.execute(
        insert(activation).values(
            order_number=order.number,
            commitment_number=told["commitment_number"],
            basis=told["basis"],
            entry_id=entry,
        )
    )
