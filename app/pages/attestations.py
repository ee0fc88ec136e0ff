"""The list that a desk signs for its hand-outs, and the signed paper, of which the hash alone is kept."""

import asyncio
from collections.abc import Collection
from datetime import date
from typing import Any, BinaryIO, cast

from litestar import Controller, Response, get, post
from litestar.datastructures import UploadFile
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
    visitor_of,
)
from app.pages.stock import STORE, holders
from app.pages.uploads import UploadMissing, UploadTooLarge, form_with_file
from app.pages.visitors import Visitor
from app.people.roles import Action
from issuance.attestations import (
    FILE_MAX,
    AttestationUnreadable,
    FileAttestation,
    SignedPaper,
    Standing,
    file_attestation,
    filed,
    hand_outs_hash,
    read_paper,
    standings,
    to_attest,
)

# A list that a person signs is read by a person.
LISTED_MAX = 1_000


class Attestations(Controller):
    """What rests on a desk's word: who has not signed yet, what to sign, and what was filed."""

    path = "/{departement:str}/attestations"
    include_in_schema = False

    @get("/", opt={"door": Action.SEE_STOCK}, sync_to_thread=True)
    def shown(self, request: Asked) -> Response[str]:
        """Show what waits for a signature; for a desk and days that are asked for, the list to sign."""
        asked = {
            name: request.query_params.get(name, "") for name in ("desk", "from", "until")
        }
        found, errors = _shown(request, asked)
        if errors:
            return again(request, "attestations.html", errors, **found)
        return page(request, "attestations.html", **found)

    @post("/", opt={"door": Action.HAND_OUT}, request_max_body_size=FILE_MAX + 20_000)
    async def file(self, request: Asked) -> Answer:
        """File a signed paper of one's own desk, for the list that was shown and no other."""
        visitor, fields = visitor_of(request), {}
        try:
            fields = await form_with_file(request)
            paper = await _paper(request)
        except UploadTooLarge:
            told = sentence(request, AttestationUnreadable("too_large"))
            return await _again(request, fields, {"file": told})
        except (UploadMissing, AttestationUnreadable) as no:
            return await _again(request, fields, {"file": sentence(request, no)})
        first, last = _day(fields.get("from", "")), _day(fields.get("until", ""))
        if first is None or last is None or fields.get("desk") not in visitor.desks:
            told = language_of(request).refusal("choice_needed")
            return await _again(request, fields, {"desk": told})
        asked = FileAttestation(
            act_id(fields), fields["desk"], first, last, paper, fields.get("list", "")
        )
        by = str(visitor.session.person)
        answer = await acting(
            request, lambda session, now: file_attestation(session, asked, by=by, now=now)
        )
        if not answer.accepted:
            told = language_of(request).refusal(answer.code, answer.facts)
            return await _again(request, fields, {"file": told})
        return go(f"/{visitor.departement}/attestations", done="attestation_filed")


async def _paper(request: Asked) -> SignedPaper:
    sent = (await request.form()).get("file")
    if not isinstance(sent, UploadFile) or not sent.filename:
        raise UploadMissing
    return await asyncio.to_thread(read_paper, cast("BinaryIO", sent.file))


async def _again(
    request: Asked, fields: dict[str, str], errors: dict[str, str]
) -> Response[str]:
    found, wrong = await asyncio.to_thread(_shown, request, fields)
    return again(request, "attestations.html", wrong | errors, **found)


def _shown(request: Asked, asked: dict[str, str]) -> tuple[dict[str, Any], dict[str, str]]:
    """Return what the page shows, and what is wrong with what was asked for."""
    visitor, m, today = visitor_of(request), language_of(request), now_of(request).day
    errors = {}
    with reading(request) as session:
        desks = {
            holder.value: holder.name
            for holder in holders(session, visitor, Action.SEE_STOCK)
            if holder.value != STORE
        }
        code = asked.get("desk") or (next(iter(desks)) if len(desks) == 1 else "")
        waiting = [s for s in _waiting(session, visitor) if s.desk in desks]
        since = min((s.since for s in waiting if s.desk == code), default=today)
        first = _day(asked.get("from", "")) or since
        last = _day(asked.get("until", "")) or today
        rows = []
        if code and code not in desks:
            errors["desk"] = m.refusal("choice_needed")
        elif code:
            seen = _seen(visitor, own=code in visitor.desks)
            rows = to_attest(session, code, first, last, programmes=seen)
        return {
            "desks": desks,
            "desk": code if code in desks else "",
            "first": first,
            "last": last,
            "rows": rows if len(rows) <= LISTED_MAX else [],
            "too_many": len(rows) > LISTED_MAX,
            "list": hand_outs_hash([row.hand_out for row in rows]),
            "signs": code in visitor.desks,
            "waiting": waiting,
            "filed": [line for line in filed(session, most=200) if line.desk in desks],
            "today": today,
        }, errors


def _seen(visitor: Visitor, *, own: bool) -> Collection[str] | None:
    """Return whose programmes' hand-outs are listed: a desk signs for all that it gave, whatever its programmes."""
    return None if own else visitor.programmes(Action.SEE_STOCK)


def _waiting(session: Session, visitor: Visitor) -> list[Standing]:
    found = {
        standing.desk: standing
        for own in (False, True)
        for standing in standings(session, programmes=_seen(visitor, own=own))
        if own == (standing.desk in visitor.desks)
    }
    return [found[code] for code in sorted(found)]


def _day(typed: str) -> date | None:
    try:
        return date.fromisoformat(typed)
    except ValueError:
        return None
