"""A desk that is told of a lost carnet finds it and has it made again; another desk's is not its own."""

import re
from pathlib import Path
from uuid import UUID

import httpx
import pytest
from sqlalchemy import select

from app.instance import Instance
from app.messages import messages
from app.people.roles import Role
from app.settings import read_settings
from funding.operations import StartProgramme, start_programme
from issuance.desks import Deliver, deliver
from issuance.hand_outs import HandOut
from issuance.orders import order_row
from issuance.paper import PrintedPass, printed_passes
from issuance.serials import Serial
from issuance.words import words_of
from ledger.identifiers import new_id
from ledger.models import entry
from redemption.hand_out import hand_out
from redemption.replacing import given_of_carnet
from tests.app.test_the_command_line import TODAY, Terminal, founded, run
from tests.app.visiting import Browser, House, engine_house, house, plain
from tests.builders import SEALER, an_order, done, given
from tests.conftest import CREUSE

__all__ = ["engine_house", "founded", "house", "run"]


def words(answer: httpx.Response) -> str:
    """What a page says without its tags."""
    return plain(re.sub(r"<[^>]*>", " ", answer.text))


@pytest.fixture
def lost(house) -> list[str]:
    """The passes of a carnet of its own that was handed out to one person."""
    with house.database.begin("23") as session:
        serials = an_order(session, house.world, 1)
        done(given(session, *serials))
    return serials


def number(serials: list[str]) -> int:
    return Serial.parse(serials[0]).carnet


def agent(house: House, **place: str) -> Browser:
    if not place:
        return house.entered(house.of(Role.PRESCRIBER_AGENT))
    return house.entered(house.person(Role.PRESCRIBER_AGENT, **place))


def hand_out_on(answer: httpx.Response) -> str:
    [found] = re.findall(r'type="hidden" name="hand_out" value="([^"]+)"', answer.text)
    return found


def replacements(house: House, of: list[str]) -> list[str]:
    with house.database.begin("23", read_only=True) as session:
        rows = session.scalars(
            select(entry.c.subject).where(
                entry.c.kind == "replaced", entry.c.subject.in_(of)
            )
        )
        return sorted(rows)


@pytest.mark.parametrize("by", ["number", "serial", "words", "words the other way"])
def test_three_steps_end_the_old_paper_and_name_the_new(house, lost, by):
    browser = agent(house)
    assert "/23/remplacement" in browser.get("/").text
    assert "Premier mot" in words(browser.get("/remplacement"))
    first, second = words_of(number(lost))
    asked = {
        "number": f"carnet={number(lost)}",
        "serial": f"carnet={lost[2]}",
        "words": f"mot1={first}&mot2={second}",
        "words the other way": f"mot1={second}&mot2={first}",
    }[by]
    step_2 = browser.get(f"/remplacement?{asked}")
    assert f"carnet {number(lost)}. Il reste 5 pass non utilisés sur 5" in words(step_2)

    fields = {"id": str(new_id()), "hand_out": hand_out_on(step_2), "reason": "lost"}
    step_3 = browser.post("/remplacement", **fields)
    assert step_3.status_code == 200
    assert browser.post("/remplacement", **fields).text == step_3.text, "a second click"
    new = re.findall(r'<li class="num">([^<]+)</li>', step_3.text)
    assert len(new) == 5
    assert f"Le carnet neuf : {Serial.parse(new[0]).carnet}" in words(step_3)
    assert "Le département l'imprime : c'est la commande" in words(step_3)
    assert replacements(house, lost) == lost

    after = browser.get(f"/remplacement?carnet={number(lost)}")
    assert "Ces pass ont déjà été remplacés" in words(after)
    assert f"/23/remplacement?carnet=23-{Serial.parse(new[0]).carnet:06d}" in after.text
    chained = browser.get(f"/remplacement?carnet={Serial.parse(new[0]).carnet}")
    assert "Il reste 5 pass non utilisés sur 5" in words(chained)


def test_of_a_shared_carnet_one_person_is_chosen_and_the_other_keeps_theirs(house):
    with house.database.begin("23") as session:
        serials = an_order(session, house.world, 1)
        done(given(session, *serials[:3]))
        other = done(given(session, *serials[3:]))
    browser = agent(house)
    shown = browser.get(f"/remplacement?carnet={number(serials)}")
    assert "Choisissez la remise de cette personne" in words(shown)
    choices = re.findall(r'type="radio" name="hand_out" value="([^"]+)"', shown.text)
    assert len(choices) == 2
    [mine] = {UUID(choice) for choice in choices} - {other.act}
    told = browser.post("/remplacement", hand_out=str(mine), reason="stolen")
    assert told.status_code == 200
    assert replacements(house, serials) == serials[:3]

    after = browser.get(f"/remplacement?carnet={number(serials)}")
    assert "Choisissez la remise de cette personne" in words(after)
    left = re.findall(r'type="radio" name="hand_out" value="([^"]+)"', after.text)
    assert left == [str(other.act)], "someone else's: it is chosen, never offered alone"
    assert 'type="hidden" name="hand_out"' not in after.text
    new = re.findall(r'<li class="num">([^<]+)</li>', told.text)
    assert f"/23/remplacement?carnet=23-{Serial.parse(new[0]).carnet:06d}" in after.text
    assert "Une partie de ces pass a déjà été remplacée" in words(after)


