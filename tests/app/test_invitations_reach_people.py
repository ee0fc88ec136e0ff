"""An invitation reaches its person: by e-mail where there is an address, else in a letter to print."""

import re
import stat
from collections.abc import Iterator
from dataclasses import replace

import pypdfium2
import pytest
from sqlalchemy import select

from app.instance import Instance
from app.mail.letters import code_letter
from app.mail.models import outbox
from app.mail.sending import send_due
from app.mail.writing import Letterhead
from app.pages import people
from app.people.models import invitation
from app.people.roles import Role
from app.people.short_codes import normalised
from ledger.identifiers import new_id
from ledger.sealing import key_text
from tests.app.postbox import SENDER, Postbox, text_of
from tests.app.running import typed
from tests.app.visiting import House, codes_on, engine_house, house
from tests.builders import MASTER_KEY
from tests.conftest import moment

__all__ = ["engine_house", "house"]

CODE = re.compile(r"(?<![\w-])[0-9A-HJKMNP-TV-Z]{4}(?:-[0-9A-HJKMNP-TV-Z]{4}){2}(?![\w-])")
CHOSEN = "une autre phrase assez longue"
NOW = moment("2020-02-03", 14)
HEAD = Letterhead("Creuse", "https://pass.creuse.fr/23/invitation", "05 55 00 00 00")


@pytest.fixture
def box() -> Iterator[Postbox]:
    with Postbox().open() as made:
        yield made


@pytest.fixture
def instance(house, box) -> Iterator[Instance]:
    """The instance that the server works over, where e-mails leave and somebody may be called."""
    found: Instance = house.http.app.state.serving.instance
    before = found.settings
    found.settings = replace(before, mail=box.mailing, phones={"23": "05 55 00 00 00"})
    yield found
    found.settings = before


def invite(house: House, login: str, name: str = "Zoé Martin"):
    manager = house.entered(house.of(Role.MANAGER))
    fields = {"login": login, "name": name, "role": "prescriber_agent", "desk": "CAF"}
    answer = manager.post("/personnes", **fields)
    assert answer.status_code == 200
    return manager, answer.text


def letter_of(manager, page: str):
    [held] = set(re.findall(r'name="membership" value="([^"]*)"', page))
    return manager.post("/personnes/lettre", membership=held)


def text_of_pdf(pdf: bytes) -> str:
    document = pypdfium2.PdfDocument(pdf)
    assert len(document) == 1, "one page"
    width, height = document[0].get_size()
    assert (round(width), round(height)) == (595, 842), "A4"
    told: str = document[0].get_textpage().get_text_range()
    document.close()
    return told.replace("\r\n", "\n").replace("\u200b", "")


def line_of(manager, login: str) -> str:
    rows = manager.get("/personnes").text.partition("</table>")[0].split("<tr")
    [line] = [row for row in rows if login in row]
    return line


def test_who_has_an_address_gets_an_email_and_the_page_says_so(house, instance, box):
    login = f"{new_id()}@caf.example"
    manager, page = invite(house, login)

    [code] = codes_on(page)
    assert f"Un e-mail part à {login}" in page
    assert "/personnes/lettre" not in page
    assert "part dans la minute" in line_of(manager, login)
    assert code not in manager.get("/personnes").text

    assert send_due(instance, "23") == {"sent": 1}

    assert box.envelopes == [("pass@creuse.example", [login])]
    assert CODE.findall(text_of(box.received[0])) == [code]
    assert "est parti le 3 février 2020" in line_of(manager, login)
    assert house.accept(code, CHOSEN).headers["location"] == "/23/"
    assert "e-mail" not in line_of(manager, login).lower()


def test_a_manager_sees_that_an_address_was_wrong(house, instance, box):
    box.to_recipient = lambda _address: "550 5.1.1 No such user"
    login = f"{new_id()}@caf.example"
    manager, _page = invite(house, login)
    send_due(instance, "23")
    assert "Cette adresse ne reçoit pas d'e-mail (réponse 550)" in line_of(
        manager, login
    ).replace("&#39;", "'")


def test_a_new_code_leaves_by_email_and_the_one_before_stays_here(house, instance, box):
    login = f"{new_id()}@caf.example"
    manager, page = invite(house, login)
    [first] = codes_on(page)
    [held] = re.findall(r'name="membership" value="([^"]*)"', line_of(manager, login))[:1]
    again = manager.post("/personnes/code", membership=held)
    [second] = codes_on(again.text)
    assert f"Un e-mail part à {login}" in again.text

    assert send_due(instance, "23") == {"stopped": 1, "sent": 1}

    assert CODE.findall(text_of(box.received[0])) == [second]
    assert house.accept(first, CHOSEN).status_code == 422
    assert house.accept(second, CHOSEN).status_code == 303
    manager.post("/personnes/code", membership=held)
    assert send_due(instance, "23") == {"sent": 1}
    assert box.received[1]["Subject"].startswith("Votre nouveau code")


