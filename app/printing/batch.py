"""The folder of a print batch: written document by document, taken up where it stopped, listed at the end.

While it is being made, the folder holds `.batch.jsonl`: what the batch is, then a line for each
document that is there.  Once it is whole, `manifest.json` says the same in one file, with the
SHA-256 of each file, and its own hash goes to the journal.  The same command run again goes on
with the batch of its folder: what is there with the right hash is kept, what is missing or
altered is made again, and must then be, byte for byte, what the manifest promised.

Files hold codes that are worth money: they are their owner's alone (0600 in 0700), and appear whole.
"""

import fcntl
import json
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import file_digest, sha256
from importlib.metadata import version
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec

from app.durable import NO_ROOM, private_file
from app.printing.content import Content, Logos
from app.printing.documents import File, Job, as_told, file_names, render
from app.printing.templates import Template
from issuance.orders import OrderRow
from issuance.printed import Kind, PrintedPass
from issuance.processes import cores, pool
from issuance.serials import Serial
from ledger import canonical
from ledger.refusal import Refusal

MANIFEST = "manifest.json"
UNDER_WAY = ".batch.jsonl"
FORMAT = 1
# Carnets a document: what memory a document takes grows with its pages.
TOGETHER = 20
# Documents that a process makes before a fresh one takes its place.  The pool is renewed as a
# whole: one that replaces its workers by itself hangs when work waits (CPython gh-115634).
PER_PROCESS = 20
# A few documents are made sooner than another process starts.
FEW = 2


@dataclass(eq=False)
class PrintFolderTaken(Refusal):
    """The folder holds other files, or another batch: it is left as it is."""

    code = "print_folder_taken"

    path: str


@dataclass(eq=False)
class PrintUnderWay(Refusal):
    """Another process is writing this batch."""

    code = "print_under_way"

    path: str


@dataclass(eq=False)
class PrintDiffers(Refusal):
    """A file had to be made again, and is not what the manifest says it was."""

    code = "print_differs"

    path: str


@dataclass(eq=False)
class PrintNotWritten(Refusal):
    """The files cannot be written there; `why` is the system's own word."""

    code = "print_not_written"

    path: str
    why: str


@dataclass(eq=False)
class PrintDiskFull(Refusal):
    """No room is left; what was written before stays in the folder, for the same command to go on."""

    code = "print_disk_full"

    path: str


class Plan(msgspec.Struct, frozen=True):
    """What a batch is: all that its files follow from, but the private keys.

    `key` is the public key of the order's, in hexadecimal: a folder made by another place, whose
    keys bear the same numbers, is another batch.
    """

    batch: UUID
    at: datetime
    departement: str
    order: int
    first_carnet: int
    last_carnet: int
    carnet_size: int
    kind: Kind
    key_id: int
    key: str
    template: str
    template_version: int
    template_sha256: str
    typst: str
    logos: dict[str, str]
    near: str | None
    content: Content

    @classmethod
    def of(
        cls,
        order: OrderRow,
        template: Template,
        content: Content,
        logos: Logos,
        **told: Any,  # noqa: ANN401 - the fields that are no one's else
    ) -> "Plan":
        """Return the plan of a new batch."""
        return cls(
            order=order.number,
            carnet_size=order.carnet_size,
            kind=template.kind,
            key_id=order.key_id,
            template=template.name,
            template_version=template.version,
            template_sha256=template.sha256,
            typst=version("typst"),
            logos={name: sha256(data).hexdigest() for name, data in logos.data.items()},
            content=content,
            **told,
        )

    def continues(self, other: "Plan", *, whole: bool) -> bool:
        """Tell whether this asks for the batch that the other began: places and telephones may have changed since.

        Who pays, and what the sheets are set with, may have changed only where the other is whole:
        what is still to be made would not say who pays today, or would not be as the rest is.
        """
        ours, theirs = msgspec.structs.asdict(self), msgspec.structs.asdict(other)
        since = ("batch", "at", "content", "typst")
        same = all(ours[name] == theirs[name] for name in ours if name not in since)
        return same and (whole or self.today == other.today)

    @property
    def today(self) -> tuple[object, ...]:
        """What must still hold on the day when a batch goes on."""
        return self.content.publicity, self.content.funders, self.typst

    def units(self) -> Iterator[range]:
        """Yield the carnets of each document."""
        for first in range(self.first_carnet, self.last_carnet + 1, TOGETHER):
            yield range(first, min(first + TOGETHER, self.last_carnet + 1))

    def file_names(self, unit: range) -> list[str]:
        """Return the files of one document's carnets."""
        serials = [
            [str(Serial(self.departement, n, rank)) for rank in self.ranks] for n in unit
        ]
        return file_names(self.kind, serials)

    @property
    def ranks(self) -> range:
        """The ranks of a carnet's passes."""
        return range(1, self.carnet_size + 1)


