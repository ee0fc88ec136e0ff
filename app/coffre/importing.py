"""A coffre put into an empty instance: the same entries, the same root, the same cents.

verified    by verify.py, as an auditor does; nothing is written for a coffre that fails, nor with a
transfer file that the log's keys did not sign for this very coffre
loaded      in one transaction of the owner: entries in their order, told tables, and from the
transfer file what is sealed; the sequencer derives the rest, as it did, checkpoint by checkpoint
compared    root, told rows, figures and audit; the transaction is undone if anything differs
registered  once it is committed: before that, the département is not on this instance
continued   with a transfer file: the old log's last checkpoint is the first new fact, then come
keys of the new operator's own.  Without one the département is there to be read.
"""

import argparse
import json
from collections.abc import Callable, Iterator
from dataclasses import fields
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from sqlalchemy import func, insert, select
from sqlalchemy.exc import DataError, IntegrityError
from sqlalchemy.orm import Session

from app.audit import audit_departement
from app.coffre import tables, verify
from app.coffre.matching import compare_figures, compare_rows
from app.coffre.refusals import (
    CoffreFiltered,
    CoffreWrong,
    DepartementDiffers,
    ImportDiffers,
    NotEmpty,
)
from app.coffre.transfer import WHOLE, Transfer
from app.database import Database
from app.registry import Departement, schema_of
from funding.attribution import project
from issuance.keys import NewKeys, new_keys
from issuance.tokens import check_host
from ledger import sequencer
from ledger.attempts import Act, Answer, perform
from ledger.entries import Entry
from ledger.identifiers import new_id
from ledger.journal import must_record, row_of
from ledger.log_keys import EndLogKey, NewLogKey, end_log_key, listed_log_keys, new_log_key
from ledger.merkle import leaf_hash
from ledger.models import (
    checkpoint,
    cosignature,
    entry,
    log_state,
    published,
)
from ledger.moments import Moment
from ledger.notes import Note, read
from ledger.refusal import Refusal
from ledger.sealing import Sealer
from ledger.sequencer import MOST

BY = "coffre"
# What reading a told row that is not one of its table comes to.
ODD = (ValueError, KeyError, TypeError, IndexError, OverflowError)

Progress = Callable[[int], Any]


class Imported(NamedTuple):
    """What was put in: how many entries, their root, and whether the département goes on."""

    departement: Departement
    size: int
    root: str
    goes_on: bool


class Reader(NamedTuple):
    """What opens a transfer file, and the secrets of the instance that takes it in."""

    transfer: Path
    key: X25519PrivateKey
    sealer: Sealer
    secret: bytes


class Given(NamedTuple):
    """What the new operator got elsewhere than in the coffre: the log's keys, a policy."""

    keys: Path | None = None
    policy: Path | None = None


NOTHING = Given()


def take_in(
    database: Database,
    path: Path,
    *,
    reader: Reader | None,
    at: datetime,
    given: Given = NOTHING,
    progress: Progress = lambda _done: None,
) -> Imported:
    """Put a coffre into an instance where its département has no journal yet; all of it, or nothing.

    The département is in the registry once all of it is there, or as it was before.  On
    PostgreSQL its roles and schema must exist (`passnum departement roles`).  Raises
    `CoffreWrong`, `CoffreFiltered`, `TransferWrong`, `TransferOfAnother`, `TransferUnsigned`,
    `NotEmpty`, `DepartementDiffers`, `ImportDiffers`.
    """
    coffre, keys = _verified(path, given)
    told = coffre.manifest
    tenant = _tenant(coffre, read_only=reader is None)
    transfer = None if reader is None else Transfer(reader.transfer, reader.key)
    if transfer is not None:
        transfer.check(coffre, keys)
    database.place.migrate_registry()
    known = {one.code: one for one in database.departements()}.get(tenant.code)
    try:
        with database.prepared(tenant.code):
            with database.begin(tenant.code, "owner") as session:
                _be_room(session, tenant, known)
                sealed = None
                if transfer is not None and reader is not None:
                    rows = transfer.rows(sealer=reader.sealer, secret=reader.secret)
                    sealed = _Sealed(rows)
                _load(session, coffre, sealed, progress)
                _sequence(session, coffre)
                _compare(session, coffre, tenant, with_vault=transfer is not None)
                if reader is not None:
                    _go_on(session, coffre, reader.secret, Moment(at, tenant.zone))
                    while sequencer.step(session, at=at, project=[project], most=MOST):
                        pass
            if known is None:
                database.register(tenant)
    except verify.Told as odd:
        raise CoffreWrong(str(odd)) from None
    except (IntegrityError, DataError, *ODD) as odd:
        first = str(getattr(odd, "orig", odd)).partition("\n")[0]
        why = coffre.unusable("rows_odd", odd=f"{type(odd).__name__}: {first[:200]}")
        raise CoffreWrong(str(why)) from odd
    return Imported(tenant, told["size"], told["root"], transfer is not None)