def test_who_has_no_address_gets_a_letter(house, instance, box):
    login = f"caf-{new_id().hex[-6:]}"
    manager, page = invite(house, login, "Accueil de la CAF")
    [shown] = codes_on(page)
    assert "Un e-mail part" not in page

    answer = letter_of(manager, page)

    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/pdf"
    assert answer.headers["content-disposition"] == 'attachment; filename="lettre.pdf"'
    assert answer.headers["cache-control"] == "no-store"
    assert b"<pdfuaid:part>1</pdfuaid:part>" in answer.content
    said = text_of_pdf(answer.content)
    [code] = CODE.findall(said)
    for part in (
        "Pass numérique\nCreuse", "Accueil de la CAF", "Le 3 février 2020", login,
        "https://pass.creuse.fr/23/invitation", "16 février 2020 inclus", "05 55 00 00 00",
    ):  # fmt: skip
        assert part in said, part
    assert re.findall(r"^(\d) ", said, re.MULTILINE) == ["1", "2", "3"]
    assert code != shown
    assert house.accept(shown, CHOSEN).status_code == 422, "as the page says"
    assert house.accept(code, CHOSEN).headers["location"] == "/23/"
    assert (send_due(instance, "23"), box.told) == ({}, [])


def test_the_counter_goes_on_while_a_letter_is_set(house, monkeypatch):
    manager, page = invite(house, f"caf-{new_id().hex[-6:]}")
    other, written = house.person(Role.MEDIATOR), []

    def slow(*args, **kwargs) -> bytes:
        # Somebody else writes in the meantime: this would wait for an open transaction.
        written.append(house.code(other))
        return b"%PDF"

    monkeypatch.setattr(people, "code_letter", slow)
    assert letter_of(manager, page).content == b"%PDF"
    assert len(written) == 1


def test_a_letter_is_offered_to_everybody_where_no_email_leaves(house):
    manager, page = invite(house, f"{new_id()}@caf.example")
    assert "Un e-mail part" not in page
    said = text_of_pdf(letter_of(manager, page).content)
    assert "Demandez au département" in said
    assert "None" not in said


def test_the_code_of_a_letter_is_kept_as_a_digest_only(house, instance):
    manager, page = invite(house, f"caf-{new_id().hex[-6:]}")
    [code] = CODE.findall(text_of_pdf(letter_of(manager, page).content))
    with house.database.begin("23", read_only=True) as session:
        kept = repr(session.execute(select(invitation)).all())
        kept += repr(session.execute(select(outbox)).all())
    assert normalised(code) not in kept
    assert code not in kept
    if house.on_sqlite:
        files = house.database.place.folder.glob("d23.db*")
        held = b"".join(file.read_bytes() for file in files)
        assert normalised(code).encode() not in held
        assert code.encode() not in held


def test_a_letter_is_not_got_from_elsewhere_nor_for_nobody(house):
    manager, page = invite(house, f"caf-{new_id().hex[-6:]}")
    [held] = set(re.findall(r'name="membership" value="([^"]*)"', page))
    assert manager.get("/personnes/lettre").status_code == 405
    assert manager.send("/personnes/lettre", {"membership": held}).status_code == 403
    for wrong in ("", "x", str(new_id())):
        answer = manager.post("/personnes/lettre", membership=wrong)
        assert answer.status_code == 404


# The letter.


def letter(name: str = "Zoé Martin", login: str = "caf-accueil", head: Letterhead = HEAD):
    return code_letter(
        head,
        name=name,
        login=login,
        code="7K3M-90RT-2XVB",
        until=moment("2020-02-16").day,
        now=NOW,
    )


@pytest.mark.parametrize(
    "name",
    [
        '#panic("x") $x$ *gras* _x_ `x` <label> @ref \\ // /* "', '","code":"X', "{{ code }}",
        '#read("/etc/passwd")', "]#[", "O’Neil-Ñandú d'Été", "Łukasz Żółć",
    ],
)  # fmt: skip
def test_a_name_is_shown_as_it_is_whatever_it_holds(name):
    made = letter(name)
    said = text_of_pdf(made)
    assert name.replace("'", "’") in said.replace("'", "’").replace("“", '"')
    assert CODE.findall(said) == ["7K3M-90RT-2XVB"]
    assert b"pdfuaid" in made


