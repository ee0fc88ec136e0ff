"""The journal's tables. All of them are insert-only but `gate`, `pending`, `log_state` and `balance`."""

from sqlalchemy import (
    CheckConstraint,
    Column,
    Computed,
    ForeignKey,
    ForeignKeyConstraint,
    Identity,
    UniqueConstraint,
)

from ledger.columns import Bytes, Cents, Day, Identifier, Instant, Integer, Words, table

# Named places where euros are. `book` and `party` are opaque here: a tranche, a site, a funder.
account = table(
    "account",
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("name", Words, nullable=False, unique=True),
    Column("kind", Words, nullable=False),
    Column("book", Words, nullable=False, index=True),
    Column("party", Words),
    CheckConstraint(
        "name = kind || '/' || book || COALESCE('/' || party, '')", name="name_tells"
    ),
)

# Who asked for what, written before anything is decided: a retry must find it.
attempt = table(
    "attempt",
    Column("id", Identifier, primary_key=True),
    Column("act", Words, nullable=False),
    Column("request_hash", Bytes, nullable=False),
    Column("device", Words, nullable=False),
    Column("shown", Words),
    Column("received_at", Instant, nullable=False),
    CheckConstraint("length(request_hash) = 32", name="hash_size"),
)

refusal = table(
    "refusal",
    Column("id", Identifier, ForeignKey("attempt.id"), primary_key=True),
    Column("code", Words, nullable=False),
    Column("facts", Words, nullable=False),
)

# What happened. The first entry of an act carries the act's own id.
entry = table(
    "entry",
    Column("id", Identifier, primary_key=True),
    Column("act_id", Identifier, nullable=False),
    Column("kind", Words, nullable=False),
    Column("occurred_at", Instant, nullable=False),
    Column("occurred_on", Day, nullable=False),
    Column("recorded_at", Instant, nullable=False),
    Column("actor", Words, nullable=False),
    Column("debit_id", Integer),
    Column("credit_id", Integer),
    Column("amount_cents", Cents, nullable=False),
    Column("uses", Words),
    Column("subject", Words),
    Column("turn", Integer),
    # An undo needs the spend of its turn; a spend of a later turn needs the undo before it.
    Column(
        "needs",
        Words,
        Computed(
            "CASE WHEN uses = 'undo' THEN 'spend' WHEN uses = 'spend' AND turn > 0 THEN 'undo'"
            " WHEN uses = 'revive' THEN 'lapse' WHEN uses = 'lapse' AND turn > 0 THEN 'revive' END",
            persisted=True,
        ),
    ),
    Column(
        "needs_turn",
        Integer,
        Computed(
            "CASE WHEN uses = 'undo' THEN turn WHEN uses = 'spend' AND turn > 0 THEN turn - 1"
            " WHEN uses = 'revive' THEN turn - 1 WHEN uses = 'lapse' AND turn > 0 THEN turn END",
            persisted=True,
        ),
    ),
    Column("body", Bytes, nullable=False),
    Column("body_version", Integer, nullable=False),
    Column("leaf_hash", Bytes, nullable=False),
    UniqueConstraint("uses", "subject", "turn", name="uq_entry_right"),
    # PostgreSQL checks these once a statement, in the trigger `entry_refers`: what is referred to
    # is never changed nor deleted, so a foreign key's lock on each row would guard nothing, and
    # three of them cost a third of a redemption.
    *[
        ForeignKeyConstraint([column], [referred], name=f"fk_entry_{column}").ddl_if(
            dialect="sqlite"
        )
        for column, referred in (
            ("act_id", "attempt.id"),
            ("debit_id", "account.id"),
            ("credit_id", "account.id"),
        )
    ],
    ForeignKeyConstraint(
        ["needs", "subject", "needs_turn"],
        ["entry.uses", "entry.subject", "entry.turn"],
        name="fk_entry_needs",
    ),
    CheckConstraint(
        "(uses IS NULL AND subject IS NULL AND turn IS NULL)"
        " OR (uses IS NOT NULL AND subject IS NOT NULL AND turn IS NOT NULL)",
        name="right_is_whole",
    ),
    CheckConstraint("turn >= 0", name="turn_counts"),
    CheckConstraint(
        "(amount_cents = 0 AND debit_id IS NULL AND credit_id IS NULL)"
        " OR (amount_cents > 0 AND debit_id IS NOT NULL AND credit_id IS NOT NULL"
        " AND debit_id <> credit_id)",
        name="money_has_two_sides",
    ),
    CheckConstraint("length(leaf_hash) = 32", name="leaf_size"),
    # SQLite has no sha256: there, the audit does this.
    CheckConstraint(
        "leaf_hash = sha256('\\x00'::bytea || body)", name="leaf_is_body"
    ).ddl_if(dialect="postgresql"),
)

