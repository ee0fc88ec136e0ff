"""A closed-loop HTTP/1.1 load generator, run as a process of its own.

N keep-alive connections each send a request built before the clock starts, wait for the
whole response, then send the next; every body of the file is sent at most once. One JSON
object is printed. With ``--ceiling`` the target is a trivial server in another process:
what the driver reaches there is the most it could ever measure.

Requests are counted when their response is complete. After the deadline nothing more is
sent, what is in flight is awaited, and ``seconds`` runs to the last response; if the
bodies run out before, it ends there.
"""

import argparse
import asyncio
import itertools
import json
import multiprocessing
import re
import socket
import sys
import time
from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from math import ceil, inf
from pathlib import Path
from typing import TypedDict, cast

import uvloop

ACCEPTED = '"verdict":"accepted"'
RECONNECT_PAUSE = 0.05

_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(\d+)[ \t]*\r\n", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding:[^\r\n]*chunked[ \t]*\r\n", re.IGNORECASE)
_CLOSE = re.compile(rb"\r\nconnection:[^\r\n]*\bclose\b", re.IGNORECASE)


class Report(TypedDict):
    """What one run prints."""

    clients: int
    scans_per_request: int
    warmup_requests: int
    requests: int
    seconds: float
    requests_per_second: float
    scans_per_second: float
    p50_ms: float | None
    p99_ms: float | None
    max_ms: float | None
    statuses: dict[str, int]
    accepted: int
    not_accepted: int
    errors: int
    exhausted: bool
    cpu_seconds: float


class Response:
    """One response, as its bytes arrive."""

    __slots__ = ("_at", "_buffer", "_end", "_framing", "body", "closing", "status")

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._framing = "head"
        self._at = 0
        self._end = 0
        self.status = 0
        self.closing = False
        self.body: bytes | bytearray = b""

    def feed(self, data: bytes) -> bool:
        """Take what arrived; true once the response is whole."""
        self._buffer += data
        while self._framing == "head":
            if not self._head():
                return False
        if self._framing == "length":
            if len(self._buffer) < self._end:
                return False
            self.body = self._buffer[self._at : self._end]
        elif self._framing == "chunked":
            if not self._chunks():
                return False
        else:
            return False
        if len(self._buffer) > self._end:
            raise ValueError("bytes after the end of the response")
        return True

    def end(self) -> bool:
        """Hear that the peer closed; true if that is how this response ends."""
        if self._framing != "close":
            return False
        self.body = self._buffer[self._at :]
        return True

    def _head(self) -> bool:
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return False
        self._at = end + 4
        head = bytes(self._buffer[: self._at])
        if not head.startswith(b"HTTP/1."):
            raise ValueError("not an HTTP/1 response")
        self.status = int(head[9:12])
        if self.status < 200:
            del self._buffer[: self._at]
            return True
        self.closing = _CLOSE.search(head) is not None
        length = _LENGTH.search(head)
        if self.status in {204, 304}:
            self._framing, self._end = "length", self._at
        elif _CHUNKED.search(head):
            self._framing, self.body = "chunked", bytearray()
        elif length:
            self._framing, self._end = "length", self._at + int(length[1])
        else:
            self._framing, self.closing = "close", True
        return True

    def _chunks(self) -> bool:
        buffer = self._buffer
        while (line := buffer.find(b"\r\n", self._at)) >= 0:
            size = int(buffer[self._at : line].partition(b";")[0], 16)
            if size == 0:
                last = buffer.find(b"\r\n\r\n", line)  # a trailer may stand between
                self._end = last + 4
                return last >= 0
            after = line + 2 + size
            if len(buffer) < after + 2:
                return False
            self.body += buffer[line + 2 : after]
            self._at = after + 2
        return False


