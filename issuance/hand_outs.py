"""Handing out: a pass leaves a desk for a person, and only then can be spent.

The entry says whether the person belongs to the PIC publics and how strong the proof is; the
category and the need level go to the vault, and the entry keeps a salted commitment of them.
A name is asked for only by a tranche with a reason: a limit per person, which keeps a keyed mark
of it (`issuance.limits`), or European money, which has it kept in the vault.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Literal
from uuid import UUID

import msgspec
from sqlalchemy import insert, select
from sqlalchemy.dialects import postgresql
from sqlalchemy.orm import Session

from funding.hand_out_rules import HandOutRules, hand_out_rules
from funding.models import target_public
from funding.operations import exist
from funding.queries import calendar_in_force
from issuance import limits
from issuance.given_days import When, when_given
from issuance.holders import Holder, HolderNeeded
from issuance.limits import DespiteLimit
from issuance.models import (
    activation,
    carnet,
    desk,
    hand_out,
    handed_out,
    voucher,
)
from issuance.orders import OrderRow, StockLapsed, circulating_gate, order_row, stock_gate
from issuance.ranges import ranges_of
from issuance.serials import Serial, serials_hash
from issuance.vault import Salted, new_person, put, salted
from issuance.whereabouts import STORE, be_nowhere_between, where_are
from ledger import gates
from ledger.accounts import account_name
from ledger.attempts import Act
from ledger.bulk import is_postgres
from ledger.journal import must_record
from ledger.refusal import Refusal
from ledger.sealing import Sealer

# The Les Bons Clics levels: excluded, far from digital, nearly autonomous (7, 19, 14 % of people).
Need = Literal["assist", "train", "boost"]
Proof = Literal["declared", "attested", "document_seen", "data_exchange"]


@dataclass(eq=False)
class CarnetUnknown(Refusal):
    """No pass of this département has such a serial or carnet."""

    code = "carnet_unknown"

    asked: str


@dataclass(eq=False)
class CarnetAndPasses(Refusal):
    """A hand-out names a carnet or single passes: with both, nobody knows what was given."""

    code = "carnet_and_passes"


@dataclass(eq=False)
class PassesOfSeveralOrders(Refusal):
    """One hand-out is of one order; give the others in another one."""

    code = "passes_of_several_orders"


@dataclass(eq=False)
class SpecimenNotHandedOut(Refusal):
    """A specimen is worth nothing, and is handed out to nobody."""

    code = "specimen_not_handed_out"

    order: int


@dataclass(eq=False)
class NotAtThisDesk(Refusal):
    """The carnet is at another desk, or was delivered to none."""

    code = "not_at_this_desk"

    carnet: int
    desk: str


@dataclass(eq=False)
class OrderNotActive(Refusal):
    """The commitment number of the order is not recorded yet."""

    code = "order_not_active"

    order: int


@dataclass(eq=False)
class HandOutStopped(Refusal):
    """The last hand-out day of the tranche is past."""

    code = "hand_out_stopped"

    stopped_on: date


@dataclass(eq=False)
class NotAtThisSite(Refusal):
    """The site is another organisation's than the desk, and the tranche lets no desk hand out there."""

    code = "not_at_this_site"

    site: str


@dataclass(eq=False)
class AlreadyHandedOut(Refusal):
    """Some of these passes left the desk already."""

    code = "already_handed_out"

    serials: tuple[str, ...]


@dataclass(eq=False)
class PublicNotTargeted(Refusal):
    """The tranche is for other publics; the category itself is not repeated here."""

    code = "public_not_targeted"

    publics: tuple[str, ...]


class HandOut(msgspec.Struct, frozen=True):
    """A carnet, or single passes of it, given to one person.

    With a carnet number, whatever the carnet still holds is given.  `given_on` is the day of a
    hand-out that is recorded late, today unless told.  `holder` and what else is told of the
    person (`category`, `need`) go to the vault only.  `despite_limit` says why a limit per
    person does not hold: it is another person, or the département decided.  `at_site` is the
    site at whose counter the desk gives, by its number, or as text that somebody typed; `given_at`
    is the instant by the clock of a device that was without a network.
    """

    id: UUID
    desk: str
    pic: bool
    proof: Proof
    carnet: int | None = None
    serials: tuple[str, ...] = ()
    category: str | None = None
    need: Need | None = None
    given_on: date | None = None
    holder: Holder | None = None
    despite_limit: DespiteLimit | None = None
    at_site: str | int | None = None
    given_at: datetime | None = None