class Kept(msgspec.Struct, frozen=True, array_like=True):
    """A file that is there: its length and its SHA-256."""

    name: str
    bytes: int
    sha256: str


@dataclass
class Folder:
    """The folder of one batch, held by this process alone."""

    path: Path
    plan: Plan
    promised: bool  # a manifest was made: what is made again must be the same
    kept: dict[str, Kept] = field(default_factory=dict)

    def write(self, files: Iterable[File]) -> None:
        """Write files and note them; raises `PrintDiffers`, OSError."""
        made = []
        for name, data in files:
            kept = Kept(name, len(data), sha256(data).hexdigest())
            if self.promised and self.kept.get(name) != kept:
                raise PrintDiffers(str(self.path / name))
            target = self.path / name
            for folder in reversed(Path(name).parents):
                (self.path / folder).mkdir(mode=0o700, exist_ok=True)
            private_file(target, [data])
            made.append(kept)
        self._note(made)

    def stream(self, name: str, lines: Callable[[], Iterable[bytes]]) -> None:
        """Write a file of any length, line by line, and note it; raises `PrintDiffers`, OSError."""
        digest, length = sha256(), 0

        def measured() -> Iterator[bytes]:
            nonlocal length
            for line in lines():
                digest.update(line)
                length += len(line)
                yield line

        if self.promised:  # looked at before anything is put in its place
            kept = self.kept.get(name)
            again = sha256()
            for line in lines():
                again.update(line)
            if kept is None or again.hexdigest() != kept.sha256:
                raise PrintDiffers(str(self.path / name))
        private_file(self.path / name, measured())
        self._note([Kept(name, length, digest.hexdigest())])

    def _note(self, made: list[Kept]) -> None:
        self.kept |= {kept.name: kept for kept in made}
        if not self.promised:
            with (self.path / UNDER_WAY).open("ab") as journal:
                journal.write(b"".join(msgspec.json.encode(k) + b"\n" for k in made))

    def has(self, name: str) -> bool:
        """Tell whether a file is there as it was written; its owner's alone from now on."""
        kept, target = self.kept.get(name), self.path / name
        if kept is None:
            return False
        try:
            with target.open("rb") as file:
                same = file_digest(file, "sha256").hexdigest() == kept.sha256
            target.chmod(0o600)
        except OSError:
            return False
        return same

    def close(self) -> str:
        """Write the manifest once every file is on the disk, if it is not there; return its SHA-256."""
        if self.promised:
            # What was made again is on the disk before anyone says so; the notes may have outlived
            # the manifest by an interruption.
            os.sync()
            (self.path / UNDER_WAY).unlink(missing_ok=True)
            return sha256((self.path / MANIFEST).read_bytes()).hexdigest()
        files = [
            {"bytes": k.bytes, "name": k.name, "sha256": k.sha256}
            for k in sorted(self.kept.values(), key=lambda k: k.name)
        ]
        plan = msgspec.to_builtins(self.plan)
        told = canonical.encode({"files": files, "format": FORMAT, "plan": plan})
        os.sync()
        private_file(self.path / MANIFEST, [told])
        os.sync()
        (self.path / UNDER_WAY).unlink(missing_ok=True)
        return sha256(told).hexdigest()


