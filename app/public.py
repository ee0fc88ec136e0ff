"""For anyone who holds a pass: what it is worth, until when, whether it is still good."""

from types import MappingProxyType
from typing import Any

import msgspec
from jinja2 import Environment, PackageLoader, select_autoescape
from litestar import Controller, MediaType, Request, Response, get
from litestar.datastructures import State
from litestar.di import NamedDependency
from litestar.params import FromPath
from litestar.status_codes import HTTP_200_OK, HTTP_404_NOT_FOUND

from app.assets import asset
from app.errors import language_of
from app.messages import Messages
from app.people.roles import Door
from app.registry import MalformedDepartement, UnknownDepartement
from app.serving import Serving
from issuance import tokens
from redemption.checking import Look, look
from redemption.checking import State as PassState

Asked = Request[None, None, State]

_pages = Environment(
    loader=PackageLoader("app"),
    autoescape=select_autoescape(),
    trim_blocks=True,
    lstrip_blocks=True,
)
_pages.globals["asset"] = asset

# Nothing from elsewhere, nothing inline; and the address of a pass is worth money: it is kept
# out of referrers, of caches and of search engines.
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; img-src 'self' data:; form-action 'self';"
        " frame-ancestors 'none'; base-uri 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "X-Robots-Tag": "noindex",
}
CUES = {
    PassState.GOOD: "yes",
    PassState.NOT_HANDED_OUT: "wait",
    PassState.NOT_ACTIVE: "wait",
    PassState.TOO_LATE: "wait",
    PassState.SPECIMEN: "wait",
}


class Public(Controller):
    """Pages without an account."""

    include_in_schema = False
    opt = MappingProxyType({"door": Door.OPEN})

    @get("/", sync_to_thread=True)
    def home(self, request: Asked, serving: NamedDependency[Serving]) -> Response[str]:
        """Say what this server is, and where to go."""
        served = serving.instance.database.departements()
        return page("home.html", language_of(request), departements=served)

    @get("/v/{token:str}", sync_to_thread=True)
    def voucher_in_lower_case(
        self, token: FromPath[str], request: Asked, serving: NamedDependency[Serving]
    ) -> Response[str]:
        """Show a pass, for a reader that put the address in lower case."""
        return _shown(token, request, serving)

    @get("/V/{token:str}", sync_to_thread=True)
    def voucher(
        self, token: FromPath[str], request: Asked, serving: NamedDependency[Serving]
    ) -> Response[str]:
        """Show a pass, from the address in its QR code; changes nothing."""
        return _shown(token, request, serving)

    @get("/api/v1/openapi.json", sync_to_thread=False)
    def description(self, request: Asked) -> dict[str, Any]:
        """Describe the API, for programs."""
        return request.app.openapi_schema.to_schema()

    @get("/health", sync_to_thread=True)
    def health(self, serving: NamedDependency[Serving]) -> dict[str, Any]:
        """Say that the server and its data answer."""
        return {
            "status": "ok",
            "departements": len(serving.instance.database.departements()),
        }


def _shown(token: str, request: Asked, serving: Serving) -> Response[str]:
    seen = _look(serving, token)
    unknown = seen.state in {PassState.FORGED, PassState.UNKNOWN}
    m = language_of(request)
    return page(
        "pass.html",
        m,
        status=HTTP_404_NOT_FOUND if unknown else HTTP_200_OK,
        cue=CUES.get(seen.state, "no"),
        title=m.word("pass_title", seen.state.value),
        text=m.text(f"pass_text.{seen.state.value}", **msgspec.structs.asdict(seen)),
        seen=seen,
        euros=m.euros(seen.cents) if seen.cents is not None else None,
        good_until=m.day(seen.good_until) if seen.good_until is not None else None,
    )


def _look(serving: Serving, token: str) -> Look:
    try:
        face = tokens.split(tokens.from_text(token))
        code = serving.instance.departement(face.departement).code
    except tokens.ForgedToken:
        return Look(PassState.FORGED)
    except (UnknownDepartement, MalformedDepartement):
        return Look(PassState.UNKNOWN)
    ring = serving.instance.keyring(code)
    with serving.instance.database.begin(code, read_only=True) as session:
        return look(session, token, now=serving.instance.moment(code), keyring=ring)


def page(
    template: str,
    m: Messages,
    *,
    status: int = HTTP_200_OK,
    **context: Any,  # noqa: ANN401
) -> Response[str]:
    """Return a page in someone's language, under the strict policy above."""
    html = _pages.get_template(template).render(m=m, _=m.text, lang=m.language, **context)
    return Response(html, status_code=status, media_type=MediaType.HTML, headers=HEADERS)
