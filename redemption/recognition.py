"""Which pass a text is: what a QR code holds, or the code printed beneath it, as typed."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from sqlalchemy.orm import Session

from issuance import codes, tokens
from issuance.keys import Keyring
from redemption import presented
from redemption.admission import Reason
from redemption.presented import PassRow

CODES_LOCKED = "codes_locked"
MISTYPED = "mistyped_code"


class Read(NamedTuple):
    """What a text says before the ledger is asked: a token and its serial, a code, or neither."""

    token: bytes | None
    serial: str | None
    code_digest: bytes | None
    refusal: str | None
    facts: dict[str, Any]


class Seen(NamedTuple):
    """The pass a text is, or what is wrong with the paper."""

    row: PassRow | None
    refusal: str | None
    facts: dict[str, Any]


def read(text: str, keyring: Keyring) -> Read:
    """Return what a text says; nothing is believed yet."""
    try:
        if codes.looks_like_code(text):
            return _read_code(text, keyring)
        token = tokens.from_text(text)
        return Read(token, str(tokens.split(token).serial), None, None, {})
    except tokens.ForgedToken as no:
        return Read(None, None, None, Reason.FORGED, {"part": no.part})
    except codes.MistypedCode as no:
        return Read(None, None, None, MISTYPED, {"part": no.part})


def _read_code(text: str, keyring: Keyring) -> Read:
    departement, code = codes.normalise(text)
    if departement not in (None, keyring.departement):
        return Read(None, None, None, Reason.UNKNOWN, {"departement": departement})
    if keyring.code_key is None:
        return Read(None, None, None, CODES_LOCKED, {})
    return Read(None, None, codes.lookup_digest(keyring.code_key, code), None, {})


def match(
    said: Read,
    passes: Mapping[str, PassRow],
    by_code: Mapping[bytes, PassRow],
    keyring: Keyring,
) -> Seen:
    """Tell which of the known passes a text is, or what is wrong with the paper.

    A token is compared with the digest made at issuance; its signature is verified only where
    the pass is unknown, to tell a forgery from a voucher that the ledger has lost.  A token of a
    revoked key is refused although its digest is the right one: whoever stole the key makes the
    same bytes.  The code printed beneath still says which pass it is.
    """
    if said.token is not None and said.serial is not None:
        row = passes.get(said.serial)
        if row is None:
            return _unknown(said.token, keyring)
        if row.token_digest != tokens.digest(said.token):
            return Seen(None, Reason.FORGED, {"part": "signature"})
        if keyring.revoked and tokens.split(said.token).key_id in keyring.revoked:
            return Seen(None, Reason.KEY_REVOKED, {"serial": row.serial})
        return Seen(row, None, {})
    if said.code_digest is not None:
        row = by_code.get(said.code_digest)
        return Seen(row, None if row else Reason.UNKNOWN, {})
    return Seen(None, said.refusal, said.facts)


def _unknown(token: bytes, keyring: Keyring) -> Seen:
    face = tokens.split(token)
    if face.departement != keyring.departement:
        return Seen(None, Reason.UNKNOWN, {"departement": face.departement})
    try:
        tokens.verify(token, keyring.all)
    except tokens.ForgedToken as no:
        return Seen(None, Reason.FORGED, {"part": no.part})
    revoked = face.key_id in keyring.revoked
    reason = Reason.KEY_REVOKED if revoked else Reason.UNKNOWN
    return Seen(None, reason, {"serial": str(face.serial)})


def recognise(session: Session, text: str, keyring: Keyring) -> Seen:
    """Tell which pass a text is, or what is wrong with the paper; changes nothing."""
    said = read(text, keyring)
    passes = presented.passes(session, [said.serial] if said.serial else [])
    by_code = presented.passes_by_code(
        session, [said.code_digest] if said.code_digest else []
    )
    return match(said, passes, by_code, keyring)
