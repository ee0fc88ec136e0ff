"""Which pass a text is: what a QR code holds, or the code printed beneath it, as typed.

Where paper of a former operator was taken over, a text that is neither may be a number of theirs, or
what their QR code holds.  Such numbers were drawn by somebody else, and may follow one another: what is
looked for and not found is a guess, and says so (`LOOKED_UP`).
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from sqlalchemy.orm import Session

from issuance import codes, tokens
from issuance.foreign import TEXT_MAX, mark
from issuance.keys import Keyring
from redemption import presented
from redemption.admission import Reason
from redemption.presented import PassRow

CODES_LOCKED = "codes_locked"
MISTYPED = "mistyped_code"
# The fact of a refusal that was looked for in the books.
LOOKED_UP = "looked_up"


class Read(NamedTuple):
    """What a text says before the ledger is asked: a token and its serial, a code, or neither.

    `mark`: what finds it if it is a number of a former operator.
    """

    token: bytes | None
    serial: str | None
    code_digest: bytes | None
    refusal: str | None
    facts: dict[str, Any]
    mark: bytes | None = None


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
        return _or_foreign(text, keyring, Reason.FORGED, {"part": no.part})
    except codes.MistypedCode as no:
        return _or_foreign(text, keyring, MISTYPED, {"part": no.part})


def _read_code(text: str, keyring: Keyring) -> Read:
    departement, code = codes.normalise(text)
    if departement not in (None, keyring.departement):
        facts = {"departement": departement}
        return _or_foreign(text, keyring, Reason.UNKNOWN, facts)
    if keyring.code_key is None:
        return Read(None, None, None, CODES_LOCKED, {})
    found_by = codes.lookup_digest(keyring.code_key, code)
    # One number of theirs in 32 has a good check symbol.
    theirs = mark(keyring.code_key, text) if keyring.foreign else None
    return Read(None, None, found_by, None, {}, theirs)


def _or_foreign(text: str, keyring: Keyring, refusal: str, facts: dict[str, Any]) -> Read:
    """Return what is wrong with a text that is not ours, and what finds it if it is somebody else's."""
    if not keyring.foreign or len(text) > TEXT_MAX:
        return Read(None, None, None, refusal, facts)
    if keyring.code_key is None:
        return Read(None, None, None, CODES_LOCKED, {})
    facts = facts | {LOOKED_UP: True}
    return Read(None, None, None, refusal, facts, mark(keyring.code_key, text))


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
    row = _by_digest(said, by_code)
    if row is not None:
        return Seen(row, None, {})
    return Seen(None, said.refusal or Reason.UNKNOWN, said.facts)


def _by_digest(said: Read, by_code: Mapping[bytes, PassRow]) -> PassRow | None:
    for digest in (said.code_digest, said.mark):
        if digest is not None and digest in by_code:
            return by_code[digest]
    return None


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
        session,
        [said.code_digest] if said.code_digest else [],
        [said.mark] if said.mark else [],
    )
    return match(said, passes, by_code, keyring)
