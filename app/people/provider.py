"""An OpenID provider such as ProConnect: where to send a browser, and what to believe of the answer.

An identity is proved by an `id_token` that passes each of these, in this order:

    (0) the answer comes from this provider (`iss`, RFC 9207, required where it says that it tells it)
    (1) the code is exchanged over the provider's own TLS, with our secret and the PKCE verifier
    (2) the token is signed by one of the provider's published keys, with RS256, PS256 or ES256
    (3) `iss` is the provider, `aud` is us (`azp` too where there are several), `exp` is to come,
        `iat` is past, `nonce` is the one this browser was sent with
    (4) `at_hash`, where told, is that of the access token
    (5) userinfo, plain or signed, speaks of the same `sub`

It does not prove that the person may enter: only a linked identity does.  No e-mail address is
asked for.  Nothing here touches the database; what the provider publishes is kept for an hour.
"""

import hashlib
import hmac
import threading
import time
from base64 import urlsafe_b64encode
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple
from urllib.parse import urlencode, urlsplit

import httpx
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from app.settings import OidcSettings
from ledger.refusal import Refusal

TIMEOUT_SECONDS = 5.0
KEPT_SECONDS = 3600.0
KEYS_AGAIN_SECONDS = 60.0
LEEWAY_SECONDS = 60
ALGORITHMS = ["RS256", "PS256", "ES256"]
# A subject is 255 characters at most (OpenID Connect Core, 2); what is kept is no longer.
CLAIM_MAX = 255


@dataclass(eq=False)
class ProviderUnreachable(Refusal):
    """The provider does not answer, or not as it should."""

    code = "provider_unreachable"


@dataclass(eq=False)
class ProviderRefused(Refusal):
    """The provider sent the browser back with an error, named by its code."""

    code = "provider_refused"

    error: str


@dataclass(eq=False)
class IdentityNotProved(Refusal):
    """What the provider's answer holds cannot be believed; `check` names what failed."""

    code = "identity_not_proved"

    check: str


class Proof(NamedTuple):
    """Who the provider says that this is, and whether a second factor was given there."""

    issuer: str
    sub: str
    siret: str | None
    uid: str | None
    strong: bool


class Sent(NamedTuple):
    """What a browser was sent with, and must come back to."""

    state: str
    nonce: str
    verifier: str


class _Published(NamedTuple):
    read_at: float
    metadata: dict[str, Any]


