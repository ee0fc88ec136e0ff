"""The letter that brings a code to somebody without an e-mail address: made at once, kept nowhere."""

from datetime import date
from pathlib import Path

import typst

from app.mail.writing import LANGUAGE, Letterhead, one_line
from app.messages import messages
from app.people.signing_in import LOGIN_MAX
from ledger.canonical import encode
from ledger.moments import Moment

TEMPLATE = Path(__file__).parents[1] / "templates" / "letters" / "invitation.typ"


def code_letter(
    head: Letterhead, *, name: str, login: str, code: str, until: date, now: Moment
) -> bytes:
    """Return a PDF of one page, in large type, that screen readers read (PDF/UA-1).

    A name in a script that our fonts do not have is set in the machine's, and the PDF then
    promises nothing to screen readers: a letter is better than none.
    """
    m = messages(LANGUAGE)
    told = {
        **head._asdict(),
        "code": code,
        "day": m.day(now.day),
        "login": one_line(login, LOGIN_MAX),
        "name": one_line(name),
        "until": m.day(until),
    }
    data = {"data": encode(told).decode()}
    source, made_at = TEMPLATE.read_bytes(), int(now.at.timestamp())
    try:
        return typst.compile(
            source,
            sys_inputs=data,
            timestamp=made_at,
            ignore_system_fonts=True,
            pdf_standards="ua-1",
        )
    except typst.TypstError:
        return typst.compile(source, sys_inputs=data, timestamp=made_at)
