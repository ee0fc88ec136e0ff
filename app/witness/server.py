"""The witness over HTTP (C2SP tlog-witness): one address, `POST /add-checkpoint`."""

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime

import uvloop
from litestar import Litestar, MediaType, Request, Response, post
from litestar.datastructures import State
from litestar.exceptions import HTTPException
from litestar.status_codes import (
    HTTP_200_OK,
    HTTP_400_BAD_REQUEST,
    HTTP_403_FORBIDDEN,
    HTTP_404_NOT_FOUND,
    HTTP_409_CONFLICT,
    HTTP_422_UNPROCESSABLE_ENTITY,
    HTTP_503_SERVICE_UNAVAILABLE,
)

from app.listening import listen, serve
from app.witness.state import StateWrong, WitnessKey, WitnessState
from ledger.witnessing import (
    BadProof,
    BadRequest,
    BadSignature,
    Conflict,
    UnknownLog,
    read_request,
)

BODY_MAX = 100_000
_STATUSES: dict[type[ValueError], int] = {
    BadRequest: HTTP_400_BAD_REQUEST,
    BadSignature: HTTP_403_FORBIDDEN,
    UnknownLog: HTTP_404_NOT_FOUND,
    BadProof: HTTP_422_UNPROCESSABLE_ENTITY,
}

log = logging.getLogger(__name__)


def create_witness(
    state: WitnessState, key: WitnessKey, clock: Callable[[], datetime]
) -> Litestar:
    """Return the application of a witness."""

    @post("/add-checkpoint", status_code=HTTP_200_OK)
    async def add_checkpoint(request: Request[None, None, State]) -> Response[str]:
        """Look at a checkpoint, and cosign it if the log only grew."""
        body = await request.body()
        return await asyncio.to_thread(_answer, state, key, clock, body)

    def failed(_request: Request[None, None, State], no: HTTPException) -> Response[str]:
        return _text(f"{no.detail}\n", no.status_code)

    return Litestar(
        [add_checkpoint],
        exception_handlers={HTTPException: failed},
        openapi_config=None,
        request_max_body_size=BODY_MAX,
    )


def _answer(
    state: WitnessState, key: WitnessKey, clock: Callable[[], datetime], body: bytes
) -> Response[str]:
    try:
        asked = read_request(body.decode("utf-8"))
        line = state.cosign(asked, key, at=clock())
    except Conflict as no:
        if no.forked:
            log.error("two roots for size %d", no.size)  # noqa: TRY400 - an answer
        return _text(f"{no.size}\n", HTTP_409_CONFLICT, "text/x.tlog.size")
    except UnicodeDecodeError:
        return _text("not text\n", HTTP_400_BAD_REQUEST)
    except tuple(_STATUSES) as no:
        status = _STATUSES[type(no)]
        if status == HTTP_422_UNPROCESSABLE_ENTITY:
            log.warning("a checkpoint without a good proof: %s", no)
        return _text(f"{no}\n", status)
    except StateWrong as no:
        log.error("nothing is cosigned: %s", no)  # noqa: TRY400 - an answer
        return _text("try later\n", HTTP_503_SERVICE_UNAVAILABLE)
    return _text(f"{line}\n", HTTP_200_OK)


def _text(told: str, status: int, kind: str = MediaType.TEXT) -> Response[str]:
    return Response(told, status_code=status, media_type=kind)


def run(app: Litestar, *, address: str, port: int) -> None:
    """Serve until SIGINT or SIGTERM; raises `PortTaken`."""
    uvloop.run(serve(app, listen(address, port)))
