"""Work is done with the keyboard alone: nobody needs a mouse, and nobody loses sight of where they are."""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.app.visiting import a_list
from tests.browser.keyboard import Keyboard, LostFocus
from tests.browser.pages import changing, give, look_at, one_after_the_other, send
from tests.browser.served import SITES, Served


@pytest.fixture
def page(visit) -> Page:
    return visit().new_page()


@pytest.fixture
def keyboard(page: Page) -> Keyboard:
    return Keyboard(page)


def sign_in(keyboard: Keyboard, site: Served, login: str) -> None:
    page = keyboard.page
    page.goto("/23/connexion")
    assert keyboard.is_at(page.locator("#login")), "one types at once"
    keyboard.write(login)
    keyboard.go_to(page.locator("#password"))
    keyboard.write(site.password)
    keyboard.enter(page.locator("#password"))
    expect(page.locator("h1")).to_contain_text("Bonjour")


def test_a_queue_is_served_in_five_keys_then_in_one_a_person(keyboard, page, site):
    sign_in(keyboard, site, "guichet")
    keyboard.go_to(page.locator("main a[role=button]").first)
    with changing(page):
        keyboard.press("Enter")
    assert keyboard.is_at(page.locator("#carnet"))

    # What a scanner on a cable types ends with Enter.
    first = site.next_in_line()
    keyboard.write(f"23-{first:06d}-1\n")
    expect(page.locator("#pic")).to_be_focused()
    keyboard.look()
    for key in ("Space", "Tab", "Space"):
        keyboard.press(key)
        keyboard.look()
    with changing(page):
        keyboard.press("Enter")
    expect(page.locator(".verdict.yes")).to_be_visible()
    assert keyboard.is_at(page.locator("#carnet")), "the next person comes at once"
    keyboard.look()

    keyboard.write(f"23-{site.next_in_line():06d}-1\n")
    expect(page.locator("#pic")).to_be_focused()
    expect(page.locator("#pic")).to_be_checked()
    with changing(page):
        keyboard.press("Enter")
    expect(page.locator("#today li").nth(1)).to_contain_text(f"carnet {first} :")

    keyboard.write(f"{site.next_in_line()}\n")
    expect(page.locator("#pic")).to_be_focused()
    keyboard.press("ArrowDown")
    keyboard.go_to(page.locator("#also summary").first)
    keyboard.press("Enter")
    keyboard.go_to(page.locator("[name=pass_2]"))
    keyboard.press("Space")
    keyboard.enter(page.locator("[name=give]"))
    expect(page.locator(".verdict.yes h2")).to_contain_text(re.compile("remis.: 1 pass"))
    expect(page.locator("[name=pic][value=no]")).to_be_checked()

    keyboard.enter(page.locator("form[action$='/deconnexion'] button"))
    assert page.url.endswith("/23/connexion?fait=signed_out")


def test_a_mediator_opens_a_workshop_and_uses_a_pass(keyboard, page, site):
    code = site.code_of(site.pass_to_use())
    sign_in(keyboard, site, "atelier")
    keyboard.enter(page.locator("main a[href$='/ateliers']"))
    keyboard.enter(page.locator("main form[action$='/ateliers'] button"))

    token = page.locator("#token")
    assert keyboard.is_at(token)
    keyboard.write(code)
    keyboard.enter(token)
    expect(page.locator(".verdict.yes")).to_be_visible()
    assert keyboard.is_at(token), "after the answer, the next pass is typed at once"
    keyboard.look()
    told = page.locator(".verdict h2").text_content() or "?"
    expect(token).to_have_accessible_description(re.compile(re.escape(told)))

    keyboard.write(code)
    keyboard.enter(token)
    expect(page.locator(".verdict.no")).to_be_visible()
    assert keyboard.is_at(token)


def test_a_manager_sends_a_list_of_sites_and_stays_where_they_are_while_it_goes_on(
    keyboard, page, site
):
    rows = [SITES[0].replace("lieu-a", f"clavier-{n}") for n in range(100)]
    file = site.a_file("clavier.csv", a_list(*rows))
    sign_in(keyboard, site, "gestion")
    page.goto("/23/lieux")
    keyboard.enter(page.locator("main a[href$='/lieux/import']"))

    keyboard.go_to(page.locator("#file"))
    # What a browser opens then is no page: the file is given past it.
    page.locator("#file").set_input_files(file)
    keyboard.go_to(page.locator("#programme"))
    keyboard.press("ArrowDown")
    keyboard.go_to(page.locator("#mode"))
    keyboard.press("ArrowDown")
    expect(page.locator("[name=mode][value=all]")).to_be_checked()
    keyboard.enter(page.locator("main form button"))

    progress, heard = page.locator("progress"), page.locator("#heard")
    expect(progress).to_have_attribute("value", "0")
    stay = page.locator(".crumbs a").first
    keyboard.go_to(stay)
    site.work(pieces=1)
    expect(progress).to_have_attribute("value", "40")
    expect(heard).to_have_text(re.compile("25"))
    assert keyboard.is_at(stay), "what is replaced takes nobody's place away"

    site.work()
    expect(page.locator("tbody tr")).to_have_count(len(rows))
    expect(progress).to_have_count(0)
    expect(heard).to_have_text("L'import est terminé.")
    expect(page).to_have_title(re.compile("Terminé"))
    assert keyboard.is_at(stay)
    keyboard.enter(page.locator(".sort a[href$='tri=nom']"))
    keyboard.go_to(page.locator(".actions a").last)


