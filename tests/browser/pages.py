"""The register of pages: each page of the application, in each state that looks different.

Whoever adds a page adds its lines here; a test fails for a page that has none.  Every line is
looked at in French and in English, in both themes, at three widths: `test_every_page_is_for_everyone`.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pyotp
from playwright.sync_api import Locator, Page, Route

from ledger.identifiers import new_id
from tests.browser.served import SOMEONE, Served

Then = Callable[[Page, Served], object]
Value = str | Callable[[Served], object]


@dataclass(frozen=True)
class Shown:
    """A page in a state: who looks, where they go, what they do there first."""

    name: str  # of its screenshots
    template: str
    to: str | Callable[[Served], str]
    # Who signs in; {language} stands for fr or en, where a state can be reached once only.
    who: str | None = None
    then: Then | None = None

    def path(self, site: Served) -> str:
        """Return the address to open."""
        return self.to if isinstance(self.to, str) else self.to(site)

    def reach(self, page: Page, site: Served) -> None:
        """Open the page and bring it into its state."""
        answer = page.goto(self.path(site))
        assert answer is not None
        assert answer.status < 500, answer.status
        assert page.url.removeprefix(site.origin) == self.path(site), "sent elsewhere"
        if self.then is not None:
            self.then(page, site)


@contextmanager
def changing(page: Page) -> Iterator[None]:
    """Wait, after an act, until what was shown has given way: to another page, or to another part."""
    page.locator("main").evaluate("main => { main.dataset.before = '' }")
    yield
    page.locator("main[data-before]").wait_for(state="detached")
    page.wait_for_load_state()


def send(form_: str, **typed: Value) -> Then:
    """Return the act of filling in a form and sending it, past what the browser itself would refuse.

    The form is known by the end of its action.
    """

    def act(page: Page, site: Served) -> None:
        form = page.locator(f'main form[action$="{form_}"]').first
        form.evaluate("form => { form.noValidate = true }")
        for name, value in typed.items():
            fill(form, name, str(value(site)) if callable(value) else value)
        with changing(page):
            form.locator("button").click()

    return act


def fill(form: Locator, name: str, value: str) -> None:
    """Give a field of a form its value, whatever kind of field it is."""
    inputs = form.locator(f'[name="{name}"]')
    kind = inputs.first.evaluate("one => one.type")
    if kind == "radio":
        form.locator(f'[name="{name}"][value="{value}"]').check()
    elif kind == "select-one":
        inputs.select_option(value)
    elif kind == "file":
        inputs.set_input_files(value)
    else:
        inputs.fill(value)


def one_after_the_other(*acts: Then) -> Then:
    """Return several acts as one."""

    def act(page: Page, site: Served) -> None:
        for each in acts:
            each(page, site)

    return act


def type_the_code_of_the_telephone(page: Page, site: Served) -> None:
    """Confirm a telephone, from the key that the page shows to who cannot scan."""
    secret = page.locator("details code").text_content() or ""
    send("/confirmer", code=pyotp.TOTP(secret).now())(page, site)


def prove_with_a_recovery_code(page: Page, site: Served) -> None:
    """Pass the second door with a printed code, and go to one's account."""
    language = page.locator("html").get_attribute("lang")
    send("/connexion/code", code=site.recovery[f"prudent-{language}"])(page, site)
    page.goto("/23/compte")


def leave_by_the_provider(page: Page, site: Served) -> None:
    """Sign out after having come in through a provider, and stay on the page that leads there."""

    def stay(route: Route) -> None:
        answer = route.fetch()
        headers = {name: v for name, v in answer.headers.items() if name != "refresh"}
        route.fulfill(response=answer, headers=headers)

    site.sign_in(page.context, "audit")
    path = "/23/deconnexion"
    kept = {"name": "passnum_23_id", "value": "a.b.c", "domain": "127.0.0.1", "path": path}
    page.context.add_cookies([kept])  # type: ignore[list-item]
    page.goto("/23/compte")
    page.route(f"**{path}", stay)
    page.locator(f'form[action="{path}"] button').click()
    page.wait_for_url(f"**{path}")


