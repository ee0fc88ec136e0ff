"""What we draw, a reader that is not ours reads back, to the last digit."""

import re
from datetime import date
from xml.etree import ElementTree as ET

import pytest
import zxingcpp
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from issuance import qr, tokens
from issuance.tokens import Face

KEY = Ed25519PrivateKey.from_private_bytes(bytes(32))
SVG = "{http://www.w3.org/2000/svg}"


def a_url(*, host="pass.creuse.fr", carnet=4217):
    face = Face(
        key_id=1,
        departement="23",
        tranche=4,
        carnet=carnet,
        rank=3,
        face_cents=1000,
        use_by=date(2027, 12, 31),
    )
    return tokens.to_url(host, tokens.sign(face, KEY))


def image_of(rows, *, pixels=4):
    side = len(rows) + 8
    image = Image.new("1", (side, side), 1)
    for y, row in enumerate(rows, 4):
        for x, dark in enumerate(row, 4):
            image.putpixel((x, y), not dark)
    return image.resize((side * pixels, side * pixels), Image.Resampling.NEAREST).convert(
        "L"
    )


def modules_drawn(drawing):
    """Draw the runs of the path as a printer would, one pixel to a module."""
    root = ET.fromstring(drawing)  # noqa: S314 - we have just drawn it
    _, _, width, height = map(int, root.attrib["viewBox"].split())
    image = Image.new("1", (width, height), 1)
    pen = ImageDraw.Draw(image)
    path = root.find(f"{SVG}path").attrib["d"]
    strokes = re.findall(r"M(\d+) (\d+)\.5|m(\d+) 0|h(\d+)", path)
    assert re.sub(r"M\d+ \d+\.5|m\d+ 0|h\d+", "", path) == ""
    x = y = 0
    for left, top, lifted, drawn in strokes:
        if left:
            x, y = int(left), int(top)
        elif drawn:
            pen.line((x, y, x + int(drawn) - 1, y), fill=0)
        x += int(lifted or drawn or 0)
    return [[not image.getpixel((x, y)) for x in range(width)] for y in range(height)]


@given(st.integers(0, 2**32 - 1))
def test_a_reader_finds_the_whole_address(carnet):
    url = a_url(carnet=carnet)

    read = zxingcpp.read_barcodes(image_of(qr.matrix(url)))

    assert [found.text for found in read] == [url]


def test_it_is_a_version_6_at_level_m():
    rows = qr.matrix(a_url())
    (read,) = zxingcpp.read_barcodes(image_of(rows))

    assert [len(rows), *map(len, rows)] == [41] * 42
    assert read.ec_level == "M"


@pytest.mark.parametrize("host", ["a.fr", "a" * 21 + ".fr", "a" * 22 + ".fr"])
def test_a_host_of_up_to_25_characters_fits(host):
    url = a_url(host=host)
    rows = qr.matrix(url)

    (read,) = zxingcpp.read_barcodes(image_of(rows))

    assert read.text == url
    assert len(rows) == 41


@pytest.mark.parametrize(
    "url",
    [
        "",
        "HTTPS://PASS.FR/0123",
        "https://pass.fr/V/0123",
        "HTTPS://PASS.FR/V/12A",
        f"HTTPS://{'A' * 26}/V/{'9' * 191}",
    ],
)
def test_what_is_not_an_address_of_ours_is_not_drawn(url):
    with pytest.raises(ValueError, match=r"address|represented"):
        qr.matrix(url)


def test_the_drawing_is_the_matrix_with_its_quiet_zone():
    url = a_url()
    drawn = modules_drawn(qr.svg(url))

    assert [row[4:-4] for row in drawn[4:-4]] == qr.matrix(url)
    assert sum(map(sum, drawn)) == sum(map(sum, qr.matrix(url)))
    (read,) = zxingcpp.read_barcodes(image_of(drawn))
    assert read.text == url


def test_the_drawing_is_measured_in_millimetres():
    root = ET.fromstring(qr.svg(a_url()))  # noqa: S314 - we have just drawn it
    larger = ET.fromstring(qr.svg(a_url(), module_mm=1.0))  # noqa: S314 - the same

    assert (root.attrib["width"], root.attrib["height"]) == ("29.89mm", "29.89mm")
    assert larger.attrib["width"] == "49mm"
    assert root.attrib["viewBox"] == larger.attrib["viewBox"] == "0 0 49 49"


def test_the_drawing_says_its_title_and_nothing_else():
    title = 'Pass n\u00b0 3 <b>"&'
    root = ET.fromstring(qr.svg(a_url(), title=title))  # noqa: S314 - the same

    assert root.attrib["role"] == "img"
    assert root.find(f"{SVG}title").text == title
    assert [child.tag for child in root] == [f"{SVG}title", f"{SVG}rect", f"{SVG}path"]
    assert ET.fromstring(qr.svg(a_url())).find(f"{SVG}title") is None  # noqa: S314 - the same
