"""Devices that act for a site or a desk; jobs that have run."""

from app.migrating import forbid_changes, forbid_deletes, grant, run_sql

revision = "0005"
down_revision = "0004"

GRANTS = {
    "device": {"app": "SELECT, INSERT, UPDATE (revoked_at)"},
    "job_run": {"app": "SELECT, INSERT"},
}


def upgrade() -> None:
    run_sql(__file__)
    forbid_changes(["job_run"])
    forbid_deletes(["device"])
    grant(GRANTS)
