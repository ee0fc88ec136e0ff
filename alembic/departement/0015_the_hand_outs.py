"""Hand-outs: what a tranche asks of them, a row for each, and the marks that a limit per person counts."""

from alembic import op

from app.migrating import forbid_changes, forbid_deletes, grant, run_sql

revision = "0015"
down_revision = "0014"

GRANTS = {
    "hand_out": {"app": "SELECT, INSERT", "sequencer": "SELECT"},
    # A secret is sealed anew when the master key changes; a mark is taken away with its person.
    "vault_secret": {"app": "SELECT, INSERT, UPDATE (sealed)"},
    "vault_mark": {"app": "SELECT, INSERT, UPDATE (mark)"},
}

# What was read before an erasure cannot be written back after it.
STAYS_UNMARKED = {
    "postgresql": [
        """
        CREATE FUNCTION stays_unmarked() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
          RAISE EXCEPTION 'a mark is only taken away' USING ERRCODE = 'restrict_violation';
        END $$
        """,
        """
        CREATE TRIGGER vault_mark_stays_unmarked BEFORE UPDATE ON vault_mark
        FOR EACH ROW WHEN (NEW.mark IS NOT NULL) EXECUTE FUNCTION stays_unmarked()
        """,
        "ALTER TABLE vault_mark ENABLE ALWAYS TRIGGER vault_mark_stays_unmarked",
    ],
    "sqlite": [
        """
        CREATE TRIGGER vault_mark_stays_unmarked BEFORE UPDATE ON vault_mark
        WHEN NEW.mark IS NOT NULL
        BEGIN SELECT RAISE(ABORT, 'a mark is only taken away'); END
        """
    ],
}


def upgrade() -> None:
    run_sql(__file__)
    forbid_changes(["hand_out"])
    forbid_deletes(["vault_secret", "vault_mark"])
    for statement in STAYS_UNMARKED[op.get_bind().dialect.name]:
        op.execute(statement)
    grant(GRANTS)
