"""The counter: scans in, verdicts out, however often a phone sends them."""

import hmac
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import partial
from hashlib import sha256
from typing import Annotated, Any, NamedTuple
from uuid import UUID

import msgspec
from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from issuance import codes
from issuance.hand_outs import waits_for
from issuance.keys import Keyring
from issuance.models import handed_out
from ledger import attempts, gates
from ledger.attempts import ACT_REUSED, Answer, Attempt
from ledger.entries import Entry, Right
from ledger.journal import Holder, holders, settle
from ledger.moments import Moment
from redemption.admission import OrderFacts, PassFacts, PlaceFacts, Reason, judge, spent
from redemption.facts import Facts, Standing, facts
from redemption.models import dispute, kept_scan
from redemption.presented import PassRow
from redemption.recognition import CODES_LOCKED, Read, match, read
from redemption.uses import redeemed, use_facts

ACT = "redeem"
WORKSHOP_UNKNOWN = "workshop_unknown"
OTHER_SITE = "other_site"
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
    and where the pass was spent, `on` alone when it was replaced.
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
    session: Session,
    queue: Sequence[Presented],
    *,
    now: Moment,
    keyring: Keyring,
    standing: Standing | None = None,
) -> list[Verdict]:
    """Spend each pass once and owe its site the face value; one verdict per scan, in order.

    A phone that lost the network sends its whole queue again: a scan already judged gets the
    verdict it got then.  One bad scan never spoils the others.  A scan of an unknown workshop
    is not judged and not kept: it can be sent again once its workshop is known.  A fixed
    number of statements, whatever the length of the queue; fewer for a counter that hands over
    what it remembers.
    """
    said = [read(p.scan.token, keyring) for p in queue]
    look = partial(
        facts,
        session,
        standing or Standing(),
        serials=[text.serial for text in said if text.serial is not None],
        codes=[text.code_digest for text in said if text.code_digest is not None],
        workshops=[p.scan.workshop for p in queue],
        marks=[text.mark for text in said if text.mark is not None],
    )
    known = look()
    verdicts: list[Verdict | None] = [None] * len(queue)
    first_seen: dict[UUID, int] = {}
    for place, p in enumerate(queue):
        problem = _unfit(p, said[place], known.sites, keyring)
        if problem is not None:
            verdicts[place] = Verdict(p.scan.id, problem)
        else:
            first_seen.setdefault(p.scan.id, place)
    fit = list(first_seen.values())
    batch = [(queue[n], said[n]) for n in fit]
    judged = _judged(session, batch, known, now, keyring)
    # A second round may find more that waits, which nobody keeps from being handed out yet.
    while _given_meanwhile(session, judged):
        judged = _judged(session, batch, look(), now, keyring)
    for place, verdict in zip(fit, _settled(session, judged), strict=True):
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
    if verdict is None or _asked(queue[first].scan) != _asked(scan):
        return Verdict(scan.id, ACT_REUSED)
    return msgspec.structs.replace(verdict, replayed=True)


def _unfit(
    p: Presented, said: Read, workshops: Mapping[UUID, int], keyring: Keyring
) -> str | None:
    """Return why a scan cannot be judged now; it is not kept, and can be sent again."""
    site = workshops.get(p.scan.workshop)
    if site is None:
        return WORKSHOP_UNKNOWN
    if p.device.site is not None and p.device.site != site:
        return OTHER_SITE
    if keyring.code_key is None and codes.looks_like_code(p.scan.token):
        return CODES_LOCKED
    return CODES_LOCKED if said.refusal == CODES_LOCKED else None


def _asked(scan: Scan) -> bytes:
    """Return what makes two scans of one id the same: what a screen showed is told beside it."""
    return f"{scan.token}|{scan.workshop}|{scan.at.isoformat()}".encode()


def _attempt(p: Presented, said: Read, now: Moment, keyring: Keyring) -> Attempt:
    scan, request = p.scan, _asked(p.scan)
    # Both are worth money, so only a digest is kept.  A token holds a signature that nobody
    # guesses; a code is short, and so may be a number of a former operator: they need a key.
    if keyring.code_key is not None and said.token is None:
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


class Judged(NamedTuple):
    """What a scan comes to if nobody is faster; without an entry it is a refusal."""

    attempt: Attempt
    code: str
    facts: dict[str, Any]
    entry: Entry | None

    @property
    def verdict(self) -> Verdict:
        """What the phone is told."""
        if self.entry is None:
            return _told(self.attempt.id, self.code, self.facts)
        serial = self.entry.facts["serial"]
        return Verdict(self.attempt.id, self.code, serial, self.entry.cents or None)


