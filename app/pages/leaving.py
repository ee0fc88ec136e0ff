"""Where a browser is sent beyond our pages: to an OpenID provider, and to end its session there."""

import secrets

from litestar.datastructures import Cookie

from app.pages.frame import Asked, serving_of
from app.people.provider import Provider, ProviderUnreachable
from app.people.sessions import LONGEST

# A longer header is refused by servers in front (4 kB): signing out is then from here only.
COOKIE_MAX = 2500


def provider_of(request: Asked) -> Provider | None:
    """Return the provider that this instance was given, if any."""
    return serving_of(request).instance.provider


def on_https(request: Asked) -> bool:
    """Tell whether the browser speaks HTTPS, to us or to the server in front."""
    # Whoever lies only locks their own cookie.
    forwarded = request.headers.get("x-forwarded-proto", "")
    return "https" in {request.url.scheme, forwarded}


def address(request: Asked, path: str) -> str:
    """Return the whole address of one of our pages; in the clear on the machine itself only."""
    host = request.headers.get("host", "").lower()
    alone = host.partition(":")[0] in {"localhost", "127.0.0.1"}
    return f"{request.url.scheme if alone else 'https'}://{host}{path}"


def remembered(request: Asked, departement: str, id_token: str) -> Cookie | None:
    """Return the cookie that holds what the provider wants back at signing out; sent to that form only."""
    if len(id_token) > COOKIE_MAX:
        return None
    return Cookie(
        key=cookie_name(departement),
        value=id_token,
        path=f"/{departement}/deconnexion",
        httponly=True,
        samesite="strict",
        secure=on_https(request),
        max_age=int(LONGEST.total_seconds()),
    )


def cookie_name(departement: str) -> str:
    """Return the name of that cookie."""
    return f"passnum_{departement}_id"


def way_out(request: Asked, departement: str) -> str | None:
    """Return where the provider's own session is ended, for whoever came in that way."""
    provider = provider_of(request)
    id_token = request.cookies.get(cookie_name(departement))
    if provider is None or not id_token:
        return None
    back = address(request, f"/{departement}/connexion")
    try:
        return provider.way_out(id_token, back=back, state=secrets.token_urlsafe(16))
    except ProviderUnreachable:
        return None
