"""Importing the national list of sites: each row on its own, or all of them or none."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Literal, NamedTuple

import msgspec
from sqlalchemy.orm import Session

from ledger.moments import Moment
from ledger.refusal import Refusal
from redemption.mednum import Cleaned, Correction, SiteFacts, clean, read
from redemption.sites import known_siret, save_site

MADE_UP_DATES = {"date_missing", "date_unreadable", "date_future"}


@dataclass(eq=False)
class ImportRefused(Refusal):
    """All or nothing was asked, and some rows were refused: nothing is kept."""

    code = "import_refused"

    lines: tuple[int, ...]


class JudgedRow(NamedTuple):
    """One row of the file with its verdict; nothing of it is kept yet."""

    line: int
    id: str
    name: str
    cleaned: Cleaned


class RowReport(msgspec.Struct, frozen=True):
    """What became of one row of the file."""

    line: int
    id: str
    verdict: Literal["accepted", "corrected", "candidate", "refused"]
    code: str
    corrections: tuple[Correction, ...]
    kept: Literal["new", "changed", "same", "no"]
    name: str


def import_sites(
    session: Session, data: bytes, *, all_or_nothing: bool, by: str, now: Moment
) -> list[RowReport]:
    """Keep the sites of a file, row by row, and report on each; the same file again changes nothing.

    Raises the reader's refusals (`missing_columns`, `empty_file`, `not_a_csv`), and
    `ImportRefused` when all or nothing was asked and a row is refused.
    """
    rows = judge(data, imported_on=now.day)
    if all_or_nothing and (refused := refused_lines(rows)):
        raise ImportRefused(refused)
    return [keep(session, row, by=by, now=now) for row in rows]


def judge(data: bytes, *, imported_on: date) -> list[JudgedRow]:
    """Judge every row of a file; an id that a row above brought already is refused.

    Touches nothing: the same file and day give the same verdicts.  Raises the reader's refusals.
    """
    seen: set[str] = set()
    judged = []
    for line, row in read(data):
        cleaned = clean(row, imported_on=imported_on)
        if cleaned.site is None:
            judged.append(JudgedRow(line, row.get("id", ""), row.get("nom", ""), cleaned))
            continue
        which, name = cleaned.site.id, cleaned.site.nom
        if which in seen:
            cleaned = Cleaned("refused", "id_twice", (), None)
        seen.add(which)
        judged.append(JudgedRow(line, which, name, cleaned))
    return judged


def refused_lines(rows: Sequence[JudgedRow]) -> tuple[int, ...]:
    """Return the lines of the rows that are refused."""
    return tuple(row.line for row in rows if row.cleaned.verdict == "refused")


def keep(session: Session, row: JudgedRow, *, by: str, now: Moment) -> RowReport:
    """Keep the site of a row, unless it was refused, and report on it."""
    if row.cleaned.site is None:
        return leave(row)
    row, site = _with_the_siret_we_know(session, row, row.cleaned.site)
    made_up = any(c.code in MADE_UP_DATES for c in row.cleaned.corrections)
    kept = save_site(session, site, dated=not made_up, by=by, now=now)
    return _report(row, kept)


def _with_the_siret_we_know(
    session: Session, row: JudgedRow, told: SiteFacts
) -> tuple[JudgedRow, SiteFacts]:
    """Return a row with the SIRET of its site, where the list has lost it: money may be owed under it."""
    if told.siret is not None or (known := known_siret(session, told.id)) is None:
        return row, told
    mended = Correction("pivot", "siret_kept", told.pivot or "", known)
    corrections = (*row.cleaned.corrections, mended)
    site = replace(told, pivot=known)
    return row._replace(cleaned=Cleaned("corrected", "corrected", corrections, site)), site


def leave(row: JudgedRow) -> RowReport:
    """Report on a row of which nothing is kept."""
    return _report(row, "no")


def _report(row: JudgedRow, kept: Literal["new", "changed", "same", "no"]) -> RowReport:
    told = row.cleaned
    return RowReport(
        row.line, row.id, told.verdict, told.code, told.corrections, kept, row.name
    )
