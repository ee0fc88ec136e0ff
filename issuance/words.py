"""Two easy words for each carnet, kept on the fridge for the day when the carnet is lost.

Nobody learns ``23-004217`` by heart; "chèvre" and "violon" stay.  The words are public and
give no right: they are the carnet's number said otherwise, without a key.

The 512 words (`words.txt`) are concrete French nouns that a child knows, without a homophone in
use; no two differ by one letter.  A pair has no order, since people forget it: it is printed in
the order of the alphabet and found in either.  512 words make 130,816 pairs, walked by a step
that shares no factor with their number: neighbouring carnets share no word, and every pair is
used once before any comes again.  Beyond 130,816 carnets a pair names several, 130,816 apart.

**Never change the list nor the step**: paper that is out there says these words.

    >>> words_of(4217)
    ('chèvre', 'violon')
    >>> carnets_of("Violn", "la CHEVRE", up_to=200_000)
    [4217, 135033]
"""

import re
import unicodedata
from functools import cache
from importlib.resources import files
from itertools import zip_longest
from math import comb, isqrt

# About the golden section of the number of pairs, and with no factor in common with it.
_STEP = 80_747
_ARTICLE = re.compile(r"^(?:l'|d'|(?:le|la|les|un|une|du|des|de) )")


@cache
def _words() -> tuple[str, ...]:
    return tuple(files("issuance").joinpath("words.txt").read_text("utf-8").split())


@cache
def _pairs() -> int:
    return comb(len(_words()), 2)


def words_of(carnet: int) -> tuple[str, str]:
    """Return the two words of a carnet, as they are printed; `ValueError` below 1."""
    if carnet < 1:
        raise ValueError("carnets are numbered from 1")
    place = carnet * _STEP % _pairs()
    # The pairs of a later word with the ones before it: 0 of the first, 1 of the next, 2…
    later = (1 + isqrt(1 + 8 * place)) // 2
    return _words()[place - comb(later, 2)], _words()[later]


def carnets_of(first: str, second: str, up_to: int) -> list[int]:
    """Return the carnets from 1 to `up_to` whose two words these are, in their order.

    Either order will do; `recognised` says what is forgiven in a word.  Words that are none of
    ours, or twice the same, name no carnet.
    """
    one, other = recognised(first), recognised(second)
    if one is None or other is None or one == other:
        return []
    earlier, later = sorted(map(_words().index, (one, other)))
    carnet = (comb(later, 2) + earlier) * pow(_STEP, -1, _pairs()) % _pairs()
    return list(range(carnet or _pairs(), up_to + 1, _pairs()))


def recognised(typed: str) -> str | None:
    """Return the word of ours that was meant; None where none was, or where it could be two.

    Forgives capitals, accents, spaces around, an article before, and one slip: a letter too
    many, too few, another one, or two neighbours exchanged.
    """
    meant = _ARTICLE.sub("", folded(typed))
    by_folded = _by_folded()
    if meant in by_folded:
        return by_folded[meant]
    near = [word for plain, word in by_folded.items() if one_slip(meant, plain)]
    return near[0] if len(near) == 1 else None


@cache
def _by_folded() -> dict[str, str]:
    return {folded(word): word for word in _words()}


def folded(text: str) -> str:
    """Return a word without what people leave out: capitals, accents, ligatures, spaces around."""
    plain = text.strip().lower().replace("œ", "oe").replace("’", "'")
    letters = unicodedata.normalize("NFKD", plain)
    return "".join(c for c in letters if not unicodedata.combining(c))


def one_slip(one: str, other: str) -> bool:
    """Tell whether one slip of a pen or of a finger makes one word of the other."""
    differ = [n for n, (a, b) in enumerate(zip_longest(one, other)) if a != b]
    if not differ or abs(len(one) - len(other)) > 1:
        return False
    start = differ[0]
    if len(one) != len(other):
        shorter, longer = sorted((one, other), key=len)
        return shorter[start:] == longer[start + 1 :]
    exchanged = one[:start] + one[start : start + 2][::-1] + one[start + 2 :]
    return len(differ) == 1 or exchanged == other
