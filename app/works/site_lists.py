"""Importing a list of sites as a work: the file is judged whole, then kept piece by piece."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from app.instance import Instance
from app.messages import Messages
from app.works.asking import AskWork, Work, ask, results
from app.works.doing import Piece
from funding.models import programme
from funding.operations import exist
from ledger.moments import Moment
from ledger.refusal import Refusal
from redemption.import_sites import (
    ImportRefused,
    RowReport,
    judge,
    keep,
    leave,
    refused_lines,
)
from redemption.mednum import read

KIND = "import_sites"
# Six times what the largest département lists; a page that tells of each row stays readable.
ROWS_MAX = 5_000
# Some forty a piece: acts on reference data, and on SQLite scans, wait for a tenth of a second.
PIECE = 40
CELL_MAX = 200
NAMED = 10


@dataclass(eq=False)
class NoRows(Refusal):
    """The file has a header line, and no site below it."""

    code = "no_rows"


@dataclass(eq=False)
class TooManyRows(Refusal):
    """The file has more rows than one import takes."""

    code = "too_many_rows"

    most: int


def count_rows(data: bytes) -> int:
    """Return how many rows a list of sites has.

    Raises the reader's refusals (`missing_columns`, `empty_file`, `not_a_csv`), `NoRows` and
    `TooManyRows`.
    """
    count = sum(1 for _row in islice(read(data), ROWS_MAX + 1))
    if count == 0:
        raise NoRows
    if count > ROWS_MAX:
        raise TooManyRows(ROWS_MAX)
    return count


def ask_import(
    session: Session,
    which: UUID,
    data: bytes,
    *,
    rows: int,
    file: str,
    programme_code: str,
    all_or_nothing: bool,
    by: str,
    now: Moment,
) -> bool:
    """Ask for an import; False when this one was asked for before.

    Raises `not_found` for a programme that is not there, and `WorkReused`.
    """
    exist(session, programme.c.code, programme_code)
    asked = {
        "all_or_nothing": all_or_nothing,
        "file": file,
        "programme": programme_code,
    }
    return ask(session, AskWork(which, KIND, asked, rows, data), by=by, now=now)


class SiteListSteps:
    """An import laid out: the whole file is judged before the first row is kept.

    So all or nothing is decided at once, and a worker that goes on where another died finds the
    verdicts that the other found: they depend on the file and the day it was sent only.
    """

    def __init__(
        self, instance: Instance, code: str, asked: Work, given: bytes | None
    ) -> None:
        sent_on = Moment(asked.asked_at, instance.departement(code).zone).day
        self._asked = asked
        self._rows = judge(given or b"", imported_on=sent_on)
        self._refused = refused_lines(self._rows) if asked.request["all_or_nothing"] else ()

    def do(self, session: Session, start: int, now: Moment) -> Piece:
        """Keep the next rows, and report on each."""
        rows = self._rows[start : start + PIECE]
        by = self._asked.asked_by
        reports = [
            leave(row) if self._refused else keep(session, row, by=by, now=now)
            for row in rows
        ]
        return Piece(len(rows), [told(each) for each in reports])

    def outcome(self, session: Session) -> tuple[str | None, dict[str, Any]]:
        """Return how many rows came to what; `import_refused` where all or nothing came to nothing."""
        rows = results(session, self._asked.id)
        facts: dict[str, Any] = {
            "verdicts": dict(Counter(row["verdict"] for row in rows)),
            "kept": dict(Counter(row["kept"] for row in rows)),
        }
        if self._refused:
            return ImportRefused.code, facts | {"lines": self._named()}
        return None, facts

    def _named(self) -> list[str]:
        """Name the lines that are refused: the first ones, for a sentence."""
        lines = [str(line) for line in self._refused]
        return lines if len(lines) <= NAMED else [*lines[:NAMED], "…"]


def told(report: RowReport) -> dict[str, Any]:
    """Return what is kept of a report: codes for its sentences, cells no longer than a page shows."""
    return {
        "line": report.line,
        "id": report.id[:CELL_MAX],
        "name": report.name[:CELL_MAX],
        "verdict": report.verdict,
        "code": report.code,
        "corrections": list(dict.fromkeys(c.code for c in report.corrections)),
        "kept": report.kept,
    }


def row_sentence(m: Messages, code: str, corrections: Iterable[str]) -> str:
    """Return what became of a row, in a sentence, and one for each kind of correction."""
    sentences = [m.word("site", code), *(m.word("mend", each) for each in corrections)]
    return " ".join(dict.fromkeys(sentences))