def use(token: Value) -> Then:
    """Return the act of typing a pass at the workshop that is open."""

    def act(page: Page, site: Served) -> None:
        send(page.url.removeprefix(site.origin), token=token)(page, site)

    return act


def a_pass_of_its_own_desk(site: Served) -> str:
    """Return the printed code of a pass in stock at the desk CCAS, which is not given away here."""
    return site.code_of(f"23-{site.stock['CCAS'][0]:06d}-1")


def a_pass_to_use(site: Served) -> str:
    """Return the printed code of a pass that is in someone's hands, each time another one."""
    return site.code_of(site.pass_to_use())


def a_pass_in_stock(site: Served) -> str:
    """Return the printed code of a pass that no desk has handed out."""
    return site.code_of(f"23-{site.stock['ML'][-1]:06d}-1")


# A day before the last one of the tranche of today.
SOON = (datetime.now(UTC) + timedelta(days=100)).date().isoformat()


def take_over(*rows: str) -> Then:
    """Return the act of sending a list of a former operator's carnets."""
    data = "\r\n".join(["carnet;numero;valeur;fin", *rows, ""]).encode("cp1252")
    return send(
        "/commandes/reprise",
        tranche="ESSAI", operator="ancien", commitment="ENG-7",
        file=lambda site: site.a_file("anciens.csv", data),
    )  # fmt: skip


def a_new_login(site: Served) -> str:
    """Return what nobody signs in with yet."""
    del site
    return f"camille-{new_id().hex[-6:]}"


def lose_a_carnet(desk: str) -> Then:
    """Return the acts of handing a carnet out, and of having it made again."""

    def act(page: Page, site: Served) -> None:
        number = site.carnet(desk)
        page.goto("/23/remise")
        one_after_the_other(look_at(number), give(**HAND_OUT))(page, site)
        page.goto(f"/23/remplacement?carnet={number}")
        send("/remplacement", reason="lost")(page, site)
        page.evaluate("number => { sessionStorage.lost = number }", number)

    return act


def look_for_it_again(page: Page, site: Served) -> None:
    """Look for the old carnet once more."""
    del site
    number = page.evaluate("sessionStorage.lost")
    page.goto(f"/23/remplacement?carnet={number}")


def look_at(carnet: Value, *, unfold: bool = False) -> Then:
    """Return the act of naming a carnet on the page that hands out, until what is asked of it is there."""

    def act(page: Page, site: Served) -> None:
        field = page.locator("#carnet")
        field.fill(str(carnet(site)) if callable(carnet) else str(carnet))
        field.press("Enter")
        page.locator("[name=about], .error-summary").first.wait_for(state="attached")
        if unfold:
            for folded in page.locator("main summary").all():
                folded.click()

    return act


def fill_in(**typed: str) -> Then:
    """Return the act of answering the questions of a hand-out."""

    def act(page: Page, site: Served) -> None:
        del site
        form = page.locator("form[data-hand-out]")
        form.locator("details").evaluate_all(
            "all => all.forEach((one) => { one.open = true })"
        )
        for name, value in typed.items():
            fill(form, name, value)

    return act


def give(**typed: str) -> Then:
    """Return the act of answering the questions of a hand-out, and pressing its button."""

    def act(page: Page, site: Served) -> None:
        fill_in(**typed)(page, site)
        form = page.locator("form[data-hand-out]")
        form.evaluate("form => { form.noValidate = true }")
        with changing(page):
            form.locator("[name=give]").press("Enter")

    return act


def give_without_network(page: Page, site: Served) -> None:
    """Press the button of a hand-out when there is no network any more."""
    del site
    page.context.set_offline(True)
    page.locator("[name=give]").click()
    page.locator(".verdict.kept").wait_for()


