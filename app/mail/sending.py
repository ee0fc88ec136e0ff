"""Sending what is due, one e-mail at a time: claim, deliver, conclude (see the package)."""

import logging
from collections import Counter
from dataclasses import dataclass
from typing import Literal

from sqlalchemy import select

from app.instance import Instance
from app.mail import outbox
from app.mail.invitations import MailReplaced, letterhead, still_opens
from app.mail.outbox import Claimed
from app.mail.server import (
    MailAnswerLost,
    MailContentRefused,
    Mailing,
    MailLoginRefused,
    MailNotEncrypted,
    MailRecipientRefused,
    MailSenderRefused,
    MailServerUnreachable,
    deliver,
    is_address,
)
from app.mail.writing import write
from app.people.models import person
from ledger.moments import Moment
from ledger.refusal import Refusal
from ledger.sealing import SealBroken, SealedByUnknownKey, VaultLocked

# A round ends in a time that a stop can wait for; what is left is for the next one.
ROUND = 100

Outcome = Literal["sent", "put_off", "stopped", "uncertain", "given_up"]

log = logging.getLogger(__name__)


@dataclass(eq=False)
class MailNotConfigured(Refusal):
    """No SMTP server is set."""

    code = "mail_not_configured"


@dataclass(eq=False)
class MailAddressUnusable(Refusal):
    """The person has no address that an e-mail can be sent to."""

    code = "mail_address_unusable"


# Nothing of this e-mail will change: it stops.
FINAL = (
    MailAddressUnusable, MailContentRefused, MailRecipientRefused, MailReplaced, SealBroken,
)  # fmt: skip
# Nothing is wrong with this e-mail, and the next one would fare no better: the round ends.
NOT_NOW = (
    MailServerUnreachable, MailNotEncrypted, MailLoginRefused, MailSenderRefused,
    SealedByUnknownKey, VaultLocked,
)  # fmt: skip


def send_due(instance: Instance, code: str, *, most: int = ROUND) -> Counter[Outcome]:
    """Send what is due in a département, and return how many e-mails came to what.

    Two senders at once never take the same e-mail.  Refused with `mail_not_configured`.
    """
    mailing = instance.settings.mail
    if mailing is None:
        raise MailNotConfigured
    done: Counter[Outcome] = Counter()
    with instance.database.begin(code, read_only=True) as session:
        if not outbox.has_work(session, now=instance.moment(code)):
            return done
    with instance.database.begin(code) as session:
        done["given_up"] = outbox.give_up(session, now=instance.moment(code))
    for _ in range(most):
        with instance.database.begin(code) as session:
            mail = outbox.claim(session, now=instance.moment(code))
        if mail is None:
            break
        no = _sent(instance, code, mailing, mail)
        done[_concluded(instance, code, mail, no)] += 1
        if isinstance(no, NOT_NOW):
            break
    # The sealed codes of what has left are in no earlier page of a département's file.
    instance.database.fold(code)
    return +done


def _sent(instance: Instance, code: str, mailing: Mailing, mail: Claimed) -> Refusal | None:
    """Deliver an e-mail; returns why it could not be, if so."""
    now = instance.moment(code)
    try:
        to, content = _written(instance, code, mailing, mail, now)
        deliver(mailing.server, content, sender=mailing.sender.addr_spec, recipient=to)
    except Refusal as no:
        log.warning("an e-mail did not leave: %s %s", mail.id, no.code)
        return no
    return None


def _written(
    instance: Instance, code: str, mailing: Mailing, mail: Claimed, now: Moment
) -> tuple[str, bytes]:
    secrets = mail.secrets(instance.sealer)
    with instance.database.begin(code, read_only=True) as session:
        who = session.execute(
            select(person.c.name, person.c.login, person.c.email).where(
                person.c.id == mail.person
            )
        ).one()
        if "code" in secrets and not still_opens(session, secrets["code"], now=now):
            raise MailReplaced
    if not is_address(who.email or ""):
        raise MailAddressUnusable
    message = write(
        mail.template,
        mail=mail.id,
        sender=mailing.sender,
        to=who.email,
        name=who.name,
        head=letterhead(instance, code),
        facts={"login": who.login, **mail.facts, **secrets},
        at=now.at,
    )
    return who.email, message.as_bytes()


def _concluded(instance: Instance, code: str, mail: Claimed, no: Refusal | None) -> Outcome:
    now = instance.moment(code)
    with instance.database.begin(code) as session:
        match no:
            case None:
                outbox.conclude_sent(session, mail, now=now)
                return "sent"
            case MailAnswerLost():
                outbox.conclude_uncertain(session, mail, no)
                return "uncertain"
            case _ if isinstance(no, FINAL):
                outbox.conclude_stopped(session, mail, no, now=now)
                return "stopped"
            case _:
                outbox.conclude_put_off(session, mail, no, now=now)
                return "put_off"
