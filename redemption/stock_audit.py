"""The nightly doubt, on the side of stock: each pass is in one place, and each carnet where its entries left it.

    made = in stock + in people's hands + used + blocked + replaced + voided

for each order and each holder; of an order that lapsed, what is left at a stage is what lapsed there.
"""

from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple

from sqlalchemy import and_, case, func, select
from sqlalchemy.orm import Session

from issuance.models import handed_out, voucher
from issuance.ranges import Ranges, numbers_of, read_ranges
from issuance.whereabouts import moves
from ledger import canonical
from ledger.audit import CHUNK, Check, Finding
from ledger.models import entry
from redemption.presented import held_spend


class Place(NamedTuple):
    """The passes of an order whose carnets are with one holder: a desk, a transfer, or the store."""

    order: int
    desk: str | None
    transfer: int | None
    made: int
    in_stock: int
    in_hand: int
    ended: int
    voided: int


def places(session: Session) -> list[Place]:
    """Count the passes of each order with each holder, by what became of them."""
    moved = moves().subquery()
    rank = func.row_number().over(partition_by=moved.c.carnet, order_by=moved.c.turn.desc())
    ranked = select(moved, rank.label("rank")).subquery()
    given = handed_out.c.serial.is_not(None)
    by = (voucher.c.order_number, ranked.c.desk, ranked.c.transfer)
    rows = session.execute(
        select(
            *by,
            func.count(),
            func.sum(case((given, 0), else_=1)),
            func.sum(case((and_(given, entry.c.id.is_(None)), 1), else_=0)),
            func.count(entry.c.id),
            func.sum(case((entry.c.kind == "voided", 1), else_=0)),
        )
        .select_from(voucher)
        .outerjoin(handed_out, handed_out.c.serial == voucher.c.serial)
        .outerjoin(entry, held_spend(entry))
        .outerjoin(ranked, and_(ranked.c.carnet == voucher.c.carnet, ranked.c.rank == 1))
        .group_by(*by)
    )
    return [Place(*row[:3], *(int(number) for number in row[3:])) for row in rows]


def each_pass_is_in_one_place(session: Session) -> Iterator[Finding]:
    """What was made is in stock, in people's hands, or ended; as many of each as the entries tell."""
    found = places(session)
    for p in found:
        if p.made != p.in_stock + p.in_hand + p.ended:
            yield Finding("pass_in_two_places", p._asdict())
    told = _told(session)
    sums: dict[int, Counter[str]] = {}
    for p in found:
        of = sums.setdefault(p.order, Counter())
        of.update(made=p.made, stock=p.in_stock, circulating=p.in_hand, voided=p.voided)
    for order, counts in sorted(sums.items()):
        for what, expected in sorted(told.get(order, {}).items()):
            if counts[what] != expected:
                facts = {"order": order, "what": what, "told": expected}
                yield Finding("stock_differs", facts | {"found": counts[what]})


_TOLD = {"vouchers_made": "made", "misprints_voided": "voided"}


def _told(session: Session) -> dict[int, Counter[str]]:
    """Return what entries tell of orders: passes made, voided, lapsed at a stage."""
    found: dict[int, Counter[str]] = {}
    rows = session.execute(
        select(entry.c.kind, entry.c.body).where(
            entry.c.uses.in_(["make", "void", "lapse"])
        )
    )
    for kind, body in rows:
        facts = canonical.decode(body)["facts"]
        what = facts["stage"] if kind == "lapsed" else _TOLD.get(kind)
        if what is not None:
            found.setdefault(facts["order"], Counter())[what] += facts["count"]
    if any("circulating" in told for told in found.values()):
        # A use that is undone after the lapse lapses at once.
        undone = session.scalars(
            select(entry.c.body)
            .where(entry.c.uses == "undo")
            .execution_options(yield_per=CHUNK)
        )
        late = [
            f["serial"]
            for f in (canonical.decode(b)["facts"] for b in undone)
            if f["lapsed"]
        ]
        of = select(voucher.c.order_number, func.count()).where(voucher.c.serial.in_(late))
        for order, count in session.execute(of.group_by(voucher.c.order_number)):
            found[order]["circulating"] += count
    return found


def carnets_are_where_their_entries_left_them(session: Session) -> Iterator[Finding]:
    """Each delivery, departure and return has the rows that its entry tells, and no other has any."""
    rows: dict[Any, tuple[set[int], set[tuple[str | None, int | None]]]] = {}
    for row in session.execute(
        select(moves().subquery()).execution_options(yield_per=CHUNK)
    ):
        carnets, where = rows.setdefault(row.entry_id, (set(), set()))
        carnets.add(row.carnet)
        where.add((row.desk, row.transfer))
    moved = session.execute(
        select(entry.c.id, entry.c.kind, entry.c.body).where(
            entry.c.kind.in_(["delivered", "transfer_sent", "transfer_received"])
        )
    )
    for identifier, kind, body in moved:
        facts = canonical.decode(body)["facts"]
        told, place = _left_by(kind, facts)
        expected = (set(numbers_of(told)), {place} if told else set())
        if rows.pop(identifier, (set(), set())) != expected:
            yield Finding("move_differs", {"entry": str(identifier)})
    for identifier in rows:
        yield Finding("move_without_entry", {"entry": str(identifier)})


def _left_by(kind: str, facts: Any) -> tuple[Ranges, tuple[str | None, int | None]]:  # noqa: ANN401
    if kind == "delivered":
        return ((facts["first_carnet"], facts["last_carnet"]),), (facts["desk"], None)
    carnets = read_ranges(facts["carnets"])
    if kind == "transfer_sent":
        return carnets, (None, facts["transfer"])
    return carnets, (facts["at"], None)


CHECKS: tuple[Check, ...] = (
    each_pass_is_in_one_place,
    carnets_are_where_their_entries_left_them,
)
