"""The funders' rules on paper: the Union's block where it must be, as large as it must be, in colours that are read."""

import json
import re
from datetime import date
from math import atan2, cos, degrees, hypot, pi, sin
from pathlib import Path

import pypdfium2
import pypdfium2.raw as pdfium
import pytest
from PIL import Image, ImageChops, ImageStat

from app.printing import templates
from app.printing.content import Logos, LogoUnreadable, TooManyLogos, read_logos
from app.printing.documents import told
from app.printing.publicity import EMBLEM, blocks, needed
from app.printing.templates import EuBlockMissing, EuBlockSmaller, TemplateWrong
from funding.allocation import Funder, Payer
from funding.queries import payers
from issuance.print_batches import batches
from issuance.printed import PrintedPass
from issuance.serials import Serial
from issuance.words import words_of
from tests.app.printing.press import (
    A_LOGO,
    LOGOS,
    a_press,
    pages,
    prepared,
    printed,
    text,
)

GOLDEN = Path(__file__).parent / "golden"
KINDS = ("pdf", "phone")


def a_template(
    folder: Path, changed: dict[str, str] | None = None, ours: str = "carnet", **named
) -> Path:
    """A département's own template: ours, changed."""
    folder.mkdir()
    for path in (templates.FOLDER / ours).iterdir():
        said = path.read_text("utf-8")
        for old, new in (changed or {}).items():
            said = said.replace(old, new)
        (folder / path.name).write_text(said, "utf-8")
    if named:
        about = json.loads((folder / "template.json").read_text("utf-8"))
        (folder / "template.json").write_text(json.dumps(about | named), "utf-8")
    return folder


WITHOUT = {
    "stack(spacing: 1.5mm, ..unions.map(block => union(block, 10mm)))": "[]",
    "funders-row(18mm)": "[]",
}


def test_a_template_without_the_unions_block_is_refused_where_it_pays(database, tmp_path):
    world = a_press(database, 1)
    own = templates.read(a_template(tmp_path / "ours", WITHOUT, name="ours"))

    with (
        database.begin("23", read_only=True) as session,
        pytest.raises(EuBlockMissing) as no,
    ):
        prepared(session, world, template=own)

    assert vars(no.value) == {"template": "ours", "block": "L’Europe s’engage en France"}


def test_it_is_taken_where_the_union_pays_nothing(database, tmp_path):
    world = a_press(database, 1, shares={"FSE": 0, "ETAT": 50, "DEP": 50})
    own = templates.read(a_template(tmp_path / "ours", WITHOUT, name="ours"))

    made = printed(database, world, tmp_path / "lot", template=own)

    assert "Europe" not in text(made.file())
    with database.begin("23", read_only=True) as session:
        [batch] = batches(session, 1)
    assert (batch.template, batch.publicity) == ("ours", ())


def test_a_template_that_says_another_period_is_refused(database, tmp_path):
    world = a_press(database, 1)
    other = {
        "union(block, 10mm)": "union((id: \"fse-plus-2021-2027\", statement: \"\", under_emblem: \"\"), 10mm)",
        "funders-row(18mm)": "[]",
    }  # fmt: skip
    own = templates.read(a_template(tmp_path / "ours", other))

    with database.begin("23", read_only=True) as session, pytest.raises(EuBlockMissing):
        prepared(session, world, template=own)


def test_no_logo_may_be_larger_than_the_emblem(database, tmp_path):
    world = a_press(database, 1)
    other = {"funders-row(18mm)": "funders-row(18mm); context { [#metadata((name: \"Nous\", width: 60.0, height: 12.0)) <publicity-logo>] }"}  # fmt: skip
    own = templates.read(a_template(tmp_path / "ours", other, name="ours"))

    with (
        database.begin("23", read_only=True) as session,
        pytest.raises(EuBlockSmaller) as no,
    ):
        prepared(session, world, template=own, logos=LOGOS)

    assert vars(no.value) == {"template": "ours", "logo": "Nous"}


WIDE = b'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 900 30"><rect width="900" height="30"/></svg>'
TALL = b'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 30 900"><rect width="30" height="900"/></svg>'


