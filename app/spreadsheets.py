"""Rows as files that spreadsheets open."""

import csv
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any


def cell(value: object) -> str:
    """Return a value as it is written in a cell; nothing for None."""
    return "" if value is None else str(value)


def csv_text(titles: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Return rows as CSV (RFC 4180); a text that a spreadsheet would run as a formula is guarded."""
    return "".join(csv_lines(titles, rows))


def csv_lines(titles: Sequence[str], rows: Iterable[Sequence[Any]]) -> Iterator[str]:
    """Yield the lines of such a file, each as its row comes."""
    written: list[str] = []

    class Buffer:
        def write(self, line: str) -> None:
            written.append(line)

    writer = csv.writer(Buffer())
    writer.writerow(titles)
    yield written.pop()
    for row in rows:
        writer.writerow([_guarded(cell(value)) for value in row])
        yield written.pop()


# At the beginning of a text; and where a spreadsheet cuts it into cells, whose separator is a
# semicolon in France.
_FORMULA = re.compile(r"^(?=[=+\-@\t\r](?![0-9]+$))|(?<=[;\t\r\n])(?=\s*[=+\-@])")


def _guarded(text: str) -> str:
    return _FORMULA.sub("'", text)
