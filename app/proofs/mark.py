"""What was shown last, remembered outside the database, which a restored backup cannot make forget."""

from dataclasses import dataclass
from pathlib import Path

from app.durable import replace_file
from ledger.notes import Checkpoint, read, read_checkpoint
from ledger.refusal import Refusal


@dataclass(eq=False)
class MarkUnwritable(Refusal):
    """The file that remembers the last checkpoint shown cannot be written: nothing is signed."""

    code = "mark_unwritable"

    file: str
    why: str


class Mark:
    """A file that holds the last published checkpoint of a log; without a folder, nothing is kept."""

    def __init__(self, folder: Path | None, code: str) -> None:
        self.name = f"{code.lower()}.checkpoint"
        self._path = None if folder is None else folder / self.name

    def read(self) -> Checkpoint | None:
        """Return the last checkpoint that was shown, None before the first.

        Raises NoteError when the file is no checkpoint any more: it is better not to sign.
        """
        if self._path is None or not self._path.exists():
            return None
        return read_checkpoint(read(self._path.read_text(encoding="utf-8")).text)

    def keep(self, note: str) -> None:
        """Remember a checkpoint; it is on the disk when this returns.  Raises `MarkUnwritable`."""
        if self._path is None:
            return
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            replace_file(self._path, note)
        except OSError as no:
            raise MarkUnwritable(str(self._path), str(no.strerror)) from None
