"""Refusals and failures as problem+json (RFC 9457): a stable code for machines, a sentence for people."""

import logging
from typing import Any

import msgspec
from litestar import MediaType, Request, Response
from litestar.exceptions import HTTPException, ValidationException
from litestar.status_codes import (
    HTTP_400_BAD_REQUEST,
    HTTP_401_UNAUTHORIZED,
    HTTP_403_FORBIDDEN,
    HTTP_404_NOT_FOUND,
    HTTP_409_CONFLICT,
    HTTP_429_TOO_MANY_REQUESTS,
    HTTP_500_INTERNAL_SERVER_ERROR,
    HTTP_503_SERVICE_UNAVAILABLE,
)
from sqlalchemy.exc import OperationalError

from app.database import is_out_of_service
from app.gathering import CounterClosedError
from app.messages import Messages, messages
from ledger.attempts import Answer, facts_of
from ledger.refusal import Refusal

# A rule that says no is a conflict with the state of things, unless told otherwise here.
STATUSES = {
    "not_signed_in": HTTP_401_UNAUTHORIZED,
    "not_allowed": HTTP_403_FORBIDDEN,
    "other_site": HTTP_403_FORBIDDEN,
    "not_found": HTTP_404_NOT_FOUND,
    "no_such_page": HTTP_404_NOT_FOUND,
    "sign_in_needed": HTTP_401_UNAUTHORIZED,
    "second_factor_needed": HTTP_401_UNAUTHORIZED,
    "second_factor_missing": HTTP_403_FORBIDDEN,
    "sign_in_unfinished": HTTP_400_BAD_REQUEST,
    "identity_not_proved": HTTP_403_FORBIDDEN,
    "provider_refused": HTTP_403_FORBIDDEN,
    "provider_unreachable": HTTP_503_SERVICE_UNAVAILABLE,
    "from_elsewhere": HTTP_403_FORBIDDEN,
    "carnet_unknown": HTTP_404_NOT_FOUND,
    "unknown_departement": HTTP_404_NOT_FOUND,
    "entry_unknown": HTTP_404_NOT_FOUND,
    "not_published_yet": HTTP_404_NOT_FOUND,
    "no_such_log_size": HTTP_404_NOT_FOUND,
    "known_by_twice": HTTP_400_BAD_REQUEST,
    "malformed_serial": HTTP_400_BAD_REQUEST,
    "too_many_scans": HTTP_400_BAD_REQUEST,
    "too_many_hand_outs": HTTP_400_BAD_REQUEST,
    "too_many_guesses": HTTP_429_TOO_MANY_REQUESTS,
    "sign_in_slowed": HTTP_429_TOO_MANY_REQUESTS,
    "does_not_reconcile": HTTP_500_INTERNAL_SERVER_ERROR,
    "funds_told_otherwise": HTTP_500_INTERNAL_SERVER_ERROR,
    # Whoever runs the server has a key to set: the same request can be sent again.
    "vault_locked": HTTP_503_SERVICE_UNAVAILABLE,
    "sealed_by_unknown_key": HTTP_503_SERVICE_UNAVAILABLE,
}
PROBLEM = "application/problem+json"

log = logging.getLogger(__name__)


def language_of(request: "Request[Any, Any, Any]") -> Messages:
    """Return the sentences of whoever asks."""
    return preferred(request.headers.get("accept-language", ""))


def preferred(asked: str) -> Messages:
    """Return the sentences that an Accept-Language header asks for: English if first, else French."""
    return messages("en" if asked.strip().lower().startswith("en") else "fr")


def problem(
    status: int, code: str, detail: str, facts: dict[str, Any] | None = None
) -> Response[bytes]:
    """Return a problem document; `code` is stable, `detail` is a sentence."""
    body: dict[str, Any] = {"type": f"urn:passnum:{code}", "title": code, "status": status}
    body |= {"detail": detail, "code": code, "facts": facts or {}}
    headers = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
    return Response(
        msgspec.json.encode(body), status_code=status, media_type=PROBLEM, headers=headers
    )


def refused(request: "Request[Any, Any, Any]", no: Refusal) -> Response[bytes]:
    """Tell a refusal."""
    return _told(request, no.code, facts_of(no))


def unless_accepted(request: "Request[Any, Any, Any]", answer: Answer) -> Response[bytes]:
    """Tell what an act came to: its facts, or the problem that was found."""
    if not answer.accepted:
        return _told(request, answer.code, answer.facts)
    body = {"id": answer.act, "facts": answer.facts, "replayed": answer.replayed}
    return Response(msgspec.json.encode(body), media_type=MediaType.JSON)


def _told(
    request: "Request[Any, Any, Any]", code: str, facts: dict[str, Any]
) -> Response[bytes]:
    status = STATUSES.get(code, HTTP_409_CONFLICT)
    response = problem(status, code, language_of(request).refusal(code, facts), facts)
    if status == HTTP_401_UNAUTHORIZED:
        response.headers["WWW-Authenticate"] = "Bearer"
    return response


def malformed(
    request: "Request[Any, Any, Any]", error: ValidationException
) -> Response[bytes]:
    """Tell which parts of a request could not be read, and never what they held."""
    extra = error.extra if isinstance(error.extra, list) else []
    parts = [str(part.get("key", part.get("message", ""))) for part in extra]
    sentence = language_of(request).refusal("malformed", {})
    return problem(HTTP_400_BAD_REQUEST, "malformed", sentence, {"parts": parts})


def failed(request: "Request[Any, Any, Any]", error: HTTPException) -> Response[bytes]:
    """Tell a plain HTTP failure (no such page, method not allowed…)."""
    code = {
        400: "malformed",
        404: "no_such_page",
        405: "method_not_allowed",
        413: "too_large",
    }.get(error.status_code, "failed")
    return problem(error.status_code, code, language_of(request).refusal(code, {}))


def unfit(request: "Request[Any, Any, Any]", error: Exception) -> Response[bytes]:
    """Tell that a value is one that no database can hold."""
    del error
    return problem(
        HTTP_400_BAD_REQUEST, "malformed", language_of(request).refusal("malformed", {})
    )


def broken(request: "Request[Any, Any, Any]", error: Exception) -> Response[bytes]:
    """Tell that the failure is ours, without its inside, and leave a trace for who runs the server.

    The path is not logged: that of a pass is worth money.
    """
    log.error("a request failed: %s", type(error).__name__, exc_info=error)
    sentence = language_of(request).refusal("failed", {})
    return problem(HTTP_500_INTERNAL_SERVER_ERROR, "failed", sentence)


def unavailable(
    request: "Request[Any, Any, Any]", error: OperationalError
) -> Response[bytes]:
    """Tell that the data cannot be reached or written just now: the same request can be sent again."""
    if not is_out_of_service(error):
        return broken(request, error)
    log.error("the database does not do its work: %s", type(error.orig).__name__)
    sentence = language_of(request).refusal("unavailable", {})
    response = problem(HTTP_503_SERVICE_UNAVAILABLE, "unavailable", sentence)
    response.headers["Retry-After"] = "30"
    return response


def closing(
    request: "Request[Any, Any, Any]", error: CounterClosedError
) -> Response[bytes]:
    """Tell that the server is stopping: nothing was written, the same request can be sent again."""
    del error
    sentence = language_of(request).refusal("stopping", {})
    response = problem(HTTP_503_SERVICE_UNAVAILABLE, "stopping", sentence)
    response.headers["Retry-After"] = "5"
    return response
