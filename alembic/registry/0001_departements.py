"""The list of départements."""

import sqlalchemy as sa
from alembic import op

from ledger.columns import Flag

revision = "r0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "departement",
        sa.Column("code", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("timezone", sa.Text, nullable=False),
        sa.Column("host", sa.Text, nullable=False),
        sa.Column("read_only", Flag, nullable=False),
        sa.PrimaryKeyConstraint("code", name="pk_departement"),
        sqlite_strict=True,
    )
    if op.get_bind().dialect.name == "postgresql":
        op.execute("GRANT SELECT ON departement TO passnum_app, passnum_sequencer")
