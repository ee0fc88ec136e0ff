"""Answers that leave in one piece.

The web server writes the head of an answer, then its body, and the loop sends each at once: two
calls of the system, two packets, and a client woken twice, for an answer as short as a verdict.
"""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

LARGE = 65_536


class OnePieceProtocol(HttpToolsProtocol):
    """The web server's own, on a transport that sends once a turn of the loop."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin on a connection."""
        self._in_one_piece = OnePieceTransport(transport, self.loop)
        super().connection_made(self._in_one_piece)

    def eof_received(self) -> None:
        """Answer who has said all and still listens with what is written, before the loop closes."""
        self._in_one_piece.send()
        super().eof_received()


class OnePieceTransport(asyncio.Transport):
    """Sends what was written in one turn of the loop together; what is large, at once.

    So whoever streams much is still told to wait by the transport beneath.
    """

    def __init__(self, beneath: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self._beneath, self._loop = beneath, loop
        self._written: list[bytes] = []
        self._size = 0

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send this, at the latest with the loop's next turn."""
        if not self._written:
            self._loop.call_soon(self.send)
        self._written.append(bytes(data))
        self._size += len(data)
        if self._size > LARGE:
            self.send()

    def send(self) -> None:
        """Send now what was written; to who is gone already, nothing."""
        whole = b"".join(self._written)
        self._written.clear()
        self._size = 0
        if whole and not self._beneath.is_closing():
            self._beneath.write(whole)

    def close(self) -> None:
        """Close once everything is sent."""
        self.send()
        self._beneath.close()

    def abort(self) -> None:
        """Close at once."""
        self._written.clear()
        self._beneath.abort()

    def is_closing(self) -> bool:
        """Tell whether it closes, or is closed."""
        return self._beneath.is_closing()

    def get_extra_info(self, name: str, default: Any = None) -> Any:  # noqa: ANN401
        """Return what is known of the connection beneath."""
        return self._beneath.get_extra_info(name, default)

    def pause_reading(self) -> None:
        """Hear no more until `resume_reading`."""
        self._beneath.pause_reading()

    def resume_reading(self) -> None:
        """Hear again."""
        self._beneath.resume_reading()
