"""An order is followed on its page: its proof is approved there, desks are told, what is not made is cancelled."""

import re
from collections.abc import Iterator
from dataclasses import replace

import pytest
from sqlalchemy import select

from app.instance import Instance
from app.mail.desks import tell_active, tell_delivered
from app.mail.models import outbox
from app.mail.sending import send_due
from app.people.models import person
from app.people.roles import Role
from issuance.desks import Deliver, deliver
from issuance.hand_outs import HandOut
from issuance.models import voucher_order
from issuance.orders import ActivateOrder, PlaceOrder, activate_order, place_order
from issuance.proofs import approvals
from issuance.transfers import Receive, Send, receive, send
from ledger.identifiers import new_id
from redemption.blocking import BlockCarnet, BlockStock, block_carnet, block_stock
from redemption.hand_out import hand_out
from redemption.voiding import VoidMisprints, void_misprints
from tests.app.postbox import Postbox, text_of
from tests.app.printing.press import text
from tests.app.visiting import Browser, House, engine_house, house, plain
from tests.builders import an_order, approved, done, given

__all__ = ["engine_house", "house"]


@pytest.fixture
def box() -> Iterator[Postbox]:
    with Postbox().open() as made:
        yield made


@pytest.fixture
def instance(house, box) -> Iterator[Instance]:
    """The instance that the server works over, where e-mails leave."""
    found: Instance = house.http.app.state.serving.instance
    before = found.settings
    found.settings = replace(before, mail=box.mailing)
    yield found
    found.settings = before


@pytest.fixture
def manager(house: House) -> Browser:
    return house.entered(house.of(Role.MANAGER))


def ordered(house: House, carnets: int = 2, **facts) -> int:
    """An order that is made; its number."""
    with house.database.begin("23") as session:
        an_order(session, house.world, carnets, now=house.now, **facts)
        found = select(voucher_order.c.number).order_by(voucher_order.c.number.desc())
        return int(session.scalars(found.limit(1)).one())


def carnets_of(house: House, number: int) -> tuple[int, int]:
    with house.database.begin("23", read_only=True) as session:
        first, count = session.execute(
            select(voucher_order.c.first_carnet, voucher_order.c.carnets).where(
                voucher_order.c.number == number
            )
        ).one()
    return first, first + count - 1


def form_of(manager: Browser, page: str) -> dict[str, str]:
    [says] = re.findall(r'name="says" value="([0-9a-f]{64})"', page)
    return {"csrf": manager.csrf, "id": str(new_id()), "says": says}


def test_a_proof_is_looked_at_and_approved_from_the_page(house, manager):
    number = ordered(house, active=False, delivered=False)
    path = f"/commandes/{number}"
    page = manager.get(path).text
    assert "regarder l'épreuve et l'approuver" in plain(page)
    proof = manager.get(f"{path}/epreuve")
    assert proof.headers["content-type"] == "application/pdf"
    said = text(proof.content)
    assert "BON À TIRER — SPÉCIMEN" in said
    assert not any(p.code in said for p in house.world.passes.values())
    fields = form_of(manager, page)

    changed = manager.send(f"{path}/epreuve", fields | {"says": "00" * 32})
    assert changed.status_code == 422
    assert "telle qu'elle serait composée maintenant" in plain(changed.text)
    good = manager.send(f"{path}/epreuve", fields | {"id": str(new_id())})

    assert good.headers["location"] == f"/23{path}?fait=proof_approved"
    with house.database.begin("23", read_only=True) as session:
        [held] = approvals(session, number)
    assert (held.kind, held.look.template, held.look.logos) == ("pdf", "carnet", ())
    page = plain(manager.get(path).text)
    assert "Approuver l'épreuve" not in page
    assert "imprimer les carnets" in page


def test_a_proof_is_asked_for_again_once_our_own_template_has_changed(house, manager):
    number = ordered(house, active=False, delivered=False)
    for changed, asked in (({"template_sha256": "12" * 32}, True), ({}, False)):
        with house.database.begin("23") as session:
            done(approved(session, number, **changed))
        page = plain(manager.get(f"/commandes/{number}").text)
        assert ("Approuver l'épreuve" in page) == asked


def test_a_reader_sees_the_steps_and_no_button(house, manager):
    number = ordered(house, active=False, delivered=False)
    reader = house.entered(house.of(Role.AUDITOR))
    page = reader.get(f"/commandes/{number}").text
    for step in ("Commandée", "Épreuve approuvée", "Fabriquée", "Imprimée", "Active"):
        assert step in page
    assert f"/commandes/{number}/epreuve" not in page
    fields = {"csrf": reader.csrf, "id": str(new_id()), "says": "00" * 32}
    assert reader.send(f"/commandes/{number}/epreuve", fields).status_code == 403


