"""An instance at work: its data, its clock, its keys, and the steps that derive what is derived."""

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from app.database import Database
from app.settings import OidcSettings, Settings
from funding.attribution import project
from issuance.keys import Keyring, Signer, keyring, signer
from ledger import sequencer
from ledger.key_sealing import KeysLocked
from ledger.log_keys import LogSigner, NoLogKey, log_signers
from ledger.moments import Moment
from ledger.sealing import Sealer

if TYPE_CHECKING:
    from app.people.provider import Provider
    from app.registry import Departement

Clock = Callable[[], datetime]
KEYRING_SECONDS = 10.0


def utc_now() -> datetime:
    """Return the instant it is: the one place where a clock is read."""
    return datetime.now(UTC)


def _provider(settings: OidcSettings) -> "Provider":
    from app.people.provider import Provider  # noqa: PLC0415 - few instances have one

    return Provider(settings)


class Instance:
    """What a command, a handler or a job needs; one for the life of the process."""

    def __init__(self, settings: Settings, clock: Clock = utc_now) -> None:
        self.settings = settings
        self.clock = clock
        self.database: Database = settings.open()
        # Without a master key it is there too, and refuses each use with `vault_locked`.
        self.sealer = Sealer(settings.vault_keys)
        self.provider = None if settings.oidc is None else _provider(settings.oidc)
        self._rings: dict[str, tuple[float, Keyring]] = {}
        self._log_signers: dict[str, tuple[float, list[LogSigner]]] = {}
        self._ring_lock = threading.Lock()

    def departement(self, code: str) -> "Departement":
        """Return a département of this instance, or raise `UnknownDepartement`."""
        return self.database.departement(code)

    def moment(self, code: str) -> Moment:
        """Return this instant, as the département sees it."""
        return Moment(self.clock(), self.departement(code).zone)

    def keyring(self, code: str) -> Keyring:
        """Return the département's public keys, read again every ten seconds."""
        with self._ring_lock:
            ring = self.known_keyring(code)
            if ring is None:
                with self.database.begin(code, read_only=True) as session:
                    ring = keyring(session, code, self.settings.key_secret)
                self._rings[code] = time.monotonic(), ring
            return ring

    def known_keyring(self, code: str) -> Keyring | None:
        """Return it from memory, or None if it is to be read: for who may not wait for a database."""
        read_at, ring = self._rings.get(code, (0.0, None))
        return ring if time.monotonic() - read_at <= KEYRING_SECONDS else None

    def signer(self, code: str) -> Signer:
        """Return the département's private keys, unsealed; raises `NoKeys` or `KeysLocked`."""
        with self.database.begin(code, read_only=True) as session:
            return signer(session, code, self.settings.key_secret)

    def log_signers(self, code: str) -> list[LogSigner]:
        """Return the keys that sign for the log, read again every ten seconds; none without the secret."""
        with self._ring_lock:
            signers = self.known_log_signers(code)
            if signers is None:
                with self.database.begin(code, read_only=True) as session:
                    try:
                        signers = log_signers(session, self.settings.key_secret)
                    except (NoLogKey, KeysLocked):
                        signers = []
                self._log_signers[code] = time.monotonic(), signers
            return signers

    def known_log_signers(self, code: str) -> list[LogSigner] | None:
        """Return them from memory, or None if they are to be read: for who may not wait for a database."""
        read_at, signers = self._log_signers.get(code, (0.0, None))
        return signers if time.monotonic() - read_at <= KEYRING_SECONDS else None

    def step(self, code: str) -> int:
        """Sequence one batch of what waits; return how many entries got their place."""
        with self.database.begin(code, "sequencer") as session:
            return sequencer.step(session, at=self.clock(), project=[project])

    def drain(self, code: str) -> None:
        """Sequence everything that waits; harmless beside another sequencer."""
        while self.step(code):
            pass

    def close(self) -> None:
        """Close every connection."""
        if self.provider is not None:
            self.provider.close()
        self.database.close()