@pytest.mark.parametrize("kind", KINDS)
def test_in_our_templates_logos_of_any_shape_stay_within_the_emblems_size(
    database, tmp_path, kind
):
    world = a_press(database, 1)
    three = {"logo-0.svg": WIDE, "logo-1.svg": TALL, "logo-2.svg": A_LOGO}
    logos = Logos(three, dict.fromkeys(three, "Logo"))

    made = printed(database, world, tmp_path / "lot", kind=kind, logos=logos)

    assert len(pages(made.file(), 20)) == (2 if kind == "pdf" else 1)


@pytest.mark.parametrize(
    ("files", "why"),
    [
        ({}, "No such file or directory"),
        ({"template.json": "{}"}, "template.json"),
        ({"template.json": '{"name": "x", "version": 1, "kind": "poster"}'}, "template.json"),
        ({"template.json": '{"name": "x", "version": 1, "kind": "pdf"}'}, "main.typ"),
        ({"template.json": '{"name": "x", "version": 1, "kind": "phone"}', "main.typ": ""}, "page.html"),
    ],
)  # fmt: skip
def test_a_folder_that_holds_no_template_is_told(tmp_path, files, why):
    folder = tmp_path / "x"
    folder.mkdir()
    for name, said in files.items():
        (folder / name).write_text(said, "utf-8")

    with pytest.raises(TemplateWrong) as no:
        templates.read(folder)

    assert why in no.value.why


def test_a_template_that_does_not_compile_is_told_before_anything_is_written(
    database, tmp_path
):
    world = a_press(database, 1)
    own = templates.read(a_template(tmp_path / "x", {"#show: sheet": "#show: shet"}))

    with database.begin("23", read_only=True) as session, pytest.raises(TemplateWrong):
        prepared(session, world, template=own)


def test_a_template_that_screens_cannot_read_aloud_is_told_before_anything_is_written(
    database, tmp_path
):
    """It compiles, and answers what is asked of it: only the PDF/UA itself says what lacks."""
    world = a_press(database, 1)
    silent = {', alt: "QR code du pass " + voucher.serial': ""}
    own = templates.read(a_template(tmp_path / "x", silent))

    with (
        database.begin("23", read_only=True) as session,
        pytest.raises(TemplateWrong, match="PDF/UA"),
    ):
        prepared(session, world, template=own)


@pytest.mark.parametrize(
    "page", ["{{ block.statement }}", "{{ emblem | safe }}", "{% for block in publicity %}"]
)
def test_a_page_without_the_unions_block_is_refused_where_it_pays(database, tmp_path, page):
    world = a_press(database, 1)
    less = "{% for block in [] %}" if page.startswith("{%") else ""
    own = templates.read(a_template(tmp_path / "x", {page: less}, "telephone"))

    with database.begin("23", read_only=True) as session, pytest.raises(EuBlockMissing):
        prepared(session, world, template=own)


@pytest.mark.parametrize(
    "wrong",
    [
        "{% if %}",
        "{{ nobody }}",
        "{{ size / 0 }}",
        "{{ size + value }}",
        "{{ value.__class__.__mro__ }}",
    ],
)
def test_a_page_that_cannot_be_filled_in_is_told_before_anything_is_written(
    database, tmp_path, wrong
):
    world = a_press(database, 1)
    own = templates.read(
        a_template(tmp_path / "x", {"<header>": f"<header>{wrong}"}, "telephone")
    )

    with (
        database.begin("23", read_only=True) as session,
        pytest.raises(TemplateWrong, match="page.html"),
    ):
        prepared(session, world, template=own)


@pytest.mark.parametrize("where", ["/secret.txt", "../secret.txt", "secret.txt"])
def test_a_template_reaches_no_file_but_its_own(tmp_path, monkeypatch, where):
    (tmp_path / "secret.txt").write_text("secret")
    monkeypatch.chdir(tmp_path)
    own = templates.read(
        a_template(tmp_path / "x", {"#show: sheet": f'#read("{where}")\n#show: sheet'})
    )

    with pytest.raises(TemplateWrong, match="file|root"):
        own.check(
            {**SAYS, "specimen": False, "publicity": [], "carnets": [a_carnet()]},
            LOGOS.data,
            [],
        )