@pytest.mark.parametrize("name", ["مرحبا", "日本 太郎", "🙂 Zoé", "a\x00b\u2028c\ud7ff"])
def test_a_letter_is_made_even_in_a_script_that_our_fonts_do_not_have(name):
    assert CODE.findall(text_of_pdf(letter(name))) == ["7K3M-90RT-2XVB"]


@pytest.mark.parametrize(
    ("name", "login", "head"),
    [
        ("Zoé Martin", "caf-accueil", HEAD),
        (
            "Marie-Antoinette de La Rochefoucauld-Montmorency " * 2,
            "w" * 320,
            Letterhead(
                "Alpes-de-Haute-Provence",
                "https://" + "w" * 25 + "/974/invitation",
                "+33 (0)5 55 00 00 00 00 00 00",
            ),
        ),
    ],
)
def test_a_letter_holds_on_its_page_and_inside_its_margins(name, login, head):
    pdf = letter(name, login, head)
    assert login in text_of_pdf(pdf).replace("\n", "")

    document = pypdfium2.PdfDocument(pdf)
    image = document[0].render(scale=1, grayscale=True).to_pil()
    document.close()

    dark = image.point(lambda level: 255 if level < 128 else 0).getbbox()
    left, top, right, bottom = dark
    assert left > 50
    assert top > 40
    assert right < 595 - 50
    assert bottom < 842 - 35
    assert bottom - top > 350


# By commands.


@pytest.fixture
def creuse(tmp_path, monkeypatch, box):
    for name, value in {
        "PASSNUM_DATA_DIR": str(tmp_path / "data"),
        "PASSNUM_VAULT_KEY": key_text(MASTER_KEY),
        "PASSNUM_PHONE": "05 55 00 00 00",
    }.items():
        monkeypatch.setenv(name, value)
    made = typed("departement", "add", "23", "Creuse", "--host", "pass.creuse.fr")
    assert made.code == 0, made
    return tmp_path


def test_commands_send_a_code_where_they_can(creuse, monkeypatch, box):
    asked = ("people", "invite", "Zoe@caf.example", "Zoé", "--role", "manager")
    assert "e-mail" not in typed(*asked).out
    assert typed("mail", "send").refusal == "mail_not_configured"
    monkeypatch.setenv("PASSNUM_SMTP_URL", box.url)
    monkeypatch.setenv("PASSNUM_MAIL_FROM", SENDER)
    said = typed("people", "code", "ZOE@caf.example").out
    assert "Il part aussi par e-mail à zoe@caf.example." in said
    assert (
        typed("mail", "send", "--dry-run").out.splitlines()[1].startswith("zoe@caf.example")
    )
    [waiting] = typed("mail", "list", "--format", "json").json
    assert (waiting["state"], waiting["attempts"]) == ("waiting", 0)

    assert typed("mail", "send").out.startswith("1 partis, 0 remis")

    assert CODE.findall(text_of(box.received[0])) == CODE.findall(said)
    assert typed("mail", "list", "--format", "json").json == []
    [sent] = typed("mail", "list", "--all", "--format", "json").json
    assert (sent["state"], sent["attempts"], sent["error"]) == ("sent", 1, None)
    assert "L'e-mail est parti le" in typed("mail", "list", "--all").out


def test_a_command_tells_that_somebody_must_look(creuse, monkeypatch, box):
    monkeypatch.setenv("PASSNUM_SMTP_URL", box.url)
    monkeypatch.setenv("PASSNUM_MAIL_FROM", SENDER)
    box.to_recipient = lambda _address: "550 no"
    typed("people", "invite", "zoe@caf.example", "Zoé", "--role", "manager")

    ran = typed("mail", "send")

    assert (ran.code, ran.out[:8]) == (1, "0 partis")
    assert "passnum mail list" in ran.err
    shown = typed("mail", "list").out
    assert "Cette adresse ne reçoit pas d'e-mail (réponse 550)." in shown
    [kept] = typed("mail", "list", "--format", "json").json
    assert (kept["error"], kept["reply"]) == ("mail_recipient_refused", 550)
    assert typed("mail", "retry", kept["id"]).refusal == "mail_unknown"


def test_a_command_writes_a_letter_that_only_its_caller_reads(creuse):
    typed("people", "invite", "caf-accueil", "Accueil", "--role", "manager")
    out = creuse / "lettres" / "caf.pdf"
    ran = typed("people", "letter", "CAF-accueil", "--out", out)
    assert ran.code == 0, ran
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    said = text_of_pdf(out.read_bytes())
    assert len(CODE.findall(said)) == 1
    assert CODE.findall(said)[0] not in ran.out
    assert "05 55 00 00 00" in said
    unknown = typed("people", "letter", "nobody", "--out", creuse / "x.pdf")
    assert unknown.refusal == "membership_unknown"
    assert not (creuse / "x.pdf").exists()
