"""The secret code printed under the QR code, for whoever has no camera.

    23 7K3M 9PQR T2VW X

    23               the département, which routes the request and is not secret
    7K3M 9PQR T2VW   60 bits in Crockford's base 32, which has no I, L, O or U
    X                the check symbol

The 60 bits come from a key and the serial, so they are stored nowhere: whoever has the
key can print a lost code again, and nobody else can guess one.  The ledger finds a pass
by `lookup_digest`, keyed as well, because 60 bits behind a plain hash could be tried.

The check symbol makes the sum of all thirteen symbols, each times its own power of a
primitive element of GF(32), zero.  Weights that are not zero catch every wrong symbol;
weights that all differ catch every exchange of two symbols, neighbours or not.  The
département is outside the sum: a code typed without it is complete.

A good check symbol proves careful typing and nothing else.  A code is worth its pass: it
travels in the body of a request, never in an address, and works online only.

    >>> code = derive(bytes(32), Serial("23", 4217, 3))
    >>> display("23", code)
    '23 T8CW AN8W NBEA 3'
    >>> normalise(display("23", code).lower()) == ("23", code)
    True
"""

import hmac
from dataclasses import dataclass
from typing import Literal

from issuance.serials import DEPARTEMENT, Serial
from ledger.refusal import Refusal

SYMBOLS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

_VALUES = {symbol: value for value, symbol in enumerate(SYMBOLS)}
_DRAWN = 12
_LENGTH = _DRAWN + 1

# Sixteen symbols with something between each: far below a token's 191 digits.
_TYPED_MAX = 40

# One label per use of the key; a change of either recipe takes the next number.
_DERIVE = b"passnum code 1\0"
_LOOKUP = b"passnum lookup 1\0"

# Only ASCII letters fold: "ı" and "ſ" are not slips of anybody's keyboard.  Spaces and
# dashes are those that word processors put in the place of ours.
_FOLD: dict[int, str | None] = {
    **{ord(symbol.lower()): symbol for symbol in SYMBOLS},
    **dict.fromkeys(map(ord, "Oo"), "0"),
    **dict.fromkeys(map(ord, "IiLl"), "1"),
    **dict.fromkeys(map(ord, " \t\r\n\u00a0\u202f.-\u2010\u2011\u2013\u2014")),
}


@dataclass(eq=False)
class MistypedCode(Refusal):
    """The typed code cannot be one of ours: nothing was looked up, nothing was spent.

    The code itself is left out, since a refusal may be logged and a code one symbol away
    from the right one is nearly the right one.
    """

    code = "mistyped_code"

    part: Literal["symbols", "length", "departement", "check"]


def derive(code_key: bytes, serial: Serial) -> str:
    """Return the thirteen symbols of this pass, the same each time for the same key."""
    mac = hmac.digest(code_key, _DERIVE + str(serial).encode(), "sha256")
    bits = int.from_bytes(mac[:8], "big") >> 4
    drawn = "".join(SYMBOLS[bits >> 5 * place & 31] for place in reversed(range(_DRAWN)))
    return drawn + SYMBOLS[_times_alpha(_weighted_sum(drawn))]


def display(departement: str, code: str) -> str:
    """Return the code as printed: led by its département, in groups of four."""
    return " ".join((departement, code[:4], code[4:8], code[8:12], code[12:]))


def normalise(typed: str) -> tuple[str | None, str]:
    """Return the département, if it was typed, and the thirteen symbols.

    Forgives case, spaces, dashes, dots, and O, I or L for the digits they look like.  The
    count alone tells what was typed: 13 symbols have no département, 15 one of two
    characters, 16 one of three.
    """
    symbols = typed.translate(_FOLD)
    if not _VALUES.keys() >= set(symbols):
        raise MistypedCode("symbols")
    departement, code = symbols[:-_LENGTH], symbols[-_LENGTH:]
    if len(symbols) not in {_LENGTH, _LENGTH + 2, _LENGTH + 3}:
        raise MistypedCode("length")
    if departement and not DEPARTEMENT.fullmatch(departement):
        raise MistypedCode("departement")
    if _weighted_sum(code) != 0:
        raise MistypedCode("check")
    return departement or None, code


def looks_like_code(text: str) -> bool:
    """Tell which reader to give this to: `normalise`, or the one of tokens.

    Says nothing of whether that reader will accept it.
    """
    return len(text) <= _TYPED_MAX and "/" not in text


def lookup_digest(code_key: bytes, code: str) -> bytes:
    """Return what may be stored to find a pass by the code that `normalise` returned.

    Without the key, a copy of the database cannot be used to try codes.
    """
    return hmac.digest(code_key, _LOOKUP + code.encode(), "sha256")


def _weighted_sum(symbols: str) -> int:
    """Sum symbols in GF(32), the last times 1, the one before times alpha, and so on."""
    total = 0
    for symbol in symbols:
        total = _times_alpha(total) ^ _VALUES[symbol]
    return total


def _times_alpha(element: int) -> int:
    """Multiply by a root of x^5 + x^2 + 1, whose first 31 powers all differ."""
    doubled = element << 1
    return doubled ^ 0b100101 if doubled & 0b100000 else doubled
