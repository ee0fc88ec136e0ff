"""The code of an invitation on its way to a person: by e-mail, or in a letter to print."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.instance import Instance
from app.mail.outbox import queue
from app.mail.server import is_address
from app.mail.writing import Letterhead
from app.people import short_codes
from app.people.memberships import INVITATION_DAYS, has_password
from app.people.models import invitation, person
from ledger.moments import Moment
from ledger.refusal import Refusal


@dataclass(eq=False)
class MailReplaced(Refusal):
    """The code of this e-mail was used, or another one was made since."""

    code = "mail_replaced"


def letterhead(instance: Instance, departement: str) -> Letterhead:
    """Return what e-mails and letters say of a département: its name, where to type a code, whom to call."""
    tenant = instance.departement(departement)
    return Letterhead(
        tenant.name,
        f"https://{tenant.host.lower()}/{tenant.code}/invitation",
        instance.settings.phone(tenant.code),
    )


def last_whole_day(now: Moment) -> date:
    """Return the last day during the whole of which a code made now is good."""
    return Moment(_ends_at(now), now.zone).day - timedelta(days=1)


def _ends_at(now: Moment) -> datetime:
    return now.at + timedelta(days=INVITATION_DAYS)


def mail_code(
    session: Session, instance: Instance, who: UUID, code: str, *, now: Moment
) -> bool:
    """Queue the e-mail that brings someone their code; tells whether one leaves.

    None does where no server is set, where nothing can be sealed, or to somebody without an
    address: their code is told, or printed in a letter.
    """
    address = session.scalar(select(person.c.email).where(person.c.id == who)) or ""
    if instance.settings.mail is None or instance.sealer.locked or not is_address(address):
        return False
    queue(
        session,
        who,
        "new_code" if has_password(session, who) else "invitation",
        {"until": last_whole_day(now).isoformat()},
        secrets={"code": code},
        sealer=instance.sealer,
        ends_at=_ends_at(now),
        now=now,
    )
    return True


def still_opens(session: Session, code: str, *, now: Moment) -> bool:
    """Tell whether a code is still good."""
    good = select(invitation.c.person).where(
        invitation.c.digest == short_codes.digest(code),
        invitation.c.used_at.is_(None),
        invitation.c.ends_at > now.at,
    )
    return session.scalar(good) is not None
