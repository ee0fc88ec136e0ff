"""The publisher: signs the newest checkpoint, shows it, and asks the witnesses; every ten seconds at most."""

import logging
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from app.instance import Instance
from app.proofs.mark import Mark
from app.proofs.witnesses import ANSWER_SECONDS, Asking
from ledger.log_keys import log_name, log_signers
from ledger.notes import NoteError
from ledger.policy import read_policy
from ledger.publishing import Published, is_due, keep_cosignatures, newest, publish
from ledger.refusal import Refusal
from ledger.witness_policies import policy_text

REST_SECONDS = 1.0
# After a no, people have something to do first.
PATIENCE_SECONDS = 30.0

log = logging.getLogger(__name__)


@dataclass(eq=False)
class MarkUnreadable(Refusal):
    """The file that remembers the last checkpoint shown is no checkpoint: nothing is signed until it is."""

    code = "mark_unreadable"

    why: str


@dataclass(eq=False)
class WitnessNeeded(Refusal):
    """No witness answers and no file remembers what was shown: nobody could tell an old backup."""

    code = "witness_needed"

    witnesses: str
    file: str


class Publisher:
    """Publishes the log of one département; one for the life of a process."""

    def __init__(self, instance: Instance, code: str, asking: Asking | None = None) -> None:
        self._instance, self._code = instance, code
        self._asking = asking or Asking()
        self._mark = Mark(instance.settings.state_dir, code)
        self._agreed = self._warned = False

    def close(self) -> None:
        """Let go of the connections."""
        self._asking.close()

    def is_due(self) -> bool:
        """Tell whether there is news, and a key to sign it with."""
        with self._reading() as session:
            named = log_name(session) is not None
            return named and is_due(session, self._instance.clock())

    def publish(self) -> Published | None:
        """Sign and show the newest checkpoint, then ask the witnesses; None when there is no news.

        It is remembered, then committed, then shown to witnesses: nothing is shown that is not
        remembered, and what is remembered was already in the log.  Raises `LogBehind`,
        `LogForked`, `MarkUnreadable`, `MarkUnwritable`, `WitnessNeeded`, `NoLogKey` or
        `KeysLocked`, and has then signed nothing; only a witness may say `LogForked` afterwards.
        """
        try:
            shown = self._mark.read()
        except (NoteError, OSError, UnicodeDecodeError) as no:
            raise MarkUnreadable(str(no)) from None
        if not self._agreed:  # what witnesses saw before this process was there comes first
            silent = self.ask_witnesses()
            if silent and shown is None:
                raise WitnessNeeded(", ".join(silent), self._mark.name)
            if silent and not self._warned:
                self._warned = True
                told = ", ".join(silent)
                log.warning(
                    "département %s: no witness answers (%s); the mark is believed",
                    self._code,
                    told,
                )
        database, secret = self._instance.database, self._instance.settings.key_secret
        with database.begin(self._code, "sequencer") as session:
            signers = log_signers(session, secret)
            made = publish(session, signers, shown=shown, at=self._instance.clock())
            if made is not None:
                self._mark.keep(made.note)
        if made is not None:
            self.ask_witnesses()
        return made

    def ask_witnesses(self) -> list[str]:
        """Have the newest checkpoint cosigned; return who was asked if none of them answered.

        Every witness is asked and every cosignature kept; then `LogBehind` or `LogForked` is
        raised when one says so.
        """
        with self._reading() as session:
            shown, policy = newest(session), read_policy(policy_text(session))
        asked = [w for w in policy.witnesses.values() if w.url is not None]
        if not asked:
            self._agreed = True
        if not asked or shown is None:
            return []
        answers = self._asking.ask(self._reading, shown, asked)
        denied = next((a.denied for a in answers if a.denied is not None), None)
        heard = any(answer.lines is not None for answer in answers)
        self._agreed = denied is None and (heard or self._agreed)
        lines = [line for answer in answers for line in answer.lines or ()]
        if lines:
            with self._instance.database.begin(self._code, "sequencer") as session:
                keep_cosignatures(session, shown.size, lines)
        if denied is not None:
            raise denied
        return [] if heard else [witness.name for witness in asked]

    def _reading(self) -> AbstractContextManager[Session]:
        return self._instance.database.begin(self._code, read_only=True)


class _Turn:
    """One département in the loop: a thread when there is news, patience after a no.

    So neither its witnesses nor its troubles hold up the others.
    """

    def __init__(self, publisher: Publisher, code: str) -> None:
        self._publisher, self._code = publisher, code
        self._told: str | None = None
        self._not_before = 0.0
        self._thread: threading.Thread | None = None

    def take(self) -> None:
        """Publish if it is time to; never waits, never raises."""
        busy = self._thread is not None and self._thread.is_alive()
        if busy or time.monotonic() < self._not_before:
            return
        if self._tried(self._publisher.is_due):
            self._thread = threading.Thread(
                target=self._publish, name=f"publisher {self._code}", daemon=True
            )
            self._thread.start()

    def end(self, by: float) -> None:
        """Wait for what is being done, but no longer; a publisher may be killed at any moment."""
        if self._thread is not None:
            self._thread.join(max(0.0, by - time.monotonic()))
        self._publisher.close()

    def _publish(self) -> None:
        def publish_() -> bool:
            self._publisher.publish()
            return True

        if self._tried(publish_):
            self._told = None

    def _tried(self, work: Callable[[], bool]) -> bool:
        try:
            return work()
        except Refusal as no:
            if self._told != no.code:
                log.error("département %s: not signed: %s", self._code, no)  # noqa: TRY400 - an answer
            self._told = no.code
        except SQLAlchemyError as error:
            _waits(error)
            return False
        except Exception:
            log.exception("département %s: not signed", self._code)
        self._not_before = time.monotonic() + PATIENCE_SECONDS
        return False


def run_until(instance: Instance, stop: threading.Event) -> None:
    """Publish every département's log until told to stop; a log that cannot be signed is told of, once."""
    turns: dict[str, _Turn] = {}
    while not stop.wait(REST_SECONDS):
        try:
            codes = [tenant.code for tenant in instance.database.working_departements()]
        except SQLAlchemyError as error:
            _waits(error)
            continue
        except Exception:
            log.exception("the publisher goes on")
            continue
        for code in codes:
            try:
                if code not in turns:
                    turns[code] = _Turn(Publisher(instance, code), code)
                turns[code].take()
            except Exception:
                log.exception("département %s: the publisher goes on", code)
    by = time.monotonic() + ANSWER_SECONDS
    for turn in turns.values():
        turn.end(by)


def _waits(error: SQLAlchemyError) -> None:
    why = type(getattr(error, "orig", error)).__name__
    log.warning("the publisher waits for the database: %s", why)