def test_the_skip_link_goes_past_what_every_page_repeats(keyboard, page, visit, site):
    sign_in(keyboard, site, "gestion")
    page.goto("/23/lieux")

    keyboard.press("Tab")
    keyboard.look()
    assert keyboard.is_at(page.locator(".skip")), "the very first stop"
    keyboard.press("Enter")
    assert keyboard.is_at(page.locator("#main"))
    keyboard.press("Tab")
    assert page.evaluate("document.getElementById('main').contains(document.activeElement)")


def at_the_ccas(site: Served) -> int:
    """The number of a carnet that waits at the CCAS."""
    return site.stock["CCAS"][0]


@pytest.mark.parametrize(
    ("who", "path", "act", "fields"),
    [
        (None, "/23/connexion", send("/connexion", login="qui", password="?"), ["login"]),
        ("guichet", "/23/remise", look_at("987654"), ["carnet"]),
        ("deux-guichets", "/23/remise", one_after_the_other(look_at(at_the_ccas), give()),
         ["desk", "pic", "proof"]),
        ("guichet", "/23/remise",
         one_after_the_other(look_at(at_the_ccas), give(pic="no", proof="declared")), ["carnet"]),
        ("gestion", "/23/personnes", send("/personnes"), ["name", "login", "role"]),
        ("audit", "/23/compte", send("/mot-de-passe", old="?"), ["old"]),
    ],
    ids=["signing in", "an unknown carnet", "no choice made", "a carnet of elsewhere", "inviting", "a password"],
)  # fmt: skip
def test_after_a_mistake_each_line_of_the_summary_leads_to_its_field(
    visit, site, who, path, act, fields
):
    page = visit(who).new_page()
    keyboard = Keyboard(page)
    page.goto(path(site) if callable(path) else path)
    if act is not None:
        act(page, site)

    for n, field in enumerate(fields):
        assert keyboard.is_at(page.locator(".error-summary")), (
            "one hears first what is wrong"
        )
        keyboard.look()
        keyboard.go_to(page.locator(".error-summary a").nth(n))
        keyboard.press("Enter")
        assert keyboard.is_at(page.locator(f"#{field}"))
        page.locator(".error-summary").focus()


def test_after_a_part_of_the_page_has_changed_focus_is_on_what_went_wrong(visit, site):
    page = visit("atelier").new_page()
    keyboard = Keyboard(page)
    page.goto(site.workshop)
    page.evaluate(
        """() => {
            window.whereAtEachChange = [];
            new MutationObserver(() => whereAtEachChange.push(document.activeElement.className))
                .observe(document.body, { childList: true });
        }"""
    )
    keyboard.go_to(page.locator("#token"))
    keyboard.write("   ")
    keyboard.enter(page.locator("#token"))

    changed_in_place = page.evaluate("window.whereAtEachChange")
    assert changed_in_place == ["error-summary"], "not an instant elsewhere"
    assert keyboard.is_at(page.locator(".error-summary"))
    keyboard.look()
    keyboard.go_to(page.locator(".error-summary a"))
    keyboard.press("Enter")
    assert keyboard.is_at(page.locator("#token"))


def test_a_page_that_hides_where_one_is_is_caught(keyboard, page):
    page.goto("/23/connexion")
    page.evaluate("document.getElementById('password').style.outline = 'none'")
    with pytest.raises(LostFocus):
        keyboard.go_to(page.locator("main button"))


def test_a_page_that_drops_the_focus_is_caught(keyboard, page):
    page.goto("/23/connexion")
    assert keyboard.is_at(page.locator("#login"))
    page.evaluate("document.activeElement.blur()")
    with pytest.raises(LostFocus):
        keyboard.look()


def test_a_page_that_catches_the_focus_is_caught(keyboard, page):
    page.goto("/23/connexion")
    page.evaluate(
        """document.addEventListener("keydown", (event) => event.key === "Tab" && event.preventDefault())"""
    )
    with pytest.raises(LostFocus, match="not reached"):
        keyboard.go_to(page.locator("main button"))
