"""The nightly doubt: everything derived is derived again from the entries, and compared.

One function per invariant; each yields what differs, and nothing when all is well.  A finding
is data: a stable code and the facts.  All of them only read, and stream what they read.
"""

from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import Any, NamedTuple

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from ledger.accounts import account_id
from ledger.entries import Entry
from ledger.journal import row_of
from ledger.merkle import HASH_SIZE, TILE_WIDTH, extend, leaf_hash, root, tile_root
from ledger.models import (
    account,
    attempt,
    balance,
    checkpoint,
    entry,
    gate,
    log_leaf,
    log_state,
    log_tile,
    pending,
    refusal,
)
from ledger.queries import log_size
from ledger.told import Told, differences

CHUNK = 5_000


class Finding(NamedTuple):
    """Something that is not as the entries say."""

    code: str
    facts: dict[str, Any]


Check = Callable[[Session], Iterator[Finding]]


def told_otherwise(
    session: Session, told: Told, tables: Mapping[str, tuple[str, ...]]
) -> Iterator[Finding]:
    """Find what differs between these tables and what their entries tell: for the checks of other packages."""
    for table, key, column in differences(session, told, tables):
        facts = {"table": table, "key": "/".join(map(str, key)), "column": column}
        yield Finding("row_differs", facts)


def bodies_hash_to_their_leaves(session: Session) -> Iterator[Finding]:
    """Each leaf of the log is the hash of the stored body of its entry."""
    rows = session.execute(
        select(
            entry.c.id,
            entry.c.body,
            entry.c.leaf_hash,
            log_leaf.c.leaf_hash,
            log_leaf.c.idx,
        )
        .outerjoin(log_leaf, log_leaf.c.entry_id == entry.c.id)
        .execution_options(yield_per=CHUNK)
    )
    for identifier, body, stored, logged, idx in rows:
        if leaf_hash(body) != stored or (logged is not None and logged != stored):
            yield Finding("leaf_differs", {"entry": str(identifier), "idx": idx})


def columns_say_what_bodies_say(session: Session) -> Iterator[Finding]:
    """What queries read from columns is what was hashed, to the last column."""
    rows = session.execute(select(entry).execution_options(yield_per=CHUNK)).mappings()
    for row in rows:
        body = bytes(row["body"])
        try:
            told = row_of(Entry.read(body), body)
        except ValueError:
            yield Finding("body_unreadable", {"entry": str(row["id"])})
            continue
        if row != told:
            for column, value in told.items():
                # What the leaf is the hash of is another check's.
                if row[column] != value and column != "leaf_hash":
                    facts = {"entry": str(row["id"]), "column": column}
                    yield Finding("column_differs", facts)


def accounts_are_what_their_names_say(session: Session) -> Iterator[Finding]:
    """Each account has the number that entries know it by: that of its name."""
    for number, name in session.execute(select(account.c.id, account.c.name)):
        if number != account_id(name):
            yield Finding("account_differs", {"account": number, "name": name})


def the_log_has_no_gap(session: Session) -> Iterator[Finding]:
    """Indexes run from 0 to the size, and every entry is in the log or waits for it."""
    size = session.scalars(select(log_state.c.size)).one()
    count, last = session.execute(select(func.count(), func.max(log_leaf.c.idx))).one()
    if count != size or (last is not None and last != size - 1):
        yield Finding("log_gap", {"size": size, "leaves": count, "last": last})
    entries = session.scalars(select(func.count()).select_from(entry)).one()
    waiting = session.scalars(select(func.count()).select_from(pending)).one()
    if entries != size + waiting:
        yield Finding(
            "entry_lost", {"entries": entries, "logged": size, "waiting": waiting}
        )


def the_root_is_that_of_the_leaves(session: Session) -> Iterator[Finding]:
    """Growing the tree again from its leaves gives the stored frontier and every checkpoint."""
    size, packed = session.execute(select(log_state.c.size, log_state.c.frontier)).one()
    roots = dict(session.execute(select(checkpoint.c.tree_size, checkpoint.c.root)).all())
    frontier: tuple[bytes, ...] = ()
    leaves = session.scalars(
        select(log_leaf.c.leaf_hash)
        .order_by(log_leaf.c.idx)
        .execution_options(yield_per=CHUNK)
    )
    for grown, leaf in enumerate(leaves, 1):
        frontier = extend(frontier, grown - 1, (leaf,))
        if grown in roots and roots.pop(grown) != root(frontier):
            yield Finding("root_differs", {"size": grown})
    if b"".join(frontier) != packed or len(packed) != size.bit_count() * HASH_SIZE:
        yield Finding("frontier_differs", {"size": size})
    for missing in sorted(roots):
        yield Finding("checkpoint_beyond_log", {"size": missing})


