"""Every page is for everyone: read by machines, in light and in dark, on a small screen, in two languages."""

import re
from base64 import b64decode
from pathlib import Path

import pytest
from litestar.routes import HTTPRoute
from playwright.sync_api import Page

from app.people.roles import Door
from app.web import create_app
from tests.app.visiting import KEYS, OF_THE_LOG
from tests.browser import checks
from tests.browser.pages import PAGES, Shown

ROOT = Path(__file__).parents[2]
SCREENSHOTS = ROOT / "var" / "screenshots"
TEMPLATES = ROOT / "app" / "templates"
WIDTHS = (1200, 360)
THEMES = ("light", "dark")
# Each theme once, each layout once.
READ_BY_AXE = {(1200, "light"), (360, "dark")}

# What a GET answers that is no page: for programs, and the files of the pages.
NOT_PAGES = {"/health", "/api/v1/openapi.json", "/static/{name:str}"}
NOT_PAGES |= OF_THE_LOG
NOT_PAGES |= {KEYS, "/{departement:str}" + KEYS}
# The way to a provider and back is no page either.
NOT_PAGES |= {
    "/{departement:str}/connexion/oidc",
    "/{departement:str}/connexion/oidc/retour",
}
# A proof is a PDF.
NOT_PAGES |= {"/{departement:str}/commandes/{number:int}/epreuve"}

every_page = pytest.mark.parametrize("shown", PAGES, ids=lambda shown: shown.name)


def picture(page: Page, file: Path) -> None:
    """Keep what a whole page looks like; asked of the browser itself, in half the time."""
    session = page.context.new_cdp_session(page)
    taken = session.send(
        "Page.captureScreenshot",
        {"format": "png", "optimizeForSpeed": True, "captureBeyondViewport": True},
    )
    session.detach()
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(b64decode(taken["data"]))


@every_page
def test_no_check_finds_a_fault(shown: Shown, visit, site):
    who = shown.who and shown.who.format(language="fr")
    page = visit(who).new_page()
    watch = checks.Watch.over(page, site.origin)

    shown.reach(page, site)

    faults = checks.language(page, "fr")
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 800})
        for theme in THEMES:
            page.emulate_media(color_scheme=theme)
            picture(page, SCREENSHOTS / f"{shown.name}-{width}-{theme}.png")
            if (width, theme) in READ_BY_AXE:
                faults += [f"{width} {theme}: {fault}" for fault in checks.axe(page)]
    for theme in THEMES:
        page.emulate_media(color_scheme=theme)
        faults += [f"{theme}: {fault}" for fault in checks.edges(page)]
    faults += checks.reflow(page)
    assert faults + watch.seen == []


# That each French text has its English is checked each time, without a browser.
@pytest.mark.long
@every_page
def test_nothing_is_left_in_french_for_who_reads_english(shown: Shown, visit, site):
    who = shown.who and shown.who.format(language="en")
    page = visit(who, locale="en-GB").new_page()

    shown.reach(page, site)

    assert checks.language(page, "en") == []


def test_no_page_is_missing_from_the_register(site):
    routes = {
        route.path
        for route in create_app(site.instance).routes
        if isinstance(route, HTTPRoute)
        for handler in route.route_handlers
        if "GET" in handler.http_methods
        and handler.opt.get("door", Door.BEARER) != Door.BEARER
    }
    assert routes >= NOT_PAGES
    shown = {shown.path(site).partition("?")[0].rstrip("/") or "/" for shown in PAGES}
    missing = {
        route
        for route in routes - NOT_PAGES
        if not any(
            re.fullmatch(re.sub(r"\{[^}]+\}", "[^/]+", route), path) for path in shown
        )
    }
    assert missing == set()


def test_no_template_is_missing_from_the_register():
    whole = {
        template.name
        for template in TEMPLATES.glob("*.html")
        if template.read_text(encoding="utf-8").startswith("{% extends")
    }
    assert {shown.template for shown in PAGES} == whole


def test_no_two_pages_share_their_pictures():
    assert len({shown.name for shown in PAGES}) == len(PAGES)
