"""The keys of a département: two that sign (vouchers, specimens), one that derives printed codes.

Private keys are sealed at rest under a secret that is never stored.  Public keys are added and
never removed: paper outlives keys.

A voucher key that others may hold is **revoked**, for ever, by an entry.  Signatures of Ed25519 are
deterministic, so whoever holds the key makes, from the number printed on a pass, the very bytes of
its QR code: a QR code of that key proves nothing any more, known to the ledger or not.  The code to
type is derived from another key, and goes on opening the pass.
"""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, NamedTuple
from uuid import UUID

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)
from sqlalchemy import func, insert, select
from sqlalchemy.orm import Session

from issuance.models import foreign_carnet, secret_key, voucher_order
from ledger import canonical, gates
from ledger.attempts import Act, Answer, perform
from ledger.entries import Right
from ledger.journal import must_record
from ledger.key_sealing import SECRET_MIN, KeysLocked, seal, unseal
from ledger.models import entry
from ledger.moments import Moment
from ledger.refusal import Refusal

Purpose = Literal["voucher", "specimen", "code"]
# Known to be in other hands, or that cannot be excluded; what follows is the same.
Why = Literal["compromised", "suspected"]

REVOKE = "revoke"  # the right that a revocation uses up, once a key


@dataclass(eq=False)
class NoKeys(Refusal):
    """The département has no keys yet."""

    code = "no_keys"


@dataclass(eq=False)
class KeysExhausted(Refusal):
    """A key id is one byte; all of them are used."""

    code = "keys_exhausted"


@dataclass(eq=False)
class VoucherKeyUnknown(Refusal):
    """No voucher key that signs has this id: there is none, or it is revoked already."""

    code = "voucher_key_unknown"

    key_id: int


@dataclass(eq=False)
class SigningKeyRevoked(Refusal):
    """The key that would sign is revoked: it makes no paper any more."""

    code = "signing_key_revoked"

    key_id: int


class NewKeys(msgspec.Struct, frozen=True):
    """A request for a new pair of signing keys; the code key is made with the first.

    `lost`: the secret that sealed the keys there opens nothing any more; a new code key is made too.
    """

    id: UUID
    lost: bool = False


class RevokeKey(msgspec.Struct, frozen=True):
    """A request that a voucher key be trusted no more."""

    id: UUID
    key_id: int
    why: Why


class Revocation(NamedTuple):
    """When a voucher key was revoked, and why."""

    at: datetime
    why: Why


@dataclass(frozen=True)
class Keyring:
    """What is needed to recognise a département's paper: every public key it ever used.

    `revoked` are those of `vouchers` whose signature proves nothing any more.  `foreign`: there is paper
    of a former operator too, recognised by its own numbers.
    """

    departement: str
    vouchers: Mapping[int, Ed25519PublicKey]
    specimens: Mapping[int, Ed25519PublicKey]
    code_key: bytes | None
    revoked: Mapping[int, Revocation] = field(default_factory=dict)
    foreign: bool = False

    @property
    def all(self) -> Mapping[int, Ed25519PublicKey]:
        """Every public key, of vouchers and of specimens; their ids do not overlap."""
        return {**self.vouchers, **self.specimens}


@dataclass(frozen=True)
class Signer:
    """What is needed to make paper: the newest private keys, unsealed, and the code key.

    The newest voucher key may be one of the `revoked`: no order is placed until there is another.
    """

    departement: str
    voucher_key_id: int
    voucher_key: Ed25519PrivateKey
    specimen_key_id: int
    specimen_key: Ed25519PrivateKey
    code_key: bytes
    every: Mapping[int, Ed25519PrivateKey]
    revoked: frozenset[int] = frozenset()

    def key_of(self, key_id: int) -> Ed25519PrivateKey:
        """Return the key that signs an order, or raise `SigningKeyRevoked`, or `KeysLocked` if it was lost."""
        if key_id in self.revoked:
            raise SigningKeyRevoked(key_id)
        if key_id not in self.every:
            raise KeysLocked("lost_key")
        return self.every[key_id]


