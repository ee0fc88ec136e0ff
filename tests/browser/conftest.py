"""One browser and one server for all the tests of this folder."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, expect, sync_playwright

from tests.browser.served import Served, served

MISSING = (
    "No Chromium for the browser tests: install it (on Debian, `apt-get install chromium`), "
    "or set PASSNUM_TEST_CHROMIUM to the path of a Chromium or a Chrome."
)
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-fake-device-for-media-stream",
)

# Nothing waits that long; a busy machine does, once in thousands of times.
PATIENCE = 20_000  # milliseconds
expect.set_options(timeout=PATIENCE)

Visit = Callable[..., BrowserContext]


def chromium() -> str:
    """Return the path of the browser; without one the run fails, for nothing would be known of the pages."""
    named = os.environ.get("PASSNUM_TEST_CHROMIUM")
    names = [named] if named else ["chromium", "chromium-browser", "google-chrome"]
    found = next((path for name in names if (path := shutil.which(name))), None)
    if found is None:
        pytest.fail(MISSING, pytrace=False)
    return found


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.browser)


@pytest.fixture(scope="package")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The demonstration on SQLite, made once, served on a port of its own."""
    with served(tmp_path_factory.mktemp("browser") / "demo") as here:
        yield here


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """Chromium; closed with this folder's last test, for its event loop would disturb the others."""
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=chromium(), args=list(FLAGS))
        yield running
        running.close()


@pytest.fixture
def visit(browser: Browser, site: Served) -> Iterator[Visit]:
    """Open a window of one's own, signed in or not, in French unless asked otherwise."""
    opened: list[BrowserContext] = []

    def window(who: str | None = None, **options: Any) -> BrowserContext:
        asked: dict[str, Any] = {
            "base_url": site.origin,
            "locale": "fr-FR",
            "viewport": {"width": 1200, "height": 900},
            # Without motion a colour is what it will be, at once.
            "reduced_motion": "reduce",
        }
        context = browser.new_context(**(asked | options))
        opened.append(context)
        context.set_default_timeout(PATIENCE)
        if who is not None:
            context.add_cookies(site.cookies_of(browser, who))
        return context

    yield window
    for context in opened:
        context.close()
