"""The counter: scans in, verdicts out, however often a phone sends them."""

import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from hashlib import sha256
from typing import Annotated, Any, NamedTuple
from uuid import UUID

import msgspec
from sqlalchemy import insert
from sqlalchemy.orm import Session

from issuance import codes, tokens
from issuance.keys import Keyring
from ledger import attempts
from ledger.attempts import ACT_REUSED, Answer, Attempt
from ledger.entries import Entry, Right
from ledger.journal import Holder, holders, record
from ledger.moments import Moment
from redemption import presented
from redemption.admission import OrderFacts, PassFacts, PlaceFacts, Reason, judge, spent
from redemption.models import dispute, kept_scan
from redemption.presented import PassRow
from redemption.uses import redeemed, use_facts

ACT = "redeem"
WORKSHOP_UNKNOWN = "workshop_unknown"
OTHER_SITE = "other_site"
CODES_LOCKED = "codes_locked"
MISTYPED = "mistyped_code"
EARLIEST = datetime(2015, 1, 1, tzinfo=UTC)


class Scan(msgspec.Struct, frozen=True):
    """What a phone saw, named by the phone so that it can be resent.

    `token` is what the QR code holds, or the code printed beneath it, as typed.
    """

    id: UUID
    token: str
    workshop: UUID
    at: Annotated[datetime, msgspec.Meta(tz=True)]
    shown: Annotated[str, msgspec.Meta(max_length=40)] | None = None


@dataclass(frozen=True)
class Device:
    """Who scans: a pseudonymous id, and the only site it scans for (None: a manager, any site)."""

    id: str
    site: int | None


class Presented(NamedTuple):
    """A scan and the device it came from."""

    scan: Scan
    device: Device


