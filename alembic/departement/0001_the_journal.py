"""The journal and its log: attempts, entries, rights, gates, accounts, leaves, balances."""

import sqlalchemy as sa
from alembic import op

from app.migrating import forbid_changes, forbid_deletes, grant, run_sql

revision = "0001"
down_revision = None

APPEND_ONLY = [
    "account",
    "attempt",
    "refusal",
    "entry",
    "log_leaf",
    "log_tile",
    "checkpoint",
]

GRANTS = {
    "account": {"app": "SELECT, INSERT", "sequencer": "SELECT"},
    "attempt": {"app": "SELECT, INSERT", "sequencer": "SELECT"},
    "refusal": {"app": "SELECT, INSERT", "sequencer": "SELECT"},
    "entry": {"app": "SELECT, INSERT", "sequencer": "SELECT"},
    "gate": {
        "app": "SELECT, INSERT, UPDATE (generation, closed_by)",
        "sequencer": "SELECT",
    },
    "pending": {"app": "SELECT, INSERT", "sequencer": "SELECT, DELETE"},
    "log_leaf": {"app": "SELECT", "sequencer": "SELECT, INSERT"},
    "log_tile": {"app": "SELECT", "sequencer": "SELECT, INSERT"},
    "log_state": {"app": "SELECT", "sequencer": "SELECT, UPDATE (size, frontier)"},
    "checkpoint": {"app": "SELECT", "sequencer": "SELECT, INSERT"},
    "balance": {"app": "SELECT", "sequencer": "SELECT, INSERT, UPDATE"},
}

# What a foreign key would check row by row, checked once a statement: the rows referred to are
# append-only, so what is there stays there and need not be locked.  Planned for few rows in a
# large table, whatever the size when the plan is made.
REFERENCES = [
    """
    CREATE FUNCTION entry_refers() RETURNS trigger LANGUAGE plpgsql
    SET search_path FROM CURRENT SET enable_seqscan = off AS $$ BEGIN
      IF EXISTS (SELECT FROM written AS w
                 WHERE (SELECT a.id FROM attempt AS a WHERE a.id = w.act_id) IS NULL)
      OR EXISTS (SELECT FROM (SELECT debit_id AS id FROM written
                              UNION SELECT credit_id FROM written) AS w
                 WHERE id IS NOT NULL
                   AND (SELECT a.id FROM account AS a WHERE a.id = w.id) IS NULL) THEN
        RAISE EXCEPTION 'an entry refers to no attempt, or to no account'
          USING ERRCODE = 'foreign_key_violation';
      END IF;
      RETURN NULL; END $$
    """,
    """
    CREATE TRIGGER entry_refers AFTER INSERT ON entry REFERENCING NEW TABLE AS written
    FOR EACH STATEMENT EXECUTE FUNCTION entry_refers()
    """,
    "ALTER TABLE entry ENABLE ALWAYS TRIGGER entry_refers",
]


def upgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.execute(
            "CREATE FUNCTION forbid_change() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
            " RAISE EXCEPTION 'append-only: % on %', TG_OP, TG_TABLE_NAME"
            " USING ERRCODE = 'restrict_violation'; END $$"
        )
    run_sql(__file__)
    if op.get_bind().dialect.name == "postgresql":
        for statement in REFERENCES:
            op.execute(statement)
    op.bulk_insert(
        sa.table("log_state", sa.column("id"), sa.column("size"), sa.column("frontier")),
        [{"id": 1, "size": 0, "frontier": b""}],
    )
    # Acts on reference data wait for one another here.
    op.bulk_insert(
        sa.table("gate", sa.column("key"), sa.column("generation")),
        [{"key": "reference", "generation": 0}],
    )
    forbid_changes(APPEND_ONLY)
    forbid_deletes(["gate", "log_state", "balance"])
    grant(GRANTS)
