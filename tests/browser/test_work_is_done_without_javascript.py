"""Work is done without JavaScript: an old computer, or a script that did not arrive, stops nobody."""

import pytest
from playwright.sync_api import Page, expect

from tests.app.visiting import a_list
from tests.browser.pages import HAND_OUT, a_pass_to_use, changing, give, send, use
from tests.browser.served import SITES


@pytest.fixture
def page(visit) -> Page:
    return visit(java_script_enabled=False).new_page()


def enter(page: Page, site, login: str) -> None:
    page.goto("/23/connexion")
    send("/connexion", login=login, password=site.password)(page, site)
    expect(page.locator("h1")).to_contain_text("Bonjour")


def test_scripts_do_not_run_here(page):
    page.goto(
        "data:text/html,<title>before</title><script>document.title = 'after'</script>"
    )
    assert page.title() == "before"


def test_a_prescriber_hands_a_carnet_out(page, site):
    enter(page, site, "ml")
    page.locator("main a[href$='/remise']").click()
    carnet = page.locator("#carnet")
    carnet.fill(str(site.carnet("ML")))
    with changing(page):
        carnet.press("Enter")
    expect(page.locator("#about")).to_contain_text("Il reste 5 pass")
    expect(page.locator("#pic")).to_be_focused()
    give(**HAND_OUT)(page, site)
    expect(page.locator(".verdict.yes")).to_be_visible()
    expect(page.locator("#carnet")).to_be_focused()


def test_a_mediator_opens_a_workshop_and_uses_passes(page, site):
    enter(page, site, "atelier")
    page.locator("main a[href$='/ateliers']").click()
    send("/ateliers")(page, site)
    code = a_pass_to_use(site)
    use(code)(page, site)
    expect(page.locator(".verdict.yes")).to_be_visible()
    use(code)(page, site)
    expect(page.locator(".verdict.no")).to_be_visible()
    assert len(page.locator("main li.num").all()) == 1, "what was taken is still listed"


def test_a_manager_invites_someone_who_comes_in(page, site):
    enter(page, site, "gestion")
    page.goto("/23/personnes")
    send("/personnes", name="Sans Script", login="sans-script", role="auditor")(page, site)
    code = page.locator("main code").text_content() or ""
    page.locator("form[action$='/deconnexion'] button").click()

    page.goto("/23/invitation")
    word = "une phrase de passe"
    send("/invitation", code=code, password=word, password_again=word)(page, site)
    expect(page.locator("h1")).to_contain_text("Sans Script")


def test_a_manager_sends_a_list_of_sites_and_reads_what_came_of_it(page, site):
    enter(page, site, "gestion")
    page.goto("/23/lieux")
    page.locator("main a[href$='/lieux/import']").click()
    file = site.a_file("sans-script.csv", a_list(*SITES))
    send("/lieux/import", file=file, programme="tela", mode="each")(page, site)
    expect(page.locator("progress")).to_have_attribute("value", "0")

    site.work()
    page.get_by_role("button", name="Actualiser").click()
    expect(page.locator(".flash")).to_contain_text("refusées")
    expect(page.locator("tbody tr")).to_have_count(len(SITES))


def test_a_mistake_is_told_and_nothing_typed_is_lost(page, site):
    page.goto("/23/connexion")
    send("/connexion", login="quelqu'un", password="?")(page, site)
    expect(page.locator(".error-summary")).to_be_focused()
    expect(page.locator("#login")).to_have_value("quelqu'un")
