"""The benchmark suite: one command, every figure as a ratio to a yardstick of the same run.

    python -m bench [--seconds 8] [--entries 1000000] [--engine postgresql|sqlite|both]

Machines are shared and noisy: the ratio to pgbench on the same server, or to bare commits on
the same disk, minutes apart, is what can be compared.  Nothing is simulated: real tokens, the real server over HTTP, fsync on, the
sequencer live beside it.
"""

import argparse
import json
import logging
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import func, select

from app.database import Database, FilesPlace, bootstrap_sql
from bench import yardstick
from bench.coffre import bench_coffre
from bench.making import bench_making
from bench.pages import time_pages
from bench.printing import time_printing
from bench.proofs import time_proofs
from bench.world import SECRET, Ready, build, drain, redeem_all, write_bodies
from ledger import queries
from ledger.models import entry
from redemption.reconciliation import reconcile
from tests.conftest import CREUSE, moment, postgres_place
from tests.postgres import Server, cluster

LEAVES = 10_000_000
CLIENTS = (1, 8, 32)
QUEUE = 100
BIN = Path(sys.executable).parent
# Bodies to prepare for each run: enough for a server twice as fast as ours.
GENEROUS = {1: {1: 1_500, 8: 5_000, 32: 9_000}, QUEUE: {1: 80, 8: 200, 32: 300}}


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running(environment: dict[str, str], *commands: list[str], port: int) -> Iterator[None]:
    """Run passnum processes until the end of the block."""
    processes = [
        subprocess.Popen(
            [str(BIN / "passnum"), *command],
            env={**os.environ, **environment},
            stdout=subprocess.DEVNULL,
        )
        for command in commands
    ]
    try:
        for _attempt in range(200):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        yield
    finally:
        for process in processes:
            process.send_signal(signal.SIGTERM)
        for process in processes:
            process.wait(timeout=30)


def drive(
    ready: Ready, port: int, clients: int, scans: int, seconds: float
) -> dict[str, Any]:
    """Send scans over HTTP from a process of its own; return what it measured."""
    with tempfile.TemporaryDirectory() as folder:
        bodies = Path(folder) / "bodies.jsonl"
        requests = int(GENEROUS[scans][clients] * seconds)
        write_bodies(ready, bodies, requests, scans)
        told = subprocess.run(
            [
                sys.executable, "-m", "bench.driver", "--host", "127.0.0.1", "--port", str(port),
                "--path", "/api/v1/scans", "--clients", str(clients), "--seconds", str(seconds),
                "--bodies", str(bodies), "--scans-per-request", str(scans),
                "--warmup-requests", str(clients * 2),
                "--header", f"Authorization: Bearer {ready.bearer}",
                "--header", "Content-Type: application/json",
            ],
            check=True, stdout=subprocess.PIPE,
        )  # fmt: skip
    return dict(json.loads(told.stdout))


def ceiling(clients: int) -> float:
    """Return the requests a second that the driver itself reaches, against an echo."""
    command = [sys.executable, "-m", "bench.driver", "--ceiling", "--clients", str(clients)]
    told = subprocess.run([*command, "--seconds", "2"], check=True, stdout=subprocess.PIPE)
    return float(json.loads(told.stdout)["requests_per_second"])


