"""How an order goes: the proofs that were approved, and what makes the orders of a tranche good."""

from app.migrating import forbid_changes, grant, run_sql

revision = "0012"
down_revision = "0011"

GRANTS = {"proof_approval": {"app": "SELECT, INSERT"}}


def upgrade() -> None:
    run_sql(__file__)
    forbid_changes(list(GRANTS))
    grant(GRANTS)
