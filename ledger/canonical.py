"""The one way a fact becomes bytes: canonical JSON (RFC 8785), one line, readable by a person.

What is hashed is stored, and never serialised again, so a later change of library or of
format cannot change an old leaf.  We write integers, strings, booleans, nulls, lists and
objects with ASCII keys; never a float, for which RFC 8785 has rules that we do not need.

    >>> encode({"b": [1, None], "a": "é"}).decode()
    '{"a":"é","b":[1,null]}'
"""

from hashlib import sha256
from typing import Any

import msgspec

_encoder = msgspec.json.Encoder(order="deterministic")


def encode(value: object) -> bytes:
    """Return the canonical bytes; keys of mappings are sorted, fields of a Struct as declared.

    A Struct that is hashed declares its fields in alphabetical order.
    """
    return _encoder.encode(value)


def decode(data: bytes) -> Any:  # noqa: ANN401 - it is JSON
    """Read canonical bytes back as plain Python values."""
    return msgspec.json.decode(data)


def digest(value: object) -> bytes:
    """Return the SHA-256 of the canonical bytes: 32 bytes."""
    return sha256(_encoder.encode(value)).digest()
