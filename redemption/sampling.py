"""Samples of uses: announced in the log first, drawn afterwards, and drawn again by whoever doubts.

A sample stands on a published checkpoint, which nobody can change any more, and on a number of
the auditor's own, which nobody knew when it was published.  Its population is the uses that the
checkpoint holds and holds no undo of, in the order of the log, of one tranche or one call where
that is asked.  The announcement is an entry: it comes after all that it may draw, so nobody can
choose the entries once the seed is known, and a draw that was made and put aside still shows.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import exists, select
from sqlalchemy.orm import Session

from funding import queries as funds
from ledger import canonical, publishing
from ledger.attempts import Act, Answer, perform
from ledger.entries import entry_id
from ledger.journal import must_record
from ledger.models import account, entry, log_leaf
from ledger.moments import Moment
from ledger.queries import log_size
from ledger.receipts import EntryUnknown
from ledger.refusal import Refusal
from redemption.drawing import draw

ANNOUNCED = "sample_announced"
NUMBER_MAX = 10**40
AT_ONCE = 500


@dataclass(eq=False)
class CheckpointNotPublished(Refusal):
    """No checkpoint of this size was published: a sample stands on what others can have kept."""

    code = "checkpoint_not_published"
    kept = False

    size: int


@dataclass(eq=False)
class SampleSizeImpossible(Refusal):
    """Not a sample: none, or more entries than there are to draw from."""

    code = "sample_size_impossible"

    asked: int
    population: int


@dataclass(eq=False)
class SampleNumberImpossible(Refusal):
    """The auditor's number is below zero, or longer than forty figures."""

    code = "sample_number_impossible"


@dataclass(eq=False)
class SampleScopeDouble(Refusal):
    """A sample is of one tranche or of one call, not of both."""

    code = "sample_scope_double"


class AnnounceSample(msgspec.Struct, frozen=True):
    """What will be drawn: from which checkpoint, with the auditor's number, how many, of what.

    It has no id of its own: the same announcement is the same act.
    """

    checkpoint: int
    number: int
    size: int
    tranche: str | None = None
    call: str | None = None

    def told(self) -> dict[str, Any]:
        """Return it as entries and requests tell it; the number in figures, since it may be long."""
        told: dict[str, Any] = msgspec.structs.asdict(self)
        return told | {"number": str(self.number)}


class Drawn(msgspec.Struct, frozen=True):
    """One use of a sample, as its own entry tells it; `rank` counts from 1, `index` is its place in the log."""

    rank: int
    index: int
    entry: UUID
    serial: str
    day: date
    site: int
    site_name: str
    tranche: int
    cents: int


class Sample(msgspec.Struct, frozen=True):
    """A sample with all that is needed to draw it again."""

    announcement: UUID
    checkpoint: int
    root: str
    number: str
    tranche: str | None
    call: str | None
    population: int
    drawn: tuple[Drawn, ...]


def newest_checkpoint(session: Session) -> int:
    """Return the size of the newest published checkpoint, or raise `CheckpointNotPublished`."""
    shown = publishing.newest(session)
    if shown is None:
        raise CheckpointNotPublished(log_size(session))
    return shown.size


def announce(session: Session, request: AnnounceSample, *, by: str, now: Moment) -> Answer:
    """Record which sample will be drawn, before it is drawn; the same announcement again changes nothing.

    The id of the act is made from the request, so that a second one finds the first.  Refused
    with `sample_number_impossible`, `sample_scope_double`, `not_found` (a tranche or a call that
    the checkpoint does not hold), `sample_size_impossible`; raises `CheckpointNotPublished`,
    which leaves nothing, since that size may be published later.
    """
    asked = request.told()
    act = Act(_act_of(asked), "announce_sample", by, now)

    def done() -> None:
        if not 0 <= request.number < NUMBER_MAX:
            raise SampleNumberImpossible
        there = 0 <= request.checkpoint <= log_size(session)
        shown = publishing.at_size(session, request.checkpoint) if there else None
        if shown is None:
            raise CheckpointNotPublished(request.checkpoint)
        places = _population(session, request.checkpoint, request.tranche, request.call)
        if not 1 <= request.size <= len(places):
            raise SampleSizeImpossible(request.size, len(places))
        facts = asked | {"population": len(places), "root": shown.root.hex()}
        must_record(session, [act.entry(ANNOUNCED, facts)])

    return perform(session, act, asked, done)


def _act_of(asked: dict[str, Any]) -> UUID:
    named = canonical.digest(["announce_sample", asked])
    return entry_id(UUID(bytes=named[:16]), 1)


def sample(session: Session, announcement: UUID) -> Sample:
    """Draw the sample that an entry announced; only reads, and always draws the same.

    Raises `EntryUnknown` where no sample was announced by that entry.
    """
    body = session.scalar(
        select(entry.c.body).where(entry.c.id == announcement, entry.c.kind == ANNOUNCED)
    )
    if body is None:
        raise EntryUnknown(str(announcement))
    told = canonical.decode(body)["facts"]
    places = _population(session, told["checkpoint"], told["tranche"], told["call"])
    root, number = bytes.fromhex(told["root"]), int(told["number"])
    chosen = [places[k] for k in draw(root, number, len(places), told["size"])]
    bodies = _bodies(session, chosen)
    return Sample(
        announcement,
        told["checkpoint"],
        told["root"],
        told["number"],
        told["tranche"],
        told["call"],
        len(places),
        tuple(_drawn(rank, index, bodies[index]) for rank, index in enumerate(chosen, 1)),
    )


def _population(
    session: Session, size: int, tranche: str | None, call: str | None
) -> list[int]:
    """Return the places in the log of the uses among its first `size` entries that no undo among them takes back."""
    undo, undo_leaf = entry.alias(), log_leaf.alias()
    undone = (
        select(undo.c.id)
        .join(undo_leaf, undo_leaf.c.entry_id == undo.c.id)
        .where(
            undo.c.uses == "undo",
            undo.c.subject == entry.c.subject,
            undo.c.turn == entry.c.turn,
            undo_leaf.c.idx < size,
        )
    )
    chosen = (
        select(log_leaf.c.idx)
        .join(entry, entry.c.id == log_leaf.c.entry_id)
        .where(log_leaf.c.idx < size, entry.c.kind == "redeemed", ~exists(undone))
        .order_by(log_leaf.c.idx)
    )
    if tranche is not None or call is not None:
        if tranche is not None and call is not None:
            raise SampleScopeDouble
        rows = funds.tranches(session, code=tranche, of_call=call, known_by=size)
        books = [str(row.number) for row in rows]
        chosen = chosen.join(account, account.c.id == entry.c.debit_id).where(
            account.c.book.in_(books)
        )
    return list(session.scalars(chosen))


def _bodies(session: Session, places: Sequence[int]) -> dict[int, bytes]:
    found: dict[int, bytes] = {}
    for first in range(0, len(places), AT_ONCE):
        rows = session.execute(
            select(log_leaf.c.idx, entry.c.body)
            .join(entry, entry.c.id == log_leaf.c.entry_id)
            .where(log_leaf.c.idx.in_(places[first : first + AT_ONCE]))
        )
        found.update((idx, bytes(body)) for idx, body in rows)
    return found


def _drawn(rank: int, index: int, body: bytes) -> Drawn:
    told = canonical.decode(body)
    facts = told["facts"]
    return Drawn(
        rank,
        index,
        UUID(told["id"]),
        facts["serial"],
        date.fromisoformat(told["on"]),
        facts["site"],
        facts["site_name"],
        facts["tranche"],
        told["cents"],
    )