# Where a group act (a lapse) and single acts meet. Keys are opaque here.
gate = table(
    "gate",
    Column("key", Words, primary_key=True),
    Column("generation", Integer, nullable=False),
    Column("closed_by", Identifier, ForeignKey("attempt.id")),
    CheckConstraint("generation >= 0", name="generation_counts"),
)

# Committed, not yet in the log: the only journal table whose rows are deleted, by the sequencer.
# Here and in `log_leaf`, no foreign key to the entry: each row is copied from one in the same
# statement, the audit compares them, and a key would cost a tenth of a redemption.
pending = table(
    "pending",
    Column("seq", Integer, Identity(always=True), primary_key=True),
    Column("entry_id", Identifier, nullable=False, unique=True),
    sqlite_autoincrement=True,
)

log_leaf = table(
    "log_leaf",
    Column("idx", Integer, primary_key=True, autoincrement=False),
    Column("entry_id", Identifier, nullable=False, unique=True),
    Column("leaf_hash", Bytes, nullable=False),
    CheckConstraint("idx >= 0", name="idx_counts"),
    CheckConstraint("length(leaf_hash) = 32", name="leaf_size"),
)

# Full tiles only (C2SP tlog-tiles): a partial one is the tail of `log_leaf`, or of the roots of the
# level below, kept so that the edge of a tall tree is not hashed again for each proof.
log_tile = table(
    "log_tile",
    Column("level", Integer, primary_key=True, autoincrement=False),
    Column("n", Integer, primary_key=True, autoincrement=False),
    Column("hashes", Bytes, nullable=False),
    Column("root", Bytes, nullable=False),
    CheckConstraint("level >= 0 AND n >= 0", name="place_counts"),
    CheckConstraint("length(hashes) = 8192", name="tile_is_full"),
    CheckConstraint("length(root) = 32", name="root_size"),
)

log_state = table(
    "log_state",
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("size", Integer, nullable=False),
    Column("frontier", Bytes, nullable=False),
    CheckConstraint("id = 1", name="only_one"),
    CheckConstraint("size >= 0", name="size_counts"),
)

checkpoint = table(
    "checkpoint",
    Column("tree_size", Integer, primary_key=True, autoincrement=False),
    Column("root", Bytes, nullable=False),
    Column("made_at", Instant, nullable=False),
    CheckConstraint("length(root) = 32", name="root_size"),
)

# Keys that sign checkpoints: added, ended, never removed.
log_key = table(
    "log_key",
    Column("rank", Integer, primary_key=True, autoincrement=False),
    Column("name", Words, nullable=False),
    Column("public", Bytes, nullable=False, unique=True),
    Column("sealed", Bytes, nullable=False),
    Column("entry_id", Identifier, ForeignKey("entry.id"), nullable=False),
    CheckConstraint("rank >= 0", name="rank_counts"),
    CheckConstraint("length(public) = 32", name="public_size"),
)

log_key_end = table(
    "log_key_end",
    Column(
        "rank", Integer, ForeignKey("log_key.rank"), primary_key=True, autoincrement=False
    ),
    Column("why", Words, nullable=False),
    Column("entry_id", Identifier, ForeignKey("entry.id"), nullable=False),
    CheckConstraint("why IN ('replaced', 'lost', 'exposed', 'moved')", name="why_known"),
)

# The checkpoints that were signed and shown; between two of them the log has grown by any number.
published = table(
    "published",
    Column(
        "tree_size",
        Integer,
        ForeignKey("checkpoint.tree_size"),
        primary_key=True,
        autoincrement=False,
    ),
    Column("note", Words, nullable=False),
    Column("made_at", Instant, nullable=False),
)

# Which witnesses there are, and whose cosignatures a checkpoint must bear (C2SP tlog-policy).
witness_policy = table(
    "witness_policy",
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("text", Words, nullable=False),
    Column("entry_id", Identifier, ForeignKey("entry.id"), nullable=False),
    CheckConstraint("version > 0", name="version_counts"),
)

cosignature = table(
    "cosignature",
    Column(
        "tree_size",
        Integer,
        ForeignKey("published.tree_size"),
        primary_key=True,
        autoincrement=False,
    ),
    Column("key_id", Words, primary_key=True),
    Column("line", Words, nullable=False),
)

balance = table(
    "balance",
    Column(
        "account_id",
        Integer,
        ForeignKey("account.id"),
        primary_key=True,
        autoincrement=False,
    ),
    Column("debits", Cents, nullable=False),
    Column("credits", Cents, nullable=False),
    Column("upto_idx", Integer, nullable=False),
    CheckConstraint("debits >= 0 AND credits >= 0", name="sides_count"),
)
