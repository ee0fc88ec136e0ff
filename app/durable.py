"""A file put in its place, or in that of another: whoever looks sees the old one or the new one, whole."""

import errno
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ledger.refusal import Refusal

NO_ROOM = {errno.ENOSPC, errno.EDQUOT}


@dataclass(eq=False)
class DiskFull(Refusal):
    """No room is left where the file was to be written; nothing of it is left there."""

    code = "disk_full"

    path: str


def replace_file(path: Path, text: str) -> None:
    """Write a file beside its place and move it there; it is on the disk when this returns.

    Raises OSError; what stood there before then still stands.
    """
    beside = path.with_name(path.name + ".new")
    with beside.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def private_file(path: Path, parts: Iterable[bytes]) -> None:
    """Write a file that its owner alone reads, beside its place, and move it there.

    A process that ends on the way leaves what stood there, and perhaps a beginning beside it
    (`.NAME.part`), which the next write takes away.  Nothing is synced here: until the caller
    syncs the file system, a power cut may leave the new file empty or torn.  Raises OSError and
    whatever `parts` raises, and then nothing is left beside.
    """
    beside = path.with_name(f".{path.name}.part")
    beside.unlink(missing_ok=True)
    try:
        opened = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(opened, "wb") as file:
            file.writelines(parts)
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
