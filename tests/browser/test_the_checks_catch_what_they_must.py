"""The checks catch what they must: each is shown a fault of its own, planted in a page that has none."""

import re

import pytest
from playwright.sync_api import Page

from tests.browser import checks

PLANTED = {
    "words too pale": (
        checks.axe,
        "document.querySelector('h1').style.color = '#b0b0b0'",
        "color-contrast",
    ),
    "words on a picture": (
        checks.axe,
        """document.querySelector("h1").style.background =
            "linear-gradient(#fff, #eee)" """,
        "color-contrast",
    ),
    "a field without a name": (
        checks.axe,
        "document.querySelector('label[for=login]').remove()",
        "label",
    ),
    "no language": (
        checks.axe,
        "document.documentElement.removeAttribute('lang')",
        "html-has-lang",
    ),
    "a target too small for a thumb": (
        checks.axe,
        """document.querySelector("main").insertAdjacentHTML("beforeend",
            '<button id="s">a</button><button id="t">b</button>');
        for (const id of "st") {
            const { style } = document.getElementById(id);
            style.cssText = "width: 9px; height: 9px; min-height: 0; padding: 0";
        }""",
        "target-size",
    ),
    "something 400 px wide": (
        checks.reflow,
        "document.querySelector('h1').style.width = '400px'",
        "the page is",
    ),
    "a pale edge": (
        checks.edges,
        "document.getElementById('login').style.borderColor = '#cfd5e2'",
        "its edge, against what is around it, is 1.4",
    ),
    "a button that fades away": (
        checks.edges,
        """const { style } = document.querySelector("main button");
        style.backgroundColor = style.borderColor = "#eeeeee" """,
        "its edge",
    ),
    "no focus ring": (
        checks.edges,
        "document.getElementById('password').style.outline = 'none'",
        "its focus ring is none",
    ),
    "a pale focus ring": (
        checks.edges,
        "document.getElementById('password').style.outlineColor = '#dddddd'",
        "its focus ring is 1.3",
    ),
}


@pytest.fixture
def page(visit) -> Page:
    page = visit().new_page()
    page.goto("/23/connexion")
    return page


def test_the_page_they_are_planted_in_has_none(page):
    for check in (checks.axe, checks.edges, checks.reflow):
        assert check(page) == []


@pytest.mark.parametrize(("check", "plant", "told"), PLANTED.values(), ids=PLANTED.keys())
def test_a_planted_fault_is_found(page, check, plant, told):
    page.evaluate(f"() => {{ {plant} }}")
    found = check(page)
    assert any(told in fault for fault in found), found


def test_dark_is_looked_at_in_the_dark(page):
    page.evaluate("document.querySelector('h1').style.color = '#1b1b1f'")
    assert checks.axe(page) == []
    page.emulate_media(color_scheme="dark")
    assert any("color-contrast" in fault for fault in checks.axe(page))


@pytest.mark.parametrize(
    ("plant", "told"),
    [
        ("new Image().src = 'http://127.0.0.2:9/x.png'", "asked elsewhere|Content Security"),
        ("document.body.insertAdjacentHTML('beforeend', '<p style=\"color: red\">')", "Content Security"),
        ("document.head.append(Object.assign(document.createElement('script'), {text: '1'}))", "Content Security"),
        ("setTimeout(() => { throw new Error('ours') })", "script: .*ours"),
    ],
    ids=["another origin", "an inline style", "an inline script", "a mistake in a script"],
)  # fmt: skip
def test_what_the_policy_refuses_is_heard(visit, site, plant, told):
    page = visit().new_page()
    watch = checks.Watch.over(page, site.origin)
    page.goto("/23/connexion")
    assert watch.seen == []

    page.evaluate(f"() => {{ {plant} }}")
    for _ in range(100):
        page.wait_for_timeout(100)
        if watch.seen:
            break

    assert re.search(told, " ".join(watch.seen))


def test_a_page_that_declares_another_language_is_caught(page):
    assert checks.language(page, "en")[0] == "lang is “fr”, not “en”"


def test_words_left_in_french_are_caught(visit):
    page = visit(locale="en-GB").new_page()
    page.goto("/23/connexion")
    assert checks.language(page, "en") == []
    for text in ("Mot de passe", "Atelier du 3 mai", "Bonjour Camille"):
        page.evaluate("text => document.querySelector('h1').textContent = text", text)
        assert checks.language(page, "en"), text
