"""Communes and how many people live there, from a CSV as a spreadsheet saves it.

Three columns are looked for by the names that INSEE, its partners and people give them: the INSEE
code, the name, the population.  What Excel does to them is mended where there is one way to: a
zero lost in front of a code, a decimal comma added, spaces between thousands.  What could be read
two ways is refused with its line: a population that is wrong by one figure is believed by nobody,
and found by nobody.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from funding.insee import COMMUNE
from ledger.refusal import Refusal
from redemption.csv_files import header_of, lines_of, records
from redemption.mednum_vocabulary import fold

# Folded, the better name first: a file of INSEE counts people in several ways, and the municipal
# population counts each once.
COLUMNS: Final[Mapping[str, tuple[str, ...]]] = {
    "insee": (
        "codeinsee", "insee", "codgeo", "codecommune", "codecommuneinsee", "inseecom", "depcom",
        "com", "code",
    ),
    "name": (
        "nom", "commune", "libelle", "libgeo", "nomcommune", "nomdelacommune", "nomstandard", "name",
    ),
    "population": (
        "population", "populationmunicipale", "pmun", "popmunicipale", "pop", "habitants",
        "populationtotale", "ptot",
    ),
}  # fmt: skip
CENSUS: Final = re.compile(r"p[0-9]{2}pop|pmun[0-9]{2,4}")
# More people live in no commune of France.
POPULATION_MAX: Final = 3_000_000
COMMUNES_MAX: Final = 40_000


@dataclass(eq=False)
class NoCommunes(Refusal):
    """The file has no commune in it."""

    code = "no_communes"


@dataclass(eq=False)
class CommuneColumnsMissing(Refusal):
    """The header line does not name what is needed."""

    code = "commune_columns_missing"

    columns: tuple[str, ...]


@dataclass(eq=False)
class CommuneWrong(Refusal):
    """A line cannot be read, or not in one way only; `line` is the one that a spreadsheet shows."""

    code = "commune_wrong"

    reason: str
    line: int


class Commune(NamedTuple):
    """A commune and how many people live there."""

    insee: str
    name: str
    population: int


def read_communes(data: bytes) -> list[Commune]:
    """Return the communes of a file, in its order.

    Refused with `not_a_csv`, `no_communes`, `commune_columns_missing`, and `commune_wrong` for the
    first line that cannot be believed.
    """
    lines = lines_of(data)
    header = header_of(lines, fold, lambda cells: len(_places(cells)))
    if header is None:
        raise NoCommunes
    places = _places(header.cells)
    if missing := tuple(column for column in COLUMNS if column not in places):
        raise CommuneColumnsMissing(missing)
    found: dict[str, Commune] = {}
    width = len(header.cells)
    for line, cells in records(lines, header.rows, width, header.delimiter):
        if not any(map(str.strip, cells)):
            continue
        if len(cells) != width:
            raise CommuneWrong("commune_cells", line=line)
        commune = _read(line, {column: cells[place] for column, place in places.items()})
        if commune.insee in found:
            raise CommuneWrong("commune_twice", line=line)
        if len(found) == COMMUNES_MAX:
            raise CommuneWrong("commune_too_many", line=line)
        found[commune.insee] = commune
    if not found:
        raise NoCommunes
    return list(found.values())


def _places(header: list[str]) -> dict[str, int]:
    """Return where each column is; the better of its names wins."""
    places = {}
    for column, names in COLUMNS.items():
        known = [names.index(cell) if cell in names else len(names) for cell in header]
        if column == "population":
            known = [
                len(names) - 1 if CENSUS.fullmatch(cell) else rank
                for cell, rank in zip(header, known, strict=True)
            ]
        if known and min(known) < len(names):
            places[column] = known.index(min(known))
    return places


def _read(line: int, cells: Mapping[str, str]) -> Commune:
    name = " ".join(cells["name"].split())
    if not name:
        raise CommuneWrong("commune_without_name", line=line)
    return Commune(
        _code(line, cells["insee"]), name, _population(line, cells["population"])
    )


def _bare(cell: str) -> str:
    """Return what is written in a cell without what a spreadsheet puts around and inside a number."""
    inside = cell.strip().removeprefix("=").strip("\"'")
    return re.sub(r"\s", "", inside).upper()


def _code(line: int, cell: str) -> str:
    bare = re.sub(r"[.,]0+$", "", _bare(cell))
    if re.search(r"[0-9][.,]?[0-9]*E\+?[0-9]", bare):
        raise CommuneWrong("commune_code_rounded", line=line)
    if re.fullmatch(r"[1-9][0-9]{3}", bare):  # Excel takes the zero of 01 to 09 away
        bare = f"0{bare}"
    if not COMMUNE.fullmatch(bare):
        raise CommuneWrong("commune_code", line=line)
    return bare


def _population(line: int, cell: str) -> int:
    bare = re.sub(r"[.,]0{1,2}$", "", _bare(cell))
    # 1.234 is a thousand in one country and one in another.
    if re.fullmatch(r"[0-9]{1,3}(?:[.,][0-9]{3})+", bare):
        raise CommuneWrong("commune_population_two_ways", line=line)
    if not re.fullmatch(r"[0-9]{1,9}", bare) or int(bare) > POPULATION_MAX:
        raise CommuneWrong("commune_population", line=line)
    return int(bare)
