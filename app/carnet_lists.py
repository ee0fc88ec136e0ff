"""Numbers of carnets as people type, paste or scan them, one or many at a time.

Separated by spaces, commas or new lines: `120`, a range `120-134`, the number on a cover `23-000120`, that of
a pass `23-000120-3`, or what its QR code holds, as a scanner types it.
"""

import re
from dataclasses import dataclass

from issuance.orders import CARNETS_MAX
from issuance.ranges import Ranges, ranges_of
from issuance.serials import CARNET_MAX, MalformedSerial, Serial
from issuance.tokens import ForgedToken, from_text, split
from ledger.refusal import Refusal

_BETWEEN = re.compile(r"\s*[-–—]\s*|\s+(?:à|to)\s+")
_APART = re.compile(r"[\s,;]+")
_SPAN = re.compile(r"([0-9]{1,10})-([0-9]{1,10})")
_COVER = re.compile(r"([0-9][0-9AB]|97[0-9])-([0-9]{6,10})", re.IGNORECASE)


@dataclass(eq=False)
class CarnetsUnreadable(Refusal):
    """Something in the list is no number of a carnet of this département."""

    code = "carnets_unreadable"

    word: str


def read_carnets(departement: str, text: str) -> Ranges:
    """Return the carnets that were typed; raises `CarnetsUnreadable` with the first word that is none.

    `23-120000` is what a cover says, and no range; another département's names none of ours.
    """
    numbers: set[int] = set()
    for word in _APART.split(_BETWEEN.sub("-", text.strip())):
        if word:
            first, last = _ends(departement, word)
            numbers.update(range(first, last + 1))
            if len(numbers) > CARNETS_MAX:
                raise CarnetsUnreadable(word)
    return ranges_of(numbers)


def _ends(departement: str, word: str) -> tuple[int, int]:
    """Return the ends of what one word says."""
    cover, span = _COVER.fullmatch(word), _SPAN.fullmatch(word)
    if word.isascii() and word.isdigit() and len(word) <= len(str(CARNET_MAX)):
        ends = int(word), int(word)
    elif cover is not None:
        if cover[1].upper() != departement:
            raise CarnetsUnreadable(word)
        ends = int(cover[2]), int(cover[2])
    elif span is not None:
        ends = min(int(span[1]), int(span[2])), max(int(span[1]), int(span[2]))
    else:
        number = _scanned(departement, word)
        ends = number, number
    if ends[0] < 1 or ends[1] - ends[0] >= CARNETS_MAX or ends[1] > CARNET_MAX:
        raise CarnetsUnreadable(word[:40])
    return ends


def _scanned(departement: str, word: str) -> int:
    """Return the carnet of a pass, by its number or by what a scanner reads in its QR code.

    Its signature is not looked at: what is counted is paper, and nothing is accepted for it.
    """
    try:
        read = "/" in word or word.isdigit()
        serial = split(from_text(word)).serial if read else Serial.parse(word)
    except (MalformedSerial, ForgedToken):
        raise CarnetsUnreadable(word[:40]) from None
    if serial.departement != departement:
        raise CarnetsUnreadable(word[:40])
    return serial.carnet
