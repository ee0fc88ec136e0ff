"""The public keys of paper, for scanners: a JWK set (RFC 7517), its keys those of RFC 8037.

`keys` holds what the QR codes of real passes are verified with, and nothing else: a reader that
knows no more than JWK trusts no specimen and no revoked key.  Beside them `specimens`, to say that
a pass is one, and `revoked`, so that a scanner without a network can say why it refuses.  `kid` is
the byte that a token carries, in decimal.
"""

import asyncio
from base64 import urlsafe_b64encode
from hashlib import sha256
from types import MappingProxyType
from typing import Any

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from litestar import Controller, Request, Response, get
from litestar.datastructures import State
from litestar.di import NamedDependency
from litestar.status_codes import HTTP_200_OK, HTTP_304_NOT_MODIFIED

from app.instance import Instance
from app.pages.visitors import NoSuchRoom
from app.people.roles import Door
from app.serving import Serving
from issuance.keys import Keyring

Asked = Request[None, None, State]
PATH = "/.well-known/passnum-keys.json"
# How long a scanner may go on with what it has read, once it is online: a revocation reaches it then.
FRESH_SECONDS = 300


class KeySet(Controller):
    """The keys of a département, for anyone."""

    opt = MappingProxyType({"door": Door.OPEN})
    include_in_schema = False

    @get([PATH, "/{departement:str}" + PATH])
    async def keys(
        self, request: Asked, serving: NamedDependency[Serving]
    ) -> Response[bytes]:
        """Show the keys: of the département in the address, or whose host it is, or of the only one."""
        return await asyncio.to_thread(_shown, request, serving.instance)


def _shown(request: Asked, instance: Instance) -> Response[bytes]:
    ring = instance.keyring(_departement(request, instance))
    body = msgspec.json.format(msgspec.json.encode(jwk_set(ring)), indent=1) + b"\n"
    mark = f'"{sha256(body).hexdigest()[:32]}"'
    known = request.headers.get("if-none-match", "")
    same = mark in {tag.strip().removeprefix("W/") for tag in known.split(",")}
    return Response(
        b"" if same else body,
        status_code=HTTP_304_NOT_MODIFIED if same else HTTP_200_OK,
        media_type="application/jwk-set+json",
        headers={
            "Access-Control-Allow-Origin": "*",
            "Cache-Control": f"public, max-age={FRESH_SECONDS}",
            "ETag": mark,
            "X-Content-Type-Options": "nosniff",
        },
    )


def jwk_set(ring: Keyring) -> dict[str, Any]:
    """Return the public keys of a keyring as plain values."""
    trusted = {k: key for k, key in ring.vouchers.items() if k not in ring.revoked}
    return {
        "departement": ring.departement,
        "keys": [_jwk(key_id, key, "voucher") for key_id, key in trusted.items()],
        "revoked": [
            {"kid": str(key_id), "revoked_at": revoked.at, "why": revoked.why}
            for key_id, revoked in ring.revoked.items()
        ],
        "specimens": [
            _jwk(key_id, key, "specimen") for key_id, key in ring.specimens.items()
        ],
    }


def _jwk(key_id: int, key: Ed25519PublicKey, purpose: str) -> dict[str, str]:
    return {
        "alg": "EdDSA",
        "crv": "Ed25519",
        "kid": str(key_id),
        "kty": "OKP",
        "purpose": purpose,
        "use": "sig",
        "x": urlsafe_b64encode(key.public_bytes_raw()).rstrip(b"=").decode(),
    }


def _departement(request: Asked, instance: Instance) -> str:
    named: str | None = request.path_params.get("departement")
    if named is not None:
        return instance.departement(named).code
    known = instance.database.departements()
    host = request.headers.get("host", "").partition(":")[0].upper().rstrip(".")
    own = [tenant.code for tenant in known if tenant.host.upper() == host]
    chosen = own or [tenant.code for tenant in known]
    if len(chosen) != 1:
        raise NoSuchRoom
    return chosen[0]
