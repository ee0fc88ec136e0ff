"""Reading the books: what each account holds, now or as it was, and how far the log had come."""

from collections.abc import Iterable
from datetime import date, datetime
from typing import Any, NamedTuple

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    FromClause,
    Select,
    SelectBase,
    and_,
    cast,
    func,
    literal,
    select,
    union_all,
)
from sqlalchemy.orm import Session

from ledger.merkle import tree_root
from ledger.models import account, balance, checkpoint, entry, log_leaf, log_state, pending
from ledger.tiles import nodes


class Holding(NamedTuple):
    """What an account holds, in cents: what came in less what went out."""

    kind: str
    book: str
    party: str | None
    cents: int


def uses_right(uses: str) -> ColumnElement[bool]:
    """Choose the entries that use up a rare right: by its index, however many passes were spent.

    PostgreSQL plans our statements once for any value (`force_generic_plan`), and for any right it
    would read the whole journal: this one is written into the statement.
    """
    return entry.c.uses == literal(uses, literal_execute=True)


def log_size(session: Session) -> int:
    """Return how many entries the log holds."""
    return int(session.scalars(select(log_state.c.size).where(log_state.c.id == 1)).one())


def size_known_by(session: Session, instant: datetime) -> int:
    """Return how far the log had come before an instant: the checkpoint before the first made at it or after.

    Once one was made after, no later one changes the answer, not even where a clock was set back.
    """
    after = session.scalar(
        select(func.min(checkpoint.c.tree_size)).where(checkpoint.c.made_at >= instant)
    )
    earlier = select(func.max(checkpoint.c.tree_size))
    if after is not None:
        earlier = earlier.where(checkpoint.c.tree_size < after)
    return session.scalar(earlier) or 0


def last_recorded_at(session: Session, size: int) -> datetime | None:
    """Return when the last of the first entries of the log, this many, was recorded; None for none."""
    return session.scalar(
        select(entry.c.recorded_at)
        .join(log_leaf, log_leaf.c.entry_id == entry.c.id)
        .where(log_leaf.c.idx == size - 1)
    )


def root_at(session: Session, size: int) -> bytes | None:
    """Return the root of the first entries of the log, this many; None for none of them."""
    kept = session.scalar(select(checkpoint.c.root).where(checkpoint.c.tree_size == size))
    if kept is None and size:
        return tree_root(nodes(session), size)
    return kept


def waiting(session: Session) -> int:
    """Return how many committed entries are not yet in the log."""
    return session.scalars(select(func.count()).select_from(pending)).one()


def logged_holdings(session: Session, books: Iterable[str]) -> list[Holding]:
    """Return what every account of these books holds as far as the log goes: the roll-up."""
    net = (balance.c.debits - balance.c.credits).label("cents")
    return _holdings(session, books, select(balance.c.account_id, net))


def holdings(session: Session, books: Iterable[str]) -> list[Holding]:
    """Return what every account of these books holds now: roll-up plus the entries still waiting."""
    net = (balance.c.debits - balance.c.credits).label("cents")
    tail = select(entry).join(pending, pending.c.entry_id == entry.c.id)
    moved = union_all(select(balance.c.account_id, net), *_sides(tail))
    return _holdings(session, books, moved)


def placed_within(size: int, leaf: FromClause = log_leaf) -> ColumnElement[bool]:
    """Choose what has its place among the first entries of the log, this many, where a few rows lead to it.

    SQLite keeps no statistics, and would begin with the places: it would read the whole log for an
    order or two.  No index has this sum.
    """
    return leaf.c.idx + 0 < size


def derived_holdings(
    session: Session,
    books: Iterable[str],
    *,
    happened_by: date | None = None,
    known_by: int | None = None,
) -> list[Holding]:
    """Return what the accounts held, summed again from the entries themselves.

    `happened_by` is a day in the world (the whole day counts), `known_by` a log size; without
    it, entries still waiting count too.  Reads every entry: for proofs, not for pages.
    """
    chosen = select(entry)
    if known_by is not None:
        chosen = _placed(session, chosen, known_by)
    if happened_by is not None:
        chosen = chosen.where(entry.c.occurred_on <= happened_by)
    return _holdings(session, books, union_all(*_sides(chosen)))


def _placed(
    session: Session, entries: Select[*tuple[Any, ...]], size: int
) -> Select[*tuple[Any, ...]]:
    """Keep the entries within a log size.

    Of the log as it stands, where nothing is amiss, all but the few that wait: to look up the place of
    every entry takes several times as long as to read it.
    """
    held = select(func.count()).select_from(entry)
    if size == log_size(session) == session.scalars(held).one() - waiting(session):
        waits = pending.c.entry_id == entry.c.id
        return entries.outerjoin(pending, waits).where(pending.c.entry_id.is_(None))
    return entries.join(
        log_leaf, and_(log_leaf.c.entry_id == entry.c.id, log_leaf.c.idx < size)
    )


def _sides(entries: Select[*tuple[Any, ...]]) -> list[Select[int, int]]:
    """Sum each pair of accounts once, so that entries are read once, then look at it from both sides."""
    total = cast(func.sum(entry.c.amount_cents), BigInteger).label("cents")
    flows = (
        entries.with_only_columns(entry.c.debit_id, entry.c.credit_id, total)
        .where(entry.c.amount_cents > 0)
        .group_by(entry.c.debit_id, entry.c.credit_id)
        .cte()
    )
    return [
        select(flows.c.debit_id.label("account_id"), flows.c.cents),
        select(flows.c.credit_id.label("account_id"), (-flows.c.cents).label("cents")),
    ]


def _holdings(
    session: Session, books: Iterable[str], movements: SelectBase
) -> list[Holding]:
    moved = movements.subquery("moved")
    total = cast(func.coalesce(func.sum(moved.c.cents), 0), BigInteger)
    rows = session.execute(
        select(account.c.kind, account.c.book, account.c.party, total)
        .outerjoin(moved, moved.c.account_id == account.c.id)
        .where(account.c.book.in_(list(books)))
        .group_by(account.c.id, account.c.kind, account.c.book, account.c.party)
        .order_by(account.c.kind, account.c.book, account.c.party)
    ).all()
    return [Holding(kind, book, party, int(cents)) for kind, book, party, cents in rows]
