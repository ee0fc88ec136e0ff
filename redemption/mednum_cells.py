"""How each cell of a site list comes back to what the national schema asks.

`MENDS` gives each column its steps, in order: a stable code, and a function from text to
text.  A step that changes nothing mended nothing, and a step given its own result changes
nothing.  A step never guesses: what it cannot mend it leaves, and the step after drops it
if the schema has no room for it.
"""

import re
import unicodedata
from collections.abc import Callable, Iterable
from datetime import date, timedelta
from typing import Final

from funding.insee import COMMUNE
from issuance.siret import is_siret
from redemption.mednum_vocabulary import VOCABULARY, fold, official

Mend = Callable[[str], str]

_SCHEMA_PHONE: Final = re.compile(r"\+(?:33|590|594|262|596|269|687|689|508|681)[0-9]{6,9}")
_RNA: Final = re.compile(r"W[0-9][0-9A-Z][0-9]{7}")
_EMAIL: Final = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
_URL: Final = re.compile(r"https?://[^\s/]+\.\S+", re.IGNORECASE)
_DOMAIN: Final = re.compile(r"[\w-]+(?:\.[\w-]+)+(?:[/?#]\S*)?")
_ISO_DAY: Final = re.compile(r"([0-9]{4})[-/]([0-9]{1,2})[-/]([0-9]{1,2})(?:[T ].*)?")
_FRENCH_DAY: Final = re.compile(
    r"([0-9]{1,2})[-/.]([0-9]{1,2})[-/.]([0-9]{4}|[0-9]{2})(?:[T ].*)?"
)
_SPREADSHEET_DAY: Final = re.compile(r"([0-9]{5})(?:[.,][0-9]+)?")

# Labels of a web page that a copy drags along after the commune, folded.
_LABELS: Final = (
    "numero",
    "telephone",
    "atelier",
    "adresse",
    "horaire",
    "courriel",
    "contact",
)

# The first figures of overseas numbers, whose country code is not +33.
_OVERSEAS: Final = {
    "+590": ("590", "690", "691"),
    "+594": ("594", "694"),
    "+596": ("596", "696", "697"),
    "+262": ("262", "263", "269", "639", "692", "693"),
}

# South, north, west, east: mainland France, then each overseas territory, loosely.
_TERRITORIES: Final = (
    (41.0, 51.5, -5.6, 9.9),
    (14.2, 18.3, -63.3, -60.6),
    (1.9, 6.0, -54.8, -51.3),
    (-21.6, -20.6, 55.0, 56.0),
    (-13.2, -12.4, 44.8, 45.5),
    (46.6, 47.3, -56.6, -56.0),
    (-23.5, -17.5, 157.5, 172.5),
    (-28.5, -7.0, -155.5, -133.5),
    (-14.8, -12.9, -178.6, -175.9),
)


def characters(text: str) -> str:
    """Compose accents, and remove what cannot be seen nor typed (zero-width, control)."""
    seen = (
        " "
        if unicodedata.category(character) == "Cc" and character not in "\t\r\n"
        else character
        for character in text
        if unicodedata.category(character) not in {"Cf", "Cs"}
    )
    return unicodedata.normalize("NFC", "".join(seen))


def spaces(text: str) -> str:
    """Leave single ordinary spaces between words, and none around."""
    return " ".join(text.split())


def paragraphs(text: str) -> str:
    """Mend the spaces of a long text without joining its lines."""
    return "\n".join(map(spaces, text.splitlines())).strip()


def _without_label(text: str) -> str:
    """Drop the label of a page after a wide gap; a gap alone may sit inside a name."""
    head, gap, tail = (*re.split(r"(\s{2,})", text.strip(), maxsplit=1), "", "")[:3]
    label = gap and any(word in fold(tail) for word in _LABELS)
    return head if label else text


def _without_figures(text: str) -> str:
    return re.sub(r"^(?:[0-9]+ )+", "", text)


def _without_cedex(text: str) -> str:
    return re.sub(r"(?: cedex(?: [0-9]+)?)+$", "", text, flags=re.IGNORECASE | re.ASCII)


def _figures(text: str) -> str:
    """Remove what a spreadsheet or a hand puts around and inside the figures of a code."""
    bare = text.removeprefix("=").strip("\"'")
    return re.sub(r"[\s.,\-\u2010-\u2015]", "", re.sub(r"[.,]0{1,2}$", "", bare)).upper()


def _shaped(form: str) -> Mend:
    """Mend the writing of a code, only where that gives the form hoped for."""
    hoped = re.compile(form)

    def mend(text: str) -> str:
        bare = _figures(text)
        return bare if hoped.fullmatch(bare) else text

    return mend


def _five_figures(text: str) -> str:
    return f"0{text}" if re.fullmatch(r"[1-9][0-9]{3}", text) else text


def _fourteen_figures(text: str) -> str:
    """Give back the zeros a SIRET lost; no SIREN in use begins with more than three."""
    filled = text.zfill(14)
    return filled if re.fullmatch(r"[0-9]{11,13}", text) and is_siret(filled) else text


def siret_trouble(pivot: str) -> str | None:
    """Say why a mended pivot is no SIRET: none given, not legible, or a check that fails."""
    if is_siret(pivot):
        return None
    if not pivot or _RNA.fullmatch(pivot) or re.fullmatch(r"[0-9]{9,10}", pivot):
        return "no_siret"
    return "siret_invalid" if re.fullmatch(r"[0-9]+", pivot) else "siret_unreadable"


