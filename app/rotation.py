"""Changing the master key: everything it seals, in every département, piece by piece."""

from collections.abc import Iterator

from app.instance import Instance
from app.mail.outbox import SECRETS as OUTBOX_SECRETS
from app.people.models import totp
from issuance.limits import SECRETS as VAULT_SECRETS
from issuance.vault import PERSON_KEYS
from ledger.resealing import PIECE, Piece, Shelf, reseal

# The secrets of telephones, as `app.people.second_factor` seals them.
TOTP_SECRETS = Shelf(totp.c.person, totp.c.sealed, lambda person: f"totp/{person}")

# Whatever is sealed under the master key has its shelf here: one that is missing is lost the day
# the older key is destroyed.
SHELVES: tuple[Shelf, ...] = (PERSON_KEYS, VAULT_SECRETS, TOTP_SECRETS, OUTBOX_SECRETS)


def rotate(instance: Instance, code: str, *, limit: int = PIECE) -> Iterator[Piece]:
    """Seal anew, under the current master key, what older ones sealed in a département.

    Each piece is committed before it is yielded, so stopping between two loses nothing and
    running again goes on.  Another process may still seal under the older key meanwhile: restart
    them with the new one first.  Refused with `vault_locked`.
    """
    for shelf in SHELVES:
        after = None
        while True:
            with instance.database.begin(code) as session:
                piece = reseal(session, instance.sealer, shelf, after=after, limit=limit)
            if piece.last is None:
                break
            after = piece.last
            yield piece
