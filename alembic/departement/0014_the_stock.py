"""Carnets on the way from one holder to another: what was sent, what left, what came back."""

import sqlalchemy as sa
from alembic import op

from app.migrating import forbid_changes, grant, run_sql

revision = "0014"
down_revision = "0013"

GRANTS = {
    "transfer": {"app": "SELECT, INSERT", "sequencer": "SELECT"},
    "departure": {"app": "SELECT, INSERT", "sequencer": "SELECT"},
}


def upgrade() -> None:
    run_sql(__file__)
    op.bulk_insert(
        sa.table("numbering", sa.column("kind"), sa.column("next")),
        [{"kind": "transfer", "next": 1}],
    )
    forbid_changes(list(GRANTS))
    grant(GRANTS)
