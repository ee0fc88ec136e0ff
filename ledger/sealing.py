r"""Secrets at rest: bytes sealed under master keys, which come from outside and are never stored.

    sealed = 0x01 || key id (4) || nonce (12) || AES-256-GCM(key, nonce, plain)

    key id   the first bytes of SHA-256("passnum key id" || key): says which key, tells nothing of it
    nonce    96 random bits, new each time; a key seals far fewer than 2^32 pieces
    the associated data is the header (version, key id) and then `about`, what the bytes are
    about ("vault/<person>", "totp/<person>"): sealed bytes moved elsewhere do not open

The first key is current: it seals. The others are older, and only open, so that a key is
changed without a moment when nothing can be read. A sealer without keys refuses everything.

    >>> old, new = bytes(32), bytes(31) + b"\x01"
    >>> sealed = Sealer([old]).seal(b"plain", "vault/1")
    >>> len(sealed) - len(b"plain")
    33
    >>> both = Sealer([new, old])
    >>> both.open(sealed, "vault/1"), sealed.startswith(both.header)
    (b'plain', False)
"""

import base64
import binascii
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from ledger.refusal import Refusal

KEY_SIZE = 32
VERSION = b"\x01"
_ID_SIZE, _NONCE_SIZE, _TAG_SIZE = 4, 12, 16
_HEADER_SIZE = len(VERSION) + _ID_SIZE


@dataclass(eq=False)
class VaultLocked(Refusal):
    """No master key is configured: nothing can be sealed nor opened."""

    code = "vault_locked"
    kept = False


@dataclass(eq=False)
class SealedByUnknownKey(Refusal):
    """The bytes were sealed under a key that is not configured."""

    code = "sealed_by_unknown_key"
    kept = False

    key: str


@dataclass(eq=False)
class SealBroken(Refusal):
    """The bytes were changed, or were sealed about something else."""

    code = "seal_broken"

    about: str


def new_key() -> bytes:
    """Return a new random key, 256 bits."""
    return secrets.token_bytes(KEY_SIZE)


def key_text(key: bytes) -> str:
    """Return a key as `read_keys` reads it: base64, 44 characters."""
    return base64.b64encode(key).decode()


def read_keys(text: str) -> list[bytes]:
    """Read base64 keys, one a line or separated by commas, in order; ValueError never repeats one."""
    keys = []
    for rank, word in enumerate(re.split(r"[\s,]+", text.strip(" \t\r\n,")), 1):
        if not word:
            continue
        try:
            key = base64.b64decode(word, validate=True)
        except (binascii.Error, ValueError):
            raise ValueError(f"key {rank} is not base64") from None
        if len(key) != KEY_SIZE:
            raise ValueError(f"key {rank} has {len(key)} bytes, not {KEY_SIZE}")
        keys.append(key)
    if not keys:
        raise ValueError("no key")
    return keys


def key_id(key: bytes) -> str:
    """Return the 8 hex digits that name a key where it may be seen."""
    return _id(key).hex()


def _id(key: bytes) -> bytes:
    return sha256(b"passnum key id" + key).digest()[:_ID_SIZE]


class Sealer:
    """Seals under the first key, opens under any of them; without keys every use is `vault_locked`."""

    def __init__(self, keys: Sequence[bytes] = ()) -> None:
        if any(len(key) != KEY_SIZE for key in keys):
            raise ValueError(f"a key has {KEY_SIZE} bytes")
        self._boxes = {_id(key): AESGCM(key) for key in keys}

    def __repr__(self) -> str:
        """Name the keys, current first, and show none."""
        return f"Sealer({', '.join(self.key_ids)})"

    @property
    def key_ids(self) -> tuple[str, ...]:
        """The ids of the keys, current first; empty when locked."""
        return tuple(key.hex() for key in self._boxes)

    @property
    def current(self) -> str:
        """The id of the key that seals; refused with `vault_locked`."""
        return self.header[len(VERSION) :].hex()

    @property
    def locked(self) -> bool:
        """Whether there is no key at all."""
        return not self._boxes

    def seal(self, plain: bytes, about: str) -> bytes:
        """Return `plain` sealed under the current key, 33 bytes longer; refused with `vault_locked`."""
        header, nonce = self.header, secrets.token_bytes(_NONCE_SIZE)
        box = self._boxes[header[len(VERSION) :]]
        return header + nonce + box.encrypt(nonce, plain, header + about.encode())

    def open(self, sealed: bytes, about: str) -> bytes:
        """Return what was sealed about the same thing.

        Refused with `vault_locked`, `sealed_by_unknown_key` (a key that was retired too soon), or
        `seal_broken` (changed bytes, other `about`, unknown format).
        """
        if not self._boxes:
            raise VaultLocked
        least = _HEADER_SIZE + _NONCE_SIZE + _TAG_SIZE
        if len(sealed) < least or not sealed.startswith(VERSION):
            raise SealBroken(about)
        header, nonce = sealed[:_HEADER_SIZE], sealed[_HEADER_SIZE:][:_NONCE_SIZE]
        box = self._boxes.get(header[len(VERSION) :])
        if box is None:
            raise SealedByUnknownKey(header[len(VERSION) :].hex())
        try:
            return box.decrypt(
                nonce, sealed[_HEADER_SIZE + _NONCE_SIZE :], header + about.encode()
            )
        except InvalidTag:
            raise SealBroken(about) from None

    @property
    def header(self) -> bytes:
        """How what the current key seals begins: a rotation passes by what begins so.

        Refused with `vault_locked`.
        """
        if not self._boxes:
            raise VaultLocked
        return VERSION + next(iter(self._boxes))
