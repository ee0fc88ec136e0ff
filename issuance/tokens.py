"""The text inside a pass's QR code, and how to trust it without a network.

A token is 79 bytes, big-endian, in this order:

    version       1   the format, here 1
    key id        1   which of the département's public keys signed
    département   2   its INSEE code read in base 36
    tranche       2   number of the tranche within the département, as printed
    carnet        4   number of the carnet within the département
    rank          1   place of the pass in the carnet
    face value    2   cents
    use-by        2   days since 2020-01-01, as printed
    signature    64   Ed25519 over the 15 bytes before it

On paper it is the path of a web address, upper case for the compact alphabet of QR
codes, then the 79 bytes as one number in decimal, always 191 digits, zeros in front:

    HTTPS://<HOST>/V/<191 digits>

The host is the département's own domain, of at most 25 characters, so that the whole
fits a version 6 QR code at error level M.  Readers look only at the digits: a domain
may change while the paper stays in a drawer.

A département below 1296 (36 squared) has two characters and any other has three: ``01``
is 1, ``2A`` is 82, ``971`` is 11917, and each number has one spelling.

A valid signature proves that the holder of the key issued this pass, with this value.
It does not prove that the pass is unspent, nor handed out, nor still in date: the
printed use-by is what the paper says, and a later decision of the département prevails.
Only the ledger, online, knows.  A phone therefore says *kept* offline and *accepted*
online, and never the one word for the other.  It proves nothing about the bearer: a
copy of the QR code is as good as the original, and the first one spent wins.

The token is what makes the paper worth something.  Keep its `digest`, never the token,
and keep the address out of logs.

Keys are added and never removed, because paper outlives keys.  One that was stolen is
revoked, and its tokens prove nothing any more: they are the same bytes whoever signs.  Specimens are signed by a
key that verifiers of real passes do not hold.  A format that this module could not read
takes the next version; readers refuse a version that they do not know before they look
at anything else.  Nothing here touches a clock, a database or a network.

    >>> key = Ed25519PrivateKey.from_private_bytes(bytes(32))
    >>> face = Face(
    ...     key_id=1, departement="23", tranche=4, carnet=4217, rank=3,
    ...     face_cents=1000, use_by=date(2027, 12, 31),
    ... )
    >>> token = sign(face, key)
    >>> len(token), token[:15].hex(" ")
    (79, '01 01 00 4b 00 04 00 00 10 79 03 03 e8 0b 69')
    >>> url = to_url("pass.creuse.fr", token)
    >>> url[:36], len(url)
    ('HTTPS://PASS.CREUSE.FR/V/00069889572', 216)
    >>> from_text(url.lower()) == from_text(url[-191:]) == token
    True
    >>> str(verify(token, {1: key.public_key()}).serial)
    '23-004217-3'
    >>> verify(token[:-1] + bytes(1), {1: key.public_key()})
    Traceback (most recent call last):
    issuance.tokens.ForgedToken: forged {'part': 'signature'}
"""

import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from functools import cache
from hashlib import sha256
from typing import Literal

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)

from issuance.serials import DEPARTEMENT, Serial
from ledger.refusal import Refusal

VERSION = 1

SIGNED = struct.Struct(">BBHHIBHH")
TOKEN_BYTES = SIGNED.size + 64

# 2 ** (8 * 79) has 191 digits, so every token does, zeros included.
DIGITS = 191

# With "HTTPS://" and "/V/", what a version 6 QR code at level M has left.
HOST_MAX = 25

_BASE_36 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_DAY_ZERO = date(2020, 1, 1).toordinal()

# In ASCII only: elsewhere "ſ" is an "s" without case, and "٣" is a digit.
_ADDRESS = r"\s*(?:https://[a-z0-9.:-]{1,255}/v/)?"
_PRINTED = re.compile(rf"{_ADDRESS}([0-9]{{{DIGITS}}})\s*", re.ASCII | re.IGNORECASE)
_ANY_LENGTH = re.compile(rf"{_ADDRESS}[0-9]*\s*", re.ASCII | re.IGNORECASE)


@dataclass(eq=False)
class ForgedToken(Refusal):
    """What was scanned is not a pass of ours, or no longer in one piece.

    `part` is the first thing found wrong, in the order of reading.
    """

    code = "forged"

    part: Literal["digits", "length", "version", "departement", "key", "signature"]


@dataclass(eq=False)
class HostTooLong(Refusal):
    """The domain leaves no room in the QR code for the token."""

    code = "host_too_long"

    host: str
    longest: int = HOST_MAX