def test_specimens_have_no_proof_and_their_page_says_so(house, manager):
    number = ordered(house, specimen=True, active=False, delivered=False)
    answer = manager.get(f"/commandes/{number}/epreuve")
    assert answer.status_code == 422
    assert "ce sont des spécimens" in plain(answer.text)


def test_whoever_works_at_a_desk_is_told_once_when_its_carnets_become_active(
    house, manager, instance, box
):
    at_caf = house.person(Role.PRESCRIBER_AGENT, f"{new_id()}@caf.example")
    both = house.person(Role.PRESCRIBER_MANAGER, f"{new_id()}@ccas.example")
    house.person(Role.PRESCRIBER_AGENT, both.login, desk="CCAS")
    elsewhere = house.person(Role.PRESCRIBER_AGENT, f"{new_id()}@msa.example", desk="CCAS")
    number = ordered(house, 4, active=False)
    first, last = carnets_of(house, number)
    at_home = plain(house.entered(at_caf).get("/").text)
    assert "Vos carnets en attente du département" in at_home
    assert f"les carnets {first} à {last}" in at_home
    with house.database.begin("23") as session:
        moved = Deliver(new_id(), "CCAS", last, last)
        done(deliver(session, moved, by="test", now=house.now))
    request = {"csrf": manager.csrf, "id": str(new_id()), "commitment": "ENG-2020-9"}
    path = f"/commandes/{number}"
    for _twice in range(2):
        assert manager.send(f"{path}/activation", request).status_code == 303

    with house.database.begin("23", read_only=True) as session:
        told = session.scalars(
            select(person.c.login)
            .join(outbox, outbox.c.person == person.c.id)
            .where(outbox.c.facts.contains(f'"order":{number}}}'))
        ).all()
    ours = [login for login in told if not login.endswith("@exemple.fr")]
    assert sorted(ours) == sorted([at_caf.login, both.login, elsewhere.login])
    send_due(instance, "23")
    said = {
        str(m["To"].addresses[0].addr_spec): " ".join(text_of(m).split())
        for m in box.received
    }
    assert f"les carnets {first} à {last - 1}" in said[at_caf.login]
    assert "(CCAS)" not in said[at_caf.login]
    assert f"le carnet {last}" in said[elsewhere.login]
    assert "(CAF)" in said[both.login]
    assert "(CCAS)" in said[both.login]
    page = plain(manager.get(path).text)
    assert "Guichets prévenus" in page
    assert "le 3 février 2020, 14:00" in page
    at_home = plain(house.entered(at_caf).get("/").text)
    assert "Vos carnets actifs" in at_home


def test_a_desk_that_gets_carnets_of_an_active_order_is_told_of_these(house, instance, box):
    who = house.person(Role.PRESCRIBER_AGENT, f"{new_id()}@ccas.example", desk="CCAS")
    number = ordered(house, 3, delivered=False)
    first, _last = carnets_of(house, number)
    lot = Deliver(new_id(), "CCAS", first, first + 1)
    for expected in (True, False):
        with house.database.begin("23") as session:
            answer = done(deliver(session, lot, by="test", now=house.now))
            assert (
                tell_delivered(session, instance, answer, now=house.now) > 0
            ) == expected
    send_due(instance, "23")
    mine = [m for m in box.received if m["To"].addresses[0].addr_spec == who.login]
    assert len(mine) == 1
    assert f"les carnets {first} à {first + 1}" in " ".join(text_of(mine[0]).split())


def test_without_a_mail_server_nobody_is_told_and_the_page_says_what_to_do(house, manager):
    number = ordered(house, 1, active=False)
    instance = house.http.app.state.serving.instance
    with house.database.begin("23") as session:
        asked = ActivateOrder(new_id(), number, "ENG-1")
        answer = done(activate_order(session, asked, by="test", now=house.now))
        assert tell_active(session, instance, answer, now=house.now) == 0
    page = plain(manager.get(f"/commandes/{number}").text)
    assert "Guichets prévenus :" not in page
    assert "Aucun e-mail n'est parti vers ces guichets : CAF. Appelez-les." in page
    assert "prévenir les guichets par téléphone" in page

    first, _last = carnets_of(house, number)
    with house.database.begin("23") as session:
        done(given(session, f"23-{first:06d}-1", now=house.now))
    page = plain(manager.get(f"/commandes/{number}").text)
    assert "Aucun e-mail n'est parti" not in page
    assert "Les guichets peuvent remettre ces carnets" in page


