"""The vault: people, each sealed by a key of their own; what is known of them; who looked."""

from alembic import op

from app.migrating import forbid_changes, forbid_deletes, grant, run_sql

revision = "0006"
down_revision = "0005"

APPEND_ONLY = ["vault_record", "vault_access"]

GRANTS = {
    **{table: {"app": "SELECT, INSERT"} for table in APPEND_ONLY},
    # A key is sealed anew when the master key changes, and taken away when a person is erased.
    "vault_person": {"app": "SELECT, INSERT, UPDATE (sealed_key, erased_at)"},
}

# What was read before an erasure cannot be written back after it.
STAYS_ERASED = {
    "postgresql": [
        """
        CREATE FUNCTION stays_erased() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
          RAISE EXCEPTION 'an erased person stays erased' USING ERRCODE = 'restrict_violation';
        END $$
        """,
        """
        CREATE TRIGGER vault_person_stays_erased BEFORE UPDATE ON vault_person
        FOR EACH ROW WHEN (OLD.sealed_key IS NULL) EXECUTE FUNCTION stays_erased()
        """,
        "ALTER TABLE vault_person ENABLE ALWAYS TRIGGER vault_person_stays_erased",
    ],
    "sqlite": [
        """
        CREATE TRIGGER vault_person_stays_erased BEFORE UPDATE ON vault_person
        WHEN OLD.sealed_key IS NULL
        BEGIN SELECT RAISE(ABORT, 'an erased person stays erased'); END
        """
    ],
}


def upgrade() -> None:
    run_sql(__file__)
    forbid_changes(APPEND_ONLY)
    forbid_deletes(["vault_person"])
    for statement in STAYS_ERASED[op.get_bind().dialect.name]:
        op.execute(statement)
    grant(GRANTS)
