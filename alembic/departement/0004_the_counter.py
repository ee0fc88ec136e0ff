"""Sites, accreditations, workshops, scans that wait, disputes."""

from app.migrating import forbid_changes, forbid_deletes, grant, run_sql

revision = "0004"
down_revision = "0003"

APPEND_ONLY = ["workshop", "kept_scan", "dispute"]

GRANTS = {
    **{table: {"app": "SELECT, INSERT"} for table in APPEND_ONLY},
    "site": {"app": "SELECT, INSERT, UPDATE"},
    "accreditation": {"app": "SELECT, INSERT, UPDATE (valid_until, ended_for)"},
}


def upgrade() -> None:
    run_sql(__file__)
    forbid_changes(APPEND_ONLY)
    forbid_deletes(["site", "accreditation"])
    grant(GRANTS)