def test_a_desk_that_signs_for_active_carnets_has_been_told(house, manager):
    number = ordered(house, 2, delivered=False)
    lot = (carnets_of(house, number),)
    with house.database.begin("23") as session:
        sent = done(
            send(session, Send(new_id(), None, "CAF", lot), by="test", now=house.now)
        )
    page = plain(manager.get(f"/commandes/{number}").text)
    assert "Les guichets peuvent remettre" not in page
    with house.database.begin("23") as session:
        got = Receive(new_id(), sent.facts["transfer"], "CAF", lot)
        done(receive(session, got, by="test", now=house.now))
    page = plain(manager.get(f"/commandes/{number}").text)
    assert "Les guichets peuvent remettre ces carnets" in page


def test_what_was_voided_or_blocked_in_the_store_is_not_waited_for(house, manager):
    number = ordered(house, 3, delivered=False)
    first, last = carnets_of(house, number)
    path = f"/commandes/{number}"
    assert "150,00" in plain(manager.get(path).text)
    with house.database.begin("23") as session:
        misprint = VoidMisprints(new_id(), first, first)
        done(void_misprints(session, misprint, by="test", now=house.now))
        done(
            deliver(session, Deliver(new_id(), "CAF", last, last), by="test", now=house.now)
        )
    page = plain(manager.get(path).text)
    assert "Livrée aux guichets</strong> 1 sur 2" in page
    assert "100,00" in page, "its money can be ordered again"
    with house.database.begin("23") as session:
        stolen = BlockStock(new_id(), first + 1, first + 1)
        done(block_stock(session, stolen, by="test", now=house.now))
        done(given(session, f"23-{last:06d}-1", now=house.now))
    page = plain(manager.get(path).text)
    assert "sur 2" not in page
    assert "Les guichets peuvent remettre ces carnets" in page
    with house.database.begin("23") as session:
        done(block_carnet(session, BlockCarnet(new_id(), last), by="test", now=house.now))
    page = plain(manager.get(path).text)
    assert "Il ne reste aucun de ces carnets à remettre" in page


def test_a_carnet_that_is_not_active_yet_is_refused_with_what_to_do(house):
    number = ordered(house, 1, active=False)
    first, _last = carnets_of(house, number)
    with house.database.begin("23") as session:
        asked = HandOut(new_id(), "CAF", True, "attested", carnet=first)
        answer = hand_out(session, asked, by="desk-CAF", now=house.now)
    assert answer.code == "order_not_active"
    agent = house.entered(house.of(Role.PRESCRIBER_AGENT))
    fields = {"carnet": str(first), "pic": "yes", "proof": "attested", "give": "1"}
    said = plain(agent.post("/remise", **fields).text)
    assert "n'est pas encore active" in said
    assert "Gardez le carnet, et appelez le département" in said
    serial = f"23-{first:06d}-1"
    made = house.world.passes[serial]
    mediator = house.entered(house.of(Role.MEDIATOR))
    for token in (made.url, made.code):
        scan = mediator.post(f"/ateliers/{house.workshop}", token=token)
        assert "Ce pass n'est pas encore actif" in plain(scan.text), scan.status_code


def test_what_is_not_made_is_cancelled_from_the_page(house, manager):
    with house.database.begin("23") as session:
        asked = PlaceOrder(new_id(), "T1", 2)
        signer = house.world.signer
        placed = done(place_order(session, asked, signer=signer, by="test", now=house.now))
    path = f"/commandes/{placed.facts['order']}"
    assert f"/23{path}/annulation" in manager.get(path).text
    assert "À annuler : 2" in plain(manager.get(f"{path}/annulation").text)
    fields = {"csrf": manager.csrf, "id": str(new_id())}
    answer = manager.send(f"{path}/annulation", fields)
    assert answer.headers["location"] == f"/23{path}?fait=order_cancelled"
    page = plain(manager.get(path).text)
    assert "Cette commande est annulée" in page
    assert "annulation" not in page
    again = manager.send(f"{path}/annulation", fields | {"id": str(new_id())})
    assert again.status_code == 422
    assert "est annulée" in plain(again.text)
    assert "annulée" in plain(manager.get("/commandes").text)


def test_an_order_that_is_made_is_not_cancelled(house, manager):
    number = ordered(house)
    assert "/annulation" not in manager.get(f"/commandes/{number}").text
    fields = {"csrf": manager.csrf, "id": str(new_id())}
    answer = manager.send(f"/commandes/{number}/annulation", fields)
    assert answer.status_code == 422
    assert "tous ses carnets sont fabriqués" in plain(answer.text)
