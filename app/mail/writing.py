"""What an e-mail says: a template in text and in HTML, and headers that nothing can be smuggled into."""

from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from typing import Any, NamedTuple
from unicodedata import combining
from uuid import UUID

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from app.messages import messages

# French until people say which language they read.
LANGUAGE = "fr"
NAME_MAX = 100

_templates = Environment(
    loader=PackageLoader("app", "templates/mail"),
    autoescape=select_autoescape(),
    trim_blocks=True,
    lstrip_blocks=True,
    undefined=StrictUndefined,
)


class Letterhead(NamedTuple):
    """What every e-mail and every letter of a département says of it."""

    departement: str
    address: str
    phone: str | None


def one_line(text: str, most: int = NAME_MAX) -> str:
    r"""Return a text without line ends nor control characters, and not too long.

    >>> one_line("Zoé\r\nBcc: someone@else.example")
    'Zoé Bcc: someone@else.example'
    """
    shown = "".join(c if c.isprintable() else " " for c in text)
    return " ".join(shown.split())[:most]


def plain_name(text: str) -> str:
    """Return a name as a header takes it without quoting: letters, digits, spaces, apostrophes, hyphens.

    >>> plain_name('Martin, Zoé <zoe@else.example>; "Bcc"')
    'Martin Zoé zoe else example Bcc'
    """
    kept = (c if c.isalnum() or c in " '’-" or combining(c) else " " for c in text)
    return one_line("".join(kept))


def write(
    template: str,
    *,
    mail: UUID,
    sender: Address,
    to: str,
    name: str,
    head: Letterhead,
    facts: dict[str, Any],
    at: datetime,
) -> EmailMessage:
    """Return an e-mail, text and HTML, ready to be sent; the same id gives the same Message-ID."""
    m = messages(LANGUAGE)
    context = {"_": m.text, "lang": m.language, "name": one_line(name), **head._asdict()}
    context |= facts
    told = EmailMessage(SMTP)
    told["From"] = sender
    told["To"] = Address(plain_name(name), addr_spec=to)
    told["Subject"] = one_line(_rendered(f"{template}.subject.txt", context))
    told["Date"] = at
    told["Message-ID"] = f"<{mail}@{sender.domain}>"
    # Nobody's absence is to be told to us (RFC 3834).
    told["Auto-Submitted"] = "auto-generated"
    told.set_content(_rendered(f"{template}.txt", context), cte="quoted-printable")
    html = _rendered(f"{template}.html", context)
    told.add_alternative(html, subtype="html", cte="quoted-printable")
    told["Content-Language"] = m.language
    return told


def _rendered(template: str, context: dict[str, Any]) -> str:
    return _templates.get_template(template).render(context)
