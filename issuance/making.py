"""Making the vouchers of an order, a piece at a time: signed by as many processes as help, written one by one.

Each piece is a transaction of its own and is made once, whoever makes it and however often it
is tried: an order that was interrupted is taken up where it stopped.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future

from sqlalchemy import select
from sqlalchemy.orm import Session

from issuance import tokens
from issuance.keys import Signer, check_signs
from issuance.models import carnet, voucher
from issuance.orders import (
    OrderImpossible,
    OrderRow,
    StockLapsed,
    check_goes_on,
    stock_gate,
)
from issuance.processes import cores, pool
from issuance.serials import Serial, serials_hash
from issuance.signing import PIECE, Signed, Stamp, sign_piece
from ledger import gates
from ledger.accounts import account_name
from ledger.attempts import Act, Answer, perform
from ledger.bulk import write_rows
from ledger.entries import Right, entry_id
from ledger.journal import must_record
from ledger.moments import Moment

# Below this many pieces, processes take longer to start than to sign.
FEW = 10
CARNET_COLUMNS = ("number", "order_number")
VOUCHER_COLUMNS = (
    "serial", "carnet", "rank", "order_number", "token_digest", "code_digest",
)  # fmt: skip


def pieces(order: OrderRow) -> int:
    """Return how many pieces an order is made in."""
    return -(-order.carnets // PIECE)


def pieces_left(session: Session, order: OrderRow) -> list[int]:
    """Return the pieces of an order that are not made yet, in their order."""
    begins = select(carnet.c.number).where(
        carnet.c.order_number == order.number,
        (carnet.c.number - order.first_carnet) % PIECE == 0,
    )
    made = {(n - order.first_carnet) // PIECE for n in session.scalars(begins)}
    return [piece for piece in range(pieces(order)) if piece not in made]


def is_made(session: Session, order: OrderRow, piece: int) -> bool:
    """Tell whether a piece is made: all of it is, or nothing."""
    first = order.first_carnet + piece * PIECE
    return (
        session.scalar(select(carnet.c.number).where(carnet.c.number == first)) is not None
    )


def make_piece(
    session: Session, order: OrderRow, piece: int, *, signer: Signer, by: str, now: Moment
) -> Answer:
    """Sign and write one piece of an order; see `write_piece`."""
    if not 0 <= piece < pieces(order):
        raise OrderImpossible("piece")
    signed = sign_piece(stamp(order, signer), piece)
    return write_piece(session, order, signed, by=by, now=now)


def stamp(order: OrderRow, signer: Signer) -> Stamp:
    """Return what signs an order, or raise `KeysLocked` or `SigningKeyRevoked`."""
    return Stamp(
        departement=signer.departement,
        order=order.number,
        tranche=order.tranche,
        first_carnet=order.first_carnet,
        carnets=order.carnets,
        carnet_size=order.carnet_size,
        face_cents=order.face_cents,
        use_by=order.printed_use_by,
        key_id=order.key_id,
        private=signer.key_of(order.key_id).private_bytes_raw(),
        code_key=signer.code_key,
    )


def signed_ahead(
    order: OrderRow, wanted: Iterable[int], signer: Signer, *, processes: int | None = None
) -> Iterator[Signed]:
    """Yield these pieces of an order, signed, while the next ones are being signed elsewhere.

    As many processes as there are cores unless told otherwise; none for a few pieces.  They
    are handed the private key, and end with the iteration.  A few pieces wait at any time,
    so memory does not grow with the order.
    """
    left = deque(wanted)
    if not left:
        return
    by = stamp(order, signer)
    workers = processes if processes is not None else cores()
    if len(left) < FEW or workers < 1:
        for piece in left:
            yield sign_piece(by, piece)
        return
    with pool(workers) as press:
        ahead: deque[Future[Signed]] = deque()
        try:
            while left or ahead:
                while left and len(ahead) <= 2 * workers:
                    ahead.append(press.submit(sign_piece, by, left.popleft()))
                yield ahead.popleft().result()
        finally:
            press.shutdown(cancel_futures=True)


def write_piece(
    session: Session, order: OrderRow, signed: Signed, *, by: str, now: Moment
) -> Answer:
    """Write a piece of an order, once: writing it again is a replay, and changes nothing.

    Its value moves from what is available to what is in stock.  Refused with
    `signing_key_revoked`, `order_cancelled` and `stock_lapsed`: an order whose key was revoked
    meanwhile, that was cancelled, or whose stock has lapsed, stops where it is.
    """
    act = Act(entry_id(order.act, signed.piece + 1), "make_piece", by, now)

    def done() -> None:
        # Neither a lapse of the stock, nor a revocation of the key, nor a cancellation comes in between.
        stock = stock_gate(order.number)
        held = gates.hold(session, [gates.REFERENCE, stock])
        check_signs(session, order.key_id)
        check_goes_on(session, order.number)
        if held[stock].closed_by is not None:
            raise StockLapsed(order.number)
        book = str(order.tranche)
        money = 0 if order.specimen else len(signed.rows) * order.face_cents
        facts = {
            "order": order.number,
            "piece": signed.piece,
            "first_carnet": signed.first_carnet,
            "last_carnet": signed.last_carnet,
            "count": len(signed.rows),
            "face_cents": order.face_cents,
            "specimen": order.specimen,
            "serials_sha256": serials_hash(row[0] for row in signed.rows),
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
                    right=Right("make", f"order/{order.number}/{signed.piece}", 0),
                )
            ],
        )
        numbers = range(signed.first_carnet, signed.last_carnet + 1)
        write_rows(session, carnet, CARNET_COLUMNS, [(n, order.number) for n in numbers])
        write_rows(session, voucher, VOUCHER_COLUMNS, signed.rows)

    asked = {"order": order.number, "piece": signed.piece}
    return perform(session, act, asked, done)


def sign_voucher(order: OrderRow, serial: Serial, signer: Signer) -> bytes:
    """Return the signed token of a pass; signatures are deterministic, so printing makes it again."""
    return tokens.sign(stamp(order, signer).face(serial), signer.key_of(order.key_id))
