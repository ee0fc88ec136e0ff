"""What was shown last, remembered outside the database, which a restored backup cannot make forget."""

import os
from pathlib import Path

from ledger.notes import Checkpoint, read, read_checkpoint


class Mark:
    """A file that holds the last published checkpoint of a log; without a folder, nothing is kept."""

    def __init__(self, folder: Path | None, code: str) -> None:
        self._path = None if folder is None else folder / f"{code.lower()}.checkpoint"

    def read(self) -> Checkpoint | None:
        """Return the last checkpoint that was shown, None before the first.

        Raises NoteError when the file is no checkpoint any more: it is better not to sign.
        """
        if self._path is None or not self._path.exists():
            return None
        return read_checkpoint(read(self._path.read_text(encoding="utf-8")).text)

    def keep(self, note: str) -> None:
        """Remember a checkpoint; it is on the disk when this returns."""
        if self._path is None:
            return
        self._path.parent.mkdir(parents=True, exist_ok=True)
        beside = self._path.with_suffix(".new")
        with beside.open("w", encoding="utf-8") as file:
            file.write(note)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(self._path)
        folder = os.open(self._path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
