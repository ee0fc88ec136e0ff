"""A small press: a batch printed without the command, and its sheets looked at."""

from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import pypdfium2
import zxingcpp
from PIL import Image
from sqlalchemy.orm import Session

from app.database import Database
from app.printing import templates
from app.printing.content import Logos
from app.printing.printing import Asked, Prepared, Printing, prepare, printing, record
from app.printing.templates import Template
from issuance.orders import order_row
from tests.builders import World, a_world, an_order, approved, done
from tests.conftest import CREUSE, moment

NOW = moment("2020-01-08")
NO_LOGOS = Logos({}, {})
A_LOGO = b'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 40 30"><rect width="40" height="30" fill="#1f7a3d"/></svg>'
LOGOS = Logos({"logo-0.svg": A_LOGO}, {"logo-0.svg": "Département de la Creuse"})
PHONE = "0544302323"


def a_press(database: Database, carnets: int = 3, **tranche) -> World:
    """The Creuse with an order made, its proof approved, and specimens."""
    with database.begin("23") as session:
        world = a_world(session, **tranche)
        an_order(session, world, carnets, delivered=False)
        for kind in ("pdf", "shop"):
            done(approved(session, 1, kind))
        an_order(session, world, 1, specimen=True, delivered=False, active=False)
    return world


def prepared(
    session: Session,
    world: World,
    order: int = 1,
    *,
    kind: str = "pdf",
    template: Template | None = None,
    logos: Logos = NO_LOGOS,
    first: int | None = None,
    count: int | None = None,
    near: str | None = None,
) -> Prepared:
    asked = Asked(order, first, count, template or templates.own(kind), logos, near)
    return prepare(session, asked, CREUSE, world.signer, phone=PHONE, now=NOW)


@dataclass
class Made:
    """A batch that was printed."""

    out: Path
    printing: Printing
    number: int

    def file(self, pattern: str = "*.pdf") -> bytes:
        [path] = self.out.glob(pattern)
        return path.read_bytes()


def seen(database: Database, order: int = 1, **asked) -> None:
    """The proof of paper like this, approved, where it needs one."""
    kind, logos = asked.get("kind", "pdf"), asked.get("logos") or NO_LOGOS
    template = asked.get("template") or templates.own(kind)
    look = {
        "template": template.name,
        "template_version": template.version,
        "template_sha256": template.sha256,
        "logos": tuple(sha256(data).hexdigest() for data in logos.data.values()),
    }
    with database.begin("23") as session:
        if kind != "phone" and not order_row(session, order).specimen:
            done(approved(session, order, kind, **look))


def printed(database: Database, world: World, out: Path, order: int = 1, **asked) -> Made:
    """A batch printed to its end, with its entry; its proof was approved before."""
    seen(database, order, **asked)
    with database.begin("23", read_only=True) as session:
        about = prepared(session, world, order, **asked)
    with printing(about, out) as made:
        for _carnets in made.steps:
            pass
        with database.begin("23") as session:
            answer = done(record(session, made, by="press", now=NOW))
    return Made(out, made, answer.facts["batch"])


def pages(pdf: bytes, dpi: int = 100) -> list[Image.Image]:
    """The pages of a PDF, as a printer of so many points to the inch draws them."""
    document = pypdfium2.PdfDocument(pdf)
    drawn = [page.render(scale=dpi / 72).to_pil().convert("L") for page in document]
    document.close()
    return drawn


def read(images: list[Image.Image]) -> list[str]:
    """What a reader that is not ours finds in pictures."""
    return [found.text for image in images for found in zxingcpp.read_barcodes(image)]


def text(pdf: bytes) -> str:
    """The words of a PDF, on one line."""
    document = pypdfium2.PdfDocument(pdf)
    said = " ".join(page.get_textpage().get_text_range() for page in document)
    document.close()
    return " ".join(said.split())