class Phase:
    """The requests of a warm-up or of a measure, and what became of them."""

    def __init__(self, requests: Iterator[bytes], *, scans: int, marker: bytes) -> None:
        self._requests = requests
        self._scans = scans
        self._marker = marker
        self._active = 0
        self._finished = asyncio.Event()
        self.deadline = inf
        self.ended = 0.0
        self.latencies = array("d")
        self.statuses: Counter[int] = Counter()
        self.accepted = 0
        self.not_accepted = 0
        self.errors = 0
        self.exhausted = False

    async def drive(self, connections: Sequence["Connection"], *, wait: float) -> None:
        """Run the connections until they stop, or at most that long."""
        self._active = len(connections)
        for connection in connections:
            connection.start(self)
        try:
            await asyncio.wait_for(self._finished.wait(), None if wait == inf else wait)
        except TimeoutError:
            self.ended = time.perf_counter()
        for connection in connections:
            self.errors += connection.stop()

    def take(self, now: float) -> bytes | None:
        """Give the next request, unless time or bodies have run out."""
        if now >= self.deadline:
            return None
        request = next(self._requests, None)
        if request is None:
            self.exhausted = True
        return request

    def answered(self, response: Response, sent: float, now: float) -> None:
        """Note a whole response."""
        self.latencies.append(now - sent)
        self.statuses[response.status] += 1
        found = response.body.count(self._marker)
        self.accepted += found
        self.not_accepted += max(0, self._scans - found)

    def failed(self) -> None:
        """Note a request that got no response: it is not sent again."""
        self.errors += 1

    def left(self) -> None:
        """Hear that one connection has nothing more to send."""
        self._active -= 1
        if not self._active:
            self.ended = time.perf_counter()
            self._finished.set()


class Connection(asyncio.Protocol):
    """A keep-alive connection with at most one request in flight."""

    def __init__(self, host: str, port: int) -> None:
        self._host = host
        self._port = port
        self._transport: asyncio.Transport | None = None
        self._phase: Phase | None = None
        self._response: Response | None = None
        self._sent = 0.0
        self._opening: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Connect."""
        loop = asyncio.get_running_loop()
        await loop.create_connection(lambda: self, self._host, self._port)

    def start(self, phase: Phase) -> None:
        """Send requests of this phase until it has none left."""
        self._phase = phase
        self._next(time.perf_counter())

    def stop(self) -> bool:
        """Leave the phase; true if a request was still in flight, which is given up."""
        self._phase = None
        waiting = self._response is not None
        if waiting:
            self._response = None
            self._drop()
        if self._opening is not None:
            self._opening.cancel()
            self._opening = None
        return waiting

    def close(self) -> None:
        """Stop, and disconnect."""
        self.stop()
        self._drop()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Complete the response in flight, and send the next request."""
        response = self._response
        if response is None:
            self._drop()  # nobody asked: the connection is worth nothing any more
            return
        try:
            whole = response.feed(data)
        except ValueError:
            self._lost()
            return
        if whole:
            self._complete(response)

    def connection_lost(self, exc: Exception | None) -> None:
        """End the response the close completes, or count the request as an error."""
        self._transport = None
        if self._response is None:
            return
        if exc is None and self._response.end():
            self._complete(self._response)
        else:
            self._lost()

    def _complete(self, response: Response) -> None:
        now = time.perf_counter()
        self._response = None
        if self._phase is not None:
            self._phase.answered(response, self._sent, now)
        if response.closing:
            self._drop()
        self._next(now)

    def _lost(self) -> None:
        self._response = None
        if self._phase is not None:
            self._phase.failed()
        self._drop()
        self._next(time.perf_counter())

    def _drop(self) -> None:
        transport, self._transport = self._transport, None
        if transport is not None:
            transport.set_protocol(asyncio.Protocol())  # its last events are not ours
            transport.abort()

    def _next(self, now: float) -> None:
        phase = self._phase
        if phase is None:
            return
        transport = self._transport
        if transport is None or transport.is_closing():
            self._drop()
            self._opening = asyncio.create_task(self._reopen(phase))
            return
        request = phase.take(now)
        if request is None:
            self._phase = None
            phase.left()
            return
        self._response = Response()
        self._sent = time.perf_counter()
        transport.write(request)

    async def _reopen(self, phase: Phase) -> None:
        while time.perf_counter() < phase.deadline:
            with suppress(OSError):
                await self.open()
            if self._transport is not None:
                self._opening = None
                self._next(time.perf_counter())
                return
            await asyncio.sleep(RECONNECT_PAUSE)
        self._opening = self._phase = None
        phase.left()


