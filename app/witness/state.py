"""What a witness remembers: of each log, the keys it trusts and the largest tree it found consistent.

One JSON file, written whole beside the old one and put in its place: on the disk before anyone is
answered.  It is read again for each act, under a lock that other processes see.

What a log did wrong is added to a second file.  Two checkpoints of one size that it signed are a
proof.  A checkpoint that was handed in without a good proof is only a suspicion: anybody can do
that with a checkpoint that anybody can read.
"""

import base64
import fcntl
import json
import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from app.durable import replace_file
from ledger.notes import (
    COSIGNATURE,
    Checkpoint,
    Key,
    Line,
    Note,
    cosign,
    public_key,
    read_checkpoint,
    read_key,
)
from ledger.refusal import Refusal
from ledger.witnessing import AddCheckpoint, BadProof, Conflict, Seen, judge

MOST_TOLD = 1_000  # of each kind: a stranger does not fill the disk

log = logging.getLogger(__name__)

Logs = dict[str, dict[str, Any]]


@dataclass(eq=False)
class StateWrong(Refusal):
    """The file of a witness cannot be read or written; it looks after nothing meanwhile."""

    code = "witness_state_wrong"

    file: str
    why: str


@dataclass(eq=False)
class WitnessKeyUnknown(Refusal):
    """The witness does not trust this key for this log."""

    code = "witness_key_unknown"

    origin: str


class WitnessKey:
    """The private key of a witness, in a file that only its owner reads."""

    def __init__(self, name: str, private: Ed25519PrivateKey) -> None:
        self.name, self.private = name, private

    @property
    def public(self) -> Key:
        """What a log puts in its policy."""
        return public_key(self.name, self.private, COSIGNATURE)

    @classmethod
    def make(cls, path: Path, name: str) -> "WitnessKey":
        """Make a key in a new file; raises `witness_state_wrong` when the file is there already."""
        private = Ed25519PrivateKey.generate()
        public_key(
            name, private
        )  # a name that a line cannot hold is refused before it is written
        seed = base64.b64encode(private.private_bytes_raw()).decode()
        try:
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except OSError as no:
            raise StateWrong(str(path), str(no.strerror)) from None
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(f"{name}\n{seed}\n")
        return cls(name, private)

    @classmethod
    def read(cls, path: Path) -> "WitnessKey":
        """Read a key that `make` wrote; raises `witness_state_wrong`."""
        try:
            name, seed = path.read_text(encoding="utf-8").split()
            return cls(name, Ed25519PrivateKey.from_private_bytes(base64.b64decode(seed)))
        except OSError as no:
            raise StateWrong(str(path), str(no.strerror)) from None
        except ValueError:
            raise StateWrong(str(path), "name, key?") from None


