"""The SMTP server that carries our e-mails: its address, one conversation an e-mail, what it may refuse.

    smtp://host                          port 25, nothing encrypted: a relay on the same machine or network
    smtp://user:password@host?starttls   port 587, encrypted before anything is told
    smtps://user:password@host           port 465, encrypted from the start

Reserved characters of the user and the password are percent-encoded.  A password is refused on a
line that is not encrypted, unless the server is this machine.

    >>> at = read_address("smtps://pass%40creuse:s%3Acret@mail.creuse.example")
    >>> at.host, at.port, at.security, at.user
    ('mail.creuse.example', 465, 'tls', 'pass@creuse')
    >>> "cret" in repr(at)
    False
"""

import contextlib
import re
import smtplib
import ssl
from dataclasses import dataclass, field
from email.headerregistry import Address
from typing import Literal
from urllib.parse import unquote, urlsplit

from ledger.refusal import Refusal

COMMAND_SECONDS = 30
# RFC 5321, 4.5.3.2.6: a server may take ten minutes to accept a content.
ANSWER_SECONDS = 600
GOODBYE_SECONDS = 5
PORTS = {"none": 25, "starttls": 587, "tls": 465}
THIS_MACHINE = {"localhost", "127.0.0.1", "::1"}
ADDRESS_MAX = 254

# What HTML's own e-mail fields take (https://html.spec.whatwg.org/#valid-e-mail-address): ASCII,
# one @, nothing that a header or an SMTP command could be confused by.
_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_ADDRESS = re.compile(
    rf"[a-z0-9.!#$%&'*+/=?^_`{{|}}~-]{{1,64}}@{_LABEL}(?:\.{_LABEL})*", re.IGNORECASE
)

Security = Literal["none", "starttls", "tls"]


@dataclass(eq=False)
class MailServerUnreachable(Refusal):
    """The server does not answer, or cuts the line."""

    code = "mail_server_unreachable"


@dataclass(eq=False)
class MailNotEncrypted(Refusal):
    """The line cannot be encrypted, or the server's certificate is not to be trusted."""

    code = "mail_not_encrypted"


@dataclass(eq=False)
class MailLoginRefused(Refusal):
    """The server does not take our user and password."""

    code = "mail_login_refused"

    reply: int | None = None


@dataclass(eq=False)
class MailSenderRefused(Refusal):
    """The server does not carry e-mails from our address."""

    code = "mail_sender_refused"

    reply: int | None = None


@dataclass(eq=False)
class MailPutOff(Refusal):
    """The server asks to come back later with this e-mail."""

    code = "mail_put_off"

    reply: int | None = None


@dataclass(eq=False)
class MailRecipientRefused(Refusal):
    """The server does not deliver to this address, now or later."""

    code = "mail_recipient_refused"

    reply: int | None = None


@dataclass(eq=False)
class MailContentRefused(Refusal):
    """The server does not take this e-mail, now or later."""

    code = "mail_content_refused"

    reply: int | None = None


@dataclass(eq=False)
class MailAnswerLost(Refusal):
    """The content was on its way and no answer came back: it may have been delivered."""

    code = "mail_answer_lost"


@dataclass(frozen=True)
class MailServer:
    """Where the server is, how the line to it is encrypted, and who we are to it."""

    host: str
    port: int
    security: Security
    user: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Mailing:
    """How e-mails leave, and from whom."""

    server: MailServer
    sender: Address


