"""What must hold of any page, each check a list of faults: an empty one is good."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from babel.messages.pofile import read_po
from playwright.sync_api import ConsoleMessage, Page, Request

ROOT = Path(__file__).parents[2]
AXE = ROOT / "frontend" / "node_modules" / "axe-core" / "axe.min.js"
CATALOGUE = ROOT / "app" / "locale" / "en" / "LC_MESSAGES" / "passnum.po"

# Off by default in axe; ours are for thumbs that shake.
ALSO = {"target-size": {"enabled": True}}


@cache
def _axe() -> str:
    if not AXE.exists():
        pytest.fail(f"{AXE} is not there: `make setup` installs it", pytrace=False)
    return AXE.read_text(encoding="utf-8")


def axe(page: Page) -> list[str]:
    """Return what axe finds wrong, and the words whose contrast it could not measure."""
    if not page.evaluate("typeof axe === 'object'"):
        page.evaluate(_axe())
    found = page.evaluate(
        "rules => axe.run(document, {rules, resultTypes: ['violations', 'incomplete']})",
        ALSO,
    )
    unsure = [one for one in found["incomplete"] if one["id"] == "color-contrast"]
    return [
        f"{one['id']}: {one['help']}: {node['html'][:120]} {node.get('failureSummary', '')}"
        for one in found["violations"] + unsure
        for node in one["nodes"]
    ]


def reflow(page: Page) -> list[str]:
    """Return what makes a page scroll sideways at 320 px, which is a page read at 400 %."""
    page.set_viewport_size({"width": 320, "height": 640})
    width = page.evaluate("document.documentElement.scrollWidth")
    if width == 320:
        return []
    wide = page.evaluate(
        """() => [...document.body.querySelectorAll("*")]
            .filter((element) => element.getBoundingClientRect().right > 320)
            .map((element) => element.outerHTML.slice(0, 80))"""
    )
    return [f"320 px: the page is {width} px wide: {wide[:3]}"]


@cache
def _edges() -> str:
    return Path(__file__).with_name("edges.js").read_text(encoding="utf-8")


def edges(page: Page) -> list[str]:
    """Return the controls, and the focus rings, that do not stand out from what is around them."""
    # One key first: a browser shows focus to who uses a keyboard.
    page.keyboard.press("Tab")
    found: list[str] = page.evaluate(_edges())
    return found


@dataclass
class Watch:
    """What a page says and asks while it is open: refusals of its policy, mistakes, other origins."""

    origin: str
    seen: list[str] = field(default_factory=list)

    @classmethod
    def over(cls, page: Page, origin: str) -> "Watch":
        """Watch a page from now on."""
        watch = cls(origin)
        page.on("console", watch._said)
        page.on("request", watch._asked)
        page.on("pageerror", lambda error: watch.seen.append(f"script: {error}"))
        return watch

    def _said(self, message: ConsoleMessage) -> None:
        # The answer to a form sent with mistakes is a 422, which the browser tells as an error.
        told = message.text
        if message.type in {"error", "warning"} and "Failed to load resource" not in told:
            self.seen.append(f"console: {told}")

    def _asked(self, request: Request) -> None:
        if not request.url.startswith((f"{self.origin}/", "data:", "blob:")):
            self.seen.append(f"asked elsewhere: {request.url}")


@cache
def french() -> tuple[frozenset[str], tuple[re.Pattern[str], ...]]:
    """Return the French texts that have another one in English: as they stand, and those with facts in them."""
    with CATALOGUE.open("rb") as file:
        catalogue = read_po(file, locale="en")
    texts = {
        str(message.id)
        for message in catalogue
        if message.id and message.string and message.string != message.id
    }
    plain = {text for text in texts if "{" not in text}
    patterns = [
        re.compile(".+?".join(map(re.escape, re.split(r"\{\w+\}", text))))
        for text in sorted(texts - plain)
        if sum(map(str.isalpha, re.sub(r"\{\w+\}", "", text))) > 5
    ]
    return frozenset(plain), tuple(patterns)


def left_in_french(texts: Iterable[str]) -> list[str]:
    """Return those of these texts that an English reader should have had in English."""
    plain, patterns = french()
    return [
        text
        for text in texts
        if text in plain or any(pattern.fullmatch(text) for pattern in patterns)
    ]


def texts(page: Page) -> list[str]:
    """Return what a page says: its title, its words, its labels that only some hear."""
    said: list[str] = page.evaluate(
        """() => {
            const words = [document.title.split(" — ")[0]];
            const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
            while (walk.nextNode()) words.push(walk.currentNode.data);
            for (const one of document.querySelectorAll("h1, h2, legend, label, button, a"))
                words.push(one.textContent);
            for (const one of document.querySelectorAll("[aria-label]"))
                words.push(one.getAttribute("aria-label"));
            return words.map((word) => word.trim().replace(/\\s+/g, " ")).filter(Boolean);
        }"""
    )
    return said


def language(page: Page, expected: str) -> list[str]:
    """Return why a page is not wholly in a language: what it declares, and texts of the other one."""
    declared: Any = page.evaluate("document.documentElement.lang")
    faults = [] if declared == expected else [f"lang is “{declared}”, not “{expected}”"]
    if expected == "en":
        faults += [f"left in French: “{text}”" for text in left_in_french(texts(page))]
    return faults
