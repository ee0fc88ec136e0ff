"""Every committed entry gets one place in the log, and the root is that of RFC 6962."""

import threading
from datetime import UTC, datetime

import pytest
from sqlalchemy import select, text

from app.database import Database
from ledger import attempts, audit, journal, queries, sequencer
from ledger.accounts import open_accounts
from ledger.attempts import Act
from ledger.entries import Right
from ledger.identifiers import new_id
from ledger.merkle import EMPTY_ROOT, leaf_hash, node_hash
from ledger.models import checkpoint, entry, log_leaf, log_tile
from tests.conftest import as_superuser, moment

NOW = moment("2020-02-03")


def note(session, text: str, **fields) -> None:
    act = Act(new_id(), "note", "test", NOW)
    answer = attempts.perform(
        session,
        act,
        text,
        lambda: journal.must_record(session, [act.entry("note", {"text": text}, **fields)]),
    )
    assert answer.accepted


def root_of(leaves: list[bytes]) -> bytes:
    """RFC 6962 §2.1, written down as it reads."""
    if not leaves:
        return EMPTY_ROOT
    if len(leaves) == 1:
        return leaves[0]
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    return node_hash(root_of(leaves[:split]), root_of(leaves[split:]))


def step(database: Database, most: int = 100) -> int:
    with database.begin("23", "sequencer") as session:
        return sequencer.step(session, at=datetime.now(UTC), most=most)


def test_indexes_follow_the_order_of_recording_and_bodies_hash_to_leaves(database):
    for number in range(5):
        with database.begin("23") as session:
            note(session, f"fact {number}")

    assert [step(database, 2), step(database, 2), step(database, 2), step(database, 2)] == [
        2,
        2,
        1,
        0,
    ]

    with database.begin("23") as session:
        rows = session.execute(
            select(log_leaf.c.idx, entry.c.body)
            .join(entry, entry.c.id == log_leaf.c.entry_id)
            .order_by(log_leaf.c.idx)
        ).all()
        root = queries.root_at(session, 5)
        assert queries.waiting(session) == 0
    assert [idx for idx, _ in rows] == [0, 1, 2, 3, 4]
    assert [f'"fact {n}"'.encode() in body for n, (_, body) in enumerate(rows)] == [
        True
    ] * 5
    assert root == root_of([leaf_hash(body) for _, body in rows])


def test_a_step_that_is_rolled_back_leaves_everything_waiting(database):
    with database.begin("23") as session:
        note(session, "kept")

    class Crash(Exception):
        pass

    try:
        with database.begin("23", "sequencer") as session:
            assert sequencer.step(session, at=datetime.now(UTC)) == 1
            raise Crash
    except Crash:
        pass

    with database.begin("23") as session:
        assert (queries.log_size(session), queries.waiting(session)) == (0, 1)
    assert step(database) == 1


def test_two_sequencers_at_once_leave_no_gap_and_no_double(database):
    with database.begin("23") as session:
        for number in range(60):
            note(session, f"fact {number}")

    def drain() -> None:
        while step(database, 7):
            pass

    threads = [threading.Thread(target=drain) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    with database.begin("23") as session:
        assert list(
            session.scalars(select(log_leaf.c.idx).order_by(log_leaf.c.idx))
        ) == list(range(60))
        assert queries.waiting(session) == 0


def test_full_tiles_are_written_level_by_level_whatever_the_batches(database):
    with database.begin("23") as session:
        for number in range(600):
            note(session, f"fact {number}")
    while step(database, 111):
        pass

    with database.begin("23") as session:
        tiles = dict(
            session.execute(
                select(log_tile.c.n, log_tile.c.hashes).where(log_tile.c.level == 0)
            ).all()
        )
        leaves = list(
            session.scalars(select(log_leaf.c.leaf_hash).order_by(log_leaf.c.idx))
        )
        sizes = list(
            session.scalars(select(checkpoint.c.tree_size).order_by(checkpoint.c.tree_size))
        )
        root = queries.root_at(session, 600)
    assert tiles == {0: b"".join(leaves[:256]), 1: b"".join(leaves[256:512])}
    assert sizes == [111, 222, 333, 444, 555, 600]
    assert root == root_of(leaves)


@pytest.mark.parametrize(
    ("statement", "found"),
    [
        ("UPDATE log_tile SET root = (SELECT root FROM log_tile WHERE n = 0) WHERE n = 1", "tile_differs"),
        ("UPDATE log_tile SET hashes = (SELECT hashes FROM log_tile WHERE n = 0) WHERE n = 1", "tile_differs"),
        ("DELETE FROM log_tile WHERE n = 1", "tile_missing"),
        ("DELETE FROM log_tile WHERE n = 0", "tile_differs"),
    ],
)  # fmt: skip
def test_a_tile_that_was_changed_or_lost_is_found(database, request, statement, found):
    with database.begin("23") as session:
        for number in range(600):
            note(session, f"fact {number}")
    while step(database, 500):
        pass
    with database.begin("23", read_only=True) as session:
        assert list(audit.tiles_are_made_of_the_leaves(session)) == []
    engine = as_superuser(database, request)
    with engine.begin() as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(text("SET LOCAL search_path = d23"))
            connection.execute(text("ALTER TABLE log_tile DISABLE TRIGGER USER"))
        else:
            for verb in ("update", "delete"):
                connection.execute(text(f"DROP TRIGGER log_tile_{verb}"))
        connection.execute(text(statement))
    engine.dispose()
    with database.begin("23", read_only=True) as session:
        assert [f.code for f in audit.tiles_are_made_of_the_leaves(session)] == [found]


def test_balances_follow_the_entries_and_count_what_still_waits(database):
    with database.begin("23") as session:
        open_accounts(session, [("stock", "1", None), ("circulating", "1", None)])
        note(session, "moved", debit="circulating/1", credit="stock/1", cents=1000)
    step(database)
    with database.begin("23") as session:
        note(
            session,
            "moved again",
            debit="circulating/1",
            credit="stock/1",
            cents=500,
            right=Right("spend", "x", 0),
        )

    with database.begin("23") as session:
        now = {h.kind: h.cents for h in queries.holdings(session, ["1"])}
        derived = {h.kind: h.cents for h in queries.derived_holdings(session, ["1"])}
        known = {
            h.kind: h.cents for h in queries.derived_holdings(session, ["1"], known_by=1)
        }
    assert now == derived == {"circulating": 1500, "stock": -1500}
    assert known == {"circulating": 1000, "stock": -1000}
