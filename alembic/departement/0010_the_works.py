"""What is asked to be done in the background: leased by one worker, done in pieces, finished once."""

from app.migrating import forbid_changes, forbid_deletes, grant, run_sql

revision = "0010"
down_revision = "0009"

GRANTS = {
    "work": {
        "app": "SELECT, INSERT, UPDATE (input, done, holder, held_until, tries, finished_at, refused, outcome)"
    },
    "work_result": {"app": "SELECT, INSERT"},
}


def upgrade() -> None:
    run_sql(__file__)
    forbid_deletes(["work"])
    forbid_changes(["work_result"])
    grant(GRANTS)
