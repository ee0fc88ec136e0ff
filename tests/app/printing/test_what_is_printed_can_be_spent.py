"""Sheets that come out of the press: read by machines, by people, and by their screen readers."""

import csv
import ctypes
import dataclasses
import html
import io
import json
import re
import stat
from hashlib import sha256
from xml.etree import ElementTree as ET

import pypdfium2
import pypdfium2.raw as pdfium
import pytest
from msgspec.structs import replace

from app.printing.content import amount, readable_phone
from app.printing.printing import printing
from issuance import codes, tokens
from issuance.keys import RevokeKey, SigningKeyRevoked, revoke_key, signer
from issuance.orders import order_row
from issuance.print_batches import NotInOrder, batches
from issuance.words import words_of
from ledger.identifiers import new_id
from redemption.checking import look
from tests.app.printing.press import (
    LOGOS,
    NOW,
    a_press,
    pages,
    prepared,
    printed,
    read,
    text,
)
from tests.builders import SECRET, done

A4 = (595.28, 841.89)


def serials(world, first: int, last: int) -> list[str]:
    return [s for s in world.passes if first <= int(s.split("-")[1]) <= last]


@pytest.mark.parametrize("dpi", [150, 300])
def test_every_qr_code_is_read_back_and_its_signature_holds(database, tmp_path, dpi):
    world = a_press(database, 3)
    made = printed(database, world, tmp_path / "lot")

    found = read(pages(made.file(), dpi))

    faces = [tokens.verify(tokens.from_text(url), world.ring.vouchers) for url in found]
    assert sorted(str(face.serial) for face in faces) == serials(world, 1, 3)
    assert {world.token(str(face.serial)) for face in faces} == set(found)


def test_what_is_typed_from_the_paper_opens_the_pass(database, tmp_path):
    world = a_press(database, 2)
    said = text(printed(database, world, tmp_path / "lot").file())

    typed = re.findall(r"23(?: [0-9A-Z]{4}){3} [0-9A-Z]\b", said)

    assert sorted(typed) == sorted(world.passes[s].code for s in serials(world, 1, 2))
    with database.begin("23", read_only=True) as session:
        for code in typed:
            seen = look(session, code, now=NOW, keyring=world.ring)
            assert seen.serial == next(s for s, p in world.passes.items() if p.code == code)
    assert all(codes.normalise(code)[0] == "23" for code in typed)


def test_a_sheet_says_what_it_is_in_words(database, tmp_path):
    world = a_press(database, 1)
    said = text(printed(database, world, tmp_path / "lot", near="Guéret").file())

    for told in (
        "Pass numérique", "5 × 10 €", "C’est quoi ?", "Comment faire ?", "Jusqu’à quand ?", "Où aller ?",
        "jeudi 31 décembre 2020", "Médiathèque 1", "1 place du Marché, 23000 Guéret", "05 44 30 23 23",
        "L’Europe s’engage en France", "Union européenne", "À garder chez vous", "Pour le guichet",
        " · ".join(words_of(1)), "23-000001-5", "sur 5",
    ):  # fmt: skip
        assert told in said, told
    assert said.count(" · ".join(words_of(1))) == 3, "two stubs, and the sheet of passes"
    assert "SPÉCIMEN" not in said
    assert [said.count(f"23-000001-{rank}") for rank in range(1, 6)] == [1] * 5


def test_specimens_say_so_on_each_part_and_are_signed_by_a_key_of_their_own(
    database, tmp_path
):
    world = a_press(database, 1)
    made = printed(database, world, tmp_path / "lot", order=2)

    said = text(made.file())
    found = read(pages(made.file(), 150))

    assert said.count("SPÉCIMEN, sans valeur") == 1 + 1 + 5, "cover, sheet, passes"
    assert len(found) == 5
    for url in found:
        tokens.verify(tokens.from_text(url), world.ring.specimens)
        with pytest.raises(tokens.ForgedToken):
            tokens.verify(tokens.from_text(url), world.ring.vouchers)


