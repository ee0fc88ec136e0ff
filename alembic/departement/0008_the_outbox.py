"""What leaves by e-mail: queued with its act, claimed by one sender, concluded."""

from app.migrating import forbid_deletes, grant, run_sql

revision = "0008"
down_revision = "0007"

GRANTS = {
    "outbox": {
        "app": "SELECT, INSERT, UPDATE (sealed, due_at, claimed_at, sent_at, stopped_at, attempts, last_error, last_reply)"
    },
}


def upgrade() -> None:
    run_sql(__file__)
    forbid_deletes(["outbox"])
    grant(GRANTS)
