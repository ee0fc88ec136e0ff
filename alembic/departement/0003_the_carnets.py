"""Keys, orders, carnets, passes, desks, deliveries, hand-outs."""

import sqlalchemy as sa
from alembic import op

from app.migrating import forbid_changes, forbid_deletes, grant, run_sql

revision = "0003"
down_revision = "0002"

APPEND_ONLY = [
    "secret_key",
    "voucher_order",
    "carnet",
    "voucher",
    "activation",
    "desk",
    "desk_programme",
    "delivery",
    "handed_out",
]

GRANTS = {
    **{table: {"app": "SELECT, INSERT", "sequencer": "SELECT"} for table in APPEND_ONLY},
    "numbering": {"app": "SELECT, UPDATE (next)"},
}


def upgrade() -> None:
    run_sql(__file__)
    op.bulk_insert(
        sa.table("numbering", sa.column("kind"), sa.column("next")),
        [{"kind": kind, "next": 1} for kind in ("order", "carnet", "site")],
    )
    forbid_changes(APPEND_ONLY)
    forbid_deletes(["numbering"])
    grant(GRANTS)
