"""What people read: French first, English second; a refusal's sentence is found by its code.

Catalogues are read from the .po files at the start: nothing compiled is kept in the tree.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any

from babel.dates import format_date
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.numbers import format_currency, format_decimal, format_percent
from babel.support import NullTranslations, Translations

LANGUAGES = ("fr", "en")
DOMAIN = "passnum"
ISO_DAY = re.compile(r"\d{4}-\d\d-\d\d")


@dataclass(frozen=True)
class Messages:
    """The sentences of one language."""

    language: str
    catalogue: NullTranslations

    def text(self, message: str, **facts: Any) -> str:  # noqa: ANN401 - facts are what they are
        """Return an interface text, written in French in the code, in this language."""
        return self.catalogue.gettext(message).format_map(self._shown(facts))

    def refusal(self, code: str, facts: Mapping[str, Any] | None = None) -> str:
        """Return the sentence of a refusal, with its facts and what to do next."""
        found = self.catalogue.gettext(f"refusal.{code}")
        if found == f"refusal.{code}":
            return code
        return found.format_map(self._shown(facts or {}))

    def word(self, kind: str, code: str) -> str:
        """Return the name of a coded thing (a state, a funder) in this language."""
        return self.catalogue.gettext(f"{kind}.{code}")

    def word_or_code(self, kind: str, code: str) -> str:
        """Return the name of a coded thing, or the code itself, where others may make codes."""
        told = self.word(kind, code)
        return code if told == f"{kind}.{code}" else told

    def euros(self, cents: int) -> str:
        """Return an amount as it is written here: 1 234,50 €."""
        return format_currency(Decimal(cents).scaleb(-2), "EUR", locale=self.language)

    def rate(self, part: int, whole: int) -> str:
        """Return a part of a whole as it is written here: 12,3 %."""
        exact = Decimal(part) / Decimal(whole) if whole else Decimal()
        return format_percent(exact, format="#,##0.0\u00a0%", locale=self.language)

    def count(self, number: int) -> str:
        """Return a number as it is written here: 119 502."""
        return format_decimal(number, locale=self.language)

    def day(self, day: date) -> str:
        """Return a date as it is written here: 3 février 2020."""
        return format_date(day, "long", locale=self.language)

    def _shown(self, facts: Mapping[str, Any]) -> "_Facts":
        shown = _Facts()
        for name, value in facts.items():
            if name.endswith("_cents") and isinstance(value, int):
                shown[name.removesuffix("_cents")] = self.euros(value)
            elif isinstance(value, str) and (day := _as_day(value)) is not None:
                shown[name] = self.day(day)
            elif isinstance(value, date):
                shown[name] = self.day(value)
            elif isinstance(value, list | tuple):
                shown[name] = ", ".join(str(v) for v in value)
            elif name == "reason" and isinstance(value, str):
                shown[name] = self.catalogue.gettext(f"reason.{value}").removeprefix(
                    "reason."
                )
            else:
                shown[name] = value
        return shown


def _as_day(text: str) -> date | None:
    try:
        return date.fromisoformat(text) if ISO_DAY.fullmatch(text) else None
    except ValueError:
        return None


class _Facts(dict[str, Any]):
    def __missing__(self, name: str) -> str:
        return "?"


@cache
def messages(language: str) -> Messages:
    """Return the sentences of a language; French for one that we do not speak."""
    language = language if language in LANGUAGES else "fr"
    return Messages(language, read_catalogue(language, DOMAIN))


def read_catalogue(language: str, domain: str) -> Translations:
    """Read the catalogue of a domain; there must be one in this language."""
    path = Path(__file__).parent / "locale" / language / "LC_MESSAGES" / f"{domain}.po"
    with path.open("rb") as file:
        catalogue = read_po(file, locale=language, domain=domain)
    compiled = BytesIO()
    write_mo(compiled, catalogue)
    compiled.seek(0)
    return Translations(compiled, domain=domain)


def spoken(environment: Mapping[str, str] = os.environ) -> Messages:
    """Return the sentences of whoever sits at this terminal: English on request, else French."""
    asked = environment.get("PASSNUM_LANG") or environment.get("LANG") or "fr"
    return messages("en" if asked.lower().startswith("en") else "fr")