@dataclass(eq=False)
class HostNotPrintable(Refusal):
    """The domain is empty, or has characters other than A-Z, 0-9, dash and dot.

    Those are all that the compact alphabet of QR codes and a domain have in common: an
    accented domain is printed in its ``XN--`` form, and a port cannot be.
    """

    code = "host_not_printable"

    host: str
    characters: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Face:
    """What the paper says of itself; believe it only when it comes from `verify`.

    Numbers are bounded by their bytes when signed, not here: at most 255 for `key_id` and
    `rank`, 65,535 for `tranche` and `face_cents` (655.35 €), the end of June 2199 for
    `use_by`.
    """

    version: int = VERSION
    key_id: int
    departement: str
    tranche: int
    carnet: int
    rank: int
    face_cents: int
    use_by: date

    @property
    def serial(self) -> Serial:
        """The public number, the same that is printed under the QR code."""
        return Serial(self.departement, self.carnet, self.rank)


def sign(face: Face, key: Ed25519PrivateKey) -> bytes:
    """Return the token of this face: the same bytes each time, so paper can be reprinted.

    `ValueError` if a field does not fit the format; `key` is trusted to be the one that
    `face.key_id` names.
    """
    signed = _pack(face)
    return signed + key.sign(signed)


def split(token: bytes) -> Face:
    """Read the face WITHOUT verifying it: enough to know whose keys to fetch.

    Refuses a wrong length, an unknown version and a number that is no département's.
    """
    if len(token) != TOKEN_BYTES:
        raise ForgedToken("length")
    if token[0] != VERSION:
        raise ForgedToken("version")
    version, key_id, number, tranche, carnet, rank, face_cents, days = SIGNED.unpack_from(
        token
    )
    return Face(
        version=version,
        key_id=key_id,
        departement=_departement(number),
        tranche=tranche,
        carnet=carnet,
        rank=rank,
        face_cents=face_cents,
        use_by=date.fromordinal(_DAY_ZERO + days),
    )


def verify(token: bytes, public_keys: Mapping[int, Ed25519PublicKey]) -> Face:
    """Return the face that one of these keys signed, else `ForgedToken`.

    `public_keys` are those of the département that `split` names, by key id, old ones
    included.
    """
    face = split(token)
    key = public_keys.get(face.key_id)
    if key is None:
        raise ForgedToken("key")
    try:
        key.verify(token[SIGNED.size :], token[: SIGNED.size])
    except InvalidSignature:
        raise ForgedToken("signature") from None
    return face


def digest(token: bytes) -> bytes:
    """Return what may be stored of a token: its SHA-256, signature included.

    The signature cannot be guessed from the face, so neither can the token from this.
    """
    return sha256(token).digest()


def check_host(host: str) -> None:
    """Raise `HostTooLong` or `HostNotPrintable`; called once, before anything is printed."""
    # Judged before upper case, which would turn "ß" into a printable "SS".
    strange = re.sub(r"[A-Za-z0-9.-]", "", host)
    if strange or not host:
        raise HostNotPrintable(host, strange)
    if len(host) > HOST_MAX:
        raise HostTooLong(host)


def to_url(host: str, token: bytes) -> str:
    """Return the text to print as a QR code, whatever the case of `host`; refusals of `check_host`."""
    check_host(host)
    if len(token) != TOKEN_BYTES:
        raise ForgedToken("length")
    return f"HTTPS://{host.upper()}/V/{int.from_bytes(token, 'big'):0{DIGITS}d}"


def from_text(text: str) -> bytes:
    """Return the token in what a reader read: the whole address or its digits alone.

    Any host and any case will do, and spaces around are forgiven; anything else is a
    `ForgedToken`.  Nothing is verified, not even the version.
    """
    printed = _PRINTED.fullmatch(text)
    if printed is None:
        raise ForgedToken("length" if _ANY_LENGTH.fullmatch(text) else "digits")
    try:
        return int(printed[1]).to_bytes(TOKEN_BYTES, "big")
    except OverflowError:
        raise ForgedToken("length") from None


def _pack(face: Face) -> bytes:
    if face.version != VERSION:
        raise ValueError(f"only version {VERSION} is signed, not {face.version}")
    if not DEPARTEMENT.fullmatch(face.departement):
        raise ValueError(f"{face.departement!r} is not the code of a département")
    try:
        return SIGNED.pack(
            face.version,
            face.key_id,
            int(face.departement, 36),
            face.tranche,
            face.carnet,
            face.rank,
            face.face_cents,
            face.use_by.toordinal() - _DAY_ZERO,
        )
    except struct.error as misfit:
        raise ValueError(f"{face} does not fit a token: {misfit}") from misfit


@cache  # two bytes: never more than 46,656 answers
def _departement(number: int) -> str:
    tens, units = divmod(number, 36)
    hundreds, tens = divmod(tens, 36)
    if hundreds >= 36:
        raise ForgedToken("departement")
    return (_BASE_36[hundreds] if hundreds else "") + _BASE_36[tens] + _BASE_36[units]
