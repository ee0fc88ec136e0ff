"""What an e-mail says and to whom, whatever people are called; and how the line to the server is kept safe."""

import logging
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.headerregistry import Address
from email.policy import default
from ipaddress import ip_address
from pathlib import Path
from uuid import UUID

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import example, given
from hypothesis import strategies as st

from app.mail import server as smtp
from app.mail.server import (
    MailLoginRefused,
    MailNotEncrypted,
    MailServer,
    MailServerUnreachable,
    deliver,
    is_address,
    read_address,
    read_sender,
)
from app.mail.writing import Letterhead, write
from app.settings import SettingsWrong, read_settings
from tests.app.postbox import SECRET_WORD, SENDER, USER, Postbox, free_port, text_of
from tests.app.running import FEBRUARY

HEAD = Letterhead("Creuse", "https://pass.creuse.fr/23/invitation", "05 55 00 00 00")
FACTS = {"login": "zoe@caf.example", "code": "7K3M-9QRT-2XVB", "until": "2020-02-16"}
NASTY = "Zoé\r\nBcc: everyone@else.example\r\n\r\n<script>alert(1)</script>"


def written(
    name: str = "Zoé",
    *,
    to: str = "zoe@caf.example",
    template: str = "invitation",
    head: Letterhead = HEAD,
) -> bytes:
    told = write(
        template,
        mail=UUID(int=7),
        sender=read_sender(SENDER),
        to=to,
        name=name,
        head=head,
        facts=FACTS,
        at=FEBRUARY,
    )
    return told.as_bytes()


def read_back(content: bytes):
    return message_from_bytes(content, policy=default)


HEADERS = [
    "From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted", "MIME-Version",
    "Content-Type", "Content-Language",
]  # fmt: skip


@given(name=st.text(max_size=300), departement=st.text(max_size=60))
@example(NASTY, "Creuse")
@example('Creuse, "x" <a@b.fr>; ' + "é" * 80, "Côte-d'Or\nBcc: a@b")
@example("\u2028Bcc: a@b.fr\u0085x\x0bBcc: c@d\x00", "\u2029")
@example("=?utf-8?q?Bcc=3A_a=40b.fr?=", "=?utf-8?b?QmNjOg==?=")
@example("\ud800", "x")
def test_no_name_adds_a_header_or_a_recipient(name, departement):
    content = written(name, head=HEAD._replace(departement=departement))

    told = read_back(content)
    assert told.keys() == HEADERS
    assert [a.addr_spec for a in told["To"].addresses] == ["zoe@caf.example"]
    assert [a.addr_spec for a in told["From"].addresses] == ["pass@creuse.example"]
    assert content.isascii()
    assert max(map(len, content.split(b"\r\n"))) <= 998
    assert b"\n" not in content.replace(b"\r\n", b"")
    assert FACTS["code"] in text_of(told)


def test_a_name_is_text_in_the_html_too():
    html = text_of(read_back(written(NASTY)), "html")
    assert "<script" not in html
    assert "&lt;script&gt;" in html


@pytest.mark.parametrize(
    "address",
    [
        "a@b.fr\r\nRCPT TO:<c@d.fr>", "a@b.fr\n", "a@b.fr>", "<a@b.fr>", "a b@c.fr", "a@b@c.fr",
        "a@b.fr, c@d.fr", '"a b"@c.fr', "é@c.fr", "a@é.fr", "@c.fr", "a@", "a@-b.fr", "",
        "a@" + "b" * 64 + ".fr", "a@" + "b." * 130 + "fr", "Zoé <a@b.fr>",
    ],
)  # fmt: skip
def test_nothing_is_sent_to_what_is_no_address(address):
    assert not is_address(address)


@pytest.mark.parametrize(
    "address", ["a@b.fr", "prenom.nom+pass@sous.departement-23.fr", "o'neil@caf.example"]
)
def test_usual_addresses_are_addresses(address):
    assert is_address(address)
    told = read_back(written(to=address))
    assert told["To"].addresses[0].addr_spec == address


