"""What the log shows of itself: its keys, the checkpoints it signed, and the witnesses who cosigned them."""

from app.migrating import forbid_changes, grant, run_sql

revision = "0011"
down_revision = "0010"

GRANTS = {
    "log_key": {"app": "SELECT, INSERT", "sequencer": "SELECT"},
    "log_key_end": {"app": "SELECT, INSERT", "sequencer": "SELECT"},
    "witness_policy": {"app": "SELECT, INSERT", "sequencer": "SELECT"},
    "published": {"app": "SELECT", "sequencer": "SELECT, INSERT"},
    "cosignature": {"app": "SELECT", "sequencer": "SELECT, INSERT"},
}


def upgrade() -> None:
    run_sql(__file__)
    forbid_changes(list(GRANTS))
    grant(GRANTS)
