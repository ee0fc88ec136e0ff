"""Asking witnesses to cosign a checkpoint that was just published."""

import logging
from collections.abc import Iterable
from typing import NamedTuple

import httpx
from sqlalchemy.orm import Session

from ledger.merkle import consistency_proof
from ledger.notes import Line, Note, NoteError, read, verify
from ledger.policy import Witness
from ledger.publishing import LogBehind, LogForked, Published
from ledger.tiles import reader
from ledger.witnessing import AddCheckpoint

TIMEOUT_SECONDS = 5.0
ANSWER_MAX = 100_000

log = logging.getLogger(__name__)


class Cosigned(NamedTuple):
    """A witness's answer: its lines, or None where it did not answer well."""

    witness: str
    lines: tuple[Line, ...] | None


class Asking:
    """Asks the witnesses of one log, and remembers what each has seen of it."""

    def __init__(self, transport: httpx.BaseTransport | None = None) -> None:
        self._http = httpx.Client(timeout=TIMEOUT_SECONDS, transport=transport)
        self._seen: dict[str, int] = {}

    def close(self) -> None:
        """Let go of the connections."""
        self._http.close()

    def ask(
        self, session: Session, shown: Published, witnesses: Iterable[Witness]
    ) -> list[Cosigned]:
        """Hand a published checkpoint to each witness that has an address.

        A witness that does not answer is passed by, and asked again with the next checkpoint.
        Raises `LogBehind` or `LogForked` when one has seen a log that ours does not continue.
        """
        note = read(shown.note)
        return [
            Cosigned(witness.name, self._ask(session, shown, note, witness))
            for witness in witnesses
            if witness.url is not None
        ]

    def _ask(
        self, session: Session, shown: Published, note: Note, witness: Witness
    ) -> tuple[Line, ...] | None:
        old = self._seen.get(witness.key.vkey, 0)
        answer = self._hand_in(session, shown, note, witness, old)
        if answer is not None and answer.status_code == httpx.codes.CONFLICT:
            size = answer.text.strip()
            if not (size.isascii() and size.isdigit()):
                return None
            if int(size) == old:
                raise LogForked(shown.size, old, witness.name)
            old = int(size)
            answer = self._hand_in(session, shown, note, witness, old)
        if answer is None:
            return None
        if answer.status_code == httpx.codes.UNPROCESSABLE_ENTITY:
            raise LogForked(shown.size, old, witness.name)
        if answer.status_code != httpx.codes.OK or len(answer.content) > ANSWER_MAX:
            log.warning("the witness %s answered %d", witness.name, answer.status_code)
            return None
        try:
            signed = read(f"{note.text}\n{answer.text}")
            verify(signed, [witness.key])
        except NoteError as no:
            log.warning("the witness %s: %s", witness.name, no)
            return None
        self._seen[witness.key.vkey] = shown.size
        known = (witness.key.name, witness.key.id)
        return tuple(line for line in signed.lines if (line.name, line.id) == known)

    def _hand_in(
        self, session: Session, shown: Published, note: Note, witness: Witness, old: int
    ) -> httpx.Response | None:
        """Send the checkpoint with the proof that it continues what the witness saw."""
        if old > shown.size:
            raise LogBehind(shown.size, old, witness.name)
        proof = consistency_proof(reader(session), old, shown.size) if old else []
        asked = str(AddCheckpoint(old, tuple(proof), note))
        where = f"{(witness.url or '').rstrip('/')}/add-checkpoint"
        try:
            return self._http.post(where, content=asked.encode())
        except httpx.HTTPError as no:
            log.warning("the witness %s: %s", witness.name, type(no).__name__)
            return None
