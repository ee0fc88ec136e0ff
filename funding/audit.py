"""The nightly doubt, on the funds' side: who each use falls to, and what is promised, derived again."""

from collections.abc import Iterator

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from funding.attribution import Books
from funding.models import attribution, segment, tranche_budget
from funding.proof import segments_weighed_otherwise
from funding.told import TABLES, funds_told
from ledger.audit import CHUNK, Check, Finding, told_otherwise
from ledger.models import account, balance, entry, log_leaf
from ledger.sequencer import Sequenced


def attributions_follow_from_entries(session: Session) -> Iterator[Finding]:
    """Replaying every use and undo in log order gives each stored segment and cumulative.

    By the terms that the entries tell: nothing that the projection read or wrote is believed.
    """
    books = Books(funds_told(session).terms())
    due = dict(
        session.execute(
            select(account.c.id, account.c.book).where(account.c.kind == "due")
        ).all()
    )
    stored = {
        (row.idx): (row.segment, row.cents_before)
        for row in session.execute(select(attribution))
    }
    open_spends: dict[tuple[str | None, int | None], int] = {}
    rows = session.execute(
        select(
            log_leaf.c.idx,
            entry.c.leaf_hash,
            entry.c.occurred_on,
            entry.c.debit_id,
            entry.c.credit_id,
            entry.c.amount_cents,
            entry.c.uses,
            entry.c.subject,
            entry.c.turn,
        )
        .join(entry, entry.c.id == log_leaf.c.entry_id)
        .where(entry.c.uses.in_(["spend", "undo"]))
        .order_by(log_leaf.c.idx)
        .execution_options(yield_per=CHUNK)
    )
    for e in map(Sequenced._make, rows):
        if e.uses == "spend" and e.debit_id in due:
            number = int(due[e.debit_id])
            moved, sign = books.segment_for(number, e.occurred_on, e.idx), 1
            open_spends[e.subject, e.turn] = moved.id
        elif e.uses == "undo" and (e.subject, e.turn) in open_spends:
            moved, sign = books.by_id[open_spends.pop((e.subject, e.turn))], -1
        else:
            continue
        before = moved.cents
        moved.cents += sign * e.amount_cents
        if stored.pop(e.idx, None) != (moved.id, before):
            yield Finding("attribution_differs", {"idx": e.idx})
    for idx in sorted(stored):
        yield Finding("attribution_without_use", {"idx": idx})
    yield from _segments(session, books)


def _segments(session: Session, books: Books) -> Iterator[Finding]:
    derived = {key: (*s.of, s.cents) for key, s in books.by_id.items()}
    kept = {
        row.id: (row.tranche, row.version, row.open_windows, row.cents)
        for row in session.execute(select(segment))
    }
    for key in sorted(derived.keys() | kept.keys()):
        if derived.get(key) != kept.get(key):
            facts = {"kept": kept.get(key), "derived": derived.get(key)}
            yield Finding("segment_differs", {"segment": key} | facts)


def segments_weigh_what_was_agreed(session: Session) -> Iterator[Finding]:
    """Each segment has the weights of its share version, as entries tell it, with its windows open."""
    terms = funds_told(session).terms()
    for key, facts in segments_weighed_otherwise(session, terms):
        yield Finding("weights_differ", {"segment": key} | facts)


def funds_are_told_by_their_entries(session: Session) -> Iterator[Finding]:
    """Calls, conventions, windows, programmes, suspensions, tranches, calendars, shares are what was recorded."""
    yield from told_otherwise(session, funds_told(session), TABLES)


def budgets_cover_what_is_made(session: Session) -> Iterator[Finding]:
    """The envelope is what funders committed, and nothing is made beyond what was set aside."""
    committed = dict(
        session.execute(
            select(account.c.book, func.sum(balance.c.credits - balance.c.debits))
            .join(balance, balance.c.account_id == account.c.id)
            .where(account.c.kind == "committed")
            .group_by(account.c.book)
        ).all()
    )
    left = dict(
        session.execute(
            select(account.c.book, func.sum(balance.c.debits - balance.c.credits))
            .join(balance, balance.c.account_id == account.c.id)
            .where(account.c.kind == "available")
            .group_by(account.c.book)
        ).all()
    )
    for row in session.execute(select(tranche_budget)):
        book = str(row.tranche)
        if book not in committed:  # opened, not in the log yet
            continue
        if int(committed[book]) != row.envelope_cents:
            yield Finding("envelope_differs", {"tranche": row.tranche})
        if int(committed[book]) - int(left.get(book, 0)) > row.reserved_cents:
            yield Finding("made_beyond_reserved", {"tranche": row.tranche})


CHECKS: tuple[Check, ...] = (
    funds_are_told_by_their_entries,
    attributions_follow_from_entries,
    segments_weigh_what_was_agreed,
    budgets_cover_what_is_made,
)