def _international(text: str) -> str | None:
    if re.search("[^0-9+(). /,_-]", text):
        return None
    number = re.sub(r"\(0\)|[.,]0$|[^0-9+]", "", text)
    number = re.sub(r"^(?:\+|00)(?=[1-9])|^(?=33[1-9][0-9]{8}$)", "+", number)
    number = re.sub(r"^\+330?", "0", number)
    if re.fullmatch(r"[1-9][0-9]{8}", number):
        number = f"0{number}"
    if re.fullmatch(r"0[1-9][0-9]{8}", number):
        home = (code for code, starts in _OVERSEAS.items() if number.startswith(starts, 1))
        number = next(home, "+33") + number[1:]
    return number if _SCHEMA_PHONE.fullmatch(number) else None


def _phone(text: str) -> str:
    """Write a French number internationally; of several, the first that can be read."""
    bare = re.sub(r"^t[eé]l\w*[. :]*", "", text, flags=re.IGNORECASE)
    several = (bare, *re.split(r"[/;|,]|\b(?:ou|et)\b", bare))
    return next(filter(None, map(_international, several)), text)


def _web_address(text: str) -> str:
    return f"https://{text}" if _DOMAIN.fullmatch(text) else text


def _decimal_point(text: str) -> str:
    return (
        text.rstrip("° ").replace(",", ".") if text.count(",") == 1 else text.rstrip("° ")
    )


def joined(values: Iterable[str]) -> str:
    """Write a list as the schema does, each value once."""
    return "|".join(dict.fromkeys(filter(None, map(str.strip, values))))


def _split_on(pattern: str) -> Mend:
    separator = re.compile(pattern, re.IGNORECASE)
    return lambda text: joined(separator.split(text))


def _each(mend: Mend) -> Mend:
    return lambda text: joined(map(mend, text.split("|")))


def _only(form: re.Pattern[str]) -> Mend:
    return lambda text: joined(value for value in text.split("|") if form.fullmatch(value))


def _exactly(form: re.Pattern[str]) -> Mend:
    return lambda text: text if form.fullmatch(text) else ""


def _spelling(column: str) -> Mend:
    return _each(lambda value: official(column, value) or value)


def day(text: str) -> date | None:
    """Read a day as people and spreadsheets write it; None where no reading is certain."""
    try:
        if iso := _ISO_DAY.fullmatch(text):
            found = date(*map(int, iso.groups()))
        elif french := _FRENCH_DAY.fullmatch(text):
            number, month, year = map(int, french.groups())
            found = date(year if year > 99 else 2000 + year, month, number)
        elif serial := _SPREADSHEET_DAY.fullmatch(text):
            found = date(1899, 12, 30) + timedelta(days=int(serial[1]))
        else:
            return None
    except ValueError:
        return None
    return found if found.year >= 2000 else None


def coordinate(text: str) -> float | None:
    """Read degrees, to the centimetre."""
    return (
        round(float(text), 7) if re.fullmatch(r"-?[0-9]{1,3}(?:\.[0-9]+)?", text) else None
    )


def in_france(latitude: float, longitude: float) -> bool:
    """Say whether a point is on or near French land, overseas included."""
    return any(
        south <= latitude <= north and west <= longitude <= east
        for south, north, west, east in _TERRITORIES
    )


_WEB: Final[tuple[tuple[str, Mend], ...]] = (
    ("list_format", _split_on(r"\||[;,\s]\s*(?=https?://|www\.)")),
    ("url_format", _each(_web_address)),
    ("url_unreadable", _only(_URL)),
)

MENDS: Final[dict[str, tuple[tuple[str, Mend], ...]]] = {
    "pivot": (
        ("pivot_format", _shaped(rf"[0-9]{{9,14}}|{_RNA.pattern}")),
        ("siret_zero", _fourteen_figures),
    ),
    "commune": (
        ("commune_leading_figures", _without_figures),
        ("commune_cedex", _without_cedex),
    ),
    "code_postal": (
        ("postcode_format", _shaped(r"[0-9]{4,5}")),
        ("postcode_zero", _five_figures),
    ),
    "code_insee": (
        ("insee_format", _shaped(rf"[1-9][0-9]{{3}}|{COMMUNE.pattern}")),
        ("insee_zero", _five_figures),
        ("insee_invalid", _exactly(COMMUNE)),
    ),
    "latitude": (("coordinate_format", _decimal_point),),
    "longitude": (("coordinate_format", _decimal_point),),
    "typologie": (("list_format", _split_on("[|;,]")),),
    "telephone": (("phone_format", _phone), ("phone_unreadable", _exactly(_SCHEMA_PHONE))),
    "courriels": (
        ("list_format", _split_on(r"[|;,\s]")),
        ("email_format", _each(lambda text: re.sub("^(mailto:)+", "", text))),
        ("email_unreadable", _only(_EMAIL)),
    ),
    "site_web": _WEB,
    "fiche_acces_libre": _WEB,
    "prise_rdv": _WEB,
    "presentation_resume": (("text_cut", lambda text: text[:280].rstrip()),),
    "autres_formations_labels": (("list_format", _split_on("[|;]")),),
    **{
        column: (
            ("list_format", _split_on("[|;]")),
            ("vocabulary_spelling", _spelling(column)),
        )
        for column in VOCABULARY
    },
}


def steps(column: str) -> Iterable[tuple[str, Mend]]:
    """Give every step of a column: what all texts need first, then its own."""
    yield "characters", characters
    if column == "commune":
        yield "commune_trailing_label", _without_label
    yield "spaces", paragraphs if column == "presentation_detail" else spaces
    yield from MENDS.get(column, ())
