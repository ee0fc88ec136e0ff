"""Short secrets that people copy from paper: drawn, printed in groups, read back kindly.

>>> code = draw()
>>> len(code), normalised(grouped(code).lower()) == code
(12, True)
>>> normalised("oOiI lL-00 11")
'0011110011'
"""

import secrets
from hashlib import sha256

# Crockford's 32: no I, L, O, U. Twelve of them are 60 bits.
ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
LENGTH = 12
_READ_AS = str.maketrans({"O": "0", "I": "1", "L": "1"})


def draw() -> str:
    """Return a new code, 60 random bits."""
    return "".join(secrets.choice(ALPHABET) for _ in range(LENGTH))


def grouped(code: str) -> str:
    """Return a code as it is printed: XXXX-XXXX-XXXX."""
    return "-".join(code[i : i + 4] for i in range(0, len(code), 4))


def normalised(typed: str) -> str:
    """Return what was meant, whatever the case, the spaces, and the letters that look like digits."""
    return "".join(c for c in typed.upper() if c.isalnum()).translate(_READ_AS)


def digest(code: str) -> bytes:
    """Return what is stored of a code: 60 random bits are not guessed back from it."""
    return sha256(b"passnum code" + normalised(code).encode()).digest()
