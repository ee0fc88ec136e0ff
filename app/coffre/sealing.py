r"""A file for one reader's eyes: sealed to their public key, in pieces, so that any length fits.

    file    "PNT1" || our public key (32) || piece || piece || … || last piece
    piece   AES-256-GCM of up to 64 KiB under a key of this file alone
    key     HKDF-SHA-256(X25519(our key, theirs), salt = both public keys, info = "passnum transfer 1")
    nonce   the number of the piece (11 bytes), then 1 for the last one, 0 for the others

A piece that is missing, moved or changed does not open; a file that was cut off has no last piece.
"""

import base64
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import (
    X25519PrivateKey,
    X25519PublicKey,
)
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from ledger.refusal import Refusal

MAGIC = b"PNT1"
PIECE, TAG = 1 << 16, 16


@dataclass(eq=False)
class TransferWrong(Refusal):
    """The transfer file does not open with this key, was cut off or changed, or is no such file."""

    code = "transfer_wrong"


@dataclass(eq=False)
class TransferKeyWrong(Refusal):
    """This is not the key of a new operator: 32 bytes in base64."""

    code = "transfer_key_wrong"


def new_key(path: Path) -> str:
    """Write a new private key to a file that is not there yet, for its owner alone; return the public one."""
    private = X25519PrivateKey.generate()
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="ascii") as file:
        file.write(base64.b64encode(private.private_bytes_raw()).decode() + "\n")
    return base64.b64encode(private.public_key().public_bytes_raw()).decode()


def read_private(path: Path) -> X25519PrivateKey:
    """Read what `new_key` wrote, or raise `TransferKeyWrong`."""
    try:
        text = path.read_text(encoding="ascii")
    except ValueError:
        raise TransferKeyWrong from None
    return X25519PrivateKey.from_private_bytes(_raw(text))


def read_public(text: str) -> X25519PublicKey:
    """Read a public key as it was handed over, or raise `TransferKeyWrong`."""
    return X25519PublicKey.from_public_bytes(_raw(text))


def _raw(text: str) -> bytes:
    try:
        raw = base64.b64decode(text.strip(), validate=True)
    except ValueError:
        raise TransferKeyWrong from None
    if len(raw) != 32:
        raise TransferKeyWrong
    return raw


class Sealing:
    """Writes a sealed file; `close` ends it, without which it does not open."""

    def __init__(self, file: IO[bytes], reader: X25519PublicKey) -> None:
        private = X25519PrivateKey.generate()
        ours = private.public_key().public_bytes_raw()
        self._box = _box(private.exchange(reader), ours, reader.public_bytes_raw())
        self._file, self._waiting, self._count = file, bytearray(), 0
        file.write(MAGIC + ours)

    def write(self, data: bytes) -> None:
        """Add some bytes."""
        self._waiting += data
        while len(self._waiting) > PIECE:
            self._seal(bytes(self._waiting[:PIECE]), last=False)
            del self._waiting[:PIECE]

    def close(self) -> None:
        """Seal what is left as the last piece."""
        self._seal(bytes(self._waiting), last=True)

    def _seal(self, piece: bytes, *, last: bool) -> None:
        self._file.write(self._box.encrypt(_nonce(self._count, last=last), piece, None))
        self._count += 1


def opened(file: IO[bytes], reader: X25519PrivateKey) -> Iterator[bytes]:
    """Yield the pieces of a sealed file, or raise `TransferWrong` where it stops being one."""
    head = file.read(len(MAGIC) + 32)
    if len(head) != len(MAGIC) + 32 or not head.startswith(MAGIC):
        raise TransferWrong
    ours = head[len(MAGIC) :]
    try:
        shared = reader.exchange(X25519PublicKey.from_public_bytes(ours))
    except ValueError:
        raise TransferWrong from None
    box = _box(shared, ours, reader.public_key().public_bytes_raw())
    count, sealed = 0, file.read(PIECE + TAG)
    while True:
        following = file.read(PIECE + TAG)
        try:
            yield box.decrypt(_nonce(count, last=not following), sealed, None)
        except (InvalidTag, ValueError):
            raise TransferWrong from None
        if not following:
            return
        count, sealed = count + 1, following


def _box(shared: bytes, ours: bytes, theirs: bytes) -> AESGCM:
    key = HKDF(SHA256(), 32, salt=ours + theirs, info=b"passnum transfer 1").derive(shared)
    return AESGCM(key)


def _nonce(count: int, *, last: bool) -> bytes:
    return count.to_bytes(11) + bytes([last])
