"""Attestations: papers that desks signed for their hand-outs, by hash, and what each covers."""

from app.migrating import forbid_changes, grant, run_sql

revision = "0016"
down_revision = "0015"

GRANTS = {
    "attestation": {"app": "SELECT, INSERT", "sequencer": "SELECT"},
    "attested": {"app": "SELECT, INSERT", "sequencer": "SELECT"},
}


def upgrade() -> None:
    run_sql(__file__)
    forbid_changes(list(GRANTS))
    grant(GRANTS)
