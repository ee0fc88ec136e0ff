"""The express lane: scans answered before the web framework, which would cost more than judging them.

Only what is plain is answered here: a token seen less than two seconds ago, a body that can be
read.  Anything else goes on to the application, untouched, and is told there.
"""

from typing import Any

import msgspec
from litestar import Litestar

from app.devices import Bearer, bearer_token
from app.mediators import judged
from app.serving import Serving
from redemption.counter import Scan

PATH = "/api/v1/scans"
LARGE = 1_000_000
_decoder = msgspec.json.Decoder(list[Scan])


class Express:
    """The application behind its express lane."""

    def __init__(self, app: Litestar) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:  # noqa: ANN401 - ASGI
        """Answer a plain queue of scans, or hand over."""
        if scope["type"] != "http" or scope["path"] != PATH or scope["method"] != "POST":
            await self._app(scope, receive, send)
            return
        messages = await _read(receive)
        answer = await self._answer(self._app.state.serving, scope, messages)
        if answer is None:
            await self._app(scope, _again(messages, receive), send)
            return
        body, signed = answer
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
            *((name.encode(), value.encode()) for name, value in signed.items()),
        ]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body, "more_body": False})

    async def _answer(
        self,
        serving: Serving,
        scope: Any,  # noqa: ANN401 - ASGI
        messages: list[Any],
    ) -> tuple[bytes, dict[str, str]] | None:
        headers = dict(scope["headers"])
        bearer = _recalled(serving, headers)
        if bearer is None or messages[-1].get("more_body", True):
            return None
        body = b"".join([message["body"] for message in messages])
        try:
            scans = _decoder.decode(body)
            language = headers.get(b"accept-language", b"").decode("latin-1")
            told = await judged(serving, bearer, scans, language)
            return told, await serving.signature(bearer.departement, told)
        except Exception:  # noqa: BLE001 - the application meets it too, and tells it
            return None  # a scan counts once: what was judged gets the same verdict there


def _recalled(serving: Serving, headers: dict[bytes, bytes]) -> Bearer | None:
    token = bearer_token(headers.get(b"authorization", b"").decode("latin-1"))
    return serving.bearers.recall(token) if token else None


async def _read(receive: Any) -> list[Any]:  # noqa: ANN401 - ASGI
    """Return the messages of a request's body, up to a size; the last says whether more follow."""
    messages, size = [], 0
    while True:
        message = await receive()
        messages.append(message)
        size += len(message.get("body", b""))
        if size > LARGE or not message.get("more_body", False):
            return messages


def _again(messages: list[Any], receive: Any) -> Any:  # noqa: ANN401 - ASGI
    """Return a channel that gives these messages again, then the rest."""
    waiting = list(reversed(messages))

    async def again() -> Any:  # noqa: ANN401 - ASGI
        return waiting.pop() if waiting else await receive()

    return again
