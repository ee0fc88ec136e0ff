"""Passes as they are presented, and what holds for their orders, gates and workshops."""

from collections.abc import Iterable
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, FromClause, and_, exists, select, text
from sqlalchemy.orm import Session
from sqlalchemy.types import TypeEngine

from issuance.models import voucher
from issuance.orders import circulating_gate, stock_gate
from ledger import canonical, gates
from ledger.bulk import bytes_array, is_postgres, plain_array, run, text_array, uuid_array
from ledger.columns import Day, Flag
from ledger.models import entry, gate
from redemption.admission import OrderFacts, PlaceFacts


class PassRow(NamedTuple):
    """A pass as the database knows it; `spent` and `undone` are the last turns, if any."""

    serial: str
    order: int
    token_digest: bytes
    handed_out: bool
    spent: int | None
    undone: int | None

    @property
    def turn(self) -> int:
        """The turn of the next spend."""
        return 0 if self.spent is None else self.spent + 1

    @property
    def stage(self) -> str:
        """Where it is: in stock, or in people's hands."""
        return "circulating" if self.handed_out else "stock"

    @property
    def held(self) -> bool:
        """Whether a spend holds the pass: the last one has not been undone."""
        return self.spent is not None and self.spent != self.undone


def held_spend(spend: FromClause) -> ColumnElement[bool]:
    """Join a pass to the spend that holds it: one at most, since each of the others was undone."""
    return and_(
        spend.c.uses == "spend", spend.c.subject == voucher.c.serial, not_undone(spend)
    )


def not_undone(spend: FromClause) -> ColumnElement[bool]:
    """Say that no undo takes this spend back."""
    undo = entry.alias()
    return ~exists().where(
        undo.c.uses == "undo",
        undo.c.subject == spend.c.subject,
        undo.c.turn == spend.c.turn,
    )


PASSES = """
    SELECT v.serial, v.order_number, v.token_digest,
           h.serial IS NOT NULL AS handed_out,
           (SELECT max(e.turn) FROM entry AS e WHERE e.uses = 'spend' AND e.subject = v.serial) AS spent,
           (SELECT max(e.turn) FROM entry AS e WHERE e.uses = 'undo' AND e.subject = v.serial) AS undone{also}
    FROM {source} JOIN voucher AS v ON v.{key} = r.sought
    LEFT JOIN handed_out AS h ON h.serial = v.serial
"""
_PG_BY_SERIAL = PASSES.format(
    source="unnest(CAST(%(sought)s AS text[])) AS r(sought)", key="serial", also=""
)
_PG_BY_CODE = PASSES.format(
    source="unnest(CAST(%(sought)s AS bytea[])) AS r(sought)",
    key="code_digest",
    also=", v.code_digest",
)
# A pass of a former operator, by the mark of what its QR code holds where that is not its number.
BY_QR = PASSES.format(
    source="""(SELECT q.serial AS sought, q.digest
               FROM unnest(CAST(%(marks)s AS bytea[])) AS m(mark)
               JOIN foreign_qr AS q ON q.digest = m.mark) AS r""",
    key="serial",
    also=", r.digest AS code_digest",
)
_LITE_BY_SERIAL = text(
    PASSES.format(
        source="(SELECT value AS sought FROM json_each(:sought)) AS r",
        key="serial",
        also="",
    )
).columns(handed_out=Flag())


def passes(session: Session, serials: Iterable[str]) -> dict[str, PassRow]:
    """Return the passes of these serials that exist."""
    sought = sorted(set(serials))
    if not sought:
        return {}
    if is_postgres(session):
        rows = run(session, _PG_BY_SERIAL, {"sought": text_array(sought)})
    else:
        rows = session.execute(
            _LITE_BY_SERIAL, {"sought": canonical.encode(sought).decode()}
        ).all()
    return {row[0]: PassRow._make(row) for row in rows}


_LITE_BY_CODE = text("SELECT serial FROM voucher WHERE code_digest = :sought")
_LITE_BY_QR = text("SELECT serial FROM foreign_qr WHERE digest = :sought")
_PG_BY_MARK = f"{_PG_BY_CODE} UNION ALL {BY_QR}"


def passes_by_code(
    session: Session, digests: Iterable[bytes], marks: Iterable[bytes] = ()
) -> dict[bytes, PassRow]:
    """Return the passes whose printed code has one of these digests, or whose foreign number these marks."""
    theirs = sorted(set(marks))
    sought = sorted({*digests, *theirs})
    if not sought:
        return {}
    if is_postgres(session):
        told = {"sought": bytes_array(sought)}
        if theirs:
            rows = run(session, _PG_BY_MARK, told | {"marks": bytes_array(theirs)})
        else:
            rows = run(session, _PG_BY_CODE, told)
        return {row[-1]: PassRow._make(row[:-1]) for row in rows}
    found = [
        (session.scalar(by, {"sought": digest}), digest)
        for by, digests_ in ((_LITE_BY_CODE, sought), (_LITE_BY_QR, theirs))
        for digest in digests_
    ]
    rows_of = passes(session, [serial for serial, _digest in found if serial is not None])
    return {digest: rows_of[serial] for serial, digest in found if serial is not None}


