#!/usr/bin/env python3
"""Vérifie un coffre du Pass numérique, sans le logiciel qui l'a écrit. Verifies a coffre on its own.

    python verify.py coffre.zip [--since ANCIEN.zip] [--policy FICHIER] [--keys FICHIER] [--lang en]
    python verify.py            dans le dossier où le coffre a été décompressé
    python verify.py sample coffre.zip --size 60 --seed NOMBRE [--checkpoint TAILLE] [--tranche T | --call A]

Exit code: 0, all that had to be proved was proved; 1, something is false; 2, the input is unusable.
Only Python 3.9 or later is needed; nothing is written, nothing is sent.  Signatures are verified by
the code below, or by the package `cryptography` where it is installed, which is only faster.

How it goes, in the order of the code:

1. The files: names, sizes and digests, read inside the zip and never unpacked.
2. The checkpoint: the log's signature (C2SP signed-note), the witnesses' (tlog-cosignature), and
   what the policy asks of them (tlog-policy).
3. The tree (RFC 6962): the leaf hashes of the tiles give the signed root; line n of journal.jsonl is
   leaf n.  So nothing can be added, removed, moved or changed in the journal.
4. The rules, entry by entry: what is used once is used once, in order; days; money from one account
   to another, none below zero; each cent split among funders.
5. The files of figures and of reference: all are derived again from the journal, and compared.
6. The coffre of last time (--since): the journal begins with it, unchanged.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import io
import json
import os
import re
import stat
import sys
import textwrap
import time
import zipfile
import zlib
from array import array
from bisect import bisect_right
from collections import Counter, defaultdict
from datetime import date, datetime, timedelta, timezone, tzinfo
from itertools import zip_longest
from pathlib import Path
from typing import Any, Callable, Iterator, NamedTuple, Sequence
from zoneinfo import ZoneInfo

try:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
except ImportError:
    Ed25519PublicKey = None  # type: ignore[assignment, misc]

Facts = dict[str, Any]

FORMAT = "passnum-coffre/1"
LANGUAGE = "fr"


def say(code: str, **facts: object) -> str:
    """Return a sentence, from the table at the end, in the language that was asked for."""
    return clean(SENTENCES[code][LANGUAGE == "en"].format(**facts))


def clean(text: str) -> str:
    """Return one line in which nothing of a file can move the cursor, change colours or hide."""
    return "".join(c if c.isprintable() or c in "\u00a0\u202f" else "?" for c in text)


class Told(Exception):
    """Something to say, and what to do about it."""

    def __init__(self, code: str, **facts: object) -> None:
        super().__init__(say(code, **facts))


class Unusable(Told):
    """What was given cannot be read as a coffre, a key or a policy: exit code 2."""


class Wrong(Told):
    """Something the coffre says is false: exit code 1."""


# ---------------------------------------------------------------- Ed25519 (RFC 8032, section 5.1)

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
ROOT_OF_MINUS_ONE = pow(2, (P - 1) // 4, P)
Point = tuple[int, int, int, int]  # X, Y, Z, T with x = X/Z, y = Y/Z, x·y = T/Z


def point(raw: bytes) -> Point | None:
    """Read a point of the curve; None if the bytes are not the one way of writing one."""
    y = int.from_bytes(raw, "little")
    odd, y = y >> 255, y & (1 << 255) - 1
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(square, (P + 3) // 8, P)
    if x * x % P != square:
        x = x * ROOT_OF_MINUS_ONE % P
    if y >= P or x * x % P != square or (x == 0 and odd):
        return None
    x = P - x if x & 1 != odd else x
    return x, y, 1, x * y % P


def add(p: Point, q: Point) -> Point:
    """Add two points."""
    a, b = (p[1] - p[0]) * (q[1] - q[0]) % P, (p[1] + p[0]) * (q[1] + q[0]) % P
    c, d = 2 * p[3] * q[3] * D % P, 2 * p[2] * q[2] % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % P, g * h % P, f * g % P, e * h % P


def times(n: int, p: Point) -> Point:
    """Add a point to itself, n times in all."""
    total: Point = (0, 1, 1, 0)
    while n:
        if n & 1:
            total = add(total, p)
        p, n = add(p, p), n >> 1
    return total


BASE = point((4 * pow(5, P - 2, P) % P).to_bytes(32, "little"))


def ed25519(public: bytes, signature: bytes, message: bytes, *, fast: bool = True) -> bool:
    """Tell whether the signature is good: S below L, and S·B − h·A written exactly as R."""
    if len(public) != 32 or len(signature) != 64:
        return False
    key, s = point(public), int.from_bytes(signature[32:], "little")
    if key is None or s >= L or BASE is None:
        return False
    if fast and Ed25519PublicKey is not None:
        try:
            Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
        except InvalidSignature:
            return False
        return True
    h = int.from_bytes(hashlib.sha512(signature[:32] + public + message).digest(), "little")
    minus_key = (P - key[0], key[1], 1, P - key[3])
    x, y, z, _ = add(times(s, BASE), times(h % L, minus_key))
    x, y = x * pow(z, P - 2, P) % P, y * pow(z, P - 2, P) % P
    return (y | (x & 1) << 255).to_bytes(32, "little") == signature[:32]


# ------------------------------------------------- signed notes, cosignatures, policies (C2SP)

SIGNATURE, COSIGNATURE = 1, 4
SIGNATURE_LINE = re.compile(r"— ([^\s+]+) ([A-Za-z0-9+/]+={0,2})")
VKEY = re.compile(r"([^\s+]+)\+([0-9a-f]{8})\+([A-Za-z0-9+/]+={0,2})")


class Key(NamedTuple):
    """A public key under its name; `kind` tells what sort of signature it makes."""

    name: str
    kind: int
    public: bytes

    @property
    def id(self) -> bytes:
        """The four bytes that name it on a signature line."""
        told = self.name.encode() + b"\n" + bytes([self.kind]) + self.public
        return hashlib.sha256(told).digest()[:4]

    def __str__(self) -> str:
        return f"{self.name}+{self.id.hex()}"


def read_key(vkey: str) -> Key:
    """Read a key as it is handed over: name+id+base64(kind, public key)."""
    told = VKEY.fullmatch(vkey)
    raw = unbase64(told[3]) if told else b""
    key = Key(told[1], raw[0], raw[1:]) if told and len(raw) == 33 else None
    if not told or key is None or key.kind not in (SIGNATURE, COSIGNATURE):
        raise Unusable("key_malformed", key=vkey[:80])
    if key.id.hex() != told[2]:
        raise Unusable("key_damaged", key=vkey[:80], id=key.id.hex())
    return key


def unbase64(text: str) -> bytes:
    """Read base64; nothing if it is none."""
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        return b""


def read_keys(text: str) -> list[Key]:
    """Read one key a line; empty lines and lines that begin with # are left out."""
    lines = [line.strip() for line in text.splitlines()]
    return [read_key(line) for line in lines if line and not line.startswith("#")]


class Note(NamedTuple):
    """A signed checkpoint: its text, its signature lines, and what it says of the log."""

    text: str
    lines: list[tuple[str, bytes, bytes]]
    origin: str
    size: int
    root: bytes


def read_note(told: str) -> Note:
    """Take a checkpoint apart; nothing of it is believed before `signers`."""
    text, _, signatures = told.rpartition("\n\n")
    body, lines = text.split("\n"), []
    good = signatures.endswith("\n") and not any(c < " " and c != "\n" for c in told)
    for line in signatures[:-1].split("\n")[:64]:
        match = SIGNATURE_LINE.fullmatch(line)
        raw = unbase64(match[2]) if match else b""
        good = good and len(raw) > 4
        lines.append((match[1] if match else "", raw[:4], raw[4:]))
    good = good and len(body) >= 3 and all(body) and signatures.count("\n") <= 64
    good = good and re.fullmatch("0|[1-9][0-9]{0,15}", body[1]) is not None
    root = unbase64(body[2]) if good else b""
    if len(root) != 32:
        raise Unusable("note_malformed")
    return Note(text + "\n", lines, body[0], int(body[1]), root)


def signers(note: Note, keys: Sequence[Key]) -> dict[Key, int | None]:
    """Return which of these keys signed, and when for a witness; a known key's bad signature is `Wrong`."""
    known, good = {(key.name, key.id): key for key in keys}, {}
    for name, key_id, told in note.lines:
        key = known.get((name, key_id))
        if key is None or key in good:
            continue
        message, signature, at = note.text, told, None
        if key.kind == COSIGNATURE:
            at, signature = int.from_bytes(told[:8], "big"), told[8:]
            message = f"cosignature/v1\ntime {at}\n{note.text}"
        if not ed25519(key.public, signature, message.encode()):
            raise Wrong("signature_wrong", key=key)
        good[key] = at
    return good


class Policy(NamedTuple):
    """Which logs are trusted, which witnesses, and how many of them must have signed."""

    logs: list[Key]
    witnesses: dict[str, Key]
    groups: dict[str, tuple[int, list[str]]]
    quorum: str

    def holds(self, name: str, signed: dict[Key, int | None]) -> bool:
        """Tell whether a witness signed, or enough members of a group."""
        if name in self.witnesses:
            return self.witnesses[name] in signed
        least, members = self.groups.get(name, (0, []))
        return sum(self.holds(member, signed) for member in members) >= least


def read_policy(text: str) -> Policy:
    """Read a tlog-policy: lines `log`, `witness`, `group` and one `quorum`."""
    quorums: list[str] = []
    policy = Policy([], {}, {}, "none")
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        names = {*policy.witnesses, *policy.groups, "none"}
        # Whoever stands alone, in no group yet: nobody is counted twice.
        alone = (
            names
            - {"none"}
            - {member for _, members in policy.groups.values() for member in members}
        )
        if words[0] == "log" and 2 <= len(words) <= 3:
            policy.logs.append(read_key(words[1]))
        elif words[0] == "witness" and 3 <= len(words) <= 4 and words[1] not in names:
            policy.witnesses[words[1]] = key = read_key(words[2])
            if (
                key.kind != COSIGNATURE
                or [w.public for w in policy.witnesses.values()].count(key.public) > 1
            ):
                raise bad_policy(number)
        elif (
            words[0] == "group"
            and len(words) > 3
            and words[1] not in names
            and alone >= {*words[3:]}
        ):
            members = words[3:]
            least = {"all": str(len(members)), "any": "1"}.get(words[2], words[2])
            if not least.isdecimal() or not 1 <= int(least) <= len(set(members)) == len(
                members
            ):
                raise bad_policy(number)
            policy.groups[words[1]] = (int(least), members)
        elif words[0] == "quorum" and len(words) == 2 and words[1] in names and not quorums:
            quorums.append(words[1])
        else:
            raise bad_policy(number)
    if not quorums:
        raise bad_policy(len(text.splitlines()) + 1)
    return policy._replace(quorum=quorums[0])


def bad_policy(line: int) -> Unusable:
    """Say which line of a policy cannot be read."""
    return Unusable("policy_malformed", line=line)


# ------------------------------------------------------------------------ the tree (RFC 6962)


def node(left: bytes, right: bytes) -> bytes:
    """Return the hash of an inner node."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def fold(hashes: Sequence[bytes]) -> bytes:
    """Return the root over leaves, or over roots of complete subtrees of one size."""
    if len(hashes) < 2:
        return hashes[0] if hashes else hashlib.sha256().digest()
    row = list(hashes)
    while len(row) > 1:
        # A last one without a neighbour goes up as it is: that is RFC 6962's left-heavy split.
        odd = row[-1:] if len(row) % 2 else []
        row = [node(row[i], row[i + 1]) for i in range(0, len(row) - 1, 2)] + odd
    return row[0]


def split_hashes(raw: bytes) -> list[bytes]:
    """Cut a tile into its hashes of 32 bytes."""
    return [raw[i : i + 32] for i in range(0, len(raw), 32)]


def root_of(leaves: bytes, size: int) -> bytes:
    """Return the root of the first `size` leaves."""
    tiles = [
        fold(split_hashes(leaves[i : min(i + 8192, size * 32)]))
        for i in range(0, size * 32, 8192)
    ]
    return fold(tiles)


def climbs(leaf: bytes, index: int, size: int, proof: Sequence[bytes]) -> bytes:
    """Return the root that an inclusion proof leads to (RFC 9162, 2.1.3.2); nothing if it is too long or short."""
    last, found = size - 1, leaf
    for sibling in proof:
        if last == 0 or len(sibling) != 32:
            return b""
        if index & 1 or index == last:
            found = node(sibling, found)
            while not index & 1 and index:
                index, last = index >> 1, last >> 1
        else:
            found = node(found, sibling)
        index, last = index >> 1, last >> 1
    return found if last == 0 else b""


def tile_path(level: int, n: int, width: int) -> str:
    """Return where a tile is (C2SP tlog-tiles): tile/0/x001/234, and .p/WIDTH while it is not full."""
    digits, rest = f"{n % 1000:03d}", n // 1000
    while rest:
        digits, rest = f"x{rest % 1000:03d}/" + digits, rest // 1000
    return "tile/{}/{}{}".format(level, digits, "" if width == 256 else f".p/{width}")


# ------------------------------------------------------------------ the files, never unpacked

NAME = re.compile(
    r"LISEZMOI\.txt|verify\.py|manifest\.(json|sha256)|journal\.jsonl|proofs\.jsonl|(checkpoint|policy|keys)\.txt"
    r"|(reference|figures|tables)/[a-z_]{1,40}\.jsonl?|tile/[0-7]/(x\d{3}/){0,4}\d{3}(\.p/\d{1,3})?"
)
LONG = ("journal.jsonl", "proofs.jsonl")
MOST_BYTES, MOST_FILES, MOST_RATIO, LINE_BYTES = 1 << 27, 1_000_000, 250, 1 << 20
DAMAGED = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    OSError,
    NotImplementedError,
    RuntimeError,
    ValueError,
)


def is_long(name: str) -> bool:
    """Tell whether a file is read as a stream, and may be of any length."""
    return name in LONG or name.startswith("tables/")


class Coffre:
    """The files of a coffre, in its zip or in a folder; whatever could harm is refused before it is read."""

    def __init__(self, path: Path) -> None:
        self.path, self.manifest, self.digest = path, {}, ""  # type: Path, Facts, str
        self._zip = None if path.is_dir() else self._open()
        self._names = set() if self._zip is None else {*self._zip.namelist()}
        self.manifest = self._read_manifest()

    def _open(self) -> zipfile.ZipFile:
        try:
            opened = zipfile.ZipFile(self.path)
        except FileNotFoundError:
            raise Unusable("no_file", path=self.path) from None
        except DAMAGED:
            raise self.unusable("not_a_zip") from None
        files, total = opened.infolist(), 0
        for info in files:
            most = 1 << 36 if is_long(info.filename) else MOST_BYTES
            total += info.file_size
            if not NAME.fullmatch(info.orig_filename):
                raise self.unusable("name_odd", name=info.orig_filename[:80])
            if info.flag_bits & 1 or info.compress_type not in (
                zipfile.ZIP_STORED,
                zipfile.ZIP_DEFLATED,
            ):
                raise self.unusable("packed_oddly", name=info.filename)
            if (
                info.file_size > most
                or info.file_size > 65536 + MOST_RATIO * info.compress_size
            ):
                raise self.unusable("file_swells", name=info.filename, size=info.file_size)
        if len({info.filename for info in files}) != len(files) or len(files) > MOST_FILES:
            raise self.unusable("name_twice")
        if total > MOST_RATIO * self.path.stat().st_size + 65536 * len(files):
            raise self.unusable("zip_swells", size=total)
        return opened

    def _read_manifest(self) -> Facts:
        raw = self.read("manifest.json")
        self.digest = hashlib.sha256(raw).hexdigest()
        seal = self.read("manifest.sha256").decode("ascii", "replace")
        if seal != f"{self.digest}  manifest.json\n":
            raise Wrong("manifest_changed", path=self.path)
        told = self.parse("manifest.json", raw)
        shape = {
            "departement": dict,
            "exported_at": str,
            "files": dict,
            "format": str,
            "origin": str,
            "root": str,
            "size": int,
        }
        if not isinstance(told, dict) or any(
            not isinstance(told.get(name), kind) for name, kind in shape.items()
        ):
            raise self.unusable("manifest_malformed")
        place = told["departement"]
        if any(
            not isinstance(place.get(n), str) for n in ("code", "host", "name", "timezone")
        ):
            raise self.unusable("manifest_malformed")
        if told["format"] != FORMAT:
            raise self.unusable("format_unknown", format=told["format"][:40], ours=FORMAT)
        listed = {*told["files"], "manifest.json", "manifest.sha256"}
        for name in sorted(listed if self._zip is None else listed ^ self._names):
            if not NAME.fullmatch(name) or (name in listed and not self._there(name)):
                raise Wrong("file_missing", name=name)
            if name not in listed:
                raise Wrong("file_extra", name=name)
        return told

    def _there(self, name: str) -> bool:
        if self._zip is not None:
            return name in self._names
        try:
            return stat.S_ISREG(os.lstat(self.path / name).st_mode)
        except OSError:
            return False

    def unusable(self, code: str, **facts: object) -> Unusable:
        """Say why this file is no coffre to work with."""
        return Unusable("unreadable", path=self.path, why=say(code, **facts))

    def damaged(self, name: str) -> Wrong:
        """Say that a file's bytes are not those that were packed."""
        return Wrong("damaged", name=name)

    def stream(self, name: str) -> io.BufferedReader:
        """Open a file for reading."""
        if not self._there(name):
            raise self.unusable("has_no", name=name)
        try:
            if self._zip is None:
                return (self.path / name).open("rb")
            return io.BufferedReader(self._zip.open(name), 1 << 18)  # type: ignore[arg-type]
        except DAMAGED:
            raise self.damaged(name) from None

    def read(self, name: str) -> bytes:
        """Return a whole file, checked against the manifest."""
        with self.stream(name) as file:
            try:
                raw = file.read(MOST_BYTES + 1)
            except DAMAGED:
                raise self.damaged(name) from None
        if len(raw) > MOST_BYTES:
            raise self.unusable("too_long", name=name)
        if self.manifest:
            self.compare(name, hashlib.sha256(raw).hexdigest(), len(raw))
        return raw

    def compare(self, name: str, digest: str, length: int) -> None:
        """Raise `Wrong` unless a file is what the manifest says."""
        if self.manifest["files"].get(name) != {"bytes": length, "sha256": digest}:
            raise self.damaged(name)

    def lines(self, name: str) -> Iterator[bytes]:
        """Yield the lines of a long file without their newlines, then compare it with the manifest."""
        digest, length = hashlib.sha256(), 0
        with self.stream(name) as file:
            while True:
                try:
                    line = file.readline(LINE_BYTES)
                except DAMAGED:
                    raise self.damaged(name) from None
                if not line:
                    break
                digest.update(line)
                length += len(line)
                yield line[:-1] if line.endswith(b"\n") else line + b"?"
        self.compare(name, digest.hexdigest(), length)

    def parse(self, name: str, raw: bytes) -> Any:
        """Read JSON."""
        try:
            return json.loads(raw)
        except (ValueError, RecursionError):
            raise self.unusable("not_json", name=name) from None

    def read_text(self, name: str) -> str:
        """Return a file of text."""
        try:
            return self.read(name).decode()
        except UnicodeDecodeError:
            raise self.unusable("not_text", name=name) from None


