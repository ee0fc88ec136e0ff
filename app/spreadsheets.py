"""Rows as files that spreadsheets open."""

import csv
from collections.abc import Sequence
from typing import Any


def cell(value: object) -> str:
    """Return a value as it is written in a cell; nothing for None."""
    return "" if value is None else str(value)


def csv_text(titles: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Return rows as CSV (RFC 4180); a text that a spreadsheet would run as a formula is guarded."""

    class Buffer:
        def __init__(self) -> None:
            self.lines: list[str] = []

        def write(self, line: str) -> None:
            self.lines.append(line)

    buffer = Buffer()
    writer = csv.writer(buffer)
    writer.writerow(titles)
    for row in rows:
        writer.writerow([_guarded(cell(value)) for value in row])
    return "".join(buffer.lines)


def _guarded(text: str) -> str:
    risky = text[:1] in {"=", "+", "-", "@", "\t", "\r"} and not text[1:].isdigit()
    return f"'{text}" if risky else text
