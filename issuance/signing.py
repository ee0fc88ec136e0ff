"""Signing the vouchers of an order: pure, so that processes that do nothing else start at once.

A piece is 200 carnets or fewer.  Whoever holds a stamp can make money: it is handed to
processes of ours only, and never written.
"""

from datetime import date
from typing import NamedTuple

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from issuance import codes, tokens
from issuance.serials import Serial

PIECE = 200


class Stamp(NamedTuple):
    """What stands on every voucher of an order, and the keys that make them."""

    departement: str
    order: int
    tranche: int
    first_carnet: int
    carnets: int
    carnet_size: int
    face_cents: int
    use_by: date
    key_id: int
    private: bytes
    code_key: bytes

    def face(self, serial: Serial) -> tokens.Face:
        """Return what one voucher says."""
        return tokens.Face(
            key_id=self.key_id,
            departement=self.departement,
            tranche=self.tranche,
            carnet=serial.carnet,
            rank=serial.rank,
            face_cents=self.face_cents,
            use_by=self.use_by,
        )


class Signed(NamedTuple):
    """The vouchers of a piece, signed and not yet written: one row each, as the table has it."""

    piece: int
    first_carnet: int
    last_carnet: int
    rows: list[tuple[str, int, int, int, bytes, bytes]]


def sign_piece(by: Stamp, piece: int) -> Signed:
    """Sign the vouchers of one piece of an order, in the order of their serials."""
    key = Ed25519PrivateKey.from_private_bytes(by.private)
    first = by.first_carnet + piece * PIECE
    last = min(first + PIECE, by.first_carnet + by.carnets) - 1
    rows = []
    for number in range(first, last + 1):
        for rank in range(1, by.carnet_size + 1):
            serial = Serial(by.departement, number, rank)
            token = tokens.sign(by.face(serial), key)
            code = codes.derive(by.code_key, serial)
            found_by = codes.lookup_digest(by.code_key, code)
            rows.append(
                (str(serial), number, rank, by.order, tokens.digest(token), found_by)
            )
    return Signed(piece, first, last, rows)
