"""Which table goes where when a département moves: each one is named here, and a new one must be.

    told        in every whole coffre: what is needed to read the journal, nothing that opens a door
    sealed      in the transfer file alone: what can be spent, people, the vault, what retries need
    made again  by the sequencer, from the entries
    left        what is worth nothing elsewhere: sessions, half-done works, e-mails under way

Of a told table, some columns are sealed.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime
from itertools import islice
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import Column, LargeBinary, Select, Table, and_, insert, select, update
from sqlalchemy.orm import Session

# The tables are declared by being imported.
import app.mail.models
import app.models
import app.people.models
import app.works.models  # noqa: F401
import redemption.models  # noqa: F401
from ledger.columns import Day, Flag, Identifier, Instant, metadata
from ledger.models import entry, log_leaf, pending

CHUNK = 2_000

# Table -> its sealed columns.  In the order in which rows may be written.
TOLD: dict[str, tuple[str, ...]] = {
    "account": (),
    "call": (),
    "convention": (),
    "convention_window": (),
    "programme": (),
    "suspension": (),
    "tranche": (),
    "tranche_budget": (),
    "target_public": (),
    "territory": (),
    "calendar": (),
    "share_version": (),
    "share": (),
    "desk": (),
    "desk_programme": (),
    "site": (),
    "accreditation": (),
    "workshop": (),
    "secret_key": ("sealed",),
    "log_key": ("sealed",),
    "log_key_end": (),
    "witness_policy": (),
    "voucher_order": (),
    "activation": (),
    "proof_approval": (),
    "carnet": (),
    "voucher": ("token_digest", "code_digest"),
    "foreign_carnet": (),
    "transfer": (),
    "delivery": (),
    "departure": (),
    "handed_out": (),
    "hand_out": (),
    "attestation": (),
    "attested": (),
    "kept_scan": (),
    "dispute": (),
}
# Told beside them: the size and the instant of each checkpoint, from which the sequencer makes them again.
CHECKPOINTS = "checkpoint"
SEALED = (
    "attempt", "refusal", "gate", "numbering", "job_run", "device", "vault_person", "vault_record", "vault_access",
    "vault_secret", "vault_mark",
    "person", "membership", "password", "totp", "recovery_code", "passkey", "identity", "invitation",
    "foreign_qr",
)  # fmt: skip
MADE_AGAIN = frozenset(
    {
        "entry", "log_leaf", "log_tile", "log_state", "checkpoint", "published", "cosignature", "pending",
        "balance", "attribution", "segment",
    }
)  # fmt: skip
LEFT = frozenset(
    {
        "oidc_flow", "oidc_proof", "passkey_challenge", "sign_in_failures", "web_session", "outbox", "work",
        "work_result",
    }
)  # fmt: skip

# The migrations put the first rows there.
_STARTS_FILLED = {"gate", "numbering"}
# Rows that have no entry of their own go with the row they hang from: its table, and how to find it.
_HANGS_FROM: dict[str, tuple[str, dict[str, str]]] = {
    "target_public": ("tranche", {"tranche": "number"}),
    "territory": ("tranche", {"tranche": "number"}),
    "tranche_budget": ("tranche", {"tranche": "number"}),
    "share": ("share_version", {"tranche": "tranche", "version": "version"}),
    "carnet": ("voucher_order", {"order_number": "number"}),
    "voucher": ("voucher_order", {"order_number": "number"}),
    "foreign_carnet": ("voucher_order", {"order_number": "number"}),
}


# What these entries change, they change in its row: it is then not as the checkpoint knew it.
AMENDING = (
    "site_kept",
    "accreditation_ended",
    "order_placed",
    "order_taken_over",
    "order_cancelled",
    "misprints_voided",
)


def amended_since(session: Session, size: int) -> bool:
    """Tell whether told rows were amended by entries that the first `size` do not hold."""
    later = select(log_leaf.c.entry_id).where(log_leaf.c.idx >= size)
    waiting = select(pending.c.entry_id)
    found = select(entry.c.id).where(
        entry.c.id.in_(later.union_all(waiting)), entry.c.kind.in_(AMENDING)
    )
    return session.execute(found.limit(1)).first() is not None


def columns(name: str) -> list[Column[Any]]:
    """Return the columns of a table that are told."""
    hidden = TOLD.get(name, ())
    return [column for column in metadata.tables[name].columns if column.name not in hidden]


def told_rows(session: Session, name: str, size: int) -> Iterator[list[Any]]:
    """Yield the rows of a told table as far as the first `size` entries go, in the order of its key."""
    table = metadata.tables[name]
    found = select(*columns(name)).order_by(*table.primary_key.columns)
    rows = session.execute(_within(found, table, size).execution_options(yield_per=CHUNK))
    for row in rows:
        yield list(row)


def _within(found: Select[Any], table: Table, size: int) -> Select[Any]:
    holder = table
    if table.name in _HANGS_FROM:
        name, link = _HANGS_FROM[table.name]
        holder = metadata.tables[name]
        pairs = [table.c[one] == holder.c[other] for one, other in link.items()]
        found = found.join(holder, and_(*pairs))
    if "entry_id" not in holder.c:
        return found
    at = log_leaf.alias()
    return found.join(at, at.c.entry_id == holder.c.entry_id).where(at.c.idx < size)


def all_rows(session: Session, name: str) -> Iterator[dict[str, Any]]:
    """Yield every row of a table, whole."""
    table = metadata.tables[name]
    rows = session.execute(
        select(table)
        .order_by(*table.primary_key.columns)
        .execution_options(yield_per=CHUNK)
    )
    for row in rows.mappings():
        yield dict(row)


def batches(rows: Iterable[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    """Yield rows a few at a time, as many as one statement takes."""
    left = iter(rows)
    while some := list(islice(left, CHUNK)):
        yield some


def read_row(chosen: Sequence[Column[Any]], told: object) -> dict[str, Any]:
    """Read a row back; ValueError when it does not fit the columns."""
    if not isinstance(told, list) or len(told) != len(chosen):
        raise ValueError("a row does not have the columns of its table")
    found = {}
    for column, value in zip(chosen, told, strict=True):
        if value is None and not column.nullable:
            raise ValueError(f"{column} cannot be empty")
        wanted = _python_type(column)
        found[column.name] = None if value is None else msgspec.convert(value, wanted)
    return found


def _python_type(column: Column[Any]) -> Any:  # noqa: ANN401 - a type
    kinds: tuple[tuple[type, type], ...] = (
        (LargeBinary, bytes), (Instant, datetime), (Day, date), (Identifier, UUID),
    )  # fmt: skip
    for of, wanted in kinds:
        if isinstance(column.type, of):
            return wanted
    return bool if isinstance(column.type, Flag) else column.type.python_type


def write_rows(session: Session, name: str, rows: Sequence[dict[str, Any]]) -> None:
    """Write rows of a table, in one statement; the first rows of some are there from the start."""
    table = metadata.tables[name]
    left = rows if name not in _STARTS_FILLED else _new(session, table, rows)
    if left:
        session.execute(insert(table), list(left))


def _new(
    session: Session, table: Table, rows: Sequence[dict[str, Any]]
) -> list[dict[str, Any]]:
    """Bring the rows that are there already to what is told; return the others."""
    [key] = table.primary_key.columns
    there = set(session.scalars(select(key)))
    for row in rows:
        if row[key.name] in there:
            session.execute(update(table).where(key == row[key.name]).values(row))
    return [row for row in rows if row[key.name] not in there]
