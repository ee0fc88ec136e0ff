"""Templates: a folder with `template.json` and `main.typ`, named, numbered and hashed.

The hash covers all that shapes the sheets: the template's own files, what all templates share,
the emblem, the wording of the publicity blocks and the type.  It is what a print batch archives;
a template of ours that changes takes the next version, and a test holds it to that.

A département may have a template of its own, in a folder.  Before a batch, its first carnet is
set and asked what stands on it, on paper and on the page for a telephone: a tranche with money of
the European Union is refused a template that lacks the Union's block, or that makes a logo larger.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from html import unescape
from pathlib import Path
from typing import Any, Literal, cast

import msgspec
import typst
from jinja2 import StrictUndefined, TemplateError, select_autoescape
from jinja2.sandbox import ImmutableSandboxedEnvironment

from app.printing.publicity import BLOCKS, EMBLEM, Block
from issuance.printed import Kind
from ledger import canonical
from ledger.refusal import Refusal

HOME = Path(__file__).parent
FOLDER = HOME / "templates"
FONTS = HOME / "fonts"
SHARED = {"common.typ": FOLDER / "common.typ", EMBLEM.name: EMBLEM}
# A logo fills its box to the last tenth of a millimetre, which rounding may exceed.
SLACK_MM = 0.05
PAGE = "page.html"
FILES_MAX = 40
BYTES_MAX = 4_000_000


@dataclass(eq=False)
class TemplateWrong(Refusal):
    """The folder holds no template that can be used; `why` is what is wrong with it."""

    code = "template_wrong"

    template: str
    why: str


@dataclass(eq=False)
class EuBlockMissing(Refusal):
    """Money of the European Union pays these passes, and the template does not say it."""

    code = "eu_block_missing"

    template: str
    block: str


@dataclass(eq=False)
class EuBlockSmaller(Refusal):
    """The template makes a logo larger than the Union's emblem."""

    code = "eu_block_smaller"

    template: str
    logo: str


# What the list of a print shop may say of a pass.
Column = Literal[
    "serial", "code", "url", "svg", "carnet", "rank", "of", "value", "use_by", "use_by_words", "word_1",
    "word_2", "specimen",
]  # fmt: skip


class _Told(msgspec.Struct, frozen=True):
    name: str
    version: int
    kind: Kind
    columns: tuple[Column, ...] = ()