# As Excel saves it.
COMMUNES = "Code INSEE;Nom;Population\r\n23096;Guéret;12 734\r\n23176;Saint-Dizier-la-Tour;231\r\n".encode(
    "cp1252"
)
HAND_OUT = {"pic": "yes", "proof": "attested", "need": "train"}

PAGES = (
    # ---- For anyone
    Shown("home", "home.html", "/"),
    Shown("pass-good", "pass.html", lambda site: site.pass_at("good")),
    Shown("pass-used", "pass.html", lambda site: site.pass_at("used")),
    Shown("pass-lapsed", "pass.html", lambda site: site.pass_at("lapsed").lower()),
    Shown("pass-unknown", "pass.html", "/V/123"),
    Shown("no-such-page", "refused.html", "/nulle/part/ici"),
    # ---- The doors
    Shown("sign-in", "sign_in.html", "/23/connexion"),
    Shown("sign-in-after-leaving", "sign_in.html", "/23/connexion?fait=signed_out"),
    Shown(
        "sign-in-wrong", "sign_in.html", "/23/connexion",
        then=send("/connexion", login="personne", password="une phrase au hasard"),
    ),
    Shown("second-proof", "second_factor.html", "/23/connexion/code", "double"),
    Shown(
        "second-proof-wrong", "second_factor.html", "/23/connexion/code", "double",
        then=send("/connexion/code", code="12"),
    ),
    Shown("identity-unknown", "identity_unknown.html", "/23/connexion/oidc/invitation"),
    Shown(
        "identity-unknown-wrong", "identity_unknown.html", "/23/connexion/oidc/invitation",
        then=send("/connexion/oidc/invitation", code="7K3M-9QRT-2XVB"),
    ),
    Shown(
        "identity-leave", "identity_leave.html", "/23/compte", "audit",
        then=send("/compte/oidc", oidc_password=lambda site: site.password),
    ),
    Shown("identity-left", "identity_left.html", "/23/connexion", then=leave_by_the_provider),
    Shown("invitation", "invitation.html", "/23/invitation"),
    Shown(
        "invitation-wrong", "invitation.html", "/23/invitation",
        then=send(
            "/invitation", code="7K3M-9QRT-2XVB", password="une phrase au hasard",
            password_again="une phrase au hasard",
        ),
    ),
    # ---- Everyone's own rooms
    Shown("home-manager", "home_signed_in.html", "/23/", "gestion"),
    Shown("home-first-day", "home_signed_in.html", "/19/", "debut@19"),
    Shown("home-prescriber", "home_signed_in.html", "/23/", "guichet"),
    Shown("home-mediator", "home_signed_in.html", "/23/", "atelier"),
    Shown("home-auditor", "home_signed_in.html", "/23/", "audit"),
    Shown("no-role-left", "refused.html", "/23/", "parti"),
    Shown("second-proof-missing", "refused.html", "/23/", "signature"),
    Shown("not-allowed", "refused.html", "/23/tranches", "guichet"),
    Shown("not-there", "refused.html", "/23/tranches/AUCUNE", "gestion"),
    Shown("account", "account.html", "/23/compte", "audit"),
    Shown("account-done", "account.html", "/23/compte?fait=password_changed", "audit"),
    Shown(
        "account-wrong", "account.html", "/23/compte", "audit",
        then=send("/mot-de-passe", old="ce n'est pas lui", password="une phrase au hasard"),
    ),
    Shown(
        "account-with-telephone", "account.html", "/23/connexion/code", "prudent-{language}",
        then=prove_with_a_recovery_code,
    ),
    Shown("telephone", "telephone.html", "/23/compte/telephone", "hesitant"),
    Shown(
        "telephone-wrong", "telephone.html", "/23/compte/telephone", "hesitant",
        then=send("/confirmer", code="12"),
    ),
    Shown(
        "recovery-codes", "recovery_codes.html", "/23/compte/telephone", "presse-{language}",
        then=type_the_code_of_the_telephone,
    ),
    # ---- The département
    Shown("tranches", "tranches.html", "/23/tranches", "compta"),
    Shown("tranches-none", "tranches.html", "/19/tranches", "debut@19"),
    Shown("tranche", "tranche.html", "/23/tranches/T1", "gestion"),
    Shown("tranche-unused", "tranche.html", "/23/tranches/ESSAI", "audit"),
    Shown("unused", "unused.html", "/23/rappels", "deux-guichets"),
    Shown("unused-none", "unused.html", "/23/rappels", "guichet"),
    Shown("needs", "needs.html", "/23/besoins", "gestion"),
    Shown("needs-none", "needs.html", "/19/besoins", "debut@19"),
    Shown(
        "needs-sized", "needs.html", "/23/besoins", "gestion",
        then=send("/besoins", population="119502", tranche="ESSAI"),
    ),
    Shown(
        "needs-covered", "needs.html", "/23/besoins", "gestion",
        then=send("/besoins", file=lambda site: site.a_file("communes.csv", COMMUNES)),
    ),
    Shown(
        "needs-wrong", "needs.html", "/23/besoins", "gestion",
        then=send("/besoins", population="beaucoup", each="0"),
    ),
    Shown("sites", "sites.html", "/23/lieux", "compta"),
    Shown("sites-none", "sites.html", "/19/lieux", "debut@19"),
    Shown("sites-same", "sites_same.html", "/23/lieux/meme-organisme", "compta"),
    Shown("sites-same-none", "sites_same.html", "/19/lieux/meme-organisme", "debut@19"),
    Shown("site-import", "site_import.html", "/23/lieux/import", "gestion"),
    Shown("site-import-no-programme", "site_import.html", "/19/lieux/import", "debut@19"),
    Shown(
        "site-import-wrong", "site_import.html", "/23/lieux/import", "gestion",
        then=send("/lieux/import", file=lambda site: site.a_file("lieux.xlsx")),
    ),
    Shown("work-waiting", "work_import_sites.html", lambda site: site.works["waiting"], "attente@87"),
    Shown("work-late", "work_import_sites.html", lambda site: site.works["late"], "attente@87"),
    Shown("work-running", "work_import_sites.html", lambda site: site.works["running"], "attente@87"),
    Shown("work-finished", "work_import_sites.html", lambda site: site.works["finished"], "gestion"),
    Shown("work-good", "work_import_sites.html", lambda site: site.works["good"], "gestion"),
    Shown("work-refused", "work_import_sites.html", lambda site: site.works["refused"], "gestion"),
    Shown("work-failed", "work_import_sites.html", lambda site: site.works["failed"], "gestion"),
    # ---- Orders
    Shown("orders", "orders.html", "/23/commandes", "gestion"),
    Shown("orders-none", "orders.html", "/19/commandes", "debut@19"),
    Shown("order-new", "order_new.html", "/23/commandes/nouvelle", "gestion"),
    Shown("order-new-no-tranche", "order_new.html", "/19/commandes/nouvelle", "debut@19"),
    Shown(
        "order-new-wrong", "order_new.html", "/23/commandes/nouvelle", "gestion",
        then=send("/commandes/nouvelle", carnets="0"),
    ),
    Shown("take-over", "take_over.html", "/23/commandes/reprise", "gestion"),
    Shown(
        "take-over-wrong", "take_over.html", "/23/commandes/reprise", "gestion",
        then=take_over("C-1;1,23E+15;10;31/12/2027", "C-2;410500;20;31/12/2020"),
    ),
    Shown(
        "take-over-confirm", "take_over.html", "/23/commandes/reprise", "gestion",
        then=take_over(*(f"C-{n};4105{n};10;{SOON}" for n in range(3))),
    ),
    Shown("order-taken-over", "order.html", "/23/commandes/5", "gestion"),
    Shown("order", "order.html", "/23/commandes/1", "compta"),
    Shown("order-unmade", "order.html", lambda site: site.orders["unmade"], "gestion"),
    Shown("order-making", "order.html", lambda site: site.orders["making"], "gestion"),
    Shown("order-specimen", "order.html", lambda site: site.orders["specimen"], "gestion"),
    Shown("order-not-active", "order.html", lambda site: site.orders["not_active"], "compta"),
    Shown(
        "order-not-active-wrong", "order.html", lambda site: site.orders["not_active"], "compta",
        then=send("/activation", commitment=""),
    ),
    Shown("order-proof", "order.html", lambda site: site.orders["not_active"], "gestion"),
    Shown(
        "order-cancel", "order_cancel.html",
        lambda site: site.orders["unmade"] + "/annulation", "gestion",
    ),
    Shown("work-order-making", "work_make_order.html", lambda site: site.works["order-making"], "gestion"),
    Shown("work-order-finished", "work_make_order.html", lambda site: site.works["order-specimen"], "gestion"),
    Shown("work-order-refused", "work_make_order.html", lambda site: site.works["order-refused"], "gestion"),
    Shown("people", "people.html", "/23/personnes", "gestion"),
    Shown("people-done", "people.html", "/23/personnes?fait=role_given", "gestion"),
    Shown("people-of-a-site", "people.html", "/23/personnes", "responsable"),
    Shown("people-first-day", "people.html", "/19/personnes", "debut@19"),
    Shown(
        "people-wrong", "people.html", "/23/personnes", "gestion",
        then=send("/personnes", name="Camille", role="mediator"),
    ),
    Shown(
        "invited", "invited.html", "/23/personnes", "gestion",
        then=send("/personnes", name="Camille Petit", login=a_new_login, role="auditor"),
    ),
    # ---- A desk
    Shown("hand-out", "hand_out.html", "/23/remise", "guichet"),
    Shown("hand-out-unknown", "hand_out.html", "/23/remise", "guichet", then=look_at("987654")),
    Shown(
        "hand-out-carnet", "hand_out.html", "/23/remise", "guichet",
        then=look_at(lambda site: f"23-{site.queue['FILE'][-1]:06d}-3", unfold=True),
    ),
    Shown(
        "hand-out-choices", "hand_out.html", "/23/remise", "deux-guichets",
        then=look_at(lambda site: site.reserved),
    ),
    Shown(
        "hand-out-wrong", "hand_out.html", "/23/remise", "deux-guichets",
        then=one_after_the_other(look_at(lambda site: site.stock["UDAF"][0]), give()),
    ),
    Shown(
        "hand-out-limit", "hand_out.html", "/23/remise", "guichet",
        then=one_after_the_other(
            look_at(lambda site: site.queue["NOMS"][-1]), give(**HAND_OUT, **SOMEONE)
        ),
    ),
    Shown("hand-out-empty", "hand_out.html", "/23/remise", "guichet", then=look_at(lambda site: site.given)),
    Shown(
        "hand-out-done", "hand_out.html", "/23/remise", "msa",
        then=one_after_the_other(look_at(lambda site: site.carnet("MSA")), give(**HAND_OUT)),
    ),
    Shown(
        "hand-out-kept", "hand_out.html", "/23/remise", "guichet",
        then=one_after_the_other(
            look_at(lambda site: site.queue["FILE"][-1]),
            fill_in(pic="no", proof="declared"),
            give_without_network,
        ),
    ),
    # ---- Stock
    Shown("stock", "stock.html", "/23/stock", "gestion"),
    Shown("stock-coming", "stock.html", "/23/stock", "ml"),
    Shown("attestations", "attestations.html", "/23/attestations", "guichet"),
    Shown("attestations-read", "attestations.html", "/23/attestations?desk=CAF", "compta"),
    Shown("attestations-none", "attestations.html", "/19/attestations", "debut@19"),
    Shown("stock-none", "stock.html", "/19/stock", "debut@19"),
    Shown("stock-transfer", "stock_transfer.html", "/23/stock/transferts/1", "ml"),
    Shown("stock-transfer-missing", "stock_transfer.html", "/23/stock/transferts/2", "gestion"),
    Shown("stock-count", "stock_count.html", "/23/stock/comptage", "deux-guichets"),
    Shown(
        "stock-counted", "stock_counted.html", "/23/stock/comptage", "ml",
        then=send("/stock/comptage", carnets="1-2, 999990-999991"),
    ),
    Shown(
        "stock-send-wrong", "stock_send.html", "/23/stock/envoi", "gestion",
        then=send("/stock/envoi", carnets="les bleus"),
    ),
    Shown(
        "stock-withdraw-wrong", "stock_withdraw.html", "/23/stock/retrait", "gestion",
        then=send("/stock/retrait", carnets="les bleus"),
    ),
    Shown(
        "stock-withdraw-sure", "stock_withdraw.html", "/23/stock/retrait", "gestion",
        then=send("/stock/retrait", carnets=lambda site: str(site.stock["CCAS"][0]), reason="stolen"),
    ),
    # ---- What was lost
    Shown("replace-1", "replace_1.html", "/23/remplacement", "guichet"),
    Shown("replace-1-unknown", "replace_1.html", "/23/remplacement?mot1=girafe&mot2=moulin", "guichet"),
    Shown("replace-2", "replace_2.html", lambda site: f"/23/remplacement?carnet={site.given}", "gestion"),
    Shown("replace-2-shared", "replace_2.html", lambda site: f"/23/remplacement?carnet={site.shared}", "guichet"),
    Shown(
        "replace-2-wrong", "replace_2.html", lambda site: f"/23/remplacement?carnet={site.given}", "gestion",
        then=send("/remplacement"),
    ),
    Shown(
        "replace-2-nothing", "replace_2.html", "/23/remise", "ml",
        then=one_after_the_other(lose_a_carnet("ML"), look_for_it_again),
    ),
    Shown("replace-3", "replace_3.html", "/23/remise", "msa", then=lose_a_carnet("MSA")),
    # ---- A site
    Shown("workshops", "workshops.html", "/23/ateliers", "atelier"),
    Shown("workshops-none", "workshops.html", "/23/ateliers", "benevole"),
    Shown("workshops-of-two-sites", "workshops.html", "/23/ateliers", "itinerant"),
    Shown(
        "workshops-wrong", "workshops.html", "/23/ateliers", "atelier",
        then=send("/ateliers", day="2038-01-01"),
    ),
    Shown("workshop", "workshop.html", lambda site: site.workshop, "atelier"),
    Shown(
        "workshop-accepted", "workshop.html", lambda site: site.workshop, "atelier",
        then=one_after_the_other(use(a_pass_to_use), use(a_pass_to_use)),
    ),
    Shown(
        "workshop-used-already", "workshop.html", lambda site: site.workshop, "atelier",
        then=use(lambda site: site.code_of(site.access["passes"]["used"]["serial"])),
    ),
    Shown(
        "workshop-too-late", "workshop.html", lambda site: site.workshop, "atelier",
        then=use(lambda site: site.code_of(site.access["passes"]["lapsed"]["serial"])),
    ),
    Shown(
        "workshop-not-handed-out", "workshop.html", lambda site: site.workshop, "atelier",
        then=use(a_pass_in_stock),
    ),
    Shown(
        "workshop-give-here", "workshop.html", lambda site: site.workshop_of_a_desk, "espace",
        then=use(a_pass_of_its_own_desk),
    ),
    Shown(
        "workshop-unknown", "workshop.html", lambda site: site.workshop, "atelier",
        then=use("ceci n'est pas un pass"),
    ),
    Shown(
        "workshop-not-accredited", "workshop.html", lambda site: site.workshop_not_accredited, "ailleurs",
        then=use(lambda site: site.code_of(site.access["passes"]["good"]["serial"])),
    ),
    Shown(
        "workshop-nothing-typed", "workshop.html", lambda site: site.workshop, "atelier",
        then=use(""),
    ),
)  # fmt: skip
