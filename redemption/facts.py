"""All that the counter judges a queue by, read at once."""

from collections.abc import Iterable
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
from sqlalchemy import select
from sqlalchemy.orm import Session

from issuance.orders import GATE_KEY
from ledger.bulk import bytes_array, is_postgres, run, text_array, uuid_array
from redemption import presented
from redemption.admission import OrderFacts, PlaceFacts
from redemption.models import workshop
from redemption.presented import BY_QR, ORDERS, PASSES, PLACES, PassRow


class Facts(NamedTuple):
    """What is known of some passes and workshops; `lapsed` are the (order, stage) whose gate is closed."""

    passes: dict[str, PassRow]
    by_code: dict[bytes, PassRow]
    orders: dict[int, OrderFacts]
    places: dict[tuple[UUID, int], PlaceFacts]
    sites: dict[UUID, int]
    lapsed: set[tuple[int, str]]


def facts(
    session: Session,
    *,
    serials: Iterable[str],
    codes: Iterable[bytes],
    workshops: Iterable[UUID],
    marks: Iterable[bytes] = (),
) -> Facts:
    """Return what is known of these passes at these workshops, and hold the gates of their orders.

    The gates stay as they are until the transaction ends.  On PostgreSQL it is one exchange: a
    flush of a few scans costs hardly more than its exchanges.  `marks` are of numbers of a former
    operator; a flush without any pays nothing for them.
    """
    where, theirs = sorted(set(workshops)), sorted(set(marks))
    if is_postgres(session):
        sought = {
            "serials": text_array(sorted(set(serials))),
            "codes": bytes_array(sorted({*codes, *theirs})),
            "workshops": uuid_array(where),
        }
        if theirs:
            marked = sought | {"marks": bytes_array(theirs)}
            return _sorted_out(run(session, _FACTS_OF_MARKS, marked))
        return _sorted_out(run(session, _FACTS, sought))
    passes = presented.passes(session, serials)
    by_code = presented.passes_by_code(session, codes, theirs)
    orders = presented.orders(
        session, {row.order for row in [*passes.values(), *by_code.values()]}
    )
    tranches = {order.tranche for order in orders.values()}
    places = presented.places(session, where, tranches)
    known = select(workshop.c.id, workshop.c.site).where(workshop.c.id.in_(where))
    sites = dict(session.execute(known).all())
    lapsed = presented.closed_gates(session, orders)
    return Facts(passes, by_code, orders, places, sites, lapsed)


_NO_VOUCHER = "NULL, NULL::bigint, NULL::bytea, NULL::boolean, NULL::bigint, NULL::bigint, NULL::bytea"
_STATEMENT = f"""
    WITH seen AS MATERIALIZED (
      {
    PASSES.format(
        source="unnest(CAST(%(serials)s AS text[])) AS r(sought)",
        key="serial",
        also=", NULL::bytea AS code_digest",
    )
}
      UNION ALL
      {
    PASSES.format(
        source="unnest(CAST(%(codes)s AS bytea[])) AS r(sought)",
        key="code_digest",
        also=", v.code_digest",
    )
}
{{also_seen}}),
    ordered AS MATERIALIZED (
      {ORDERS.format(chosen="(SELECT order_number FROM seen)")}),
    placed AS (
      {
    PLACES.format(
        workshops="(SELECT * FROM unnest(CAST(%(workshops)s AS uuid[])))",
        tranches="(SELECT tranche FROM ordered)",
    )
}),
    held AS (
      SELECT key, number, stage, closed_by
      FROM gate JOIN (
        SELECT format('{
    GATE_KEY.replace("%", "%%")
}', number, stage) AS wanted, number, stage
        FROM ordered CROSS JOIN (VALUES ('stock'), ('circulating')) AS s(stage)) AS r ON wanted = key
      ORDER BY key FOR KEY SHARE OF gate)
    SELECT 'pass', NULL::json, serial, order_number, token_digest, handed_out, spent, undone, code_digest
    FROM seen
    UNION ALL
    SELECT 'order', row_to_json(ordered), {_NO_VOUCHER} FROM ordered
    UNION ALL
    SELECT 'place', row_to_json(placed), {_NO_VOUCHER} FROM placed
    UNION ALL
    SELECT 'site', json_build_object('id', id, 'site', site), {_NO_VOUCHER}
    FROM workshop WHERE id = ANY (CAST(%(workshops)s AS uuid[]))
    UNION ALL
    SELECT 'closed', json_build_object('number', number, 'stage', stage), {_NO_VOUCHER}
    FROM held WHERE closed_by IS NOT NULL
"""
_FACTS = _STATEMENT.format(also_seen="")
_FACTS_OF_MARKS = _STATEMENT.format(also_seen=f" UNION ALL {BY_QR}")


def _sorted_out(rows: Iterable[tuple[Any, ...]]) -> Facts:
    found = Facts({}, {}, {}, {}, {}, set())
    for what, told, *seen, code in rows:
        if what == "pass":
            row = PassRow._make(seen)
            if code is None:
                found.passes[row.serial] = row
            else:
                found.by_code[code] = row
            continue
        values = list(told.values())  # JSON keeps the order of the columns
        if what == "order":
            found.orders[values[0]] = msgspec.convert(values, OrderFacts)
        elif what == "place":
            where = (UUID(values[0]), values[1])
            found.places[where] = msgspec.convert(values[2:], PlaceFacts)
        elif what == "site":
            found.sites[UUID(values[0])] = values[1]
        else:
            found.lapsed.add((values[0], values[1]))
    return found