def _verified(path: Path, given: Given) -> tuple[verify.Coffre, list[verify.Key]]:
    """Return a coffre that verifies, and the keys of its log."""
    report = verify.Report()
    options = argparse.Namespace(since=None, policy=given.policy, keys=given.keys)
    try:
        coffre = verify.Coffre(path)
        if coffre.manifest.get("filter") is not None:
            raise CoffreFiltered
        verify.check(coffre, options, report)
        keys = verify.trust(coffre, given.keys, given.policy).logs
    except verify.Told as odd:
        raise CoffreWrong(str(odd)) from None
    if report.false:
        raise CoffreWrong(report.false[0])
    return coffre, keys


def _tenant(coffre: verify.Coffre, *, read_only: bool) -> Departement:
    """Return the département of a coffre, or raise `CoffreWrong`: nothing signs what it is called."""
    of = coffre.manifest["departement"]
    tenant = Departement(
        of["code"], of["name"], of["timezone"], of["host"], read_only=read_only
    )
    try:
        schema_of(tenant.code)
        check_host(tenant.host)
        ZoneInfo(tenant.timezone)
    except (Refusal, KeyError, ValueError, OSError) as odd:
        raise CoffreWrong(str(coffre.unusable("departement_odd", what=odd))) from None
    if not tenant.name.strip() or not tenant.name.isprintable():
        raise CoffreWrong(str(coffre.unusable("departement_odd", what=repr(tenant.name))))
    for name in (*tables.TOLD, tables.CHECKPOINTS):
        if (file := f"tables/{name}.jsonl") not in coffre.manifest["files"]:
            raise CoffreWrong(str(coffre.unusable("has_no", name=file)))
    return tenant


def _be_room(session: Session, tenant: Departement, known: Departement | None) -> None:
    """Raise `NotEmpty` where there is a journal, `DepartementDiffers` where it would be another's."""
    if session.scalars(select(func.count()).select_from(entry)).one():
        raise NotEmpty(tenant.code)
    for field in fields(tenant) if known is not None else ():
        here, there = getattr(known, field.name), getattr(tenant, field.name)
        if here != there:
            raise DepartementDiffers(tenant.code, f"{field.name}: {here} ≠ {there}")


class _Sealed:
    """The rows of a transfer file, taken table by table in the order in which they stand there."""

    def __init__(self, rows: Iterator[tuple[str, list[dict[str, Any]]]]) -> None:
        self._rows = rows
        self._next = next(rows, None)

    def write(self, session: Session, *names: str) -> None:
        """Write the rows that come next, as long as they are of these tables; of any without a name."""
        while self._next is not None and (not names or self._next[0] in names):
            name, rows = self._next
            tables.write_rows(session, name, rows)
            self._next = next(self._rows, None)


def _load(
    session: Session, coffre: verify.Coffre, sealed: _Sealed | None, progress: Progress
) -> None:
    """Write the rows, in the order that references ask for."""
    if sealed is None:
        for acts in _acts(coffre):
            tables.write_rows(session, "attempt", acts)
    else:
        sealed.write(session, "attempt", "refusal")
    _write_told(session, coffre, "account")
    done = 0
    for rows in _entries(coffre):
        tables.write_rows(session, "entry", rows)
        tables.write_rows(session, "pending", [{"entry_id": row["id"]} for row in rows])
        done += len(rows)
        progress(done)
    for name in list(tables.TOLD)[1:]:
        if sealed is not None and name in WHOLE:
            sealed.write(session, name)
        else:
            _write_told(session, coffre, name)
    if sealed is None:
        _close_gates(session)
    else:
        sealed.write(session)


def _close_gates(session: Session) -> None:
    """Close the gates of what has lapsed, as the entries tell; the others stand open."""
    closed = session.execute(
        select(entry.c.subject, entry.c.turn, entry.c.act_id).where(entry.c.uses == "lapse")
    )
    rows = [{"key": k, "generation": turn, "closed_by": act} for k, turn, act in closed]
    tables.write_rows(session, "gate", rows)


def _acts(coffre: verify.Coffre) -> Iterator[list[dict[str, Any]]]:
    """Yield an attempt for each act of the journal: what was asked, nobody here knows any more."""

    def rows() -> Iterator[dict[str, Any]]:
        seen = set[UUID]()
        for line in coffre.lines("journal.jsonl"):
            e = Entry.read(line)
            if e.act not in seen:
                seen.add(e.act)
                yield {
                    "id": e.act,
                    "act": e.kind,
                    "request_hash": bytes(32),
                    "device": e.actor,
                    "shown": None,
                    "received_at": e.recorded,
                }

    return tables.batches(rows())