def test_logos_are_named_by_their_files(tmp_path):
    (tmp_path / "Département de la Creuse.svg").write_bytes(A_LOGO)
    Image.new("RGB", (8, 8)).save(tmp_path / "État.PNG")
    (tmp_path / "notes.txt").write_text("not a logo")

    logos = read_logos(tmp_path)

    assert logos.names == {
        "logo-0.svg": "Département de la Creuse",
        "logo-1.svg": "État",
    }
    assert logos.data["logo-0.svg"] == A_LOGO
    says = {**SAYS, "specimen": False, "publicity": [], "carnets": [a_carnet()]}
    says["logos"] = [{"file": "logo-1.svg", "name": "État"}]
    cover = pages(templates.own("pdf").pdf(says, logos.data, 0), 50)[0]
    [dark] = {cover.getpixel((x, 440)) for x in range(40, 45)}
    assert dark < 40, "the PNG stands where a logo does"


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.svg", b"<html>"),
        ("a.png", A_LOGO),
        ("a.png", b"\x89PNG\r\n\x1a\n" + b"?" * 99),
        ("a.svg", A_LOGO + b" " * 600_000),
    ],
)
def test_a_logo_that_cannot_be_printed_is_told(tmp_path, name, data):
    (tmp_path / name).write_bytes(data)

    with pytest.raises(LogoUnreadable) as no:
        read_logos(tmp_path)

    assert no.value.path.endswith(name)


def test_there_is_room_for_three_logos(tmp_path):
    for number in range(4):
        (tmp_path / f"{number}.svg").write_bytes(A_LOGO)
    with pytest.raises(TooManyLogos):
        read_logos(tmp_path)


@pytest.mark.parametrize(
    ("funder", "since", "block"),
    [
        (Funder.EU_ESF, date(2020, 1, 1), "fse-2014-2020"),
        (Funder.EU_ESF, date(2022, 1, 1), "fse-2014-2020"),
        (Funder.EU_ESF_PLUS, date(2022, 1, 1), "fse-plus-2021-2027"),
        (Funder.EU_OTHER, date(2020, 12, 31), "ue-2014-2020"),
        (Funder.EU_OTHER, date(2021, 1, 1), "ue-2021-2027"),
        (Funder.EU_OTHER, date(2029, 1, 1), "ue-2021-2027"),
    ],
)
def test_each_fund_asks_for_the_block_of_its_period(funder, since, block):
    others = [Payer("État", Funder.STATE, since), Payer("Nous", Funder.DEPARTMENT, since)]

    assert [b.id for b in needed([*others, Payer("UE", funder, since)])] == [block]
    assert needed(others) == []


def test_every_european_funder_has_a_block():
    for funder in Funder:
        assert funder.is_eu == any(funder in block.funders for block in blocks())


def test_who_paid_before_an_amendment_is_still_named(database):
    a_press(database, 1)
    with database.begin("23", read_only=True) as session:
        found = payers(session, 1)

    assert [(p.name, p.funder.value) for p in found] == [
        ("DEP", "DEPARTMENT"),
        ("ETAT", "STATE"),
        ("FSE", "EU_ESF"),
    ]
    assert {p.since for p in found} == {date(2020, 1, 1)}


def test_the_emblem_has_its_geometry():
    drawing = EMBLEM.read_text("utf-8")
    stars = [
        [tuple(map(float, point.split(","))) for point in star.split()]
        for star in re.findall(r'<polygon fill="#ffcc00" points="([^"]+)"/>', drawing)
    ]
    height, width = 18.0, 27.0

    assert f'viewBox="0 0 {width:.0f} {height:.0f}"' in drawing
    assert '<rect width="27" height="18" fill="#003399"/>' in drawing
    assert len(stars) == 12
    for hour, star in enumerate(stars):
        x = sum(p[0] for p in star) / 10
        y = sum(p[1] for p in star) / 10
        assert hypot(x - width / 2, y - height / 2) == pytest.approx(height / 3, abs=1e-3)
        angle = degrees(atan2(x - width / 2, height / 2 - y)) % 360
        assert angle == pytest.approx(30 * hour, abs=0.01)
        assert star[0] == pytest.approx((x, y - height / 18), abs=1e-3), "a point upwards"
        for n, (px, py) in enumerate(star):
            assert hypot(px - x, py - y) == pytest.approx(
                height / 18 * (1 if n % 2 == 0 else sin(pi / 10) / cos(pi / 5)), abs=1e-3
            )


