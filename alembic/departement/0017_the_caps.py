"""What caps hold back follows from the segments: it is no longer kept beside them."""

from alembic import op

revision = "0017"
down_revision = "0016"


def upgrade() -> None:
    op.drop_table("capped_attribution")
    op.drop_table("capped_use")
