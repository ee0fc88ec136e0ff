"""Importing the national list of sites: each row on its own, or all of them or none."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import msgspec
from sqlalchemy.orm import Session

from ledger.moments import Moment
from ledger.refusal import Refusal
from redemption.mednum import Correction, clean, read
from redemption.sites import save_site

MADE_UP_DATES = {"date_missing", "date_unreadable", "date_future"}


@dataclass(eq=False)
class ImportRefused(Refusal):
    """All or nothing was asked, and some rows were refused: nothing is kept."""

    code = "import_refused"

    lines: tuple[int, ...]


class RowReport(msgspec.Struct, frozen=True):
    """What became of one row of the file."""

    line: int
    id: str
    verdict: Literal["accepted", "corrected", "candidate", "refused"]
    code: str
    corrections: tuple[Correction, ...]
    kept: Literal["new", "changed", "same", "no"]


def import_sites(
    session: Session, data: bytes, *, all_or_nothing: bool, by: str, now: Moment
) -> list[RowReport]:
    """Keep the sites of a file, row by row, and report on each; the same file again changes nothing.

    Raises the reader's refusals (`missing_columns`, `empty_file`, `not_a_csv`), and
    `ImportRefused` when all or nothing was asked and a row is refused.
    """
    reports = list(_rows(session, data, by, now))
    refused = tuple(r.line for r in reports if r.verdict == "refused")
    if all_or_nothing and refused:
        raise ImportRefused(refused)
    return reports


def _rows(session: Session, data: bytes, by: str, now: Moment) -> Iterator[RowReport]:
    seen: dict[str, int] = {}
    for line, row in read(data):
        cleaned = clean(row, imported_on=now.day)
        if cleaned.site is None:
            yield RowReport(
                line, row.get("id", ""), cleaned.verdict, cleaned.code, (), "no"
            )
            continue
        if cleaned.site.id in seen:
            yield RowReport(line, cleaned.site.id, "refused", "id_twice", (), "no")
            continue
        seen[cleaned.site.id] = line
        made_up = any(c.code in MADE_UP_DATES for c in cleaned.corrections)
        kept = save_site(session, cleaned.site, dated=not made_up, by=by, now=now)
        yield RowReport(
            line, cleaned.site.id, cleaned.verdict, cleaned.code, cleaned.corrections, kept
        )