def _judged(
    session: Session,
    batch: Sequence[tuple[Presented, Read]],
    known: Facts,
    now: Moment,
    keyring: Keyring,
) -> list[Judged]:
    seen = [match(said, known.passes, known.by_code, keyring) for _, said in batch]
    held_by = spenders(session, [s.row for s in seen if s.row is not None and s.row.held])
    judged = []
    for (p, said), (row, refusal, why) in zip(batch, seen, strict=True):
        attempt = _attempt(p, said, now, keyring)
        if row is None:
            judged.append(Judged(attempt, refusal or Reason.UNKNOWN, why, None))
            continue
        order = known.orders[row.order]
        place = known.places[p.scan.workshop, order.tranche]
        holder = held_by.get(row.serial) if row.held else None
        lapsed = (row.order, row.stage) in known.lapsed
        became = PassFacts(holder.kind if holder else None, row.handed_out, lapsed)
        reason = judge(became, order, place, now.day)
        entry = _entry(reason, p, row, order, place, now)
        told = {} if entry else _explained(reason, row, order, place, holder)
        judged.append(Judged(attempt, reason, told, entry))
    return judged


def _given_meanwhile(session: Session, judged: Sequence[Judged]) -> bool:
    """Tell whether a pass whose scan would wait for its hand-out was handed out since we looked.

    From here on nobody hands such a pass out before this transaction ends, and finds its scan
    then: a scan that waits is never one that nobody decides.
    """
    kept = [j.entry.facts["serial"] for j in judged if j.entry and j.code == Reason.KEPT]
    if not kept:
        return False
    gates.in_turn(session, map(waits_for, kept))
    given = select(handed_out.c.serial).where(handed_out.c.serial.in_(kept)).limit(1)
    return session.scalar(given) is not None


def _settled(session: Session, judged: Sequence[Judged]) -> list[Verdict]:
    """Write what was judged; whoever came before, with the scan or with the pass, is who counts."""
    if not judged:
        return []
    entries = [j.entry for j in judged if j.entry is not None]
    replayed, lost = settle(session, [j.attempt for j in judged], entries)
    answers: dict[UUID, Answer] = {}
    if replayed:
        late = [j.attempt for j in judged if j.attempt.id in replayed]
        answers = attempts.replays(session, late)
    if lost:
        judged = _beaten(session, judged, lost)
    fresh = [j for j in judged if j.attempt.id not in replayed]
    _keep_cases(session, [j.entry for j in fresh if j.entry is not None])
    attempts.refuse(
        session, [(j.attempt.id, j.code, j.facts) for j in fresh if j.entry is None]
    )
    return [
        _replayed(answers[j.attempt.id]) if j.attempt.id in replayed else j.verdict
        for j in judged
    ]


def _beaten(
    session: Session, judged: Sequence[Judged], lost: AbstractSet[UUID]
) -> list[Judged]:
    """Tell those whose pass another spent while we were judging who it was: the database knows."""
    late = {j.attempt.id: j.entry for j in judged if j.entry and j.entry.id in lost}
    winners = holders(session, [e.right for e in late.values() if e.right is not None])
    told = []
    for j in judged:
        entry = late.get(j.attempt.id)
        if entry is None or entry.right is None:
            told.append(j)
            continue
        winner = winners[entry.right]
        reason = spent(winner.kind)
        why = {"serial": entry.facts["serial"], **_ended(reason, winner)}
        told.append(Judged(j.attempt, reason, why, None))
    return told


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
    if holder is not None:
        facts |= _ended(reason, holder)
    elif reason is Reason.TOO_LATE:
        facts["tolerance_until"] = order.tolerance_until.isoformat()
    elif reason in {Reason.NOT_ACCREDITED, Reason.PROGRAMME_SUSPENDED}:
        facts["day"] = place.day.isoformat()
    return facts


def _ended(reason: Reason, holder: Holder) -> dict[str, Any]:
    """Tell what a refusal says of the entry that holds the pass."""
    if reason is Reason.ALREADY_REDEEMED:
        return where_and_when(holder)
    return {"on": holder.body["on"]} if reason is Reason.REPLACED else {}


def where_and_when(holder: Holder) -> dict[str, Any]:
    """Tell where and when a pass was spent."""
    return {"on": holder.body["on"], "site": holder.facts.get("site_name")}


def _keep_cases(session: Session, entries: Sequence[Entry]) -> None:
    cases = [e for e in entries if e.kind != "redeemed"]
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
