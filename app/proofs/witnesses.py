"""Asking witnesses to cosign a checkpoint that was just published."""

import logging
import queue
import re
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from typing import NamedTuple

import httpx
from sqlalchemy.orm import Session

from ledger.merkle import consistency_proof
from ledger.notes import Line, Note, NoteError, read, verify
from ledger.policy import Witness
from ledger.publishing import LogBehind, LogForked, Published, admit
from ledger.tiles import nodes
from ledger.witnessing import AddCheckpoint

TIMEOUT_SECONDS = 5.0
ANSWER_SECONDS = 10.0
ANSWER_MAX = 100_000
TRIES = 3
_SIZE = re.compile(rb"\s*([0-9]{1,20})\s*", re.ASCII)

log = logging.getLogger(__name__)

Reading = Callable[[], AbstractContextManager[Session]]


class Cosigned(NamedTuple):
    """A witness's answer: its lines, or None where it did not answer well; or what it says of our log."""

    witness: str
    lines: tuple[Line, ...] | None
    denied: LogBehind | LogForked | None = None


class _Answer(NamedTuple):
    status: int
    body: bytes


class Asking:
    """Asks the witnesses of one log, and remembers what each has seen of it."""

    def __init__(self, transport: httpx.BaseTransport | None = None) -> None:
        self._http = httpx.Client(
            timeout=TIMEOUT_SECONDS,
            transport=transport,
            headers={"accept-encoding": "identity"},
        )
        self._seen: dict[str, int] = {}
        self._hanging: dict[str, threading.Thread] = {}

    def close(self) -> None:
        """Let go of the connections."""
        self._http.close()

    def ask(
        self, reading: Reading, shown: Published, witnesses: Iterable[Witness]
    ) -> list[Cosigned]:
        """Hand a published checkpoint to each witness that has an address, whatever the others answer.

        A witness that does not answer is passed by, and asked again with the next checkpoint.
        `reading` opens a short transaction; none is open while a witness is waited for.
        """
        note = read(shown.note)
        answers = []
        for witness in witnesses:
            if witness.url is None:
                continue
            try:
                lines = self._ask(reading, shown, note, witness)
                answers.append(Cosigned(witness.name, lines))
            except (LogBehind, LogForked) as no:
                answers.append(Cosigned(witness.name, None, no))
        return answers

    def _ask(
        self, reading: Reading, shown: Published, note: Note, witness: Witness
    ) -> tuple[Line, ...] | None:
        """Return the witness's lines, none when it saw a newer checkpoint; None for no good answer."""
        ends = time.monotonic() + ANSWER_SECONDS
        old = self._seen.get(witness.key.vkey, 0)
        for _ in range(TRIES):
            if old > shown.size:
                with reading() as session:
                    admit(session, old, by=witness.name)
                return ()
            answer = self._hand_in(reading, shown, note, witness, old, ends)
            if answer is None:
                return None
            if answer.status != httpx.codes.CONFLICT:
                return self._judge(answer, shown, note, witness, old)
            size = _SIZE.fullmatch(answer.body)
            if size is None:
                log.warning("the witness %s names no size", witness.name)
                return None
            if int(size[1]) == old:
                raise LogForked(shown.size, old, witness.name)
            old = int(size[1])
        return None

    def _judge(
        self, answer: _Answer, shown: Published, note: Note, witness: Witness, old: int
    ) -> tuple[Line, ...] | None:
        if answer.status == httpx.codes.UNPROCESSABLE_ENTITY:
            raise LogForked(shown.size, old, witness.name)
        if answer.status != httpx.codes.OK:
            log.warning("the witness %s answered %d", witness.name, answer.status)
            return None
        try:
            signed = read(f"{note.text}\n{answer.body.decode()}")
            verify(signed, [witness.key])
        except (NoteError, UnicodeDecodeError) as no:
            log.warning("the witness %s: %s", witness.name, no)
            return None
        self._seen[witness.key.vkey] = shown.size
        known = (witness.key.name, witness.key.id)
        return tuple(line for line in signed.lines if (line.name, line.id) == known)

    def _hand_in(
        self,
        reading: Reading,
        shown: Published,
        note: Note,
        witness: Witness,
        old: int,
        ends: float,
    ) -> _Answer | None:
        """Send the checkpoint with the proof that it continues what the witness saw; wait until `ends`.

        A thread sends it: no name server and no witness that answers a byte at a time holds us up.
        """
        hanging = self._hanging.pop(witness.key.vkey, None)
        if hanging is not None and hanging.is_alive():
            self._hanging[witness.key.vkey] = hanging
            return None
        proof: list[bytes] = []
        if old:
            with reading() as session:
                proof = consistency_proof(nodes(session), old, shown.size)
        asked = str(AddCheckpoint(old, tuple(proof), note)).encode()
        where = f"{(witness.url or '').rstrip('/')}/add-checkpoint"
        answers: queue.SimpleQueue[_Answer | Exception] = queue.SimpleQueue()

        def send() -> None:
            try:
                answers.put(self._post(where, asked, ends))
            except (httpx.HTTPError, httpx.InvalidURL) as no:
                answers.put(no)
            except Exception as no:  # whatever it is, the witness did not answer
                log.debug("the witness %s", witness.name, exc_info=True)
                answers.put(no)

        sending = threading.Thread(target=send, name=f"ask {witness.name}", daemon=True)
        sending.start()
        try:
            answer = answers.get(timeout=max(0.0, ends - time.monotonic()))
        except queue.Empty:
            self._hanging[witness.key.vkey] = sending
            answer = TimeoutError()
        if isinstance(answer, Exception):
            log.warning("the witness %s: %s", witness.name, type(answer).__name__)
            return None
        return answer

    def _post(self, where: str, asked: bytes, ends: float) -> _Answer:
        body = b""
        with self._http.stream("POST", where, content=asked) as answer:
            if answer.headers.get("content-encoding", "identity") != "identity":
                raise ValueError("the answer is packed")
            for piece in answer.iter_bytes():
                body += piece
                if len(body) > ANSWER_MAX:
                    raise ValueError("the answer is too long")
                if time.monotonic() > ends:
                    raise TimeoutError
        return _Answer(answer.status_code, body)
