"""Carnets and passes, the desks that hold them, the keys that sign them. Insert-only but the vault and a counter.

A pass carries no status: what became of it is read from the entries it caused.
"""

from sqlalchemy import (
    CheckConstraint,
    Column,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    UniqueConstraint,
)

from ledger.columns import (
    Bytes,
    Cents,
    Day,
    Flag,
    Identifier,
    Instant,
    Integer,
    Words,
    table,
)

# Private keys are sealed by a secret from the environment; public ones are never removed.
secret_key = table(
    "secret_key",
    Column("key_id", Integer, primary_key=True, autoincrement=False),
    Column("purpose", Words, nullable=False),
    Column("public", Bytes),
    Column("sealed", Bytes, nullable=False),
    Column("entry_id", Identifier, ForeignKey("entry.id"), nullable=False),
    CheckConstraint("key_id BETWEEN 0 AND 255", name="key_id_fits"),
    CheckConstraint("purpose IN ('voucher', 'specimen', 'code')", name="purpose_known"),
    CheckConstraint("(purpose = 'code') = (public IS NULL)", name="public_where_signing"),
)

# The next number of a kind; its row lock keeps concurrent orders apart.
numbering = table(
    "numbering",
    Column("kind", Words, primary_key=True),
    Column("next", Integer, nullable=False),
    CheckConstraint("next >= 1", name="next_counts"),
)

voucher_order = table(
    "voucher_order",
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("tranche", Integer, ForeignKey("tranche.number"), nullable=False),
    Column("carnets", Integer, nullable=False),
    Column("first_carnet", Integer, nullable=False, unique=True),
    Column("carnet_size", Integer, nullable=False),
    Column("face_cents", Cents, nullable=False),
    Column("printed_use_by", Day, nullable=False),
    Column("specimen", Flag, nullable=False),
    Column("key_id", Integer, ForeignKey("secret_key.key_id"), nullable=False),
    Column("entry_id", Identifier, ForeignKey("entry.id"), nullable=False, unique=True),
    CheckConstraint("carnets >= 1 AND first_carnet >= 1", name="carnets_count"),
)

carnet = table(
    "carnet",
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column(
        "order_number",
        Integer,
        ForeignKey("voucher_order.number"),
        nullable=False,
        index=True,
    ),
    UniqueConstraint("number", "order_number"),
)

# The token and the code themselves are never stored.
voucher = table(
    "voucher",
    Column("serial", Words, primary_key=True),
    Column("carnet", Integer, nullable=False),
    Column("rank", Integer, nullable=False),
    Column("order_number", Integer, nullable=False),
    Column("token_digest", Bytes, nullable=False),
    Column("code_digest", Bytes, nullable=False, unique=True),
    UniqueConstraint("carnet", "rank"),
    ForeignKeyConstraint(
        ["carnet", "order_number"], ["carnet.number", "carnet.order_number"]
    ),
    CheckConstraint("rank BETWEEN 1 AND 255", name="rank_fits"),
    CheckConstraint("length(token_digest) = 32", name="token_digest_size"),
    CheckConstraint("length(code_digest) = 32", name="code_digest_size"),
)

# Carnets taken over from a former operator: what their covers say. `found_by` is that without what
# people type in several ways. It is no secret; the numbers of the passes inside are kept nowhere.
foreign_carnet = table(
    "foreign_carnet",
    Column("carnet", Integer, primary_key=True, autoincrement=False),
    Column("order_number", Integer, nullable=False, index=True),
    Column("operator", Words, nullable=False),
    Column("label", Words, nullable=False),
    Column("found_by", Words, nullable=False),
    UniqueConstraint("found_by", "operator"),
    ForeignKeyConstraint(
        ["carnet", "order_number"], ["carnet.number", "carnet.order_number"]
    ),
)

# Of a pass taken over, the mark of its number is its code's digest; a QR code that holds another
# text than the number is found by the mark of that text, here.
foreign_qr = table(
    "foreign_qr",
    Column("digest", Bytes, primary_key=True),
    Column("serial", Words, ForeignKey("voucher.serial"), nullable=False, unique=True),
    CheckConstraint("length(digest) = 32", name="digest_size"),
)

