r"""Signed notes (C2SP signed-note): text that one or more keys have signed, readable by a person.

    the text, which ends with a newline
    (an empty line)
    — key name base64(key id (4) || signature)

    key id   SHA-256(key name || 0x0A || kind || public key)[:4]
    kind     0x01: Ed25519 over the text
             0x04: a cosignature (C2SP tlog-cosignature): the instant in seconds (8), then Ed25519 over
                   "cosignature/v1\ntime <seconds>\n" and the text
    vkey     key name + hex key id + base64(kind || public key): how a public key is handed over

A key is known by its name and its id together; lines of unknown keys are ignored, so that a key
can be changed and witnesses can be added.  A known key whose signature is wrong spoils the note.

Nothing here touches a clock, a database or a network.
"""

import base64
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)

SIGNATURE, COSIGNATURE = 0x01, 0x04
MOST_SIGNATURES = 64
MOST_BYTES = 1 << 20
_ID_SIZE, _TIME_SIZE, _SIGNATURE_SIZE = 4, 8, 64
_LINE = re.compile(r"— (?P<name>[^\s+]+) (?P<signature>[A-Za-z0-9+/]+={0,2})")
_VKEY = re.compile(r"(?P<name>[^\s+]+)\+(?P<id>[0-9a-f]{8})\+(?P<key>[A-Za-z0-9+/]+={0,2})")


class NoteError(ValueError):
    """A note, or a key, that is not as it must be; the text of a note is then to be ignored."""


@dataclass(frozen=True)
class Key:
    """A public key that signs notes under a name, and what kind of signature it makes."""

    name: str
    kind: int
    public: bytes

    @property
    def id(self) -> bytes:
        """The four bytes that name it in a signature line."""
        told = self.name.encode() + b"\n" + bytes([self.kind]) + self.public
        return sha256(told).digest()[:_ID_SIZE]

    @property
    def vkey(self) -> str:
        """The text by which it is handed over."""
        key = base64.b64encode(bytes([self.kind]) + self.public).decode()
        return f"{self.name}+{self.id.hex()}+{key}"


class Line(NamedTuple):
    """A signature line, not verified."""

    name: str
    id: bytes
    signature: bytes

    def __str__(self) -> str:
        """Return the line as it is written, without its newline."""
        return f"— {self.name} {base64.b64encode(self.id + self.signature).decode()}"


class Note(NamedTuple):
    """A note taken apart, not verified: `verify` says whose signatures are good."""

    text: str
    lines: tuple[Line, ...]

    def __str__(self) -> str:
        """Return the note as it is written."""
        return self.text + "\n" + "".join(f"{line}\n" for line in self.lines)


class Signed(NamedTuple):
    """Who signed, and when as they say: seconds since 1970 in UTC, None where the kind does not tell."""

    key: Key
    seconds: int | None


def read_key(vkey: str) -> Key:
    """Read a public key as it was handed over, or raise `NoteError`."""
    told = _VKEY.fullmatch(vkey.strip())
    if told is None:
        raise NoteError("this is not a public key of a note: name+id+key")
    raw = _unbase64(told["key"])
    if raw[:1] not in {b"\x01", b"\x04"} or len(raw) != 33:
        raise NoteError(f"{told['name']}: only Ed25519 keys are known")
    key = Key(told["name"], raw[0], raw[1:])
    if key.id.hex() != told["id"]:
        raise NoteError(f"{told['name']}: its id is {key.id.hex()}, not {told['id']}")
    return key


def public_key(name: str, private: Ed25519PrivateKey, kind: int = SIGNATURE) -> Key:
    """Return what others verify by; refuses a name with a space or a plus, which a line cannot hold."""
    if not re.fullmatch(r"[^\s+]+", name):
        raise NoteError("the name of a key holds neither space nor plus")
    return Key(name, kind, private.public_key().public_bytes_raw())