def tiles_are_made_of_the_leaves(session: Session) -> Iterator[Finding]:
    """Each stored tile holds 256 leaves, or 256 roots of the tiles below it, and none is missing."""
    count = log_size(session) // TILE_WIDTH
    leaves = session.scalars(
        select(log_leaf.c.leaf_hash)
        .where(log_leaf.c.idx < count * TILE_WIDTH)
        .order_by(log_leaf.c.idx)
        .execution_options(yield_per=CHUNK)
    )
    level, below = 0, iter(leaves)
    while count:
        roots: list[bytes] = []
        stored = session.execute(
            select(log_tile.c.n, log_tile.c.hashes, log_tile.c.root)
            .where(log_tile.c.level == level)
            .order_by(log_tile.c.n)
            .execution_options(yield_per=CHUNK)
        )
        for n, hashes, kept in stored:
            made = b"".join(islice(below, TILE_WIDTH))
            if n != len(roots) or made != hashes or tile_root(bytes(hashes)) != kept:
                yield Finding("tile_differs", {"level": level, "n": n})
                stored.close()
                leaves.close()
                return
            roots.append(bytes(kept))
        if len(roots) != count:
            yield Finding("tile_missing", {"level": level, "tiles": len(roots)})
            break
        below = iter(roots)
        level, count = level + 1, count // TILE_WIDTH
    leaves.close()


def balances_are_the_sum_of_entries(session: Session) -> Iterator[Finding]:
    """Each roll-up is the sum of the logged entries of its account."""
    logged = select(entry).join(log_leaf, log_leaf.c.entry_id == entry.c.id)
    derived: dict[int, list[int]] = {}
    for place, column in enumerate((entry.c.debit_id, entry.c.credit_id)):
        sums = (
            logged.with_only_columns(column, func.sum(entry.c.amount_cents))
            .where(column.is_not(None))
            .group_by(column)
        )
        for number, cents in session.execute(sums):
            derived.setdefault(number, [0, 0])[place] = int(cents)
    kept = {
        number: [debits, credits_]
        for number, debits, credits_ in session.execute(
            select(balance.c.account_id, balance.c.debits, balance.c.credits)
        )
    }
    for number in sorted(derived.keys() | kept.keys()):
        if derived.get(number, [0, 0]) != kept.get(number, [0, 0]):
            yield Finding(
                "balance_differs",
                {
                    "account": number,
                    "kept": kept.get(number),
                    "derived": derived.get(number),
                },
            )


def attempts_have_one_verdict(session: Session) -> Iterator[Finding]:
    """Each attempt came to an entry or to a refusal, and not to both."""
    odd = session.execute(
        select(attempt.c.id, refusal.c.id, entry.c.id)
        .outerjoin(refusal, refusal.c.id == attempt.c.id)
        .outerjoin(entry, entry.c.id == attempt.c.id)
        .where((refusal.c.id.is_(None)) == (entry.c.id.is_(None)))
    )
    for identifier, refused, _ in odd:
        code = "verdict_missing" if refused is None else "verdict_double"
        yield Finding(code, {"attempt": str(identifier)})


def gates_agree_with_lapses(session: Session) -> Iterator[Finding]:
    """A gate is closed exactly when a lapse of its generation is recorded."""
    lapses = set(
        session.execute(
            select(entry.c.subject, entry.c.turn).where(entry.c.uses == "lapse")
        )
    )
    rows = session.execute(select(gate.c.key, gate.c.generation, gate.c.closed_by))
    for key, generation, closed_by in rows:
        if ((key, generation) in lapses) != (closed_by is not None):
            yield Finding("gate_differs", {"gate": key, "generation": generation})


CHECKS: tuple[Check, ...] = (
    bodies_hash_to_their_leaves,
    columns_say_what_bodies_say,
    accounts_are_what_their_names_say,
    the_log_has_no_gap,
    the_root_is_that_of_the_leaves,
    tiles_are_made_of_the_leaves,
    balances_are_the_sum_of_entries,
    attempts_have_one_verdict,
    gates_agree_with_lapses,
)