def _entries(coffre: verify.Coffre) -> Iterator[list[dict[str, Any]]]:
    """Yield the rows of the entries of the journal, in its order."""
    lines = coffre.lines("journal.jsonl")
    return tables.batches(row_of(Entry.read(line), line) for line in lines)


def _write_told(session: Session, coffre: verify.Coffre, name: str) -> None:
    """Write the rows of a told table, its sealed columns filled with what opens nothing."""
    chosen = tables.columns(name)

    def rows() -> Iterator[dict[str, Any]]:
        for line in coffre.lines(f"tables/{name}.jsonl"):
            try:
                row = tables.read_row(chosen, json.loads(line))
            except ValueError as odd:
                raise CoffreWrong(f"tables/{name}.jsonl: {odd}") from None
            yield row | _opens_nothing(name, row)

    for some in tables.batches(rows()):
        tables.write_rows(session, name, some)


def _opens_nothing(name: str, row: dict[str, Any]) -> dict[str, Any]:
    """Return what stands in the sealed columns of a row, where nobody knows what they held."""
    if name == "voucher":
        serial = row["serial"].encode()
        return {
            "token_digest": leaf_hash(b"no token of " + serial),
            "code_digest": leaf_hash(b"no code of " + serial),
        }
    return dict.fromkeys(tables.TOLD[name], b"")


def _sequence(session: Session, coffre: verify.Coffre) -> None:
    """Give the entries their places again, and put back the checkpoint, as old as it was."""
    told = coffre.manifest
    at = datetime.fromisoformat(told["exported_at"])
    for grown, made_at in _checkpoints(coffre):
        while size := grown - session.scalars(select(log_state.c.size)).one():
            most = min(size, MOST)
            if not sequencer.step(session, at=made_at, project=[project], most=most):
                raise ImportDiffers("root")
    size = session.scalars(select(log_state.c.size)).one()
    root = session.scalar(
        select(checkpoint.c.root).where(checkpoint.c.tree_size == told["size"])
    )
    if size != told["size"] or root is None or bytes(root).hex() != told["root"]:
        raise ImportDiffers("root")
    note = read(coffre.read("checkpoint.txt").decode())
    own = [line for line in note.lines if line.name == told["origin"]]
    session.execute(
        insert(published).values(
            tree_size=size, note=str(Note(note.text, tuple(own))), made_at=at
        )
    )
    others = {f"{o.name}+{o.id.hex()}": o for o in note.lines if o.name != told["origin"]}
    for key, line in others.items():
        session.execute(
            insert(cosignature).values(tree_size=size, key_id=key, line=str(line))
        )


def _checkpoints(coffre: verify.Coffre) -> Iterator[tuple[int, datetime]]:
    """Yield the size and the instant of each checkpoint, up to the one that is signed."""
    before, size = 0, coffre.manifest["size"]
    chosen = [checkpoint.c.tree_size, checkpoint.c.made_at]
    for line in coffre.lines(f"tables/{tables.CHECKPOINTS}.jsonl"):
        row = tables.read_row(chosen, json.loads(line))
        if not before < row["tree_size"] <= size or row["made_at"].tzinfo is None:
            raise coffre.unusable("checkpoints_odd", size=size)
        before = row["tree_size"]
        yield before, row["made_at"]
    if before != size:
        raise coffre.unusable("checkpoints_odd", size=size)


def _compare(
    session: Session, coffre: verify.Coffre, tenant: Departement, *, with_vault: bool
) -> None:
    """Derive everything once more, and raise `ImportDiffers` for the first thing that differs."""
    compare_rows(session)
    at = datetime.fromisoformat(coffre.manifest["exported_at"])
    compare_figures(session, coffre, Moment(at, tenant.zone))
    for name, findings in audit_departement(session, with_vault=with_vault):
        for finding in findings:
            raise ImportDiffers(f"{name}: {finding.code}")


def _go_on(session: Session, coffre: verify.Coffre, secret: bytes, now: Moment) -> None:
    """Write the first facts of the new operator: where the old log ended, and keys of their own."""
    told = coffre.manifest
    act = Act(new_id(), "continue_log", BY, now)
    facts = {"origin": told["origin"], "root": told["root"], "size": told["size"]}

    def done() -> None:
        must_record(session, [act.entry("log_continued", facts)])

    _must(perform(session, act, facts, done))
    ours = NewLogKey(new_id(), told["origin"])
    _must(new_log_key(session, ours, secret=secret, by=BY, now=now))
    for key in listed_log_keys(session)[:-1]:
        if key.ended is None:
            end = EndLogKey(new_id(), key.rank, "moved")
            _must(end_log_key(session, end, by=BY, now=now))
    _must(new_keys(session, NewKeys(new_id()), secret=secret, by=BY, now=now))


def _must(answer: Answer) -> None:
    if not answer.accepted:
        raise ImportDiffers(answer.code)
