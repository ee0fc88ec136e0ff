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
    "cosignature",
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
    "cosignature": {"app": "SELECT", "sequencer": "SELECT, INSERT"},
    "balance": {"app": "SELECT", "sequencer": "SELECT, INSERT, UPDATE"},
}


def upgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.execute(
            "CREATE FUNCTION forbid_change() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
            " RAISE EXCEPTION 'append-only: % on %', TG_OP, TG_TABLE_NAME"
            " USING ERRCODE = 'restrict_violation'; END $$"
        )
    run_sql(__file__)
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
