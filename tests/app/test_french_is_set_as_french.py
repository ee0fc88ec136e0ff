"""French is set as French: a sign that stands after a space never begins a line.

U+202F before ; ? and !, U+00A0 before a colon and inside guillemets.  Commands keep plain spaces
in the texts they are written in: people search and copy what a terminal says.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from babel.messages.pofile import read_po
from jinja2 import Environment

import app

APP = Path(app.__file__).parent
TEMPLATES = APP / "templates"
NARROW, FULL = "\N{NARROW NO-BREAK SPACE}", "\N{NO-BREAK SPACE}"

# What is not text: `!=` and `==` in what the letter and the pages work out.
WRONG = re.compile(rf"[ {FULL}][;?!](?!=)|[ {NARROW}][:»]|«[ {NARROW}]")


def wrong(text: str) -> list[str]:
    """Return what surrounds each space that is not as it should be."""
    return [text[max(0, m.start() - 20) : m.end() + 10] for m in WRONG.finditer(text)]


def catalogue() -> Iterator[str]:
    path = APP / "locale" / "fr" / "LC_MESSAGES" / "passnum.po"
    with path.open("rb") as file:
        for message in read_po(file, locale="fr"):
            if message.id:
                yield message.string


def templates() -> Iterator[str]:
    for path in TEMPLATES.rglob("*"):
        if path.suffix == ".typ":
            yield path.read_text(encoding="utf-8")
        elif path.is_file():
            tokens = Environment(autoescape=True).lex(path.read_text(encoding="utf-8"))
            yield from (text for _n, kind, text in tokens if kind in {"data", "string"})


def texts_of_pages() -> Iterator[str]:
    for path in [*(APP / "pages").rglob("*.py"), *(APP / "mail").rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "text":
                yield from (str(a.value) for a in node.args if isinstance(a, ast.Constant))


@pytest.mark.parametrize("texts", [catalogue, templates, texts_of_pages])
def test_no_sign_is_left_alone_at_the_end_of_a_line(texts):
    told = list(texts())
    assert told
    assert [place for text in told for place in wrong(text)] == []


@pytest.mark.parametrize(
    "text",
    [
        "Quoi ?",
        "Non !",
        "Ici : là",
        "a ; b",
        "« oui",
        "oui »",
        f"Quoi{FULL}?",
        f"Ici{NARROW}:",
    ],
)
def test_what_is_wrong_is_seen(text):
    assert wrong(text)


@pytest.mark.parametrize(
    "text",
    [
        f"Quoi{NARROW}?",
        f"Ici{FULL}: là",
        f"«{FULL}oui{FULL}»",
        "https://a?b",
        "10:30",
        "x != y",
    ],
)
def test_what_is_right_is_left(text):
    assert wrong(text) == []