def read_address(url: str) -> MailServer:
    """Read the address of a server; ValueError says what is wrong, and never repeats the address."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ValueError("not an address") from None
    if parts.scheme not in {"smtp", "smtps"} or not parts.hostname:
        raise ValueError("write smtp://host, smtp://host?starttls or smtps://host")
    if parts.path.strip("/") or parts.fragment or parts.query not in {"", "starttls"}:
        raise ValueError("nothing but ?starttls comes after the host")
    security: Security = "tls" if parts.scheme == "smtps" else "none"
    if parts.query:
        if security == "tls":
            raise ValueError("smtps is encrypted from the start: starttls is of no use")
        security = "starttls"
    user, password = (unquote(t) if t else None for t in (parts.username, parts.password))
    if (user is None) != (password is None):
        raise ValueError("a user comes with a password")
    if not (user or "").isascii() or not (password or "").isascii():
        raise ValueError("the user and the password are ASCII")
    if password is not None and security == "none" and parts.hostname not in THIS_MACHINE:
        raise ValueError("a password needs an encrypted line: ?starttls or smtps")
    return MailServer(parts.hostname, port or PORTS[security], security, user, password)


def is_address(text: str) -> bool:
    r"""Tell whether an e-mail can be sent to a text.

    >>> [is_address(t) for t in ("caf@creuse.example", "caf-accueil", "a@b\nBcc: c@d", "é@d.fr")]
    [True, False, False, False]
    """
    return len(text) <= ADDRESS_MAX and _ADDRESS.fullmatch(text) is not None


def read_sender(text: str) -> Address:
    """Read whom our e-mails are from: `pass@creuse.example`, or `Pass numérique <pass@…>`.

    >>> str(read_sender("Pass numérique <pass@creuse.example>"))
    'Pass numérique <pass@creuse.example>'
    """
    named = re.fullmatch(r"([^<>]*)<([^<>]*)>", text.strip())
    name, address = named.groups() if named else ("", text.strip())
    if not is_address(address) or not name.isprintable():
        raise ValueError("not an e-mail address")
    return Address(name.strip().strip('"'), addr_spec=address)


def deliver(server: MailServer, content: bytes, *, sender: str, recipient: str) -> None:
    """Give an e-mail to the server; returns once the server has answered for it.

    Every refusal but `mail_answer_lost` says that it was not accepted.
    """
    line = _line(server, sender)
    try:
        _name(line, sender, recipient)
        _tell(line, content)
    finally:
        _leave(line)


def _name(line: smtplib.SMTP, sender: str, recipient: str) -> None:
    try:
        reply = line.mail(sender)[0]
        accepted = line.rcpt(recipient)[0] if _is_ok(reply) else None
    except OSError:  # smtplib's own failures are some, too
        raise MailServerUnreachable from None
    if accepted is None:
        raise MailSenderRefused(reply)
    if not _is_ok(accepted):
        raise _no(accepted, MailRecipientRefused)


def _tell(line: smtplib.SMTP, content: bytes) -> None:
    try:
        if line.sock is not None:
            line.sock.settimeout(ANSWER_SECONDS)
        reply = line.data(content)[0]
    except smtplib.SMTPDataError as no:  # refused before the content was told
        raise _no(no.smtp_code, MailContentRefused) from None
    except OSError:
        raise MailAnswerLost from None
    if not _is_ok(reply):
        raise _no(reply, MailContentRefused)


def _leave(line: smtplib.SMTP) -> None:
    """Say goodbye; what was accepted stays so, whatever becomes of the line now."""
    if line.sock is not None:
        line.sock.settimeout(GOODBYE_SECONDS)
        with contextlib.suppress(OSError):
            line.quit()
    line.close()


def _is_ok(reply: int) -> bool:
    return 200 <= reply < 300


def _no(
    reply: int, final: type[MailRecipientRefused | MailContentRefused]
) -> MailPutOff | MailRecipientRefused | MailContentRefused:
    return final(reply) if 500 <= reply < 600 else MailPutOff(reply)


def _line(server: MailServer, sender: str) -> smtplib.SMTP:
    """Open a line to the server, encrypted and signed in as its address says."""
    # What we say hello with: not this machine's name, which nobody needs to know.
    ours = sender.rpartition("@")[2]
    trusted = ssl.create_default_context()
    try:
        if server.security == "tls":
            line: smtplib.SMTP = smtplib.SMTP_SSL(
                server.host, server.port, ours, timeout=COMMAND_SECONDS, context=trusted
            )
        else:
            line = smtplib.SMTP(server.host, server.port, ours, timeout=COMMAND_SECONDS)
    except ssl.SSLError:
        raise MailNotEncrypted from None
    except OSError:
        raise MailServerUnreachable from None
    try:
        _prepare(line, server, trusted)
    except BaseException:
        line.close()
        raise
    return line


def _prepare(line: smtplib.SMTP, server: MailServer, trusted: ssl.SSLContext) -> None:
    try:
        line.ehlo_or_helo_if_needed()
    except OSError:
        raise MailServerUnreachable from None
    if server.security == "starttls":
        try:
            line.starttls(context=trusted)
            line.ehlo_or_helo_if_needed()
        except smtplib.SMTPServerDisconnected:
            raise MailServerUnreachable from None
        except OSError:  # not offered, refused, or a certificate that is not to be trusted
            raise MailNotEncrypted from None
    if server.user is not None and server.password is not None:
        try:
            line.login(server.user, server.password)
        except smtplib.SMTPServerDisconnected:
            raise MailServerUnreachable from None
        except smtplib.SMTPResponseException as no:
            raise MailLoginRefused(no.smtp_code) from None
        except smtplib.SMTPException:  # it takes no sign-in, or none that we know
            raise MailLoginRefused from None
        except OSError:
            raise MailServerUnreachable from None
