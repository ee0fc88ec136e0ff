"""What anyone may read of a log: its checkpoint, its hash tiles, the proof of an entry (C2SP tlog-tiles).

Never an entry: entries are read by those who have the coffre.  On an instance of one département
the addresses are there without its code too.
"""

import asyncio
import re
from collections.abc import Iterator
from contextlib import contextmanager
from types import MappingProxyType
from uuid import UUID

from litestar import Controller, MediaType, Request, Response, get
from litestar.datastructures import State
from litestar.di import NamedDependency
from litestar.params import FromPath
from litestar.status_codes import HTTP_200_OK
from sqlalchemy.orm import Session

from app.pages.visitors import NoSuchRoom
from app.people.roles import Door
from app.serving import Serving
from ledger.merkle import HASH_SIZE, TILE_WIDTH
from ledger.publishing import newest
from ledger.receipts import NotPublishedYet, acceptance, proof
from ledger.tiles import tile, width
from ledger.witness_policies import policy_text

Asked = Request[None, None, State]
LEVELS = 8  # 256^8 leaves: more than there will ever be
_TILE = re.compile(
    r"(?P<n>(?:x[0-9]{3}/)*[0-9]{3})(?:\.p/(?P<width>[1-9][0-9]{0,2}))?", re.ASCII
)


def _paths(path: str) -> list[str]:
    return [path, "/{departement:str}" + path]


class Shown(Controller):
    """The log, for witnesses, auditors and whoever keeps a receipt."""

    opt = MappingProxyType({"door": Door.OPEN})
    include_in_schema = False

    @get(_paths("/checkpoint"))
    async def checkpoint(
        self, request: Asked, serving: NamedDependency[Serving]
    ) -> Response[str]:
        """Show the newest published checkpoint, with the cosignatures that it has."""
        return await asyncio.to_thread(_checkpoint, _Log(request, serving))

    @get(_paths("/policy"))
    async def policy(
        self, request: Asked, serving: NamedDependency[Serving]
    ) -> Response[str]:
        """Show the keys of the log and who its witnesses are (C2SP tlog-policy)."""
        return await asyncio.to_thread(_policy, _Log(request, serving))

    @get(_paths("/tile/{level:str}/{rest:path}"))
    async def tile(
        self,
        level: FromPath[str],
        rest: FromPath[str],
        request: Asked,
        serving: NamedDependency[Serving],
    ) -> Response[bytes]:
        """Show a tile of hashes: full, or as wide as is asked, of a log that was published so far."""
        return await asyncio.to_thread(_tile, _Log(request, serving), level, rest)

    @get(_paths("/proof/{entry:uuid}"))
    async def proof(
        self, entry: FromPath[UUID], request: Asked, serving: NamedDependency[Serving]
    ) -> Response[str]:
        """Prove that an entry is in the log (C2SP tlog-proof)."""
        return await asyncio.to_thread(_proof, _Log(request, serving), entry)

    @get(_paths("/receipt/{entry:uuid}"))
    async def receipt(
        self, entry: FromPath[UUID], request: Asked, serving: NamedDependency[Serving]
    ) -> Response[str]:
        """Give what one keeps of a scan: its proof, or until it is published, our signature."""
        return await asyncio.to_thread(_receipt, _Log(request, serving), entry)


class _Log:
    """The log that is asked for: of the département in the address, or of the only one there is."""

    def __init__(self, request: Asked, serving: Serving) -> None:
        self._asked: str | None = request.path_params.get("departement")
        self.instance = serving.instance

    @property
    def code(self) -> str:
        if self._asked is not None:
            return self.instance.departement(self._asked).code
        known = self.instance.database.departements()
        if len(known) != 1:
            raise NoSuchRoom
        return known[0].code

    @contextmanager
    def reading(self) -> Iterator[Session]:
        with self.instance.database.begin(self.code, read_only=True) as session:
            yield session


def _checkpoint(log: _Log) -> Response[str]:
    with log.reading() as session:
        shown = newest(session)
    if shown is None:
        raise NoSuchRoom
    return _text(shown.note, seconds=5)


def _policy(log: _Log) -> Response[str]:
    with log.reading() as session:
        return _text(policy_text(session), seconds=60)


def _tile(log: _Log, level: str, rest: str) -> Response[bytes]:
    asked = _TILE.fullmatch(rest.lstrip("/"))
    if asked is None or not re.fullmatch(r"[0-9]", level, re.ASCII):
        raise NoSuchRoom
    n, high = int(re.sub("[x/]", "", asked["n"])), int(level)
    wanted = int(asked["width"] or TILE_WIDTH)
    partial_is_full = asked["width"] is not None and wanted >= TILE_WIDTH
    if high >= LEVELS or n >= 1 << 40 or partial_is_full:
        raise NoSuchRoom
    with log.reading() as session:
        shown = newest(session)
        if shown is None or width(shown.size, high, n) < wanted:
            raise NoSuchRoom
        hashes = tile(session, high, n)[: wanted * HASH_SIZE]
    return Response(
        hashes,
        media_type="application/octet-stream",
        headers={"Cache-Control": "public, max-age=31536000, immutable"},
    )


def _proof(log: _Log, entry: UUID) -> Response[str]:
    with log.reading() as session:
        return _text(proof(session, entry))


def _receipt(log: _Log, entry: UUID) -> Response[str]:
    with log.reading() as session:
        try:
            return _text(proof(session, entry))
        except NotPublishedYet:
            signers = log.instance.log_signers.get(log.code)
            return _text(acceptance(session, entry, signers))


def _text(told: str, *, seconds: int = 0) -> Response[str]:
    caching = f"max-age={seconds}" if seconds else "no-store"
    return Response(
        told,
        status_code=HTTP_200_OK,
        media_type=MediaType.TEXT,
        headers={"Cache-Control": caching, "X-Content-Type-Options": "nosniff"},
    )
