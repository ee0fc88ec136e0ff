"""What the environment says, read once at the start."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from app.database import LOGINS, Database, FilesPlace, PostgresPlace, Role
from app.mail.server import Mailing, read_address, read_sender
from ledger.refusal import Refusal
from ledger.sealing import read_keys


@dataclass(eq=False)
class SettingsWrong(Refusal):
    """The environment cannot be used as it is; `reason` says why."""

    code = "settings_wrong"

    reason: str


# What ProConnect calls a second factor, in its `acr`; `mfa` in `amr` says it too.
STRONG_ACR = (
    "eidas2",
    "eidas3",
    "https://proconnect.gouv.fr/assurance/self-asserted-2fa",
    "https://proconnect.gouv.fr/assurance/consistency-checked-2fa",
)


@dataclass(frozen=True)
class OidcSettings:
    """An OpenID provider such as ProConnect, and who we are to it."""

    issuer: str
    client_id: str
    client_secret: str = field(repr=False)
    scope: str = "openid uid siret"
    strong_acr: frozenset[str] = frozenset(STRONG_ACR)


@dataclass(frozen=True)
class Settings:
    """Where the data is, and the secrets that seal private keys and the vault (never logged, never stored)."""

    data_dir: Path | None
    urls: Mapping[Role, str] = field(repr=False)  # an address may hold a password
    key_secret: bytes | None = field(repr=False)
    vault_keys: tuple[bytes, ...] = field(default=(), repr=False)
    mail: Mailing | None = None
    phones: Mapping[str, str] = field(default_factory=dict)
    oidc: OidcSettings | None = None
    # Where what was shown of each log is remembered: not where the database's backups are.
    state_dir: Path | None = None
    # After how long a desk is told that a carnet it handed out was never used.
    unused_weeks: int = 6

    def open(self) -> Database:
        """Return the instance's data: PostgreSQL when a URL is set, else the folder of SQLite files."""
        if self.data_dir is not None:
            return Database(FilesPlace(self.data_dir))
        return Database(PostgresPlace(dict(self.urls)))

    def phone(self, code: str) -> str | None:
        """Return whom people of a département may call, if that is set."""
        return self.phones.get(code) or self.phones.get("")

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
    what seals the keys; PASSNUM_VAULT_KEY_FILE or PASSNUM_VAULT_KEY the master keys of the vault,
    the current one first; PASSNUM_SMTP_URL (or _FILE) and PASSNUM_MAIL_FROM how e-mails leave,
    and from whom; PASSNUM_PHONE, or PASSNUM_PHONE_23 for one département, whom to call; PASSNUM_OIDC_ISSUER,
    PASSNUM_OIDC_CLIENT_ID and PASSNUM_OIDC_CLIENT_SECRET (or _FILE) an OpenID provider;
    PASSNUM_STATE_DIR a folder that remembers what was shown of each log; PASSNUM_UNUSED_WEEKS after
    how many weeks a carnet that was never used is told to its desk.  Raises `SettingsWrong`.
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
        data_dir,
        {} if data_dir is not None else urls,
        _secret(environment, data_dir),
        _vault_keys(environment, data_dir),
        mail=_mailing(environment),
        phones=_phones(environment),
        oidc=_oidc(environment),
        state_dir=Path(state)
        if (state := environment.get("PASSNUM_STATE_DIR"))
        else data_dir,
        unused_weeks=_weeks(environment, "PASSNUM_UNUSED_WEEKS"),
    )


def _weeks(environment: Mapping[str, str], name: str) -> int:
    written = environment.get(name, "").strip()
    if not written:
        return Settings.unused_weeks
    if not re.fullmatch(r"[1-9][0-9]{0,2}", written):
        raise SettingsWrong(f"{name}: not a number of weeks")
    return int(written)


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


