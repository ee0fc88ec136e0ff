"""A passkey is added and used in a real browser, whose authenticator is its own virtual one."""

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from app.people.roles import Role
from ledger.identifiers import new_id
from tests.browser.served import Served


@pytest.fixture
def login(site: Served) -> str:
    """Somebody who has a password, and no second proof yet."""
    name = f"cle-{new_id().hex[-6:]}"
    site.invite(name, "Camille Roche", Role.AUDITOR)
    return name


def at_a_name(site: Served) -> str:
    # Keys are bound to a name, and an address has none.
    return site.origin.replace("127.0.0.1", "localhost")


def with_an_authenticator(page: Page) -> None:
    devtools = page.context.new_cdp_session(page)
    devtools.send("WebAuthn.enable")
    devtools.send(
        "WebAuthn.addVirtualAuthenticator",
        {
            "options": {
                "protocol": "ctap2",
                "transport": "internal",
                "hasResidentKey": True,
                "hasUserVerification": True,
                "isUserVerified": True,
                "automaticPresenceSimulation": True,
            }
        },
    )


def sign_in(page: Page, login: str, password: str) -> None:
    page.goto("/23/connexion")
    page.locator("[name=login]").fill(login)
    page.locator("[name=password]").fill(password)
    page.locator("main form button").click()
    page.wait_for_load_state()


def test_a_key_of_the_browser_is_added_then_asked_for(
    browser: Browser, site: Served, login: str
) -> None:
    context: BrowserContext = browser.new_context(base_url=at_a_name(site), locale="fr-FR")
    page = context.new_page()
    with_an_authenticator(page)
    sign_in(page, login, site.password)

    page.goto("/23/compte")
    page.get_by_label("Nom de cette clé").fill("Ordinateur du bureau")
    page.get_by_role("button", name="Ajouter une clé d'accès").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Vos codes de secours")
    page.goto("/23/compte")
    expect(
        page.get_by_role("listitem").filter(has_text="Ordinateur du bureau")
    ).to_be_visible()

    page.get_by_role("button", name="Se déconnecter").click()
    sign_in(page, login, site.password)
    expect(page).to_have_url(f"{at_a_name(site)}/23/connexion/code")
    page.get_by_role("button", name="Utiliser ma clé d'accès").click()
    expect(page).to_have_url(f"{at_a_name(site)}/23/")
    context.close()


def test_a_browser_without_the_key_says_so_and_a_code_is_still_asked(
    browser: Browser, site: Served, login: str
) -> None:
    context = browser.new_context(base_url=at_a_name(site), locale="fr-FR")
    page = context.new_page()
    with_an_authenticator(page)
    sign_in(page, login, site.password)
    page.goto("/23/compte")
    page.get_by_role("button", name="Ajouter une clé d'accès").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Vos codes de secours")
    context.close()

    other = browser.new_context(base_url=at_a_name(site), locale="fr-FR")
    page = other.new_page()
    with_an_authenticator(page)
    sign_in(page, login, site.password)
    page.get_by_role("button", name="Utiliser ma clé d'accès").click()
    expect(page.get_by_role("alert")).to_contain_text("La clé n'a pas répondu")
    expect(page.get_by_label("Code")).to_be_visible()
    other.close()


def test_without_scripts_no_key_is_offered(
    browser: Browser, site: Served, login: str
) -> None:
    context = browser.new_context(
        base_url=at_a_name(site), locale="fr-FR", java_script_enabled=False
    )
    page = context.new_page()
    sign_in(page, login, site.password)
    page.goto("/23/compte")
    expect(page.get_by_role("button", name="Ajouter une clé d'accès")).to_be_hidden()
    expect(page.get_by_role("button", name="Ajouter mon téléphone")).to_be_visible()
    context.close()
