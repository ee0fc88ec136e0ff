"""What leaves, or has left, by e-mail; to whom is read from the person when it leaves."""

from sqlalchemy import CheckConstraint, Column, ForeignKey, Index, text

from ledger.columns import Bytes, Identifier, Instant, Integer, Words, table

_OPEN = text("sent_at IS NULL AND stopped_at IS NULL")

outbox = table(
    "outbox",
    Column("id", Identifier, primary_key=True),
    Column("person", Identifier, ForeignKey("person.id"), nullable=False, index=True),
    Column("template", Words, nullable=False),
    Column("facts", Words, nullable=False),
    # Facts that open a door, sealed about "outbox/<id>"; nothing once the e-mail is closed.
    Column("sealed", Bytes),
    Column("made_at", Instant, nullable=False),
    Column("due_at", Instant, nullable=False),
    # From then on it would tell nothing true any more.
    Column("ends_at", Instant, nullable=False),
    Column("claimed_at", Instant),
    Column("sent_at", Instant),
    Column("stopped_at", Instant),
    Column("attempts", Integer, nullable=False),
    # The code of the last refusal, and the number of the server's answer.
    Column("last_error", Words),
    Column("last_reply", Integer),
    CheckConstraint("sent_at IS NULL OR stopped_at IS NULL", name="closed_once"),
    CheckConstraint(
        "sent_at IS NULL OR (claimed_at IS NOT NULL AND attempts > 0)", name="claimed_first"
    ),
    CheckConstraint(
        "sealed IS NULL OR (sent_at IS NULL AND stopped_at IS NULL)", name="secret_is_gone"
    ),
    CheckConstraint(
        "stopped_at IS NULL OR last_error IS NOT NULL", name="stopped_for_cause"
    ),
    Index("ix_outbox_open", "due_at", postgresql_where=_OPEN, sqlite_where=_OPEN),
)
