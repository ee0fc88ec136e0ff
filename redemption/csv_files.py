"""The lines and cells of a CSV as spreadsheets really save it: any encoding, any separator, quotes astray.

A workbook, an archive or a picture that was only renamed is `NotACsv`.  A quote never closed costs
its own row, not those below, and no more time than a few lines take.
"""

import csv
import io
from codecs import BOM_UTF8
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, NamedTuple

from ledger.refusal import Refusal

# How workbooks, archives, documents and pictures begin; no header line of ours does.
OTHER_FORMATS: Final = (
    b"PK\x03\x04", b"\xd0\xcf\x11\xe0", b"\x1f\x8b", b"Rar!", b"7z\xbc\xaf", b"%PDF", b"{\\rtf",
    b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"RIFF", b"II*\0", b"MM\0*", b"<",
)  # fmt: skip

# No cell of a list holds more line breaks; a quote never closed would be looked for to the end of
# the file, and once more from each line on.
RECORD_LINES_MAX: Final = 50


@dataclass(eq=False)
class NotACsv(Refusal):
    """The file is a workbook or some other binary."""

    code = "not_a_csv"


def lines_of(data: bytes) -> list[str]:
    """Return the lines of a file, as text; raises `NotACsv`."""
    return io.StringIO(_decoded(data), newline="").readlines()


def _decoded(data: bytes) -> str:
    data = data.removeprefix(BOM_UTF8)
    if b"\0" in data or data.lstrip().startswith(OTHER_FORMATS):
        raise NotACsv
    for encoding in ("utf-8", "cp1252"):
        try:
            return data.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise NotACsv


class Header(NamedTuple):
    """The header line, its cells as they are known by, and what separates cells; rows begin at `rows`."""

    cells: list[str]
    delimiter: str
    rows: int


def header_of(
    lines: Sequence[str], read: Callable[[str], str], known: Callable[[list[str]], int]
) -> Header | None:
    """Return the header, cut by the delimiter that shows most of what is known; None without a line.

    `read` makes of a cell the name it is known by, `known` counts those of a line.
    """
    first = next((number for number, line in enumerate(lines) if _is_header(line)), None)
    if first is None:
        return None
    cut = (
        Header(
            [read(cell) for cell in next(records([lines[first]], 0, 0, delimiter))[1]],
            delimiter,
            first + 1,
        )
        for delimiter in ";,\t"
    )
    return max(cut, key=lambda header: known(header.cells))


def _is_header(line: str) -> bool:
    """Pass over blank lines, and over the line by which a spreadsheet names its separator."""
    return bool(line.strip()) and not line.casefold().startswith("sep=")


def records(
    lines: Sequence[str], start: int, width: int, delimiter: str
) -> Iterator[tuple[int, list[str]]]:
    """Cut the lines into records; a quote that would swallow other rows is plain text."""
    at = start
    while at < len(lines):
        following = map(
            lines.__getitem__, range(at, min(at + RECORD_LINES_MAX, len(lines)))
        )
        reader = csv.reader(following, delimiter=delimiter, strict=True)
        try:
            record, taken = next(reader), reader.line_num
        except csv.Error:
            record, taken = _alone(lines[at], width, delimiter), 1
        if taken > 1 and len(record) != width:
            record, taken = _alone(lines[at], width, delimiter), 1
        yield at + 1, record
        at += taken


def _alone(line: str, width: int, delimiter: str) -> list[str]:
    """Read one line whose quotes are astray, as spreadsheets would if that fits the header."""
    with suppress(csv.Error):
        record = next(csv.reader([line], delimiter=delimiter))
        if len(record) == width:
            return record
    return [cell.strip('"') for cell in line.rstrip("\r\n").split(delimiter)]
