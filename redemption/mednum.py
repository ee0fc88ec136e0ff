"""Site lists in the national schema (mednum 1.0.2), as spreadsheets really save them.

`read` gives the rows of a file, `clean` judges one row by itself.  A real list never
satisfies the schema, so the verdict says what became of the row:

    accepted   kept as it came
    corrected  kept, with what was mended
    candidate  kept, but without a SIRET that holds: it cannot be accredited yet
    refused    not kept, for the reason its code names

Only what makes a row no place at all refuses it: no id, no name, no commune, no postal
code.  What the schema has no room for is dropped, and said.  Text that a spreadsheet would
run as a formula is kept as it is: exports guard against it.

Cleaning what was cleaned changes nothing, which makes importing a file twice the same as
once.  That two rows may be one place, or carry one id, is for the importer to see.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from datetime import date
from typing import Any, Final, Literal

from issuance.siret import is_siret
from ledger.refusal import Refusal
from redemption import mednum_cells as cells
from redemption.csv_files import Header, header_of, lines_of, records
from redemption.mednum_vocabulary import VOCABULARY, official

SURPLUS: Final = "+"  # the key, no column's name, under which `read` puts cells too many


@dataclass(eq=False)
class EmptyFile(Refusal):
    """The file holds no line of text."""

    code = "empty_file"


@dataclass(eq=False)
class MissingColumns(Refusal):
    """The header line lacks columns without which no row is a place."""

    code = "missing_columns"

    columns: tuple[str, ...]


@dataclass(frozen=True)
class Correction:
    """One thing mended; an empty `after` was dropped, and the same twice is only noted."""

    field: str
    code: str
    before: str
    after: str


@dataclass(frozen=True)
class SiteFacts:
    """What we keep of a place: the schema's 32 columns, in its order, under its names.

    Lists that the schema closes are tuples; the other lists (`typologie`, `courriels`,
    `site_web`, `itinerance`) stay one text, separated by `|`.
    """

    id: str
    pivot: str | None
    nom: str
    commune: str
    code_postal: str
    code_insee: str | None
    adresse: str | None
    complement_adresse: str | None
    latitude: float | None
    longitude: float | None
    typologie: str | None
    telephone: str | None
    courriels: str | None
    site_web: str | None
    horaires: str | None
    presentation_resume: str | None
    presentation_detail: str | None
    source: str | None
    itinerance: str | None
    structure_parente: str | None
    date_maj: date
    services: tuple[str, ...]
    publics_specifiquement_adresses: tuple[str, ...]
    prise_en_charge_specifique: tuple[str, ...]
    frais_a_charge: tuple[str, ...]
    dispositif_programmes_nationaux: tuple[str, ...]
    formations_labels: tuple[str, ...]
    autres_formations_labels: tuple[str, ...]
    modalites_acces: tuple[str, ...]
    modalites_accompagnement: tuple[str, ...]
    fiche_acces_libre: str | None
    prise_rdv: str | None

    @property
    def siret(self) -> str | None:
        """The pivot, where it is a SIRET that holds."""
        return self.pivot if self.pivot and is_siret(self.pivot) else None

    def row(self) -> dict[str, str]:
        """Write the place back in the schema's columns, as `clean` would read it."""
        return {column: _written(getattr(self, column)) for column in COLUMNS}


COLUMNS: Final = tuple(column.name for column in fields(SiteFacts))
REQUIRED: Final = ("id", "nom", "commune", "code_postal", "adresse")
LISTS: Final = (
    *[each for each in VOCABULARY if each != "itinerance"],
    "autres_formations_labels",
)


@dataclass(frozen=True)
class Cleaned:
    """The verdict on one row; `site` is None where it was refused, and only there."""

    verdict: Literal["accepted", "corrected", "candidate", "refused"]
    code: str
    corrections: tuple[Correction, ...]
    site: SiteFacts | None


def read(data: bytes) -> Iterator[tuple[int, dict[str, str]]]:
    """Give each row with the line it starts on, the cells still as they were typed.

    A file that cannot be read at all is refused before the first row.  A quote never
    closed costs its own row, not those below; blank rows are passed over.
    """
    lines = lines_of(data)
    header = header_of(
        lines,
        lambda cell: cell.strip().casefold(),
        lambda cells: len(set(cells) & set(COLUMNS)),
    )
    if header is None:
        raise EmptyFile
    if missing := tuple(column for column in REQUIRED if column not in header.cells):
        raise MissingColumns(missing)
    return _rows(lines, header)


