"""How a no is told to someone in a browser: a page that says what to do next, or the way to the door."""

from collections.abc import Callable
from typing import Any

from litestar import Request, Response
from litestar.exceptions import HTTPException
from litestar.response import Redirect
from litestar.status_codes import (
    HTTP_403_FORBIDDEN,
    HTTP_404_NOT_FOUND,
    HTTP_409_CONFLICT,
    HTTP_413_REQUEST_ENTITY_TOO_LARGE,
)
from sqlalchemy.exc import OperationalError

from app.database import is_out_of_service
from app.errors import STATUSES
from app.pages.frame import go, page
from ledger.attempts import facts_of
from ledger.refusal import Refusal

Problem = Callable[[Request[Any, Any, Any], Any], Response[bytes]]


def for_people(problem: Problem) -> Callable[[Request[Any, Any, Any], Any], Any]:
    """Wrap a handler of errors: browsers get a page, programs the problem document."""

    def told(request: Request[Any, Any, Any], error: Exception) -> Any:  # noqa: ANN401
        for_a_program = problem(request, error)
        if request.url.path.startswith("/api/") or not _is_a_person(request):
            return for_a_program
        code, facts = _what(error)
        if (door := _door(request, code)) is not None:
            return door
        status = STATUSES.get(code) or for_a_program.status_code or HTTP_409_CONFLICT
        return page(request, "refused.html", status=status, code=code, facts=facts)

    return told


def _is_a_person(request: Request[Any, Any, Any]) -> bool:
    return "text/html" in request.headers.get("accept", "")


def _what(error: Exception) -> tuple[str, dict[str, Any]]:
    if isinstance(error, Refusal):
        return error.code, facts_of(error)
    if isinstance(error, HTTPException):
        return {
            HTTP_404_NOT_FOUND: "no_such_page",
            HTTP_403_FORBIDDEN: "not_allowed",
            HTTP_409_CONFLICT: "failed",
            HTTP_413_REQUEST_ENTITY_TOO_LARGE: "too_large",
        }.get(error.status_code, "failed"), {}
    if isinstance(error, OperationalError) and is_out_of_service(error):
        return "unavailable", {}
    return "failed", {}


def _door(request: Request[Any, Any, Any], code: str) -> Redirect | None:
    departement = request.path_params.get("departement")
    if departement is None:
        return None
    if code == "sign_in_needed":
        return go(f"/{departement}/connexion")
    if code == "second_factor_needed":
        return go(f"/{departement}/connexion/code")
    return None
