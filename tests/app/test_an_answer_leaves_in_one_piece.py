"""Head and body leave together, whatever the web server writes; what is large is not heaped up."""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import pytest
import uvloop

from app.listening import CannotListen, PortTaken, listen, serve
from app.one_piece import LARGE, OnePieceTransport

REQUEST = b"GET / HTTP/1.1\r\nHost: here\r\n\r\n"
# Where the kernel's `struct tcp_info` counts the packets with content that came in.
PACKETS_IN = slice(152, 156)

Send = Callable[[dict[str, Any]], Awaitable[None]]
Speak = Callable[[Send], Awaitable[None]]
Hear = Callable[[socket.socket], Coroutine[Any, Any, None]]


class Written(asyncio.Transport):
    """A transport that keeps what it is told."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[bytes | str] = []
        self.closing = False

    def write(self, data: Any) -> None:
        self.told.append(bytes(data))

    def is_closing(self) -> bool:
        return self.closing

    def close(self) -> None:
        self.told.append("closed")

    def abort(self) -> None:
        self.told.append("aborted")


@pytest.fixture
def conversation() -> Callable[[Speak, Hear], None]:
    """Serve an application that answers everything so, and have a client hear it."""

    def converse(speak: Speak, hear: Hear) -> None:
        async def app(scope: Any, receive: Any, send: Send) -> None:
            if scope["type"] == "http":
                await speak(send)
                return
            for _begun_and_ended in range(2):
                await send({"type": f"{(await receive())['type']}.complete"})

        async def through() -> None:
            listening = listen("127.0.0.1", 0)
            port = listening.getsockname()[1]
            serving = asyncio.create_task(serve(app, listening))
            try:
                with socket.create_connection(("127.0.0.1", port)) as client:
                    client.setblocking(False)
                    await asyncio.wait_for(hear(client), 20)
            finally:
                os.kill(os.getpid(), signal.SIGTERM)
                await asyncio.wait_for(serving, 20)

        uvloop.run(through())

    return converse


async def started(send: Send, *, length: int) -> None:
    headers = [(b"content-length", str(length).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})


def test_a_verdict_is_one_packet(conversation):
    async def speak(send: Send) -> None:
        await started(send, length=8)
        await send({"type": "http.response.body", "body": b"accepted"})

    async def hear(client: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        for answers in (1, 2, 3):
            await loop.sock_sendall(client, REQUEST)
            heard = b""
            while not heard.endswith(b"accepted"):
                heard += await loop.sock_recv(client, 65_536)
            told = client.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 192)
            assert int.from_bytes(told[PACKETS_IN], sys.byteorder) == answers

    conversation(speak, hear)


def test_a_client_that_reads_slowly_is_waited_for_and_gets_everything(conversation):
    chunk, chunks = b"x" * 50_000, 2_000
    sent = 0

    async def speak(send: Send) -> None:
        nonlocal sent
        await started(send, length=len(chunk) * chunks)
        for left in reversed(range(chunks)):
            await send(
                {"type": "http.response.body", "body": chunk, "more_body": bool(left)}
            )
            sent += 1

    async def hear(client: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(client, REQUEST)
        await asyncio.sleep(0.5)
        assert 0 < sent < chunks / 2  # the rest is not held in memory
        heard, wanted = 0, len(chunk) * chunks
        while heard < wanted:
            heard += (await loop.sock_recv(client, 1_000_000)).count(b"x")
        assert heard == wanted

    conversation(speak, hear)


def test_a_client_that_says_it_has_said_all_is_answered(conversation):
    async def speak(send: Send) -> None:
        await started(send, length=8)
        await send({"type": "http.response.body", "body": b"accepted"})

    async def hear(client: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        for _client in range(50):
            with socket.create_connection(client.getpeername()) as another:
                another.setblocking(False)
                another.send(REQUEST)
                another.shutdown(socket.SHUT_WR)
                heard = b""
                while more := await loop.sock_recv(another, 65_536):
                    heard += more
            assert heard.endswith(b"accepted")

    conversation(speak, hear)


def test_to_a_client_that_is_gone_nothing_is_sent():
    async def story() -> list[bytes | str]:
        beneath = Written()
        transport = OnePieceTransport(beneath, asyncio.get_running_loop())
        transport.write(b"head")
        beneath.closing = True
        await asyncio.sleep(0)
        return beneath.told

    assert uvloop.run(story()) == []


def test_what_was_written_is_sent_before_it_closes():
    async def story() -> list[bytes | str]:
        beneath = Written()
        transport = OnePieceTransport(beneath, asyncio.get_running_loop())
        transport.write(b"head ")
        transport.write(bytearray(b"body"))
        transport.close()
        await asyncio.sleep(0)
        return beneath.told

    assert uvloop.run(story()) == [b"head body", "closed"]


def test_what_is_aborted_is_not_sent():
    async def story() -> list[bytes | str]:
        beneath = Written()
        transport = OnePieceTransport(beneath, asyncio.get_running_loop())
        transport.write(b"head")
        transport.abort()
        await asyncio.sleep(0)
        return beneath.told

    assert uvloop.run(story()) == ["aborted"]


def test_what_is_large_does_not_wait_and_nothing_is_sent_twice():
    async def story() -> list[bytes | str]:
        beneath = Written()
        transport = OnePieceTransport(beneath, asyncio.get_running_loop())
        transport.write(b"head ")
        transport.write(b"x" * LARGE)
        assert beneath.told == [b"head " + b"x" * LARGE]
        transport.write(b"next")
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        return beneath.told

    assert uvloop.run(story())[1:] == [b"next"]


def test_a_port_that_is_taken_and_an_address_of_nobody_are_two_things():
    with listen("127.0.0.1", 0) as first, pytest.raises(PortTaken):
        listen("127.0.0.1", first.getsockname()[1])
    for nobodys in ("203.0.113.1", "nobody.invalid"):
        with pytest.raises(CannotListen) as no:
            listen(nobodys, 8123)
        assert (no.value.address, no.value.port) == (nobodys, 8123)
        assert no.value.why
