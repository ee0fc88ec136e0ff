"""How people are told what became of an e-mail."""

from app.mail.outbox import Mail, State
from app.messages import Messages
from ledger.moments import Moment


def told(mail: Mail, m: Messages, now: Moment) -> str:
    """Return one sentence: where the e-mail is, and why it is there when it did not leave."""
    match mail.state(now):
        case State.WAITING if mail.last_error is None:
            return m.text("L'e-mail part dans la minute.")
        case State.UNDER_WAY:
            return m.text("L'e-mail part en ce moment.")
        case State.SENT if mail.sent_at is not None:
            day = Moment(mail.sent_at, now.zone).day
            return m.text("L'e-mail est parti le {day}.", day=day)
        case State.UNCERTAIN:
            return m.refusal("mail_answer_lost")
    return m.refusal(mail.last_error or "failed", {"reply": mail.last_reply or "?"})