def _rows(lines: list[str], header: Header) -> Iterator[tuple[int, dict[str, str]]]:
    names, delimiter, start = header
    places = {column: names.index(column) for column in COLUMNS if column in names}
    width = len(names)
    for number, record in records(lines, start, width, delimiter):
        if not any(map(str.strip, record)):
            continue
        padded = record + [""] * (width - len(record))
        row = dict.fromkeys(COLUMNS, "")
        row |= {column: padded[place] for column, place in places.items()}
        if surplus := delimiter.join(record[width:]).strip(f"{delimiter} \r\n"):
            row[SURPLUS] = surplus
        yield number, row


class _Draft:
    """A row being mended, and what was done to it so far."""

    def __init__(self, row: Mapping[str, str]) -> None:
        self.cells = {column: row.get(column, "") for column in COLUMNS}
        self.corrections: list[Correction] = []

    def put(self, field: str, code: str, after: str) -> None:
        """Change a cell and note it; the same text again is no correction."""
        before = self.cells[field]
        if before != after:
            self.corrections.append(Correction(field, code, before, after))
            self.cells[field] = after

    def note(self, field: str, code: str, before: str = "") -> None:
        """Note what was lost without a cell to show it in."""
        self.corrections.append(Correction(field, code, before, ""))


def clean(row: Mapping[str, str], *, imported_on: date) -> Cleaned:
    """Judge one row by itself: what is kept, what was mended, or why it is refused.

    `imported_on` stands for a date that is missing, unreadable or yet to come.  A refused
    row carries no corrections, since nothing of it is kept.
    """
    if row.get(SURPLUS):
        return Cleaned("refused", "too_many_cells", (), None)
    draft = _Draft(row)
    for column in COLUMNS:
        for code, mend in cells.steps(column):
            draft.put(column, code, mend(draft.cells[column]))
    if reason := _refusal(draft.cells):
        return Cleaned("refused", reason, (), None)

    _keep_known_words(draft)
    _keep_place(draft)
    _keep_day(draft, imported_on)
    if not draft.cells["adresse"]:
        draft.note("adresse", "address_missing")

    corrections, site = tuple(draft.corrections), _facts(draft.cells)
    if trouble := cells.siret_trouble(draft.cells["pivot"]):
        return Cleaned("candidate", trouble, corrections, site)
    if corrections:
        return Cleaned("corrected", "corrected", corrections, site)
    return Cleaned("accepted", "accepted", (), site)


def _refusal(mended: Mapping[str, str]) -> str | None:
    if not mended["id"]:
        return "id_missing"
    if not mended["nom"]:
        return "name_missing"
    if not any(map(str.isalpha, mended["commune"])):
        return "commune_missing"
    if not re.fullmatch(r"(?!00000)[0-9]{5}", mended["code_postal"]):
        return "postcode_invalid"
    return None


def _keep_known_words(draft: _Draft) -> None:
    for column in VOCABULARY:
        values = draft.cells[column].split("|") if draft.cells[column] else []
        for unknown in [value for value in values if official(column, value) is None]:
            draft.note(column, "unknown_value", unknown)
            values.remove(unknown)
        draft.cells[column] = "|".join(values)


def _keep_place(draft: _Draft) -> None:
    written = draft.cells["latitude"], draft.cells["longitude"]
    latitude, longitude = map(cells.coordinate, written)
    if latitude is None or longitude is None:
        code = "coordinates_unreadable"
    elif cells.in_france(latitude, longitude):
        return
    else:
        swapped = cells.in_france(longitude, latitude)
        code = "coordinates_swapped" if swapped else "coordinates_outside"
    draft.put("latitude", code, "")
    draft.put("longitude", code, "")


def _keep_day(draft: _Draft, imported_on: date) -> None:
    written = draft.cells["date_maj"]
    found = cells.day(written)
    if found is None:
        code = "date_unreadable" if written else "date_missing"
    else:
        code = "date_future" if found > imported_on else "date_format"
    kept = imported_on if found is None or found > imported_on else found
    draft.put("date_maj", code, kept.isoformat())


def _facts(mended: Mapping[str, str]) -> SiteFacts:
    values: dict[str, Any] = {column: text or None for column, text in mended.items()}
    values |= {column: tuple(filter(None, mended[column].split("|"))) for column in LISTS}
    values |= {
        column: cells.coordinate(mended[column]) for column in ("latitude", "longitude")
    }
    values["date_maj"] = date.fromisoformat(mended["date_maj"])
    return SiteFacts(**values)


def _written(value: str | float | date | tuple[str, ...] | None) -> str:
    if isinstance(value, float):
        return f"{value:.7f}".rstrip("0").rstrip(".")
    if isinstance(value, date):
        return value.isoformat()
    return "|".join(value) if isinstance(value, tuple) else value or ""
