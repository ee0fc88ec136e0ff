"""The publisher: signs the newest checkpoint, shows it, and asks the witnesses; every ten seconds at most."""

import logging
import threading
from dataclasses import dataclass

from sqlalchemy.exc import DBAPIError

from app.instance import Instance
from app.proofs.mark import Mark
from app.proofs.witnesses import Asking
from ledger.log_keys import log_name, log_signers
from ledger.notes import NoteError
from ledger.policy import read_policy
from ledger.publishing import Published, is_due, keep_cosignatures, newest, publish
from ledger.refusal import Refusal
from ledger.witness_policies import policy_text

REST_SECONDS = 1.0

log = logging.getLogger(__name__)


@dataclass(eq=False)
class MarkUnreadable(Refusal):
    """The file that remembers the last checkpoint shown is no checkpoint: nothing is signed until it is."""

    code = "mark_unreadable"

    why: str


class Publisher:
    """Publishes the log of one département; one for the life of a process."""

    def __init__(self, instance: Instance, code: str, asking: Asking | None = None) -> None:
        self._instance, self._code = instance, code
        self._asking = asking or Asking()
        self._mark = Mark(instance.settings.state_dir, code)
        self._agreed = False

    def close(self) -> None:
        """Let go of the connections."""
        self._asking.close()

    def is_due(self) -> bool:
        """Tell whether there is news, and a key to sign it with."""
        with self._instance.database.begin(self._code, read_only=True) as session:
            named = log_name(session) is not None
            return named and is_due(session, self._instance.clock())

    def publish(self) -> Published | None:
        """Sign and show the newest checkpoint, then ask the witnesses; None when there is no news.

        It is committed, then remembered, then shown to witnesses.  Raises `LogBehind`,
        `LogForked`, `MarkUnreadable`, `NoLogKey` or `KeysLocked`, and has then signed nothing.
        """
        try:
            shown = self._mark.read()
        except (NoteError, OSError, UnicodeDecodeError) as no:
            raise MarkUnreadable(str(no)) from None
        if not self._agreed:  # what witnesses saw before this process was there comes first
            self.ask_witnesses()
        database, secret = self._instance.database, self._instance.settings.key_secret
        with database.begin(self._code, "sequencer") as session:
            signers = log_signers(session, secret)
            made = publish(session, signers, shown=shown, at=self._instance.clock())
        if made is not None:
            self._mark.keep(made.note)
            self.ask_witnesses()
        return made

    def ask_witnesses(self) -> None:
        """Have the newest checkpoint cosigned; raises `LogBehind` or `LogForked` when a witness says so."""
        database = self._instance.database
        with database.begin(self._code, read_only=True) as session:
            shown, policy = newest(session), read_policy(policy_text(session))
            if shown is None:
                return
            self._agreed = False
            answers = self._asking.ask(session, shown, policy.witnesses.values())
            self._agreed = True
        lines = [line for answer in answers for line in answer.lines or ()]
        if lines:
            with database.begin(self._code, "sequencer") as session:
                keep_cosignatures(session, shown.size, lines)


def run_until(instance: Instance, stop: threading.Event) -> None:
    """Publish every département's log until told to stop; a log that cannot be signed is told of, once."""
    publishers: dict[str, Publisher] = {}
    told: dict[str, str] = {}
    while not stop.wait(REST_SECONDS):
        try:
            for tenant in instance.database.working_departements():
                code = tenant.code
                if code not in publishers:
                    publishers[code] = Publisher(instance, code)
                _publish(publishers[code], code, told)
        except DBAPIError as error:
            log.warning(
                "the publisher waits for the database: %s", type(error.orig).__name__
            )
    for publisher in publishers.values():
        publisher.close()


def _publish(publisher: Publisher, code: str, told: dict[str, str]) -> None:
    try:
        if publisher.is_due():
            publisher.publish()
            told.pop(code, None)
    except Refusal as no:
        if told.get(code) != no.code:
            log.error("département %s: not signed: %s", code, no)  # noqa: TRY400 - an answer
        told[code] = no.code