def new_keys(
    session: Session, request: NewKeys, *, secret: bytes, by: str, now: Moment
) -> Answer:
    """Make a signing key for vouchers and one for specimens; older keys stay valid on paper.

    After a loss, paper goes on by its QR codes; what was printed as a code to type is not known any
    more, and orders of the lost keys cannot be printed again.  Refused with `keys_locked` when the secret is too short, `keys_exhausted` past id 255.
    """
    act = Act(request.id, "new_keys", by, now)

    def done() -> None:
        gates.alone(session)
        if len(secret) < SECRET_MIN:
            raise KeysLocked("too_short")
        newest = session.scalar(select(func.max(secret_key.c.key_id)))
        first = 0 if newest is None else newest + 1
        if newest is not None and not request.lost:
            _check_secret(session, secret)
        wanted: list[tuple[int, Purpose]] = [(first, "voucher"), (first + 1, "specimen")]
        if newest is None or request.lost:
            wanted.append((first + 2, "code"))
        if wanted[-1][0] > 255:
            raise KeysExhausted
        rows = [_new_row(key_id, purpose, secret, act.id) for key_id, purpose in wanted]
        facts: dict[str, Any] = {
            "keys": [
                [
                    row["key_id"],
                    row["purpose"],
                    row["public"].hex() if row["public"] else None,
                ]
                for row in rows
            ]
        }
        if request.lost:
            facts["lost"] = True
        must_record(session, [act.entry("keys_made", facts)])
        session.execute(insert(secret_key), rows)

    return perform(session, act, request, done)


def revoke_key(session: Session, request: RevokeKey, *, by: str, now: Moment) -> Answer:
    """Revoke a voucher key: its QR codes are refused, and it makes no paper any more.

    The entry lists the orders that it touches.  The newest key can be revoked too: revoking
    never waits, and the next order does, until there are new keys.  Processes that are running
    learn it with their next keyring, ten seconds later at most.  Refused with
    `voucher_key_unknown`.
    """
    act = Act(request.id, "revoke_key", by, now)

    def done() -> None:
        gates.alone(session)
        public = session.scalar(
            select(secret_key.c.public).where(
                secret_key.c.key_id == request.key_id, secret_key.c.purpose == "voucher"
            )
        )
        if public is None or request.key_id in revocations(session):
            raise VoucherKeyUnknown(request.key_id)
        orders = session.scalars(
            select(voucher_order.c.number)
            .where(voucher_order.c.key_id == request.key_id)
            .order_by(voucher_order.c.number)
        )
        facts = {
            "key_id": request.key_id,
            "orders": list(orders),
            "public": public.hex(),
            "why": request.why,
        }
        right = Right(REVOKE, f"key/{request.key_id}", 0)
        must_record(session, [act.entry("key_revoked", facts, right=right)])

    return perform(session, act, request, done)


def revocations(session: Session) -> dict[int, Revocation]:
    """Return the voucher keys that are revoked; they are few, and found by the right they used."""
    rows = session.execute(
        select(entry.c.recorded_at, entry.c.body)
        .where(entry.c.uses == REVOKE)
        .order_by(entry.c.recorded_at)
    )
    found = {}
    for at, body in rows:
        facts = canonical.decode(body)["facts"]
        found[facts["key_id"]] = Revocation(at, facts["why"])
    return found


def check_signs(session: Session, key_id: int) -> None:
    """Raise `SigningKeyRevoked` for a key that is revoked: who holds a signer may have had it before."""
    used = select(entry.c.id).where(
        entry.c.uses == REVOKE, entry.c.subject == f"key/{key_id}", entry.c.turn == 0
    )
    if session.scalar(used) is not None:
        raise SigningKeyRevoked(key_id)


