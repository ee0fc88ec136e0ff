"""Numbers of carnets as people type, paste or scan them, one or many at a time.

Separated by spaces, commas or new lines: `120`, a range `120-134` or `120 à 134`, the number on a cover
`23-000120`, that of a pass `23-000120-3`, or what its QR code holds, as a scanner types it.  A carnet of a
former operator is named by its own cover, written without spaces: `C-001`, or `aptic C-001`.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from sqlalchemy.orm import Session

from app.pages.carnet_numbers import SeveralCarnets, one_of
from issuance.foreign_carnets import ForeignCarnet, by_cover, operators
from issuance.orders import CARNETS_MAX
from issuance.ranges import Ranges, ranges_of
from issuance.serials import CARNET_MAX, MalformedSerial, Serial
from issuance.tokens import ForgedToken, from_text, split
from ledger.refusal import Refusal

_DASH = re.compile(r"\s*[-–—]\s*")
_TO = re.compile(r"\s+(?:à|to)\s+|\s*…\s*")
_APART = re.compile(r"[\s,;]+")
_SPAN = re.compile(r"([0-9]{1,10})-([0-9]{1,10})")
_COVER = re.compile(r"([0-9][0-9AB]|97[0-9])-([0-9]{6,10})", re.IGNORECASE)
# Nobody types these: they keep an operator's word with its cover, and the two ends of a range together.
_WITH, _UNTIL = "\0", "\1"

Covers = Mapping[str, Sequence[ForeignCarnet]]


@dataclass(eq=False)
class CarnetsUnreadable(Refusal):
    """Something in the list is no number of a carnet of this département."""

    code = "carnets_unreadable"

    word: str


class _Named(NamedTuple):
    """The carnet that a word names; the order it was taken over with, unless it is one of ours."""

    number: int
    order: int | None = None


def read_carnets(session: Session, departement: str, text: str) -> Ranges:
    """Return the carnets that were typed, by our numbers; raises `CarnetsUnreadable` with the first word that is none.

    `23-120000` is what a cover says, and no range; another département's names none of ours.  What one of
    ours and a former operator's bear, or what is a range and a cover, raises `SeveralCarnets`: nothing is guessed.
    """
    words = _words(session, text)
    covers = by_cover(session, {part for word in words for part in _parts(word)})
    numbers: set[int] = set()
    for word in words:
        first, last = _ends(session, departement, word, covers)
        numbers.update(range(first, last + 1))
        if len(numbers) > CARNETS_MAX:
            raise CarnetsUnreadable(_shown(word))
    return ranges_of(numbers)


def _words(session: Session, text: str) -> list[str]:
    """Return what is between separators, an operator's word and its cover as one."""
    known = operators(session)
    if known:
        some = "|".join(map(re.escape, sorted(known)))
        beside = re.compile(rf"(?<![^\s,;])({some})\s+(?=[^\s,;])", re.IGNORECASE)
        text = beside.sub(rf"\1{_WITH}", text)
    joined = _TO.sub(_UNTIL, _DASH.sub("-", text.strip()))
    return [word.replace(_WITH, " ") for word in _APART.split(joined) if word]


def _parts(word: str) -> Iterable[str]:
    """Return what of a word may be a cover; a QR code of ours is none."""
    if "/" not in word and len(word) <= 100:
        span = _SPAN.fullmatch(word)
        yield from word.split(_UNTIL)
        yield from span.groups() if span else ()


def _ends(session: Session, departement: str, word: str, covers: Covers) -> tuple[int, int]:
    """Return the ends of what one word says."""
    cover, span = _COVER.fullmatch(word), _SPAN.fullmatch(word)
    typed = word.split(_UNTIL)
    if span is not None and cover is None:
        typed = [span[1], span[2]]
        if theirs := covers.get(word):
            names = [f"{c.operator} {c.label}" for c in theirs]
            raise SeveralCarnets((*names, f"{span[1]} à {span[2]}"))
    if len(typed) > 2:
        raise CarnetsUnreadable(_shown(word))
    ends = [_named(session, departement, part, covers) for part in typed]
    first, last = ends[0], ends[-1]
    # A cover that was mistyped looks like a range that goes down; one of theirs ends where it began.
    backwards = first.number > last.number and (first.order is not None or span is not None)
    if backwards or first.order != last.order:
        raise CarnetsUnreadable(_shown(word))
    low, high = sorted((first.number, last.number))
    if low < 1 or high - low >= CARNETS_MAX or high > CARNET_MAX:
        raise CarnetsUnreadable(_shown(word))
    return low, high


def _named(session: Session, departement: str, word: str, covers: Covers) -> _Named:
    """Return the carnet that a word names, one of ours or one that was taken over."""
    theirs = covers.get(word, ())
    if theirs:
        number = one_of(session, departement, word, theirs)
        for carnet in theirs:
            if carnet.number == number:
                return _Named(number, carnet.order)
    cover = _COVER.fullmatch(word)
    if word.isascii() and word.isdigit() and len(word) <= len(str(CARNET_MAX)):
        return _Named(int(word))
    if cover is None:
        return _Named(_scanned(departement, word))
    if cover[1].upper() != departement:
        raise CarnetsUnreadable(word)
    return _Named(int(cover[2]))


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


def _shown(word: str) -> str:
    return word.replace(_UNTIL, " à ")[:40]
