"""For mediators' devices: workshops, scans, looking at a pass, undoing a scan."""

from dataclasses import dataclass
from types import MappingProxyType
from typing import Any
from uuid import UUID

import msgspec
from litestar import Controller, MediaType, Request, Response, post
from litestar.datastructures import State
from litestar.di import NamedDependency
from litestar.params import JSONBody
from litestar.status_codes import HTTP_200_OK

from app.devices import Bearer, NotAllowed
from app.errors import preferred, unless_accepted
from app.people.roles import Door
from app.serving import Serving
from ledger.columns import Word
from ledger.refusal import Refusal
from redemption.checking import is_a_guess, look
from redemption.counter import Device, Presented, Scan, Verdict
from redemption.undoing import Undo, Why, undo
from redemption.workshops import OpenWorkshop, open_workshop

QUEUE_MAX = 1_000
DONE = {"accepted", "kept", "disputed"}
_encoder = msgspec.json.Encoder()

Asked = Request[None, None, State]


@dataclass(eq=False)
class TooManyScans(Refusal):
    """A queue is sent a thousand scans at a time."""

    code = "too_many_scans"

    most: int


class Check(msgspec.Struct, frozen=True):
    """A pass to look at: what its QR code holds, or its printed code."""

    token: str


class UndoScan(msgspec.Struct, frozen=True):
    """A scan of this site to take back."""

    id: UUID
    serial: Word
    reason: Why


class ToldVerdict(Verdict, frozen=True, omit_defaults=True):
    """A verdict with the sentence that a mediator reads when it is a no."""

    sentence: str | None = None


def device_of(bearer: Bearer) -> Device:
    """Return the device that scans for its site, or raise `NotAllowed`."""
    bearer.be("site")
    return Device(bearer.id, bearer.site)


async def judged(
    serving: Serving, bearer: Bearer, scans: list[Scan], language: str
) -> bytes:
    """Return the verdicts of a queue, in order, as JSON; a no comes with its sentence."""
    device = device_of(bearer)
    if len(scans) > QUEUE_MAX:
        raise TooManyScans(QUEUE_MAX)
    if not scans:
        return b"[]"
    queue = [Presented(scan, device) for scan in scans]
    verdicts = await serving.redeem(bearer.departement, queue)
    return _encoder.encode(
        [v if v.verdict in DONE else _told(v, language) for v in verdicts]
    )


class Mediators(Controller):
    """What a phone at a site asks for."""

    opt = MappingProxyType({"door": Door.BEARER})
    path = "/api/v1"

    @post("/scans", status_code=HTTP_200_OK)
    async def scans(
        self,
        data: JSONBody[list[Scan]],
        request: Asked,
        bearer: NamedDependency[Bearer],
        serving: NamedDependency[Serving],
    ) -> Response[bytes]:
        """Judge a queue of scans, each once whatever the retries: one verdict per scan, in order.

        Refusals are answers, not errors.  Scans of several phones that arrive together are
        judged in one transaction.  The answer is signed by the log's key; each accepted scan has
        its receipt at `/receipt/{id}`.
        """
        told = await judged(
            serving, bearer, data, request.headers.get("accept-language", "")
        )
        headers = await serving.signature(bearer.departement, told)
        return Response(told, media_type=MediaType.JSON, headers=headers)

    @post("/workshops", sync_to_thread=True, status_code=HTTP_200_OK)
    def workshops(
        self,
        data: JSONBody[OpenWorkshop],
        request: Asked,
        bearer: NamedDependency[Bearer],
        serving: NamedDependency[Serving],
    ) -> Response[bytes]:
        """Record a workshop under the id that the phone gave it."""
        device, code = device_of(bearer), bearer.departement
        with serving.instance.database.begin(code) as session:
            answer = open_workshop(
                session, data, device=device, now=serving.instance.moment(code)
            )
        serving.committed(code)
        return unless_accepted(request, answer)

    @post("/undos", sync_to_thread=True, status_code=HTTP_200_OK)
    def undos(
        self,
        data: JSONBody[UndoScan],
        request: Asked,
        bearer: NamedDependency[Bearer],
        serving: NamedDependency[Serving],
    ) -> Response[bytes]:
        """Take back a scan of this site, before settlement."""
        device, code = device_of(bearer), bearer.departement
        asked = Undo(data.id, data.serial, data.reason)
        with serving.instance.database.begin(code) as session:
            answer = undo(session, asked, device=device, now=serving.instance.moment(code))
        serving.committed(code)
        return unless_accepted(request, answer)

    @post("/vouchers/check", sync_to_thread=True, status_code=HTTP_200_OK)
    def check(
        self,
        data: JSONBody[Check],
        bearer: NamedDependency[Bearer],
        serving: NamedDependency[Serving],
    ) -> Response[bytes]:
        """Look at a pass without spending it; what is no pass counts among the device's guesses."""
        if bearer.scope == "departement":
            raise NotAllowed(bearer.scope)
        code = bearer.departement
        serving.guesses.check(bearer.id)
        ring = serving.instance.keyring(code)
        with serving.instance.database.begin(code, read_only=True) as session:
            seen = look(
                session, data.token, now=serving.instance.moment(code), keyring=ring
            )
        serving.guesses.add(bearer.id, int(is_a_guess(seen, ring)))
        return Response(_encoder.encode(seen), media_type=MediaType.JSON)


def _told(verdict: Verdict, language: str) -> ToldVerdict:
    facts: dict[str, Any] = {"on": verdict.on, "site": verdict.site, **verdict.facts}
    sentence = preferred(language).refusal(verdict.verdict, facts)
    return ToldVerdict(**msgspec.structs.asdict(verdict), sentence=sentence)