ORDERS = """
    SELECT o.number, o.tranche, t.code, o.face_cents, o.specimen,
           a.order_number IS NOT NULL AS active, t.regularise,
           c.use_by, c.tolerance_until, c.present_by
    FROM voucher_order AS o
    JOIN tranche AS t ON t.number = o.tranche
    JOIN calendar AS c ON c.tranche = t.number
     AND c.version = (SELECT max(last.version) FROM calendar AS last WHERE last.tranche = t.number)
    LEFT JOIN activation AS a ON a.order_number = o.number
    WHERE o.number IN {chosen}
"""
_ORDER_TYPES: dict[str, TypeEngine[Any]] = {
    "specimen": Flag(),
    "active": Flag(),
    "regularise": Flag(),
    "use_by": Day(),
    "tolerance_until": Day(),
    "present_by": Day(),
}
_PG_ORDERS = ORDERS.format(chosen="(SELECT * FROM unnest(CAST(%(chosen)s AS bigint[])))")
_LITE_ORDERS = text(ORDERS.format(chosen="(SELECT value FROM json_each(:chosen))")).columns(
    **_ORDER_TYPES
)


def orders(session: Session, numbers: Iterable[int]) -> dict[int, OrderFacts]:
    """Return what holds for each of these orders."""
    chosen = sorted(set(numbers))
    if not chosen:
        return {}
    if is_postgres(session):
        rows = run(session, _PG_ORDERS, {"chosen": plain_array(chosen)})
    else:
        rows = session.execute(
            _LITE_ORDERS, {"chosen": canonical.encode(chosen).decode()}
        ).all()
    return {row[0]: OrderFacts._make(row) for row in rows}


def closed_gates(session: Session, numbers: Iterable[int]) -> set[tuple[int, str]]:
    """Hold the gates of these orders; return the (order, stage) that have lapsed."""
    keys = {
        key: (number, stage)
        for number in numbers
        for key, stage in (
            (stock_gate(number), "stock"),
            (circulating_gate(number), "circulating"),
        )
    }
    if not keys:
        return set()
    held = gates.hold(session, keys)
    return {keys[key] for key, state in held.items() if state.closed_by is not None}


def lapsed_stages(session: Session, order: int) -> set[str]:
    """Return the stages of an order whose gate a lapse has closed; holds nothing."""
    keys = {stock_gate(order): "stock", circulating_gate(order): "circulating"}
    closed = session.scalars(
        select(gate.c.key).where(gate.c.key.in_(keys), gate.c.closed_by.is_not(None))
    )
    return {keys[key] for key in closed}


PLACES = """
    SELECT w.id, t.number, w.site, s.name, w.day,
           EXISTS (SELECT 1 FROM suspension AS p
                   WHERE p.programme = t.programme AND p.starts_on <= w.day
                     AND (p.ends_on IS NULL OR p.ends_on >= w.day)
                     AND p.version = (SELECT max(last.version) FROM suspension AS last
                                      WHERE last.programme = p.programme
                                        AND last.starts_on = p.starts_on)) AS suspended,
           EXISTS (SELECT 1 FROM accreditation AS a
                   WHERE a.site = w.site AND a.programme = t.programme
                     AND w.day BETWEEN a.valid_from AND a.valid_until) AS accredited,
           NOT EXISTS (SELECT 1 FROM territory AS x WHERE x.tranche = t.number)
           OR EXISTS (SELECT 1 FROM territory AS x WHERE x.tranche = t.number
                        AND x.area IN (s.insee, s.departement)) AS in_territory
    FROM workshop AS w
    JOIN site AS s ON s.number = w.site
    CROSS JOIN tranche AS t
    WHERE w.id IN {workshops} AND t.number IN {tranches}
"""
_PLACE_TYPES: dict[str, TypeEngine[Any]] = {
    "day": Day(),
    "suspended": Flag(),
    "accredited": Flag(),
    "in_territory": Flag(),
}
_PG_PLACES = PLACES.format(
    workshops="(SELECT * FROM unnest(CAST(%(workshops)s AS uuid[])))",
    tranches="(SELECT * FROM unnest(CAST(%(tranches)s AS bigint[])))",
)
_LITE_PLACES = text(
    PLACES.format(
        workshops="(SELECT value FROM json_each(:workshops))",
        tranches="(SELECT value FROM json_each(:tranches))",
    )
).columns(**_PLACE_TYPES)


def places(
    session: Session, workshops: Iterable[UUID], tranches: Iterable[int]
) -> dict[tuple[UUID, int], PlaceFacts]:
    """Return what holds for each of these workshops with each of these tranches."""
    where, what = sorted(set(workshops)), sorted(set(tranches))
    if not where or not what:
        return {}
    if is_postgres(session):
        rows = run(
            session,
            _PG_PLACES,
            {"workshops": uuid_array(where), "tranches": plain_array(what)},
        )
        return {(row[0], row[1]): PlaceFacts._make(row[2:]) for row in rows}
    rows = session.execute(
        _LITE_PLACES,
        {
            "workshops": canonical.encode(where).decode(),
            "tranches": canonical.encode(what).decode(),
        },
    ).all()
    return {(UUID(row[0]), row[1]): PlaceFacts._make(row[2:]) for row in rows}