def give(
    session: Session, act: Act, request: HandOut, sealer: Sealer, at_site: int | None = None
) -> tuple[OrderRow, list[str]]:
    """Hand out, inside the act of the caller; return the order and the serials given.

    What is told of the person goes to the vault, as a person of their own: two hand-outs are
    not known to be to the same one, but where the tranche limits what one person gets.  The
    entry is of the day the paper was given; recorded later, it says so.  `at_site` is the number
    of the site of the request, which the caller has judged.
    Telling something without a master key is refused with `vault_locked`, `limit_per_person`
    and `holder_needed` wait for more to be told: no answers for ever.  Refused with `carnet_and_passes`, `carnet_unknown`, `passes_of_several_orders`, `specimen_not_handed_out`,
    `not_at_this_desk`, `carnet_on_the_way`, `order_not_active`, `hand_out_stopped`, `public_not_targeted`,
    `stock_lapsed`, `already_handed_out`, `given_on_impossible`.
    """
    exist(session, desk.c.code, request.desk)
    serials, carnets = _asked(session, request)
    order = _one_order(session, carnets)
    rules = hand_out_rules(session, order.tranche)
    # Held before looking: carnets leave a desk alone with their stock.
    held = gates.hold(session, [stock_gate(order.number), circulating_gate(order.number)])
    on, at, clock = _be_ready(session, act, request, order, carnets, rules)
    if any(gate.closed_by is not None for gate in held.values()):
        raise StockLapsed(order.number)
    gates.in_turn(session, map(waits_for, serials))
    serials = _still_here(session, request, serials)
    content = _content(request, rules)
    mark, despite = _mark(session, act, request, rules, sealer), None
    if mark is not None and rules.limit_per_person is not None:
        despite = limits.be_within(
            session,
            mark,
            tranche=order.tranche,
            passes=len(serials),
            limit=rules.limit_per_person,
            despite=request.despite_limit,
        )
    late = on != act.now.day
    book = str(order.tranche)
    facts = {
        "carnets": sorted(carnets),
        "commitment": None if content is None else content.commitment,
        "count": len(serials),
        "desk": request.desk,
        "order": order.number,
        "pic": request.pic,
        "proof": request.proof,
        "serials": serials,
        "serials_sha256": serials_hash(serials),
        "tranche": order.tranche,
    }
    # Told only where they are, so that most hand-outs say what they always said.
    if late:
        facts["recorded_late"] = True
    if clock is not None:
        facts["device_clock"] = clock
    if at_site is not None:
        facts["at_site"] = at_site
    if despite is not None:
        facts["despite_limit"] = despite
    must_record(
        session,
        [
            act.entry(
                "handed_out",
                facts,
                credit=account_name("stock", book),
                debit=account_name("circulating", book),
                cents=len(serials) * order.face_cents,
                on=on,
                at=at,
            )
        ],
    )
    mark_handed_out(session, serials, act.id)
    session.execute(
        insert(hand_out).values(
            entry_id=act.id,
            order_number=order.number,
            tranche=order.tranche,
            desk=request.desk,
            pic=request.pic,
            proof=request.proof,
            passes=len(serials),
            given_on=on,
            recorded_late=late,
            despite_limit=despite,
            at_site=at_site,
        )
    )
    person = None
    if mark is not None:
        other = despite == "other_person"
        person = limits.person_marked(session, sealer, mark, other=other, now=act.now)
        limits.count(
            session,
            mark,
            person=person.id,
            entry=act.id,
            tranche=order.tranche,
            passes=len(serials),
        )
    if content is not None:
        person = person or new_person(session, sealer, now=act.now)
        put(session, person, "hand_out", content, entry=act.id, now=act.now)
    return order, serials


def _mark(
    session: Session, act: Act, request: HandOut, rules: HandOutRules, sealer: Sealer
) -> bytes | None:
    """Return the mark of the person where a limit counts them; raise `HolderNeeded` where nobody is told."""
    if rules.limit_per_person is None:
        if rules.holders_named and request.holder is None:
            raise HolderNeeded("esf")
        return None
    if request.holder is None:
        raise HolderNeeded("limit")
    return limits.mark_of(limits.the_secret(session, sealer, now=act.now), request.holder)