class Echo(asyncio.Protocol):
    """The least a server can do: one fixed answer to each request."""

    def __init__(self, answer: bytes) -> None:
        self._answer = answer
        self._buffer = bytearray()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Answer once the request is whole."""
        self._buffer += data
        head = self._buffer.find(b"\r\n\r\n")
        if head < 0 or self._transport is None:
            return
        length = _LENGTH.search(self._buffer, 0, head + 2)
        assert length is not None
        if len(self._buffer) >= head + 4 + int(length[1]):
            self._buffer.clear()
            self._transport.write(self._answer)


def echo(listening: socket.socket, body: bytes) -> None:
    """Serve that body as JSON to every request, until killed."""
    head = (
        f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(body)}"
    )
    answer = head.encode() + b"\r\n\r\n" + body

    async def serve() -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: Echo(answer), sock=listening)
        await server.serve_forever()

    uvloop.run(serve())


@contextmanager
def echo_server(body: bytes) -> Iterator[int]:
    """Fork the trivial server, and give its port."""
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as listening:
        port = int(listening.getsockname()[1])
        process = multiprocessing.get_context("fork").Process(
            target=echo, args=(listening, body), daemon=True
        )
        process.start()
    try:
        yield port
    finally:
        process.kill()
        process.join()


def prebuild(
    bodies: Sequence[bytes], *, host: str, port: int, path: str, headers: Sequence[str]
) -> list[bytes]:
    r"""Give the whole bytes of one POST request for each body.

    >>> made = prebuild([b"{}"], host="h", port=80, path="/p", headers=["A: b"])
    >>> made[0].splitlines()[:4]
    [b'POST /p HTTP/1.1', b'Host: h:80', b'Content-Type: application/json', b'A: b']
    >>> made[0].endswith(b"\r\nContent-Length: 2\r\n\r\n{}")
    True
    """
    lines = [f"POST {path} HTTP/1.1"]
    given = {header.partition(":")[0].lower() for header in headers}
    if "host" not in given:
        lines.append(f"Host: {host}:{port}")
    if "content-type" not in given:
        lines.append("Content-Type: application/json")
    head = "\r\n".join([*lines, *headers, "Content-Length: "]).encode("latin-1")
    return [b"%b%d\r\n\r\n%b" % (head, len(body), body) for body in bodies]


def percentile(ordered: Sequence[float], share: float) -> float | None:
    """Give the nearest-rank percentile in milliseconds.

    >>> percentile([0.001, 0.002, 0.003, 0.004], 0.5)
    2.0
    """
    if not ordered:
        return None
    return round(ordered[max(0, ceil(share * len(ordered)) - 1)] * 1000, 3)


async def measure(
    requests: Iterator[bytes],
    *,
    host: str,
    port: int,
    clients: int,
    seconds: float,
    scans: int,
    warmup: int,
    marker: bytes,
    grace: float,
) -> Report:
    """Open the connections, warm up, measure, and report."""
    connections = [Connection(host, port) for _ in range(clients)]
    await asyncio.gather(*(connection.open() for connection in connections))
    if warmup:
        first = Phase(itertools.islice(requests, warmup), scans=scans, marker=marker)
        await first.drive(connections, wait=seconds + grace)
    phase = Phase(requests, scans=scans, marker=marker)
    cpu = time.process_time()
    began = time.perf_counter()
    phase.deadline = began + seconds
    await phase.drive(connections, wait=seconds + grace)
    cpu = time.process_time() - cpu
    for connection in connections:
        connection.close()
    elapsed = max(phase.ended - began, 1e-9)
    ordered = sorted(phase.latencies)
    good = sum(count for status, count in phase.statuses.items() if 200 <= status < 300)
    return Report(
        clients=clients,
        scans_per_request=scans,
        warmup_requests=warmup,
        requests=len(ordered),
        seconds=round(elapsed, 3),
        requests_per_second=round(len(ordered) / elapsed, 1),
        scans_per_second=round(good * scans / elapsed, 1),
        p50_ms=percentile(ordered, 0.50),
        p99_ms=percentile(ordered, 0.99),
        max_ms=percentile(ordered, 1.0),
        statuses={str(status): count for status, count in sorted(phase.statuses.items())},
        accepted=phase.accepted,
        not_accepted=phase.not_accepted,
        errors=phase.errors,
        exhausted=phase.exhausted,
        cpu_seconds=round(cpu, 3),
    )


def read_bodies(path: Path) -> list[bytes]:
    """Give the lines of the file that are not empty."""
    return [line for line in path.read_bytes().split(b"\n") if line.strip()]


def _header(text: str) -> str:
    name, colon, _ = text.partition(":")
    if not (colon and name.strip()) or "\r" in text or "\n" in text:
        raise argparse.ArgumentTypeError(f"not a 'Name: value' header: {text!r}")
    return text


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number


def arguments() -> argparse.ArgumentParser:
    """Describe the command line."""
    parser = argparse.ArgumentParser(prog="bench.driver", description=__doc__)
    add = parser.add_argument
    add("--host", default="127.0.0.1")
    add("--port", type=int, help="required, except with --ceiling")
    add("--path", default="/")
    add("--clients", type=_positive, default=1, help="connections, one request each")
    add("--seconds", type=float, default=10.0, help="nothing is sent after that long")
    add("--bodies", type=Path, help="one JSON body per line, each sent once")
    add("--header", action="append", default=[], type=_header, metavar="'NAME: VALUE'")
    add("--scans-per-request", type=_positive, default=1, metavar="K")
    add(
        "--warmup-requests",
        type=int,
        default=0,
        metavar="M",
        help="sent first, not counted",
    )
    add("--accept-marker", default=ACCEPTED, help="what an accepted scan's answer contains")
    add("--grace", type=float, default=30.0, help="seconds to wait for the last responses")
    add(
        "--ceiling",
        action="store_true",
        help="measure the driver itself; bodies are reused",
    )
    return parser


def main() -> int:
    """Run the load the command line describes, and print the report."""
    parser = arguments()
    options = parser.parse_args()
    scans: int = options.scans_per_request
    marker: str = options.accept_marker

    def load(requests: Iterator[bytes], port: int) -> Report:
        return uvloop.run(
            measure(
                requests,
                host=options.host,
                port=port,
                clients=options.clients,
                seconds=options.seconds,
                scans=scans,
                warmup=options.warmup_requests,
                marker=marker.encode(),
                grace=options.grace,
            )
        )

    def build(bodies: Sequence[bytes], port: int) -> list[bytes]:
        return prebuild(
            bodies, host=options.host, port=port, path=options.path, headers=options.header
        )

    if options.ceiling:
        options.host = "127.0.0.1"
        bodies = read_bodies(options.bodies) if options.bodies else [b'{"scan":"ceiling"}']
        answer = "[" + ",".join(["{" + marker + "}"] * scans) + "]"
        with echo_server(answer.encode()) as port:
            report = load(itertools.cycle(build(bodies, port)), port)
    else:
        if options.port is None or options.bodies is None:
            parser.error("--port and --bodies are required, except with --ceiling")
        try:
            report = load(
                iter(build(read_bodies(options.bodies), options.port)), options.port
            )
        except OSError as error:
            print(f"{options.host}:{options.port}: {error}", file=sys.stderr)
            return 1
    print(json.dumps(report))
    return 0


if __name__ == "__main__":
    sys.exit(main())
