"""What caps hold back follows from the segments: it is no longer kept beside them."""

from alembic import op

revision = "0017"
down_revision = "0016"

DROPPED = ["capped_attribution", "capped_use"]


def upgrade() -> None:
    for table in DROPPED:
        op.drop_table(table)