class WitnessState:
    """The logs that a witness looks after; safe from many threads and many processes."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read()

    @property
    def refusals(self) -> Path:
        """The file where what logs did wrong is kept, one JSON line each; `proof` tells what proves it."""
        return self._path.with_name(self._path.name + ".refused.jsonl")

    def logs(self) -> Logs:
        """Return what is remembered, by the name of the log."""
        return self._read()

    def told(self) -> list[dict[str, Any]]:
        """Return what logs did wrong, and what only looks so (`proof` is false)."""
        if not self.refusals.exists():
            return []
        told = []
        for line in self.refusals.read_bytes().split(b"\n"):
            try:
                told.append(json.loads(line))
            except ValueError:  # half a line, from a kill or a full disk
                continue
        return told

    def trust(self, origin: str, vkey: str, *, from_size: int = 0) -> None:
        """Trust a key of a log, for checkpoints of this size or larger; what was seen of it stays.

        A second key, as after a change of key or of operator, is trusted beside the first; a key
        that is trusted already, from the new size on.
        """
        read_key(vkey)
        with self._alone() as logs:
            known = logs.setdefault(origin, {"keys": [], "size": 0, "root": "", "note": ""})
            others = [key for key in known["keys"] if key["vkey"] != vkey]
            known["keys"] = [*others, {"vkey": vkey, "from_size": from_size}]
            self._write(logs)

    def distrust(self, origin: str, vkey: str) -> None:
        """Trust a key no more; what was seen of the log stays.  Raises `witness_key_unknown`."""
        with self._alone() as logs:
            known = logs.get(origin, {"keys": []})
            others = [key for key in known["keys"] if key["vkey"] != vkey]
            if len(others) == len(known["keys"]):
                raise WitnessKeyUnknown(origin)
            known["keys"] = others
            self._write(logs)

    def cosign(self, asked: AddCheckpoint, key: WitnessKey, *, at: datetime) -> Line:
        """Judge a checkpoint, remember it, and cosign it; one at a time.

        Raises what `judge` raises; a log that forks, or may have been rewritten, is written down.
        """
        with self._alone() as logs:
            origin = asked.note.text.partition("\n")[0]
            known = logs.get(origin, {"keys": [], "size": 0, "root": ""})
            size = _size(asked.note.text)
            trusted = [read_key(k["vkey"]) for k in known["keys"] if size >= k["from_size"]]
            seen = Seen(known["size"], base64.b64decode(known["root"]))
            try:
                checkpoint = judge(asked, trusted, seen)
            except (Conflict, BadProof) as no:  # it is signed by the log
                note = _signed(asked.note, trusted)
                self._write_down(note, known, no, at)
                raise
            known |= {
                "size": checkpoint.size,
                "root": base64.b64encode(checkpoint.root).decode(),
                "note": str(_signed(asked.note, trusted)),
            }
            self._write(logs)
            return cosign(
                asked.note.text, key.name, key.private, seconds=int(at.timestamp())
            )

    @contextmanager
    def _alone(self) -> Iterator[Logs]:
        """Keep every other writer out, and read what the last one wrote."""
        try:
            lock = os.open(
                self._path.with_name(self._path.name + ".lock"),
                os.O_RDWR | os.O_CREAT | os.O_CLOEXEC,
                0o600,
            )
        except OSError as no:
            raise StateWrong(str(self._path), str(no.strerror)) from None
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield self._read()
        finally:
            os.close(lock)

    def _read(self) -> Logs:
        path = self._path
        try:
            logs: Logs = (
                json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
            )
            for known in logs.values():
                Seen(int(known["size"]), base64.b64decode(known["root"]))
                for key in known["keys"]:
                    read_key(key["vkey"])
                    int(key["from_size"])
        except OSError as no:
            raise StateWrong(str(path), str(no.strerror)) from None
        except (ValueError, KeyError, TypeError, AttributeError):
            raise StateWrong(str(path), "JSON?") from None
        return logs

    def _write(self, logs: Logs) -> None:
        try:
            replace_file(self._path, json.dumps(logs, indent=2, ensure_ascii=False))
        except OSError as no:
            raise StateWrong(str(self._path), str(no.strerror)) from None

    def _write_down(
        self, note: Note, known: dict[str, Any], no: Conflict | BadProof, at: datetime
    ) -> None:
        """Add a proof or a suspicion, once; neither crowds out the other."""
        checkpoint = read_checkpoint(note.text)
        why = _why(checkpoint, known, no)
        if why is None:
            return
        told = {
            "proof": why == "fork",
            "why": why,
            "at": at.isoformat(),
            "origin": checkpoint.origin,
            "size": checkpoint.size,
            "root": base64.b64encode(checkpoint.root).decode(),
            "note": str(note),
            "seen_size": known["size"],
            "seen_root": known["root"],
            "seen_note": known.get("note", ""),
        }
        try:
            same = [one for one in self.told() if one.get("why") == why]
            what = ("origin", "size", "root")
            known_already = any(all(one.get(k) == told[k] for k in what) for one in same)
            if known_already or len(same) >= MOST_TOLD:
                return
            with self.refusals.open("a+b") as file:
                if file.tell() and not self.refusals.read_bytes().endswith(b"\n"):
                    file.write(b"\n")
                file.write(json.dumps(told, ensure_ascii=False).encode() + b"\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError:  # the answer is the same; the trace keeps what the file could not
            log.exception("not written down: %s", told)


def _why(
    checkpoint: Checkpoint, known: dict[str, Any], no: Conflict | BadProof
) -> str | None:
    """Name what a signed checkpoint shows beside the remembered one: a fork, or a suspicion, or nothing."""
    if not known["size"]:
        return None
    if isinstance(no, Conflict) and no.forked:
        # A state from before notes were kept cannot show both.
        return "fork" if known.get("note") else "unproved"
    if checkpoint.size < known["size"]:
        return "smaller"
    if isinstance(no, BadProof) and checkpoint.size > known["size"]:
        return "unproved"
    return None


def _signed(note: Note, trusted: Sequence[Key]) -> Note:
    """Return a note that was verified with the signatures of its log alone, one a key."""
    known = {(key.name, key.id) for key in trusted}
    lines = {(one.name, one.id): one for one in reversed(note.lines)}
    return Note(note.text, tuple(one for named, one in lines.items() if named in known))


def _size(text: str) -> int:
    line = text.partition("\n")[2].partition("\n")[0]
    return int(line) if line.isascii() and line.isdigit() and len(line) < 20 else 0
