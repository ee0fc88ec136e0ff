"""A zip whose bytes follow from its files alone, written beside its target and shown only when whole."""

import os
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import IO, Any

from app.durable import NO_ROOM, DiskFull
from ledger import canonical
from ledger.refusal import Refusal

CHUNK = 1 << 18
LEVEL = 4  # a journal shrinks eightfold; harder work gains a tenth and costs three times as much


@dataclass(eq=False)
class CoffreExists(Refusal):
    """There is a file of this name already; it is left as it is."""

    code = "coffre_exists"

    path: str


@dataclass(eq=False)
class CoffreNotWritten(Refusal):
    """The file cannot be written there; `why` is the system's own word."""

    code = "coffre_not_written"

    path: str
    why: str


class Packer:
    """Adds files one after the other, and remembers the length and the digest of each."""

    def __init__(self, file: IO[bytes]) -> None:
        self._zip = zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=LEVEL)
        self.files: dict[str, dict[str, Any]] = {}

    def add(self, name: str, data: bytes) -> None:
        """Add a small file; hashes are stored as they are, since nothing shrinks them."""
        self._zip.writestr(_info(name), data, compresslevel=LEVEL)
        self.files[name] = {"bytes": len(data), "sha256": sha256(data).hexdigest()}

    @contextmanager
    def stream(self, name: str) -> Iterator[Callable[[bytes], None]]:
        """Add a file of any length, line by line."""
        digest, length, waiting, size = sha256(), 0, list[bytes](), 0
        with self._zip.open(_info(name), "w", force_zip64=True) as member:

            def flush() -> None:
                nonlocal size, length
                data = b"".join(waiting)
                member.write(data)
                digest.update(data)
                length += len(data)
                waiting.clear()
                size = 0

            def write(line: bytes) -> None:
                nonlocal size
                waiting.append(line)
                size += len(line)
                if size >= CHUNK:
                    flush()

            yield write
            flush()
        self.files[name] = {"bytes": length, "sha256": digest.hexdigest()}

    def abandon(self) -> None:
        """Write nothing more, not even the end of the zip."""
        self._zip.fp = None

    def close(self, manifest: dict[str, Any]) -> None:
        """Add the manifest of all files, and its own digest; then end the zip."""
        told = canonical.encode({**manifest, "files": self.files})
        self.add("manifest.json", told)
        self.add("manifest.sha256", f"{sha256(told).hexdigest()}  manifest.json\n".encode())
        self._zip.close()


def _info(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
    stored = name.startswith("tile/")
    info.compress_type = zipfile.ZIP_STORED if stored else zipfile.ZIP_DEFLATED
    info._compresslevel = LEVEL  # type: ignore[attr-defined]  # noqa: SLF001 - open() has no other way
    info.external_attr = 0o644 << 16
    info.create_system = 3
    return info


@contextmanager
def packed(target: Path) -> Iterator[Packer]:
    """Give a packer; the file is at `target` once the block ended well, else nothing is.

    Raises `CoffreExists`, `DiskFull`, `CoffreNotWritten`.
    """
    with written_beside(target) as file:
        packer = Packer(file)
        try:
            yield packer
        finally:
            packer.abandon()


@contextmanager
def written_beside(target: Path) -> Iterator[IO[bytes]]:
    """Give a file that is at `target` once the block ended well; else nothing is.

    Raises `CoffreExists`, `DiskFull`, `CoffreNotWritten`.
    """
    if target.exists():
        raise CoffreExists(str(target))
    beside = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        with beside.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if target.exists():
            raise CoffreExists(str(target))
        beside.rename(target)
    except OSError as no:
        if no.errno in NO_ROOM:
            raise DiskFull(str(target)) from None
        raise CoffreNotWritten(str(target), no.strerror or str(no)) from None
    finally:
        beside.unlink(missing_ok=True)