def bench_postgresql(seconds: float, entries: int) -> None:
    """Measure pgbench, then the counter over HTTP, on one durable server."""
    with cluster(durable=True) as template:
        server = Server(template)
        host = template.rpartition("host=")[2]
        measured = yardstick.Server(host=host, port=5432, user="postgres")
        yardstick.prepare(measured, scale=32)
        tps: dict[tuple[str, int], float] = {}
        print(f"pgbench on the same server, fsync on, {seconds:.0f} s each")
        for mode in ("tpcb", "simple-update"):
            for clients in CLIENTS:
                result = yardstick.run(measured, mode, clients, int(seconds))
                tps[mode, clients] = result.tps
                print(f"  {mode:<14} {clients:>2} clients {result.tps:>9.0f} tps")
        server.run("CREATE DATABASE bench")
        server.run(*bootstrap_sql("23"), database="bench")
        database = Database(postgres_place(server, "bench"))
        database.add_departement(CREUSE)
        print("\nPostgreSQL")
        ready = build(database, _passes(seconds))
        port = free_port()
        environment = {
            "PASSNUM_DATABASE_URL": server.url("bench", "passnum_app"),
            "PASSNUM_SEQUENCER_URL": server.url("bench", "passnum_sequencer"),
            "PASSNUM_KEY_PASSPHRASE": SECRET.decode(),
        }
        serve = ["serve", "--port", str(port), "--no-sequencer", "--no-jobs"]
        with running(environment, serve, ["sequencer"], port=port):
            rates = _measure(
                ready,
                port,
                seconds,
                lambda clients: {
                    "simple-update": tps["simple-update", clients],
                    "TPC-B": tps["tpcb", clients],
                },
            )
        database.close()
        print("  an order as large as the log below")
        server.run("CREATE DATABASE orders")
        server.run(*bootstrap_sql("23"), database="orders")
        orders = Database(postgres_place(server, "orders"))
        orders.add_departement(CREUSE)
        bench_making(orders, entries)
        orders.close()
        server.run("CREATE DATABASE million")
        server.run(*bootstrap_sql("23"), database="million")
        million = Database(postgres_place(server, "million"))
        million.add_departement(CREUSE)
        bench_million(million, entries, rates)
        million.close()


def bench_sqlite(seconds: float, entries: int) -> None:
    """Measure bare commits of one row, then the counter over HTTP on files, durable."""
    print("\nSQLite, synchronous=FULL")
    with tempfile.TemporaryDirectory(prefix="passnum-bench-") as folder:
        commits = yardstick.one_row_commits(Path(folder) / "bare.db", seconds)
    print(f"  one-row commits of sqlite3 alone {commits:>9.0f} a second")
    with tempfile.TemporaryDirectory(prefix="passnum-bench-") as folder:
        database = Database(FilesPlace(Path(folder)))
        database.add_departement(CREUSE)
        ready = build(database, _passes(seconds))
        port = free_port()
        environment = {
            "PASSNUM_KEY_PASSPHRASE": SECRET.decode(),
            "PASSNUM_DATA_DIR": folder,
        }
        with running(environment, ["serve", "--port", str(port), "--no-jobs"], port=port):
            rates = _measure(ready, port, seconds, lambda _c: {"one-row commits": commits})
        database.close()
    with tempfile.TemporaryDirectory(prefix="passnum-bench-") as folder:
        million = Database(FilesPlace(Path(folder)))
        million.add_departement(CREUSE)
        bench_million(million, entries, rates)
        million.close()


