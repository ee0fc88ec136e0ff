"""What a prescriber's signature says: these persons were shown to belong to the publics that were told.

A hand-out may rest on the desk's word.  The desk prints the list of such hand-outs, signs it, and files the
signed paper by its hash: the file itself is not kept.  A hand-out is covered once.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date
from hashlib import sha256
from typing import Any, BinaryIO, Literal, NamedTuple
from uuid import UUID

import msgspec
from sqlalchemy import ColumnElement, Select, func, insert, select
from sqlalchemy.orm import Session

from funding.models import tranche
from funding.operations import exist, in_order
from issuance.holdings import held_by
from issuance.models import attestation, attested, desk, hand_out, handed_out
from issuance.orders import stock_gate
from issuance.serials import serials_hash
from ledger import gates
from ledger.attempts import Act, Answer, perform
from ledger.entries import Right
from ledger.journal import must_record
from ledger.models import entry
from ledger.moments import Moment
from ledger.refusal import Refusal

FILE_MAX = 20_000_000
_PIECE = 1 << 16


@dataclass(eq=False)
class AttestationUnreadable(Refusal):
    """There is nothing in the file, or more of it than a signed paper takes."""

    code = "attestation_unreadable"
    kept = False

    reason: Literal["empty", "too_large"]


@dataclass(eq=False)
class AttestationFiled(Refusal):
    """The same file was filed on that day."""

    code = "attestation_filed_already"

    on: date


@dataclass(eq=False)
class NothingToAttest(Refusal):
    """The desk gave nothing on these days that rests on its word and is not covered yet."""

    code = "nothing_to_attest"

    desk: str


@dataclass(eq=False)
class AttestationListChanged(Refusal):
    """The desk's hand-outs of these days are not those of the list that was signed."""

    code = "attestation_list_changed"


class SignedPaper(NamedTuple):
    """A file as it is kept: its SHA-256 in hexadecimal, and how many bytes it has."""

    sha256: str
    size: int


class FileAttestation(msgspec.Struct, frozen=True):
    """A paper that a desk signed for its hand-outs from a day until another, both included.

    `listed`, where it is told, is the hash of the hand-outs on the list that was signed.
    """

    id: UUID
    desk: str
    from_day: date
    until_day: date
    paper: SignedPaper
    listed: str | None = None


class ToAttest(NamedTuple):
    """A hand-out of a list to sign: nobody is named."""

    given_on: date
    hand_out: UUID
    tranche: str
    pic: bool
    serials: Sequence[str]


class Standing(NamedTuple):
    """How many hand-outs of a desk rest on its word and are covered by no paper; since which day."""

    desk: str
    hand_outs: int
    passes: int
    since: date


class Filed(NamedTuple):
    """A paper that was filed, and how many hand-outs it covers."""

    desk: str
    from_day: date
    until_day: date
    hand_outs: int
    filed_on: date
    sha256: str


def read_paper(file: BinaryIO) -> SignedPaper:
    """Return what is kept of a file, read piece by piece; refused with `attestation_unreadable`."""
    size, told = 0, sha256()
    while piece := file.read(_PIECE):
        size += len(piece)
        if size > FILE_MAX:
            raise AttestationUnreadable("too_large")
        told.update(piece)
    if not size:
        raise AttestationUnreadable("empty")
    return SignedPaper(told.hexdigest(), size)


def hand_outs_hash(hand_outs: Sequence[UUID]) -> str:
    """Return the SHA-256 of the ids of hand-outs, in order, one a line."""
    return serials_hash(str(one) for one in hand_outs)


