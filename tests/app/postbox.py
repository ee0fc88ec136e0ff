"""A real SMTP server on this machine, that keeps what it accepts and refuses what a test tells it to."""

# The names and the arguments of the handlers are aiosmtpd's.
# ruff: noqa: ARG002, N802

import asyncio
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from typing import Any, cast

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword

from app.mail.server import Mailing, read_address, read_sender

SENDER = "Pass numérique <pass@creuse.example>"
USER, SECRET_WORD = "passnum", "s:e/c@r%et"


def free_port() -> int:
    """Return a port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Postbox:
    """What has been accepted, and what the server answers; None is a yes."""

    port: int = 0
    received: list[EmailMessage] = field(default_factory=list)
    envelopes: list[tuple[str, list[str]]] = field(default_factory=list)
    # Everything told after DATA, accepted or not.
    told: list[bytes] = field(default_factory=list)
    to_sender: str | None = None
    to_recipient: Callable[[str], str | None] = lambda _address: None
    to_content: Callable[[Any], str | None] = lambda _server: None
    lasts: float = 0

    async def handle_MAIL(
        self, server: Any, session: Any, envelope: Any, address: str, options: list[str]
    ) -> str:
        if self.to_sender is None:
            envelope.mail_from = address
        return self.to_sender or "250 yes"

    async def handle_RCPT(
        self, server: Any, session: Any, envelope: Any, address: str, options: list[str]
    ) -> str:
        no = self.to_recipient(address)
        if no is None:
            envelope.rcpt_tos.append(address)
        return no or "250 yes"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        self.told.append(envelope.content)
        await asyncio.sleep(self.lasts)
        no = self.to_content(server)
        if no is None:
            message = message_from_bytes(envelope.content, policy=default)
            self.received.append(cast("EmailMessage", message))
            self.envelopes.append((envelope.mail_from, list(envelope.rcpt_tos)))
        return no or "250 accepted"

    @property
    def url(self) -> str:
        return f"smtp://127.0.0.1:{self.port}"

    @property
    def mailing(self) -> Mailing:
        return Mailing(read_address(self.url), read_sender(SENDER))

    @contextmanager
    def open(
        self,
        *,
        tls: ssl.SSLContext | None = None,
        starttls: ssl.SSLContext | None = None,
        signed_in: bool = False,
    ) -> Iterator["Postbox"]:
        """Listen for as long as the block lasts, on the same port each time."""
        self.port = self.port or free_port()
        asked: dict[str, Any] = {
            "tls_context": starttls,
            "require_starttls": bool(starttls),
        }
        if signed_in:
            asked |= {
                "authenticator": _check,
                "auth_required": True,
                "auth_require_tls": bool(starttls),
            }
        controller = Controller(
            self,
            hostname="127.0.0.1",
            port=self.port,
            ssl_context=tls,
            ready_timeout=60,
            **asked,
        )
        controller.start()
        try:
            yield self
        finally:
            controller.stop()


def _check(
    server: Any, session: Any, envelope: Any, mechanism: str, told: Any
) -> AuthResult:
    right = isinstance(told, LoginPassword) and (told.login, told.password) == (
        USER.encode(), SECRET_WORD.encode(),
    )  # fmt: skip
    return AuthResult(success=right, handled=False)


def hangs_up(server: Any) -> None:
    """Cut the line once the whole content was read: the answer never comes."""
    server.transport.abort()


def text_of(message: EmailMessage, kind: str = "plain") -> str:
    body = message.get_body((kind,))
    assert body is not None
    return str(body.get_content())
