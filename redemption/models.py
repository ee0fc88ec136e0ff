"""Sites, their accreditations, workshops; scans that wait and scans in dispute.

Sites are reference data and may be corrected; an accreditation is dated rows; the rest is
insert-only.  What a scan came to is read from the entries it caused.
"""

from sqlalchemy import (
    CheckConstraint,
    Column,
    ForeignKey,
    ForeignKeyConstraint,
    UniqueConstraint,
)

from ledger.columns import Day, Identifier, Instant, Integer, Words, table

site = table(
    "site",
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("national_id", Words, nullable=False, unique=True),
    Column("siret", Words),
    Column("name", Words, nullable=False),
    Column("commune", Words, nullable=False),
    Column("postcode", Words, nullable=False),
    Column("insee", Words),
    Column("departement", Words, nullable=False),
    Column("details", Words, nullable=False),
    Column("updated_on", Day, nullable=False),
    Column("entry_id", Identifier, ForeignKey("entry.id"), nullable=False),
    CheckConstraint("length(siret) = 14", name="siret_size"),
)

# Days, both included. Each row starts after the one before it ended: the chain says that no
# two hold at once, on both engines, without an extension.
accreditation = table(
    "accreditation",
    Column(
        "site", Integer, ForeignKey("site.number"), primary_key=True, autoincrement=False
    ),
    Column("programme", Words, ForeignKey("programme.code"), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("valid_from", Day, nullable=False),
    Column("valid_until", Day, nullable=False),
    Column("previous", Integer),
    Column("previous_until", Day),
    Column("ended_for", Words),
    Column("entry_id", Identifier, ForeignKey("entry.id"), nullable=False),
    UniqueConstraint("site", "programme", "number", "valid_until"),
    ForeignKeyConstraint(
        ["site", "programme", "previous", "previous_until"],
        [
            "accreditation.site",
            "accreditation.programme",
            "accreditation.number",
            "accreditation.valid_until",
        ],
        name="fk_accreditation_previous",
        onupdate="CASCADE",
    ),
    CheckConstraint(
        "(number = 0 AND previous IS NULL AND previous_until IS NULL)"
        " OR (number > 0 AND previous IS NOT NULL AND previous = number - 1"
        " AND previous_until IS NOT NULL"
        " AND previous_until < valid_from)",
        name="one_after_another",
    ),
)

workshop = table(
    "workshop",
    Column("id", Identifier, primary_key=True),
    Column("site", Integer, ForeignKey("site.number"), nullable=False),
    Column("day", Day, nullable=False),
    Column("kind", Words, nullable=False),
    Column("service", Words, nullable=False),
    Column("entry_id", Identifier, ForeignKey("entry.id"), nullable=False, unique=True),
    CheckConstraint(
        "kind IN ('individual', 'collective', 'at_home', 'itinerant')", name="kind_known"
    ),
)

# A pass scanned before its hand-out was recorded: the hand-out will decide.
kept_scan = table(
    "kept_scan",
    Column("entry_id", Identifier, ForeignKey("entry.id"), primary_key=True),
    Column("serial", Words, ForeignKey("voucher.serial"), nullable=False, index=True),
    Column("workshop", Identifier, ForeignKey("workshop.id"), nullable=False),
    Column("received_at", Instant, nullable=False),
)

# A case for a manager: it holds no money until decided.
dispute = table(
    "dispute",
    Column("entry_id", Identifier, ForeignKey("entry.id"), primary_key=True),
    Column("tranche", Integer, ForeignKey("tranche.number"), nullable=False, index=True),
    Column("serial", Words, ForeignKey("voucher.serial"), nullable=False, index=True),
    Column("workshop", Identifier, ForeignKey("workshop.id"), nullable=False),
    Column("received_at", Instant, nullable=False),
    Column("present_by", Day, nullable=False),
)
