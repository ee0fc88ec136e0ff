"""The sealed transfer file: what a new operator needs beside the coffre, for their eyes only.

    {"departement": "23", "format": "passnum transfer 1", "root": …, "size": …}
    {"table": "attempt"}
    [column, column, …]          one line a row, until the next table

It belongs to one coffre: same département, size and root.  Private keys and the keys of the vault
are opened before they are sealed to the reader, who seals them again under secrets of their own.
Log keys do not move: the new operator's log has a key of its own.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from cryptography.hazmat.primitives.asymmetric.x25519 import (
    X25519PrivateKey,
    X25519PublicKey,
)
from sqlalchemy import Column, func, select
from sqlalchemy.orm import Session

from app.coffre import sealing, tables
from app.coffre.packing import written_beside
from app.coffre.sealing import TransferWrong
from app.rotation import TOTP_SECRETS
from issuance.keys import sealed_again
from issuance.vault import PERSON_KEYS
from ledger.columns import metadata
from ledger.models import pending
from ledger.publishing import newest
from ledger.refusal import Refusal
from ledger.resealing import Shelf
from ledger.sealing import Sealer
from ledger.tiles import log_size

FORMAT = "passnum transfer 1"
# Told tables whose sealed columns a new operator needs: their rows come from here, whole.
WHOLE = ("secret_key", "voucher")
# In the order in which rows may be written: acts before entries, keys before orders, passes after.
TABLES = ("attempt", "refusal", *WHOLE, *tables.SEALED[2:])
# What the master key seals, by table.
SHELVES: dict[str, Shelf] = {
    shelf.key.table.name: shelf for shelf in (PERSON_KEYS, TOTP_SECRETS)
}


@dataclass(eq=False)
class LogNotQuiet(Refusal):
    """Entries were made since the last published checkpoint: stop the service, publish, and start over."""

    code = "log_not_quiet"

    size: int
    published: int


class Header(NamedTuple):
    """Which coffre a transfer file belongs to."""

    departement: str
    size: int
    root: str


def write(
    session: Session,
    target: Path,
    reader: X25519PublicKey,
    *,
    departement: str,
    sealer: Sealer,
    secret: bytes,
) -> Header:
    """Write the transfer file that goes with a coffre exported now; all of it, or nothing.

    The session must see one picture throughout.  Raises `LogNotQuiet`, `KeysLocked`,
    `VaultLocked`, and the refusals of `packing.packed`.
    """
    shown, size = newest(session), log_size(session)
    waiting = session.scalars(select(func.count()).select_from(pending)).one()
    if shown is None or shown.size != size or waiting:
        raise LogNotQuiet(size + waiting, 0 if shown is None else shown.size)
    header = Header(departement, size, shown.root.hex())
    with written_beside(target) as file:
        sealed = sealing.Sealing(file, reader)

        def line(told: object) -> None:
            sealed.write(json.dumps(told, ensure_ascii=False).encode() + b"\n")

        line({"format": FORMAT, **header._asdict()})
        for name in TABLES:
            line({"table": name})
            for row in tables.all_rows(session, name):
                opened = _opened(name, row, sealer=sealer, secret=secret)
                line(tables.plain(opened.values()))
        sealed.close()
    return header


def _opened(
    name: str, row: dict[str, Any], *, sealer: Sealer, secret: bytes
) -> dict[str, Any]:
    """Return a row whose secrets are open, to be sealed to the reader."""
    if name == "secret_key":
        return sealed_again(row, secret, None)
    return _through(name, row, sealer.open)


def _through(
    name: str, row: dict[str, Any], box: Callable[[bytes, str], bytes]
) -> dict[str, Any]:
    shelf = SHELVES.get(name)
    if shelf is None or row[shelf.sealed.name] is None:
        return row
    about = shelf.about(row[shelf.key.name])
    return row | {shelf.sealed.name: box(row[shelf.sealed.name], about)}


class Transfer:
    """A transfer file being read, once, from its beginning."""

    def __init__(self, path: Path, reader: X25519PrivateKey) -> None:
        self._lines = _lines(path, reader)
        told = _read(next(self._lines, b""))
        try:
            if told["format"] != FORMAT:
                raise TransferWrong
            self.header = Header(told["departement"], int(told["size"]), told["root"])
        except (KeyError, TypeError, ValueError):
            raise TransferWrong from None

    def rows(
        self, *, sealer: Sealer, secret: bytes
    ) -> Iterator[tuple[str, list[dict[str, Any]]]]:
        """Yield the rows, a few at a time, with their table; their secrets are sealed by ours.

        Raises `TransferWrong` where a row is not one of its table, and when tables are missing.
        """
        name, batch, seen = "", list[dict[str, Any]](), list[str]()
        chosen: list[Column[Any]] = []
        for line in self._lines:
            told = _read(line)
            if isinstance(told, dict):
                if batch:
                    yield name, batch
                name, batch = str(told.get("table")), []
                seen.append(name)
                if name not in TABLES:
                    raise TransferWrong
                chosen = list(metadata.tables[name].columns)
                continue
            if not name:
                raise TransferWrong
            batch.append(self._sealed(name, chosen, told, sealer=sealer, secret=secret))
            if len(batch) >= tables.CHUNK:
                yield name, batch
                batch = []
        if batch:
            yield name, batch
        if tuple(seen) != TABLES:
            raise TransferWrong

    def _sealed(
        self,
        name: str,
        chosen: Sequence[Any],
        told: object,
        *,
        sealer: Sealer,
        secret: bytes,
    ) -> dict[str, Any]:
        try:
            row = tables.read_row(chosen, told)
        except ValueError:
            raise TransferWrong from None
        if name == "secret_key":
            return sealed_again(row, None, secret)
        return _through(name, row, sealer.seal)


def _lines(path: Path, reader: X25519PrivateKey) -> Iterator[bytes]:
    left = b""
    with path.open("rb") as file:
        for piece in sealing.opened(file, reader):
            *whole, left = (left + piece).split(b"\n")
            yield from whole
    if left:
        raise TransferWrong


def _read(line: bytes) -> Any:  # noqa: ANN401 - it is JSON
    try:
        return json.loads(line)
    except ValueError:
        raise TransferWrong from None