def file_attestation(
    session: Session, request: FileAttestation, *, by: str, now: Moment
) -> Answer:
    """File a signed paper: it covers what the desk gave on its word on these days and no paper covers yet.

    Hand-outs under way at the desk come before.  Refused with `not_found`, `days_out_of_order` (a day
    to come included), `attestation_filed_already`, `nothing_to_attest`,
    `attestation_list_changed`.
    """
    act = Act(request.id, "file_attestation", by, now)

    def done() -> None:
        gates.alone(session)
        exist(session, desk.c.code, request.desk)
        in_order(request.from_day, request.until_day, now.day)
        filed = session.scalar(
            select(entry.c.occurred_on).where(
                entry.c.uses == "attest", entry.c.subject == request.paper.sha256
            )
        )
        if filed is not None:
            raise AttestationFiled(filed)
        for key in sorted({stock_gate(s.order) for s in held_by(session, request.desk)}):
            gates.take(session, key)
        days = hand_out.c.given_on.between(request.from_day, request.until_day)
        rows = session.execute(
            _uncovered(hand_out.c.given_on, hand_out.c.entry_id).where(
                hand_out.c.desk == request.desk, days
            )
        )
        covered = [one for _, one in sorted((on, str(one)) for on, one in rows)]
        if not covered:
            raise NothingToAttest(request.desk)
        ids = [UUID(one) for one in covered]
        if request.listed not in (None, hand_outs_hash(ids)):
            raise AttestationListChanged
        facts = {
            "desk": request.desk,
            "from": request.from_day,
            "hand_outs": len(ids),
            "hand_outs_sha256": hand_outs_hash(ids),
            "sha256": request.paper.sha256,
            "size": request.paper.size,
            "until": request.until_day,
        }
        right = Right("attest", request.paper.sha256, 0)
        must_record(session, [act.entry("attestation_filed", facts, right=right)])
        session.execute(
            insert(attestation).values(
                entry_id=act.id,
                desk=request.desk,
                from_day=request.from_day,
                until_day=request.until_day,
                sha256=request.paper.sha256,
            )
        )
        session.execute(
            insert(attested), [{"hand_out": one, "entry_id": act.id} for one in ids]
        )

    return perform(session, act, request, done)


def standings(
    session: Session, *, programmes: Collection[str] | None = None
) -> list[Standing]:
    """Return the desks whose hand-outs wait for a signed paper, by code; of some programmes alone, or of all."""
    chosen = (
        _uncovered(
            hand_out.c.desk,
            func.count(),
            func.sum(hand_out.c.passes),
            func.min(hand_out.c.given_on),
        )
        .group_by(hand_out.c.desk)
        .order_by(hand_out.c.desk)
    )
    rows = session.execute(_of(chosen, programmes))
    return [Standing(code, int(n), int(passes), since) for code, n, passes, since in rows]


def filed(session: Session, *, most: int | None = None) -> list[Filed]:
    """Return the papers that were filed, the newest first."""
    rows = session.execute(
        select(
            attestation.c.desk,
            attestation.c.from_day,
            attestation.c.until_day,
            select(func.count())
            .where(attested.c.entry_id == attestation.c.entry_id)
            .correlate(attestation)
            .scalar_subquery(),
            entry.c.occurred_on,
            attestation.c.sha256,
        )
        .join(entry, entry.c.id == attestation.c.entry_id)
        .order_by(entry.c.recorded_at.desc(), attestation.c.entry_id)
        .limit(most)
    )
    return [Filed._make(row) for row in rows]


def to_attest(
    session: Session,
    code: str,
    first: date,
    last: date,
    *,
    programmes: Collection[str] | None = None,
) -> list[ToAttest]:
    """Return what a desk gave on its word on these days and no paper covers yet, in order of days."""
    chosen = _of(
        _uncovered(
            hand_out.c.given_on, hand_out.c.entry_id, tranche.c.code, hand_out.c.pic
        ).where(hand_out.c.desk == code, hand_out.c.given_on.between(first, last)),
        programmes,
    )
    rows = sorted(session.execute(chosen).all(), key=lambda row: (row[0], str(row[1])))
    serials: dict[UUID, list[str]] = {row[1]: [] for row in rows}
    given = (
        select(handed_out.c.entry_id, handed_out.c.serial)
        .join(hand_out, hand_out.c.entry_id == handed_out.c.entry_id)
        .where(hand_out.c.desk == code, hand_out.c.given_on.between(first, last))
        .order_by(handed_out.c.serial)
    )
    for one, serial in session.execute(given):
        if one in serials:
            serials[one].append(serial)
    return [ToAttest(on, one, of, pic, serials[one]) for on, one, of, pic in rows]


def _uncovered(*columns: ColumnElement[Any]) -> Select[Any]:
    return (
        select(*columns)
        .select_from(hand_out)
        .join(tranche, tranche.c.number == hand_out.c.tranche)
        .outerjoin(attested, attested.c.hand_out == hand_out.c.entry_id)
        .where(hand_out.c.proof == "attested", attested.c.hand_out.is_(None))
    )


def _of(chosen: Select[Any], programmes: Collection[str] | None) -> Select[Any]:
    if programmes is None:
        return chosen
    return chosen.where(tranche.c.programme.in_(programmes))
