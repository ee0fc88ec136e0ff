"""What a witness remembers: of each log, the keys it trusts and the largest tree it found consistent.

One JSON file, written whole beside the old one and put in its place: on the disk before anyone is
answered.  What a log did wrong is added to a second file, with the signed checkpoint that shows it.
"""

import base64
import json
import os
import threading
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ledger.notes import COSIGNATURE, Key, Line, cosign, public_key, read_key
from ledger.refusal import Refusal
from ledger.witnessing import AddCheckpoint, BadProof, Conflict, Seen, judge


@dataclass(eq=False)
class StateWrong(Refusal):
    """The file of a witness cannot be read or written; it looks after nothing meanwhile."""

    code = "witness_state_wrong"

    file: str
    why: str


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
    """The logs that a witness looks after; safe from many threads, one process."""

    def __init__(self, path: Path) -> None:
        self._path, self._lock = path, threading.Lock()
        try:
            self._logs: dict[str, dict[str, Any]] = (
                json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
            )
            for known in self._logs.values():
                Seen(int(known["size"]), base64.b64decode(known["root"]))
                for key in known["keys"]:
                    read_key(key["vkey"])
        except OSError as no:
            raise StateWrong(str(path), str(no.strerror)) from None
        except (ValueError, KeyError, TypeError, AttributeError):
            raise StateWrong(str(path), "JSON?") from None

    @property
    def refusals(self) -> Path:
        """The file where what logs did wrong is kept, one JSON line each."""
        return self._path.with_name(self._path.name + ".refused.jsonl")

    def logs(self) -> dict[str, dict[str, Any]]:
        """Return what is remembered, by the name of the log."""
        return self._logs

    def trust(self, origin: str, vkey: str, *, from_size: int = 0) -> None:
        """Trust a key of a log, for checkpoints of this size or larger; what was seen of it stays.

        A second key, as after a change of key or of operator, is trusted beside the first.
        """
        read_key(vkey)
        with self._lock:
            known = self._logs.setdefault(origin, {"keys": [], "size": 0, "root": ""})
            if vkey not in [key["vkey"] for key in known["keys"]]:
                known["keys"].append({"vkey": vkey, "from_size": from_size})
            self._write()

    def cosign(self, asked: AddCheckpoint, key: WitnessKey, *, at: datetime) -> Line:
        """Judge a checkpoint, remember it, and cosign it; one at a time.

        Raises what `judge` raises; a log that forks or was rewritten is written down.
        """
        with self._lock:
            origin = asked.note.text.partition("\n")[0]
            known = self._logs.get(origin, {"keys": [], "size": 0, "root": ""})
            size = _size(asked.note.text)
            trusted = [read_key(k["vkey"]) for k in known["keys"] if size >= k["from_size"]]
            seen = Seen(known["size"], base64.b64decode(known["root"]))
            try:
                checkpoint = judge(asked, trusted, seen)
            except (Conflict, BadProof) as no:
                if isinstance(no, BadProof) or no.forked or size < seen.size:
                    self._write_down(asked, seen, no, at)
                raise
            known |= {
                "size": checkpoint.size,
                "root": base64.b64encode(checkpoint.root).decode(),
            }
            self._write()
            return cosign(
                asked.note.text, key.name, key.private, seconds=int(at.timestamp())
            )

    def _write(self) -> None:
        beside = self._path.with_name(self._path.name + ".new")
        with beside.open("w", encoding="utf-8") as file:
            json.dump(self._logs, file, indent=2, ensure_ascii=False)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(self._path)
        folder = os.open(self._path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def _write_down(
        self, asked: AddCheckpoint, seen: Seen, why: Exception, at: datetime
    ) -> None:
        told = {
            "at": at.isoformat(),
            "why": type(why).__name__,
            "seen_size": seen.size,
            "seen_root": base64.b64encode(seen.root).decode(),
            "old": asked.old,
            "note": str(asked.note),
        }
        with self.refusals.open("a", encoding="utf-8") as file:
            file.write(json.dumps(told, ensure_ascii=False) + "\n")
            file.flush()
            os.fsync(file.fileno())


def _size(text: str) -> int:
    line = text.partition("\n")[2].partition("\n")[0]
    return int(line) if line.isascii() and line.isdigit() and len(line) < 20 else 0