@contextmanager
def opened(path: Path, plan: Plan) -> Iterator[Folder]:
    """Give the folder of a batch, new or taken up; no other process has it meanwhile.

    Raises `PrintFolderTaken`, `PrintUnderWay`, `PrintDiskFull`, `PrintNotWritten`.
    """
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        held = os.open(path, os.O_RDONLY)
        try:
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise PrintUnderWay(str(path)) from None
            yield _found(path, plan) or _begun(path, plan)
        finally:
            os.close(held)
    except BrokenPipeError:  # of whoever reads what the command says: the folder is well
        raise
    except OSError as no:
        if no.errno in NO_ROOM:
            raise PrintDiskFull(str(path)) from None
        raise PrintNotWritten(str(path), no.strerror or str(no)) from None


def _begun(path: Path, plan: Plan) -> Folder:
    if any(path.iterdir()):
        raise PrintFolderTaken(str(path))
    path.chmod(0o700)
    private_file(path / UNDER_WAY, [msgspec.json.encode(plan), b"\n"])
    return Folder(path, plan, promised=False)


def _found(path: Path, asked: Plan) -> Folder | None:
    """Return the batch that a folder holds, whole or under way; None where it holds none."""
    manifest, journal = path / MANIFEST, path / UNDER_WAY
    torn = None
    try:
        if manifest.exists():
            told = json.loads(manifest.read_bytes())
            plan, files = msgspec.convert(told["plan"], Plan), told["files"]
            kept = [msgspec.convert(list(_in_order(each)), Kept) for each in files]
        elif journal.exists():
            noted = journal.read_bytes()
            # What follows the last end of a line was torn by what interrupted it.
            torn = noted.rfind(b"\n") + 1
            first, *lines = noted[:torn].split(b"\n")[:-1]
            plan = msgspec.json.decode(first, type=Plan)
            kept = [msgspec.json.decode(line, type=Kept) for line in lines]
        else:
            return None
    except (ValueError, KeyError, TypeError):
        raise PrintFolderTaken(str(path)) from None
    if not asked.continues(plan, whole=manifest.exists()):
        raise PrintFolderTaken(str(path))
    path.chmod(0o700)
    if torn is not None:  # the next note begins a line of its own
        os.truncate(journal, torn)
    return Folder(path, plan, manifest.exists(), {k.name: k for k in kept})


def _in_order(told: Mapping[str, Any]) -> Iterator[Any]:
    for name in Kept.__struct_fields__:
        yield told[name]


Passes = Callable[[range], tuple[tuple[PrintedPass, ...], ...]]


def make(
    folder: Folder,
    template: Template,
    logos: Logos,
    passes: Passes,
    *,
    processes: int | None = None,
) -> Iterator[int]:
    """Make what is missing of a batch; yield after each document how many carnets it had.

    `passes` signs the passes of some carnets, here; other processes only draw them.  A few
    documents are under way at a time, so memory does not grow with the order.
    """
    plan = folder.plan
    shared = (template, as_told(plan.content), logos.data, int(plan.at.timestamp()))
    missing = []
    for unit in plan.units():
        if all(folder.has(name) for name in plan.file_names(unit)):
            yield len(unit)
        else:
            missing.append(unit)
    jobs = ((unit, Job(*shared, passes(unit))) for unit in missing)
    if len(missing) <= FEW:
        for unit, job in jobs:
            folder.write(render(job))
            yield len(unit)
        return
    workers = min(processes or cores(), len(missing))
    for first in range(0, len(missing), workers * PER_PROCESS):
        several = min(workers * PER_PROCESS, len(missing) - first)
        yield from _together(folder, jobs, several, workers)


def _together(
    folder: Folder, jobs: Iterator[tuple[range, Job]], several: int, workers: int
) -> Iterator[int]:
    """Make several documents in fresh processes, which end with them."""
    with pool(min(workers, several)) as press:
        ahead: deque[tuple[range, Future[list[File]]]] = deque()
        try:
            while several or ahead:
                while several and len(ahead) <= 2 * workers:
                    unit, job = next(jobs)
                    ahead.append((unit, press.submit(render, job)))
                    several -= 1
                unit, made = ahead.popleft()
                folder.write(made.result())
                yield len(unit)
        finally:
            press.shutdown(cancel_futures=True)