def _check_secret(session: Session, secret: bytes) -> None:
    """Raise `KeysLocked` unless the newest keys are sealed by this secret: all must open together."""
    key_id, purpose, sealed = session.execute(
        select(secret_key.c.key_id, secret_key.c.purpose, secret_key.c.sealed)
        .order_by(secret_key.c.key_id.desc())
        .limit(1)
    ).one()
    unseal(sealed, secret, purpose, key_id)


def _new_row(key_id: int, purpose: Purpose, secret: bytes, entry: UUID) -> dict[str, Any]:
    private = secrets.token_bytes(32)
    public = (
        None
        if purpose == "code"
        else Ed25519PrivateKey.from_private_bytes(private).public_key().public_bytes_raw()
    )
    return {
        "key_id": key_id,
        "purpose": purpose,
        "public": public,
        "sealed": seal(private, secret, purpose, key_id),
        "entry_id": entry,
    }


def sealed_again(
    row: Mapping[str, Any], old: bytes | None, new: bytes | None
) -> dict[str, Any]:
    """Return a row of `secret_key` whose private key is sealed under another secret; None: open.

    A key that was lost with its secret stays lost: its seal is empty.
    """
    private, purpose, key_id = row["sealed"], row["purpose"], row["key_id"]
    if old is not None:
        private = _opened(private, old, purpose, key_id) or b""
    if new is not None and private:
        private = seal(private, new, purpose, key_id)
    return {**row, "sealed": private}


def _opened(sealed: bytes, secret: bytes, purpose: str, key_id: int) -> bytes | None:
    """Return a private key, None when it was lost with the secret that sealed it."""
    try:
        return unseal(sealed, secret, purpose, key_id)
    except KeysLocked:
        return None


def keyring(session: Session, departement: str, secret: bytes | None) -> Keyring:
    """Return the public keys, and the code key where the secret is at hand.

    Without the code key everything works but codes typed by hand.
    """
    rows = session.execute(
        select(
            secret_key.c.key_id,
            secret_key.c.purpose,
            secret_key.c.public,
            secret_key.c.sealed,
        ).order_by(secret_key.c.key_id)
    ).all()
    public: dict[str, dict[int, Ed25519PublicKey]] = {"voucher": {}, "specimen": {}}
    code_key = None
    for key_id, purpose, raw, sealed in rows:
        if purpose == "code":
            if secret is not None:
                code_key = _opened(sealed, secret, purpose, key_id) or code_key
        else:
            public[purpose][key_id] = Ed25519PublicKey.from_public_bytes(raw)
    if secret is not None and code_key is None and rows:
        raise KeysLocked("wrong_secret")
    foreign = session.scalar(select(foreign_carnet.c.carnet).limit(1)) is not None
    return Keyring(
        departement,
        public["voucher"],
        public["specimen"],
        code_key,
        revocations(session),
        foreign,
    )


def signer(session: Session, departement: str, secret: bytes | None) -> Signer:
    """Unseal the private keys, or raise `NoKeys` or `KeysLocked`."""
    if secret is None:
        raise KeysLocked("no_secret")
    rows = session.execute(
        select(secret_key.c.key_id, secret_key.c.purpose, secret_key.c.sealed).order_by(
            secret_key.c.key_id
        )
    ).all()
    if not rows:
        raise NoKeys
    newest: dict[str, tuple[int, bytes]] = {}
    every = {}
    for key_id, purpose, sealed in rows:
        private = _opened(sealed, secret, purpose, key_id)
        if private is None:
            continue
        newest[purpose] = key_id, private
        if purpose != "code":
            every[key_id] = Ed25519PrivateKey.from_private_bytes(private)
    if (
        len(newest) < 3
    ):  # the newest keys are made together, one of each purpose after a loss
        raise KeysLocked("wrong_secret")
    return Signer(
        departement=departement,
        voucher_key_id=newest["voucher"][0],
        voucher_key=every[newest["voucher"][0]],
        specimen_key_id=newest["specimen"][0],
        specimen_key=every[newest["specimen"][0]],
        code_key=newest["code"][1],
        every=every,
        revoked=frozenset(revocations(session)),
    )
