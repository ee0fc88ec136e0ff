"""What was asked to be done in the background, how far it is, and what came of it."""

from sqlalchemy import CheckConstraint, Column, ForeignKey, Index, text

from ledger.columns import Bytes, Identifier, Instant, Integer, Words, table

# A hundred times the list of the Creuse (91 sites, 20 kB), and little enough for a row.
INPUT_MAX = 2_000_000
_OPEN = text("finished_at IS NULL")

work = table(
    "work",
    Column("id", Identifier, primary_key=True),
    Column("kind", Words, nullable=False),
    # What was asked, as canonical JSON, and the digest that tells a replay from another request.
    Column("request", Words, nullable=False),
    Column("hash", Bytes, nullable=False),
    Column("input", Bytes),
    Column("asked_by", Words, nullable=False),
    Column("asked_at", Instant, nullable=False),
    # In units of the kind: rows of a list, pieces of an order.
    Column("total", Integer, nullable=False),
    Column("done", Integer, nullable=False),
    # Who works on it, until when unless a piece is committed first; how often it was taken since.
    Column("holder", Identifier),
    Column("held_until", Instant),
    Column("tries", Integer, nullable=False),
    Column("finished_at", Instant),
    # The code of the refusal that ended it, if one did, and facts about the end, as JSON.
    Column("refused", Words),
    Column("outcome", Words),
    CheckConstraint("length(hash) = 32", name="digest_size"),
    CheckConstraint(f"length(input) <= {INPUT_MAX}", name="input_bounded"),
    CheckConstraint("done >= 0 AND done <= total", name="done_of_total"),
    CheckConstraint("(holder IS NULL) = (held_until IS NULL)", name="held_until_when"),
    CheckConstraint("(finished_at IS NULL) = (outcome IS NULL)", name="ends_with_outcome"),
    CheckConstraint(
        "finished_at IS NULL OR (input IS NULL AND holder IS NULL)", name="end_lets_go"
    ),
    CheckConstraint(
        "finished_at IS NULL OR done = total OR refused IS NOT NULL",
        name="stopped_for_cause",
    ),
    Index("ix_work_open", "asked_at", postgresql_where=_OPEN, sqlite_where=_OPEN),
)

# What became of each unit, where that is told one by one; written with its piece, never changed.
work_result = table(
    "work_result",
    Column("work", Identifier, ForeignKey("work.id"), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("body", Words, nullable=False),
)
