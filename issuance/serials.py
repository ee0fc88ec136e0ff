"""The public number of a pass: département, carnet, rank, as in ``23-004217-3``.

People say it on the telephone and read it in exports, so it has exactly one spelling.
It is public: knowing a serial gives no right to the pass.

    >>> str(Serial("23", 4217, 3))
    '23-004217-3'
    >>> Serial.parse("2A-1234567-10")
    Serial(departement='2A', carnet=1234567, rank=10)
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from typing import NamedTuple

from ledger.refusal import Refusal

# Two characters, or three that do not begin with 0: read in base 36, no two codes are
# then the same number, which is what lets a token hold one in two bytes.
DEPARTEMENT = re.compile(r"[0-9A-Z]{2}|[1-9A-Z][0-9A-Z]{2}")

# What the token has room for: four bytes, and one.
CARNET_MAX = 2**32 - 1
RANK_MAX = 2**8 - 1

_PRINTED = re.compile(
    rf"({DEPARTEMENT.pattern})-([0-9]{{6}}|[1-9][0-9]{{6,9}})-(0|[1-9][0-9]{{0,2}})"
)


@dataclass(eq=False)
class MalformedSerial(Refusal):
    """The text is not a serial as we print them.

    The text is left out: people also type secret codes where a serial is asked, and a
    refusal may be logged.
    """

    code = "malformed_serial"


class Serial(NamedTuple):
    """Which pass this is; sorts by département, then carnet, then rank."""

    departement: str
    carnet: int
    rank: int

    def __str__(self) -> str:
        return f"{self.departement}-{self.carnet:06d}-{self.rank}"

    @classmethod
    def parse(cls, text: str) -> "Serial":
        """Read back what `str` printed; `MalformedSerial` for any other spelling.

        Only lower case and surrounding spaces are forgiven.  A carnet's zeros are not:
        with one left out, a typing error would be somebody else's pass.
        """
        printed = _PRINTED.fullmatch(text.strip().upper()) if text.isascii() else None
        if printed is None:
            raise MalformedSerial
        serial = cls(printed[1], int(printed[2]), int(printed[3]))
        if serial.carnet > CARNET_MAX or serial.rank > RANK_MAX:
            raise MalformedSerial
        return serial


def serials_hash(serials: Iterable[str]) -> str:
    """Return what an entry keeps of a list of serials: SHA-256 of one serial a line, in hex."""
    return sha256("".join(f"{serial}\n" for serial in serials).encode()).hexdigest()
