"""An accreditation that was renewed can end before its renewal: the day is known to the row that follows."""

from alembic import op

from app.migrating import forbid_deletes, run_sql

revision = "0018"
down_revision = "0017"


def upgrade() -> None:
    run_sql(__file__)
    if op.get_bind().dialect.name == "sqlite":  # the table is a new one
        forbid_deletes(["accreditation"])
