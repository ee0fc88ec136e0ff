"""Carnets go out to a queue of people: scanned on any keyboard, kept when the network is gone, recorded once."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import BrowserContext, Page, Route, expect
from sqlalchemy import func, select

from app.demo.creuse import CODE
from issuance.models import handed_out, voucher
from issuance.orders import order_row
from issuance.paper import printed_passes
from issuance.serials import Serial
from tests.browser.pages import fill_in, give, give_without_network, look_at
from tests.browser.served import SOMEONE, Served

# The key that each sign of the American layout is on, and what a French computer makes of it.
PLACES = {"-": "Minus", "/": "Slash", ".": "Period", ":": "Semicolon"}
FRENCH = str.maketrans("1234567890-./:;AQWZM", "&é\"'(-è_çà):!M,QAZW?")
# A computer set to something else again, which nobody has thought of.
STRANGE = str.maketrans("1234567890", "ⅠⅡⅢⅣⅤⅥⅦⅧⅨⅩ")
ANSWERS = {"pic": "no", "proof": "declared"}


def place_of(sign: str) -> str:
    if sign.isdigit():
        return f"Digit{sign}"
    return PLACES.get(sign, f"Key{sign.upper()}")


def scan(page: Page, text: str, layout: dict[int, str]) -> None:
    """Press the keys that a scanner on a cable presses, 5 ms each, on a computer set to some layout."""
    session = page.context.new_cdp_session(page)
    at = time.time()
    for sign in [*text, "Enter"]:
        at += 0.005
        typed = sign if sign == "Enter" else sign.translate(layout)
        key = {
            "key": typed,
            "code": sign if sign == "Enter" else place_of(sign),
            "text": "\r" if sign == "Enter" else typed,
            "modifiers": 8 if sign.isupper() or sign == ":" else 0,
            "timestamp": at,
        }
        session.send("Input.dispatchKeyEvent", {"type": "keyDown", **key})
        session.send("Input.dispatchKeyEvent", {"type": "keyUp", **key})
    session.detach()


def out_of(site: Served, carnet: int) -> int:
    """How many passes of a carnet somebody has."""
    with site.instance.database.begin(CODE, read_only=True) as session:
        chosen = (
            select(func.count())
            .select_from(handed_out)
            .join(voucher, voucher.c.serial == handed_out.c.serial)
            .where(voucher.c.carnet == carnet)
        )
        return session.scalars(chosen).one()


@pytest.fixture
def desk(visit) -> BrowserContext:
    """A device of its own at the CAF."""
    return visit("guichet")


@pytest.fixture
def page(desk) -> Page:
    return served(desk)


def served(desk: BrowserContext) -> Page:
    """The page that hands out, ready: it takes the focus when it is drawn."""
    page = desk.new_page()
    page.goto("/23/remise")
    expect(page.locator("#carnet")).to_be_focused()
    return page


@contextmanager
def silent(page: Page) -> Iterator[list[Route]]:
    """Let nothing come back from the server, which does not say that it is gone."""
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    page.route("**/remise", hold)
    yield held
    page.unroute("**/remise")


def kept_in(page: Page) -> list[dict]:
    """What the device keeps."""
    kept: list[dict] = page.evaluate(
        """() => new Promise((resolve) => {
            const asked = indexedDB.open("passnum", 1);
            asked.onsuccess = () => {
                const all = asked.result.transaction("hand_outs").objectStore("hand_outs").getAll();
                all.onsuccess = () => resolve(all.result);
            };
        })"""
    )
    return kept


def keep_one(page: Page, site: Served) -> int:
    """Hand a carnet out while there is no network; return its number."""
    carnet = site.next_in_line()
    look_at(carnet)(page, site)
    fill_in(**ANSWERS)(page, site)
    give_without_network(page, site)
    return carnet


@pytest.mark.parametrize(
    "layout", [{}, FRENCH, STRANGE], ids=["american", "french", "strange"]
)
@pytest.mark.parametrize("place", ["field", "elsewhere"])
def test_a_qr_code_is_read_from_a_scanner_on_a_cable(page, site, layout, place):
    carnet = site.queue["FILE"][-1]
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    token = site.world.token(str(Serial(CODE, carnet, 2)))
    if place == "elsewhere":
        page.locator("[name=proof]").first.focus()

    scan(page, token, layout)

    expect(page.locator("#about")).to_contain_text(f"Carnet {carnet}")
    expect(page.locator("#carnet")).to_have_value(str(carnet))
    expect(page.locator("#pic")).to_be_focused()
    assert asked
    assert not [url for url in asked if token[-190:] in url]
    log = site.folder.with_name("server.log").read_text()
    assert token[-190:] not in log
    assert out_of(site, carnet) == 0


def test_a_scanner_that_reads_twice_hands_nothing_out_by_itself(page, site):
    give_first = site.next_in_line()
    look_at(give_first)(page, site)
    give(**ANSWERS)(page, site)
    carnet = site.queue["FILE"][-1]
    for _ in range(3):
        scan(page, f"23-{carnet:06d}-1", {})
        expect(page.locator("#about")).to_contain_text(f"Carnet {carnet}")
    assert out_of(site, carnet) == 0


def test_a_hand_out_that_finds_no_network_is_kept_and_leaves_by_itself_once(
    page, desk, site
):
    carnet = keep_one(page, site)
    expect(page.locator(".verdict.yes")).to_have_count(0)
    expect(page.locator("[data-say-waiting]")).to_contain_text("1, depuis")
    expect(page.locator("#carnet")).to_be_focused()
    assert out_of(site, carnet) == 0

    desk.set_offline(False)

    expect(page.locator("[data-say-sent]")).to_be_visible()
    expect(page.locator("[data-say-waiting]")).to_have_count(0)
    expect(page.locator("#today")).to_contain_text(f"carnet {carnet} : 5 pass")
    assert out_of(site, carnet) == 5


def test_a_server_that_is_silent_is_no_network_and_what_it_did_is_done_once(page, site):
    carnet = site.next_in_line()
    look_at(carnet)(page, site)
    fill_in(**ANSWERS)(page, site)
    with silent(page) as held:
        page.locator("[name=give]").click()
        page.locator(".verdict.kept").wait_for()
        # It had heard all the same: the answer alone was lost.
        sent = held[0].request
        heard = page.context.request.post(
            sent.url,
            data=sent.post_data,
            headers={
                "Content-Type": "application/x-www-form-urlencoded",
                "Origin": site.origin,
            },
        )
        assert heard.status == 200
    assert out_of(site, carnet) == 5

    page.evaluate("dispatchEvent(new Event('online'))")

    expect(page.locator("[data-say-sent]")).to_be_visible()
    assert out_of(site, carnet) == 5


def test_what_is_kept_survives_the_page_that_is_closed(page, desk, site):
    carnet = keep_one(page, site)
    page.close()
    desk.set_offline(False)
    assert out_of(site, carnet) == 0

    later = desk.new_page()
    later.goto("/23/remise")

    expect(later.locator("[data-say-sent]")).to_be_visible()
    assert out_of(site, carnet) == 5


def test_what_the_server_refuses_on_arrival_is_to_be_looked_at_until_it_is_read(
    page, desk, site
):
    carnet = keep_one(page, site)
    other = desk.browser.new_context(base_url=site.origin)
    other.add_cookies(site.cookies_of(desk.browser, "guichet"))
    elsewhere = other.new_page()
    elsewhere.goto("/23/remise")
    look_at(carnet)(elsewhere, site)
    give(**ANSWERS)(elsewhere, site)
    other.close()

    desk.set_offline(False)

    review = page.locator("[data-say-review]")
    expect(review).to_contain_text(f"carnet {carnet}")
    expect(review).to_contain_text("Déjà remis")
    [row] = kept_in(page)
    assert sorted(row) == ["at", "carnet", "id", "told", "who"], "no answer of the person"
    page.reload()
    expect(review).to_be_visible()
    review.get_by_role("button").click()
    expect(review).to_have_count(0)
    page.reload()
    expect(page.locator("#carnet")).to_be_visible()
    expect(review).to_have_count(0)


def test_another_session_sends_nothing_of_what_waits(page, desk, site):
    carnet = keep_one(page, site)
    page.close()
    desk.set_offline(False)
    desk.clear_cookies()
    desk.add_cookies(site.cookies_of(desk.browser, "msa"))

    theirs = desk.new_page()
    theirs.goto("/23/remise")

    expect(theirs.locator("[data-say-others]")).to_contain_text(": 1")
    assert out_of(site, carnet) == 0
    theirs.close()
    desk.clear_cookies()
    desk.add_cookies(site.cookies_of(desk.browser, "guichet"))
    back = desk.new_page()
    back.goto("/23/remise")
    expect(back.locator("[data-say-sent]")).to_be_visible()
    assert out_of(site, carnet) == 5


def test_a_session_that_is_over_keeps_the_hand_out_and_says_to_sign_in(page, desk, site):
    carnet = site.next_in_line()
    look_at(carnet)(page, site)
    fill_in(**ANSWERS)(page, site)
    desk.clear_cookies()
    page.locator("[name=give]").click()
    expect(page.locator("[data-say-sign-in]")).to_be_visible()
    assert out_of(site, carnet) == 0

    # A new session, whose forms carry another mark, in another window.
    site.sign_in(desk, "guichet")
    page.evaluate("dispatchEvent(new Event('online'))")

    expect(page.locator("[data-say-sent]")).to_be_visible()
    assert out_of(site, carnet) == 5


def test_a_name_is_never_kept_in_the_device(page, desk, site):
    carnet = site.queue["NOMS"][-1]
    look_at(carnet)(page, site)
    fill_in(**ANSWERS, **SOMEONE)(page, site)
    desk.set_offline(True)
    page.locator("[name=give]").click()

    expect(page.locator("[data-say-named]")).to_be_visible()
    expect(page.locator("[name=surname]")).to_have_value(SOMEONE["surname"])
    assert kept_in(page) == []


def token_of(site: Served, serial: str) -> str:
    """What the QR code of a pass of the demonstration holds."""
    with site.instance.database.begin(CODE, read_only=True) as session:
        number = session.scalars(
            select(voucher.c.order_number).where(voucher.c.serial == serial)
        ).one()
        order = order_row(session, number)
    made = printed_passes(order, site.world.signer, site.world.host)
    return next(one.url for one in made if str(one.serial) == serial)


@pytest.fixture
def elsewhere(visit) -> BrowserContext:
    """A device at a desk whose carnets need no name and no public."""
    return visit("msa")


@pytest.fixture
def simple(elsewhere) -> Page:
    return served(elsewhere)


def test_a_carnet_that_was_not_looked_at_is_not_given_where_it_may_need_a_name(
    page, desk, site
):
    carnet = site.next_in_line()
    fill_in(**ANSWERS)(page, site)
    desk.set_offline(True)
    page.locator("#carnet").fill(str(carnet))
    page.locator("#carnet").press("Enter")
    blind = page.locator("[data-say-blind]")
    expect(blind).to_contain_text("ne donnez pas ce carnet")
    page.locator("[name=give]").click()
    expect(blind).to_be_visible()
    expect(page.locator("#carnet")).to_have_value(str(carnet))
    expect(page.locator(".verdict.kept")).to_have_count(0)
    assert kept_in(page) == []
    # The network is back: nothing is to be typed again.
    desk.set_offline(False)
    page.locator("[name=give]").click()
    expect(page.locator(".verdict.yes")).to_contain_text(f"Carnet {carnet} remis")
    assert out_of(site, carnet) == 5


def test_the_public_that_was_answered_stays_when_the_network_leaves(page, desk, site):
    look_at(site.reserved)(page, site)
    fill_in(category="rsa")(page, site)
    desk.set_offline(True)
    page.locator("#carnet").press("Enter")
    expect(page.locator("[data-say-alone]")).to_be_visible()
    expect(page.locator("select[name=category]")).to_have_value("rsa")
    page.locator("#carnet").fill("23-000001")
    page.locator("#carnet").press("Enter")
    expect(page.locator("[data-say-blind]")).to_be_visible()
    expect(page.locator("select[name=category]")).to_have_count(0)
    expect(page.locator("[name=category]")).to_have_value("rsa")


@pytest.mark.parametrize("secret", ["code", "qr", "their pass"])
def test_a_device_asks_for_the_cover_rather_than_keep_a_secret(
    simple, elsewhere, site, secret
):
    carnet = site.carnet("MSA")
    serial = str(Serial(CODE, carnet, 1))
    texts = {
        "code": site.code_of(serial),
        "qr": token_of(site, serial).translate(FRENCH),
        "their pass": "88100001",
    }
    fill_in(**ANSWERS, need="boost")(simple, site)
    elsewhere.set_offline(True)
    simple.locator("#carnet").fill(texts[secret])
    simple.locator("[name=give]").click()
    expect(simple.locator("[data-say-cover]")).to_contain_text("sur la couverture")
    assert kept_in(simple) == []

    simple.locator("#carnet").fill(f"23-{carnet:06d}")
    simple.locator("[name=give]").click()

    expect(simple.locator(".verdict.kept")).to_contain_text(f"23-{carnet:06d}")
    [row] = kept_in(simple)
    assert texts[secret] not in str(row)
    assert "need" not in row["fields"]
    elsewhere.set_offline(False)
    expect(simple.locator("[data-say-sent]")).to_be_visible()
    assert out_of(site, carnet) == 5


def test_a_press_counts_though_the_page_has_something_to_say_meanwhile(
    simple, elsewhere, site
):
    carnet = site.carnet("MSA")
    fill_in(**ANSWERS)(simple, site)
    elsewhere.set_offline(True)
    simple.locator("#carnet").fill("88100001")
    simple.locator("[name=give]").click()
    expect(simple.locator("[data-say-cover]")).to_be_visible()
    simple.locator("#carnet").fill(f"23-{carnet:06d}")
    simple.locator("[name=give]").hover()
    with simple.expect_event("requestfailed"):
        simple.mouse.down()  # the field is left: the carnet is looked at, and there is no network
    simple.mouse.up()
    expect(simple.locator(".verdict.kept")).to_contain_text(f"23-{carnet:06d}")


def test_no_qr_code_is_kept_in_the_device(simple, elsewhere, site):
    page, desk = simple, elsewhere
    carnet = site.carnet("MSA")
    token = token_of(site, str(Serial(CODE, carnet, 4)))
    fill_in(**ANSWERS)(page, site)
    desk.set_offline(True)
    page.locator("#carnet").focus()
    scan(page, token, {})
    expect(page.locator("[data-say-alone]")).to_be_visible()
    page.locator("[name=give]").click()
    expect(page.locator(".verdict.kept")).to_contain_text(f"23-{carnet:06d}-4")

    desk.set_offline(False)
    # What pressed the keys made the browser forget that it was away.
    page.evaluate("dispatchEvent(new Event('online'))")

    expect(page.locator("[data-say-sent]")).to_be_visible()
    assert out_of(site, carnet) == 5


def test_the_camera_reads_a_pass_and_is_off_at_once(visit, site):
    carnet = site.queue["FILE"][-1]
    token = site.world.token(str(Serial(CODE, carnet, 1)))
    desk = visit("guichet", permissions=["camera"])
    # Chromium has no reader of its own here: one is put in its place, over the real camera.
    desk.add_init_script(
        f"""window.BarcodeDetector = class {{
            static async getSupportedFormats() {{ return ["qr_code"]; }}
            async detect(video) {{
                window.cameraTrack = video.srcObject.getTracks()[0];
                return video.videoWidth ? [{{ rawValue: "{token}" }}] : [];
            }}
        }}"""
    )
    page = desk.new_page()
    page.goto("/23/remise")
    page.get_by_role("button", name="Scanner avec l'appareil photo").click()
    expect(page.locator("#about")).to_contain_text(f"Carnet {carnet}")
    expect(page.locator("video")).to_be_hidden()
    assert page.evaluate("window.cameraTrack.readyState") == "ended"


def test_without_a_reader_no_camera_is_offered(page):
    assert page.evaluate("typeof BarcodeDetector") == "undefined"
    expect(page.locator("[data-camera]")).to_be_hidden()