def _asked(session: Session, request: HandOut) -> tuple[list[str], set[int]]:
    """Return the serials that are asked for, in order of rank, and their carnets."""
    if request.carnet is not None:
        if request.serials:
            raise CarnetAndPasses
        found = session.scalars(
            select(voucher.c.serial)
            .where(voucher.c.carnet == request.carnet)
            .order_by(voucher.c.rank)
        )
        serials = list(found)
        if not serials:
            raise CarnetUnknown(str(request.carnet))
        return serials, {request.carnet}
    serials = [str(serial) for serial in sorted({Serial.parse(s) for s in request.serials})]
    rows = session.execute(
        select(voucher.c.serial, voucher.c.carnet).where(voucher.c.serial.in_(serials))
    )
    known = dict(rows.all())
    for serial in serials:
        if serial not in known:
            raise CarnetUnknown(serial)
    if not serials:
        raise CarnetUnknown("")
    return serials, set(known.values())


def _one_order(session: Session, carnets: set[int]) -> OrderRow:
    orders = set(
        session.scalars(select(carnet.c.order_number).where(carnet.c.number.in_(carnets)))
    )
    if len(orders) != 1:
        raise PassesOfSeveralOrders
    order = order_row(session, orders.pop())
    if order.specimen:
        raise SpecimenNotHandedOut(order.number)
    return order


def _be_ready(
    session: Session,
    act: Act,
    request: HandOut,
    order: OrderRow,
    carnets: set[int],
    rules: HandOutRules,
) -> When:
    """Return when the hand-out was, once desk, order, day and public are found good."""
    where = where_are(session, ranges_of(carnets))
    be_nowhere_between(where, sorted(carnets))
    for number in sorted(carnets):
        if where.get(number, STORE).desk != request.desk:
            raise NotAtThisDesk(number, request.desk)
    active = select(activation.c.order_number).where(
        activation.c.order_number == order.number
    )
    if session.scalar(active) is None:
        raise OrderNotActive(order.number)
    when = when_given(
        session, request.given_on, request.given_at, order.number, rules, act.now
    )
    stop = calendar_in_force(session, order.tranche).hand_out_stop
    if when.on > stop:
        raise HandOutStopped(stop)
    publics = tuple(
        session.scalars(
            select(target_public.c.public)
            .where(target_public.c.tranche == order.tranche)
            .order_by(target_public.c.public)
        )
    )
    if publics and request.category not in publics:
        raise PublicNotTargeted(publics)
    return when


def _still_here(session: Session, request: HandOut, serials: list[str]) -> list[str]:
    gone = set(
        session.scalars(select(handed_out.c.serial).where(handed_out.c.serial.in_(serials)))
    )
    if request.serials and gone:
        raise AlreadyHandedOut(tuple(sorted(gone)))
    left = [serial for serial in serials if serial not in gone]
    if not left:
        raise AlreadyHandedOut(tuple(serials))
    return left


def _content(request: HandOut, rules: HandOutRules) -> Salted | None:
    """Return what the vault keeps and the entry commits to; nothing if nothing is told.

    A name is kept only where the tranche asks for names: a limit needs its mark alone.
    """
    told: dict[str, Any] = {"category": request.category, "need": request.need}
    if rules.holders_named and request.holder is not None:
        told["holder"] = msgspec.to_builtins(request.holder)
    return salted(told) if any(value is not None for value in told.values()) else None


def waits_for(serial: str) -> str:
    """Return in whose name a scan that comes before its hand-out, and that hand-out, take turns."""
    return f"hand_out/{serial}"


def mark_handed_out(session: Session, serials: Sequence[str], entry: UUID) -> None:
    """Write that these passes left the stock by this entry, or raise `AlreadyHandedOut`."""
    rows = [{"serial": serial, "entry_id": entry} for serial in serials]
    if not is_postgres(session):  # the only writer, who has just looked
        session.execute(insert(handed_out), rows)
        return
    written = session.scalars(
        postgresql.insert(handed_out)
        .values(rows)
        .on_conflict_do_nothing()
        .returning(handed_out.c.serial)
    ).all()
    if len(written) != len(serials):
        raise AlreadyHandedOut(tuple(sorted(set(serials) - set(written))))