def _vault_keys(environment: Mapping[str, str], data_dir: Path | None) -> tuple[bytes, ...]:
    if file := environment.get("PASSNUM_VAULT_KEY_FILE"):
        try:
            return _read_vault_keys("PASSNUM_VAULT_KEY_FILE", Path(file).read_bytes())
        except OSError as no:
            raise SettingsWrong(f"PASSNUM_VAULT_KEY_FILE: {no.strerror}") from None
    if written := environment.get("PASSNUM_VAULT_KEY"):
        return _read_vault_keys("PASSNUM_VAULT_KEY", written.encode())
    # As for the secret above: only the demonstration keeps it there.
    beside = None if data_dir is None else data_dir / "demo.vault"
    if beside is None or not beside.exists():
        return ()
    return _read_vault_keys(beside.name, beside.read_bytes())


def _read_vault_keys(name: str, written: bytes) -> tuple[bytes, ...]:
    """Read the keys; what was written is never repeated."""
    try:
        return tuple(read_keys(written.decode("ascii")))
    except ValueError as no:
        why = "not text" if isinstance(no, UnicodeDecodeError) else str(no)
        raise SettingsWrong(f"{name}: {why}") from None


def _mailing(environment: Mapping[str, str]) -> Mailing | None:
    """Read how e-mails leave; an address that holds a password is never repeated."""
    url, named = environment.get("PASSNUM_SMTP_URL", ""), "PASSNUM_SMTP_URL"
    if file := environment.get("PASSNUM_SMTP_URL_FILE"):
        named = "PASSNUM_SMTP_URL_FILE"
        try:
            url = Path(file).read_text(encoding="utf-8")
        except OSError as no:
            raise SettingsWrong(f"{named}: {no.strerror}") from None
    if not url:
        return None
    try:
        server = read_address(url.strip())
    except ValueError as no:
        raise SettingsWrong(f"{named}: {no}") from None
    try:
        return Mailing(server, read_sender(environment.get("PASSNUM_MAIL_FROM", "")))
    except ValueError as no:
        raise SettingsWrong(f"PASSNUM_MAIL_FROM: {no}") from None


PHONE = re.compile(r"\+?[0-9][0-9 .()-]{1,28}[0-9]")


def _phones(environment: Mapping[str, str]) -> dict[str, str]:
    phones = {}
    for name, value in environment.items():
        of, _underscore, code = name.removeprefix("PASSNUM_").partition("_")
        if not name.startswith("PASSNUM_PHONE") or of != "PHONE" or not value.strip():
            continue
        if not PHONE.fullmatch(value.strip()):
            raise SettingsWrong(f"{name}: not a telephone number")
        phones[code] = value.strip()
    return phones


def _oidc(environment: Mapping[str, str]) -> OidcSettings | None:
    """Read who lets people in besides us; the secret is never repeated."""
    issuer = environment.get("PASSNUM_OIDC_ISSUER")
    if not issuer:
        return None
    where = urlsplit(issuer)
    if where.scheme != "https" and where.hostname not in {"localhost", "127.0.0.1"}:
        raise SettingsWrong(f"PASSNUM_OIDC_ISSUER: {where.scheme or issuer}, https?")
    secret = environment.get("PASSNUM_OIDC_CLIENT_SECRET", "")
    if file := environment.get("PASSNUM_OIDC_CLIENT_SECRET_FILE"):
        try:
            secret = Path(file).read_text(encoding="utf-8").strip()
        except OSError as no:
            raise SettingsWrong(f"PASSNUM_OIDC_CLIENT_SECRET_FILE: {no.strerror}") from None
    client_id = environment.get("PASSNUM_OIDC_CLIENT_ID", "")
    for name, value in (("CLIENT_ID", client_id), ("CLIENT_SECRET", secret)):
        if not value:
            raise SettingsWrong(f"PASSNUM_OIDC_{name}: ?")
    strong = environment.get("PASSNUM_OIDC_STRONG_ACR")
    return OidcSettings(
        issuer,
        client_id,
        secret,
        scope=environment.get("PASSNUM_OIDC_SCOPE") or OidcSettings.scope,
        strong_acr=frozenset(STRONG_ACR if strong is None else strong.split()),
    )
