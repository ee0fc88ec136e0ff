"""Answers signed as they leave: a phone that keeps one can prove what it was told (RFC 9421, RFC 9530).

    Content-Digest   sha-256=:<base64 of the SHA-256 of the body>:
    Signature-Input  log=("content-digest");created=<seconds>;keyid="<log name>+<key id>";alg="ed25519"
    Signature        log=:<base64>:

The key is the log's: whoever checks checkpoints can check answers.
"""

import base64
from datetime import datetime
from hashlib import sha256

from ledger.log_keys import LogSigner


def signature_headers(body: bytes, signer: LogSigner, *, at: datetime) -> dict[str, str]:
    """Return the three headers that make an answer a signed one."""
    digest = f"sha-256=:{base64.b64encode(sha256(body).digest()).decode()}:"
    signed = (
        f'("content-digest");created={int(at.timestamp())}'
        f';keyid="{signer.key_id}";alg="ed25519"'
    )
    base = f'"content-digest": {digest}\n"@signature-params": {signed}'
    signature = base64.b64encode(signer.private.sign(base.encode())).decode()
    return {
        "content-digest": digest,
        "signature-input": f"log={signed}",
        "signature": f"log=:{signature}:",
    }