@pytest.mark.parametrize("kind", ["pdf", "phone"])
def test_a_pdf_is_a4_tagged_titled_in_french_with_its_type_embedded(
    database, tmp_path, kind
):
    world = a_press(database, 1)
    pdf = printed(database, world, tmp_path / "lot", kind=kind, logos=LOGOS).file()

    assert b"<pdfuaid:part>1</pdfuaid:part>" in pdf
    assert re.search(rb"/Marked true", pdf)
    assert re.search(rb"/StructTreeRoot \d+ 0 R", pdf)
    assert re.search(rb"/Lang ?\(fr-FR\)", pdf)
    document = pypdfium2.PdfDocument(pdf)
    assert pdfium.FPDFCatalog_IsTagged(document.raw)
    assert "Pass numérique" in document.get_metadata_dict()["Title"]
    for page in document:
        assert page.get_mediabox()[2:] == pytest.approx(A4, abs=0.1)
        for letters in page.get_objects(filter=[pdfium.FPDF_PAGEOBJ_TEXT], max_depth=9):
            assert pdfium.FPDFFont_GetIsEmbedded(pdfium.FPDFTextObj_GetFont(letters.raw))
        tree = pdfium.FPDF_StructTree_GetForPage(page.raw)
        alternatives = pictures(tree)
        pdfium.FPDF_StructTree_Close(tree)
        assert alternatives
        assert all(alternatives)
    document.close()


def pictures(tree) -> list[str]:
    """The texts that stand for pictures on a page."""

    def below(element):
        kind = told(pdfium.FPDF_StructElement_GetType, element)
        if kind == "Figure":
            yield told(pdfium.FPDF_StructElement_GetAltText, element)
        for n in range(pdfium.FPDF_StructElement_CountChildren(element)):
            child = pdfium.FPDF_StructElement_GetChildAtIndex(element, n)
            if child:
                yield from below(child)

    def told(ask, element) -> str:
        room = ctypes.create_string_buffer(1000)
        length = ask(element, room, 1000)
        return room.raw[: max(length - 2, 0)].decode("utf-16-le")

    return [
        alternative
        for n in range(pdfium.FPDF_StructTree_CountChildren(tree))
        for alternative in below(pdfium.FPDF_StructTree_GetChildAtIndex(tree, n))
    ]


def test_a_carnet_of_ten_takes_a_sheet_more(database, tmp_path):
    world = a_press(database, 1, carnet_size=10)
    made = printed(database, world, tmp_path / "lot")

    drawn = pages(made.file(), 150)

    assert [len(read([page])) for page in drawn] == [0, 5, 5]


def test_a_batch_leaves_its_entry_and_its_manifest_tells_each_file(database, tmp_path):
    world = a_press(database, 3)
    made = printed(database, world, tmp_path / "lot", first=2, count=2, logos=LOGOS)

    with database.begin("23", read_only=True) as session:
        [told] = batches(session, 1)
    manifest = json.loads(made.file("manifest.json"))

    assert (told.first_carnet, told.last_carnet, told.kind) == (2, 3, "pdf")
    assert told.publicity == ("fse-2014-2020/1",)
    assert told.template_sha256 == manifest["plan"]["template_sha256"]
    assert told.manifest_sha256 == sha256(made.file("manifest.json")).hexdigest()
    assert told.key_id == world.signer.voucher_key_id == manifest["plan"]["key_id"]
    assert manifest["files"] == [
        {
            "bytes": len(made.file()),
            "name": "carnets-23-000002-000003.pdf",
            "sha256": sha256(made.file()).hexdigest(),
        }
    ]
    assert len(read(pages(made.file(), 150))) == 10


def test_nothing_that_opens_a_pass_is_in_the_manifest_nor_in_the_journal(
    database, tmp_path
):
    world = a_press(database, 1)
    made = printed(database, world, tmp_path / "lot")
    with database.begin("23", read_only=True) as session:
        [told] = batches(session, 1)

    for made_pass in world.passes.values():
        for secret in (made_pass.code, made_pass.url, made_pass.url[-191:]):
            assert secret.encode() not in made.file("manifest.json")
            assert secret not in repr(told)


@pytest.mark.parametrize("kind", ["pdf", "shop", "phone"])
def test_the_files_are_their_owners_alone(database, tmp_path, kind):
    world = a_press(database, 1)
    out = printed(database, world, tmp_path / "lot", kind=kind, logos=LOGOS).out

    for path in [out, *out.rglob("*")]:
        mode = 0o700 if path.is_dir() else 0o600
        assert stat.S_IMODE(path.stat().st_mode) == mode, path