def test_a_new_code_says_that_the_old_password_still_works():
    told = read_back(written(template="new_code"))
    assert told["Subject"] == "Votre nouveau code du Pass numérique (Creuse)"
    for kind in ("plain", "html"):
        assert "mot de passe sert encore" in text_of(told, kind)


def test_the_telephone_is_told_only_where_one_is_set():
    assert "appelez le 05 55 00 00 00" in text_of(read_back(written()))
    without = text_of(read_back(written(head=HEAD._replace(phone=None))))
    assert "prévenez le département" in without
    assert "None" not in without


# Settings.


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("smtp://localhost", ("localhost", 25, "none", None, None)),
        ("smtp://u:p@localhost:2525", ("localhost", 2525, "none", "u", "p")),
        ("smtp://u:p@mail.example?starttls", ("mail.example", 587, "starttls", "u", "p")),
        (
            "smtp://u:p@mail.example:25/?starttls",
            ("mail.example", 25, "starttls", "u", "p"),
        ),
        ("smtps://u%40x:p%2F%3A@mail.example", ("mail.example", 465, "tls", "u@x", "p/:")),
        ("smtp://[::1]:2525", ("::1", 2525, "none", None, None)),
    ],
)
def test_the_address_of_a_server_is_read(url, expected):
    assert read_address(url) == MailServer(*expected)


@pytest.mark.parametrize(
    "url",
    [
        "mail.example", "http://mail.example", "smtp://", "smtp://u:hidden@mail.example",
        "smtp://u@mail.example?starttls", "smtps://u:hidden@mail.example?starttls",
        "smtp://u:hidden@mail.example?tls", "smtp://u:hidden@mail.example:x?starttls",
        "smtp://u:hidden%C3%A9@mail.example?starttls", "smtp://u:hidden@mail.example/a?starttls",
        "smtp://u:hidden@[mail?starttls",
    ],
)  # fmt: skip
def test_a_wrong_address_of_a_server_is_refused_and_not_repeated(url):
    with pytest.raises(SettingsWrong) as no:
        read_settings({"PASSNUM_SMTP_URL": url, "PASSNUM_MAIL_FROM": "a@b.fr"})
    assert "hidden" not in no.value.reason
    assert no.value.reason.startswith("PASSNUM_SMTP_URL: ")


def test_the_rest_of_the_settings(tmp_path):
    url = "smtps://u:hidden@mail.example"
    for sender in ("", "pass", "a@b.fr\nBcc: c@d.fr", "x <a@b.fr", "a\x00 <a@b.fr>"):
        with pytest.raises(SettingsWrong, match="PASSNUM_MAIL_FROM"):
            read_settings({"PASSNUM_SMTP_URL": url, "PASSNUM_MAIL_FROM": sender})
    with pytest.raises(SettingsWrong, match="PASSNUM_PHONE_23"):
        read_settings({"PASSNUM_PHONE_23": "appelez-nous"})
    (tmp_path / "smtp").write_text(f"{url}\n")
    found = read_settings(
        {
            "PASSNUM_SMTP_URL_FILE": str(tmp_path / "smtp"),
            "PASSNUM_MAIL_FROM": "Pass numérique <pass@creuse.example>",
            "PASSNUM_PHONE": "05 55 00 00 00",
            "PASSNUM_PHONE_974": "+262 262 00 00 00",
        }
    )
    assert found.mail is not None
    assert found.mail.sender == Address("Pass numérique", addr_spec="pass@creuse.example")
    assert (found.mail.server.user, found.mail.server.password) == ("u", "hidden")
    assert "hidden" not in repr(found)
    assert (found.phone("23"), found.phone("974")) == (
        "05 55 00 00 00",
        "+262 262 00 00 00",
    )
    assert (read_settings({}).mail, read_settings({}).phone("23")) == (None, None)
    with pytest.raises(SettingsWrong, match="PASSNUM_SMTP_URL_FILE: No such file"):
        read_settings({"PASSNUM_SMTP_URL_FILE": str(tmp_path / "nothing")})