@dataclass(frozen=True)
class Template:
    """A template, read once: its name, what it is for, and the bytes that make it.

    `columns` are those of the list that a print shop gets.
    """

    name: str
    version: int
    kind: Kind
    columns: tuple[Column, ...]
    files: Mapping[str, bytes]

    @property
    def sha256(self) -> str:
        """The hash of all that shapes the sheets."""
        shaping = {name: sha256(data).hexdigest() for name, data in self.files.items()}
        shared = [BLOCKS, *sorted(FONTS.glob("*.ttf"))]
        shaping |= {f"/{p.name}": sha256(p.read_bytes()).hexdigest() for p in shared}
        return canonical.digest(shaping).hex()

    def pdf(self, content: Mapping[str, Any], logos: Mapping[str, bytes], at: int) -> bytes:
        """Set the sheets as one PDF (PDF/UA-1); the same content gives the same bytes.

        `at` is the date in the file, in seconds since 1970.  Raises `typst.TypstError`.
        """
        return compiled(self._sources(content, logos), timestamp=at, pdf_standards="ua-1")

    def page(self, content: Mapping[str, Any], carnet: Mapping[str, Any]) -> str:
        """Return the page of one carnet, to show on a telephone; raises `jinja2.TemplateError` and what its words do."""
        page = _environment.from_string(self.files[PAGE].decode())
        return page.render(**content, carnet=carnet, emblem=EMBLEM.read_text("utf-8"))

    def check(
        self, content: Mapping[str, Any], logos: Mapping[str, bytes], asked: list[Block]
    ) -> None:
        """Set one carnet and raise unless each block asked for stands on it, and no logo is larger.

        `content` holds the carnet, as for `pdf`.  Raises `TemplateWrong`, also where it can be
        set but not as the PDF/UA that a batch is, `EuBlockMissing`, `EuBlockSmaller`.
        """
        if self.kind == "phone":
            self._check_page(content, asked)
        emblems = self._found("<publicity-eu>", content, logos)
        for block in asked:
            if block.id not in {told["id"] for told in emblems}:
                raise EuBlockMissing(self.name, block.statement)
        try:
            self.pdf(content, logos, 0)
        except typst.TypstError as no:
            raise TemplateWrong(self.name, str(no).partition("\n")[0]) from None
        if not emblems:
            return
        # The one beside the logos; passes carry a smaller one, and no logo.
        width = max(told["width"] for told in emblems) + SLACK_MM
        height = max(told["height"] for told in emblems) + SLACK_MM
        for logo in self._found("<publicity-logo>", content, logos):
            if logo["width"] > width or logo["height"] > height:
                raise EuBlockSmaller(self.name, logo["name"])

    def _check_page(self, content: Mapping[str, Any], asked: list[Block]) -> None:
        try:
            page = self.page(content, content["carnets"][0])
        except (TemplateError, ArithmeticError, LookupError, TypeError, ValueError) as no:
            raise TemplateWrong(self.name, f"{PAGE}: {no}") from None
        for block in asked:
            if EMBLEM.read_text("utf-8") not in page or block.statement not in unescape(
                page
            ):
                raise EuBlockMissing(self.name, block.statement)

    def _found(
        self, label: str, content: Mapping[str, Any], logos: Mapping[str, bytes]
    ) -> list[dict[str, Any]]:
        try:
            told = typst.query(
                self._sources(content, logos),  # type: ignore[type-var]  # it takes several files too
                label,
                field="value",
                font_paths=_fonts(),
                ignore_system_fonts=True,
                root=str(FOLDER),
            )
        except RuntimeError as no:  # a query tells no TypstError
            raise TemplateWrong(self.name, str(no).partition("\n")[0]) from None
        return list(json.loads(told))

    def _sources(
        self, content: Mapping[str, Any], logos: Mapping[str, bytes]
    ) -> dict[str, bytes]:
        data = msgspec.json.encode(content)
        return {**self.files, **logos, "data.json": data}


def compiled(sources: Mapping[str, bytes], **wanted: Any) -> bytes:  # noqa: ANN401 - typst's options
    """Set several files, of which `main.typ` is the first, in our type alone; raises `typst.TypstError`."""
    made: Any = typst.compile(
        dict(sources),
        font_paths=_fonts(),
        ignore_system_fonts=True,
        # What a template may read is what it is given, and our own templates.
        root=str(FOLDER),
        **wanted,
    )
    return cast("bytes", made)


# A page is text to fill in: it calls nothing of ours.
_environment = ImmutableSandboxedEnvironment(
    autoescape=select_autoescape(default_for_string=True),
    trim_blocks=True,
    lstrip_blocks=True,
    undefined=StrictUndefined,
)


@cache
def _fonts() -> typst.Fonts:
    return typst.Fonts(include_system_fonts=False, font_paths=[str(FONTS)])


def own(kind: Kind) -> Template:
    """Return our template for a kind of batch."""
    return read(FOLDER / {"pdf": "carnet", "shop": "imprimeur", "phone": "telephone"}[kind])


def read(folder: Path) -> Template:
    """Read the template of a folder, or raise `TemplateWrong`."""
    try:
        told = msgspec.json.decode((folder / "template.json").read_bytes(), type=_Told)
        own_files = [path for path in sorted(folder.iterdir()) if path.is_file()]
        sizes = [path.stat().st_size for path in own_files]
        if len(own_files) > FILES_MAX or sum(sizes) > BYTES_MAX:
            raise TemplateWrong(folder.name, f"> {FILES_MAX} / {BYTES_MAX}")
        files = {path.name: path.read_bytes() for path in own_files}
    except OSError as no:
        raise TemplateWrong(folder.name, no.strerror or str(no)) from None
    except msgspec.DecodeError as no:
        raise TemplateWrong(folder.name, f"template.json: {no}") from None
    if told.kind != "shop" and "main.typ" not in files:
        raise TemplateWrong(folder.name, "main.typ ?")
    if told.kind == "phone" and PAGE not in files:
        raise TemplateWrong(folder.name, f"{PAGE} ?")
    shared = {name: path.read_bytes() for name, path in SHARED.items()}
    return Template(told.name, told.version, told.kind, told.columns, shared | files)
