"""The nightly doubt, on the counter's side: every pass counted again, on exactly one account."""

from collections import Counter
from collections.abc import Iterator

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from funding.models import tranche
from issuance.models import hand_out, handed_out, voucher_order
from issuance.orders import order_row
from issuance.queries import REPLACEMENT
from ledger import canonical
from ledger.audit import Check, Finding, told_otherwise
from ledger.models import entry
from ledger.queries import derived_holdings
from redemption.lapsing import STAGES, left_in
from redemption.presented import lapsed_stages
from redemption.told import TABLES, PlacesTold


def stock_and_circulation_are_worth_their_passes(session: Session) -> Iterator[Finding]:
    """What is in stock and in people's hands, counted pass by pass, is what the accounts hold."""
    worth: Counter[tuple[str, str]] = Counter()
    for number in session.scalars(
        select(voucher_order.c.number).where(~voucher_order.c.specimen)
    ).all():
        order = order_row(session, number)
        closed = lapsed_stages(session, number)
        for stage in STAGES:
            if stage not in closed:
                passes = len(left_in(session, order, stage))
                worth[stage, str(order.tranche)] += passes * order.face_cents
    books = [str(number) for number in session.scalars(select(tranche.c.number))]
    for h in derived_holdings(session, books):
        if h.kind in STAGES and worth[h.kind, h.book] != h.cents:
            yield Finding(
                "passes_differ_from_money",
                {
                    "account": f"{h.kind}/{h.book}",
                    "passes_cents": worth[h.kind, h.book],
                    "account_cents": h.cents,
                },
            )


def spent_passes_had_been_handed_out(session: Session) -> Iterator[Finding]:
    """A pass is redeemed only after a hand-out."""
    odd = session.execute(
        select(entry.c.subject)
        .outerjoin(handed_out, handed_out.c.serial == entry.c.subject)
        .where(
            entry.c.uses == "spend",
            entry.c.kind == "redeemed",
            handed_out.c.serial.is_(None),
        )
    )
    for (serial,) in odd:
        yield Finding("redeemed_not_handed_out", {"serial": serial})


def hand_outs_moved_what_they_gave(session: Session) -> Iterator[Finding]:
    """Each hand-out gave as many passes as its entry says, and moved the face value of each."""
    given = select(handed_out.c.entry_id, func.count().label("passes")).group_by(
        handed_out.c.entry_id
    )
    counted = given.subquery()
    faces = dict(
        session.execute(select(voucher_order.c.number, voucher_order.c.face_cents)).all()
    )
    rows = session.execute(
        select(entry.c.id, entry.c.amount_cents, entry.c.body, counted.c.passes)
        .outerjoin(counted, counted.c.entry_id == entry.c.id)
        .where(entry.c.kind == "handed_out")
        .execution_options(yield_per=2_000)
    )
    for identifier, cents, body, passes in rows:
        facts = canonical.decode(body)["facts"]
        told = facts["count"]
        if passes != told or cents != told * faces.get(facts["order"], 0):
            found = {"told": told, "passes": passes or 0, "cents": cents}
            yield Finding("hand_out_differs", {"entry": str(identifier)} | found)


def hand_outs_are_told_as_they_were_given(session: Session) -> Iterator[Finding]:
    """Each hand-out has its row, which says what its entry says: quotas count rows."""
    rows = session.execute(
        select(hand_out, entry.c.id, entry.c.occurred_on, entry.c.body)
        .join_from(entry, hand_out, hand_out.c.entry_id == entry.c.id, isouter=True)
        .where(entry.c.kind == "handed_out")
        .execution_options(yield_per=2_000)
    )
    for row in rows:
        facts = canonical.decode(row.body)["facts"]
        expected = [
            row.id,
            row.occurred_on,
            *(
                facts[name]
                for name in ("order", "tranche", "desk", "pic", "proof", "count")
            ),
            facts.get("recorded_late", False),
            facts.get("despite_limit"),
            facts.get("at_site"),
        ]
        found = [row.entry_id, row.given_on, row.order_number, row.tranche, row.desk]
        found += [row.pic, row.proof, row.passes, row.recorded_late]
        found += [row.despite_limit, row.at_site]
        if found != expected:
            yield Finding("hand_out_told_otherwise", {"entry": str(row.id)})
    without = (
        select(hand_out.c.entry_id)
        .join(entry, entry.c.id == hand_out.c.entry_id)
        .where(entry.c.kind != "handed_out")
    )
    for identifier in session.scalars(without):
        yield Finding("hand_out_told_otherwise", {"entry": str(identifier)})


def replacements_gave_what_they_ended(session: Session) -> Iterator[Finding]:
    """Each replacement gave as many passes as it ended."""
    ended = entry.alias()
    ends = (
        select(ended.c.act_id, func.count().label("passes"))
        .where(ended.c.kind == "replaced")
        .group_by(ended.c.act_id)
        .subquery()
    )
    gives = (
        select(handed_out.c.entry_id, func.count().label("passes"))
        .join(entry, entry.c.id == handed_out.c.entry_id)
        .where(entry.c.kind == REPLACEMENT)
        .group_by(handed_out.c.entry_id)
        .subquery()
    )
    rows = session.execute(
        select(entry.c.id, ends.c.passes, gives.c.passes)
        .outerjoin(ends, ends.c.act_id == entry.c.id)
        .outerjoin(gives, gives.c.entry_id == entry.c.id)
        .where(entry.c.kind == REPLACEMENT)
    )
    for identifier, before, after in rows:
        if not before or before != after:
            told = {"entry": str(identifier), "ended": before, "given": after}
            yield Finding("replacement_differs", told)


def places_are_told_by_their_entries(session: Session) -> Iterator[Finding]:
    """Sites, accreditations and workshops, with their days, are what was recorded."""
    told = PlacesTold()
    told.take(session)
    yield from told_otherwise(session, told, TABLES)


CHECKS: tuple[Check, ...] = (
    places_are_told_by_their_entries,
    stock_and_circulation_are_worth_their_passes,
    spent_passes_had_been_handed_out,
    hand_outs_moved_what_they_gave,
    hand_outs_are_told_as_they_were_given,
    replacements_gave_what_they_ended,
)
