"""The rows of the outbox: one is queued with its act, claimed by one sender, then concluded."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, and_, case, func, insert, or_, select, update
from sqlalchemy.orm import Session

from app.mail.models import outbox
from app.mail.server import MailAnswerLost
from app.people.models import person
from ledger import canonical
from ledger.attempts import facts_of
from ledger.identifiers import new_id
from ledger.moments import Moment
from ledger.refusal import Refusal
from ledger.resealing import Shelf
from ledger.sealing import Sealer

FIRST_WAIT, LONGEST_WAIT = timedelta(minutes=1), timedelta(hours=1)
# Longer than any SMTP conversation of ours: a claim as old as that has lost its sender.
UNDER_WAY = timedelta(minutes=15)
STOPPED_SHOWN = timedelta(days=30)


@dataclass(eq=False)
class MailTooLate(Refusal):
    """The e-mail did not leave while it was true."""

    code = "mail_too_late"


@dataclass(eq=False)
class MailDropped(Refusal):
    """Somebody decided that this e-mail does not leave any more."""

    code = "mail_dropped"


@dataclass(eq=False)
class MailUnknown(Refusal):
    """No e-mail of this number waits for a decision."""

    code = "mail_unknown"


@dataclass(eq=False)
class MailUnderWay(Refusal):
    """A sender took this e-mail a moment ago, and may be at it."""

    code = "mail_under_way"


class State(StrEnum):
    """Where an e-mail is, read from its row."""

    WAITING = "waiting"
    UNDER_WAY = "under_way"
    UNCERTAIN = "uncertain"
    SENT = "sent"
    STOPPED = "stopped"


class Mail(NamedTuple):
    """An e-mail as a list shows it."""

    id: UUID
    person: UUID
    login: str
    template: str
    made_at: datetime
    due_at: datetime
    claimed_at: datetime | None
    sent_at: datetime | None
    stopped_at: datetime | None
    attempts: int
    last_error: str | None
    last_reply: int | None

    def state(self, now: Moment) -> State:
        """Tell where it is; a claim without an end is uncertain: it left, perhaps."""
        if self.sent_at is not None:
            return State.SENT
        if self.stopped_at is not None:
            return State.STOPPED
        if self.claimed_at is None:
            return State.WAITING
        lost = self.last_error is not None or self.claimed_at <= now.at - UNDER_WAY
        return State.UNCERTAIN if lost else State.UNDER_WAY


_COLUMNS = (
    outbox.c.id, outbox.c.person, person.c.login, outbox.c.template, outbox.c.made_at,
    outbox.c.due_at, outbox.c.claimed_at, outbox.c.sent_at, outbox.c.stopped_at,
    outbox.c.attempts, outbox.c.last_error, outbox.c.last_reply,
)  # fmt: skip
_OPEN = and_(outbox.c.sent_at.is_(None), outbox.c.stopped_at.is_(None))


class Claimed(NamedTuple):
    """An e-mail that is ours to send; `attempt` says which time this is."""

    id: UUID
    person: UUID
    template: str
    facts: dict[str, Any]
    sealed: bytes | None
    attempt: int

    def secrets(self, sealer: Sealer) -> dict[str, str]:
        """Return the facts that were sealed; refused as `Sealer.open` does."""
        if self.sealed is None:
            return {}
        found: dict[str, str] = canonical.decode(sealer.open(self.sealed, _about(self.id)))
        return found


def _about(mail: UUID) -> str:
    return f"outbox/{mail}"


# What a rotation of the master key seals anew.
SECRETS = Shelf(outbox.c.id, outbox.c.sealed, _about)


def queue(
    session: Session,
    who: UUID,
    template: str,
    facts: dict[str, Any],
    *,
    secrets: dict[str, str],
    sealer: Sealer,
    ends_at: datetime,
    now: Moment,
) -> UUID:
    """Write an e-mail that leaves once the caller's transaction is committed, and return its id.

    `facts` are kept in clear, `secrets` sealed until it has left.  Refused with `vault_locked`.
    """
    mail = new_id()
    session.execute(
        insert(outbox).values(
            id=mail,
            person=who,
            template=template,
            facts=canonical.encode(facts).decode(),
            sealed=sealer.seal(canonical.encode(secrets), _about(mail))
            if secrets
            else None,
            made_at=now.at,
            due_at=now.at,
            ends_at=ends_at,
            attempts=0,
        )
    )
    return mail


def _due(now: Moment) -> ColumnElement[bool]:
    return and_(
        _OPEN,
        outbox.c.claimed_at.is_(None),
        outbox.c.due_at <= now.at,
        outbox.c.ends_at > now.at,
    )


def listed_due(session: Session, *, now: Moment) -> list[Mail]:
    """Return the e-mails that a sender would take now, in its order."""
    return _listed(session, _due(now))


def listed_open(session: Session, *, now: Moment) -> list[Mail]:
    """Return what has not left: it waits, is under way, is uncertain, or was stopped this month."""
    lately = outbox.c.stopped_at > now.at - STOPPED_SHOWN
    return _listed(session, or_(_OPEN, and_(outbox.c.sent_at.is_(None), lately)))


def listed_all(session: Session) -> list[Mail]:
    """Return every e-mail."""
    return _listed(session, outbox.c.id.is_not(None))


def _listed(session: Session, which: ColumnElement[bool]) -> list[Mail]:
    rows = session.execute(
        select(*_COLUMNS)
        .join(person, person.c.id == outbox.c.person)
        .where(which)
        .order_by(outbox.c.due_at, outbox.c.id)
    ).all()
    return [Mail._make(row) for row in rows]


def latest(session: Session, people: Collection[UUID]) -> dict[UUID, Mail]:
    """Return the last e-mail made for each of these people, if there is one."""
    found = _listed(session, outbox.c.person.in_(people))
    return {mail.person: mail for mail in sorted(found, key=lambda mail: mail.made_at)}


def has_work(session: Session, *, now: Moment) -> bool:
    """Tell whether something is due, or can be given up: most minutes there is nothing."""
    found = select(outbox.c.id).where(or_(_due(now), _given_up(now)))
    return session.scalar(found.limit(1)) is not None


def claim(session: Session, *, now: Moment) -> Claimed | None:
    """Take the first e-mail that is due, for this sender only; the caller commits before it sends."""
    first = (
        select(outbox.c.id)
        .where(_due(now))
        .order_by(outbox.c.due_at, outbox.c.id)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    taken = session.scalar(first)
    if taken is None:
        return None
    row = session.execute(
        update(outbox)
        .where(outbox.c.id == taken, outbox.c.claimed_at.is_(None))
        .values(
            claimed_at=now.at,
            attempts=outbox.c.attempts + 1,
            last_error=None,
            last_reply=None,
        )
        .returning(
            outbox.c.id,
            outbox.c.person,
            outbox.c.template,
            outbox.c.facts,
            outbox.c.sealed,
            outbox.c.attempts,
        )
    ).one()
    return Claimed(
        row.id, row.person, row.template, canonical.decode(row.facts.encode()),
        row.sealed, row.attempts,
    )  # fmt: skip


def conclude_sent(session: Session, mail: Claimed, *, now: Moment) -> None:
    """Write that the server accepted an e-mail; its secrets are gone.

    It is so even if somebody has released the claim meanwhile.
    """
    _conclude(
        session,
        mail,
        claimed_at=func.coalesce(outbox.c.claimed_at, now.at),
        sent_at=now.at,
        sealed=None,
        last_error=None,
        last_reply=None,
    )


def conclude_put_off(session: Session, mail: Claimed, no: Refusal, *, now: Moment) -> None:
    """Write that an e-mail was not accepted, and is tried again later, twice as long each time."""
    wait = min(FIRST_WAIT * 2 ** min(mail.attempt - 1, 10), LONGEST_WAIT)
    _conclude(session, mail, claimed_at=None, due_at=now.at + wait, **_cause(no))


def conclude_stopped(session: Session, mail: Claimed, no: Refusal, *, now: Moment) -> None:
    """Write that an e-mail was not accepted and never will be; its secrets are gone."""
    _conclude(session, mail, stopped_at=now.at, sealed=None, **_cause(no))


def conclude_uncertain(session: Session, mail: Claimed, no: Refusal) -> None:
    """Write that an e-mail may have left: it stays claimed, until a person decides."""
    _conclude(session, mail, **_cause(no))


def _cause(no: Refusal) -> dict[str, Any]:
    return {"last_error": no.code, "last_reply": facts_of(no).get("reply")}


def _conclude(session: Session, mail: Claimed, **values: Any) -> None:  # noqa: ANN401
    # A claim that another attempt has followed concludes nothing any more.
    session.execute(
        update(outbox)
        .where(outbox.c.id == mail.id, outbox.c.attempts == mail.attempt, _OPEN)
        .values(**values)
    )


def _given_up(now: Moment) -> ColumnElement[bool]:
    """Return what is past its end and that no sender can be at any more."""
    left = or_(outbox.c.claimed_at.is_(None), outbox.c.claimed_at <= now.at - UNDER_WAY)
    return and_(_OPEN, outbox.c.ends_at <= now.at, left)


def give_up(session: Session, *, now: Moment) -> int:
    """Stop what would not be true any more, take its secrets out, and return how many there were."""
    never_left = outbox.c.claimed_at.is_(None)
    cause = case((never_left, MailTooLate.code), else_=MailAnswerLost.code)
    stopped = (
        update(outbox)
        .where(_given_up(now))
        .values(stopped_at=now.at, sealed=None, last_error=cause)
    )
    return len(session.scalars(stopped.returning(outbox.c.id)).all())


def retry(session: Session, which: UUID, *, now: Moment) -> None:
    """Have an uncertain e-mail sent again, or one that waits tried at once.

    Whoever asks knows that it may arrive twice.  Refused with `mail_unknown` or `mail_under_way`.
    """
    _decidable(session, which, now)
    session.execute(
        update(outbox).where(outbox.c.id == which).values(claimed_at=None, due_at=now.at)
    )


def drop(session: Session, which: UUID, *, now: Moment) -> None:
    """Give an e-mail up, and take its secrets out.  Refused with `mail_unknown` or `mail_under_way`."""
    _decidable(session, which, now)
    session.execute(
        update(outbox)
        .where(outbox.c.id == which)
        .values(
            stopped_at=now.at, sealed=None, last_error=MailDropped.code, last_reply=None
        )
    )


def _decidable(session: Session, which: UUID, now: Moment) -> None:
    row = session.execute(
        select(*_COLUMNS)
        .join(person, person.c.id == outbox.c.person)
        .where(outbox.c.id == which, _OPEN)
        .with_for_update(of=outbox)
    ).one_or_none()
    if row is None:
        raise MailUnknown
    if Mail._make(row).state(now) == State.UNDER_WAY:
        raise MailUnderWay
