"""The sealed transfer file: what a new operator needs beside the coffre, for their eyes only.

    {"format": "passnum transfer 2", "note": …}
    {"table": "attempt"}
    [column, column, …]          one line a row, until the next table

The note is two lines, "passnum transfer 2" and a header in canonical JSON, signed by the keys that
sign the log's checkpoints.  The header tells the département, the log's name, size and root, and the
digest of the coffre's manifest.json: so the file belongs to one coffre, with all that its manifest
lists, and who made it held the keys of the log.  Two lines are no checkpoint, which has three.

Private keys and the keys of the vault
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

from app.coffre import sealing, tables, verify
from app.coffre.packing import written_beside
from app.coffre.refusals import (
    CoffreFiltered,
    CoffreWrong,
    TransferOfAnother,
    TransferUnsigned,
)
from app.coffre.sealing import TransferWrong
from app.rotation import TOTP_SECRETS
from issuance.keys import sealed_again
from issuance.limits import SECRETS as VAULT_SECRETS
from issuance.vault import PERSON_KEYS
from ledger import canonical, notes
from ledger.columns import metadata
from ledger.log_keys import log_signers
from ledger.models import pending
from ledger.publishing import newest
from ledger.queries import log_size
from ledger.refusal import Refusal
from ledger.resealing import Shelf
from ledger.sealing import Sealer
from ledger.told import plain

FORMAT = "passnum transfer 2"
# Told tables whose sealed columns a new operator needs: their rows come from here, whole.
WHOLE = ("secret_key", "voucher")
# In the order in which rows may be written: acts before entries, keys before orders, passes after.
TABLES = ("attempt", "refusal", *WHOLE, *tables.SEALED[2:])
# What the master key seals, by table.
SHELVES: dict[str, Shelf] = {
    shelf.key.table.name: shelf for shelf in (PERSON_KEYS, VAULT_SECRETS, TOTP_SECRETS)
}


@dataclass(eq=False)
class LogNotQuiet(Refusal):
    """Entries were made since the last published checkpoint: stop the service, publish, and start over."""

    code = "log_not_quiet"

    size: int
    published: int


class Header(NamedTuple):
    """Which coffre a transfer file belongs to: `manifest` is the digest of its manifest.json."""

    departement: str
    manifest: str
    origin: str
    root: str
    size: int

    @property
    def text(self) -> str:
        """What the log's keys sign."""
        return f"{FORMAT}\n{canonical.encode(self._asdict()).decode()}\n"


def header_of(coffre: verify.Coffre) -> Header:
    """Return the header of the transfer file that goes with a coffre."""
    told = coffre.manifest
    code = told["departement"]["code"]
    return Header(code, coffre.digest, told["origin"], told["root"], told["size"])


def write(
    session: Session,
    target: Path,
    reader: X25519PublicKey,
    *,
    departement: str,
    coffre: Path,
    sealer: Sealer,
    secret: bytes,
) -> Header:
    """Write the transfer file that goes with a coffre just exported; all of it, or nothing.

    The session must see one picture throughout.  Raises `LogNotQuiet`, `CoffreWrong`,
    `CoffreFiltered`, `TransferOfAnother`, `NoLogKey`, `KeysLocked`, `VaultLocked`, and the
    refusals of `packing.packed`.
    """
    shown, size = newest(session), log_size(session)
    waiting = session.scalars(select(func.count()).select_from(pending)).one()
    if shown is None or shown.size != size or waiting:
        raise LogNotQuiet(size + waiting, 0 if shown is None else shown.size)
    try:
        opened = verify.Coffre(coffre)
    except verify.Told as odd:
        raise CoffreWrong(str(odd)) from None
    if opened.manifest.get("filter") is not None:
        raise CoffreFiltered
    signers = log_signers(session, secret)
    header = header_of(opened)
    ours = (departement, signers[0].name, shown.root.hex(), size)
    if (header.departement, header.origin, header.root, header.size) != ours:
        raise TransferOfAnother
    lines = tuple(notes.sign(header.text, each.name, each.private) for each in signers)
    with written_beside(target) as file:
        sealed = sealing.Sealing(file, reader)

        def line(told: object) -> None:
            sealed.write(json.dumps(told, ensure_ascii=False).encode() + b"\n")

        line({"format": FORMAT, "note": str(notes.Note(header.text, lines))})
        for name in TABLES:
            line({"table": name})
            for row in tables.all_rows(session, name):
                box = _opened(name, row, sealer=sealer, secret=secret)
                line(plain(box.values()))
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
            self._note = notes.read(told["note"])
        except (AttributeError, KeyError, TypeError, ValueError):
            raise TransferWrong from None

    def check(self, coffre: verify.Coffre, keys: Sequence[verify.Key]) -> None:
        """Raise `TransferOfAnother` unless it goes with this coffre, `TransferUnsigned` unless one of these keys says so."""
        header = header_of(coffre)
        if self._note.text != header.text:
            raise TransferOfAnother
        own = [notes.Key(*key) for key in keys if key.name == header.origin]
        try:
            notes.verify(self._note, own)
        except notes.NoteError:
            raise TransferUnsigned from None

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
