"""The number on a pass of a former operator: not ours to make, ours to recognise.

Such a number is a bearer secret, like our codes, but it was drawn by somebody else: it may be long or
short, or follow the one before it.  So it is stored nowhere and stands in no entry; what is kept is its
`mark`, a digest under the département's code key.  Without that key a copy of the database cannot be
used to try numbers; with another code key the paper is not known any more.

What people and machines do to a number does not change it: case, spaces, dashes and dots are left out,
and so are the zeros in front of figures alone, which spreadsheets take away.

    >>> bare("ab-12 34.c") == bare("AB1234C")
    True
    >>> bare("000 123"), bare("0")
    ('123', '0')
    >>> mark(bytes(32), "000123") == mark(bytes(32), "1-23")
    True

What a QR code of theirs holds is folded and marked in the same way, be it the number or an address.
"""

import hmac
import re

# A number of theirs, folded.
NUMBER = re.compile(r"[0-9A-Z]{1,64}")
# What a QR code of theirs may hold; a longer text is looked for nowhere.
TEXT_MAX = 300

_MARK = b"passnum foreign 1\0"
_FILE = b"passnum foreign file 1\0"

# Only ASCII letters change case; spaces and dashes are those of keyboards and of word processors.
_FOLD: dict[int, str | None] = {
    **{ord(letter): letter.upper() for letter in "abcdefghijklmnopqrstuvwxyz"},
    **dict.fromkeys(map(ord, " \t\r\n\u00a0\u202f.-\u2010\u2011\u2013\u2014")),
}
_FIGURES = re.compile(r"[0-9]+")


def bare(text: str) -> str:
    """Return what of a text makes it the one it is."""
    folded = text.translate(_FOLD)
    return (folded.lstrip("0") or "0") if _FIGURES.fullmatch(folded) else folded


def mark(code_key: bytes, text: str) -> bytes:
    """Return what may be stored to find a pass by its number, or by what its QR code holds."""
    return hmac.digest(code_key, _MARK + bare(text).encode(errors="replace"), "sha256")


def file_mark(code_key: bytes, file_sha256: bytes) -> str:
    """Return what an entry may say of the file of numbers: whoever holds key and file finds it again.

    A plain hash of a short list would let anyone try lists.
    """
    return hmac.digest(code_key, _FILE + file_sha256, "sha256").hex()
