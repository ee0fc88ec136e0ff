"""Desks of prescribers: who holds carnets before people do."""

from dataclasses import dataclass
from uuid import UUID

import msgspec
from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from funding.insee import COMMUNE
from funding.models import programme, tranche
from funding.operations import be_free, exist
from issuance.models import desk, desk_programme, voucher_order
from issuance.orders import stock_gate
from issuance.ranges import Ranges, count_of
from issuance.siret import is_siret
from issuance.whereabouts import (
    CarnetsMissing,
    be_nowhere_between,
    move,
    order_of,
    where_are,
)
from ledger import gates
from ledger.attempts import Act, Answer, perform
from ledger.journal import must_record
from ledger.moments import Moment
from ledger.refusal import Refusal

LOT_MAX = 10_000


@dataclass(eq=False)
class DeskOutsideProgramme(Refusal):
    """The desk does not hand out for the programme of these carnets."""

    code = "desk_outside_programme"

    desk: str
    programme: str


@dataclass(eq=False)
class DeskImpossible(Refusal):
    """A desk that cannot be opened as it is told; `reason` says what is wrong."""

    code = "desk_impossible"

    reason: str


@dataclass(eq=False)
class DeskNowhere(Refusal):
    """Nobody told in which commune this desk is."""

    code = "desk_nowhere"

    desk: str


class OpenDesk(msgspec.Struct, frozen=True):
    """A prescriber's desk, and the programmes it hands out for; one named twice is named once.

    `siret` tells its establishment, whose first nine digits are its organisation; `commune` is
    the INSEE code of where it stands.
    """

    id: UUID
    code: str
    prescriber: str
    name: str
    programmes: tuple[str, ...]
    siret: str | None = None
    commune: str | None = None


class Deliver(msgspec.Struct, frozen=True):
    """A lot of carnets of one order, both ends included, brought to a desk."""

    id: UUID
    desk: str
    first_carnet: int
    last_carnet: int


def open_desk(session: Session, request: OpenDesk, *, by: str, now: Moment) -> Answer:
    """Open a desk; refused with `code_taken`, `not_found`, `desk_impossible`."""
    act = Act(request.id, "open_desk", by, now)

    def done() -> None:
        gates.alone(session)
        be_free(session, desk.c.code, request.code)
        programmes = tuple(dict.fromkeys(request.programmes))
        for code in programmes:
            exist(session, programme.c.code, code)
        if request.siret is not None and not is_siret(request.siret):
            raise DeskImpossible("desk_siret")
        if request.commune is not None and not COMMUNE.fullmatch(request.commune):
            raise DeskImpossible("desk_commune")
        told = msgspec.to_builtins(msgspec.structs.replace(request, programmes=programmes))
        facts = {k: v for k, v in told.items() if k != "id" and v is not None}
        must_record(session, [act.entry("desk_opened", facts)])
        session.execute(
            insert(desk).values(
                code=request.code,
                prescriber=request.prescriber,
                name=request.name,
                siret=request.siret,
                commune=request.commune,
                entry_id=act.id,
            )
        )
        if programmes:
            session.execute(
                insert(desk_programme),
                [
                    {"desk": request.code, "programme": code, "entry_id": act.id}
                    for code in programmes
                ],
            )

    return perform(session, act, request, done)


def deliver(session: Session, request: Deliver, *, by: str, now: Moment) -> Answer:
    """Bring a lot to a desk: only that desk hands it out from now on; passes stay inactive or not.

    Brought and signed for at once; what travels alone is sent and received (`issuance.transfers`).
    Refused with `not_found`, `carnets_missing`, `desk_outside_programme`, `carnet_on_the_way`.
    """
    act = Act(request.id, "deliver", by, now)

    def done() -> None:
        gates.alone(session)
        exist(session, desk.c.code, request.desk)
        lot: Ranges = ((request.first_carnet, request.last_carnet),)
        count = count_of(lot)
        if not 1 <= count <= LOT_MAX:
            raise CarnetsMissing(request.first_carnet, request.last_carnet)
        number = order_of(session, lot)
        serve(session, request.desk, number)
        # Hand-outs under way at the desk that these carnets leave come before.
        gates.take(session, stock_gate(number))
        before = where_are(session, lot)
        be_nowhere_between(before, before)
        facts = {
            "desk": request.desk,
            "order": number,
            "first_carnet": request.first_carnet,
            "last_carnet": request.last_carnet,
            "count": count,
        }
        must_record(session, [act.entry("delivered", facts)])
        move(session, lot, before, desk=request.desk, entry=act.id)

    return perform(session, act, request, done)


def serve(session: Session, code: str, order: int) -> None:
    """Raise `DeskOutsideProgramme` unless a desk hands out for the programme of an order."""
    programme = session.scalars(
        select(tranche.c.programme)
        .join(voucher_order, voucher_order.c.tranche == tranche.c.number)
        .where(voucher_order.c.number == order)
    ).one()
    served = select(desk_programme.c.desk).where(
        desk_programme.c.desk == code, desk_programme.c.programme == programme
    )
    if session.scalar(served) is None:
        raise DeskOutsideProgramme(code, programme)


def commune_of(session: Session, code: str) -> str:
    """Return the INSEE code of the commune where a desk is; refused with `not_found`, `desk_nowhere`."""
    exist(session, desk.c.code, code)
    commune: str | None = session.scalar(select(desk.c.commune).where(desk.c.code == code))
    if commune is None:
        raise DeskNowhere(code)
    return commune