def test_what_another_desk_gave_of_the_same_carnet_is_no_reason_to_choose_alone(house):
    with house.database.begin("23") as session:
        serials = an_order(session, house.world, 1)
        done(given(session, *serials[:3]))
        carnet = number(serials)
        done(
            deliver(
                session, Deliver(new_id(), "CCAS", carnet, carnet), by="x", now=house.now
            )
        )
        asked = HandOut(new_id(), "CCAS", True, "attested", carnet=carnet)
        done(hand_out(session, asked, by="desk-CCAS", now=house.now, sealer=SEALER))
    shown = agent(house, desk="CCAS").get(f"/remplacement?carnet={carnet}")
    assert "Choisissez la remise de cette personne" in words(shown)
    assert len(re.findall(r'type="radio" name="hand_out"', shown.text)) == 1


def test_a_number_says_of_which_departement_it_is(house, lost):
    browser = agent(house)
    cover = lost[0].rpartition("-")[0]
    for ours in (str(number(lost)), cover, lost[4], f" {lost[4].replace('-', ' - ')} "):
        told = browser.get("/remplacement", params={"carnet": ours})
        assert told.status_code == 200, ours
    for other in (
        lost[0].replace("23-", "87-"),
        cover.replace("23-", "87-"),
        f"23-{number(lost)}",
        f"{lost[0]}-1",
        f"-{number(lost)}",
    ):
        told = browser.get("/remplacement", params={"carnet": other})
        unknown = messages("fr").refusal("carnet_unknown", {"asked": other})
        assert (told.status_code, plain(unknown) in words(told)) == (422, True), other


def test_another_desk_is_told_whose_it_is_and_replaces_nothing(house, lost):
    elsewhere = agent(house, desk="CCAS")
    told = elsewhere.get(f"/remplacement?carnet={number(lost)}")
    assert told.status_code == 422
    assert "Ce carnet a été remis par le guichet CAF" in words(told)
    with house.database.begin("23", read_only=True) as session:
        [of] = given_of_carnet(session, number(lost))
    forced = elsewhere.post("/remplacement", hand_out=str(of.id), reason="lost")
    assert forced.status_code == 422
    assert "Ce carnet a été remis par le guichet CAF" in words(forced)
    assert replacements(house, lost) == []


def test_the_departement_replaces_any(house, lost):
    manager = house.entered(house.of(Role.MANAGER))
    step_2 = manager.get(f"/remplacement?carnet={number(lost)}")
    told = manager.post("/remplacement", hand_out=hand_out_on(step_2), reason="damaged")
    assert told.status_code == 200
    assert replacements(house, lost) == lost


def test_what_is_of_another_programme_is_not_there(house, lost):
    code = f"p{new_id().hex[-6:]}"
    with house.database.begin("23") as session:
        started = StartProgramme(new_id(), code, "Un autre")
        done(start_programme(session, started, by="test", now=house.now))
        [of] = given_of_carnet(session, number(lost))
    stranger = house.entered(house.person(Role.MANAGER, programme=code))
    told = stranger.get(f"/remplacement?carnet={number(lost)}")
    asked = {"asked": str(number(lost))}
    assert plain(messages("fr").refusal("carnet_unknown", asked)) in words(told)
    assert "CAF" not in words(told)
    first, second = words_of(number(lost))
    with house.database.begin("23") as session:
        specimen = number(an_order(session, house.world, 1, specimen=True))
        nobodys = number(an_order(session, house.world, 1))
    for there in (specimen, nobodys, lost[0]):
        no = stranger.get(f"/remplacement?carnet={there}")
        unknown = messages("fr").refusal("carnet_unknown", {"asked": str(there)})
        assert (no.status_code, plain(unknown) in words(no)) == (422, True), there
    unknown = stranger.get(f"/remplacement?mot1={first}&mot2={second}")
    assert "Aucun carnet remis ne porte ces deux mots" in words(unknown)
    forced = stranger.post("/remplacement", hand_out=str(of.id), reason="lost")
    assert (forced.status_code, replacements(house, lost)) == (422, [])


