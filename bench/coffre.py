"""A coffre of a large log: seconds and memory to write it and to verify it, beside one SHA-256 of its bytes.

    python -m bench.coffre [--entries 1000000] [--engine postgresql|sqlite]

The verifier runs as an auditor runs it: an interpreter alone, in a process of its own.
"""

import argparse
import hashlib
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

from app.coffre import export as exporting
from app.coffre import verify
from app.coffre.proofs import newest_seal
from app.database import Database, FilesPlace, bootstrap_sql
from bench.world import SECRET, build, drain, redeem_all
from ledger.log_keys import log_signers
from ledger.publishing import publish
from tests.conftest import CREUSE, moment, postgres_place
from tests.postgres import Server, cluster

# Runs a command, then tells its seconds and its peak memory, in KiB.
MEASURED = """
import resource, subprocess, sys, time
started = time.perf_counter()
code = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL).returncode
print(code, time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


def bench_coffre(database: Database) -> None:
    """Publish the log as it stands, export it, verify it, and print what it took."""
    today = moment(time.strftime("%Y-%m-%d"), 0)
    with database.begin("23", "sequencer") as session:
        publish(session, log_signers(session, SECRET), shown=None, at=today.at)
    with tempfile.TemporaryDirectory(prefix="passnum-coffre-") as folder:
        target = Path(folder) / "coffre.zip"
        wrote, written_mib, size = _write(database, target)
        bytes_, hashed = _hash(target)
        code, seconds, peak = _verify(target)
    assert code == 0, code
    print(f"  coffre of {size} entries, {bytes_ / 2**20:.0f} MiB of journal")
    print(f"    one SHA-256 of it   {hashed:>8.2f} s")
    print(
        f"    written             {wrote:>8.2f} s  {wrote / hashed:6.1f} ×  {written_mib:.0f} MiB at most"
    )
    print(
        f"    verified            {seconds:>8.2f} s  {seconds / hashed:6.1f} ×  {peak:.0f} MiB at most"
    )


def _write(database: Database, target: Path) -> tuple[float, float, int]:
    """Export; return seconds, MiB at most of the whole process meanwhile, and the log's size."""
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    started = time.perf_counter()
    with database.begin("23", read_only=True) as session:
        seal = newest_seal(session)
        exporting.export(session, CREUSE, target, seal=seal)
    spent = time.perf_counter() - started
    with Path("/proc/self/status").open(encoding="ascii") as status:
        peak = next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
    return spent, peak / 1024, seal.published.size


def _hash(target: Path) -> tuple[int, float]:
    digest, length, spent = hashlib.sha256(), 0, 0.0
    with zipfile.ZipFile(target).open("journal.jsonl") as journal:
        while chunk := journal.read(1 << 20):
            started = time.perf_counter()
            digest.update(chunk)
            spent += time.perf_counter() - started
            length += len(chunk)
    return length, spent


def _verify(target: Path) -> tuple[int, float, float]:
    command = [sys.executable, "-I", "-S", verify.__file__, str(target)]
    told = subprocess.run(
        [sys.executable, "-c", MEASURED, *command], check=True, stdout=subprocess.PIPE
    )
    code, seconds, kib = told.stdout.split()
    return int(code), float(seconds), int(kib) / 1024


def main() -> None:
    """Build a log of this many uses, and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--entries", type=int, default=1_000_000)
    parser.add_argument("--engine", choices=["postgresql", "sqlite"], default="postgresql")
    chosen = parser.parse_args()
    if chosen.engine == "sqlite":
        with tempfile.TemporaryDirectory(prefix="passnum-bench-") as folder:
            _run(Database(FilesPlace(Path(folder))), chosen.entries)
        return
    with cluster() as template:
        server = Server(template)
        server.run("CREATE DATABASE bench")
        server.run(*bootstrap_sql("23"), database="bench")
        _run(Database(postgres_place(server, "bench")), chosen.entries)


def _run(database: Database, entries: int) -> None:
    database.add_departement(CREUSE)
    ready = build(database, entries)
    redeem_all(ready, ready.take(entries), ready.world.ring)
    drain(database)
    bench_coffre(database)
    database.close()


if __name__ == "__main__":
    main()
