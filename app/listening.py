"""An application served over HTTP/1.1 until the process is told to stop."""

import asyncio
import errno
import signal
import socket
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import uvicorn
from litestar.types import ASGIApp

from app.one_piece import OnePieceProtocol
from ledger.refusal import Refusal

# Longer than a reverse proxy keeps its own, so that it is never the one who finds it closed.
KEEP_ALIVE_SECONDS = 75
GRACE_SECONDS = 30


@dataclass(eq=False)
class PortTaken(Refusal):
    """Something else listens on this port."""

    code = "port_taken"

    port: int


@dataclass(eq=False)
class CannotListen(Refusal):
    """This machine has no such address, or keeps this port to itself; `why` is its own sentence."""

    code = "cannot_listen"

    address: str
    port: int
    why: str


def listen(address: str, port: int) -> socket.socket:
    """Return a socket that is this process's own from now on, or raise `PortTaken` or `CannotListen`."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        return socket.create_server((address, port), family=family)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise PortTaken(port) from None
        why = (error.strerror or str(error)).partition(" (while")[0]
        raise CannotListen(address, port, why) from None


async def serve(app: ASGIApp, listening: socket.socket) -> None:
    """Answer requests until SIGINT or SIGTERM; what was begun by then is answered first, for half a minute."""
    config = uvicorn.Config(
        app,
        http=OnePieceProtocol,
        ws="none",
        lifespan="on",
        log_config=None,
        log_level="warning",
        access_log=False,
        # Who calls is told by a token or a session, never by an address: no header is believed.
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
    server = _Server(config)
    loop = asyncio.get_running_loop()
    for sign in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(sign, server.stop)
    await server.serve([listening])


class _Server(uvicorn.Server):
    """Stops when told, and leaves signals to the loop: uvicorn would raise them again at the end."""

    def capture_signals(self) -> AbstractContextManager[None]:  # type: ignore[override]
        return nullcontext()

    def stop(self) -> None:
        self.should_exit = True
