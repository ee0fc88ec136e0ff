"""The application as the server speaks to it, with an express lane for scans.

The server's own protocol (RSGI) hands over a request whole and takes an answer whole: each
passage between the server and Python waits for the interpreter while the counter works, and
ASGI makes six where this makes two.  Plain scans are answered here: a token seen less than two
seconds ago, a body that can be read.  Anything else goes on to the web framework, untouched.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Protocol

import msgspec
from litestar import Litestar

from app.devices import bearer_token
from app.gathering import CounterClosedError
from app.mediators import judged
from app.serving import Serving
from ledger.refusal import Refusal
from redemption.counter import Scan

PATH = "/api/v1/scans"
BODY_MAX = 2_000_000
JSON = [("content-type", "application/json")]
_decoder = msgspec.json.Decoder(list[Scan])


class _Headers(Protocol):
    def get(self, name: str, default: str = "") -> str: ...

    def items(self) -> list[tuple[str, str]]: ...


class _Scope(Protocol):
    proto: str
    method: str
    path: str
    query_string: str
    scheme: str
    http_version: str
    headers: _Headers


class Express:
    """The application behind its express lane."""

    def __init__(self, app: Litestar) -> None:
        self._app = app

    async def __rsgi__(self, scope: _Scope, protocol: Any) -> None:  # noqa: ANN401 - RSGI
        """Answer a request: here if it is a plain queue of scans, else by the framework."""
        if scope.proto != "http":
            protocol.close(403)
            return
        body: bytes = await protocol()
        if scope.path == PATH and scope.method == "POST":
            answer = await self._answer(scope.headers, body)
            if answer is not None:
                protocol.response_bytes(200, JSON, answer)
                return
        status, headers, content = await self._ask(scope, body)
        protocol.response_bytes(status, headers, content)

    async def _answer(self, headers: _Headers, body: bytes) -> bytes | None:
        serving: Serving = self._app.state.serving
        token = bearer_token(headers.get("authorization", ""))
        bearer = serving.bearers.recall(token) if token else None
        if bearer is None or not 0 < len(body) < BODY_MAX:
            return None
        try:
            scans = _decoder.decode(body)
            return await judged(serving, bearer, scans, headers.get("accept-language", ""))
        except (msgspec.DecodeError, Refusal, CounterClosedError):
            return None  # nothing was written: the application tells why

    async def _ask(
        self, scope: _Scope, body: bytes
    ) -> tuple[int, list[tuple[str, str]], bytes]:
        """Ask the web framework, in ASGI; return its whole answer."""
        asked: dict[str, Any] = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": scope.http_version,
            "method": scope.method,
            "scheme": scope.scheme,
            "path": scope.path,
            "raw_path": scope.path.encode(),
            "query_string": scope.query_string.encode(),
            "root_path": "",
            "headers": [
                (k.encode(), v.encode("latin-1")) for k, v in scope.headers.items()
            ],
            "client": None,
            "server": None,
            "state": {},
        }
        told: list[Any] = []
        left = [{"type": "http.request", "body": body, "more_body": False}]

        async def receive() -> Any:  # noqa: ANN401 - ASGI
            return left.pop() if left else {"type": "http.disconnect"}

        async def send(message: Any) -> None:  # noqa: ANN401 - ASGI
            told.append(message)

        await self._app(asked, receive, send)  # type: ignore[arg-type]
        start, *rest = told
        headers = [(k.decode("latin-1"), v.decode("latin-1")) for k, v in start["headers"]]
        content = b"".join([message.get("body", b"") for message in rest])
        return start["status"], headers, b"" if scope.method == "HEAD" else content

    @asynccontextmanager
    async def life(self) -> AsyncIterator[None]:
        """Start the application, and stop it after the block: what waits is answered first."""
        async with self._app.lifespan():
            yield
