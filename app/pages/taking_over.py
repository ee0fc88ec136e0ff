"""The room where carnets of a former operator are taken over: a list is sent, looked at, then confirmed.

Between the two, the list stays with whoever sent it: its numbers are worth money, and the page that
asks to confirm carries the file back, packed.  It is judged again when it comes.
"""

import asyncio
import binascii
import zlib
from base64 import b64decode, b64encode
from typing import Any, NamedTuple

from litestar import Controller, Response, get, post
from litestar.params import FromPath
from litestar.status_codes import (
    HTTP_200_OK,
    HTTP_413_REQUEST_ENTITY_TOO_LARGE,
    HTTP_422_UNPROCESSABLE_ENTITY,
)
from sqlalchemy.orm import Session

from app.errors import language_of
from app.pages.frame import (
    Answer,
    Asked,
    act_id,
    acting,
    again,
    go,
    now_of,
    page,
    reading,
    sentence,
    serving_of,
    visitor_of,
)
from app.pages.uploads import (
    BODY_MAX,
    UploadMissing,
    UploadTooLarge,
    csv_of,
    form_with_file,
)
from app.people.roles import Action
from app.works.models import INPUT_MAX
from funding.queries import TrancheLeft, tranches_with_money_left
from funding.tranches import Basis, EnvelopeExceeded
from issuance.foreign_lists import (
    Fault,
    ForeignList,
    Lot,
    TakeOverImpossible,
    judged,
    lots,
)
from issuance.keys import Signer
from issuance.taking_over import TakeOver, take_over
from ledger.attempts import Answer as Told
from ledger.moments import Moment
from ledger.refusal import Refusal
from redemption.foreign_csv import read_foreign_list

TEMPLATE = "take_over.html"
FIELDS = ("tranche", "operator", "commitment")


class Report(NamedTuple):
    """What a list holds, and what is wrong with its lines; `packed` is the file, to be sent back."""

    lots: list[Lot]
    passes: int
    value_cents: int
    faults: list[Fault]
    packed: str


class TakingOver(Controller):
    """What those who order carnets do with the paper of others."""

    path = "/{departement:str}/commandes/reprise"
    include_in_schema = False

    @get("/", opt={"door": Action.ORDER}, sync_to_thread=True)
    def form(self, request: Asked) -> Response[str]:
        """Ask for a list, the tranche that pays, whose paper it is, and what makes it good."""
        return page(request, TEMPLATE, typed={}, report=None, tranches=_offered(request))

    @post("/", opt={"door": Action.ORDER}, request_max_body_size=2 * BODY_MAX)
    async def send(self, departement: FromPath[str], request: Asked) -> Answer:
        """Look at a list that is sent; take over the one that is sent back."""
        offered = await asyncio.to_thread(_offered, request)
        try:
            fields = await form_with_file(request)
        except UploadTooLarge as no:
            return page(
                request,
                TEMPLATE,
                status=HTTP_413_REQUEST_ENTITY_TOO_LARGE,
                errors={"file": sentence(request, no)},
                typed={},
                report=None,
                tranches=offered,
            )
        errors = _missing(request, fields, offered)
        data, listed = b"", None
        try:
            data = _unpacked(fields["list"]) if "list" in fields else await _sent(request)
            listed = await asyncio.to_thread(read_foreign_list, data)
        except Refusal as no:
            errors["file"] = sentence(request, no)
        if errors or listed is None:
            return _again(request, errors, fields, offered)
        signer = await asyncio.to_thread(serving_of(request).instance.signer, departement)
        if "list" in fields:
            return await _take_over(request, fields, listed, signer, offered)
        try:
            report = await asyncio.to_thread(
                _look, request, fields, listed, data, signer, offered
            )
        except Refusal as no:
            return _again(request, _beside(request, no), fields, offered)
        status = HTTP_422_UNPROCESSABLE_ENTITY if report.faults else HTTP_200_OK
        return page(
            request, TEMPLATE, status=status, typed=fields, report=report, tranches=offered
        )


async def _sent(request: Asked) -> bytes:
    _name, data = await csv_of(request, "file")
    return data


