"""The people who work with the ledger, never those who hold a pass.

What is secret is kept as a digest or sealed; what they may do is a dated membership, and each
membership and each end of one leaves an entry.
"""

from sqlalchemy import CheckConstraint, Column, ForeignKey

from app.people.roles import Role
from ledger.columns import Bytes, Flag, Identifier, Instant, Integer, Words, table

person = table(
    "person",
    Column("id", Identifier, primary_key=True),
    # What is typed to sign in: an e-mail address, or a short name for who has none.
    Column("login", Words, nullable=False, unique=True),
    Column("name", Words, nullable=False),
    Column("email", Words),
    Column("made_at", Instant, nullable=False),
    CheckConstraint("login = lower(login)", name="login_is_lower"),
)

membership = table(
    "membership",
    Column("id", Identifier, ForeignKey("entry.id"), primary_key=True),
    Column("person", Identifier, ForeignKey("person.id"), nullable=False, index=True),
    Column("role", Words, nullable=False),
    Column("desk", Words, ForeignKey("desk.code")),
    Column("site", Integer, ForeignKey("site.number")),
    Column("programme", Words, ForeignKey("programme.code")),
    Column("made_at", Instant, nullable=False),
    Column("ended_at", Instant),
    CheckConstraint(
        "role IN ({})".format(", ".join(f"'{role.value}'" for role in Role)),
        name="role_known",
    ),
    CheckConstraint(
        "(role IN ('prescriber_manager', 'prescriber_agent')) = (desk IS NOT NULL)",
        name="desk_where_due",
    ),
    CheckConstraint(
        "(role IN ('site_manager', 'mediator', 'volunteer')) = (site IS NOT NULL)",
        name="site_where_due",
    ),
)

password = table(
    "password",
    Column("person", Identifier, ForeignKey("person.id"), primary_key=True),
    Column("hash", Words, nullable=False),
    Column("changed_at", Instant, nullable=False),
)

# The secret is sealed; a step that was used is not accepted again.
totp = table(
    "totp",
    Column("person", Identifier, ForeignKey("person.id"), primary_key=True),
    Column("sealed", Bytes, nullable=False),
    Column("confirmed_at", Instant),
    Column("last_step", Integer, nullable=False),
)

recovery_code = table(
    "recovery_code",
    Column("person", Identifier, ForeignKey("person.id"), primary_key=True),
    Column("digest", Bytes, primary_key=True),
    Column("used_at", Instant),
    CheckConstraint("length(digest) = 32", name="digest_size"),
)

invitation = table(
    "invitation",
    Column("digest", Bytes, primary_key=True),
    Column("person", Identifier, ForeignKey("person.id"), nullable=False, index=True),
    Column("made_at", Instant, nullable=False),
    Column("ends_at", Instant, nullable=False),
    Column("used_at", Instant),
    CheckConstraint("length(digest) = 32", name="digest_size"),
)

web_session = table(
    "web_session",
    Column("digest", Bytes, primary_key=True),
    Column("person", Identifier, ForeignKey("person.id"), nullable=False, index=True),
    Column("opened_at", Instant, nullable=False),
    Column("seen_at", Instant, nullable=False),
    Column("ends_at", Instant, nullable=False),
    # How the second factor was given; while one is due, the session opens no other door.
    Column("second_factor", Words),
    Column("factor_due", Flag, nullable=False),
    Column("device", Words, nullable=False),
    Column("closed_at", Instant),
    CheckConstraint("length(digest) = 32", name="digest_size"),
    CheckConstraint("factor_due IN (0, 1)", name="due_or_not").ddl_if(dialect="sqlite"),
)

# Failures, by the digest of what was guessed at.
sign_in_failures = table(
    "sign_in_failures",
    Column("digest", Bytes, primary_key=True),
    Column("failures", Integer, nullable=False),
    Column("last_at", Instant, nullable=False),
    CheckConstraint("length(digest) = 32", name="digest_size"),
)
