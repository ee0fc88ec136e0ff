"""Who pays, for what, until when. Insert-only but `tranche_budget` and `segment`.

What can be amended (windows, shares, calendars, suspensions) is rows with a version: an
amendment adds one, and history keeps the rest.  Each row names the entry that made it.
"""

from sqlalchemy import (
    CheckConstraint,
    Column,
    ForeignKey,
    ForeignKeyConstraint,
    UniqueConstraint,
)

from funding.allocation import Funder
from ledger.columns import Cents, Day, Flag, Identifier, Integer, Words, table


def _one_of(column: str, words: tuple[str, ...]) -> str:
    listed = ", ".join(f"'{word}'" for word in words)
    return f"{column} IN ({listed})"


BASES = ("bought", "used", "paid", "unit_cost")
PAYMENT_MODES = ("prepaid", "advance", "on_claim")
# What makes an order good: the département's commitment, or the mandat that paid for it before.
ACTIVATED_ON = ("commitment", "mandat")

call = table(
    "call",
    Column("code", Words, primary_key=True),
    Column("name", Words, nullable=False),
    Column("opened_on", Day, nullable=False),
    Column("entry_id", Identifier, ForeignKey("entry.id"), nullable=False, unique=True),
)

convention = table(
    "convention",
    Column("code", Words, primary_key=True),
    Column("call", Words, ForeignKey("call.code"), nullable=False),
    Column("funder", Words, nullable=False),
    Column("name", Words, nullable=False),
    Column("basis", Words, nullable=False),
    Column("payment_mode", Words, nullable=False),
    Column("cap_cents", Cents),
    Column("entry_id", Identifier, ForeignKey("entry.id"), nullable=False, unique=True),
    UniqueConstraint("code", "call"),
    CheckConstraint(_one_of("funder", tuple(Funder)), name="funder_known"),
    CheckConstraint(_one_of("basis", BASES), name="basis_known"),
    CheckConstraint(_one_of("payment_mode", PAYMENT_MODES), name="payment_mode_known"),
    CheckConstraint("cap_cents > 0", name="cap_counts"),
)

