"""An authenticator made of software: what a telephone or a USB key answers to a browser (WebAuthn, ES256)."""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass, field
from hashlib import sha256
from secrets import token_bytes
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from webauthn.helpers import encode_cbor

ORIGIN = "https://pass.creuse.fr"


def text(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def read(told: str) -> bytes:
    return urlsafe_b64decode(told + "=" * (-len(told) % 4))


@dataclass
class Authenticator:
    """One key, its counter, and the browser in front of it, which tells where it is."""

    origin: str = ORIGIN
    rp_id: str | None = None
    attested: bool = False
    counts: bool = True
    id: bytes = field(default_factory=lambda: token_bytes(32))
    count: int = 0
    key: ec.EllipticCurvePrivateKey = field(
        default_factory=lambda: ec.generate_private_key(ec.SECP256R1())
    )

    def create(self, options: dict[str, Any]) -> str:
        """Answer navigator.credentials.create()."""
        told = self._client_data("webauthn.create", options)
        public = self.key.public_key().public_numbers()
        cose = encode_cbor(
            {1: 2, 3: -7, -1: 1, -2: public.x.to_bytes(32), -3: public.y.to_bytes(32)}
        )
        held = bytes(16) + len(self.id).to_bytes(2) + self.id + cose
        data = self._data(options["rp"]["id"], 0x45) + held
        statement = {"alg": -7, "sig": self._signed(data, told)} if self.attested else {}
        attestation = {
            "fmt": "packed" if self.attested else "none",
            "attStmt": statement,
            "authData": data,
        }
        return self._answer(
            clientDataJSON=text(told), attestationObject=text(encode_cbor(attestation))
        )

    def get(self, options: dict[str, Any]) -> str:
        """Answer navigator.credentials.get()."""
        told = self._client_data("webauthn.get", options)
        self.count += self.counts
        data = self._data(options["rpId"], 0x05)
        return self._answer(
            clientDataJSON=text(told),
            authenticatorData=text(data),
            signature=text(self._signed(data, told)),
        )

    def _client_data(self, kind: str, options: dict[str, Any]) -> bytes:
        told = {"type": kind, "challenge": options["challenge"], "origin": self.origin}
        return json.dumps(told).encode()

    def _data(self, rp_id: str, flags: int) -> bytes:
        bound = sha256((self.rp_id or rp_id).encode()).digest()
        return bound + bytes([flags]) + self.count.to_bytes(4)

    def _signed(self, data: bytes, told: bytes) -> bytes:
        return self.key.sign(data + sha256(told).digest(), ec.ECDSA(hashes.SHA256()))

    def _answer(self, **response: str) -> str:
        name = text(self.id)
        return json.dumps(
            {"id": name, "rawId": name, "type": "public-key", "response": response}
            | {"clientExtensionResults": {}}
        )