# ------------------------------------------------------------- the rules, replayed entry by entry

FIELDS = (
    "act",
    "actor",
    "at",
    "cents",
    "credit",
    "debit",
    "facts",
    "id",
    "kind",
    "on",
    "recorded",
    "right",
    "v",
)
IDENTIFIER = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?Z")
# Two acts under way at once may each have been decided before the other: a rule that was replaced
# less than ten minutes before is still accepted.
AT_ONCE = 600
# How sure it is that a person belongs to a public.
PROOFS = ("declared", "attested", "document_seen", "data_exchange")
# Days after which a hand-out is not recorded any more, where its tranche says nothing.
LATE_DAYS = 31
MOST_RANKS = 20_000
MOST_CARNETS = 1_000_000
STOCK, CIRCULATING, REDEEMED, BLOCKED, DEAD, REPLACED, VOIDED = 1, 2, 3, 4, 5, 6, 7
STAGES = {"stock": STOCK, "circulating": CIRCULATING}
STATES = ("available", "stock", "circulating", "due", "blocked", "lapsed", "paid")
# The kinds of entries that may move money or use a right up; any other that does is wrong.
MOVES = {
    "committed",
    "vouchers_made",
    "order_activated",
    "order_taken_over",
    "handed_out",
    "hand_out_replaced",
    "replaced",
    "redeemed",
    "undone",
    "blocked",
    "lapsed",
    "disputed",
    "key_revoked",
    "print_batch_made",
    "transfer_sent",
    "transfer_received",
    "stock_counted",
    "attestation_filed",
    "misprints_voided",
    "voided",
    "proof_approved",
    "order_cancelled",
}
# What the files of reference repeat from the journal, for whoever reads it.
# fmt: off
REFERENCE = {
    "call_opened": "calls", "convention_signed": "conventions", "convention_extended": "conventions",
    "programme_started": "programmes", "programme_suspended": "programmes", "tranche_opened": "tranches",
    "calendar_amended": "tranches", "shares_changed": "tranches", "order_placed": "orders",
    "order_activated": "orders", "hand_out_replaced": "orders", "vouchers_made": "serials", "desk_opened": "prescribers",
    "site_kept": "sites", "accredited": "accreditations", "accreditation_ended": "accreditations",
    "print_batch_made": "orders", "proof_approved": "orders", "order_cancelled": "orders",
    "order_taken_over": "orders",
    "keys_made": "keys", "key_revoked": "keys", "log_key_made": "keys", "log_key_ended": "keys",
}
# fmt: on


class Order:
    """An order: its passes, side by side, each with its state, its hand-out, its uses, and the last one's place."""

    def __init__(self, tranche: Tranche, told: Facts) -> None:
        self.tranche, self.number = tranche, told["order"]
        self.first, self.carnets, self.size = (
            told["first_carnet"],
            told["carnets"],
            told["carnet_size"],
        )
        self.face, self.specimen, self.active = told["face_cents"], told["specimen"], False
        self.replaces, self.foreign = "replaces" in told, "operator" in told
        self.voided, self.cancelled = 0, False
        # The key that signs it, where it is told.
        self.key: int | None = told.get("key_id")
        # What was seen and approved before paper was printed, by kind of paper.
        self.proofs: dict[str, list[Any]] = {}
        count = self.carnets * self.size
        self.state, self.spends = bytearray(count), bytearray(count)
        self.spent_at, self.given_at, self.segment = (
            array("Q", bytes(8 * count)),
            array("Q", bytes(8 * count)),
            array("L", bytes(array("L").itemsize * count)),
        )
        self.active_on = ""
        # Where its carnets are: a desk, the number of the transfer they are on the way with, or the store.
        self.desks: dict[int, str | int] = {}
        # Passes scanned before their hand-out was written down.
        self.awaited: set[int] = set()
        self.lapsed: set[str] = set()

    def serial(self, departement: str, place: int) -> str:
        """Return the public number of a pass."""
        return (
            f"{departement}-{self.first + place // self.size:06d}-{place % self.size + 1}"
        )


class Tranche(NamedTuple):
    """A tranche as it was opened; `versions` of its shares grow."""

    told: Facts
    versions: list[tuple[str, int, list[tuple[str, str, int]]]]
    areas: Sequence[str]


class Segment:
    """A share version with one set of open windows, and its net cents so far."""

    def __init__(
        self,
        tranche: int,
        version: int,
        opened: list[str],
        shares: list[tuple[str, str, int]],
    ) -> None:
        self.key, self.shares, self.cents = (tranche, version, ",".join(opened)), shares, 0

    def part(self, place: int, cents: int) -> int:
        """Return what falls to one funder of this many cents: the difference of two floors."""
        weights = [weight for _, _, weight in self.shares]
        whole, after = sum(weights), sum(weights[place + 1 :])
        return cents * (after + weights[place]) // whole - cents * after // whole


def look(f: Facts) -> list[Any]:
    """Return what stands on a sheet beside its passes, as a proof or a print batch tells it."""
    names = ("template", "template_version", "template_sha256", "publicity")
    return [*(f[name] for name in names), f.get("logos", [])]


def arranged(shares: list[tuple[str, str, int]]) -> list[tuple[str, str, int]]:
    """Put the funders in order: département, State, others by code, EU last."""
    rank = {"DEPARTMENT": 0, "STATE": 1}
    return sorted(
        shares, key=lambda s: (3 if s[1].startswith("EU_") else rank.get(s[1], 2), s[0])
    )


def siren_in(siret: str | None) -> str | None:
    """Return the organisation of a SIRET; nothing of what is none."""
    return siret[:9] if siret and re.fullmatch("[0-9]{14}", siret) else None


def time_zone(name: str) -> tzinfo | None:
    """Return a time zone; nothing where this machine knows none."""
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return None


