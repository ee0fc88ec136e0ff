"""A list of carnets to take over, from a CSV as a spreadsheet saves it: `carnet;numero;valeur;fin`, and `qr`.

A line is a pass: the number of its carnet, its own, its value in euros, the last day printed on it, and
what its QR code holds where that is another text than its number.  What Excel does in one way only is
mended: a formula or an apostrophe that keeps figures as text, a currency sign, a day written in another
order; zeros taken away from in front of figures do not count (`issuance.foreign`).  What it destroyed is
told, with its line: a long number written 1,23E+15, or rounded to fifteen figures.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import date, timedelta
from hashlib import sha256
from typing import Final

from issuance.foreign_lists import Fault, FaultCode, ForeignList, ForeignPass
from redemption.csv_files import header_of, lines_of, records
from redemption.mednum import EmptyFile, MissingColumns
from redemption.mednum_vocabulary import fold

COLUMNS: Final = ("carnet", "numero", "valeur", "fin")
QR: Final = "qr"
EXACT: Final = 15  # figures that a spreadsheet keeps of a number
EUROS_MAX: Final = 655  # the most that the value of a pass can be

_ABBREVIATED: Final = re.compile(r"[0-9](?:[.,][0-9]+)?E\+[0-9]+", re.IGNORECASE)
_KEPT_AS_TEXT: Final = re.compile(r'="?([^"]*)"?')
_VALUE: Final = re.compile(r"([0-9]{1,3})(?:[.,]([0-9]{1,2}))?(?:€|EUR|EUROS?)?")
_ISO: Final = re.compile(r"([0-9]{4})-([0-9]{1,2})-([0-9]{1,2})(?:[T ].*)?")
_FRENCH: Final = re.compile(
    r"([0-9]{1,2})[/.-]([0-9]{1,2})[/.-]([0-9]{4}|[0-9]{2})(?: .*)?"
)
_SERIAL_DAY: Final = re.compile(r"[0-9]{5}")
_FIRST_DAY: Final = date(1899, 12, 30)  # from which spreadsheets count days


class UnreadableError(ValueError):
    """A cell that cannot be read; its code says why."""

    def __init__(self, code: FaultCode) -> None:
        super().__init__(code)
        self.code: FaultCode = code


def read_foreign_list(data: bytes) -> ForeignList:
    """Return the passes of a file, and the lines of it that cannot be read.

    Refused as a whole with `not_a_csv`, `empty_file`, `missing_columns`.
    """
    lines = lines_of(data)
    found = header_of(lines, fold, lambda cells: len(set(cells) & set(COLUMNS)))
    if found is None:
        raise EmptyFile
    header = found.cells
    if missing := tuple(column for column in COLUMNS if column not in header):
        raise MissingColumns(missing)
    places: dict[str, int] = {
        name: header.index(name) for name in (*COLUMNS, QR) if name in header
    }
    passes: list[ForeignPass] = []
    faults: list[Fault] = []
    for line, cells in records(lines, found.rows, len(header), found.delimiter):
        if not any(map(str.strip, cells)):
            continue
        # Excel leaves out separators at the end of a line whose last cells are empty.
        padded = cells + [""] * (len(header) - len(cells))
        if any(map(str.strip, padded[len(header) :])):
            faults.append(Fault(line, "cells"))
            continue
        row = {name: _text(padded[place]) for name, place in places.items()}
        try:
            passes.append(_pass(line, row))
        except UnreadableError as no:
            faults.append(Fault(line, no.code))
    faults += [Fault(line, "number_rounded") for line in _rounded(passes)]
    return ForeignList(tuple(passes), tuple(faults), sha256(data).digest())


def _pass(line: int, row: Mapping[str, str]) -> ForeignPass:
    for column in ("carnet", "numero"):
        if _ABBREVIATED.fullmatch(row[column]):
            raise UnreadableError("number_abbreviated")
    return ForeignPass(
        line,
        row["carnet"],
        row["numero"],
        row.get(QR) or None,
        _cents(row["valeur"]),
        _day(row["fin"]),
    )


def _text(cell: str) -> str:
    """Return a cell without what keeps it a text in a spreadsheet."""
    inside = " ".join(cell.split())
    kept = _KEPT_AS_TEXT.fullmatch(inside)
    return (kept[1] if kept else inside).removeprefix("'").strip()


def _cents(cell: str) -> int:
    told = _VALUE.fullmatch("".join(cell.split()).upper())
    if told is None or int(told[1]) > EUROS_MAX:
        raise UnreadableError("value_odd")
    return int(told[1]) * 100 + int((told[2] or "").ljust(2, "0"))


def _day(cell: str) -> date:
    try:
        if told := _ISO.fullmatch(cell):
            return date(int(told[1]), int(told[2]), int(told[3]))
        if told := _FRENCH.fullmatch(cell):
            year = int(told[3])
            return date(year if year > 99 else 2000 + year, int(told[2]), int(told[1]))
    except ValueError:
        raise UnreadableError("day_odd") from None
    if _SERIAL_DAY.fullmatch(cell):
        return _FIRST_DAY + timedelta(days=int(cell))
    raise UnreadableError("day_odd")


def _rounded(passes: Iterable[ForeignPass]) -> Iterator[int]:
    """Yield the lines whose numbers all end with the zeros that a spreadsheet puts after fifteen figures."""
    long = [one for one in passes if len(one.number) > EXACT and one.number.isdecimal()]
    if len(long) > 1 and all(not one.number[EXACT:].strip("0") for one in long):
        yield from (one.line for one in long)
