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

# A public key, named by the credential's own id; a counter that stops growing tells a copy.
passkey = table(
    "passkey",
    Column("id", Bytes, primary_key=True),
    Column("person", Identifier, ForeignKey("person.id"), nullable=False, index=True),
    Column("public_key", Bytes, nullable=False),
    Column("sign_count", Integer, nullable=False),
    Column("name", Words, nullable=False),
    Column("made_at", Instant, nullable=False),
    Column("used_at", Instant),
)

# What a session was asked to sign: one for each purpose, deleted by its first answer.
passkey_challenge = table(
    "passkey_challenge",
    Column("session", Bytes, primary_key=True),
    Column("purpose", Words, primary_key=True),
    Column("challenge", Bytes, nullable=False),
    Column("ends_at", Instant, nullable=False),
    CheckConstraint("length(session) = 32", name="digest_size"),
    CheckConstraint("purpose IN ('add', 'prove')", name="purpose_known"),
)

# Who a provider says someone is. An e-mail address changes hands: it is never looked at.
identity = table(
    "identity",
    Column("issuer", Words, primary_key=True),
    Column("sub", Words, primary_key=True),
    Column("person", Identifier, ForeignKey("person.id"), nullable=False, index=True),
    # As told at the last sign-in: the employer, and the name of the account there.
    Column("siret", Words),
    Column("uid", Words),
    Column("linked_at", Instant, nullable=False),
    Column("used_at", Instant),
)

# A browser sent to the provider, until it comes back; `session` where it is to link an identity.
oidc_flow = table(
    "oidc_flow",
    Column("browser", Bytes, primary_key=True),
    Column("state", Bytes, nullable=False),
    Column("nonce", Words, nullable=False),
    Column("verifier", Words, nullable=False),
    Column("session", Bytes),
    Column("ends_at", Instant, nullable=False),
    CheckConstraint("length(browser) = 32", name="digest_size"),
)

# An identity that was proved and is nobody's yet, until its invitation code is typed.
oidc_proof = table(
    "oidc_proof",
    Column("browser", Bytes, primary_key=True),
    Column("issuer", Words, nullable=False),
    Column("sub", Words, nullable=False),
    Column("siret", Words),
    Column("uid", Words),
    Column("strong", Flag, nullable=False),
    Column("ends_at", Instant, nullable=False),
    CheckConstraint("length(browser) = 32", name="digest_size"),
    CheckConstraint("strong IN (0, 1)", name="strong_or_not").ddl_if(dialect="sqlite"),
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
