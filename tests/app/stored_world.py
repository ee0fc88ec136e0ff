"""A département as it was stored one day: its journal and its tables, read back whatever the code has become.

Nothing here calls an operation: the past is what was written, not what would be written today.
"""

import json
from datetime import date, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from app.database import Database
from app.migrating import folder
from funding import models as funds
from funding.attribution import project
from issuance import models as paper
from ledger import sequencer
from ledger.accounts import account_id
from ledger.columns import Day, Identifier, Instant
from ledger.entries import Entry
from ledger.gates import REFERENCE
from ledger.journal import row_of
from ledger.models import account, attempt, checkpoint, entry, gate, log_leaf, pending
from redemption import models as uses

# In the order in which they refer to one another; what the sequencer writes is written again.
TABLES = (
    funds.call, funds.convention, funds.convention_window, funds.programme, funds.suspension,
    funds.tranche, funds.tranche_budget, funds.calendar, funds.share_version, funds.share,
    uses.site, uses.accreditation, uses.workshop,
    paper.secret_key, paper.voucher_order, paper.carnet, paper.voucher, paper.activation, paper.handed_out,
    uses.kept_scan, uses.dispute, gate,
)  # fmt: skip


def store(database: Database, path: Path) -> None:
    """Write a département to a file that does not exist yet: one line an entry, or a row."""
    with database.begin("23", read_only=True) as session:
        journal = session.scalars(
            select(entry.c.body)
            .join(log_leaf, log_leaf.c.entry_id == entry.c.id)
            .order_by(log_leaf.c.idx)
        )
        steps = session.execute(
            select(checkpoint.c.tree_size, checkpoint.c.made_at).order_by(
                checkpoint.c.tree_size
            )
        )
        told = {
            "journal": [bytes(body).decode() for body in journal],
            "checkpoints": [[size, at.isoformat()] for size, at in steps],
            "accounts": sorted(session.scalars(select(account.c.name))),
        }
        for table in TABLES:
            rows = session.execute(select(table).order_by(*table.primary_key)).mappings()
            told[table.name] = [
                {name: _plain(value) for name, value in row.items()}
                for row in rows
                if row.get("key") != REFERENCE  # every département has it from the start
            ]
    blocks = [
        f"{json.dumps(name)}: [\n"
        + ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
        + "\n]"
        for name, rows in told.items()
    ]
    with path.open("x", encoding="utf-8") as file:
        file.write("{\n" + ",\n".join(blocks) + "\n}\n")


def load(database: Database, path: Path) -> None:
    """Put a stored département into an empty one, and give its entries their places in the log again."""
    told = json.loads(path.read_text(encoding="utf-8"))
    entries = [(body.encode(), Entry.read(body.encode())) for body in told["journal"]]
    with database.begin("23") as session:
        named = [name.split("/", 2) for name in told["accounts"]]
        session.execute(
            insert(account),
            [
                {
                    "id": account_id("/".join(parts)),
                    "name": "/".join(parts),
                    "kind": parts[0],
                    "book": parts[1],
                    "party": parts[2] if len(parts) > 2 else None,
                }
                for parts in named
            ],
        )
        acts = {e.act: e.recorded for _, e in entries}
        session.execute(
            insert(attempt),
            [
                {
                    "id": act,
                    "act": "stored",
                    "request_hash": bytes(32),
                    "device": "stored",
                    "received_at": at,
                }
                for act, at in acts.items()
            ],
        )
        for body, e in entries:
            session.execute(insert(entry).values(**row_of(e, body)))
        for table in TABLES:
            if told[table.name]:
                session.execute(
                    insert(table), [_values(table, row) for row in told[table.name]]
                )
        for _, e in entries:
            if e.kind == "desk_opened":
                session.execute(insert(paper.desk).values(_desk(e)))
            if e.kind == "delivered":
                session.execute(insert(paper.delivery), _deliveries(e))
        for statement in _fills("hand_out", session):
            session.connection().exec_driver_sql(statement)
    ids = [e.id for _, e in entries]
    before = 0
    for size, at in told["checkpoints"]:
        with database.begin("23") as session:
            for identifier in ids[before:size]:
                session.execute(insert(pending).values(entry_id=identifier))
        with database.begin("23", "sequencer") as session:
            sequencer.step(session, at=datetime.fromisoformat(at), project=[project])
        before = size


def _desk(e: Entry) -> dict[str, Any]:
    told = {name: e.facts[name] for name in ("code", "prescriber", "name")}
    return told | {"entry_id": e.id}


def _deliveries(e: Entry) -> list[dict[str, Any]]:
    """Return where a lot went; no carnet of the stored past went anywhere twice."""
    lot = range(e.facts["first_carnet"], e.facts["last_carnet"] + 1)
    return [
        {"carnet": carnet, "turn": 0, "desk": e.facts["desk"], "entry_id": e.id}
        for carnet in lot
    ]


def _fills(table: str, session: Session) -> list[str]:
    """Return how migrations filled a table that came later from the entries that were there."""
    kind = session.get_bind().dialect.name
    scripts = sorted((folder() / "departement").glob(f"*.{kind}.sql"))
    statements = [s for path in scripts for s in path.read_text("utf-8").split(";\n")]
    return [s for s in statements if s.strip().startswith(f"INSERT INTO {table} (")]


def _plain(value: Any) -> Any:
    if isinstance(value, bytes | memoryview):
        return {"hex": bytes(value).hex()}
    if isinstance(value, UUID | date | datetime):
        return str(value) if isinstance(value, UUID) else value.isoformat()
    return value


def _values(table: Any, row: dict[str, Any]) -> dict[str, Any]:
    return {name: _read(table.c[name].type, value) for name, value in row.items()}


def _read(kind: Any, value: Any) -> Any:
    reads = {Day: date.fromisoformat, Instant: datetime.fromisoformat, Identifier: UUID}
    if isinstance(value, dict):
        return bytes.fromhex(value["hex"])
    return value if value is None else reads.get(type(kind), lambda same: same)(value)