def luminance(colour: str) -> float:
    parts = [int(colour[n : n + 2], 16) / 255 for n in (1, 3, 5)]
    red, green, blue = [
        p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts
    ]
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_read_stands_off_what_is_behind_it(kind):
    told_of = json.loads(templates.own(kind).files["template.json"])
    colours = told_of["colours"]

    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert {ink for pair in told_of["contrast"] for ink in pair} == colours.keys()
    for ink, behind in told_of["contrast"]:
        assert contrast(colours[ink], colours[behind]) >= 4.5, (ink, behind)
    assert contrast("#003399", colours["paper"]) >= 4.5


def test_a_page_for_a_telephone_is_read_in_light_and_in_dark():
    style = templates.own("phone").files["page.html"].decode()
    schemes = re.findall(r":root \{([^}]+)\}", style)

    assert len(schemes) == 2
    for scheme in schemes:
        colours = dict(re.findall(r"--(\w+): (#[0-9a-f]{6})", scheme))
        for ink in ("ink", "soft", "title", "void", "edge"):
            assert contrast(colours[ink], colours["paper"]) >= 4.5, (ink, scheme)


SAYS = {
    "departement": "Creuse", "size": 5, "value": "10\xa0€", "last_day": "jeudi 31 décembre 2020",
    "phone": "05\xa044\xa030\xa023\xa023", "funders": ["Département de la Creuse", "État", "FSE"],
    "logos": [{"file": "logo-0.svg", "name": "Département de la Creuse"}],
    "places": [
        {"name": f"Médiathèque {n}", "address": "1 place du Marché, 23000 Guéret", "phone": None} for n in (1, 2, 3)
    ],
}  # fmt: skip


def a_url():
    return "HTTPS://PASS.CREUSE.FR/V/" + "0123456789" * 19 + "1"


def a_carnet():
    return told(
        tuple(
            PrintedPass(Serial("23", 4217, rank), a_url(), "23 7K3M 9PQR T2VW X")
            for rank in range(1, 6)
        )
    )