def _passes(seconds: float) -> int:
    total = sum(
        int(requests * seconds + 64) * scans
        for scans, by_clients in GENEROUS.items()
        for requests in by_clients.values()
    )
    return (total // 5 + 1) * 5


def _measure(
    ready: Ready, port: int, seconds: float, yardsticks: Callable[[int], dict[str, float]]
) -> dict[int, float]:
    """Print rates beside those of the yardsticks at as many clients; return the best, by scans a request."""
    accepted, best = 0, dict.fromkeys((1, QUEUE), 0.0)
    for scans in (1, QUEUE):
        kind = "single scans" if scans == 1 else f"queues of {scans}"
        for clients in CLIENTS:
            result = drive(ready, port, clients, scans, seconds)
            accepted += result["accepted"]
            best[scans] = max(best[scans], result["scans_per_second"])
            ratio = "".join(
                f"  {result['scans_per_second'] / rate:5.2f} × {name}"
                for name, rate in yardsticks(clients).items()
            )
            odd = (
                ""
                if not result["not_accepted"] and not result["errors"]
                else f"  ! {result}"
            )
            used_up = "  (bodies used up)" if result["exhausted"] else ""
            print(
                f"  {kind:<14} {clients:>2} clients {result['scans_per_second']:>9.0f} scans/s"
                f"  p50 {result['p50_ms']:>6.1f} ms  p99 {result['p99_ms']:>6.1f} ms{ratio}{odd}{used_up}"
            )
    with ready.database.begin("23", read_only=True) as session:
        waiting = queries.waiting(session)
    started = time.perf_counter()
    while waiting:
        time.sleep(0.1)
        with ready.database.begin("23", read_only=True) as session:
            left = queries.waiting(session)
        if not left:
            break
    lag = time.perf_counter() - started
    print(
        f"  the log was {waiting} entries behind at the end, and caught up in {lag:.1f} s"
    )
    return best


def bench_million(database: Database, entries: int, rates: dict[int, float]) -> None:
    """Measure balances and reconciliation of one tranche with this many entries."""
    ready = build(database, entries)
    started = time.perf_counter()
    redeem_all(ready, ready.take(entries), ready.world.ring)
    print(
        f"  {entries / (time.perf_counter() - started):.0f} redemptions/s without HTTP, by 1,000"
    )
    sequenced = drain(database)
    print(
        f"  {sequenced:.0f} entries/s sequenced, {sequenced / rates[1]:.1f} × single scans,"
        f" {sequenced / rates[QUEUE]:.1f} × scans in queues"
    )
    if not isinstance(database.place, FilesPlace):
        # As the driver runs it: no transaction is begun around it.
        raw = database.place.engine("owner").raw_connection()
        cursor = raw.cursor()
        for statement in ("SET ROLE d23_owner", "SET search_path = d23", "VACUUM ANALYZE"):
            cursor.execute(statement)
        cursor.execute("RESET ALL")
        raw.close()
    now = moment(datetime.now(UTC).date())

    def timed(work: Callable[[Any], object], repeat: int) -> float:
        times = []
        for _turn in range(repeat):
            with database.begin("23", read_only=True) as session:
                started = time.perf_counter()
                work(session)
                times.append(time.perf_counter() - started)
        return statistics.median(times) * 1000

    counted = timed(lambda s: s.scalars(select(func.count()).select_from(entry)).one(), 3)
    summed = timed(lambda s: s.scalars(select(func.sum(entry.c.amount_cents))).one(), 3)
    balances = timed(lambda s: reconcile(s, now=now, tranche="T1", proof=False), 9)
    derived = timed(lambda s: reconcile(s, now=now, tranche="T1"), 3)
    as_of = timed(lambda s: reconcile(s, now=now, tranche="T1", as_of=now.day), 3)
    with database.begin("23", read_only=True) as session:
        size = queries.log_size(session)
    print(f"  reconciliation of a tranche in a log of {size} entries (median)")
    print(
        f"    from balances           {balances:>8.1f} ms  {balances / summed:6.3f} × one plain SUM over the entries"
    )
    print(
        f"    re-derived and compared {derived:>8.1f} ms  {derived / summed:6.1f} × (count alone {counted:.0f} ms, SUM {summed:.0f} ms)"
    )
    print(f"    as of a day             {as_of:>8.1f} ms  {as_of / summed:6.1f} ×")
    bench_coffre(database)
    print("  pages over the same log, server and client in one process (median)")
    for page, milliseconds in time_pages(database, now.day.isoformat()):
        print(f"    {page:<24}{milliseconds:>8.1f} ms")


def main() -> None:
    """Run the suite and print it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=8)
    parser.add_argument("--entries", type=int, default=1_000_000)
    parser.add_argument(
        "--engine", choices=["postgresql", "sqlite", "both"], default="both"
    )
    chosen = parser.parse_args()
    logging.getLogger("alembic").setLevel(logging.WARNING)
    print(
        f"driver's ceiling against an echo: {', '.join(f'{ceiling(c):.0f} requests/s at {c}' for c in CLIENTS)}\n"
    )
    if chosen.engine in {"postgresql", "both"}:
        bench_postgresql(chosen.seconds, chosen.entries)
    if chosen.engine in {"sqlite", "both"}:
        bench_sqlite(chosen.seconds, chosen.entries)
    print("\nproofs, SQLite")
    time_proofs(LEAVES)
    print("\nprinting")
    time_printing()


if __name__ == "__main__":
    main()