class Replay:
    """The journal read from its beginning; what is left at the end is what the figures must say."""

    def __init__(
        self, departement: str, zone_name: str, origin: str, leaves: bytes
    ) -> None:
        self.origin, self.leaves = origin, leaves
        self.departement, self.index, self.remarks = departement, 0, Counter()  # type: str, int, Counter[str]
        self.kinds: Counter[str] = Counter()
        self.zone = time_zone(zone_name)
        self._local_days: dict[str, str] = {}
        self.seen: dict[bytes, int] = {}
        self.without_first: dict[str, int] = {}
        self.rights: dict[tuple[str, str, int], int] = {}
        self.books: dict[str, list[int]] = {}
        self.now = self.latest = 0.0
        self.first_day = self.last_day = ""
        self.reference: dict[str, list[bytes]] = {
            name: [] for name in sorted(set(REFERENCE.values()))
        }
        self.calls: list[str] = []
        self.conventions: dict[str, Facts] = {}
        self.programmes: set[str] = set()
        self.tranches: dict[int, Tranche] = {}
        self.by_code: dict[str, Tranche] = {}
        self.orders: dict[int, Order] = {}
        self._firsts: list[int] = []
        self._ranges: list[Order] = []
        self.reserved: Counter[int] = Counter()
        self.disputes: Counter[int] = Counter()
        self.desks: dict[str, list[str]] = {}
        self.siren_of: dict[str, str | None] = {}
        # What a desk gave on its word and no signed paper covers yet: the day of each hand-out.
        self.unattested: dict[str, dict[str, str]] = defaultdict(dict)
        self.held: dict[str, set[int]] = defaultdict(set)
        self.transfers: dict[int, tuple[Order, str | None, str | None]] = {}
        self.sent: dict[int, set[int]] = {}
        self.site_ids: dict[str, int] = {}
        self.workshops: dict[str, tuple[int, str]] = {}
        self.kept: dict[str, tuple[str, str, str]] = {}
        self.replacing: dict[str, tuple[str, str, int, float]] = {}
        self.voiding: dict[str, tuple[str, int, float]] = {}
        self.log_keys: list[str] = []
        self.ended_keys: set[str] = set()
        self.voucher_keys: dict[int, str] = {}
        self.specimen_keys: set[int] = set()
        self.revoked: dict[int, float] = {}
        self.stopped: dict[int, float] = {}
        self.policy = ""
        self._dated: dict[tuple[Any, ...], list[tuple[float, Any]]] = {}
        self._admitted: set[tuple[Any, ...]] = set()
        self._current: dict[tuple[int, str], int] = {}
        self.segments: list[Segment] = []
        self._segment_of: dict[tuple[int, int, str], int] = {}

    def entry(self, line: bytes) -> None:
        """Take one entry in, or raise `Wrong`."""
        try:
            text = line.decode()
            e = read_json(text)
            if write_json(e) != text:
                raise Wrong("not_canonical")
            self._form(e)
            self._days(e)
            kind = e["kind"]
            if kind not in MOVES:
                self._be(e, None, None, 0)
            getattr(self, "_on_" + kind, self._on_other)(e, e["facts"])
            self._post(e)
        except (
            KeyError,
            TypeError,
            ValueError,
            IndexError,
            AttributeError,
            OverflowError,
            RecursionError,
        ) as odd:
            raise Wrong("odd_shape", odd=odd) from None
        self.kinds[kind] += 1
        if kind in REFERENCE:
            told = {"entry": self.index, "facts": e["facts"], "kind": kind, "on": e["on"]}
            self.reference[REFERENCE[kind]].append(canonical(told))
        self.index += 1

    def _form(self, e: Facts) -> None:
        identifier, act, cents = e["id"], e["act"], e["cents"]
        if tuple(e) != FIELDS or e["v"] != 1 or not e["kind"].isidentifier():
            raise Wrong("odd_fields")
        if not (
            IDENTIFIER.fullmatch(identifier)
            and (act == identifier or IDENTIFIER.fullmatch(act))
        ):
            raise Wrong("odd_id")
        raw = bytes.fromhex(identifier.replace("-", ""))
        if self.seen.setdefault(raw, self.index) != self.index:
            raise Wrong("id_twice", n=self.seen[raw])
        if act != identifier:
            named = bytes.fromhex(act.replace("-", ""))
            if not any(derived_id(named, rank) == raw for rank in range(1, MOST_RANKS)):
                raise Wrong("id_of_no_act")
            if named not in self.seen:
                self.without_first.setdefault(act, self.index)
        elif self.without_first:
            self.without_first.pop(act, None)
        two_sides = (
            e["credit"] is not None and e["debit"] is not None and e["credit"] != e["debit"]
        )
        no_side = e["credit"] is None and e["debit"] is None
        if type(cents) is not int or cents < 0 or not (two_sides if cents else no_side):
            raise Wrong("money_has_two_sides")

    def _days(self, e: Facts) -> None:
        at, on, recorded = e["at"], e["on"], e["recorded"]
        self.now = seconds(recorded)
        if at != recorded and seconds(at) > self.now:
            raise Wrong("happened_after_recorded")
        today = self.local_day(recorded)
        of_workshop = e["kind"] in ("redeemed", "kept", "disputed", "workshop_opened")
        late = e["kind"] == "handed_out" and e["facts"].get("recorded_late", False)
        if on != today:
            slack = 1 if self.zone is None else 0
            if (
                on > shifted(today, slack)
                or (not of_workshop and not late and on < shifted(today, -slack))
                or date.fromisoformat(on).isoformat() != on
            ):
                raise Wrong("odd_day", on=on, today=today)
        if self.now < self.latest - AT_ONCE:
            self.remarks["clock"] += 1
        self.latest = max(self.latest, self.now)
        self.first_day, self.last_day = self.first_day or today, max(self.last_day, today)

    def local_day(self, instant: str) -> str:
        """Return the civil day of an instant in the département."""
        if self.zone is None:
            return instant[:10]
        key = instant[:15]  # ten minutes: no time zone changes within
        if key not in self._local_days:
            at = datetime.strptime(key + "0", "%Y-%m-%dT%H:%M").replace(tzinfo=timezone.utc)
            self._local_days[key] = at.astimezone(self.zone).date().isoformat()
        return self._local_days[key]

    def _post(self, e: Facts) -> None:
        right = e["right"]
        if right is not None:
            uses, subject, turn = right
            # The rights of passes are in the state of the pass; others are few.
            if uses not in ("spend", "undo"):
                taken = self.rights.setdefault((uses, subject, turn), self.index)
                before = {"revive": ("lapse", turn - 1), "lapse": ("revive", turn)}.get(
                    uses
                )
                if taken != self.index:
                    raise Wrong("right_used", n=taken)
                if (
                    type(turn) is not int
                    or turn < 0
                    or (
                        before
                        and (uses, turn) != ("lapse", 0)
                        and (before[0], subject, before[1]) not in self.rights
                    )
                ):
                    raise Wrong("right_early")
        if not e["cents"]:
            return
        for side, name in enumerate((e["debit"], e["credit"])):
            book = self.books.setdefault(name, [0, 0])
            book[side] += e["cents"]
            if side and book[0] < book[1] and not name.startswith("committed/"):
                raise Wrong("below_zero", name=name)

    # Each kind of entry has its rule; what a rule does not expect is wrong.

    def _on_other(self, e: Facts, _f: Facts) -> None:
        self.remarks["kind " + e["kind"]] += 1

    def _be(
        self,
        e: Facts,
        credit: str | None,
        debit: str | None,
        cents: int,
        right: list[Any] | None = None,
    ) -> None:
        told = (credit, debit, cents) if cents else (None, None, 0)
        if (e["credit"], e["debit"], e["cents"]) != told:
            raise Wrong(
                "moves_other", found=(e["credit"], e["debit"], e["cents"]), expected=told
            )
        if e["right"] != right:
            raise Wrong("uses_other", found=e["right"], expected=right)

    def _set(self, key: tuple[Any, ...], value: Any) -> None:
        self._dated.setdefault(key, []).append((self.now, value))
        self._admitted.clear()
        self._current.clear()

    def _in_force(self, key: tuple[Any, ...]) -> Any:
        """Return what holds now; nothing if nothing was said."""
        rows = self._dated.get(key)
        return rows[-1][1] if rows else None

    def _seen_then(self, key: tuple[Any, ...]) -> Iterator[Any]:
        """Yield what holds now, then what an act under way at that instant may still have seen."""
        for at, value in reversed(self._dated.get(key, [])):
            yield value
            if at < self.now - AT_ONCE:
                return

    def _on_call_opened(self, e: Facts, f: Facts) -> None:
        self.calls.append(unique(f["call"], self.calls))

    def _on_convention_signed(self, e: Facts, f: Facts) -> None:
        self.conventions[unique(f["code"], self.conventions)] = f
        self._set(("window", f["code"]), (f["opens_on"], f["closes_on"]))

    def _on_convention_extended(self, e: Facts, f: Facts) -> None:
        known(f["convention"], self.conventions)
        self._set(("window", f["convention"]), (f["opens_on"], f["closes_on"]))

    def _on_programme_started(self, e: Facts, f: Facts) -> None:
        self.programmes.add(unique(f["programme"], self.programmes))
        self._set(("suspended", f["programme"]), {})

    def _on_programme_suspended(self, e: Facts, f: Facts) -> None:
        key = ("suspended", known(f["programme"], self.programmes))
        self._set(key, {**self._in_force(key), f["starts_on"]: f["ends_on"]})

    def _on_tranche_opened(self, e: Facts, f: Facts) -> None:
        known(f["programme"], self.programmes), known(f["call"], self.calls)
        tranche = Tranche(f, [], f["territory"])
        self.tranches[unique(f["number"], self.tranches)] = tranche
        self.by_code[unique(f["code"], self.by_code)] = tranche
        self._set(("calendar", f["number"]), f["calendar"])
        self._add_shares(tranche, f["shares"], "")

    def _add_shares(self, tranche: Tranche, shares: dict[str, int], from_day: str) -> None:
        funders = [
            (code, self.conventions[code]["funder"], weight)
            for code, weight in shares.items()
        ]
        in_order, face, whole = (
            arranged(funders),
            tranche.told["face_cents"],
            sum(shares.values()),
        )
        if (
            [f for _, f, _ in funders].count("DEPARTMENT") != 1
            or sum(f.startswith("EU_") for _, f, _ in funders) > 1
            or any(
                self.conventions[code]["call"] != tranche.told["call"] for code in shares
            )
            or any(w < 0 or 0 < face * w < whole for w in shares.values())
            or whole <= 0
        ):
            raise Wrong("shares_impossible")
        tranche.versions.append((from_day, len(tranche.versions) + 1, in_order))
        self._current.clear()

    def _on_shares_changed(self, e: Facts, f: Facts) -> None:
        self._add_shares(self.by_code[f["tranche"]], f["shares"], f["from_day"])

    def _on_calendar_amended(self, e: Facts, f: Facts) -> None:
        self._set(("calendar", self.by_code[f["tranche"]].told["number"]), f["calendar"])

    def _on_committed(self, e: Facts, f: Facts) -> None:
        number, tranche = f["tranche"], self.tranches[f["tranche"]]
        shares = tranche.versions[0][2]
        place = [code for code, _, _ in shares].index(f["convention"])
        cents = Segment(number, 1, [], shares).part(place, tranche.told["envelope_cents"])
        self._be(
            e,
            "committed/{}/{}".format(number, f["convention"]),
            f"available/{number}",
            cents,
        )
        unique(e["credit"], self.books)

    def _on_order_placed(self, e: Facts, f: Facts) -> None:
        tranche = self.tranches[f["tranche"]]
        order = Order(tranche, f)
        value = 0 if order.specimen else order.carnets * order.size * order.face
        told = (tranche.told["carnet_size"], tranche.told["face_cents"], value)
        if (order.size, order.face, f["reserved_cents"]) != told or order.carnets < 1:
            raise Wrong("order_impossible")
        self._sign(order)
        self._reserve(tranche, value)
        self._number(order)

    def _sign(self, order: Order) -> None:
        """An order that tells its key names one that was made for such paper, and is trusted."""
        if order.key is not None:
            known(order.key, self.specimen_keys if order.specimen else self.voucher_keys)
            if order.key in self.revoked:
                raise Wrong("made_by_revoked_key")

    def _reserve(self, tranche: Tranche, cents: int) -> None:
        """Set money of a tranche aside, never more than its envelope."""
        number = tranche.told["number"]
        self.reserved[number] += cents
        if self.reserved[number] > tranche.told["envelope_cents"]:
            raise Wrong("envelope_exceeded", t=tranche.told["code"])

    def _on_order_taken_over(self, e: Facts, f: Facts) -> None:
        """Carnets of a former operator are honoured: their value set aside, in stock and good at once."""
        tranche = self.tranches[f["tranche"]]
        order, number = Order(tranche, f), f["tranche"]
        value = order.carnets * order.size * order.face
        told = (tranche.told["face_cents"], False, value)
        first, last = f["orders"]
        if (
            (order.face, order.specimen, f["reserved_cents"]) != told
            or order.carnets < 1
            or not 1 <= order.size <= 255
            or not first <= order.number <= last
            or not all(f[name] for name in ("operator", "commitment_number"))
        ):
            raise Wrong("order_impossible")
        basis = tranche.told.get("activated_on", "commitment")
        if f.get("basis", "commitment") != basis:
            raise Wrong("active_otherwise", basis=basis)
        if not any(
            e["on"] <= f["use_by"] <= days["use_by"]
            for days in self._seen_then(("calendar", number))
        ):
            raise Wrong("takes_over_late", day=f["use_by"])
        self._reserve(tranche, value)
        self._number(order)
        self._list(f, [order.serial(self.departement, place) for place in range(len(order.state))])
        right = ["activate", f"order/{order.number}", 0]
        self._be(e, f"available/{number}", f"stock/{number}", value, right)
        order.state[:] = bytes([STOCK]) * len(order.state)
        order.active, order.active_on = True, e["on"]

    def _number(self, order: Order) -> None:
        """Take an order in under its number, and its carnets under theirs."""
        unique(order.number, self.orders)
        place = bisect_right(self._firsts, order.first)
        before, after = self._ranges[place - 1 : place], self._ranges[place : place + 1]
        if any(o.first + o.carnets > order.first for o in before) or any(
            order.first + order.carnets > o.first for o in after
        ):
            raise Wrong("carnets_exist")
        self._firsts.insert(place, order.first)
        self._ranges.insert(place, order)
        self.orders[order.number] = order

    def _on_vouchers_made(self, e: Facts, f: Facts) -> None:
        order, book = (
            self.orders[f["order"]],
            self.orders[f["order"]].tranche.told["number"],
        )
        first, end = (
            (f["first_carnet"] - order.first) * order.size,
            (f["last_carnet"] + 1 - order.first) * order.size,
        )
        if (
            not 0 <= first < end <= len(order.state)
            or any(order.state[first:end])
            or f["count"] != end - first
        ):
            raise Wrong("made_twice")
        if self.stopped.get(order.number, self.now) < self.now - AT_ONCE:
            raise Wrong("made_by_revoked_key")
        if "stock" in order.lapsed:
            raise Wrong("made_after_lapse")
        if order.cancelled:
            raise Wrong("made_after_cancel")
        self._list(
            f, [order.serial(self.departement, place) for place in range(first, end)]
        )
        cents = 0 if order.specimen else (end - first) * order.face
        right = ["make", "order/{}/{}".format(order.number, f["piece"]), 0]
        self._be(e, f"available/{book}", f"stock/{book}", cents, right)
        order.state[first:end] = bytes([STOCK]) * (end - first)

    def _list(self, f: Facts, serials: list[str]) -> None:
        told = hashlib.sha256(
            "".join(serial + "\n" for serial in serials).encode()
        ).hexdigest()
        if (f["count"], f["serials_sha256"]) != (len(serials), told):
            raise Wrong("other_passes", n=len(serials))

    def _on_order_activated(self, e: Facts, f: Facts) -> None:
        order = self.orders[f["order"]]
        self._be(e, None, None, 0, ["activate", f"order/{order.number}", 0])
        if not (any(order.state) if order.cancelled else all(order.state)):
            raise Wrong("active_too_early")
        # Before tranches said which number they ask for, all asked for that of the commitment.
        asked = order.tranche.told.get("activated_on", "commitment")
        if f.get("basis", "commitment") != asked or not f["commitment_number"]:
            raise Wrong("active_otherwise", basis=asked)
        order.active, order.active_on = True, e["on"]

    def _on_order_cancelled(self, e: Facts, f: Facts) -> None:
        """What is not made goes back to the tranche, and is never made."""
        order = self.orders[f["order"]]
        self._be(e, None, None, 0, ["cancel", f"order/{order.number}", 0])
        left = order.state.count(0)
        cents = 0 if order.specimen else left * order.face
        told = (order.tranche.told["number"], left // order.size, cents)
        if (f["tranche"], f["carnets_not_made"], f["released_cents"]) != told or not left:
            raise Wrong("cancels_other")
        self.reserved[f["tranche"]] -= cents
        order.cancelled = True

    def _on_proof_approved(self, e: Facts, f: Facts) -> None:
        order, kind = self.orders[f["order"]], f["kind"]
        uses, subject, turn = e["right"]
        self._be(e, None, None, 0, ["approve_proof", f"order/{order.number}/{kind}", turn])
        if turn and (uses, subject, turn - 1) not in self.rights:
            raise Wrong("right_early")
        if kind not in ("pdf", "shop") or order.specimen or order.replaces or order.foreign:
            raise Wrong("approves_other")
        order.proofs[kind] = look(f)

    def _on_print_batch_made(self, e: Facts, f: Facts) -> None:
        order, turn = self.orders[f["order"]], f["batch"] - 1
        if order.foreign:
            raise Wrong("prints_foreign")
        self._be(e, None, None, 0, ["print", f"order/{order.number}", turn])
        if turn and ("print", f"order/{order.number}", turn - 1) not in self.rights:
            raise Wrong("right_early")
        first, last = f["first_carnet"], f["last_carnet"]
        places = range((first - order.first) * order.size, (last + 1 - order.first) * order.size)
        if not order.first <= first <= last < order.first + order.carnets or not all(
            order.state[place] for place in places
        ):
            raise Wrong("prints_other")
        # Of specimens and of what replaces a lost carnet, and on a telephone, nobody approves a proof.
        free = f["kind"] == "phone" or order.specimen or order.replaces
        # Nor of the orders of a tranche opened before there were proofs, until one is approved.
        free = free or not ("activated_on" in order.tranche.told or order.proofs)
        if not free and order.proofs.get(f["kind"]) != look(f):
            raise Wrong("prints_unapproved")

    def _on_desk_opened(self, e: Facts, f: Facts) -> None:
        self.desks[unique(f["code"], self.desks)] = f["programmes"]
        self.siren_of[f["code"]] = siren_in(f.get("siret"))

    def _on_delivered(self, e: Facts, f: Facts) -> None:
        order, carnets = (
            self.orders[f["order"]],
            range(f["first_carnet"], f["last_carnet"] + 1),
        )
        if (
            not carnets
            or carnets[0] < order.first
            or carnets[-1] >= order.first + order.carnets
        ):
            raise Wrong("delivers_other")
        known(order.tranche.told["programme"], self.desks[f["desk"]])
        if any(isinstance(order.desks.get(carnet), int) for carnet in carnets):
            raise Wrong("on_the_way")
        self._bring(order, carnets, f["desk"])

    def _bring(self, order: Order, carnets: Sequence[int], to: str | int | None) -> None:
        """Put carnets with a holder, or on the way; nothing stands for the central store."""
        for carnet in carnets:
            before = order.desks.pop(carnet, None)
            if isinstance(before, str):
                self.held[before].discard(carnet)
            if isinstance(to, str):
                self.held[to].add(carnet)
            if to is not None:
                order.desks[carnet] = to

    def _some_left(self, order: Order, carnet: int) -> bool:
        """Tell whether a pass of a carnet is in stock, and not lapsed."""
        first = (carnet - order.first) * order.size
        return STOCK in order.state[first : first + order.size] and "stock" not in order.lapsed

    def _on_transfer_sent(self, e: Facts, f: Facts) -> None:
        order, number, carnets = self.orders[f["order"]], f["transfer"], listed(f["carnets"])
        self._be(e, None, None, 0, ["send", f"transfer/{number}", 0])
        if f["to"] is not None:
            known(order.tranche.told["programme"], self.desks[f["to"]])
        if f["from"] == f["to"] or f["count"] != len(carnets) or type(number) is not int:
            raise Wrong("sends_other")
        for carnet in carnets:
            if not (
                order.first <= carnet < order.first + order.carnets
                and order.desks.get(carnet) == f["from"]
                and self._some_left(order, carnet)
            ):
                raise Wrong("sends_other")
        self.transfers[unique(number, self.transfers)] = (order, f["from"], f["to"])
        self.sent[number] = set(carnets)
        self._bring(order, carnets, number)

    def _on_transfer_received(self, e: Facts, f: Facts) -> None:
        order, *ends = self.transfers[known(f["transfer"], self.transfers)]
        subject, carnets, waiting = (
            "transfer/{}".format(f["transfer"]),
            listed(f["carnets"]),
            self.sent[f["transfer"]],
        )
        turn = e["right"][2]
        self._be(e, None, None, 0, ["receive", subject, turn])
        if turn and ("receive", subject, turn - 1) not in self.rights:
            raise Wrong("right_early")
        told = (f["order"], f["count"], len(waiting) > 0)
        if told != (order.number, len(carnets), True) or f["at"] not in ends:
            raise Wrong("receives_other")
        waiting.difference_update(known(carnet, waiting) for carnet in carnets)
        if listed(f["missing"]) != sorted(waiting):
            raise Wrong("receives_other")
        self._bring(order, carnets, f["at"])

    def _pass(self, serial: str) -> tuple[Order, int]:
        _, carnet, rank = serial.split("-")
        order = self._order_of(int(carnet))
        place = (int(carnet) - order.first) * order.size + int(rank) - 1
        if (
            not 0 <= place < len(order.state)
            or order.serial(self.departement, place) != serial
        ):
            raise Wrong("no_such_pass", serial=serial)
        return order, place

    def _on_handed_out(self, e: Facts, f: Facts) -> None:
        order, book = self.orders[f["order"]], f["tranche"]
        for serial in f["serials"]:
            found, place = self._pass(serial)
            at_desk = order.desks.get(order.first + place // order.size) == f["desk"]
            if found is not order or order.state[place] != STOCK or not at_desk:
                raise Wrong("not_at_desk", serial=serial)
            order.state[place], order.given_at[place] = CIRCULATING, self.index
        if (
            not order.active
            or order.specimen
            or order.lapsed
            or order.tranche.told["number"] != book
        ):
            raise Wrong("order_not_ready")
        if not any(
            e["on"] <= days["hand_out_stop"] for days in self._seen_then(("calendar", book))
        ):
            raise Wrong("handed_out_late")
        self._list(f, f["serials"])
        carnets = sorted({int(serial.split("-")[1]) for serial in f["serials"]})
        if f["carnets"] != carnets or type(f["pic"]) is not bool or f["proof"] not in PROOFS:
            raise Wrong("hands_out_oddly")
        self._given_then(e, f, order)
        self._be(e, f"stock/{book}", f"circulating/{book}", f["count"] * order.face)
        if f["proof"] == "attested":
            self.unattested[f["desk"]][e["id"]] = e["on"]

    def _on_attestation_filed(self, e: Facts, f: Facts) -> None:
        """A paper covers what its desk gave on its word on these days, and no paper before it."""
        first, last = (date.fromisoformat(f[day]).isoformat() for day in ("from", "until"))
        self._be(e, None, None, 0, ["attest", f["sha256"], 0])
        waiting = self.unattested[known(f["desk"], self.desks)]
        covered = sorted((on, one) for one, on in waiting.items() if first <= on <= last)
        told = hashlib.sha256("".join(one + "\n" for _, one in covered).encode()).hexdigest()
        if (
            not covered
            or (f["hand_outs"], f["hand_outs_sha256"]) != (len(covered), told)
            or (f["from"], f["until"]) != (first, last)
            or not re.fullmatch("[0-9a-f]{64}", f["sha256"])
            or type(f["size"]) is not int
            or f["size"] < 1
        ):
            raise Wrong("attests_other")
        for _, one in covered:
            del waiting[one]

    def _given_then(self, e: Facts, f: Facts, order: Order) -> None:
        """A hand-out is of today, or says that it was recorded late, within the days of its tranche."""
        rules, today = order.tranche.told.get("hand_out", {}), self.local_day(e["recorded"])
        slack, late = (1 if self.zone is None else 0), f.get("recorded_late", False)
        if type(late) is not bool or (late and (
            e["on"] > shifted(today, slack - 1)
            or e["on"] < shifted(today, -rules.get("late_days", LATE_DAYS) - slack)
            or e["on"] < shifted(order.active_on, -slack)
        )):
            raise Wrong("recorded_too_late", on=e["on"], today=today)
        if f.get("device_clock") not in (None, "ahead", "behind"):
            raise Wrong("odd_shape", odd=f["device_clock"])
        despite, at_site = f.get("despite_limit"), f.get("at_site")
        if despite is not None and (
            despite not in ("other_person", "decided") or rules.get("limit_per_person") is None
        ):
            raise Wrong("no_limit_to_pass", found=despite)
        if at_site is not None:
            known(("site", at_site), self._dated)
            own = self.siren_of[f["desk"]]
            there = own is not None and own in self._seen_then(("siren", at_site))
            if not there and rules.get("at_sites") is not True:
                raise Wrong("gives_elsewhere", site=at_site)

    def _on_hand_out_replaced(self, e: Facts, f: Facts) -> None:
        """What is left of a hand-out ends, and as many passes of a new order take its place, handed out."""
        old, order = self.orders[f["from_order"]], Order(self.orders[f["from_order"]].tranche, f)
        if not old.active or old.specimen or "circulating" in old.lapsed:
            raise Wrong("order_not_ready")
        told = (f["tranche"], order.face, order.specimen, order.carnets, order.size)
        count = len(f["replaces"])
        if told != (old.tranche.told["number"], old.face, False, 1, count) or not count:
            raise Wrong("order_impossible")
        if not any(
            e["on"] <= days["tolerance_until"]
            for days in self._seen_then(("calendar", f["tranche"]))
        ):
            raise Wrong("replaced_late")
        given_at = self.seen.get(bytes.fromhex(f["hand_out"].replace("-", "")), 0)
        serials = [order.serial(self.departement, place) for place in range(count)]
        if f["serials"] != serials:
            raise Wrong("other_passes", n=count)
        self._list(f, serials)
        known(f["desk"], self.desks)
        for serial, new in zip(f["replaces"], serials):
            found, place = self._pass(serial)
            if found is not old or old.state[place] != CIRCULATING or old.given_at[place] != given_at:
                raise Wrong("replaces_other", serial=serial)
            old.state[place], old.spent_at[place] = REPLACED, self.index
            self.replacing[serial] = (e["act"], new, self.index, self.now)
        self._be(e, None, None, 0, ["activate", f"order/{order.number}", 0])
        self._sign(order)
        self._number(order)
        order.state[:] = bytes([CIRCULATING]) * count
        order.given_at[:] = array("Q", [given_at]) * count
        order.active = True

    def _on_replaced(self, e: Facts, f: Facts) -> None:
        order, place = self._pass(f["serial"])
        act, new, _, _ = self.replacing.pop(f["serial"], ("", "", 0, 0.0))
        if (act, new, f["tranche"]) != (e["act"], f["replaced_by"], order.tranche.told["number"]):
            raise Wrong("replaces_other", serial=f["serial"])
        self._be(e, None, None, 0, ["spend", f["serial"], order.spends[place]])
        order.spends[place] += 1

    def _on_site_kept(self, e: Facts, f: Facts) -> None:
        told, number = f["details"], f["site"]
        if self.site_ids.setdefault(told["id"], number) != number:
            raise Wrong("site_twice")
        insee, postcode = told["code_insee"], told["code_postal"]
        code = insee or postcode
        area = code[:3] if code.startswith(("97", "98")) else code[:2]
        if not insee and postcode.startswith("20"):
            area = "2A" if postcode.startswith(("200", "201")) else "2B"
        self._set(("site", number), (insee, area))
        self._set(("siren", number), siren_in(told["pivot"]))

    def _on_accredited(self, e: Facts, f: Facts) -> None:
        known(("site", f["site"]), self._dated), known(f["programme"], self.programmes)
        key = ("accredited", f["site"], f["programme"])
        rows = self._in_force(key) or ()
        if rows and rows[-1][1] >= f["valid_from"]:
            raise Wrong("accredited_twice")
        self._set(key, (*rows, (f["valid_from"], f["valid_until"])))

    def _on_accreditation_ended(self, e: Facts, f: Facts) -> None:
        key = ("accredited", f["site"], f["programme"])
        rows = list(self._in_force(key))
        for place in f.get("ended", [len(rows) - 1]):
            rows[place] = (rows[place][0], f["last_day"])
        self._set(key, tuple(rows))

    def _on_workshop_opened(self, e: Facts, f: Facts) -> None:
        known(("site", f["site"]), self._dated)
        self.workshops[unique(f["workshop"], self.workshops)] = (f["site"], e["on"])

    def _on_redeemed(self, e: Facts, f: Facts) -> None:
        serial, number = f["serial"], f["tranche"]
        order, place = self._pass(serial)
        if order.state[place] in (REDEEMED, BLOCKED, REPLACED, VOIDED):
            raise Wrong("spent_twice", serial=serial, n=order.spent_at[place])
        if (
            order.state[place] != CIRCULATING
            or not order.active
            or order.specimen
            or "circulating" in order.lapsed
        ):
            raise Wrong("not_circulating", serial=serial)
        if (f["cents"], f["order"], number) != (
            order.face,
            order.number,
            order.tranche.told["number"],
        ):
            raise Wrong("other_worth")
        self._admit(e, f, order.tranche)
        accounts = f"circulating/{number}", "due/{}/{}".format(number, f["site"])
        self._be(e, *accounts, order.face, ["spend", serial, order.spends[place]])
        order.state[place], order.spent_at[place] = REDEEMED, self.index
        order.spends[place] += 1
        order.segment[place] = self._segment(order.tranche, e["on"])
        self.segments[order.segment[place]].cents += e["cents"]

    def _admit(self, e: Facts, f: Facts, tranche: Tranche) -> None:
        """Raise `Wrong` unless this workshop could accept passes of this tranche, received that day."""
        heard = e["recorded"]
        if "scan" in f:  # it waited for its hand-out, and was heard of before
            serial, workshop, heard = self.kept[f["scan"]]
            if (serial, workshop) != (f["serial"], f["workshop"]):
                raise Wrong("other_scan")
        day, site, received = e["on"], f["site"], self.local_day(heard)
        key = (tranche.told["number"], f["workshop"], site, day, received)
        if key in self._admitted:
            return
        if self.workshops.get(f["workshop"]) != (site, day):
            raise Wrong("no_such_workshop")
        late = -1 if self.zone is None else 0
        programme = tranche.told["programme"]
        rules: tuple[tuple[str, tuple[Any, ...], Callable[[Any], Any]], ...] = (
            (
                "too_late",
                ("calendar", key[0]),
                lambda c: (
                    day <= c["tolerance_until"]
                    and shifted(received, late) <= c["present_by"]
                ),
            ),
            (
                "not_accredited",
                ("accredited", site, programme),
                lambda rows: any(a <= day <= b for a, b in rows),
            ),
            (
                "suspended",
                ("suspended", programme),
                lambda spans: not any(a <= day <= (b or day) for a, b in spans.items()),
            ),
            (
                "outside_territory",
                ("site", site),
                lambda areas: not tranche.areas or {*tranche.areas} & {*areas},
            ),
        )
        for why, about, rule in rules:
            if not any(rule(value) for value in self._seen_then(about)):
                raise Wrong("spends_wrongly", serial=f["serial"], why=say(why))
        if all(rule(self._in_force(about)) for _, about, rule in rules):
            self._admitted.add(key)

    def _segment(self, tranche: Tranche, day: str) -> int:
        """Return the place of the segment of a use: the shares and the windows of its day, as known now."""
        number = tranche.told["number"]
        if (number, day) not in self._current:
            _, version, shares = max(v for v in tranche.versions if v[0] <= day)
            windows = [(code, self._in_force(("window", code))) for code, _, _ in shares]
            opened = [code for code, (first, last) in windows if first <= day <= last]
            key = (number, version, ",".join(sorted(opened)))
            if key not in self._segment_of:
                weights = [w if c in opened else 0 for c, _, w in shares[1:]]
                residual = sum(w for _, _, w in shares) - sum(weights)
                now = [(c, f, w) for (c, f, _), w in zip(shares, [residual, *weights])]
                self._segment_of[key] = len(self.segments)
                self.segments.append(Segment(number, version, sorted(opened), now))
            self._current[number, day] = self._segment_of[key]
        return self._current[number, day]

    def _on_undone(self, e: Facts, f: Facts) -> None:
        order, place = self._pass(f["serial"])
        undoes = self.seen.get(bytes.fromhex(f["undoes"].replace("-", "")))
        if order.state[place] != REDEEMED or undoes != order.spent_at[place]:
            raise Wrong("undoes_other", serial=f["serial"])
        book, lapsed = order.tranche.told["number"], "circulating" in order.lapsed
        if (f["lapsed"], f["tranche"]) != (lapsed, book):
            raise Wrong("other_tranche")
        back = "lapsed/{}/circulating" if lapsed else "circulating/{}"
        accounts = "due/{}/{}".format(book, f["site"]), back.format(book)
        self._be(e, *accounts, order.face, ["undo", f["serial"], order.spends[place] - 1])
        order.state[place] = DEAD if lapsed else CIRCULATING
        self.segments[order.segment[place]].cents -= e["cents"]

    def _on_blocked(self, e: Facts, f: Facts) -> None:
        order, place = self._pass(f["serial"])
        stage = {STOCK: "stock", CIRCULATING: "circulating"}.get(order.state[place])
        if stage is None or stage in order.lapsed:
            raise Wrong("not_to_block", serial=f["serial"])
        book, cents = order.tranche.told["number"], 0 if order.specimen else order.face
        right = ["spend", f["serial"], order.spends[place]]
        self._be(e, f"{stage}/{book}", f"blocked/{book}/{stage}", cents, right)
        order.state[place], order.spent_at[place] = BLOCKED, self.index
        order.spends[place] += 1

    def _on_stock_counted(self, e: Facts, f: Facts) -> None:
        """What was seen at a desk, beside what is there; the central store is counted while carnets are made."""
        subject, turn = "desk/{}".format(f["desk"]) if f["desk"] else "store", e["right"][2]
        self._be(e, None, None, 0, ["count", subject, turn])
        if turn and ("count", subject, turn - 1) not in self.rights:
            raise Wrong("right_early")
        seen, expected = listed(f["carnets"]), listed(f["expected_carnets"])
        differ = (sorted({*expected} - {*seen}), sorted({*seen} - {*expected}))
        if f["desk"] is not None:
            there = self.held[known(f["desk"], self.desks)]
            left = sorted(c for c in there if self._some_left(self._order_of(c), c))
        else:
            left = expected
        if (
            (listed(f["missing"]), listed(f["unexpected"])) != differ
            or (f["counted"], f["expected"]) != (len(seen), len(expected))
            or left != expected
        ):
            raise Wrong("counts_other")

    def _order_of(self, carnet: int) -> Order:
        return self._ranges[max(bisect_right(self._firsts, carnet) - 1, 0)]

    def _on_misprints_voided(self, e: Facts, f: Facts) -> None:
        """Whole carnets that nobody was given anything of end, pass by pass; their value can be ordered again."""
        order, first, last = self.orders[f["order"]], f["first_carnet"], f["last_carnet"]
        turn = e["right"][2]
        self._be(e, None, None, 0, ["void", f"order/{order.number}", turn])
        if turn and ("void", f"order/{order.number}", turn - 1) not in self.rights:
            raise Wrong("right_early")
        places = range((first - order.first) * order.size, (last + 1 - order.first) * order.size)
        value = 0 if order.specimen else len(places) * order.face
        told = (order.tranche.told["number"], len(places), value)
        if (
            not order.first <= first <= last < order.first + order.carnets
            or any(order.state[place] != STOCK or place in order.awaited for place in places)
            or "stock" in order.lapsed
            or (f["tranche"], f["count"], f["released_cents"]) != told
        ):
            raise Wrong("voids_other")
        for place in places:
            serial = order.serial(self.departement, place)
            self.voiding[serial] = (e["act"], self.index, self.now)
            order.state[place], order.spent_at[place] = VOIDED, self.index
        self.reserved[f["tranche"]] -= value
        order.voided += len(places)

    def _on_voided(self, e: Facts, f: Facts) -> None:
        order, place = self._pass(f["serial"])
        act, _, _ = self.voiding.pop(f["serial"], ("", 0, 0.0))
        book, cents = order.tranche.told["number"], 0 if order.specimen else order.face
        if (act, f["tranche"]) != (e["act"], book):
            raise Wrong("voids_other")
        right = ["spend", f["serial"], order.spends[place]]
        self._be(e, f"stock/{book}", f"available/{book}", cents, right)
        order.spends[place] += 1

    def _on_lapsed(self, e: Facts, f: Facts) -> None:
        order, stage = self.orders[f["order"]], f["stage"]
        book, wanted = order.tranche.told["number"], STAGES[f["stage"]]
        if not any(
            f["present_by"] == c["present_by"] < e["on"]
            for c in self._seen_then(("calendar", book))
        ):
            raise Wrong("lapses_early")
        if stage in order.lapsed:
            raise Wrong("lapsed_twice")
        self._list(
            f,
            sorted(
                order.serial(self.departement, place)
                for place, state in enumerate(order.state)
                if state == wanted
            ),
        )
        cents = 0 if order.specimen else f["count"] * order.face
        right = ["lapse", f"order/{order.number}/{stage}", 0]
        self._be(e, f"{stage}/{book}", f"lapsed/{book}/{stage}", cents, right)
        order.lapsed.add(stage)

    def _on_kept(self, e: Facts, f: Facts) -> None:
        order, place = self._pass(f["serial"])
        order.awaited.add(place)
        self.kept[e["id"]] = (f["serial"], f["workshop"], e["recorded"])

    def _on_disputed(self, e: Facts, f: Facts) -> None:
        self._be(e, None, None, 0, ["dispute", e["id"], 0])
        self.disputes[self._pass(f["serial"])[0].tranche.told["number"]] += 1

    def _on_sample_announced(self, _e: Facts, f: Facts) -> None:
        if not 1 <= f["checkpoint"] <= self.index:
            raise Wrong("sample_early")

    def _on_policy_set(self, e: Facts, f: Facts) -> None:
        self.policy = f["policy_sha256"]

    def _on_keys_made(self, e: Facts, f: Facts) -> None:
        for key_id, purpose, public in f["keys"]:
            if purpose == "voucher":
                self.voucher_keys[unique(key_id, self.voucher_keys)] = public
            elif purpose == "specimen":
                self.specimen_keys.add(key_id)

    def _on_key_revoked(self, e: Facts, f: Facts) -> None:
        """A voucher key is trusted no more: the orders that it signed make no pass after that."""
        self._be(e, None, None, 0, ["revoke", "key/{}".format(f["key_id"]), 0])
        if self.voucher_keys[f["key_id"]] != f["public"]:
            raise Wrong("not_known", one=f["public"])
        told = {known(number, self.orders) for number in f["orders"]}
        # Of an order that tells no key, what this entry says is all that is known.
        signed = {o.number for o in self.orders.values() if o.key == f["key_id"]}
        others = {o.number for o in self.orders.values() if o.key not in (None, f["key_id"])}
        if signed - told or told & others:
            raise Wrong("revokes_other")
        self.revoked[f["key_id"]] = self.now
        self.stopped.update((number, self.now) for number in told)

    def _on_log_key_made(self, e: Facts, f: Facts) -> None:
        self.log_keys.append(f["vkey"])

    def _on_log_continued(self, e: Facts, f: Facts) -> None:
        """Another operator goes on: the old log is all that stands before, to the last entry."""
        root = root_of(self.leaves, self.index).hex()
        if f != {"origin": self.origin, "root": root, "size": self.index}:
            raise Wrong("continues_other")

    def _on_log_key_ended(self, e: Facts, f: Facts) -> None:
        self.ended_keys.add(f["vkey"])

    # What is left at the end.

    def balances(self) -> dict[str, list[int]]:
        """Return debits and credits of each account."""
        return dict(sorted(self.books.items()))

    def splits(self) -> Facts:
        """Return each segment with what falls to each funder, and what caps hold back."""
        used = sorted((s for s in self.segments if s.cents), key=lambda s: s.key)
        capped: Counter[tuple[str, int]] = Counter()
        for segment, parts in self._under_caps():
            for place, (code, _, _) in enumerate(segment.shares):
                if place and self.conventions[code]["cap_cents"] is not None:
                    capped[code, segment.key[0]] += parts[place]
        return {
            "capped": [
                {"cents": cents, "convention": code, "tranche": tranche}
                for (code, tranche), cents in sorted(capped.items())
                if cents
            ],
            "segments": [
                {
                    "cents": s.cents,
                    "open": s.key[2],
                    "parts": [s.part(place, s.cents) for place in range(len(s.shares))],
                    "shares": [list(share) for share in s.shares],
                    "tranche": s.key[0],
                    "version": s.key[1],
                }
                for s in used
            ],
        }

    def _under_caps(self) -> list[tuple[Segment, list[int]]]:
        """Return each segment with what falls to each funder: room under a cap goes to the first of them."""
        taken: Counter[str] = Counter()
        found = []
        for segment in sorted(self.segments, key=lambda s: s.key):
            parts = [
                segment.part(place, segment.cents) for place in range(len(segment.shares))
            ]
            for place, (code, _, _) in enumerate(segment.shares):
                cap = self.conventions[code]["cap_cents"]
                if place and cap is not None:
                    kept = min(parts[place], cap - taken[code])
                    taken[code] += kept
                    parts[0] += parts[place] - kept
                    parts[place] = kept
            found.append((segment, parts))
        return found

    def claims(self) -> Facts:
        """Return what the reconciliation must say: each tranche, and their sums by call."""
        tranches = [self._claim(number) for number in sorted(self.tranches)]
        calls = []
        for call in sorted(self.calls):
            own = [t for t in tranches if t["call"] == call]
            lines: Counter[str] = Counter()
            funders: dict[str, int] = {}
            for t in own:
                lines.update({line["state"]: line["cents"] for line in t["lines"]})
                for part in t["funders"]:
                    funders[part["convention"]] = (
                        funders.get(part["convention"], 0) + part["cents"]
                    )
            calls.append(
                {
                    "call": call,
                    "envelope_cents": sum(t["envelope_cents"] for t in own),
                    "funders": [
                        {"cents": cents, "convention": code}
                        for code, cents in sorted(funders.items())
                        if cents
                    ],
                    "lines": [{"cents": lines[state], "state": state} for state in STATES],
                    "used_cents": sum(t["used_cents"] for t in own),
                }
            )
        return {"calls": calls, "tranches": tranches}

    def _claim(self, number: int) -> Facts:
        told, face = self.tranches[number].told, self.tranches[number].told["face_cents"]
        held: Counter[str] = Counter()
        sites: dict[int, Counter[str]] = defaultdict(Counter)
        for name, (came, went) in self.books.items():
            kind, book, *party = name.split("/")
            if book == str(number):
                held[kind] += came - went
                if party == ["circulating"]:
                    held["given"] += came - went
                if kind in ("due", "paid", "recoverable"):
                    sites[int(party[0])][kind] = came - went
        used, envelope = held["due"] + held["paid"], -held["committed"]
        return {
            "active": sum(
                len(o.state) - o.voided - (o.state.count(0) if o.cancelled else 0)
                for o in self.orders.values()
                if o.tranche.told is told and o.active and not o.specimen and not o.replaces
            ),
            "call": told["call"],
            "disputes_open": self.disputes[number],
            "envelope_cents": envelope,
            "face_cents": face,
            "funders": self._funders(number),
            "handed_out": (used + held["circulating"] + held["given"]) // face,
            "lines": [
                {"cents": held[state], "count": held[state] // face, "state": state}
                for state in STATES
            ],
            "made": (envelope - held["available"]) // face,
            "number": number,
            "programme": told["programme"],
            "recoverable_cents": held["recoverable"],
            "sites": [
                {
                    "count": (of["due"] + of["paid"]) // face,
                    "due_cents": of["due"],
                    "paid_cents": of["paid"],
                    "recoverable_cents": of["recoverable"],
                    "site": site,
                }
                for site, of in sorted(sites.items())
                if any(of.values())
            ],
            "tranche": told["code"],
            "used": used // face,
            "used_cents": used,
        }

    def _funders(self, number: int) -> list[Facts]:
        versions = self.tranches[number].versions
        newest = {code: weight for code, _, weight in versions[-1][2]}
        every = arranged(
            list(
                {
                    (c, f, newest.get(c, 0))
                    for _, _, shares in versions
                    for c, f, _ in shares
                }
            )
        )
        cents: Counter[str] = Counter()
        for segment, parts in self._under_caps():
            if segment.key[0] == number:
                for (code, _, _), part in zip(segment.shares, parts):
                    cents[code] += part
        return [
            {
                "basis": self.conventions[code]["basis"],
                "cap_cents": self.conventions[code]["cap_cents"],
                "cents": cents[code],
                "convention": code,
                "funder": funder,
                "weight": weight,
                "weights": sum(newest.values()),
            }
            for code, funder, weight in every
        ]


write_json = json.JSONEncoder(
    ensure_ascii=False, separators=(",", ":"), sort_keys=True
).encode
read_json = json.JSONDecoder().decode


def canonical(value: Any) -> bytes:
    """Return a value as canonical JSON (RFC 8785; no floats here)."""
    return write_json(value).encode()


def derived_id(act: bytes, rank: int) -> bytes:
    """Return the id of an act's entry of this rank: a digest, marked as a UUID of version 8."""
    digest = bytearray(hashlib.sha256(act + rank.to_bytes(4, "big")).digest()[:16])
    digest[6], digest[8] = digest[6] & 0x0F | 0x80, digest[8] & 0x3F | 0x80
    return bytes(digest)


_minutes: dict[str, int] = {}


def seconds(instant: str) -> float:
    """Return an instant, written in UTC, as seconds since 1970."""
    if not INSTANT.fullmatch(instant):
        raise ValueError(instant)
    minute = instant[:17]
    if minute not in _minutes:
        at = datetime.strptime(minute, "%Y-%m-%dT%H:%M:").replace(tzinfo=timezone.utc)
        _minutes[minute] = int(at.timestamp())
    return _minutes[minute] + float(instant[17:-1])


def shifted(day: str, days: int) -> str:
    """Return the day so many days later."""
    return day if not days else (date.fromisoformat(day) + timedelta(days)).isoformat()


def listed(ranges: Any) -> list[int]:
    """Return the numbers of ranges of carnets, which have one spelling: ascending, none touching the next."""
    found: list[int] = []
    for first, last in ranges:
        if not (found[-1] + 1 if found else 0) < first <= last < 1 << 32 or last - first > MOST_CARNETS:
            raise Wrong("odd_ranges")
        found.extend(range(first, last + 1))
    return found


def known(one: Any, among: Any) -> Any:
    """Return it if it is there, else raise `Wrong`."""
    if one not in among:
        raise Wrong("not_known", one=one)
    return one


def unique(one: Any, among: Any) -> Any:
    """Return it if it is not there yet, else raise `Wrong`."""
    if one in among:
        raise Wrong("known_already", one=one)
    return one


# --------------------------------------------------------------------------------- the argument


class Report:
    """What was proved, what is false, and what is not proved."""

    def __init__(self) -> None:
        self.proved: list[str] = []
        self.false: list[str] = []
        self.unproved: list[str] = []
        self.figures: list[str] = []

    def print(self, title: str) -> None:
        """Print one page."""
        parts = [
            (say("proved"), "  ✓ ", self.proved),
            (say("false"), "  ✗ ", self.false),
            (say("figures"), "    ", self.figures),
            (say("unproved"), "  · ", self.unproved),
        ]
        print(clean(title))
        for heading, mark, sentences in parts:
            if sentences:
                print("\n" + heading)
                for sentence in sentences:
                    print(
                        textwrap.fill(
                            clean(sentence),
                            100,
                            initial_indent=mark,
                            subsequent_indent="    ",
                            break_on_hyphens=False,  # an id is copied whole
                        )
                    )
        if self.false:
            print("\n" + say("verdict_bad", n=len(self.false)))
        else:
            print("\n" + say("verdict_good"))


class Trust(NamedTuple):
    """The keys and the policy a checkpoint is judged by, and which of the two came from elsewhere."""

    logs: list[Key]
    policy: Policy
    keys_given: bool
    policy_given: bool


def trust(coffre: Coffre, keys: Path | None, policy: Path | None) -> Trust:
    """Take keys and policy from the files the auditor gave; else from the coffre itself."""
    given = read_keys(given_text(keys)) if keys else []
    judged = read_policy(given_text(policy) if policy else coffre.read_text("policy.txt"))
    logs = [key for key in given if key.kind == SIGNATURE] + (judged.logs if policy else [])
    if not keys and not policy:
        logs = read_keys(coffre.read_text("keys.txt")) + judged.logs
    return Trust(logs, judged, bool(keys or policy), bool(policy))


def given_text(path: Path) -> str:
    """Read a file of keys or a policy that the auditor gave."""
    try:
        with path.open("rb") as file:
            return file.read(1 << 20).decode()
    except (OSError, UnicodeDecodeError) as odd:
        raise Unusable("file_unreadable", path=path, odd=odd) from None


def check_note(coffre: Coffre, note: Note, by: Trust, report: Report) -> list[Key]:
    """Verify the signatures of a checkpoint; return the log's keys that signed it."""
    if by.logs and note.origin not in {key.name for key in by.logs}:
        raise Unusable(
            "other_log",
            path=coffre.path,
            origin=note.origin,
            others=", ".join(sorted({key.name for key in by.logs})),
        )
    signed = signers(note, [*by.logs, *by.policy.witnesses.values()])
    own = [key for key in signed if key in by.logs and key.name == note.origin]
    if not own:
        raise Wrong(
            "key_unknown",
            lines=", ".join(f"{name}+{key_id.hex()}" for name, key_id, _ in note.lines),
        )
    now = time.time()
    for key, at in signed.items():
        if at is not None and at > now + AT_ONCE:
            raise future(say("cosigned_by", key=key), at)
    report.proved.append(
        say(
            "checkpoint_signed",
            size=note.size,
            origin=note.origin,
            keys=", ".join(map(str, own)),
        )
    )
    if not by.keys_given:
        report.unproved.append(say("keys_from_coffre"))
    if by.policy.quorum == "none":
        report.unproved.append(say("no_witness_asked"))
        return own
    named = [
        f"{key.name} ({datetime.fromtimestamp(at or 0, timezone.utc).date()})"
        for key, at in signed.items()
        if key.kind == COSIGNATURE
    ]
    if not by.policy.holds(by.policy.quorum, signed):
        raise Wrong(
            "quorum_missed",
            quorum=by.policy.quorum,
            names=", ".join(named) or say("nobody"),
        )
    report.proved.append(say("witnesses_signed", names=", ".join(named)))
    if not by.policy_given:
        report.unproved.append(say("policy_from_coffre"))
    return own


def future(what: str, at: float) -> Unusable:
    """Say that something is dated after now."""
    return Unusable(
        "future",
        what=what,
        at=datetime.fromtimestamp(min(at, 2**37), timezone.utc).isoformat(),
    )


def read_leaves(coffre: Coffre, size: int) -> bytes:
    """Return all leaf hashes, from the tiles; upper tiles must be those that the lower ones give."""
    expected: set[str] = set()
    row: list[bytes] = []
    leaves, level = b"", 0
    while size >> 8 * level:
        count = size >> 8 * level
        hashes = bytearray()
        for n in range(-(-count // 256)):
            width = min(256, count - 256 * n)
            name = tile_path(level, n, width)
            expected.add(name)
            hashes += coffre.read(name) if name in coffre.manifest["files"] else b""
            if len(hashes) != 32 * (256 * n + width) or (
                level
                and bytes(hashes[8192 * n :]) != b"".join(row[256 * n : 256 * n + width])
            ):
                raise Wrong("tile_wrong", name=name)
        leaves = leaves or bytes(hashes)
        row = [
            fold(split_hashes(bytes(hashes[i : i + 8192])))
            for i in range(0, len(hashes) // 8192 * 8192, 8192)
        ]
        level += 1
    for name in coffre.manifest["files"]:
        if name.startswith("tile/") and name not in expected:
            raise Wrong("tile_extra", name=name)
    return leaves


def named(index: int, line: bytes) -> str:
    """Name an entry: its number, its line, and what it says of itself."""
    try:
        e = json.loads(line)
        what = ", ".join(str(part)[:60] for part in (e["kind"], e["on"], e["id"]))
    except (ValueError, KeyError, TypeError, RecursionError):
        what = say("illegible")
    return say("entry", n=index, line=index + 1, what=what)


def progress(done: int, size: int) -> None:
    """Show how far it is, on a terminal."""
    if sys.stderr.isatty():
        print(
            f"\r{100 * done // max(size, 1):3d} %",
            end="\r" if done == size else "",
            file=sys.stderr,
            flush=True,
        )


def replay_journal(
    coffre: Coffre, note: Note, leaves: bytes, report: Report
) -> Replay | None:
    """Hash each line, compare it with its leaf, and apply the rules; return the replay if all held."""
    replay = Replay(
        coffre.manifest["departement"]["code"],
        coffre.manifest["departement"]["timezone"],
        note.origin,
        leaves,
    )
    found, odd, wrong = bytearray(), None, 0
    try:
        for index, line in enumerate(coffre.lines("journal.jsonl")):
            leaf = hashlib.sha256(b"\x00" + line).digest()
            found += leaf
            if odd is None and leaf != leaves[32 * index : 32 * index + 32]:
                odd = named(index, line)
            if odd is None and wrong < 10:
                try:
                    replay.entry(line)
                except Wrong as why:
                    wrong += 1
                    replay.index = index + 1
                    report.false.append(f"{named(index, line)} {why}.")
            if index % 4096 == 0:
                progress(index, note.size)
    except Wrong as damaged:
        # A piece of a zip that cannot be unpacked takes up to its neighbours with it.
        report.false.append(f"{damaged} {say('read_so_far', n=len(found) // 32)}")
    progress(note.size, note.size)
    rooted = root_of(leaves, note.size) == note.root
    if odd is not None and rooted:
        report.false.append(say("entry_changed", entry=odd))
    elif odd is not None and root_of(bytes(found), len(found) // 32) == note.root:
        report.false.append(say("tile_changed", entry=odd))
    elif odd is not None or not rooted:
        report.false.append(say("journal_changed", n=len(found) // 32, odd=odd or ""))
    elif len(found) != 32 * note.size:
        report.false.append(say("journal_length", n=len(found) // 32, size=note.size))
    if odd is None and not wrong:
        report.false += unfinished(replay)
    return None if report.false else replay


def unfinished(replay: Replay) -> list[str]:
    """Return what is said of acts that were begun in the journal and are not whole."""
    found = [
        say("first_missing", n=index, act=act)
        for act, index in sorted(replay.without_first.items())[:3]
    ]
    # Of an act at the very end of this log, the rest may come in the next one.
    return found + [
        say("replaced_in_part", n=index, serial=serial)
        for serial, (_, _, index, at) in sorted(replay.replacing.items())[:3]
        if at < replay.latest - AT_ONCE
    ] + [
        say("voided_in_part", n=index, serial=serial)
        for serial, (_, index, at) in sorted(replay.voiding.items())[:3]
        if at < replay.latest - AT_ONCE
    ]


def told_of(replay: Replay, note: Note, report: Report) -> None:
    """Say what the replay of the journal proved."""
    kinds = replay.kinds
    passes = sum(len(order.state) for order in replay.orders.values())
    report.proved += [
        say("journal_proved", size=note.size, first=replay.first_day, last=replay.last_day),
        say(
            "rights_proved",
            passes=passes,
            given=kinds["handed_out"],
            used=kinds["redeemed"],
            undone=kinds["undone"],
            blocked=kinds["blocked"],
            replaced=kinds["replaced"],
            voided=kinds["voided"],
            lapsed=kinds["lapsed"],
        ),
        say("uses_proved"),
        say("money_proved"),
    ]
    if replay.remarks.pop("clock", 0):
        report.unproved.append(say("clock_odd"))
    others = sorted(name[5:] for name in replay.remarks)
    if others:
        report.unproved.append(
            say(
                "kinds_without_rule",
                n=sum(replay.remarks.values()),
                kinds=", ".join(others),
            )
        )
    if replay.zone is None:
        report.unproved.append(say("no_time_zones"))


def check_named(coffre: Coffre, replay: Replay, own: Sequence[Key], report: Report) -> None:
    """Compare keys and policy with what the journal itself says of them."""
    ended = {read_key(vkey) for vkey in replay.ended_keys}
    if all(key in ended for key in own):
        raise Wrong("key_ended")
    if not {*replay.log_keys} <= {*coffre.read_text("keys.txt").splitlines()}:
        raise Wrong("keys_differ")
    if not any(str(key) == str(read_key(vkey)) for key in own for vkey in replay.log_keys):
        report.unproved.append(say("key_not_in_journal"))
    if replay.policy:
        # The keys of the log may have been put above what was recorded.
        lines = coffre.read_text("policy.txt").splitlines(keepends=True)
        logs = next(
            (n for n, line in enumerate(lines) if not line.startswith("log ")), len(lines)
        )
        rests = ("".join(lines[n:]).encode() for n in range(logs + 1))
        if replay.policy not in {hashlib.sha256(rest).hexdigest() for rest in rests}:
            raise Wrong("policy_differs")


def difference(expected: Any, found: Any, path: str = "") -> str | None:
    """Return where two figures differ first, and how; nothing if they are equal."""
    if isinstance(expected, dict) and isinstance(found, dict):
        for name in sorted({*expected, *found}):
            told = difference(expected.get(name), found.get(name), f"{path}/{name}")
            if told:
                return told
        return None
    if (
        isinstance(expected, list)
        and isinstance(found, list)
        and len(expected) == len(found)
    ):
        return next(
            filter(
                None,
                (
                    difference(e, f, f"{path}/{n}")
                    for n, (e, f) in enumerate(zip(expected, found))
                ),
            ),
            None,
        )
    if expected == found and type(expected) is type(found):
        return None
    return say(
        "figure_differs", path=path, found=str(found)[:120], expected=str(expected)[:120]
    )


def check_figures(coffre: Coffre, replay: Replay, report: Report) -> None:
    """Compare each file of figures and of reference with what the journal gives."""
    claims = replay.claims()
    wanted = {
        "figures/balances.json": (replay.balances(), say("balances_proved")),
        "figures/splits.json": (replay.splits(), say("splits_proved")),
        "figures/claims.json": (claims, say("claims_proved")),
    }
    for name, (expected, sentence) in wanted.items():
        odd = difference(expected, coffre.parse(name, coffre.read(name)), name)
        (report.false if odd else report.proved).append(odd + "." if odd else sentence)
    for name, lines in replay.reference.items():
        file = f"reference/{name}.jsonl"
        for n, (expected_line, line) in enumerate(
            zip_longest(lines, coffre.lines(file)), 1
        ):
            if expected_line != line:
                report.false.append(say("reference_differs", n=n, file=file))
                break
    if not report.false:
        report.proved.append(say("reference_proved"))
    for t in claims["tranches"]:
        report.figures.append(
            say(
                "tranche_figures",
                tranche=t["tranche"],
                call=t["call"],
                used=t["used"],
                cents=euros(t["used_cents"]),
                parts=" ; ".join(
                    "{} {}".format(part["convention"], euros(part["cents"]))
                    for part in t["funders"]
                ),
            )
        )


def euros(cents: int) -> str:
    """Write cents as euros."""
    return f"{cents // 100:,}".replace(",", " ") + f",{cents % 100:02d} €"


def check_chosen(coffre: Coffre, note: Note, leaves: bytes, report: Report) -> None:
    """Verify the chosen entries of a filtered coffre, each by its own proof."""
    last, count, kinds = -1, 0, Counter()  # type: int, int, Counter[str]
    for line, proof in zip_longest(
        coffre.lines("journal.jsonl"), coffre.lines("proofs.jsonl")
    ):
        leaf = hashlib.sha256(b"\x00" + (line or b"")).digest()
        try:
            told = json.loads(proof or b"")
            index, hashes = told["idx"], [bytes.fromhex(each) for each in told["proof"]]
            good = last < index < note.size and leaves[32 * index : 32 * index + 32] == leaf
            good = good and climbs(leaf, index, note.size, hashes) == note.root
            kinds[json.loads(line)["kind"]] += 1
        except (ValueError, KeyError, TypeError, RecursionError):
            good, index = False, last + 1
        if not good:
            report.false.append(
                say("chosen_wrong", entry=named(index, line or b""), line=count + 1)
            )
            return
        last, count = index, count + 1
    if root_of(leaves, note.size) != note.root:
        report.false.append(say("tiles_wrong"))
    report.proved.append(
        say(
            "chosen_proved",
            count=count,
            kinds=", ".join(f"{n} {kind}" for kind, n in sorted(kinds.items())),
        )
    )
    report.unproved.append(say("chosen_incomplete", chosen=coffre.manifest["filter"]))


def check_since(
    coffre: Coffre, note: Note, leaves: bytes, older: Path, by: Trust, report: Report
) -> None:
    """Verify that the journal begins with that of an older coffre, unchanged."""
    try:
        old = Coffre(older)
        before = read_note(old.read_text("checkpoint.txt"))
        if before.origin != note.origin:
            raise Unusable("old_other_log", old=before.origin, new=note.origin)
        if not any(key in by.logs for key in signers(before, by.logs)):
            raise Wrong("old_unsigned")
        old_leaves = read_leaves(old, before.size)
        if root_of(old_leaves, before.size) != before.root:
            raise Wrong("old_tiles_wrong")
    except Wrong as odd:
        raise Unusable("old_unusable", odd=odd) from None
    if before.size > note.size:
        report.false.append(say("shorter", old=before.size, new=note.size))
    elif root_of(leaves, before.size) == before.root:
        report.proved.append(say("since_proved", n=before.size))
    else:
        index = next(
            i
            for i in range(before.size)
            if leaves[32 * i : 32 * i + 32] != old_leaves[32 * i : 32 * i + 32]
        )
        report.false.append(
            say(
                "rewritten",
                now=named(index, line_at(coffre, index)),
                then=named(index, line_at(old, index)),
            )
        )


def line_at(coffre: Coffre, index: int) -> bytes:
    """Return a line of the journal, where the coffre holds the whole of it."""
    if coffre.manifest.get("filter") is not None:
        return b""
    try:
        return next(
            (line for n, line in enumerate(coffre.lines("journal.jsonl")) if n == index),
            b"",
        )
    except Wrong:
        return b""


def check_files(coffre: Coffre) -> None:
    """Read the files that nothing below reads, against the manifest."""
    for name in coffre.manifest["files"]:
        if name.startswith("tables/"):
            for _line in coffre.lines(name):
                pass
        elif name not in LONG and not name.startswith(("tile/", "reference/")):
            coffre.read(name)


def check(coffre: Coffre, options: argparse.Namespace, report: Report) -> None:
    """Go through the argument, step by step; a step that fails for good stops it."""
    told = coffre.manifest
    note = read_note(coffre.read_text("checkpoint.txt"))
    by = trust(coffre, options.keys, options.policy)
    if not INSTANT.fullmatch(told["exported_at"]):
        raise coffre.unusable("manifest_malformed")
    if seconds(told["exported_at"]) > time.time() + AT_ONCE:
        raise future(say("dated"), seconds(told["exported_at"]))
    own = check_note(coffre, note, by, report)
    if (note.origin, note.size, note.root.hex()) != (
        told["origin"],
        told["size"],
        told["root"],
    ):
        raise Wrong("manifest_differs")
    check_files(coffre)
    leaves = read_leaves(coffre, note.size)
    if options.since is not None:
        check_since(coffre, note, leaves, options.since, by, report)
    else:
        report.unproved.append(say("no_since"))
    if told.get("filter") is not None:
        check_chosen(coffre, note, leaves, report)
    else:
        replay = replay_journal(coffre, note, leaves, report)
        if replay is not None:
            check_named(coffre, replay, own, report)
            told_of(replay, note, report)
            check_figures(coffre, replay, report)
    if not report.false:
        report.proved.append(say("files_proved", n=len(told["files"])))
        if told.get("filter") is None:
            report.unproved.append(say("tables_unproved"))
    report.unproved.append(say("truth"))


def verify(arguments: Sequence[str]) -> int:
    """Verify a coffre: the command without a name."""
    parser = argparse.ArgumentParser(prog="verify.py", description=say("help"))
    parser.add_argument(
        "coffre",
        nargs="?",
        type=Path,
        default=Path(__file__).resolve().parent,
        help=say("help_coffre"),
    )
    parser.add_argument("--since", type=Path, metavar="ZIP", help=say("help_since"))
    parser.add_argument("--policy", type=Path, help=say("help_policy"))
    parser.add_argument("--keys", type=Path, help=say("help_keys"))
    parser.add_argument("--lang", choices=["fr", "en"], default="fr")
    options = parser.parse_args(arguments)
    report = Report()
    try:
        coffre = Coffre(options.coffre)
    except Wrong as odd:
        print(odd)
        return 1
    title = say(
        "title",
        origin=coffre.manifest["origin"],
        name=coffre.manifest["departement"].get("name"),
        day=coffre.manifest["exported_at"][:10],
    )
    try:
        check(coffre, options, report)
    except Wrong as odd:
        report.false.append(str(odd))
    report.print(title)
    return 1 if report.false else 0


# -------------------------------------------------------------------------- drawing a sample again


def draw(root: bytes, number: int, population: int, size: int) -> list[int]:
    """Return `size` places among `population`, each once, in the order in which they are drawn.

    For i = 0, 1, 2, …: the first 6 bytes of SHA-256("passnum sample v1" || root || number || i, 8 bytes)
    are a value below 2⁴⁸.  One of the last, incomplete round of the population is thrown away; else
    it is a place modulo the population, unless it was drawn before.
    """
    drawn: dict[int, None] = {}
    counter = 0
    while len(drawn) < size:
        seed = (
            b"passnum sample v1" + root + str(number).encode() + counter.to_bytes(8, "big")
        )
        value = int.from_bytes(hashlib.sha256(seed).digest()[:6], "big")
        if value < 2**48 - 2**48 % population:
            drawn.setdefault(value % population)
        counter += 1
    return list(drawn)


class Uses:
    """The uses that the first `size` entries hold and hold no undo of, by their places in the log."""

    def __init__(self, size: int) -> None:
        self.size, self.tranche_of = size, {}  # type: int, dict[int, int]
        self.call_of: dict[int, str] = {}
        self.codes: dict[str, int] = {}
        self.announced: list[tuple[int, Facts]] = []
        self._held: dict[tuple[str, int], int] = {}

    def entry(self, index: int, e: Facts) -> None:
        """Take one entry in."""
        kind, f = e["kind"], e["facts"]
        if kind == "sample_announced":
            self.announced.append((index, f))
        elif index >= self.size:
            return
        elif kind == "tranche_opened":
            self.codes[f["code"]], self.call_of[f["number"]] = f["number"], f["call"]
        elif kind == "redeemed":
            self._held[e["right"][1], e["right"][2]] = index
            self.tranche_of[index] = f["tranche"]
        elif kind == "undone":
            del self.tranche_of[self._held[e["right"][1], e["right"][2]]]

    def places(self, tranche: str | None, call: str | None) -> list[int]:
        """Return where the uses are, of one tranche or one call where that is asked."""
        if (tranche is not None and tranche not in self.codes) or (
            call is not None and call not in self.call_of.values()
        ):
            raise Unusable("sample_of_nothing", name=tranche or call)
        return [
            index
            for index, number in sorted(self.tranche_of.items())
            if (tranche is None or number == self.codes[tranche])
            and (call is None or self.call_of[number] == call)
        ]


def draw_again(coffre: Coffre, options: argparse.Namespace, report: Report) -> None:
    """Prove the journal, then draw from it, and look for the announcement that came before the draw."""
    note = read_note(coffre.read_text("checkpoint.txt"))
    check_note(coffre, note, trust(coffre, options.keys, options.policy), report)
    if coffre.manifest.get("filter") is not None:
        raise Unusable("sample_needs_all")
    size = note.size if options.checkpoint is None else options.checkpoint
    if not 1 <= size <= note.size:
        raise Unusable("sample_beyond", asked=size, size=note.size)
    leaves = read_leaves(coffre, note.size)
    if root_of(leaves, note.size) != note.root:
        raise Wrong("journal_changed", n=note.size, odd="")
    uses, count = Uses(size), 0
    try:
        for index, line in enumerate(coffre.lines("journal.jsonl")):
            if (
                hashlib.sha256(b"\x00" + line).digest()
                != leaves[32 * index : 32 * index + 32]
            ):
                raise Wrong("entry_changed", entry=named(index, line))
            uses.entry(index, read_json(line.decode()))
            count = index + 1
    except (KeyError, TypeError, ValueError, IndexError, RecursionError) as odd:
        raise Wrong("odd_shape", odd=odd) from None
    if count != note.size:
        raise Wrong("journal_length", n=count, size=note.size)
    places, root = uses.places(options.tranche, options.call), root_of(leaves, size)
    if options.seed < 0 or not 1 <= options.size <= len(places):
        raise Unusable("sample_impossible", asked=options.size, population=len(places))
    chosen = [places[k] for k in draw(root, options.seed, len(places), options.size)]
    wanted = {*chosen}
    lines = {n: line for n, line in enumerate(coffre.lines("journal.jsonl")) if n in wanted}
    report.figures.append(
        say("sample_seed", size=size, root=root.hex(), number=options.seed)
    )
    report.figures.append(say("sample_population", population=len(places)))
    for rank, index in enumerate(chosen, 1):
        e = read_json(lines[index].decode())
        told = (
            e["id"],
            e["facts"]["serial"],
            e["on"],
            e["facts"]["site_name"],
            euros(e["cents"]),
        )
        report.figures.append(f"{rank:3} {index:9} " + " ".join(map(str, told)))
    report.proved.append(say("sample_drawn", n=len(chosen)))
    asked = {
        "call": options.call, "checkpoint": size, "number": str(options.seed), "population": len(places),
        "root": root.hex(), "size": options.size, "tranche": options.tranche,
    }  # fmt: skip
    where = [index for index, told in uses.announced if told == asked and index >= size]
    if where:
        report.proved.append(say("sample_announced", n=where[0], line=where[0] + 1))
    else:
        report.unproved.append(say("sample_not_announced"))
    others = [told for index, told in uses.announced if index not in where]
    if others:
        same = sum(told["checkpoint"] == size for told in others)
        report.unproved.append(say("sample_others", n=len(others), same=same))
    report.unproved.append(say("sample_number"))


def sample(arguments: Sequence[str]) -> int:
    """Draw again the sample that `passnum sample` drew."""
    parser = argparse.ArgumentParser(
        prog="verify.py sample", description=say("help_sample")
    )
    parser.add_argument("coffre", type=Path, help=say("help_coffre"))
    parser.add_argument("--size", type=int, required=True, help=say("help_size"))
    parser.add_argument("--seed", type=int, required=True, help=say("help_seed"))
    parser.add_argument("--checkpoint", type=int, help=say("help_checkpoint"))
    scope = parser.add_mutually_exclusive_group()
    scope.add_argument("--tranche", help=say("help_tranche"))
    scope.add_argument("--call", help=say("help_call"))
    parser.add_argument("--policy", type=Path, help=say("help_policy"))
    parser.add_argument("--keys", type=Path, help=say("help_keys"))
    parser.add_argument("--lang", choices=["fr", "en"], default="fr")
    options = parser.parse_args(arguments)
    report = Report()
    try:
        coffre = Coffre(options.coffre)
        draw_again(coffre, options, report)
    except Wrong as odd:
        report.false.append(str(odd))
    report.print(say("sample_title", path=options.coffre))
    return 1 if report.false else 0


# ------------------------------------------------------------------------------ the sentences

# What is said of an entry goes on from its name.
# fmt: off
SENTENCES = {
    "key_malformed": ("« {key} » n'est pas une clef publique Ed25519 de la forme nom+id+clef.", "“{key}” is not an Ed25519 public key, written name+id+key."),
    "key_damaged": ("La clef « {key} » est abîmée : son identifiant devrait être {id}.", "The key “{key}” is damaged: its id should be {id}."),
    "note_malformed": ("Le point de contrôle (checkpoint.txt) n'a pas la forme attendue.", "The checkpoint (checkpoint.txt) is not written as it must be."),
    "signature_wrong": ("La signature de {key} sur le point de contrôle est fausse.", "The signature of {key} on the checkpoint is wrong."),
    "policy_malformed": ("La politique ne se lit pas à la ligne {line} : attendu log, witness, group ou un seul quorum.", "The policy cannot be read at line {line}: log, witness, group or one quorum is expected."),
    "no_file": ("Il n'y a pas de fichier {path}.", "There is no file {path}."),
    "not_a_zip": ("ce n'est pas un zip entier : il est tronqué ou abîmé", "it is no whole zip: it is cut short, or damaged"),
    "name_odd": ("il contient un nom de fichier qui n'a rien à y faire ({name!r})", "it holds a file name that has no business there ({name!r})"),
    "packed_oddly": ("{name} est chiffré, ou compressé d'une façon inattendue", "{name} is encrypted, or compressed in a way that is not expected"),
    "file_swells": ("{name} se gonflerait à {size} octets : c'est une bombe", "{name} would swell to {size} bytes: this is a bomb"),
    "name_twice": ("un nom de fichier y est deux fois", "a file name is there twice"),
    "zip_swells": ("il se gonflerait à {size} octets : c'est une bombe", "it would swell to {size} bytes: this is a bomb"),
    "manifest_changed": ("{path} : manifest.json ou manifest.sha256 a été changé, l'un ne va plus avec l'autre.", "{path}: manifest.json or manifest.sha256 was changed, they do not match."),
    "departement_odd": ("le département y est mal décrit ({what})", "the département is not well described in it ({what})"),
    "rows_odd": ("des lignes de tables/ ne vont pas ensemble, ou ne se lisent pas ({odd})", "rows of tables/ do not go together, or cannot be read ({odd})"),
    "checkpoints_odd": ("tables/checkpoint.jsonl ne mène pas, pas à pas, à {size} écritures", "tables/checkpoint.jsonl does not lead, step by step, to {size} entries"),
    "manifest_malformed": ("manifest.json n'a pas la forme attendue", "manifest.json is not as it must be"),
    "format_unknown": ("son format est {format!r}, ce programme lit {ours!r}", "its format is {format!r}, this program reads {ours!r}"),
    "file_missing": ("Le fichier {name} manque.", "The file {name} is missing."),
    "file_extra": ("Le fichier {name} est de trop : manifest.json ne l'annonce pas.", "The file {name} should not be there: manifest.json does not list it."),
    "unreadable": ("{path} ne peut pas être lu : {why}. Rien n'a été écrit.", "{path} cannot be read: {why}. Nothing was written."),
    "damaged": ("Le fichier {name} du coffre est abîmé : ses octets ne sont plus ceux d'origine.", "The file {name} of the coffre is damaged: its bytes are no longer those that were packed."),
    "read_so_far": ("{n} écritures ont pu être lues.", "{n} entries could be read."),
    "has_no": ("il n'a pas de fichier {name}", "it has no file {name}"),
    "too_long": ("{name} est trop long", "{name} is too long"),
    "not_json": ("{name} n'est pas du JSON", "{name} is not JSON"),
    "not_text": ("{name} n'est pas du texte", "{name} is not text"),
    "not_canonical": ("n'est pas écrite de la seule façon admise (JSON canonique)", "is not canonical JSON"),
    "odd_shape": ("n'a pas la forme attendue ({odd!r})", "is not as it must be ({odd!r})"),
    "odd_fields": ("n'a pas les champs attendus", "does not have the fields it must have"),
    "odd_id": ("a un identifiant mal écrit", "has a malformed id"),
    "id_twice": ("a l'identifiant de l'écriture n° {n}", "has the id of entry no. {n}"),
    "id_of_no_act": ("n'a pas un identifiant de son action", "does not have an id of its act"),
    "money_has_two_sides": ("ne déplace pas l'argent d'un compte à un autre", "does not move money from one account to another"),
    "happened_after_recorded": ("dit s'être passée après avoir été enregistrée", "says it happened after it was recorded"),
    "odd_day": ("porte le jour {on}, mais a été enregistrée le {today}", "counts for {on}, but was recorded on {today}"),
    "right_used": ("consomme un droit que l'écriture n° {n} avait consommé", "uses a right that entry no. {n} had used"),
    "right_early": ("consomme un droit sans celui qui doit venir avant", "uses a right without the one that must come before"),
    "below_zero": ("fait descendre le compte {name} sous zéro", "takes the account {name} below zero"),
    "moves_other": ("déplace {found}, il fallait {expected}", "moves {found}, it should be {expected}"),
    "uses_other": ("consomme le droit {found}, il fallait {expected}", "uses the right {found}, it should be {expected}"),
    "shares_impossible": ("donne des parts qui ne peuvent pas se partager", "gives shares that cannot be split"),
    "order_impossible": ("commande autre chose que ce que la tranche permet", "orders something else than the tranche allows"),
    "envelope_exceeded": ("commande plus que l'enveloppe de la tranche {t}", "orders more than the envelope of tranche {t}"),
    "carnets_exist": ("numérote des carnets qui existent", "numbers carnets that exist already"),
    "made_twice": ("fabrique des pass hors de la commande, ou une seconde fois", "makes passes outside the order, or a second time"),
    "made_after_lapse": ("fabrique des pass d'une commande dont le stock est périmé", "makes passes of an order whose stock has lapsed"),
    "made_by_revoked_key": ("fabrique des pass d'une commande dont la clé était révoquée", "makes passes of an order whose key was revoked"),
    "revokes_other": ("révoque une clé avec d'autres commandes que celles qu'elle signe", "revokes a key with other orders than those it signs"),
    "other_passes": ("ne porte pas sur les {n} pass que donne le rejeu", "is not about the {n} passes that the replay gives"),
    "active_too_early": ("active une commande qui n'est pas toute fabriquée", "activates an order that is not wholly made"),
    "active_otherwise": ("active une commande par autre chose que ce que demande sa tranche ({basis})", "activates an order by something else than its tranche asks for ({basis})"),
    "made_after_cancel": ("fabrique des pass d'une commande annulée", "makes passes of an order that was cancelled"),
    "cancels_other": ("annule autre chose que ce qui restait à fabriquer de la commande", "cancels something else than what was left to make of the order"),
    "approves_other": ("approuve une épreuve dont personne n'a besoin", "approves a proof that nobody needs"),
    "prints_unapproved": ("imprime des carnets autrement que sur la dernière épreuve approuvée", "prints carnets otherwise than on the last proof that was approved"),
    "prints_other": ("imprime des carnets d'une autre commande, ou pas encore fabriqués", "prints carnets of another order, or not made yet"),
    "on_the_way": ("livre des carnets qui sont en chemin", "delivers carnets that are on the way"),
    "odd_ranges": ("a des plages de carnets qui ne se suivent pas", "has ranges of carnets that do not follow one another"),
    "sends_other": ("envoie des carnets qui ne sont pas là, ou dont rien ne reste", "sends carnets that are not there, or of which nothing is left"),
    "counts_other": ("compte un stock qui n'est pas celui du journal, ou dont les écarts sont faux", "counts a stock that is not the journal's, or whose gaps are wrong"),
    "receives_other": ("reçoit autre chose que ce qui est en chemin, ou ailleurs", "receives something else than what is on the way, or elsewhere"),
    "delivers_other": ("livre des carnets d'une autre commande", "delivers carnets of another order"),
    "no_such_pass": ("parle d'un pass qui n'existe pas : {serial}", "speaks of a pass that does not exist: {serial}"),
    "not_at_desk": ("remet le pass {serial}, qui n'est plus ou n'est pas dans ce guichet", "hands out pass {serial}, which is not, or no longer, at this desk"),
    "prints_foreign": ("imprime des carnets repris à un ancien opérateur", "prints booklets taken over from a former operator"),
    "takes_over_late": ("reprend des carnets dont la date ({day}) est passée, ou après celle de la tranche", "takes over booklets whose date ({day}) is past, or after that of the tranche"),
    "order_not_ready": ("remet des pass d'une commande inactive, périmée ou de spécimens", "hands out passes of an inactive, lapsed or specimen order"),
    "recorded_too_late": ("date du {on} une remise enregistrée le {today} : hors des jours admis", "dates a hand-out {on} that was recorded {today}: outside the days allowed"),
    "no_limit_to_pass": ("passe outre une limite par personne qui n'existe pas ({found})", "sets aside a limit per person that does not exist ({found})"),
    "gives_elsewhere": ("remet des pass au lieu {site}, qui n'est pas de l'organisme du guichet, et la tranche ne le permet pas", "hands out passes at site {site}, which is not of the desk's organisation, and the tranche does not allow it"),
    "hands_out_oddly": ("remet des pass sans dire les bons carnets, si c'est aux publics PIC, ou comment on le sait", "hands out passes without telling the right carnets, whether it is to PIC publics, or how that is known"),
    "attests_other": ("atteste d'autres remises que celles de ce guichet, sur sa parole, ces jours-là, et que rien n'attestait", "attests other hand-outs than those of this desk, on its word, on these days, that nothing attested"),
    "handed_out_late": ("remet des pass après le dernier jour de remise", "hands out passes after the last day for it"),
    "site_twice": ("donne un second numéro à un lieu", "gives a site a second number"),
    "accredited_twice": ("habilite un lieu qui l'est déjà", "accredits a site that is accredited already"),
    "spent_twice": ("utilise le pass {serial}, déjà pris par l'écriture n° {n}", "spends pass {serial}, already taken by entry no. {n}"),
    "not_circulating": ("utilise le pass {serial}, qui n'était pas en circulation", "spends pass {serial}, which was not in circulation"),
    "other_worth": ("ne dit pas la valeur, la commande ou la tranche du pass", "does not tell the value, order or tranche of the pass"),
    "other_scan": ("reprend un scan en attente qui est celui d'un autre pass, ou d'un autre atelier", "takes up a waiting scan of another pass, or of another workshop"),
    "no_such_workshop": ("n'est pas d'un atelier de ce lieu ce jour-là", "is not of a workshop of this site on that day"),
    "too_late": ("après la tolérance ou le délai de présentation", "after the tolerance or the presentation date"),
    "not_accredited": ("dans un lieu non habilité ce jour-là", "at a site that was not accredited on that day"),
    "outside_territory": ("hors du territoire de la tranche", "outside the territory of the tranche"),
    "suspended": ("pendant une suspension du programme", "while the programme was suspended"),
    "spends_wrongly": ("utilise le pass {serial} {why}", "spends pass {serial} {why}"),
    "undoes_other": ("annule une utilisation qui n'est pas celle du pass {serial}", "undoes a use that is not that of pass {serial}"),
    "other_tranche": ("ne dit pas la tranche du pass, ou s'il était périmé", "does not tell the tranche of the pass, or whether it had lapsed"),
    "replaced_late": ("remplace des pass alors que la tranche n'a plus de jour d'atelier", "replaces passes when the tranche has no workshop day left"),
    "replaces_other": ("remplace le pass {serial}, qui n'est pas un pass non utilisé de cette remise, ou pas par celui-là", "replaces pass {serial}, which is no unused pass of that hand-out, or not by that one"),
    "not_to_block": ("bloque le pass {serial}, qui n'est plus à bloquer", "blocks pass {serial}, which is no longer to be blocked"),
    "lapses_early": ("périme avant la fin du délai de présentation", "lapses before the presentation date is past"),
    "voids_other": ("annule des carnets qui ne sont pas entiers en stock, ou autre chose", "voids carnets that are not whole in stock, or something else"),
    "lapsed_twice": ("périme ce qui l'est déjà", "lapses what has lapsed already"),
    "not_known": ("parle de {one!r}, que le journal ne connaît pas encore", "speaks of {one!r}, which the journal does not know yet"),
    "known_already": ("fait une seconde fois {one!r}", "makes {one!r} a second time"),
    "proved": ("Prouvé", "Proved"),
    "false": ("Faux", "False"),
    "figures": ("Ce que le journal dit", "What the journal says"),
    "unproved": ("Ce qui n'est pas prouvé", "What is not proved"),
    "verdict_bad": ("CE COFFRE N'EST PAS BON : {n} chose(s) fausse(s).", "THIS COFFRE IS NOT GOOD: {n} thing(s) false."),
    "verdict_good": ("Tout ce qui devait être prouvé l'est.", "All that had to be proved is proved."),
    "file_unreadable": ("{path} ne se lit pas : {odd}", "{path} cannot be read: {odd}"),
    "other_log": ("{path} est le coffre du journal « {origin} » ; les clefs données sont celles de « {others} ». C'est un autre département, ou une autre instance.", "{path} is the coffre of the log “{origin}”; the keys given are those of “{others}”. It is another département, or another instance."),
    "key_unknown": ("Le point de contrôle n'est signé par aucune clef connue du journal ; il porte : {lines}.", "The checkpoint is signed by no known key of the log; it carries: {lines}."),
    "cosigned_by": ("contresigné par {key}", "cosigned by {key}"),
    "checkpoint_signed": ("Le point de contrôle de {size} écritures est signé par le journal « {origin} » (clef {keys}).", "The checkpoint of {size} entries is signed by the log “{origin}” (key {keys})."),
    "keys_from_coffre": ("L'authenticité : les clefs viennent du coffre lui-même. Demandez-les ailleurs, puis donnez-les par --keys ou --policy.", "Authenticity: the keys come from the coffre itself. Ask for them elsewhere, then give them by --keys or --policy."),
    "no_witness_asked": ("Aucun témoin n'est exigé par la politique : seul le journal dit qu'il n'a pas deux visages.", "The policy asks for no witness: only the log says that it does not have two faces."),
    "quorum_missed": ("La politique exige « {quorum} » : les témoins qui ont contresigné n'y suffisent pas ({names}).", "The policy asks for “{quorum}”: the witnesses that cosigned are not enough ({names})."),
    "nobody": ("aucun", "none"),
    "witnesses_signed": ("Des témoins l'ont contresigné, comme l'exige la politique : {names}.", "Witnesses cosigned it, as the policy asks: {names}."),
    "policy_from_coffre": ("Qui sont ces témoins : la politique vient du coffre lui-même (--policy donne la vôtre).", "Who these witnesses are: the policy comes from the coffre itself (--policy gives yours)."),
    "future": ("Ce coffre vient du futur : {what} le {at}. L'horloge de cette machine, ou le coffre, est fausse. Rien n'a été écrit.", "This coffre is from the future: {what} on {at}. The clock of this machine, or the coffre, is wrong. Nothing was written."),
    "tile_wrong": ("La dalle {name} manque, ou n'est pas celle que donnent les dalles du dessous.", "The tile {name} is missing, or is not the one that the tiles below it give."),
    "tile_extra": ("La dalle {name} est de trop.", "The tile {name} should not be there."),
    "illegible": ("illisible", "unreadable"),
    "entry": ("L'écriture n° {n} (ligne {line} de journal.jsonl : {what})", "Entry no. {n} (line {line} of journal.jsonl: {what})"),
    "entry_changed": ("{entry} n'est pas celle qui a été signée : elle a été changée, ajoutée, enlevée ou déplacée. Ce qui la suit n'a pas été rejoué.", "{entry} is not the one that was signed: it was changed, added, removed or moved. What follows was not replayed."),
    "tile_changed": ("Les dalles ont été changées : {entry} est celle qui a été signée, sa feuille dans tile/0 ne l'est pas.", "The tiles were changed: {entry} is the one that was signed, its leaf in tile/0 is not."),
    "journal_changed": ("Le journal n'est pas celui qui a été signé : ses {n} lignes ne donnent pas la racine du point de contrôle. {odd}", "The journal is not the one that was signed: its {n} lines do not give the root of the checkpoint. {odd}"),
    "journal_length": ("Le journal a {n} lignes ; le point de contrôle en annonce {size}.", "The journal has {n} lines; the checkpoint announces {size}."),
    "first_missing": ("L'écriture n° {n} est d'une action ({act}) dont la première écriture manque.", "Entry no. {n} is of an act ({act}) whose first entry is missing."),
    "voided_in_part": ("L'écriture n° {n} annule le pass {serial}, et rien ne le met hors d'usage.", "Entry no. {n} voids pass {serial}, and nothing ends it."),
    "replaced_in_part": ("L'écriture n° {n} remplace le pass {serial}, et rien ne le met hors d'usage.", "Entry no. {n} replaces pass {serial}, and nothing ends it."),
    "journal_proved": ("Les {size} lignes de journal.jsonl, du {first} au {last}, donnent la racine signée, chacune à sa place.", "The {size} lines of journal.jsonl, from {first} to {last}, give the signed root, each in its place."),
    "rights_proved": ("Chaque droit a servi une fois, et dans l'ordre : {passes} pass, {given} remises, {used} utilisations, {undone} annulations, {blocked} blocages, {replaced} remplacements, {voided} pass mal imprimés, {lapsed} péremptions.", "Each right was used once, and in order: {passes} passes, {given} hand-outs, {used} uses, {undone} undone, {blocked} blocked, {replaced} replaced, {voided} misprinted, {lapsed} lapses."),
    "uses_proved": ("Chaque utilisation est d'un atelier d'un lieu habilité ce jour-là, dans les délais de la tranche.", "Each use is of a workshop, at a site accredited on that day, within the dates of its tranche."),
    "money_proved": ("L'argent passe d'un compte à un autre, aucun compte de pass ne descend sous zéro, aucune commande ne dépasse son enveloppe.", "Money goes from one account to another, no account of passes goes below zero, no order exceeds its envelope."),
    "clock_odd": ("L'heure : des écritures portent une heure antérieure de plus de dix minutes à une écriture déjà au journal. L'ordre qui compte est celui du journal.", "The time: some entries bear a time more than ten minutes before an entry already in the journal. The order that counts is the journal's."),
    "kinds_without_rule": ("{n} écritures sans argent ni droit n'ont pas de règle ici : {kinds}.", "{n} entries without money or right have no rule here: {kinds}."),
    "no_time_zones": ("Les jours au fuseau près : cette machine ne connaît pas les fuseaux horaires, un jour d'écart a été admis.", "Days to the time zone: this machine knows no time zones, a day of difference was accepted."),
    "figure_differs": ("{path} dit {found}, le journal donne {expected}", "{path} says {found}, the journal gives {expected}"),
    "balances_proved": ("Les soldes de chaque compte sont la somme des écritures.", "The balance of each account is the sum of its entries."),
    "splits_proved": ("Le partage de chaque centime entre financeurs est celui de la règle (planchers emboîtés, fenêtres, plafonds).", "Each cent is split among funders by the rule (nested floors, windows, caps)."),
    "claims_proved": ("Les totaux par tranche et par appel à projets du rapprochement sont ceux du journal.", "The totals of the reconciliation by tranche and by call are those of the journal."),
    "reference_differs": ("La ligne {n} de {file} ne dit pas la même chose que le journal.", "Line {n} of {file} does not say the same as the journal."),
    "reference_proved": ("Les fichiers de référence (lieux, guichets, tranches, listes de numéros…) répètent le journal.", "The reference files (sites, desks, tranches, lists of serials…) repeat the journal."),
    "tranche_figures": ("{tranche} ({call}) : {used} pass utilisés, {cents} — {parts}", "{tranche} ({call}): {used} passes used, {cents} — {parts}"),
    "chosen_wrong": ("{entry} n'est pas celle qui a été signée, ou sa preuve est fausse (ligne {line}).", "{entry} is not the one that was signed, or its proof is wrong (line {line})."),
    "tiles_wrong": ("Les dalles ne donnent pas la racine signée.", "The tiles do not give the signed root."),
    "chosen_proved": ("Les {count} écritures choisies sont dans le journal signé, chacune à sa place : {kinds}.", "The {count} chosen entries are in the signed journal, each in its place: {kinds}."),
    "chosen_incomplete": ("Que ce choix est complet : ce coffre est filtré ({chosen}), d'autres écritures peuvent manquer. Ni les soldes, ni les droits, ni les partages n'ont été rejoués.", "That this choice is complete: this coffre is filtered ({chosen}), other entries may be missing. Neither balances, nor rights, nor splits were replayed."),
    "old_other_log": ("L'ancien coffre est celui du journal « {old} », celui-ci est de « {new} » : c'est un autre département, ou une autre instance.", "The older coffre is of the log “{old}”, this one of “{new}”: it is another département, or another instance."),
    "old_unsigned": ("Aucune clef connue du journal n'a signé son point de contrôle.", "No known key of the log signed its checkpoint."),
    "old_tiles_wrong": ("Ses dalles ne donnent pas la racine signée.", "Its tiles do not give the signed root."),
    "old_unusable": ("L'ancien coffre ne peut pas servir : {odd}", "The older coffre cannot be used: {odd}"),
    "shorter": ("Le journal a raccourci : l'ancien coffre a {old} écritures, celui-ci {new}.", "The journal is shorter: the older coffre has {old} entries, this one {new}."),
    "since_proved": ("Le journal commence par les {n} écritures de l'ancien coffre, inchangées.", "The journal begins with the {n} entries of the older coffre, unchanged."),
    "rewritten": ("L'histoire a été réécrite. {now} n'est pas celle que contenait l'ancien coffre, où c'était : {then}.", "History was rewritten. {now} is not the one in the older coffre, where it was: {then}."),
    "dated": ("daté", "dated"),
    "manifest_differs": ("manifest.json n'annonce pas le point de contrôle qui est signé.", "manifest.json does not announce the checkpoint that is signed."),
    "no_since": ("Que l'histoire n'a pas été réécrite depuis un coffre plus ancien : donnez celui que vous avez gardé, par --since.", "That history was not rewritten since an older coffre: give the one you kept, by --since."),
    "keys_differ": ("keys.txt n'a pas toutes les clefs que le journal a annoncées.", "keys.txt does not have all the keys that the journal announced."),
    "key_not_in_journal": ("La clef qui signe n'est pas encore annoncée par le journal lui-même.", "The key that signs is not announced by the journal itself yet."),
    "policy_differs": ("policy.txt n'est pas la politique que le journal a enregistrée.", "policy.txt is not the policy that the journal recorded."),
    "key_ended": ("La clef qui signe avait pris fin, dit le journal.", "The key that signs had ended, the journal says."),
    "files_proved": ("Les {n} fichiers du coffre sont ceux que décrit manifest.json.", "The {n} files of the coffre are those that manifest.json describes."),
    "tables_unproved": ("Les fichiers tables/ : ils servent à continuer ailleurs. Leurs octets sont ceux que décrit manifest.json ; ce qu'ils disent n'est pas comparé ici au journal, mais à l'import. L'heure des points de contrôle n'est que dans tables/checkpoint.jsonl.", "The files tables/: they serve to go on elsewhere. Their bytes are those that manifest.json describes; what they say is not compared with the journal here, but when they are imported. The times of checkpoints are in tables/checkpoint.jsonl only."),
    "truth": ("Que ce qui est écrit est vrai (une personne est venue, un atelier a eu lieu) : le journal prouve ce qui a été dit, quand et dans quel ordre. Le nom, le fuseau horaire et l'adresse (host) du département, et la date d'export, ne sont que dans manifest.json, que rien ne signe.", "That what is written is true (somebody came, a workshop was held): the journal proves what was said, when and in which order. The name, the time zone and the address (host) of the département, and the date of export, are in manifest.json only, which nothing signs."),
    "help": ("Vérifie un coffre : signatures, journal, règles, totaux.", "Verifies a coffre: signatures, journal, rules, totals."),
    "help_coffre": ("le zip, ou son dossier décompressé (sans rien : celui de verify.py)", "the zip, or its unpacked folder (by default that of verify.py)"),
    "help_since": ("un coffre plus ancien, que vous avez gardé", "an older coffre, that you kept"),
    "help_policy": ("la politique obtenue ailleurs", "the policy, obtained elsewhere"),
    "help_keys": ("les clefs du journal obtenues ailleurs, une par ligne", "the log's keys, obtained elsewhere, one a line"),
    "sample_title": ("Tirage refait d'après {path}", "Sample drawn again from {path}"),
    "sample_seed": ("Point de contrôle : {size} écritures, racine {root}. Nombre de l'auditeur : {number}.", "Checkpoint: {size} entries, root {root}. Auditor's number: {number}."),
    "sample_population": ("Population : {population} utilisations. Rang, index, écriture, pass, jour, lieu, montant :", "Population: {population} uses. Rank, index, entry, pass, day, site, amount:"),
    "sample_drawn": ("Les {n} écritures du tirage sont celles que donnent cette racine et ce nombre.", "The {n} entries of the sample are those that this root and this number give."),
    "sample_announced": ("Ce tirage a été annoncé : écriture n° {n} (ligne {line} du journal), après toutes celles qu'il pouvait tirer.", "This sample was announced: entry {n} (line {line} of the journal), after all that it could draw."),
    "sample_not_announced": ("Que ce tirage a été annoncé : ce coffre ne contient pas son annonce. Demandez-en un plus récent.", "That this sample was announced: this coffre does not hold its announcement. Ask for a newer one."),
    "sample_others": ("Qu'il n'y a eu que ce tirage : {n} autre(s) annonce(s) de tirage sont dans ce journal, dont {same} sur le même point de contrôle.", "That this was the only sample: {n} other announcement(s) of samples are in this journal, {same} of them on the same checkpoint."),
    "sample_number": ("Que personne ne connaissait le nombre avant la publication du point de contrôle : l'auditeur seul le sait.", "That nobody knew the number before the checkpoint was published: only the auditor knows."),
    "sample_needs_all": ("Un tirage se refait avec le coffre entier : celui-ci est filtré.", "A sample is drawn again from a whole coffre: this one is filtered."),
    "sample_beyond": ("Ce coffre va jusqu'à {size} écritures : un point de contrôle à {asked} n'y est pas.", "This coffre goes up to {size} entries: a checkpoint at {asked} is not in it."),
    "sample_of_nothing": ("« {name} » n'est pas dans le journal à ce point de contrôle.", "“{name}” is not in the journal at this checkpoint."),
    "sample_impossible": ("Impossible de tirer {asked} utilisations sur {population}, ou le nombre est négatif.", "{asked} uses cannot be drawn from {population}, or the number is below zero."),
    "help_sample": ("Refait un tirage d'utilisations, d'après un coffre entier.", "Draws a sample of uses again, from a whole coffre."),
    "help_size": ("combien d'utilisations ont été tirées", "how many uses were drawn"),
    "help_seed": ("le nombre choisi par l'auditeur", "the number that the auditor chose"),
    "help_checkpoint": ("la taille du point de contrôle (sans rien : celui du coffre)", "the size of the checkpoint (by default that of the coffre)"),
    "help_tranche": ("seulement une tranche", "only one tranche"),
    "help_call": ("seulement un appel à projets", "only one call for projects"),
    "continues_other": ("dit continuer un autre journal que celui qui la précède", "says that it continues another log than the one before it"),
    "sample_early": ("annonce un tirage sur un point de contrôle que le journal n'avait pas encore atteint", "announces a sample on a checkpoint that the log had not reached"),
    "title": ("Coffre du journal « {origin} » ({name}), exporté le {day}", "Coffre of the log “{origin}” ({name}), exported on {day}"),
}
# fmt: on


COMMANDS: dict[str, Callable[[Sequence[str]], int]] = {"sample": sample}


def main(arguments: Sequence[str]) -> int:
    """Run a command by its name, or verify."""
    global LANGUAGE
    asked = [*arguments, ""]
    english = "--lang=en" in asked or (
        "--lang" in asked and asked[asked.index("--lang") + 1] == "en"
    )
    LANGUAGE = "en" if english else "fr"
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # an old terminal may not know every sign
            stream.reconfigure(errors="replace")
    try:
        if arguments and arguments[0] in COMMANDS:
            return COMMANDS[arguments[0]](arguments[1:])
        return verify(arguments)
    except Unusable as odd:
        print(odd, file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
