"""What every page shares: the templates, the strict policy, forms, and what to do after one."""

import asyncio
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from hmac import compare_digest
from typing import Any, TypeVar
from urllib.parse import urlencode
from uuid import UUID

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from litestar import MediaType, Request, Response
from litestar.datastructures import State
from litestar.response import Redirect
from litestar.status_codes import (
    HTTP_200_OK,
    HTTP_303_SEE_OTHER,
    HTTP_422_UNPROCESSABLE_ENTITY,
)
from sqlalchemy.orm import Session

from app.assets import asset
from app.errors import language_of
from app.messages import Messages
from app.pages.visitors import FromElsewhere, Visitor
from app.people.roles import Action, Role
from app.serving import Serving
from ledger.attempts import facts_of
from ledger.identifiers import new_id
from ledger.moments import Moment
from ledger.refusal import Refusal

Asked = Request[None, None, State]
Answer = Response[str] | Redirect
T = TypeVar("T")

# Nothing from elsewhere, nothing inline; pages of people who are signed in are kept by nobody.
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:;"
        " connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    ),
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "X-Robots-Tag": "noindex",
    "Cross-Origin-Opener-Policy": "same-origin",
}

_LINES = re.compile(r"[\r\n]+")
NUMBER = re.compile(r"[0-9]{1,10}")

_templates = Environment(
    loader=PackageLoader("app"),
    autoescape=select_autoescape(),
    trim_blocks=True,
    lstrip_blocks=True,
    undefined=StrictUndefined,
)
_templates.globals["asset"] = asset


def serving_of(request: Asked) -> Serving:
    """Return what the server holds."""
    serving: Serving = request.app.state.serving
    return serving


def visitor_of(request: Asked) -> Visitor:
    """Return who is signed in; the route's door has let them through."""
    visitor: Visitor = request.scope["state"]["visitor"]
    return visitor


def now_of(request: Asked) -> Moment:
    """Return the instant it is, where the département that is asked for is."""
    return serving_of(request).instance.moment(request.path_params["departement"])


@contextmanager
def reading(request: Asked) -> Iterator[Session]:
    """Open the département that is asked for, to read: one picture throughout."""
    database = serving_of(request).instance.database
    with database.begin(request.path_params["departement"], read_only=True) as session:
        yield session


async def acting(request: Asked, work: Callable[[Session, Moment], T]) -> T:
    """Do `work(session, now)` in one transaction of the département that is asked for.

    In a thread, for it may wait; what it committed is sequenced soon.
    """
    serving, code = serving_of(request), request.path_params["departement"]

    def done() -> T:
        with serving.instance.database.begin(code) as session:
            result = work(session, serving.instance.moment(code))
        serving.committed(code)
        return result

    return await asyncio.to_thread(done)


def page(
    request: Asked,
    template: str,
    *,
    status: int = HTTP_200_OK,
    errors: Mapping[str, str] | None = None,
    **context: Any,  # noqa: ANN401
) -> Response[str]:
    """Return a page in the visitor's language; `errors` stand beside their fields and summed up."""
    m = language_of(request)
    visitor: Visitor | None = request.scope["state"].get("visitor")
    # Once the guard let the address through: an error page never names what is not here.
    code: str | None = request.scope["state"].get("departement")
    html = _templates.get_template(template).render(
        m=m,
        _=m.text,
        lang=m.language,
        visitor=visitor,
        base=f"/{code}" if code else "",
        departement=_name(request, code),
        path=request.url.path,
        host=request.headers.get("host", ""),
        csrf=visitor.csrf if visitor else "",
        done=request.query_params.get("fait"),
        errors=errors or {},
        new_id=new_id,
        proconnect=serving_of(request).instance.provider is not None,
        Action=Action,
        role_name=lambda role: m.word("role", Role(role).value),
        moment=lambda at: _moment(request, m, at),
        honours_others=lambda: _honours_others(request),
        **context,
    )
    return Response(html, status_code=status, media_type=MediaType.HTML, headers=HEADERS)


def _name(request: Asked, code: str | None) -> str | None:
    return serving_of(request).instance.departement(code).name if code else None


def _honours_others(request: Asked) -> bool:
    """Tell whether paper of a former operator is honoured here: its numbers and covers may be typed."""
    code = request.path_params["departement"]
    return serving_of(request).instance.keyring(code).foreign


def _moment(request: Asked, m: Messages, at: datetime) -> str:
    code = request.path_params["departement"]
    zone = serving_of(request).instance.departement(code).zone
    local = at.astimezone(zone)
    return f"{m.day(local.date())}, {local:%H:%M}"


def again(
    request: Asked,
    template: str,
    errors: Mapping[str, str],
    **context: Any,  # noqa: ANN401
) -> Response[str]:
    """Show a form again with what was wrong; what was typed stays."""
    return page(
        request, template, status=HTTP_422_UNPROCESSABLE_ENTITY, errors=errors, **context
    )


def sentence(request: Asked, no: Refusal) -> str:
    """Return what a refusal says to people."""
    return language_of(request).refusal(no.code, facts_of(no))


def go(to: str, *, done: str | None = None) -> Redirect:
    """Send the visitor on after a form; `done` is the code of what the next page says first."""
    path = to if done is None else f"{to}?{urlencode({'fait': done})}"
    headers = {"Cache-Control": HEADERS["Cache-Control"]}
    return Redirect(path, status_code=HTTP_303_SEE_OTHER, headers=headers)


async def form_of(request: Asked, *, lines: Collection[str] = ()) -> dict[str, str]:
    """Read a form: one text a field, trimmed, without control characters; of those in `lines`, a new line is a space.

    A visitor's forms carry a mark of their session; refused with `from_elsewhere` without it.
    """
    data = await request.form()
    fields = {
        name: "".join(
            c
            for c in (_LINES.sub(" ", value) if name in lines else value)
            if c.isprintable()
        ).strip()
        for name, value in data.items()
        if isinstance(value, str)
    }
    visitor: Visitor | None = request.scope["state"].get("visitor")
    mark = fields.get("csrf", "").encode()
    if visitor is not None and not compare_digest(mark, visitor.csrf.encode()):
        raise FromElsewhere
    return fields


def number_of(typed: str) -> int | None:
    """Return the number that was typed, or None: ten digits at most, of those that a database counts in."""
    return int(typed) if NUMBER.fullmatch(typed) else None


def act_id(fields: Mapping[str, str]) -> UUID:
    """Return the id that the form gave its act, so that sending it twice does it once."""
    try:
        return UUID(fields.get("id", ""))
    except ValueError:
        return new_id()
