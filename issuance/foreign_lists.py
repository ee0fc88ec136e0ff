"""The list of a former operator's carnets, judged line by line before anything of it is taken over.

What is wrong with each line is told at once, so that a list is corrected once: a number given twice,
known already or of ours, a carnet known already, a value that is not the tranche's, a date that is past
or after what the tranche funds.  Numbers are looked for by their marks, and repeated nowhere.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Literal, NamedTuple

from sqlalchemy import Column, ColumnElement, select
from sqlalchemy.orm import Session

from funding.queries import calendar_in_force
from funding.tranches import TrancheRow, tranche_row
from issuance import codes, tokens
from issuance.foreign import NUMBER, TEXT_MAX, bare, mark
from issuance.keys import Signer
from issuance.models import foreign_carnet, foreign_qr, voucher
from issuance.serials import RANK_MAX, MalformedSerial, Serial
from ledger.refusal import Refusal

PASSES_MAX = 100_000
LABEL_MAX = 40
# A word for the operator, not its name: it goes into the journal.
OPERATOR = re.compile(r"[a-z0-9][a-z0-9-]{0,29}")
_AT_ONCE = 5_000

FaultCode = Literal[
    "cells",
    "carnet_missing",
    "carnet_long",
    "carnet_known",
    "carnet_large",
    "carnet_dates",
    "number_missing",
    "number_odd",
    "number_abbreviated",
    "number_rounded",
    "number_twice",
    "number_known",
    "number_ours",
    "qr_odd",
    "value_odd",
    "value_other",
    "day_odd",
    "day_past",
    "day_late",
]


@dataclass(eq=False)
class TakeOverImpossible(Refusal):
    """What is asked cannot be taken over, however its lines are corrected; `reason` says why."""

    code = "take_over_impossible"

    reason: str


class Fault(NamedTuple):
    """What is wrong with a line of the list; the number itself is not repeated."""

    line: int
    code: FaultCode


class ForeignPass(NamedTuple):
    """A pass of the former operator as the list tells it; `qr` where its QR code holds another text."""

    line: int
    carnet: str
    number: str
    qr: str | None
    face_cents: int
    use_by: date

    @property
    def texts(self) -> list[str]:
        """What opens it: its number, and what its QR code holds where that is something else."""
        if self.qr is None or bare(self.qr) == bare(self.number):
            return [self.number]
        return [self.number, self.qr]


class ForeignList(NamedTuple):
    """A list as it was read: its passes, what could not be read of it, and the SHA-256 of its file."""

    passes: Sequence[ForeignPass]
    faults: Sequence[Fault]
    file_sha256: bytes


class Lot(NamedTuple):
    """Carnets of one use-by date and one number of passes, by their labels: what becomes an order."""

    use_by: date
    size: int
    carnets: list[tuple[str, list[ForeignPass]]]


def judged(
    session: Session,
    listed: ForeignList,
    *,
    tranche: str,
    operator: str,
    signer: Signer,
    today: date,
) -> list[Fault]:
    """Return what is wrong with each line of a list, in the order of lines; only reads.

    Raises `NotFound`, and `TakeOverImpossible` for what no correction of a line would mend.
    """
    row = tranche_row(session, tranche)
    if not OPERATOR.fullmatch(operator):
        raise TakeOverImpossible("operator_word")
    if not listed.passes and not listed.faults:
        raise TakeOverImpossible("nothing_listed")
    if len(listed.passes) > PASSES_MAX:
        raise TakeOverImpossible("list_too_long")
    last_day = calendar_in_force(session, row.number).use_by
    faults = set(listed.faults)
    for one in listed.passes:
        faults |= {Fault(one.line, code) for code in _alone(one, row, today, last_day)}
    faults |= set(_carnets(session, operator, listed.passes))
    faults |= set(_numbers(session, listed.passes, signer))
    return sorted(faults)


def lots(passes: Iterable[ForeignPass]) -> list[Lot]:
    """Sort passes into carnets, and carnets into orders; C9 comes before C10."""
    carnets: dict[str, list[ForeignPass]] = defaultdict(list)
    for one in passes:
        carnets[bare(one.carnet)].append(one)
    found: dict[tuple[date, int], Lot] = {}
    for label in sorted(carnets, key=_naturally):
        held = carnets[label]
        key = held[0].use_by, len(held)
        found.setdefault(key, Lot(*key, [])).carnets.append((held[0].carnet, held))
    return [found[key] for key in sorted(found, key=lambda of: (of[0], -of[1]))]


def _naturally(label: str) -> list[tuple[int, int, str]]:
    parts = re.findall(r"[0-9]+|[^0-9]+", label)
    return [(0, int(p), "") if p[0] in "0123456789" else (1, 0, p) for p in parts]


def _alone(
    one: ForeignPass, row: TrancheRow, today: date, last_day: date
) -> Iterator[FaultCode]:
    """Yield what is wrong with a line whatever the others say."""
    if not bare(one.carnet):
        yield "carnet_missing"
    elif len(one.carnet) > LABEL_MAX:
        yield "carnet_long"
    if not bare(one.number):
        yield "number_missing"
    elif not NUMBER.fullmatch(bare(one.number)):
        yield "number_odd"
    if one.qr is not None and not 0 < len(one.qr) <= TEXT_MAX:
        yield "qr_odd"
    if one.face_cents != row.face_cents:
        yield "value_other"
    if one.use_by < today:
        yield "day_past"
    elif one.use_by > last_day:
        yield "day_late"


def _carnets(
    session: Session, operator: str, passes: Sequence[ForeignPass]
) -> Iterator[Fault]:
    """Yield the lines whose carnet is known already, or is no carnet."""
    carnets: dict[str, list[ForeignPass]] = defaultdict(list)
    for one in passes:
        carnets[bare(one.carnet)].append(one)
    theirs = foreign_carnet.c.operator == operator
    known = set(_known(session, foreign_carnet.c.found_by, list(carnets), theirs))
    for label, held in carnets.items():
        if label in known:
            yield from (Fault(one.line, "carnet_known") for one in held)
        if len(held) > RANK_MAX:
            yield Fault(held[RANK_MAX].line, "carnet_large")
        yield from (
            Fault(one.line, "carnet_dates") for one in held if one.use_by != held[0].use_by
        )


def _numbers(
    session: Session, passes: Sequence[ForeignPass], signer: Signer
) -> Iterator[Fault]:
    """Yield the lines whose number, or QR code, is another's, or ours."""
    marks: dict[bytes, int] = {}
    ours: dict[bytes, int] = {}
    for one in passes:
        for text in one.texts:
            if marks.setdefault(mark(signer.code_key, text), one.line) != one.line:
                yield Fault(one.line, "number_twice")
            if _is_ours(text, signer.departement):
                yield Fault(one.line, "number_ours")
            if (code := _as_code(text)) is not None:
                ours[codes.lookup_digest(signer.code_key, code)] = one.line
    for digest in _known(session, voucher.c.code_digest, list(marks)):
        yield Fault(marks[digest], "number_known")
    for digest in _known(session, foreign_qr.c.digest, list(marks)):
        yield Fault(marks[digest], "number_known")
    for digest in _known(session, voucher.c.code_digest, list(ours)):
        yield Fault(ours[digest], "number_ours")


def _is_ours(text: str, departement: str) -> bool:
    """Tell whether a text was copied from paper of ours: a serial of this département, or a token."""
    try:
        if Serial.parse(text).departement == departement:
            return True
    except MalformedSerial:
        pass
    try:
        tokens.from_text(text)
    except tokens.ForgedToken:
        return False
    return True


def _as_code(text: str) -> str | None:
    """Return the code of ours that a text could be: one in 32 of those of its length is well formed."""
    if not codes.looks_like_code(text):
        return None
    try:
        return codes.normalise(text)[1]
    except codes.MistypedCode:
        return None


def _known(
    session: Session,
    column: "Column[Any]",
    values: Sequence[Any],
    *where: ColumnElement[bool],
) -> Iterator[Any]:
    """Yield those of the values that a column holds."""
    for start in range(0, len(values), _AT_ONCE):
        some = values[start : start + _AT_ONCE]
        yield from session.scalars(select(column).where(column.in_(some), *where))
