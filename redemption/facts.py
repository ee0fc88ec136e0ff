"""All that the counter judges a queue by: passes and gates as they are now, and what stands beside them."""

from collections.abc import Iterable
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from issuance.orders import GATE_KEY
from ledger import gates
from ledger.bulk import bytes_array, is_postgres, run, text_array
from redemption import presented
from redemption.admission import OrderFacts, PlaceFacts
from redemption.models import workshop
from redemption.presented import BY_QR, PASSES, PassRow


class Facts(NamedTuple):
    """What is known of some passes and workshops; `lapsed` are the (order, stage) whose gate is closed."""

    passes: dict[str, PassRow]
    by_code: dict[bytes, PassRow]
    orders: dict[int, OrderFacts]
    places: dict[tuple[UUID, int], PlaceFacts]
    sites: dict[UUID, int]
    lapsed: set[tuple[int, str]]


class Known(NamedTuple):
    """What stood at one generation of reference data, as far as anybody asked."""

    generation: int
    orders: dict[int, OrderFacts]
    places: dict[tuple[UUID, int], PlaceFacts]
    sites: dict[UUID, int]


class Standing:
    """What a counter remembers of orders, workshops and tranches; safe from many threads.

    Never older than the books: whatever changes any of it is alone on the reference data and
    counts its generation on in the same transaction, and each flush reads the generation with the
    passes.  A new order or workshop changes nothing: it is looked up when it is first met.
    """

    MOST = 10_000

    def __init__(self) -> None:
        self._known = Known(-1, {}, {}, {})

    def at(self, generation: int) -> Known:
        """Return what is remembered of a generation; another one's is forgotten."""
        known = self._known
        if known.generation != generation or len(known.places) > self.MOST:
            known = self._known = Known(generation, {}, {}, {})
        return known


def facts(
    session: Session,
    standing: Standing,
    *,
    serials: Iterable[str],
    codes: Iterable[bytes],
    workshops: Iterable[UUID],
    marks: Iterable[bytes] = (),
) -> Facts:
    """Return what is known of these passes at these workshops, and hold the gates of their orders.

    The gates stay as they are until the transaction ends.  On PostgreSQL it is one exchange where
    the rest is remembered: a flush of a few scans costs hardly more than its exchanges.  `marks`
    are of numbers of a former operator; a flush without any pays nothing for them.
    """
    look = _seen_at_once if is_postgres(session) else _seen
    seen = look(session, set(serials), set(codes), set(marks))
    known = standing.at(seen.generation)
    numbers = {row.order for row in (*seen.passes.values(), *seen.by_code.values())}
    if new := numbers - known.orders.keys():
        known.orders.update(presented.orders(session, new))
    tranches = {known.orders[number].tranche for number in numbers}
    where = set(workshops)
    if unknown := where - known.sites.keys():
        asked = select(workshop.c.id, workshop.c.site).where(workshop.c.id.in_(unknown))
        known.sites.update(dict(session.execute(asked).all()))
    # Another flush may meet a new workshop while this one waits: it is judged without it, as it began.
    sites = {here: known.sites[here] for here in where & known.sites.keys()}
    pairs = {(here, tranche) for here in sites for tranche in tranches}
    if pairs - known.places.keys():
        known.places.update(presented.places(session, sites, tranches))
    return Facts(seen.passes, seen.by_code, known.orders, known.places, sites, seen.lapsed)


class _Seen(NamedTuple):
    """What is read anew each time."""

    passes: dict[str, PassRow]
    by_code: dict[bytes, PassRow]
    lapsed: set[tuple[int, str]]
    generation: int


def _seen(
    session: Session, serials: set[str], codes: set[bytes], marks: set[bytes]
) -> _Seen:
    passes = presented.passes(session, serials)
    by_code = presented.passes_by_code(session, codes, marks)
    numbers = {row.order for row in (*passes.values(), *by_code.values())}
    lapsed = presented.closed_gates(session, numbers)
    return _Seen(passes, by_code, lapsed, gates.generation(session))


_BY_SERIAL = PASSES.format(
    source="unnest(CAST(%(serials)s AS text[])) AS r(sought)",
    key="serial",
    also=", NULL::bytea AS code_digest",
)
_BY_CODE = PASSES.format(
    source="unnest(CAST(%(codes)s AS bytea[])) AS r(sought)",
    key="code_digest",
    also=", v.code_digest",
)
_STATEMENT = f"""
    WITH seen AS MATERIALIZED ({{seen}}),
    held AS (
      SELECT number, stage, closed_by
      FROM gate JOIN (
        SELECT format('{GATE_KEY.replace("%", "%%")}', number, stage) AS wanted, number, stage
        FROM (SELECT DISTINCT order_number AS number FROM seen) AS o
        CROSS JOIN (VALUES ('stock'), ('circulating')) AS s(stage)) AS r ON wanted = key
      ORDER BY key COLLATE "C" FOR KEY SHARE OF gate)
    SELECT NULL, serial, order_number, token_digest, handed_out, spent, undone, code_digest FROM seen
    UNION ALL
    SELECT stage, NULL, number, NULL, NULL, NULL, NULL, NULL FROM held WHERE closed_by IS NOT NULL
    UNION ALL
    SELECT key, NULL, generation, NULL, NULL, NULL, NULL, NULL FROM gate WHERE key = '{gates.REFERENCE}'
"""
# A statement costs by its length, executed or not: each flush sends what it needs.
_SERIALS_ALONE = _STATEMENT.format(seen=_BY_SERIAL)
_CODES_TOO = _STATEMENT.format(seen=f"{_BY_SERIAL} UNION ALL {_BY_CODE}")
_MARKS_TOO = _STATEMENT.format(seen=f"{_BY_SERIAL} UNION ALL {_BY_CODE} UNION ALL {BY_QR}")


def _seen_at_once(
    session: Session, serials: set[str], codes: set[bytes], marks: set[bytes]
) -> _Seen:
    sought: dict[str, Any] = {"serials": text_array(sorted(serials))}
    statement = _SERIALS_ALONE
    if codes or marks:
        statement = _CODES_TOO
        sought["codes"] = bytes_array(sorted(codes | marks))
    if marks:
        statement = _MARKS_TOO
        sought["marks"] = bytes_array(sorted(marks))
    passes, by_code, lapsed, generation = {}, {}, set(), -1
    for what, *told, code in run(session, statement, sought):
        if what is None:
            row = PassRow._make(told)
            if code is None:
                passes[row.serial] = row
            else:
                by_code[code] = row
        elif what == gates.REFERENCE:
            generation = told[1]
        else:
            lapsed.add((told[1], what))
    return _Seen(passes, by_code, lapsed, generation)