activation = table(
    "activation",
    Column(
        "order_number",
        Integer,
        ForeignKey("voucher_order.number"),
        primary_key=True,
        autoincrement=False,
    ),
    # The number of what makes the order good: of the commitment, or of the mandat.
    Column("commitment_number", Words, nullable=False),
    Column("entry_id", Identifier, ForeignKey("entry.id"), nullable=False, unique=True),
    Column("basis", Words, nullable=False, server_default="commitment"),
    CheckConstraint("basis IN ('commitment', 'mandat')", name="basis_known"),
)

# What a manager saw and approved before paper was printed; the highest turn of a kind is the one
# that holds.  Lists are canonical JSON.
proof_approval = table(
    "proof_approval",
    Column(
        "order_number",
        Integer,
        ForeignKey("voucher_order.number"),
        primary_key=True,
        autoincrement=False,
    ),
    Column("kind", Words, primary_key=True),
    Column("turn", Integer, primary_key=True, autoincrement=False),
    Column("template", Words, nullable=False),
    Column("template_version", Integer, nullable=False),
    Column("template_sha256", Words, nullable=False),
    Column("publicity", Words, nullable=False),
    Column("logos", Words, nullable=False),
    Column("proof_sha256", Words, nullable=False),
    Column("entry_id", Identifier, ForeignKey("entry.id"), nullable=False, unique=True),
    CheckConstraint("kind IN ('pdf', 'shop')", name="kind_known"),
    CheckConstraint("turn >= 0", name="turn_counts"),
)

desk = table(
    "desk",
    Column("code", Words, primary_key=True),
    Column("prescriber", Words, nullable=False),
    Column("name", Words, nullable=False),
    Column("entry_id", Identifier, ForeignKey("entry.id"), nullable=False, unique=True),
    Column("siret", Words),
    Column("commune", Words),
)

desk_programme = table(
    "desk_programme",
    Column("desk", Words, ForeignKey("desk.code"), primary_key=True),
    Column("programme", Words, ForeignKey("programme.code"), primary_key=True),
    Column("entry_id", Identifier, ForeignKey("entry.id"), nullable=False),
)

# Carnets sent from one holder to another; no desk stands for the central store.
transfer = table(
    "transfer",
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column(
        "order_number",
        Integer,
        ForeignKey("voucher_order.number"),
        nullable=False,
    ),
    Column("from_desk", Words, ForeignKey("desk.code"), index=True),
    Column("to_desk", Words, ForeignKey("desk.code"), index=True),
    Column("carnets", Integer, nullable=False),
    Column("entry_id", Identifier, ForeignKey("entry.id"), nullable=False, unique=True),
    CheckConstraint("carnets >= 1", name="carnets_count"),
    CheckConstraint(
        "COALESCE(from_desk, '') <> COALESCE(to_desk, '')", name="goes_elsewhere"
    ),
)

# What a carnet went through; the highest turn of the next two tables says where it is.
delivery = table(
    "delivery",
    Column(
        "carnet",
        Integer,
        ForeignKey("carnet.number"),
        primary_key=True,
        autoincrement=False,
    ),
    Column("turn", Integer, primary_key=True, autoincrement=False),
    Column("desk", Words, ForeignKey("desk.code"), nullable=False, index=True),
    Column("entry_id", Identifier, ForeignKey("entry.id"), nullable=False),
)

# It left: on the way with a transfer, or, without one, back in the central store.
departure = table(
    "departure",
    Column(
        "carnet",
        Integer,
        ForeignKey("carnet.number"),
        primary_key=True,
        autoincrement=False,
    ),
    Column("turn", Integer, primary_key=True, autoincrement=False),
    Column("transfer", Integer, ForeignKey("transfer.number"), index=True),
    Column("entry_id", Identifier, ForeignKey("entry.id"), nullable=False),
)

handed_out = table(
    "handed_out",
    Column("serial", Words, ForeignKey("voucher.serial"), primary_key=True),
    Column("entry_id", Identifier, ForeignKey("entry.id"), nullable=False, index=True),
)