class Verdict(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a scan came to: `verdict` is a stable word, the rest its facts.

    `accepted`: `cents` are owed to the site.  `kept`: waits for the hand-out to be recorded.
    `disputed`: a manager decides.  Anything else is a refusal; `on` and `site` then tell when
    and where the pass was spent.
    """

    id: UUID
    verdict: str
    serial: str | None = None
    cents: int | None = None
    on: date | None = None
    site: str | None = None
    facts: dict[str, Any] = {}
    replayed: bool = False


def redeem(
    session: Session, queue: Sequence[Presented], *, now: Moment, keyring: Keyring
) -> list[Verdict]:
    """Spend each pass once and owe its site the face value; one verdict per scan, in order.

    A phone that lost the network sends its whole queue again: a scan already judged gets the
    verdict it got then.  One bad scan never spoils the others.  A scan of an unknown workshop
    is not judged and not kept: it can be sent again once its workshop is known.  A fixed
    number of statements, whatever the length of the queue.
    """
    workshops = presented.sites_of(session, {p.scan.workshop for p in queue})
    verdicts: list[Verdict | None] = [None] * len(queue)
    first_seen: dict[UUID, int] = {}
    attempted: list[tuple[int, Attempt]] = []
    for place, p in enumerate(queue):
        problem = _unfit(p, workshops, keyring)
        if problem is not None:
            verdicts[place] = Verdict(p.scan.id, problem)
        elif first_seen.setdefault(p.scan.id, place) == place:
            attempted.append((place, _attempt(p, now, keyring)))
    if attempted:
        # The attempt is written first: whoever comes second with the same id must find it.
        replayed = attempts.open_attempts(session, [a for _, a in attempted])
        fresh = attempted
        if replayed:
            fresh = [(place, a) for place, a in attempted if a.id not in replayed]
            late = [a for _, a in attempted if a.id in replayed]
            for answer in attempts.replays(session, late).values():
                verdicts[first_seen[answer.act]] = _replayed(answer)
        if fresh:
            batch = [queue[place] for place, _ in fresh]
            judged = _judge_and_record(session, batch, now, keyring)
            for (place, _), verdict in zip(fresh, judged, strict=True):
                verdicts[place] = verdict
    return [
        v or _same_again(queue, verdicts, first_seen, n) for n, v in enumerate(verdicts)
    ]


def _same_again(
    queue: Sequence[Presented],
    verdicts: Sequence[Verdict | None],
    first_seen: Mapping[UUID, int],
    place: int,
) -> Verdict:
    """Return the verdict of a scan that stands twice in one queue: the first one's, if it is the same."""
    scan = queue[place].scan
    first = first_seen[scan.id]
    verdict = verdicts[first]
    if verdict is None or queue[first].scan != scan:
        return Verdict(scan.id, ACT_REUSED)
    return verdict


def _unfit(p: Presented, workshops: Mapping[UUID, int], keyring: Keyring) -> str | None:
    """Return why a scan cannot be judged now; it is not kept, and can be sent again."""
    site = workshops.get(p.scan.workshop)
    if site is None:
        return WORKSHOP_UNKNOWN
    if p.device.site is not None and p.device.site != site:
        return OTHER_SITE
    if keyring.code_key is None and codes.looks_like_code(p.scan.token):
        return CODES_LOCKED
    return None


def _attempt(p: Presented, now: Moment, keyring: Keyring) -> Attempt:
    scan = p.scan
    request = f"{scan.token}|{scan.workshop}|{scan.at.isoformat()}".encode()
    # Both are worth money, so only a digest is kept.  A token holds a signature that nobody
    # guesses; a code is short, so its digest needs a key.
    if keyring.code_key is not None and codes.looks_like_code(scan.token):
        asked = hmac.digest(keyring.code_key, request, "sha256")
    else:
        asked = sha256(request).digest()
    return Attempt(scan.id, ACT, asked, p.device.id, now.at, scan.shown)


def _replayed(answer: Answer) -> Verdict:
    if answer.code != attempts.ACCEPTED:
        return _told(answer.act, answer.code, answer.facts, replayed=answer.replayed)
    reason = _OF_KIND[answer.kind or ""]
    facts = answer.facts
    cents = facts["cents"] if reason is Reason.ACCEPTED else None
    return Verdict(answer.act, reason, facts["serial"], cents, replayed=True)


_OF_KIND = {"redeemed": Reason.ACCEPTED, "kept": Reason.KEPT, "disputed": Reason.DISPUTED}


def _told(
    scan: UUID, code: str, facts: dict[str, Any], *, replayed: bool = False
) -> Verdict:
    on = facts.get("on")
    return Verdict(
        scan,
        code,
        facts.get("serial"),
        on=None if on is None else date.fromisoformat(on),
        site=facts.get("site"),
        facts={k: v for k, v in facts.items() if k not in {"serial", "on", "site"}},
        replayed=replayed,
    )


def _judge_and_record(
    session: Session, batch: Sequence[Presented], now: Moment, keyring: Keyring
) -> list[Verdict]:
    recognised = recognise(session, [p.scan.token for p in batch], keyring)
    found = [seen.row for seen in recognised if seen.row is not None]
    orders = presented.orders(session, {row.order for row in found})
    places = presented.places(
        session, {p.scan.workshop for p in batch}, {o.tranche for o in orders.values()}
    )
    # The gates stay held, so that a lapse waits for us or we see that it closed them.
    lapsed = presented.closed_gates(session, orders)
    held_by = spenders(session, [row for row in found if row.held])
    verdicts: list[Verdict] = []
    entries: list[Entry] = []
    refused: list[tuple[UUID, str, dict[str, Any]]] = []
    for p, seen in zip(batch, recognised, strict=True):
        verdict = entry = None
        if seen.row is None:
            code, facts = seen.refusal or Reason.UNKNOWN, seen.facts
        else:
            row, order = seen.row, orders[seen.row.order]
            place = places[p.scan.workshop, order.tranche]
            holder = held_by.get(row.serial) if row.held else None
            known = PassFacts(
                holder.kind if holder else None,
                row.handed_out,
                (row.order, row.stage) in lapsed,
            )
            code = judge(known, order, place, now.day)
            entry = _entry(code, p, row, order, place, now)
            facts = {} if entry else _explained(code, row, order, place, holder)
        if entry is not None:
            entries.append(entry)
            verdict = Verdict(entry.id, code, entry.facts["serial"], entry.cents or None)
        else:
            refused.append((p.scan.id, code, facts))
            verdict = _told(p.scan.id, code, facts)
        verdicts.append(verdict)
    lost = record(session, entries)
    _keep_cases(session, [e for e in entries if e.kind != "redeemed"])
    if lost:
        late = [e for e in entries if e.id in lost and e.right is not None]
        told = _too_late_by_a_moment(session, late)
        refused += told.values()
        verdicts = [_told(*told[v.id]) if v.id in told else v for v in verdicts]
    attempts.refuse(session, refused)
    return verdicts


def _too_late_by_a_moment(
    session: Session, lost: Sequence[Entry]
) -> dict[UUID, tuple[UUID, str, dict[str, Any]]]:
    """Explain scans whose pass another one spent while we were judging: the database said who won."""
    winners = holders(session, [e.right for e in lost if e.right is not None])
    told: dict[UUID, tuple[UUID, str, dict[str, Any]]] = {}
    for e in lost:
        if e.right is not None:
            winner = winners[e.right]
            reason = spent(winner.kind)
            facts = {"serial": e.facts["serial"]}
            if reason is Reason.ALREADY_REDEEMED:
                facts |= where_and_when(winner)
            told[e.id] = (e.id, reason, facts)
    return told


class Seen(NamedTuple):
    """The pass a text is, or what is wrong with the paper."""

    row: PassRow | None
    refusal: str | None
    facts: dict[str, Any]


def recognise(session: Session, texts: Sequence[str], keyring: Keyring) -> list[Seen]:
    """Tell which pass each text is, or what is wrong with the paper; changes nothing.

    A token is compared with the digest made at issuance; its signature is verified only where
    the pass is unknown, to tell a forgery from a voucher that the ledger has lost.
    """
    read = [_read(text, keyring) for text in texts]
    rows = presented.passes(session, [r.serial for r in read if r.serial is not None])
    digests = [r.code_digest for r in read if r.code_digest is not None]
    coded = presented.passes_by_code(session, digests) if digests else {}
    seen = []
    for r in read:
        if r.token is not None and r.serial is not None:
            seen.append(_match(rows.get(r.serial), r.token, keyring))
        elif r.code_digest is not None:
            row = coded.get(r.code_digest)
            seen.append(Seen(row, None if row else Reason.UNKNOWN, {}))
        else:
            seen.append(Seen(None, r.refusal, r.facts))
    return seen


class _Read(NamedTuple):
    """What a text says before the ledger is asked: a token and its serial, a code, or neither."""

    token: bytes | None
    serial: str | None
    code_digest: bytes | None
    refusal: str | None
    facts: dict[str, Any]


def _read(text: str, keyring: Keyring) -> _Read:
    try:
        if codes.looks_like_code(text):
            return _read_code(text, keyring)
        token = tokens.from_text(text)
        return _Read(token, str(tokens.split(token).serial), None, None, {})
    except tokens.ForgedToken as no:
        return _Read(None, None, None, Reason.FORGED, {"part": no.part})
    except codes.MistypedCode as no:
        return _Read(None, None, None, MISTYPED, {"part": no.part})


def _read_code(text: str, keyring: Keyring) -> _Read:
    departement, code = codes.normalise(text)
    if departement not in (None, keyring.departement):
        return _Read(None, None, None, Reason.UNKNOWN, {"departement": departement})
    if keyring.code_key is None:
        return _Read(None, None, None, CODES_LOCKED, {})
    return _Read(None, None, codes.lookup_digest(keyring.code_key, code), None, {})


def _match(row: PassRow | None, token: bytes, keyring: Keyring) -> Seen:
    if row is not None:
        if row.token_digest == tokens.digest(token):
            return Seen(row, None, {})
        return Seen(None, Reason.FORGED, {"part": "signature"})
    face = tokens.split(token)
    if face.departement != keyring.departement:
        return Seen(None, Reason.UNKNOWN, {"departement": face.departement})
    try:
        tokens.verify(token, keyring.all)
    except tokens.ForgedToken as no:
        return Seen(None, Reason.FORGED, {"part": no.part})
    return Seen(None, Reason.UNKNOWN, {"serial": str(face.serial)})


def spenders(session: Session, rows: Sequence[PassRow]) -> dict[str, Holder]:
    """Tell, by serial, which entry holds each of these spent passes."""
    if not rows:
        return {}
    rights = [Right("spend", row.serial, row.spent or 0) for row in rows]
    return {right.subject: holder for right, holder in holders(session, rights).items()}


def _entry(
    reason: Reason,
    p: Presented,
    row: PassRow,
    order: OrderFacts,
    place: PlaceFacts,
    now: Moment,
) -> Entry | None:
    """Return the entry that a verdict records, or None for a refusal."""
    facts = use_facts(row, order, place, p.scan.workshop)
    # A phone's clock is a claim: nothing happens after we heard of it, nor before there were passes.
    at = p.scan.at if EARLIEST <= p.scan.at <= now.at else now.at
    if reason is Reason.ACCEPTED:
        return redeemed(
            row,
            order,
            place,
            facts,
            entry=p.scan.id,
            act=p.scan.id,
            actor=p.device.id,
            at=at,
            recorded=now.at,
        )
    right = None
    if reason is Reason.DISPUTED:
        facts["present_by"] = order.present_by.isoformat()
        right = Right("dispute", str(p.scan.id), 0)
    elif reason is not Reason.KEPT:
        return None
    return Entry(
        act=p.scan.id,
        actor=p.device.id,
        at=at,
        cents=0,
        credit=None,
        debit=None,
        facts=facts,
        id=p.scan.id,
        kind=reason.value,
        on=place.day,
        recorded=now.at,
        right=right,
    )


def _explained(
    reason: Reason,
    row: PassRow,
    order: OrderFacts,
    place: PlaceFacts,
    holder: Holder | None,
) -> dict[str, Any]:
    """Return the facts a person needs to understand a refusal."""
    facts: dict[str, Any] = {"serial": row.serial}
    if holder is not None and reason is Reason.ALREADY_REDEEMED:
        facts |= where_and_when(holder)
    elif reason is Reason.TOO_LATE:
        facts["tolerance_until"] = order.tolerance_until.isoformat()
    elif reason in {Reason.NOT_ACCREDITED, Reason.PROGRAMME_SUSPENDED}:
        facts["day"] = place.day.isoformat()
    return facts


def where_and_when(holder: Holder) -> dict[str, Any]:
    """Tell where and when a pass was spent."""
    return {"on": holder.body["on"], "site": holder.facts.get("site_name")}


def _keep_cases(session: Session, cases: Sequence[Entry]) -> None:
    kept = [e for e in cases if e.kind == "kept"]
    if kept:
        session.execute(
            insert(kept_scan),
            [
                {
                    "entry_id": e.id,
                    "serial": e.facts["serial"],
                    "workshop": UUID(e.facts["workshop"]),
                    "received_at": e.recorded,
                }
                for e in kept
            ],
        )
    disputed = [e for e in cases if e.kind == "disputed"]
    if disputed:
        session.execute(
            insert(dispute),
            [
                {
                    "entry_id": e.id,
                    "tranche": e.facts["tranche"],
                    "serial": e.facts["serial"],
                    "workshop": UUID(e.facts["workshop"]),
                    "received_at": e.recorded,
                    "present_by": date.fromisoformat(e.facts["present_by"]),
                }
                for e in disputed
            ],
        )
