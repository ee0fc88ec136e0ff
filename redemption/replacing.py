"""Lost or stolen, and made again: one act ends what is left of a hand-out and gives as many new passes.

Only of that hand-out: what was split off to someone else in the same carnet stays theirs.  The
money does not move, nothing is counted again, the dates stay: the person has what they had, on
other paper.  Each new pass says which one it replaces, each old one which one replaces it.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from typing import Any, Literal
from uuid import UUID

import msgspec
from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from funding.models import tranche
from funding.queries import calendar_in_force
from issuance.hand_outs import CarnetUnknown, SpecimenNotHandedOut
from issuance.keys import Signer
from issuance.models import carnet, handed_out, voucher
from issuance.orders import OrderRow, circulating_gate, order_row
from issuance.queries import REPLACEMENT, first_hand_out
from issuance.replacements import NewPaper, number_paper, write_paper
from issuance.serials import RANK_MAX, Serial, serials_hash
from issuance.words import carnets_of
from ledger import canonical, gates
from ledger.attempts import Act, Answer, perform
from ledger.entries import Entry, Right
from ledger.journal import must_record
from ledger.models import entry
from ledger.moments import Moment
from ledger.refusal import Refusal
from redemption import presented
from redemption.counter import spenders
from redemption.presented import PassRow

Loss = Literal["lost", "stolen", "damaged"]
GIVES = ("handed_out", REPLACEMENT)


@dataclass(eq=False)
class HandOutUnknown(Refusal):
    """No hand-out has this id."""

    code = "hand_out_unknown"

    hand_out: str


@dataclass(eq=False)
class CarnetNotHandedOut(Refusal):
    """Nobody was given a pass of this carnet: it can be blocked, there is nobody to make it again for."""

    code = "carnet_not_handed_out"

    carnet: int


@dataclass(eq=False)
class WordsUnknown(Refusal):
    """No carnet that was handed out bears these two words; they are not repeated here."""

    code = "words_unknown"


@dataclass(eq=False)
class SeveralHandOuts(Refusal):
    """The carnet was shared among several people, or the words are of several carnets: say whose."""

    code = "several_hand_outs"

    hand_outs: tuple[str, ...]


@dataclass(eq=False)
class HandedOutElsewhere(Refusal):
    """Another desk handed it out: that desk replaces it, or the département."""

    code = "handed_out_elsewhere"

    desk: str


@dataclass(eq=False)
class TooLateToReplace(Refusal):
    """The last workshop day of the tranche is past: a new pass could not be used."""

    code = "too_late_to_replace"

    tolerance_until: date


@dataclass(eq=False)
class HandOutLapsed(Refusal):
    """What circulated of this order has lapsed."""

    code = "hand_out_lapsed"

    order: int


@dataclass(eq=False)
class NothingToReplace(Refusal):
    """Every pass of the hand-out is used, blocked or replaced already."""

    code = "nothing_to_replace"


@dataclass(eq=False)
class HandOutTooLarge(Refusal):
    """More passes are left than one carnet can have."""

    code = "hand_out_too_large"

    count: int
    most: int


class ReplaceHandOut(msgspec.Struct, frozen=True):
    """A hand-out, or an earlier replacement, whose paper is gone; without a desk, the département asks."""

    id: UUID
    hand_out: UUID
    desk: str | None = None
    reason: Loss = "lost"


@dataclass(frozen=True)
class Given:
    """Passes that one person was given together, by a hand-out or by a replacement, as they stand.

    `carnets` are those that they are of, `left` the passes that are not used, `replaced_by` the
    carnets that took the place of some.
    """

    id: UUID
    on: date
    desk: str
    programme: str
    carnets: tuple[int, ...]
    count: int
    left: tuple[str, ...]
    face_cents: int
    replaced_by: tuple[int, ...]

    @property
    def unused(self) -> int:
        """How many passes are not used."""
        return len(self.left)


def replace_hand_out(
    session: Session, request: ReplaceHandOut, *, signer: Signer, by: str, now: Moment
) -> Answer:
    """End each pass of a hand-out that is not used, and make as many new ones for the same person.

    The new ones are a carnet of their own order, active and handed out by this act, of the same
    tranche, value and dates.  The last workshop day in force decides, not the last hand-out day:
    nothing is handed out anew.  Refused with `hand_out_unknown`, `handed_out_elsewhere`,
    `too_late_to_replace`, `hand_out_lapsed`, `nothing_to_replace`, `hand_out_too_large`,
    `signing_key_revoked`.
    """
    act = Act(request.id, "replace_hand_out", by, now)

    def done() -> None:
        # A key is revoked alone: its entry lists every order that it signs.
        gates.hold(session, [gates.REFERENCE])
        gave = _gave(session, request.hand_out)
        desk = gave["desk"]
        if request.desk not in (None, desk):
            raise HandedOutElsewhere(desk)
        order = order_row(session, gave["order"])
        last_day = calendar_in_force(session, order.tranche).tolerance_until
        if now.day > last_day:
            raise TooLateToReplace(last_day)
        # Alone with the order's passes: a scan came before, or finds them replaced; had one of
        # them been spent meanwhile, the whole act would have to begin again.
        if gates.take(session, circulating_gate(order.number)).closed_by is not None:
            raise HandOutLapsed(order.number)
        left = [row for row in _rows(session, request.hand_out) if not row.held]
        if not left:
            raise NothingToReplace
        if len(left) > RANK_MAX:
            raise HandOutTooLarge(len(left), RANK_MAX)
        paper = number_paper(session, order, len(left), signer=signer, act=act.id)
        root = first_hand_out(session, request.hand_out)
        # In two steps: whoever reads the log finds first what replaces, then each that is replaced.
        must_record(session, [_summary(act, request, order, paper, left, desk, root)])
        must_record(session, _ended(act, request, order, paper, left))
        write_paper(session, paper, signer=signer)

    return perform(session, act, request, done)


def _summary(
    act: Act,
    request: ReplaceHandOut,
    old: OrderRow,
    paper: NewPaper,
    left: list[PassRow],
    desk: str,
    root: UUID,
) -> Entry:
    order = paper.order
    facts = {
        "basis": paper.basis,
        "carnet_size": order.carnet_size,
        "carnets": order.carnets,
        "commitment_number": paper.commitment_number,
        "count": len(left),
        "desk": desk,
        "face_cents": order.face_cents,
        "first_carnet": order.first_carnet,
        "from_order": old.number,
        "hand_out": str(root),
        "key_id": order.key_id,
        "order": order.number,
        "reason": request.reason,
        "replaces": [row.serial for row in left],
        "serials": paper.serials,
        "serials_sha256": serials_hash(paper.serials),
        "specimen": order.specimen,
        "tranche": order.tranche,
    }
    right = Right("activate", f"order/{order.number}", 0)
    return act.entry(REPLACEMENT, facts, right=right)


def _ended(
    act: Act, request: ReplaceHandOut, old: OrderRow, paper: NewPaper, left: list[PassRow]
) -> list[Entry]:
    return [
        act.entry(
            "replaced",
            {
                "reason": request.reason,
                "replaced_by": new,
                "serial": row.serial,
                "tranche": old.tranche,
            },
            rank=rank,
            right=Right("spend", row.serial, row.turn),
        )
        for rank, (row, new) in enumerate(zip(left, paper.serials, strict=True), 1)
    ]


def _gave(session: Session, hand_out: UUID) -> dict[str, Any]:
    """Return the facts of an entry that gave passes to someone, or raise `HandOutUnknown`."""
    body = session.scalar(
        select(entry.c.body).where(entry.c.id == hand_out, entry.c.kind.in_(GIVES))
    )
    if body is None:
        raise HandOutUnknown(str(hand_out))
    facts: dict[str, Any] = canonical.decode(body)["facts"]
    return facts


def _rows(session: Session, hand_out: UUID) -> list[PassRow]:
    """Return the passes that an entry gave, in the order of their numbers."""
    serials = session.scalars(
        select(handed_out.c.serial)
        .join(voucher, voucher.c.serial == handed_out.c.serial)
        .where(handed_out.c.entry_id == hand_out)
        .order_by(voucher.c.carnet, voucher.c.rank)
    ).all()
    known = presented.passes(session, serials)
    return [known[serial] for serial in serials]


def given_of_carnet(session: Session, number: int) -> list[Given]:
    """Return who, so to speak, was given passes of a carnet: one line a person, in order of time.

    Refused with `carnet_unknown`, `specimen_not_handed_out`, `carnet_not_handed_out`.
    """
    of = session.scalar(select(carnet.c.order_number).where(carnet.c.number == number))
    if of is None:
        raise CarnetUnknown(str(number))
    if order_row(session, of).specimen:
        raise SpecimenNotHandedOut(of)
    found = _given(session, [number])
    if not found:
        raise CarnetNotHandedOut(number)
    return found


def given_at_once(session: Session, hand_out: UUID) -> Given:
    """Return what one hand-out, or one replacement, gave; refused with `hand_out_unknown`."""
    found = _as_given(session, select(entry.c.id).where(entry.c.id == hand_out))
    if not found:
        raise HandOutUnknown(str(hand_out))
    return found[0]


def given_of_words(session: Session, first: str, second: str) -> list[Given]:
    """Return the same by the two words of the stub, which may be of several carnets.

    Refused with `words_unknown`.
    """
    newest = session.scalar(select(func.max(carnet.c.number))) or 0
    found = _given(session, carnets_of(first, second, newest))
    if not found:
        raise WordsUnknown
    return found


def the_only_one(found: Iterable[Given]) -> Given:
    """Return the only one of these, or the last where none has passes left; else raise `SeveralHandOuts`.

    Of several, that one alone has passes left says nothing: it may be someone else's, and the
    person's own be used or replaced already.
    """
    every = list(found)
    left = [given for given in every if given.unused]
    if left and len(every) > 1:
        raise SeveralHandOuts(tuple(str(given.id) for given in left))
    return every[-1]


def _given(session: Session, carnets: list[int]) -> list[Given]:
    return _as_given(
        session,
        select(handed_out.c.entry_id)
        .join(voucher, voucher.c.serial == handed_out.c.serial)
        .where(voucher.c.carnet.in_(carnets))
        .distinct(),
    )


def _as_given(session: Session, gave: Select[tuple[UUID]]) -> list[Given]:
    rows = session.execute(
        select(entry.c.id, entry.c.occurred_on, entry.c.body)
        .where(entry.c.id.in_(gave), entry.c.kind.in_(GIVES))
        .order_by(entry.c.recorded_at, entry.c.id)
    ).all()
    return [
        _as_it_stands(session, row.id, row.occurred_on, canonical.decode(row.body)["facts"])
        for row in rows
    ]


def _as_it_stands(
    session: Session, identifier: UUID, on: date, facts: dict[str, Any]
) -> Given:
    programme, face_cents = session.execute(
        select(tranche.c.programme, tranche.c.face_cents).where(
            tranche.c.number == facts["tranche"]
        )
    ).one()
    passes = _rows(session, identifier)
    ended = spenders(session, [row for row in passes if row.held])
    replaced_by = {
        Serial.parse(holder.facts["replaced_by"]).carnet
        for holder in ended.values()
        if holder.kind == "replaced"
    }
    return Given(
        id=identifier,
        on=on,
        desk=facts["desk"],
        programme=programme,
        carnets=tuple(sorted({Serial.parse(row.serial).carnet for row in passes})),
        count=len(passes),
        left=tuple(row.serial for row in passes if not row.held),
        face_cents=face_cents,
        replaced_by=tuple(sorted(replaced_by)),
    )
