"""An instance at work: its data, its clock, its keys, and the steps that derive what is derived."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from app.database import Database
from app.remembered import Remembered
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
        self.keyrings: Remembered[Keyring] = Remembered(self._read_keyring)
        # The keys that sign for the log; none without the secret.
        self.log_signers: Remembered[list[LogSigner]] = Remembered(self._read_log_signers)

    def departement(self, code: str) -> "Departement":
        """Return a département of this instance, or raise `UnknownDepartement`."""
        return self.database.departement(code)

    def moment(self, code: str) -> Moment:
        """Return this instant, as the département sees it."""
        return Moment(self.clock(), self.departement(code).zone)

    def keyring(self, code: str) -> Keyring:
        """Return the département's public keys; waits for the database every ten seconds."""
        return self.keyrings.get(code)

    def signer(self, code: str) -> Signer:
        """Return the département's private keys, unsealed; raises `NoKeys` or `KeysLocked`."""
        with self.database.begin(code, read_only=True) as session:
            return signer(session, code, self.settings.key_secret)

    def _read_keyring(self, code: str) -> Keyring:
        with self.database.begin(code, read_only=True) as session:
            return keyring(session, code, self.settings.key_secret)

    def _read_log_signers(self, code: str) -> list[LogSigner]:
        with self.database.begin(code, read_only=True) as session:
            try:
                return log_signers(session, self.settings.key_secret)
            except (NoLogKey, KeysLocked):
                return []

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
