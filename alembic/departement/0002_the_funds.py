"""Calls, conventions, programmes, tranches, shares, calendars; and whom each use falls to."""

from app.migrating import forbid_changes, forbid_deletes, grant, run_sql

revision = "0002"
down_revision = "0001"

APPEND_ONLY = [
    "call",
    "convention",
    "convention_window",
    "programme",
    "suspension",
    "tranche",
    "calendar",
    "territory",
    "target_public",
    "share_version",
    "share",
    "attribution",
    "capped_attribution",
]

GRANTS = {
    **{
        table: {"app": "SELECT, INSERT", "sequencer": "SELECT"}
        for table in APPEND_ONLY
        if "attribution" not in table
    },
    "tranche_budget": {
        "app": "SELECT, INSERT, UPDATE (reserved_cents)",
        "sequencer": "SELECT",
    },
    "attribution": {"app": "SELECT", "sequencer": "SELECT, INSERT"},
    "capped_attribution": {"app": "SELECT", "sequencer": "SELECT, INSERT"},
    "segment": {"app": "SELECT", "sequencer": "SELECT, INSERT, UPDATE (cents)"},
    "capped_use": {
        "app": "SELECT",
        "sequencer": "SELECT, INSERT, UPDATE (uncapped_cents, capped_cents)",
    },
}


def upgrade() -> None:
    run_sql(__file__)
    forbid_changes(APPEND_ONLY)
    forbid_deletes(["tranche_budget", "segment", "capped_use"])
    grant(GRANTS)