def read(told: str) -> Note:
    """Take a note apart, or raise `NoteError`; believe nothing of it before `verify`."""
    if len(told.encode()) > MOST_BYTES:
        raise NoteError("the note is too long")
    if any(c < " " and c != "\n" for c in told):
        raise NoteError("the note holds a control character")
    text, empty, signatures = told.rpartition("\n\n")
    if not empty or not signatures.endswith("\n"):
        raise NoteError("the note has no signature")
    lines = [_line(line) for line in signatures[:-1].split("\n")]
    if len(lines) > MOST_SIGNATURES:
        raise NoteError("the note has too many signatures")
    return Note(text + "\n", tuple(lines))


def sign(text: str, name: str, private: Ed25519PrivateKey) -> Line:
    """Sign a text that ends with a newline."""
    return Line(name, public_key(name, private).id, private.sign(text.encode()))


def cosign(text: str, name: str, private: Ed25519PrivateKey, *, seconds: int) -> Line:
    """Sign, as a witness, the text of a checkpoint that was found consistent at this time."""
    signed = private.sign(_cosigned(text, seconds))
    key = public_key(name, private, COSIGNATURE)
    return Line(name, key.id, seconds.to_bytes(_TIME_SIZE) + signed)


def verify(note: Note, keys: Iterable[Key]) -> list[Signed]:
    """Return who among these keys signed the note, or raise `NoteError` if none did, or one did badly."""
    known = {(key.name, key.id): key for key in keys}
    good: dict[Key, Signed] = {}
    for line in note.lines:
        key = known.get((line.name, line.id))
        if key is not None:
            good.setdefault(key, _verified(note.text, line, key))
    if not good:
        raise NoteError("none of the expected keys signed this")
    return list(good.values())


def _verified(text: str, line: Line, key: Key) -> Signed:
    signed, signature, seconds = text.encode(), line.signature, None
    if key.kind == COSIGNATURE:
        seconds = int.from_bytes(signature[:_TIME_SIZE])
        signed, signature = _cosigned(text, seconds), signature[_TIME_SIZE:]
    if len(signature) != _SIGNATURE_SIZE:
        raise NoteError(f"the signature of {line.name} is not as long as it must be")
    try:
        Ed25519PublicKey.from_public_bytes(key.public).verify(signature, signed)
    except InvalidSignature:
        raise NoteError(f"the signature of {line.name} is wrong") from None
    return Signed(key, seconds)


def _cosigned(text: str, seconds: int) -> bytes:
    return f"cosignature/v1\ntime {seconds}\n{text}".encode()


def _line(line: str) -> Line:
    told = _LINE.fullmatch(line)
    if told is None:
        raise NoteError("a signature line is not: dash, name, signature")
    raw = _unbase64(told["signature"])
    if len(raw) <= _ID_SIZE:
        raise NoteError("a signature line holds no signature")
    return Line(told["name"], raw[:_ID_SIZE], raw[_ID_SIZE:])


def _unbase64(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:  # what is no ASCII is not even a `binascii.Error`
        raise NoteError("this is not base64") from None


class Checkpoint(NamedTuple):
    """What a log says of itself (C2SP tlog-checkpoint): its name, how many leaves, and their root."""

    origin: str
    size: int
    root: bytes

    @property
    def text(self) -> str:
        """The text that is signed."""
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"


def read_checkpoint(text: str) -> Checkpoint:
    """Read the text of a checkpoint, or raise `NoteError`; lines after the third are not for us."""
    lines: Sequence[str] = text.split("\n")
    if len(lines) < 4 or not all(lines[:-1]) or lines[-1]:
        raise NoteError("a checkpoint has three lines: origin, size, root")
    origin, size, root = lines[:3]
    if not re.fullmatch(r"0|[1-9][0-9]{0,18}", size, re.ASCII):
        raise NoteError("the size of a checkpoint is a number")
    hashed = _unbase64(root)
    if len(hashed) != 32:
        raise NoteError("the root of a checkpoint has 32 bytes")
    return Checkpoint(origin, int(size), hashed)