# One row a hand-out, so that what was given, to whom and how sure it is, is a query. What replaces
# lost paper is no new hand-out, and has none.
hand_out = table(
    "hand_out",
    Column("entry_id", Identifier, ForeignKey("entry.id"), primary_key=True),
    Column("order_number", Integer, ForeignKey("voucher_order.number"), nullable=False),
    Column("tranche", Integer, ForeignKey("tranche.number"), nullable=False),
    Column("desk", Words, ForeignKey("desk.code"), nullable=False),
    Column("pic", Flag, nullable=False),
    Column("proof", Words, nullable=False),
    Column("passes", Integer, nullable=False),
    Column("given_on", Day, nullable=False),
    Column("recorded_late", Flag, nullable=False),
    Column("despite_limit", Words),
    Column("at_site", Integer),
    CheckConstraint("passes > 0", name="passes_count"),
    Index("ix_hand_out_desk_given_on", "desk", "given_on"),
    Index("ix_hand_out_tranche", "tranche"),
)

# A paper that a desk signed for its hand-outs, by the hash of its file, and the hand-outs it covers.
attestation = table(
    "attestation",
    Column("entry_id", Identifier, ForeignKey("entry.id"), primary_key=True),
    Column("desk", Words, ForeignKey("desk.code"), nullable=False),
    Column("from_day", Day, nullable=False),
    Column("until_day", Day, nullable=False),
    Column("sha256", Words, nullable=False),
)

attested = table(
    "attested",
    Column("hand_out", Identifier, ForeignKey("hand_out.entry_id"), primary_key=True),
    Column(
        "entry_id",
        Identifier,
        ForeignKey("attestation.entry_id"),
        nullable=False,
        index=True,
    ),
)

# The vault: what is known of people, apart from the journal. A person is a random number and a
# key of their own, sealed by the master key; destroying the key is how a person is erased, and a
# trigger keeps it destroyed.
vault_person = table(
    "vault_person",
    Column("id", Identifier, primary_key=True),
    Column("sealed_key", Bytes),
    Column("made_at", Instant, nullable=False),
    Column("erased_at", Instant),
    CheckConstraint(
        "(sealed_key IS NULL) = (erased_at IS NOT NULL)", name="erased_without_key"
    ),
)

# Sealed by the person's key. The entry holds the salted commitment to it; a later turn of the
# same kind supersedes an earlier one, which its own entry still commits to.
vault_record = table(
    "vault_record",
    Column("person", Identifier, ForeignKey("vault_person.id"), primary_key=True),
    Column("kind", Words, primary_key=True),
    Column("turn", Integer, primary_key=True, autoincrement=False),
    Column("sealed", Bytes, nullable=False),
    Column("made_at", Instant, nullable=False),
    Column("entry_id", Identifier, ForeignKey("entry.id"), nullable=False, index=True),
    CheckConstraint("turn >= 0", name="turn_counts"),
)

# Secrets of the département, sealed by the master key: the one that makes marks of persons.
vault_secret = table(
    "vault_secret",
    Column("name", Words, primary_key=True),
    Column("sealed", Bytes, nullable=False),
    Column("made_at", Instant, nullable=False),
)

# What a limit per person counts: a keyed mark of who got the passes, taken away with the person.
vault_mark = table(
    "vault_mark",
    Column("entry_id", Identifier, ForeignKey("entry.id"), primary_key=True),
    Column("person", Identifier, ForeignKey("vault_person.id"), nullable=False, index=True),
    Column("mark", Bytes, index=True),
    Column("tranche", Integer, ForeignKey("tranche.number"), nullable=False),
    Column("passes", Integer, nullable=False),
    CheckConstraint("length(mark) = 32", name="mark_size"),
    CheckConstraint("passes > 0", name="passes_count"),
)

# Who looked, at whom, what for. The entry says the same without the person, so that a line
# removed here is missed by the audit.
vault_access = table(
    "vault_access",
    Column("entry_id", Identifier, ForeignKey("entry.id"), primary_key=True),
    Column(
        "person", Identifier, ForeignKey("vault_person.id"), primary_key=True, index=True
    ),
    Column("who", Words, nullable=False),
    Column("at", Instant, nullable=False),
    Column("purpose", Words, nullable=False),
    CheckConstraint("purpose <> ''", name="purpose_told"),
)
