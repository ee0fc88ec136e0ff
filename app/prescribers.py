"""For prescribers' desks: handing out."""

from datetime import UTC, date, datetime
from types import MappingProxyType
from typing import Annotated
from uuid import UUID

import msgspec
from litestar import Controller, MediaType, Request, Response, post
from litestar.datastructures import State
from litestar.di import NamedDependency
from litestar.params import JSONBody
from litestar.status_codes import HTTP_200_OK

from app.devices import Bearer
from app.errors import language_of, unless_accepted
from app.people.roles import Door
from app.queued_hand_outs import Clock, Queued, judge_queue
from app.serving import Serving
from issuance.hand_outs import HandOut, Need, Proof
from issuance.holders import Holder
from issuance.limits import DespiteLimit
from ledger.columns import Word
from redemption.hand_out import hand_out


class DeskHandOut(msgspec.Struct, frozen=True):
    """A hand-out by the desk that the token stands for."""

    id: UUID
    pic: bool
    proof: Proof
    carnet: Annotated[int, msgspec.Meta(ge=1, le=2**31)] | None = None
    serials: Annotated[tuple[Word, ...], msgspec.Meta(max_length=1_000)] = ()
    category: Word | None = None
    need: Need | None = None
    given_on: date | None = None
    holder: Holder | None = None
    despite_limit: DespiteLimit | None = None
    at_site: Word | None = None
    given_at: Clock | None = None


def _told_in_utc(at: datetime | None) -> datetime | None:
    """Return an instant as UTC can tell it: a clock at the end of time loses no queue."""
    try:
        return at and at.astimezone(UTC)
    except OverflowError:
        return datetime.min.replace(tzinfo=UTC)


class QueuedHandOut(DeskHandOut, frozen=True):
    """A hand-out that a device kept while it had no network; its clock said `given_at`."""

    shown: Annotated[str, msgspec.Meta(max_length=40)] | None = None

    def at(self, desk: str) -> Queued:
        """Return what is asked, at the desk that the token stands for."""
        told = msgspec.structs.asdict(self)
        shown, told["given_at"] = told.pop("shown"), _told_in_utc(self.given_at)
        return Queued(HandOut(desk=desk, **told), shown)


class Prescribers(Controller):
    """What a desk asks for."""

    opt = MappingProxyType({"door": Door.BEARER})
    path = "/api/v1"

    @post("/hand-outs", sync_to_thread=True, status_code=HTTP_200_OK)
    def hand_outs(
        self,
        data: JSONBody[DeskHandOut],
        request: Request[None, None, State],
        bearer: NamedDependency[Bearer],
        serving: NamedDependency[Serving],
    ) -> Response[bytes]:
        """Give a carnet, or single passes of it, to a person; once, whatever the retries."""
        bearer.be("desk")
        code = bearer.departement
        asked = HandOut(desk=bearer.desk or "", **msgspec.structs.asdict(data))
        with serving.instance.database.begin(code) as session:
            answer = hand_out(
                session,
                asked,
                by=bearer.id,
                now=serving.instance.moment(code),
                sealer=serving.instance.sealer,
            )
        serving.committed(code)
        return unless_accepted(request, answer)

    @post("/hand-outs/queue", sync_to_thread=True, status_code=HTTP_200_OK)
    def queue(
        self,
        data: JSONBody[list[QueuedHandOut]],
        request: Request[None, None, State],
        bearer: NamedDependency[Bearer],
        serving: NamedDependency[Serving],
    ) -> Response[bytes]:
        """Record the hand-outs of a device that was without a network: one verdict each, in order.

        Refusals are answers, not errors; at most five hundred at a time.
        """
        bearer.be("desk")
        try:
            told = judge_queue(
                serving.instance,
                bearer.departement,
                [one.at(bearer.desk or "") for one in data],
                by=bearer.id,
                m=language_of(request),
            )
        finally:  # what came before a failure is committed
            serving.committed(bearer.departement)
        return Response(msgspec.json.encode(told), media_type=MediaType.JSON)
