"""One process that serves: web, counter, sequencer, and on SQLite the jobs too.

On SQLite a lock on the folder keeps a second server out; the kernel lets go of it when the
process dies, however it dies.  On PostgreSQL, `passnum sequencer` and `passnum jobs` may run
apart, and several servers may share the database.
"""

import asyncio
import fcntl
import gc
import os
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import uvloop

from app import sequencing
from app.express import Express
from app.instance import Instance
from app.listening import listen
from app.listening import serve as answer
from app.proofs import publisher
from app.web import create_app
from ledger.refusal import Refusal


@dataclass(eq=False)
class AlreadyServing(Refusal):
    """Another process serves this folder."""

    code = "already_serving"

    process: str
    folder: str


def hold(folder: Path) -> int:
    """Lock a folder for the life of this process, or raise `AlreadyServing`."""
    handle = os.open(folder / "serve.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(handle, 64, 0).decode() or "?"
        os.close(handle)
        raise AlreadyServing(holder, str(folder)) from None
    os.ftruncate(handle, 0)
    os.pwrite(handle, str(os.getpid()).encode(), 0)
    return handle


def run(
    instance: Instance,
    *,
    address: str,
    port: int,
    sequencer: bool,
    jobs: Callable[[Instance, threading.Event], None] | None,
    ready: Callable[[], object],
) -> None:
    """Serve until SIGINT or SIGTERM; every scan that was acknowledged is committed.

    `jobs` runs beside, in a thread, until told to stop.
    Raises `NoInstance`, `AlreadyServing`, `PortTaken` or `CannotListen`, and `KeysLocked` when the secret is
    not the one that sealed the keys; calls `ready` once none of them can come any more.
    """
    folder = instance.settings.data_dir
    tenants = instance.database.working_departements()
    lock = hold(folder) if folder is not None else None
    listening = listen(address, port)
    for tenant in tenants:
        instance.keyring(tenant.code)
    # Requests make many small objects that die young: look for cycles less often.
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
    # A thread waits for its database at each statement; it must not then wait 5 ms for another one
    # to let go of the interpreter.
    sys.setswitchinterval(0.0002)
    ready()
    stop = threading.Event()
    helpers = [
        threading.Thread(target=work, args=(instance, stop), name=name)
        for name, work in (
            # On SQLite the counter's own thread steps the sequencer.
            ("sequencer", sequencing.run_until if sequencer and folder is None else None),
            ("publisher", publisher.run_until if sequencer else None),
            ("jobs", jobs),
        )
        if work is not None
    ]

    async def main() -> None:
        for helper in helpers:
            helper.start()
        try:
            await answer(Express(create_app(instance)), listening)
        finally:
            stop.set()
            for helper in helpers:
                await asyncio.to_thread(helper.join)

    uvloop.run(main())
    if lock is not None:
        os.close(lock)