def _unpacked(packed: str) -> bytes:
    """Return the file that a page carried, or raise `UploadMissing`: no more of it than may be sent."""
    try:
        data = zlib.decompressobj().decompress(b64decode(packed), INPUT_MAX + 1)
    except (binascii.Error, ValueError, zlib.error):
        raise UploadMissing from None
    if len(data) > INPUT_MAX:
        raise UploadTooLarge
    return data


def _missing(
    request: Asked, fields: dict[str, str], offered: list[TrancheLeft]
) -> dict[str, str]:
    m = language_of(request)
    errors = {}
    if fields.get("tranche") not in {t.code for t in offered}:
        errors["tranche"] = m.refusal("choice_needed")
    if not fields.get("operator"):
        no = TakeOverImpossible("operator_word")
        errors["operator"] = sentence(request, no)
    if not fields.get("commitment"):
        by_mandat = _basis(fields, offered) == "mandat"
        errors["commitment"] = m.refusal(
            "mandat_needed" if by_mandat else "commitment_needed"
        )
    return errors


def _look(
    request: Asked,
    fields: dict[str, str],
    listed: ForeignList,
    data: bytes,
    signer: Signer,
    offered: list[TrancheLeft],
) -> Report:
    """Judge a list; raises what would refuse all of it."""
    with reading(request) as session:
        faults = judged(
            session,
            listed,
            tranche=fields["tranche"],
            operator=fields["operator"],
            signer=signer,
            today=now_of(request).day,
        )
    [chosen] = [t for t in offered if t.code == fields["tranche"]]
    value = len(listed.passes) * chosen.face_cents
    if not faults and value > chosen.left_cents:
        raise EnvelopeExceeded(chosen.code, value, chosen.left_cents)
    packed = b64encode(zlib.compress(data)).decode()
    return Report(lots(listed.passes), len(listed.passes), value, faults, packed)


async def _take_over(
    request: Asked,
    fields: dict[str, str],
    listed: ForeignList,
    signer: Signer,
    offered: list[TrancheLeft],
) -> Answer:
    which, by = act_id(fields), str(visitor_of(request).session.person)
    asked = TakeOver(
        which,
        fields["tranche"],
        fields["operator"],
        fields["commitment"],
        listed,
        _basis(fields, offered),
    )

    def done(session: Session, now: Moment) -> Told:
        return take_over(session, asked, signer=signer, by=by, now=now)

    answer = await acting(request, done)
    if not answer.accepted:
        told = language_of(request).refusal(answer.code, answer.facts)
        return _again(request, {"file": told}, fields, offered)
    base = f"/{visitor_of(request).departement}/commandes"
    first, last = answer.facts["orders"]
    return go(f"{base}/{first}" if first == last else base, done="taken_over")


def _basis(fields: dict[str, str], offered: list[TrancheLeft]) -> Basis:
    """Return what the chosen tranche asks for."""
    chosen = [t.activated_on for t in offered if t.code == fields.get("tranche")]
    return chosen[0] if chosen else "commitment"


def _beside(request: Asked, no: Refusal) -> dict[str, str]:
    """Return a refusal beside the field that it is about."""
    field = "tranche" if isinstance(no, EnvelopeExceeded) else "file"
    if isinstance(no, TakeOverImpossible) and no.reason == "operator_word":
        field = "operator"
    return {field: sentence(request, no)}


def _again(
    request: Asked,
    errors: dict[str, str],
    fields: dict[str, str],
    offered: list[TrancheLeft],
) -> Response[str]:
    typed: dict[str, Any] = {name: fields.get(name, "") for name in FIELDS}
    return again(request, TEMPLATE, errors, typed=typed, report=None, tranches=offered)


def _offered(request: Asked) -> list[TrancheLeft]:
    """Return the tranches that this visitor may honour paper out of."""
    visitor = visitor_of(request)
    with reading(request) as session:
        found = tranches_with_money_left(session, on=now_of(request).day)
    return [t for t in found if visitor.sees(Action.ORDER, t.programme)]