# The line to the server.


@pytest.fixture(scope="module")
def certificate(tmp_path_factory) -> Path:
    """A certificate of this machine, that nobody trusts unless told to."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]),
            critical=False,
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + made.public_bytes(serialization.Encoding.PEM)
    )
    return path


@pytest.fixture
def context(certificate) -> ssl.SSLContext:
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(certificate)
    return made


@pytest.fixture
def trusted(certificate, monkeypatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))


@pytest.fixture
def no_word_is_logged(caplog) -> Iterator[None]:
    caplog.set_level(logging.DEBUG)
    yield
    assert SECRET_WORD not in caplog.text


def send(box: Postbox, server: MailServer) -> None:
    deliver(server, written(), sender="pass@creuse.example", recipient="zoe@caf.example")
    assert box.envelopes[-1] == ("pass@creuse.example", ["zoe@caf.example"])


def at(box: Postbox, security: str, password: str | None = SECRET_WORD) -> MailServer:
    return MailServer("127.0.0.1", box.port, security, password and USER, password)


@pytest.mark.usefixtures("trusted", "no_word_is_logged")
@pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS")
@pytest.mark.parametrize("security", ["tls", "starttls"])
def test_the_line_is_encrypted_and_signed_in(context, security):
    with Postbox().open(**{security: context}, signed_in=True) as box:
        send(box, at(box, security))
        with pytest.raises(MailLoginRefused) as no:
            send(box, at(box, security, "wrong"))
        assert no.value.reply == 535
    assert len(box.told) == 1


@pytest.mark.usefixtures("no_word_is_logged")
@pytest.mark.parametrize("security", ["tls", "starttls"])
def test_a_server_that_nobody_vouches_for_is_told_nothing(context, security):
    with (
        Postbox().open(**{security: context}) as box,
        pytest.raises(MailNotEncrypted),
    ):
        send(box, at(box, security))
    assert box.told == []


@pytest.mark.usefixtures("trusted", "no_word_is_logged")
def test_what_should_be_encrypted_is_never_sent_in_clear():
    with Postbox().open() as box:
        for security in ("tls", "starttls"):
            with pytest.raises(MailNotEncrypted):
                send(box, at(box, security))
    assert box.told == []


@pytest.mark.usefixtures("trusted", "no_word_is_logged")
def test_a_server_that_takes_no_password_is_not_one_of_ours(context):
    with Postbox().open(starttls=context) as box, pytest.raises(MailLoginRefused):
        send(box, at(box, "starttls"))
    assert box.told == []


def test_a_server_that_says_nothing_is_not_waited_for_long(monkeypatch):
    import socket  # noqa: PLC0415 - a server that is no server

    monkeypatch.setattr(smtp, "COMMAND_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        server = MailServer("127.0.0.1", silent.getsockname()[1], "none")
        with pytest.raises(MailServerUnreachable):
            deliver(server, b"", sender="a@b.fr", recipient="c@d.fr")
    with pytest.raises(MailServerUnreachable):
        deliver(
            MailServer("127.0.0.1", free_port(), "none"),
            b"",
            sender="a@b.fr",
            recipient="c@d.fr",
        )


def test_a_line_that_begins_with_a_dot_arrives_whole():
    with Postbox().open() as box:
        content = b"Subject: x\r\n\r\n.\r\nRCPT TO:<else@where.example>\r\n..\r\n"
        deliver(at(box, "none", None), content, sender="a@b.fr", recipient="c@d.fr")
        assert box.told[0].endswith(b"\r\n\r\n.\r\nRCPT TO:<else@where.example>\r\n..\r\n")
        assert box.envelopes == [("a@b.fr", ["c@d.fr"])]