def test_each_no_is_said_beside_what_was_typed(house, lost):
    browser = agent(house)
    for asked, said in (
        ("carnet=99999999", "99999999"),
        ("carnet=abc", "abc"),
        ("carnet=10", "Aucun pass du carnet 10 n'a été remis"),
        ("mot1=girafe", "Aucun carnet remis ne porte ces deux mots"),
    ):
        told = browser.get(f"/remplacement?{asked}")
        assert (told.status_code, said in words(told)) == (422, True), asked
    step_2 = browser.get(f"/remplacement?carnet={number(lost)}")
    no_reason = browser.post("/remplacement", hand_out=hand_out_on(step_2))
    assert (no_reason.status_code, replacements(house, lost)) == (422, [])
    assert hand_out_on(no_reason) == hand_out_on(step_2)
    for odd in ("", "abc", str(new_id())):
        nothing = browser.post("/remplacement", hand_out=odd, reason="lost")
        assert nothing.status_code == 422
        assert "Cette remise n'existe pas" in words(nothing)


def test_the_page_says_so_when_nothing_is_left(house, lost):
    browser = agent(house)
    step_2 = browser.get(f"/remplacement?carnet={number(lost)}")
    fields = {"hand_out": hand_out_on(step_2), "reason": "lost"}
    assert browser.post("/remplacement", **fields).status_code == 200
    again = browser.post("/remplacement", **fields)
    assert again.status_code == 422
    assert "Il n'y a rien à remplacer" in words(again)


def printed(run: Terminal, order: int) -> list[PrintedPass]:
    """What is on the passes of an order."""
    instance = Instance(read_settings(data_dir=Path(run.place[1])))
    with instance.database.begin("23", read_only=True) as session:
        row = order_row(session, order)
    made = list(printed_passes(row, instance.signer("23"), CREUSE.host))
    instance.close()
    return made


def test_a_command_finds_it_by_number_by_words_and_by_hand_out(founded):
    founded("order", "place", "T1", "--carnets", 4)
    founded("order", "activate", 1, "--commitment", "ENG-1")
    founded("desk", "deliver", "CAF", "--first", 1, "--last", 4)
    passes = printed(founded, 1)
    founded("hand-out", "--desk", "CAF", "--carnet", 1, "--pic")
    founded("hand-out", "--desk", "CAF", "--serial", passes[5].serial)
    founded("hand-out", "--desk", "CAF", "--serial", passes[6].serial)
    workshop = founded("workshop", "open", "lieu-1", "--day", TODAY).out.strip()
    founded("redeem", passes[0].url, "--workshop", workshop)

    told = founded("replace", "--carnet", 1, "--desk", "CAF", "--reason", "stolen").out
    assert told == "4 pass remplacés par le carnet 5. Imprimez-le : passnum print 2\n"
    old = founded.try_("redeem", passes[1].url, "--workshop", workshop)
    assert (old.code, old.out.strip().rpartition(" ")[2]) == (1, "[replaced]")
    assert "Ce pass a été remplacé le" in old.out
    assert founded.try_("replace", "--carnet", 1).refusal == "nothing_to_replace"
    assert founded("replace", "--words", *words_of(5)).out.startswith("4 pass")

    shared = founded.try_("replace", "--carnet", 2)
    assert shared.refusal == "several_hand_outs"
    named = re.findall(r"[0-9a-f-]{36}", shared.err)
    assert len(named) == 2
    assert founded("replace", "--hand-out", named[1]).out.startswith("1 pass")
    theirs = founded.try_("replace", "--carnet", 2)
    assert theirs.refusal == "several_hand_outs", "what is left may be someone else's"
    assert named[0] in theirs.err
    assert founded("replace", "--hand-out", named[0]).out.startswith("1 pass")
    assert founded.try_("replace", "--carnet", 2).refusal == "nothing_to_replace"
    newest = printed(founded, 5)
    assert founded("redeem", newest[0].url, "--workshop", workshop)

    for asked, code in (
        (["--carnet", 3], "carnet_not_handed_out"),
        (["--carnet", 99], "carnet_unknown"),
        (["--words", "girafe", "zzz"], "words_unknown"),
        (["--hand-out", new_id()], "hand_out_unknown"),
        (["--carnet", 1, "--desk", "MSA"], "handed_out_elsewhere"),
    ):
        assert founded.try_("replace", *asked).refusal == code, asked
    for asked in ([], ["--carnet", 1, "--words", "a", "b"]):
        assert founded.try_("replace", *asked).code == 2
    assert founded("audit").code == 0
