"""What the engines themselves do on this machine: PostgreSQL as pgbench measures it, SQLite in a bare loop.

A rate of ours means something only beside that of a known program on the same server, so
these functions run pgbench's own scripts: ``tpcb`` (three updates, one select, one insert)
and ``simple-update`` (one update, one select, one insert).  For SQLite there is no such
program; durable commits of one row, one after the other, are all that one file can do.
"""

import argparse
import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, get_args

Mode = Literal["tpcb", "simple-update"]
Protocol = Literal["simple", "extended", "prepared"]

_BUILTIN: dict[Mode, str] = {"tpcb": "tpcb-like", "simple-update": "simple-update"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """Where the server listens: ``host`` is a name or a socket's directory, as in libpq."""

    host: str
    port: int
    user: str
    database: str = "pgbench"


@dataclass(frozen=True, slots=True, kw_only=True)
class PgbenchResult:
    """What a run of pgbench found, and how it was run."""

    tps: float
    latency_ms: float
    mode: Mode
    protocol: Protocol
    clients: int
    threads: int
    seconds: int
    scale: int
    transactions: int
    failed: int
    version: str


def find_pgbench() -> Path | None:
    """Find pgbench on the path, else beside the newest server of a Debian system."""
    found = shutil.which("pgbench")
    if found:
        return Path(found)
    installed = [
        path
        for path in Path("/usr/lib/postgresql").glob("*/bin/pgbench")
        if os.access(path, os.X_OK)
    ]
    return max(installed, key=_version_of, default=None)


def prepare(server: Server, *, scale: int = 32) -> None:
    """Create the database if it is absent, and fill pgbench's tables anew.

    Every transaction of ``tpcb`` updates one of ``scale`` rows: with fewer rows than
    clients, the clients would only wait for one another.
    """
    known = _call("psql", server, "-XAtc", "SELECT datname FROM pg_database", "postgres")
    if server.database not in known.splitlines():
        _call("createdb", server, server.database)
    _call("pgbench", server, "--initialize", "--quiet", f"--scale={scale}", server.database)


def run(
    server: Server,
    mode: Mode,
    clients: int,
    seconds: int,
    *,
    protocol: Protocol = "simple",
) -> PgbenchResult:
    """Run pgbench for that long, on a database prepared before."""
    threads = min(clients, os.cpu_count() or 1)
    output = _call(
        "pgbench",
        server,
        f"--builtin={_BUILTIN[mode]}",
        f"--client={clients}",
        f"--jobs={threads}",
        f"--time={seconds}",
        f"--protocol={protocol}",
        server.database,
    )
    return PgbenchResult(
        tps=float(_find(r"^tps = ([\d.]+) \((?:without|excluding)", output)),
        latency_ms=float(_find(r"^latency average = ([\d.]+) ms", output)),
        mode=mode,
        protocol=protocol,
        clients=clients,
        threads=threads,
        seconds=seconds,
        scale=int(_find(r"^scaling factor: (\d+)", output)),
        transactions=int(
            _find(r"^number of transactions actually processed: (\d+)", output)
        ),
        failed=int(_find(r"^number of failed transactions: (\d+)", output, default="0")),
        version=_find(r"^pgbench \(.*?([\d.]+)", output, default="unknown"),
    )


def one_row_commits(file: Path, seconds: float) -> float:
    """Return the commits a second of one inserted row each, in a new file as durable as ours."""
    raw = sqlite3.connect(file, isolation_level=None)
    try:
        raw.execute("PRAGMA journal_mode=WAL").close()
        raw.execute("PRAGMA synchronous=FULL")
        raw.execute("CREATE TABLE one (id INTEGER PRIMARY KEY, body BLOB) STRICT")
        commits, started = 0, time.perf_counter()
        while time.perf_counter() - started < seconds:
            raw.execute("INSERT INTO one (body) VALUES (?)", (bytes(100),))
            commits += 1
        return commits / (time.perf_counter() - started)
    finally:
        raw.close()


def _version_of(path: Path) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", path.parent.parent.name))


def _call(program: str, server: Server, *arguments: str) -> str:
    pgbench = find_pgbench()
    if pgbench is None:
        raise FileNotFoundError("pgbench is neither on the path nor in /usr/lib/postgresql")
    where = [f"--host={server.host}", f"--port={server.port}", f"--username={server.user}"]
    done = subprocess.run(
        [str(pgbench.with_name(program)), *where, *arguments],
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, "LC_ALL": "C"},
    )
    if done.returncode != 0:
        raise RuntimeError(f"{program} failed ({done.returncode}): {done.stderr.strip()}")
    return done.stdout


def _find(pattern: str, output: str, default: str | None = None) -> str:
    found = re.search(pattern, output, re.MULTILINE)
    if found:
        return found[1]
    if default is None:
        raise ValueError(f"pgbench printed no {pattern!r}:\n{output}")
    return default


def main() -> int:
    """Prepare the server the command line names, and print one JSON object per run."""
    parser = argparse.ArgumentParser(prog="bench.yardstick", description=__doc__)
    add = parser.add_argument
    add("--host", required=True, help="a name, or a Unix socket's directory")
    add("--port", type=int, default=5432)
    add("--user", default="postgres")
    add("--database", default="pgbench")
    add("--scale", type=int, default=32)
    add("--clients", type=int, nargs="+", default=[1, 8, 32])
    add("--seconds", type=int, default=10)
    add("--mode", nargs="+", choices=get_args(Mode), default=list(get_args(Mode)))
    add("--protocol", choices=get_args(Protocol), default="simple")
    options = parser.parse_args()
    server = Server(
        host=options.host, port=options.port, user=options.user, database=options.database
    )
    prepare(server, scale=options.scale)
    for mode in options.mode:
        for clients in options.clients:
            result = run(server, mode, clients, options.seconds, protocol=options.protocol)
            print(json.dumps(asdict(result)), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
