"""Private keys at rest: sealed under a secret that comes from the environment and is never stored.

sealed = "PNK1" || salt (16) || nonce (12) || AES-256-GCM(key, private key)
key    = scrypt(secret of the environment, salt, n = 2^15, r = 8, p = 1)
the additional data names the purpose and the key id, so a blob cannot be moved
"""

import secrets
from dataclasses import dataclass
from functools import lru_cache

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from ledger.refusal import Refusal

MAGIC = b"PNK1"
SECRET_MIN = 12


@dataclass(eq=False)
class KeysLocked(Refusal):
    """The secret that seals the private keys is missing or is not the right one."""

    code = "keys_locked"

    reason: str


def seal(private: bytes, secret: bytes, purpose: str, key_id: int) -> bytes:
    """Return a private key sealed under the secret of the environment."""
    salt, nonce = _salt(secret), secrets.token_bytes(12)
    box = AESGCM(_stretch(secret, salt)).encrypt(nonce, private, _label(purpose, key_id))
    return MAGIC + salt + nonce + box


def unseal(sealed: bytes, secret: bytes, purpose: str, key_id: int) -> bytes:
    """Return a private key, or raise `KeysLocked` if the secret is not the one that sealed it."""
    if sealed[:4] != MAGIC:
        raise KeysLocked("unknown_format")
    salt, nonce, box = sealed[4:20], sealed[20:32], sealed[32:]
    try:
        return AESGCM(_stretch(secret, salt)).decrypt(nonce, box, _label(purpose, key_id))
    except InvalidTag:
        raise KeysLocked("wrong_secret") from None


@lru_cache(maxsize=256)
def _salt(secret: bytes) -> bytes:
    """Return the salt of all that this process seals under a secret, which is then stretched once."""
    del secret  # it chooses the salt, and says nothing of it
    return secrets.token_bytes(16)


@lru_cache(maxsize=256)
def _stretch(secret: bytes, salt: bytes) -> bytes:
    return Scrypt(salt=salt, length=32, n=2**15, r=8, p=1).derive(secret)


def _label(purpose: str, key_id: int) -> bytes:
    return f"passnum {purpose} {key_id}".encode()
