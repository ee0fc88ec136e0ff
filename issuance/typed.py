"""What people put in the field for a carnet: its number, one of its passes, or what a scanner types.

    4217                       the number on the cover; zeros before it, spaces and « n° » are forgiven
    23-004217  23-004217-3     the number as printed on the cover, or beneath a pass
    23 T8CW AN8W NBEA 3        the secret code beneath a QR code
    HTTPS://HOST/V/ 191 digits the text of a QR code

A scanner on a cable is a keyboard: it presses keys of the American layout, and a computer set to
French reads other signs there, `'é&è` for 4217.  What makes no sense as it stands is read a second
time with those signs put back.  The keys of a Mac and of a Belgian computer differ in two signs,
which only the digits of a QR code can be told by: nothing else stands there.

Nothing is believed here: a QR code or a secret code goes on to `redemption.recognition`, which asks
the ledger.  What was read is never shown again nor put in an address: it is worth its passes.

    >>> read("23", "'é&è")
    Typed(carnet=4217, rank=None, secret=None)
    >>> read("23", "23-004217-3")
    Typed(carnet=4217, rank=3, secret=None)
    >>> read("23", "19-004217-3")
    Traceback (most recent call last):
    issuance.typed.CarnetElsewhere: carnet_elsewhere {'departement': '19'}
"""

import re
from dataclasses import dataclass
from typing import NamedTuple

from issuance import codes, tokens
from issuance.serials import MalformedSerial, Serial
from ledger.refusal import Refusal


@dataclass(eq=False)
class CarnetUnreadable(Refusal):
    """No number, code or QR code of ours; what was typed is left out, for it may be nearly one."""

    code = "carnet_unreadable"


@dataclass(eq=False)
class CarnetElsewhere(Refusal):
    """The number is one of another département's."""

    code = "carnet_elsewhere"

    departement: str


class Typed(NamedTuple):
    """A carnet, the pass of it that was named, or a secret that says which."""

    carnet: int | None = None
    rank: int | None = None
    # What `redemption.recognition.recognise` reads: the text of a QR code, or a typed code.
    secret: str | None = None


# Longer than any of it: the digits of a QR code, and the address before them.
LONGEST = 600

_SPACES = r"[ \t\u00a0\u202f]"
_NUMBER = re.compile(
    rf"(?:carnet)?{_SPACES}*(?:n{_SPACES}*[°ºo]\.?)?{_SPACES}*([0-9](?:{_SPACES}?[0-9]){{0,9}})",
    re.IGNORECASE,
)
_DASHES = str.maketrans("\u2010\u2011\u2012\u2013\u2014\u2212", "------")

# The keys of the American digits, as French computers read them: Windows and Linux, then what a
# Mac or a Belgian keyboard has in the place of "-" and "_".  Capitals are those of a locked keyboard.
_DIGIT_KEYS = {
    **dict(zip("&é\"'(-è_çà", "1234567890", strict=True)),
    **dict(zip("ÉÈÇÀ", "2790", strict=True)),
}
_DIGITS = str.maketrans({**_DIGIT_KEYS, "§": "6", "!": "8"})
_KEYS = str.maketrans(
    {
        **_DIGIT_KEYS,
        ")": "-",
        **dict(zip("aqzwAQZW", "qawzQAWZ", strict=True)),
        ",": "m",
        "?": "M",
    }
)
# What stands before the digits of a QR code, whatever became of its signs.
_ADDRESS = re.compile(r"https.{3,258}v.", re.IGNORECASE | re.DOTALL)


def read(departement: str, text: str) -> Typed:
    """Return what a text names in this département.

    Refused with `carnet_unreadable`, or `carnet_elsewhere` for a number of another département.
    """
    text = text.strip()
    found = None
    if len(text) <= LONGEST:
        found = _as_it_stands(departement, text) or _by_keys(departement, text)
    if found is None:
        raise CarnetUnreadable
    return found


def keys_put_back(text: str) -> str:
    """Return what an American scanner meant where a French keyboard made of it a text without a digit."""
    return text if any("0" <= sign <= "9" for sign in text) else text.translate(_KEYS)


def plain_number(text: str) -> int | None:
    """Return the number of a carnet that a text is, and nothing besides but what is forgiven; None for others."""
    found = _NUMBER.fullmatch(text.strip())
    return None if found is None else int("".join(found[1].split()))


def _as_it_stands(departement: str, text: str) -> Typed | None:
    try:
        token = tokens.from_text(text)
    except tokens.ForgedToken:
        pass
    else:
        return Typed(secret=f"{int.from_bytes(token, 'big'):0{tokens.DIGITS}d}")
    if (number := plain_number(text)) is not None:
        return Typed(carnet=number)
    dashed = "".join(text.translate(_DASHES).split())
    try:
        named = Serial.parse(dashed if dashed.count("-") > 1 else f"{dashed}-0")
    except MalformedSerial:
        return _code(text)
    if named.departement != departement:
        raise CarnetElsewhere(named.departement)
    return Typed(named.carnet, named.rank or None)


def _code(text: str) -> Typed | None:
    if not codes.looks_like_code(text):
        return None
    try:
        codes.normalise(text)
    except codes.MistypedCode:
        return None
    return Typed(secret=text)


def _by_keys(departement: str, text: str) -> Typed | None:
    """Read a text whose digits came out as the French signs of their keys: then none is a digit."""
    if any("0" <= sign <= "9" for sign in text):
        return None
    address, end = text[: -tokens.DIGITS], text[-tokens.DIGITS :]
    if not address or _ADDRESS.fullmatch(address):
        digits = end.translate(_DIGITS)
        if digits.isascii() and digits.isdigit() and len(digits) == tokens.DIGITS:
            return _as_it_stands(departement, digits)
    return _as_it_stands(departement, text.translate(_KEYS))
