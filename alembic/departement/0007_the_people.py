"""The people who work here: roles, credentials, invitations, sessions."""

from app.migrating import forbid_deletes, grant, run_sql

revision = "0007"
down_revision = "0006"

GRANTS = {
    "person": {"app": "SELECT, INSERT, UPDATE (login, name, email)"},
    "membership": {"app": "SELECT, INSERT, UPDATE (ended_at)"},
    "password": {"app": "SELECT, INSERT, UPDATE (hash, changed_at), DELETE"},
    "totp": {"app": "SELECT, INSERT, UPDATE (sealed, confirmed_at, last_step), DELETE"},
    "recovery_code": {"app": "SELECT, INSERT, UPDATE (used_at), DELETE"},
    "invitation": {"app": "SELECT, INSERT, UPDATE (used_at)"},
    "web_session": {
        "app": "SELECT, INSERT, UPDATE (digest, seen_at, ends_at, second_factor, factor_due, closed_at), DELETE"
    },
    "sign_in_failures": {"app": "SELECT, INSERT, UPDATE (failures, last_at), DELETE"},
}


def upgrade() -> None:
    run_sql(__file__)
    forbid_deletes(["person", "membership", "invitation"])
    grant(GRANTS)
