"""Carnets taken over from a former operator: their covers, and QR codes that hold another text than the number."""

from app.migrating import forbid_changes, grant, run_sql

revision = "0013"
down_revision = "0012"

GRANTS = {
    "foreign_carnet": {"app": "SELECT, INSERT", "sequencer": "SELECT"},
    "foreign_qr": {"app": "SELECT, INSERT", "sequencer": "SELECT"},
}


def upgrade() -> None:
    run_sql(__file__)
    forbid_changes(list(GRANTS))
    grant(GRANTS)