@pytest.mark.parametrize("specimen", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_sheets_look_as_they_did(tmp_path, kind, specimen):
    """Compare with pictures that a person looked at; what is drawn now stays in the test's folder."""
    block = blocks()[1 if specimen else 0]
    says = {**SAYS, "specimen": specimen, "publicity": [block], "carnets": [a_carnet()]}

    drawn = pages(templates.own(kind).pdf(says, LOGOS.data, 0), 50)

    for number, page in enumerate(drawn, 1):
        name = f"{kind}-{'specimen' if specimen else 'carnet'}-{number}.png"
        page.save(tmp_path / name, optimize=True)
        with Image.open(GOLDEN / name) as kept:
            assert page.size == kept.size
            differ = ImageChops.difference(page, kept.convert("L"))
        assert ImageStat.Stat(differ).rms[0] < 2, (
            f"{tmp_path / name} is not {GOLDEN / name}"
        )


@pytest.mark.parametrize("kind", KINDS)
def test_the_fullest_cover_is_still_one_page(kind):
    longest = max(range(1, 20_000), key=lambda n: len("".join(words_of(n))))
    made = (
        PrintedPass(Serial("974", longest, r), a_url(), "974 7K3M 9PQR T2VW X")
        for r in range(1, 6)
    )
    says = {
        **SAYS, "departement": "Alpes-de-Haute-Provence", "specimen": True, "value": "655,35\xa0€",
        "last_day": "mercredi 30 septembre 2026", "publicity": [blocks()[0]], "carnets": [told(tuple(made))],
        "funders": ["Fonds de très longue dénomination administrative"] * 5,
        "places": [{"name": "Médiathèque " * 5, "address": "1 rue Haute, " * 5 + "23000", "phone": SAYS["phone"]}] * 3,
        "logos": [{"file": f"logo-{n}.svg", "name": "Logo"} for n in range(3)],
    }  # fmt: skip
    logos = {"logo-0.svg": WIDE, "logo-1.svg": TALL, "logo-2.svg": A_LOGO}

    drawn = pages(templates.own(kind).pdf(says, logos, 0), 20)

    assert len(drawn) == (2 if kind == "pdf" else 1)


FILLED = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 27 18"><rect width="27" height="18" fill="{}"/></svg>'
COLOURS = {"#ff0000": (255, 0, 0), "#00ff00": (0, 255, 0), "#ff00ff": (255, 0, 255)}


@pytest.mark.parametrize(("kind", "height"), [("pdf", 18), ("phone", 13)])
@pytest.mark.parametrize("unions", [(0,), (0, 1), (0, 2), (0, 1, 2, 3)])
def test_blocks_and_logos_stand_side_by_side_and_none_over_another(kind, height, unions):
    logos = {f"logo-{n}.svg": FILLED.format(c).encode() for n, c in enumerate(COLOURS)}
    says = {
        **SAYS, "specimen": False, "publicity": [blocks()[n] for n in unions], "carnets": [a_carnet()],
        "logos": [{"file": name, "name": "Logo"} for name in logos],
    }  # fmt: skip
    document = pypdfium2.PdfDocument(templates.own(kind).pdf(says, logos, 0))
    [cover] = [page.render(scale=1).to_pil() for page in list(document)[:1]]
    seen = {colour: n for n, colour in cover.getcolors(1_000_000)}
    box = 1.5 * height * height * (72 / 25.4) ** 2

    for colour in COLOURS.values():
        assert seen[colour] == pytest.approx(box, rel=0.06), (
            "the whole of each logo is seen"
        )
    # The stars and what surrounds them; the words beside are of the same blue.
    assert seen[0, 51, 153] == pytest.approx(len(unions) * box * 0.97, rel=0.09)
    assert len(document) == (2 if kind == "pdf" else 1)
    for number, page in enumerate(document):
        words = [b for b in map(bounds, page.get_objects(max_depth=9)) if b]
        if number == 0:
            words += [where(cover, colour) for colour in COLOURS.values()]
        for n, (left, low, right, high) in enumerate(words):
            for left_2, low_2, right_2, high_2 in words[:n]:
                apart = right <= left_2 or right_2 <= left or high <= low_2 or high_2 <= low
                assert apart, "no words over others, nor over a logo"
    document.close()


def where(page: Image.Image, colour: tuple[int, int, int]) -> tuple[float, ...]:
    """Where a colour stands on a page, as words do: from below."""
    other = ImageChops.difference(page.convert("RGB"), Image.new("RGB", page.size, colour))
    box = other.convert("L").point(lambda far: 255 if far == 0 else 0).getbbox()
    assert box, "it is seen"
    left, top, right, bottom = box
    return left, page.height - bottom, right, page.height - top


def bounds(found) -> tuple[float, float, float, float] | None:
    """Where words stand on their page."""
    if found.type != pdfium.FPDF_PAGEOBJ_TEXT:
        return None
    left, low, right, high = found.get_bounds()
    # What is set is a little smaller than its box.
    return left + 0.2, low + 0.2, right - 0.2, high - 0.2


# What is out on paper is known by its hash: a template that changes takes the next version.
OUT = {
    "pdf": ("carnet", 2, "f297f5c5158028fa"),
    "shop": ("imprimeur", 2, "1065076e4a11b6be"),
    "phone": ("telephone", 2, "18cb9d37ca86f621"),
}


@pytest.mark.parametrize("kind", OUT)
def test_a_template_that_changes_takes_the_next_version(kind):
    own = templates.own(kind)
    assert (own.name, own.version, own.sha256[:16]) == OUT[kind]


def test_the_hash_of_a_template_covers_what_shapes_the_sheets(tmp_path, monkeypatch):
    ours = templates.own("pdf").sha256
    own = templates.read(a_template(tmp_path / "x", {"13pt": "14pt"}))
    assert own.sha256 != ours
    for name, path in (("BLOCKS", "publicity.json"), ("FONTS", "fonts")):
        with monkeypatch.context() as changed:
            changed.setattr(templates, name, tmp_path / path)
            (tmp_path / "publicity.json").write_text("{}")
            assert templates.own("pdf").sha256 != ours
