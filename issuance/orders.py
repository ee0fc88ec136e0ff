"""Orders: vouchers promised within the envelope, made in pieces, active once money is committed.

Placing an order sets its whole value aside.  Making is a piece at a time, each its own
transaction and idempotent, so that an interrupted order is taken up where it stopped.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from hashlib import sha256
from uuid import UUID

import msgspec
from sqlalchemy import func, insert, select, update
from sqlalchemy.orm import Session

from funding.models import calendar
from funding.operations import NotFound
from funding.tranches import reserve, tranche_row
from issuance import codes, tokens
from issuance.keys import Signer
from issuance.models import activation, carnet, numbering, voucher, voucher_order
from issuance.serials import Serial
from ledger import gates
from ledger.accounts import account_name
from ledger.attempts import Act, Answer, perform
from ledger.bulk import bytes_array, is_postgres, plain_array, run, text_array
from ledger.entries import Right, entry_id
from ledger.journal import must_record
from ledger.key_sealing import KeysLocked
from ledger.moments import Moment
from ledger.refusal import Refusal

PIECE = 200
CARNETS_MAX = 200_000


@dataclass(eq=False)
class OrderImpossible(Refusal):
    """An order that cannot be placed; `reason` says why."""

    code = "order_impossible"

    reason: str


class PlaceOrder(msgspec.Struct, frozen=True):
    """Carnets wanted of a tranche; specimens are worth nothing, for training and proofs."""

    id: UUID
    tranche: str
    carnets: int
    specimen: bool = False


class ActivateOrder(msgspec.Struct, frozen=True):
    """The commitment number (engagement) under which the département holds the money."""

    id: UUID
    order: int
    commitment_number: str


class OrderRow(msgspec.Struct, frozen=True):
    """An order's own, immutable facts."""

    number: int
    tranche: int
    carnets: int
    first_carnet: int
    carnet_size: int
    face_cents: int
    printed_use_by: date
    specimen: bool
    key_id: int
    act: UUID

    @property
    def pieces(self) -> int:
        """How many pieces it is made in."""
        return -(-self.carnets // PIECE)


# Filled in by Python's % and by PostgreSQL's format().
GATE_KEY = "order/%s/%s"


def stock_gate(order: int) -> str:
    """Return the key of the gate that guards what is in stock."""
    return GATE_KEY % (order, "stock")


def circulating_gate(order: int) -> str:
    """Return the key of the gate that guards what is handed out."""
    return GATE_KEY % (order, "circulating")


def place_order(
    session: Session, request: PlaceOrder, *, signer: Signer, by: str, now: Moment
) -> Answer:
    """Number an order and set its value aside.

    Refused with `envelope_exceeded`, `not_found`, `order_impossible`.
    """
    act = Act(request.id, "place_order", by, now)

    def done() -> None:
        row = tranche_row(session, request.tranche)
        if not 1 <= request.carnets <= CARNETS_MAX:
            raise OrderImpossible("carnets")
        value = (
            0 if request.specimen else request.carnets * row.carnet_size * row.face_cents
        )
        if value:
            reserve(session, row.number, value)
        number = _next(session, "order", 1)
        first_carnet = _next(session, "carnet", request.carnets)
        use_by = session.scalars(
            select(calendar.c.use_by)
            .where(calendar.c.tranche == row.number)
            .order_by(calendar.c.version.desc())
            .limit(1)
        ).one()
        facts = {
            "order": number,
            "tranche": row.number,
            "carnets": request.carnets,
            "first_carnet": first_carnet,
            "carnet_size": row.carnet_size,
            "face_cents": row.face_cents,
            "reserved_cents": value,
            "specimen": request.specimen,
        }
        must_record(session, [act.entry("order_placed", facts)])
        session.execute(
            insert(voucher_order).values(
                number=number,
                tranche=row.number,
                carnets=request.carnets,
                first_carnet=first_carnet,
                carnet_size=row.carnet_size,
                face_cents=row.face_cents,
                printed_use_by=use_by,
                specimen=request.specimen,
                key_id=signer.specimen_key_id
                if request.specimen
                else signer.voucher_key_id,
                entry_id=act.id,
            )
        )
        gates.install(session, [stock_gate(number), circulating_gate(number)])

    return perform(session, act, request, done)


def make_piece(
    session: Session, order: OrderRow, piece: int, *, signer: Signer, by: str, now: Moment
) -> Answer:
    """Make the vouchers of one piece of an order, 200 carnets or fewer; making it twice is a replay.

    Their value moves from what is available to what is in stock.
    """
    act = Act(entry_id(order.act, piece + 1), "make_piece", by, now)

    def done() -> None:
        if not 0 <= piece < order.pieces:
            raise OrderImpossible("piece")
        first = order.first_carnet + piece * PIECE
        last = min(first + PIECE, order.first_carnet + order.carnets) - 1
        made = [
            _Made.of(order, carnet_number, rank, signer)
            for carnet_number in range(first, last + 1)
            for rank in range(1, order.carnet_size + 1)
        ]
        book = str(order.tranche)
        money = 0 if order.specimen else len(made) * order.face_cents
        facts = {
            "order": order.number,
            "piece": piece,
            "first_carnet": first,
            "last_carnet": last,
            "count": len(made),
            "face_cents": order.face_cents,
            "specimen": order.specimen,
            "serials_sha256": serials_hash([m.serial for m in made]),
        }
        must_record(
            session,
            [
                act.entry(
                    "vouchers_made",
                    facts,
                    credit=account_name("available", book) if money else None,
                    debit=account_name("stock", book) if money else None,
                    cents=money,
                    right=Right("make", f"order/{order.number}/{piece}", 0),
                )
            ],
        )
        session.execute(
            insert(carnet),
            [{"number": n, "order_number": order.number} for n in range(first, last + 1)],
        )
        _insert_vouchers(session, order.number, made)

    return perform(session, act, {"order": order.number, "piece": piece}, done)


def activate_order(
    session: Session, request: ActivateOrder, *, by: str, now: Moment
) -> Answer:
    """Make an order's passes good from now on: its commitment number is recorded, once.

    Refused with `not_found`, `right_used`, `order_impossible`.
    """
    act = Act(request.id, "activate_order", by, now)

    def done() -> None:
        gates.alone(session)
        order = order_row(session, request.order)
        number = request.commitment_number.strip()
        if not number or len(number) > 40:
            raise OrderImpossible("commitment_number")
        made = select(func.count()).where(carnet.c.order_number == order.number)
        if session.scalar(made) != order.carnets:
            raise OrderImpossible("not_made")
        must_record(
            session,
            [
                act.entry(
                    "order_activated",
                    {"order": order.number, "commitment_number": number},
                    right=Right("activate", f"order/{order.number}", 0),
                )
            ],
        )
        session.execute(
            insert(activation).values(
                order_number=order.number, commitment_number=number, entry_id=act.id
            )
        )

    return perform(session, act, request, done)


def order_row(session: Session, number: int) -> OrderRow:
    """Return an order by its number, or raise `NotFound`."""
    columns = [
        voucher_order.c[name if name != "act" else "entry_id"]
        for name in OrderRow.__struct_fields__
    ]
    row = session.execute(
        select(*columns).where(voucher_order.c.number == number)
    ).one_or_none()
    if row is None:
        raise NotFound("order", str(number))
    return OrderRow(*row)


def serials_hash(serials: Sequence[str]) -> str:
    """Return what an entry keeps of a list of serials: SHA-256 of one serial a line, in hex."""
    return sha256("".join(f"{serial}\n" for serial in serials).encode()).hexdigest()


class _Made(msgspec.Struct, frozen=True):
    serial: str
    carnet: int
    rank: int
    token_digest: bytes
    code_digest: bytes

    @classmethod
    def of(cls, order: OrderRow, carnet_number: int, rank: int, signer: Signer) -> "_Made":
        serial = Serial(signer.departement, carnet_number, rank)
        token = sign_voucher(order, serial, signer)
        code = codes.derive(signer.code_key, serial)
        return cls(
            str(serial),
            carnet_number,
            rank,
            tokens.digest(token),
            codes.lookup_digest(signer.code_key, code),
        )


def sign_voucher(order: OrderRow, serial: Serial, signer: Signer) -> bytes:
    """Return the signed token of a pass; signatures are deterministic, so printing makes it again."""
    face = tokens.Face(
        key_id=order.key_id,
        departement=serial.departement,
        tranche=order.tranche,
        carnet=serial.carnet,
        rank=serial.rank,
        face_cents=order.face_cents,
        use_by=order.printed_use_by,
    )
    if order.key_id not in signer.every:
        raise KeysLocked("lost_key")
    return tokens.sign(face, signer.every[order.key_id])


def _next(session: Session, kind: str, count: int) -> int:
    """Take `count` numbers of a kind, under their row's lock; return the first."""
    after = session.scalars(
        update(numbering)
        .where(numbering.c.kind == kind)
        .values(next=numbering.c.next + count)
        .returning(numbering.c.next)
    ).one()
    return int(after) - count


_INSERT = """
    INSERT INTO voucher (serial, carnet, rank, order_number, token_digest, code_digest)
    SELECT serial, carnet, rank, %(order_number)s, token_digest, code_digest
    FROM unnest(CAST(%(serial)s AS text[]), CAST(%(carnet)s AS bigint[]), CAST(%(rank)s AS bigint[]),
                CAST(%(token_digest)s AS bytea[]), CAST(%(code_digest)s AS bytea[]))
         AS r(serial, carnet, rank, token_digest, code_digest)
    """


def _insert_vouchers(session: Session, order: int, made: Sequence[_Made]) -> None:
    if is_postgres(session):
        run(
            session,
            _INSERT,
            {
                "order_number": order,
                "serial": text_array([m.serial for m in made]),
                "carnet": plain_array([m.carnet for m in made]),
                "rank": plain_array([m.rank for m in made]),
                "token_digest": bytes_array([m.token_digest for m in made]),
                "code_digest": bytes_array([m.code_digest for m in made]),
            },
        )
    else:
        session.execute(
            insert(voucher),
            [{**msgspec.structs.asdict(m), "order_number": order} for m in made],
        )