class Provider:
    """One for the life of the process; asks the provider at its first use."""

    def __init__(
        self, settings: OidcSettings, transport: httpx.BaseTransport | None = None
    ) -> None:
        self.settings = settings
        self._http = httpx.Client(timeout=TIMEOUT_SECONDS, transport=transport)
        self._published: _Published | None = None
        self._keys: tuple[float, KeySet] | None = None
        self._lock = threading.Lock()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def way_in(self, sent: Sent, *, back: str) -> str:
        """Return the address to send a browser to; it comes back at `back`."""
        metadata = self._metadata()
        asked = {
            "response_type": "code",
            "client_id": self.settings.client_id,
            "redirect_uri": back,
            "scope": self.settings.scope,
            "state": sent.state,
            "nonce": sent.nonce,
            "code_challenge": _text(hashlib.sha256(sent.verifier.encode()).digest()),
            "code_challenge_method": "S256",
        }
        if metadata.get("claims_parameter_supported"):
            asked["claims"] = '{"id_token":{"acr":null,"amr":null}}'
        return _with(metadata["authorization_endpoint"], asked)

    def way_out(self, id_token: str, *, back: str, state: str) -> str | None:
        """Return the address that ends the provider's own session, where it has one."""
        end: str | None = self._metadata().get("end_session_endpoint")
        if end is None:
            return None
        asked = {
            "id_token_hint": id_token,
            "client_id": self.settings.client_id,
            "post_logout_redirect_uri": back,
            "state": state,
        }
        return _with(end, asked)

    def proved(
        self, code: str, iss: str | None, sent: Sent, *, back: str, now: datetime
    ) -> tuple[Proof, str]:
        """Return who came back with a code, and the `id_token` that says so.

        Raises `IdentityNotProved`, or `ProviderUnreachable`.
        """
        metadata = self._metadata()
        # (0) Whose answer it is.
        told = metadata.get("authorization_response_iss_parameter_supported")
        if iss != self.settings.issuer and (iss is not None or told):
            raise IdentityNotProved("iss")
        tokens = self._exchange(metadata, code, sent, back)
        id_token, access_token = tokens.get("id_token"), tokens.get("access_token")
        if not isinstance(id_token, str) or not isinstance(access_token, str):
            raise IdentityNotProved("id_token")
        claims = self._believed(id_token, now, sent.nonce, access_token)
        told_more = self._userinfo(metadata, access_token, now)
        # (5) Of whom.
        if told_more.get("sub") != claims["sub"]:
            raise IdentityNotProved("userinfo")
        return self._proof(claims, told_more), id_token

    def _proof(self, claims: dict[str, Any], told_more: dict[str, Any]) -> Proof:
        amr = claims.get("amr")
        strong = str(claims.get("acr")) in self.settings.strong_acr or (
            isinstance(amr, list) and "mfa" in amr
        )
        siret, uid = (_short(told_more.get(name)) for name in ("siret", "uid"))
        return Proof(self.settings.issuer, claims["sub"], siret, uid, strong)

    def _exchange(
        self, metadata: dict[str, Any], code: str, sent: Sent, back: str
    ) -> dict[str, Any]:
        # (1) Over the provider's own TLS.
        asked = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": back,
            "code_verifier": sent.verifier,
        }
        auth: httpx.BasicAuth | None = None
        methods = metadata.get("token_endpoint_auth_methods_supported")
        if methods is not None and "client_secret_basic" not in methods:
            asked["client_id"] = self.settings.client_id
            asked["client_secret"] = self.settings.client_secret
        else:
            # Both parts are form-encoded first (RFC 6749, 2.3.1).
            auth = httpx.BasicAuth(
                _encoded(self.settings.client_id), _encoded(self.settings.client_secret)
            )
        answer = self._ask("POST", metadata["token_endpoint"], data=asked, auth=auth)
        if answer.status_code in {400, 401, 403}:
            raise IdentityNotProved("code")
        return _object(answer)

    def _believed(
        self, id_token: str, now: datetime, nonce: str, access_token: str
    ) -> dict[str, Any]:
        # (2) Who signed.
        claims = self._signed(id_token)
        # (3) What it says.
        registry = jwt.JWTClaimsRegistry(
            now=int(now.timestamp()),
            leeway=LEEWAY_SECONDS,
            iss={"essential": True, "value": self.settings.issuer},
            aud={"essential": True, "value": self.settings.client_id},
            sub={"essential": True},
            exp={"essential": True},
            iat={"essential": True},
            nonce={"essential": True, "value": nonce},
        )
        _validated(registry, claims)
        several = isinstance(claims["aud"], list) and len(claims["aud"]) > 1
        if (several or "azp" in claims) and claims.get("azp") != self.settings.client_id:
            raise IdentityNotProved("azp")
        if not isinstance(claims["sub"], str) or not 0 < len(claims["sub"]) <= CLAIM_MAX:
            raise IdentityNotProved("sub")
        # (4) The pair.
        half = hashlib.sha256(access_token.encode()).digest()[:16]
        at_hash = claims.get("at_hash")
        if at_hash is not None and not hmac.compare_digest(str(at_hash), _text(half)):
            raise IdentityNotProved("at_hash")
        return claims

    def _userinfo(
        self, metadata: dict[str, Any], access_token: str, now: datetime
    ) -> dict[str, Any]:
        bearer = {"Authorization": f"Bearer {access_token}"}
        answer = self._ask("GET", metadata["userinfo_endpoint"], headers=bearer)
        kind = answer.headers.get("content-type", "").partition(";")[0].strip()
        if answer.status_code != httpx.codes.OK or kind != "application/jwt":
            return _object(answer)
        claims = self._signed(answer.text.strip())
        registry = jwt.JWTClaimsRegistry(
            now=int(now.timestamp()),
            leeway=LEEWAY_SECONDS,
            iss={"value": self.settings.issuer},
            aud={"value": self.settings.client_id},
        )
        _validated(registry, claims)
        return claims

    def _signed(self, token: str) -> dict[str, Any]:
        """Return the claims of a token that the provider signed."""
        for again in (False, True):
            try:
                return jwt.decode(token, self._key_set(again=again), ALGORITHMS).claims
            except (JoseError, ValueError):
                # A new key may have been published since: its list is read again, once a minute at most.
                continue
        raise IdentityNotProved("signature")

    def _metadata(self) -> dict[str, Any]:
        """Return what the provider publishes of itself."""
        with self._lock:
            kept = self._published
            if kept is None or time.monotonic() - kept.read_at > KEPT_SECONDS:
                where = (
                    f"{self.settings.issuer.rstrip('/')}/.well-known/openid-configuration"
                )
                metadata = _object(self._ask("GET", where))
                self._fit(metadata)
                kept = self._published = _Published(time.monotonic(), metadata)
        return kept.metadata

    def _fit(self, metadata: dict[str, Any]) -> None:
        """Raise `ProviderUnreachable` unless the description is that of this provider, over TLS as it is."""
        scheme = urlsplit(self.settings.issuer).scheme
        due = ["authorization_endpoint", "token_endpoint", "userinfo_endpoint", "jwks_uri"]
        due += ["end_session_endpoint"] if "end_session_endpoint" in metadata else []
        if metadata.get("issuer") != self.settings.issuer or any(
            urlsplit(str(metadata.get(name))).scheme not in {scheme, "https"}
            for name in due
        ):
            raise ProviderUnreachable

    def _key_set(self, *, again: bool) -> KeySet:
        where = self._metadata()["jwks_uri"]
        with self._lock:
            age = time.monotonic() - self._keys[0] if self._keys else KEPT_SECONDS
            if self._keys is None or age >= (KEYS_AGAIN_SECONDS if again else KEPT_SECONDS):
                self._keys = time.monotonic(), _keys(_object(self._ask("GET", where)))
            return self._keys[1]

    def _ask(self, method: str, url: str, **asked: Any) -> httpx.Response:  # noqa: ANN401
        try:
            return self._http.request(method, url, **asked)
        except httpx.HTTPError:
            raise ProviderUnreachable from None


