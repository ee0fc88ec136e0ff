"""What the running application keeps in a département: its devices, and which jobs have run."""

from sqlalchemy import CheckConstraint, Column, ForeignKey

from ledger.columns import Bytes, Day, Instant, Integer, Words, table

# A bearer token's digest, and the only place it acts for; until people sign in.
device = table(
    "device",
    Column("id", Words, primary_key=True),
    Column("token_digest", Bytes, nullable=False, unique=True),
    Column("label", Words, nullable=False),
    Column("scope", Words, nullable=False),
    Column("site", Integer, ForeignKey("site.number")),
    Column("desk", Words, ForeignKey("desk.code")),
    Column("made_at", Instant, nullable=False),
    Column("revoked_at", Instant),
    CheckConstraint("length(token_digest) = 32", name="digest_size"),
    CheckConstraint(
        "(scope = 'site' AND site IS NOT NULL AND desk IS NULL)"
        " OR (scope = 'desk' AND desk IS NOT NULL AND site IS NULL)"
        " OR (scope = 'departement' AND site IS NULL AND desk IS NULL)",
        name="one_scope",
    ),
)

# One row per job and day, written once every step of the job was through.
job_run = table(
    "job_run",
    Column("job", Words, primary_key=True),
    Column("day", Day, primary_key=True),
    Column("ran_at", Instant, nullable=False),
)