def test_a_print_shop_gets_a_list_the_codes_and_what_funders_want_said(database, tmp_path):
    world = a_press(database, 2)
    out = printed(database, world, tmp_path / "lot", kind="shop", logos=LOGOS).out

    raw = (out / "pass.csv").read_bytes()
    rows = list(csv.DictReader(io.StringIO(raw.decode("utf-8-sig"), newline="")))

    assert raw.startswith(b"\xef\xbb\xbf")
    assert [row["serial"] for row in rows] == serials(world, 1, 2)
    for row in rows:
        made = world.passes[row["serial"]]
        assert (row["code"], row["url"]) == (made.code, made.url)
        assert (row["word_1"], row["word_2"]) == words_of(made.serial.carnet)
        drawn = ET.fromstring((out / row["svg"]).read_bytes())  # noqa: S314 - we have just drawn it
        assert drawn.tag.endswith("svg")
    assert {row["use_by_words"] for row in rows} == {"jeudi 31 décembre 2020"}
    assert "L’Europe s’engage en France" in (out / "mentions.txt").read_text("utf-8")
    assert (out / "europe.svg").exists()
    assert (out / "logo-0.svg").exists()
    listed = json.loads((out / "manifest.json").read_bytes())["files"]
    there = {str(p.relative_to(out)) for p in out.rglob("*") if p.is_file()}
    assert {each["name"] for each in listed} == there - {"manifest.json"}


def test_a_page_for_a_telephone_holds_all_that_it_needs(database, tmp_path):
    world = a_press(database, 1)
    made = printed(database, world, tmp_path / "lot", kind="phone", near="Guéret")

    page = made.file("23-000001.html").decode()

    assert "<script" not in page
    addresses = re.findall(r"(?:src|href|url)\s*[=(]\s*[\"']?([^\"')>\s]+)", page)
    assert {a.partition(":")[0] for a in addresses} == {"tel"}
    assert page.count("<svg") == 5 + 1, "five passes and the emblem"
    for serial in serials(world, 1, 1):
        assert world.passes[serial].code in page
        assert world.token(serial) not in page, "an address would be remembered by browsers"
    assert "L’Europe s’engage en France" in page
    assert len(read(pages(made.file("23-000001.pdf"), 150))) == 5
    assert len(pages(made.file("23-000001.pdf"), 20)) == 1


def test_what_others_named_is_text_and_never_markup(database, tmp_path):
    world = a_press(database, 1)
    with database.begin("23", read_only=True) as session:
        about = prepared(session, world, kind="phone")
    odd = "<b>#panic()</b> $x$ */ \\ [*]"
    plan = replace(about.plan, content=replace(about.plan.content, departement=odd))
    with printing(dataclasses.replace(about, plan=plan), tmp_path / "lot") as made:
        assert list(made.steps) == [1]

    assert odd in text((tmp_path / "lot" / "23-000001.pdf").read_bytes())
    assert html.escape(odd) in (tmp_path / "lot" / "23-000001.html").read_text("utf-8")


def test_a_revoked_key_prints_nothing_more(database, tmp_path):
    world = a_press(database, 1)
    with database.begin("23") as session:
        key = order_row(session, 1).key_id
        request = RevokeKey(new_id(), key, "compromised")
        done(revoke_key(session, request, by="test", now=NOW))
        world.signer = signer(session, "23", SECRET)
        with pytest.raises(SigningKeyRevoked):
            prepared(session, world)


@pytest.mark.parametrize("wanted", [{"first": 0}, {"first": 3, "count": 2}, {"count": 0}])
def test_only_carnets_of_the_order_are_printed(database, wanted):
    world = a_press(database, 3)
    with database.begin("23", read_only=True) as session, pytest.raises(NotInOrder):
        prepared(session, world, **wanted)


def test_amounts_and_telephones_are_written_as_they_are_said():
    assert [amount(cents) for cents in (1000, 750)] == ["10\xa0€", "7,50\xa0€"]
    for typed in ("0544302323", "+33544302323", "05.44.30.23.23", "+33 5 44 30 23 23"):
        assert readable_phone(typed) == "05\xa044\xa030\xa023\xa023"
    assert [readable_phone(n) for n in ("3949", "+32 2 123 45 67")] == [
        "3949",
        "+32 2 123 45 67",
    ]