def _validated(registry: jwt.JWTClaimsRegistry, claims: dict[str, Any]) -> None:
    try:
        registry.validate(claims)
    except JoseError as no:
        raise IdentityNotProved(str(getattr(no, "claim", None) or "exp")) from None


def _object(answer: httpx.Response) -> dict[str, Any]:
    """Return the JSON object of an answer, or raise `ProviderUnreachable`."""
    if answer.status_code != httpx.codes.OK:
        raise ProviderUnreachable
    try:
        told = answer.json()
    except ValueError:
        raise ProviderUnreachable from None
    if not isinstance(told, dict):
        raise ProviderUnreachable
    return told


def _keys(published: dict[str, Any]) -> KeySet:
    """Return the keys that may sign a token; others, to encrypt or of kinds to come, are left out."""
    try:
        signing = [
            key
            for key in published["keys"]
            if key["kty"] in {"RSA", "EC"} and key.get("use", "sig") == "sig"
        ]
        return KeySet.import_key_set({"keys": signing})
    except (JoseError, ValueError, KeyError, TypeError):
        raise ProviderUnreachable from None


def _with(url: str, asked: dict[str, str]) -> str:
    return f"{url}{'&' if '?' in url else '?'}{urlencode(asked)}"


def _encoded(part: str) -> str:
    return urlencode({"": part})[1:]


def _text(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def _short(claim: object) -> str | None:
    return claim[:CLAIM_MAX] if isinstance(claim, str) and claim else None
