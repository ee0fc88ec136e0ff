"""What the environment says, read once at the start."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from app.database import LOGINS, Database, FilesPlace, PostgresPlace, Role
from ledger.refusal import Refusal


@dataclass(eq=False)
class SettingsWrong(Refusal):
    """The environment cannot be used as it is; `reason` says why."""

    code = "settings_wrong"

    reason: str


@dataclass(frozen=True)
class Settings:
    """Where the data is, and the secret that seals the private keys (never logged, never stored)."""

    data_dir: Path | None
    urls: Mapping[Role, str]
    key_secret: bytes | None

    def open(self) -> Database:
        """Return the instance's data: PostgreSQL when a URL is set, else the folder of SQLite files."""
        if self.data_dir is not None:
            return Database(FilesPlace(self.data_dir))
        return Database(PostgresPlace(dict(self.urls)))

    @property
    def on_sqlite(self) -> bool:
        """Whether this instance is a folder of files."""
        return self.data_dir is not None


def read_settings(
    environment: Mapping[str, str] = os.environ, *, data_dir: Path | None = None
) -> Settings:
    """Read the settings; an explicit folder wins over a URL, and `var/data` is the default.

    PASSNUM_DATABASE_URL, PASSNUM_OWNER_URL and PASSNUM_SEQUENCER_URL are the three logins of a
    PostgreSQL instance; PASSNUM_DATA_DIR a folder; PASSNUM_KEY_FILE or PASSNUM_KEY_PASSPHRASE
    what seals the keys.
    """
    urls: dict[Role, str] = {
        role: _with_driver(environment[name])
        for role, name in LOGINS.items()
        if environment.get(name)
    }
    if data_dir is None and environment.get("PASSNUM_DATA_DIR"):
        data_dir = Path(environment["PASSNUM_DATA_DIR"])
    if data_dir is None and not urls:
        data_dir = Path("var/data")
    return Settings(
        data_dir, {} if data_dir is not None else urls, _secret(environment, data_dir)
    )


def _with_driver(url: str) -> str:
    return re.sub(r"^postgres(ql)?://", "postgresql+psycopg://", url)


def _secret(environment: Mapping[str, str], data_dir: Path | None) -> bytes | None:
    if file := environment.get("PASSNUM_KEY_FILE"):
        try:
            return Path(file).read_bytes().strip()
        except OSError as no:
            raise SettingsWrong(f"PASSNUM_KEY_FILE: {no.strerror}") from None
    if passphrase := environment.get("PASSNUM_KEY_PASSPHRASE"):
        return passphrase.encode()
    beside = None if data_dir is None else data_dir / "demo.key"
    # The demonstration makes its own secret; a real instance never keeps it beside the data.
    return beside.read_bytes().strip() if beside is not None and beside.exists() else None