# When a funder accepts workshops; the newest version known to the log when an entry gets its place.
convention_window = table(
    "convention_window",
    Column("convention", Words, ForeignKey("convention.code"), primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("opens_on", Day, nullable=False),
    Column("closes_on", Day, nullable=False),
    Column("entry_id", Identifier, ForeignKey("entry.id"), nullable=False, unique=True),
    CheckConstraint("opens_on <= closes_on", name="days_in_order"),
)

programme = table(
    "programme",
    Column("code", Words, primary_key=True),
    Column("name", Words, nullable=False),
    Column("entry_id", Identifier, ForeignKey("entry.id"), nullable=False, unique=True),
)

suspension = table(
    "suspension",
    Column("programme", Words, ForeignKey("programme.code"), primary_key=True),
    Column("starts_on", Day, primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("ends_on", Day),
    Column("reason", Words, nullable=False),
    Column("entry_id", Identifier, ForeignKey("entry.id"), nullable=False, unique=True),
    CheckConstraint("starts_on <= ends_on", name="days_in_order"),
)

tranche = table(
    "tranche",
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("code", Words, nullable=False, unique=True),
    Column("programme", Words, ForeignKey("programme.code"), nullable=False),
    Column("call", Words, ForeignKey("call.code"), nullable=False),
    Column("face_cents", Cents, nullable=False),
    Column("carnet_size", Integer, nullable=False),
    Column("regularise", Flag, nullable=False),
    Column("entry_id", Identifier, ForeignKey("entry.id"), nullable=False, unique=True),
    # What it asks of hand-outs: `funding.hand_out_rules`.
    Column("late_days", Integer, nullable=False),
    Column("limit_per_person", Integer),
    Column("pic_share", Integer),
    Column("holders_named", Flag, nullable=False),
    Column("at_sites", Flag, nullable=False),
    Column("activated_on", Words, nullable=False, server_default="commitment"),
    UniqueConstraint("number", "call"),
    CheckConstraint(_one_of("activated_on", ACTIVATED_ON), name="activated_on_known"),
    # What a token can carry: VOUCHERS, two bytes each; a carnet's rank is one byte.
    CheckConstraint("number BETWEEN 1 AND 65535", name="number_fits"),
    CheckConstraint("face_cents BETWEEN 1 AND 65535", name="face_fits"),
    CheckConstraint("carnet_size BETWEEN 1 AND 255", name="size_fits"),
)

tranche_budget = table(
    "tranche_budget",
    Column(
        "tranche",
        Integer,
        ForeignKey("tranche.number"),
        primary_key=True,
        autoincrement=False,
    ),
    Column("envelope_cents", Cents, nullable=False),
    Column("reserved_cents", Cents, nullable=False),
    CheckConstraint("reserved_cents BETWEEN 0 AND envelope_cents", name="within_envelope"),
)

calendar = table(
    "calendar",
    Column(
        "tranche",
        Integer,
        ForeignKey("tranche.number"),
        primary_key=True,
        autoincrement=False,
    ),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("hand_out_stop", Day, nullable=False),
    Column("use_by", Day, nullable=False),
    Column("tolerance_until", Day, nullable=False),
    Column("present_by", Day, nullable=False),
    Column("pay_by", Day, nullable=False),
    Column("report_by", Day, nullable=False),
    Column("entry_id", Identifier, ForeignKey("entry.id"), nullable=False, unique=True),
    CheckConstraint(
        "hand_out_stop <= use_by AND use_by <= tolerance_until AND tolerance_until <= present_by"
        " AND present_by <= pay_by AND present_by <= report_by",
        name="days_in_order",
    ),
)

# Communes or départements of the sites; no row: anywhere accredited.
territory = table(
    "territory",
    Column(
        "tranche",
        Integer,
        ForeignKey("tranche.number"),
        primary_key=True,
        autoincrement=False,
    ),
    Column("area", Words, primary_key=True),
)

# Whom the money is for; no row: everybody.
target_public = table(
    "target_public",
    Column(
        "tranche",
        Integer,
        ForeignKey("tranche.number"),
        primary_key=True,
        autoincrement=False,
    ),
    Column("public", Words, primary_key=True),
)

share_version = table(
    "share_version",
    Column("tranche", Integer, primary_key=True, autoincrement=False),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("call", Words, nullable=False),
    Column("from_day", Day, nullable=False),
    Column("entry_id", Identifier, ForeignKey("entry.id"), nullable=False, unique=True),
    UniqueConstraint("tranche", "version", "call"),
    ForeignKeyConstraint(["tranche", "call"], ["tranche.number", "tranche.call"]),
)

share = table(
    "share",
    Column("tranche", Integer, primary_key=True, autoincrement=False),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("convention", Words, primary_key=True),
    Column("call", Words, nullable=False),
    Column("priority", Integer, nullable=False),
    Column("weight", Integer, nullable=False),
    UniqueConstraint("tranche", "version", "priority"),
    ForeignKeyConstraint(
        ["tranche", "version", "call"],
        ["share_version.tranche", "share_version.version", "share_version.call"],
    ),
    # A funder of another call cannot slip in.
    ForeignKeyConstraint(["convention", "call"], ["convention.code", "convention.call"]),
    CheckConstraint("weight >= 0", name="weight_counts"),
    CheckConstraint("priority >= 0", name="priority_counts"),
)

# One share version with one set of open windows, and its net cumulative cents.
segment = table(
    "segment",
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("tranche", Integer, nullable=False),
    Column("version", Integer, nullable=False),
    Column("open_windows", Words, nullable=False),
    Column("weights", Words, nullable=False),
    Column("cents", Cents, nullable=False),
    UniqueConstraint("tranche", "version", "open_windows"),
    ForeignKeyConstraint(
        ["tranche", "version"], ["share_version.tranche", "share_version.version"]
    ),
    CheckConstraint("cents >= 0", name="cents_count"),
)

# Written by the sequencer alone, for the leaves of its own batch, and derived again by the audit.
attribution = table(
    "attribution",
    Column("idx", Integer, primary_key=True, autoincrement=False),
    Column("segment", Integer, nullable=False),
    Column("cents_before", Cents, nullable=False),
)
