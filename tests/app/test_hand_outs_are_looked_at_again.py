"""A manager sees to whom passes go and what was set aside: on the tranche's page, and by commands; nobody is named."""

from datetime import UTC, date, datetime, timedelta
from html import unescape

import pytest

from app.people.roles import Role
from funding.hand_out_rules import HandOutRules
from funding.models import tranche as tranches
from funding.operations import StartProgramme, start_programme
from funding.tranches import Calendar, OpenTranche
from issuance.desks import Deliver, OpenDesk, deliver, open_desk
from issuance.given import given as listed
from issuance.hand_outs import HandOut
from issuance.holders import Holder
from issuance.serials import Serial
from ledger.identifiers import new_id
from ledger.moments import Moment
from ledger.sealing import key_text
from redemption.hand_out import hand_out
from redemption.sites import open_tranche
from tests.app.running import typed
from tests.app.test_pages_say_what_to_do_next import words
from tests.app.visiting import Person, engine_house, house
from tests.builders import (
    CALENDAR,
    MASTER_KEY,
    SEALER,
    SIRETS,
    a_workshop,
    a_world,
    an_order,
    done,
    given,
    scanned,
)
from tests.conftest import PARIS, copy_of_files, moment

__all__ = ["engine_house", "house"]

SHE = Holder("Le Goff", "Anne", date(1951, 3, 4))
NOW = Moment(datetime.now(UTC), PARIS)
DAY = timedelta(days=1)


def stranger(house) -> Person:
    """Return a manager of another programme than that of every pass here."""
    with house.database.begin("23") as session:
        starting = StartProgramme(new_id(), "aliso", "Aliso")
        start_programme(session, starting, by="test", now=house.now)
    return house.person(Role.MANAGER, programme="aliso")


def test_the_page_of_a_tranche_says_who_the_passes_went_to_and_what_is_missing(house):
    number = house.count(tranches) + 1
    code = f"T{number}"
    with house.database.begin("23") as session:
        opening = OpenTranche(
            new_id(), number, code, "tela", "AAP", 20_000, {"DEP": 1}, CALENDAR,
            hand_out=HandOutRules(limit_per_person=5, pic_share=50),
        )  # fmt: skip
        done(open_tranche(session, opening, by="test", now=moment("2020-01-06")))
        serials = an_order(session, house.world, 3, tranche=code)
        done(given(session, *serials[:5], pic=False, proof="declared", holder=SHE))
    manager = house.entered(house.of(Role.MANAGER))
    before = words(manager.get(f"/tranches/{code}").text)
    assert "Pass remis aux publics PIC : 0 sur les 10 promis" in before
    assert "Il en manque 10, sur les 15 pass qui restent à remettre" in before
    assert "malgré la limite" not in before

    with house.database.begin("23") as session:
        done(given(session, *serials[5:10], holder=SHE, despite_limit="other_person"))
    page = manager.get(f"/tranches/{code}").text
    said = words(page)
    assert '<progress id="pic-' in page
    assert "Pass remis aux publics PIC : 5 sur les 10 promis" in said
    assert "Publics PIC attesté par écrit par le guichet 5" in said
    assert "Autres publics 5" in said
    assert "CAF une autre personne du même nom 5" in said
    assert "Goff" not in page

    plain = words(manager.get("/tranches/T1").text)
    assert "promis" not in plain
    assert "aucun lien entre un pass et une personne n'est gardé" in plain
    assert "Autres publics" in plain


def test_what_an_organisation_gave_and_took_is_on_a_page(house):
    reader = house.entered(house.of(Role.AUDITOR))
    assert "Aucun pass n'a été utilisé" in words(reader.get("/lieux/meme-organisme").text)
    with house.database.begin("23") as session:
        library = OpenDesk(
            new_id(), "MEDIA", "Médiathèque", "Accueil", ("tela",), SIRETS[0]
        )
        done(open_desk(session, library, by="test", now=house.now))
        [first, *_] = serials = an_order(session, house.world, 1)
        lot = Deliver(
            new_id(), "MEDIA", Serial.parse(first).carnet, Serial.parse(first).carnet
        )
        done(deliver(session, lot, by="test", now=house.now))
        asked = HandOut(new_id(), "MEDIA", True, "attested", serials=(first,))
        done(hand_out(session, asked, by="desk-MEDIA", now=house.now))
        workshop = a_workshop(session)
        [used] = scanned(session, house.world, workshop, serials[0])
        assert used.verdict == "accepted"
    said = words(reader.get("/lieux/meme-organisme").text)
    assert "Médiathèque 1 SIREN 999000011 MEDIA 1 sur" in said
    assert 'href="/23/lieux/meme-organisme"' in reader.get("/lieux").text
    others = house.entered(stranger(house))
    unseen = words(others.get("/lieux/meme-organisme").text)
    assert "MEDIA" not in unseen
    assert "Aucun pass n'a été utilisé" in unseen


def test_hand_outs_out_of_the_ordinary_are_on_a_page_of_those_who_see_their_programme(
    house,
):
    page = "/lieux/meme-organisme"
    with house.database.begin("23") as session:
        serials = an_order(session, house.world, 1)
        done(given(session, serials[0], now=house.now, given_on=house.now.day - DAY))
    theirs = house.entered(house.person(Role.MANAGER, programme="tela"))
    said = words(theirs.get(page).text)
    late, despite = (
        said.index("Remises notées plus tard"),
        said.index("Remises malgré la limite"),
    )
    yesterday = "2 février 2020"
    assert f"{yesterday} CAF T1 1" in said[late:despite]
    others = house.entered(stranger(house))
    unseen = words(others.get(page).text)
    assert unseen.count("Aucune.") == 3
    assert "CAF" not in unseen


def test_someone_of_both_rooms_hands_out_and_uses_at_the_workshop(house):
    with house.database.begin("23") as session:
        opening = OpenDesk(new_id(), "BIBLIO", "Médiathèque", "Prêt", ("tela",), SIRETS[0])
        done(open_desk(session, opening, by="test", now=house.now))
        serials = an_order(session, house.world, 1)
        carnet = Serial.parse(serials[0]).carnet
        lot = Deliver(new_id(), "BIBLIO", carnet, carnet)
        done(deliver(session, lot, by="test", now=house.now))
        path = f"/ateliers/{a_workshop(session)}"
    token = house.world.token(serials[0])
    mediator = house.entered(house.of(Role.MEDIATOR))
    assert "Remettre et utiliser ici" not in mediator.post(path, token=token).text

    who = house.person(Role.PRESCRIBER_AGENT, desk="BIBLIO")
    house.person(Role.MEDIATOR, who.login)
    both = house.entered(who)
    offered = both.post(path, token=token)
    assert "Remettre et utiliser ici" in unescape(offered.text)
    fields = {"token": token, "desk": "BIBLIO", "taken": ""}
    wrong = both.post(f"{path}/remise", **fields, pic="yes")
    assert wrong.status_code == 422
    assert (
        both.post(f"{path}/remise", **fields | {"desk": "CAF"}, pic="yes").status_code
        == 404
    )
    told = both.post(f"{path}/remise", **fields, pic="yes", proof="declared")
    assert serials[0] in words(told.text)
    assert "Pass utilisés à l'instant : 1" in words(told.text)
    with house.database.begin("23", read_only=True) as session:
        [given_there] = [row for row in listed(session, "at-site") if row.desk == "BIBLIO"]
    assert (given_there.at_site, given_there.passes) == (1, 1)


@pytest.fixture
def there(sqlite_template, tmp_path, monkeypatch) -> list[object]:
    """A tranche of today with a limit, one carnet at a desk of the organisation of the first site."""
    monkeypatch.setenv("PASSNUM_VAULT_KEY", key_text(MASTER_KEY))
    days = [NOW.day + DAY * n for n in (30, 60, 90, 120, 150, 150)]
    with copy_of_files(sqlite_template, tmp_path) as database, database.begin("23") as s:
        start = Moment(NOW.at - 3 * DAY, PARIS)
        rules = HandOutRules(limit_per_person=5, pic_share=50, late_days=3)
        world = a_world(s, now=start, calendar=Calendar(*days), hand_out=rules)
        library = OpenDesk(
            new_id(), "MEDIA", "Médiathèque", "Accueil", ("tela",), SIRETS[0]
        )
        done(open_desk(s, library, by="test", now=start))
        serials = an_order(s, world, 4, now=start)
        done(deliver(s, Deliver(new_id(), "MEDIA", 1, 1), by="test", now=start))
        asked = HandOut(new_id(), "MEDIA", True, "attested", carnet=1, holder=SHE)
        done(hand_out(s, asked, by="desk-MEDIA", now=NOW, sealer=SEALER))
        workshop = a_workshop(s, NOW.day.isoformat(), now=NOW)
        [used] = scanned(s, world, workshop, serials[0], now=NOW)
        assert used.verdict == "accepted"
    return ["--departement", "23", "--data-dir", tmp_path]


def test_commands_hand_out_late_and_despite_a_limit_and_list_what_was(there):
    asked = ["hand-out", "--desk", "CAF", "--carnet", 2, "--not-pic"]
    holder = ["--holder", "LE-GOFF", "anne", "1951-03-04"]
    assert typed(*asked, *there).refusal == "holder_needed"
    assert typed(*asked, *holder, *there).refusal == "limit_per_person"
    wrong_day = typed(*asked, "--holder", "A", "B", "1951-13-04", *there)
    assert wrong_day.code == 2
    long_ago = ["--given-on", NOW.day - 4 * DAY]
    assert typed(*asked, *holder, *long_ago, *there).refusal == "given_on_impossible"
    yesterday = ["--given-on", NOW.day - DAY, "--despite-limit", "decided"]
    told = typed(*asked, *holder, *yesterday, *there)
    assert told.code == 0, told
    elsewhere = ["--carnet", 3, "--at-site", "lieu-2", "--holder", "A", "B", "1950-01-01"]
    assert (
        typed("hand-out", "--desk", "CAF", *elsewhere, *there).refusal == "not_at_this_site"
    )

    [late] = typed("hand-outs", "late", "--format", "json", *there).json
    [despite] = typed("hand-outs", "despite-limit", "--format", "json", *there).json
    assert late == despite
    expected = ((NOW.day - DAY).isoformat(), "CAF", 5, "decided", True)
    names = ("given_on", "desk", "passes", "despite_limit", "recorded_late")
    assert tuple(late[name] for name in names) == expected
    assert typed("hand-outs", "at-site", "--format", "json", *there).json == []
    assert typed("hand-outs", "late", "--tranche", "T9", *there).refusal == "not_found"

    [quota] = typed("quota", "T1", "--format", "json", *there).json
    assert (quota["handed_out"], quota["pic"], quota["share"]) == (10, 5, 50)
    assert quota["by_proof"] == {"attested": 5}
    assert "attesté par écrit par le guichet 5" in typed("quota", *there).out
    assert typed("quota", "T9", *there).refusal == "not_found"
    [same] = typed("report", "same-organisation", "--format", "json", *there).json
    assert (same["desk"], same["site"], same["passes"], same["percent"]) == (
        "MEDIA",
        1,
        1,
        100,
    )
    for word in ("Goff", "GOFF", "1951"):
        assert word not in typed("hand-outs", "late", *there).out


def test_commands_file_a_signed_paper_once_and_list_what_waits_for_one(there, tmp_path):
    [waits] = typed("attestation", "list", "--format", "json", *there).json
    assert (waits["desk"], waits["hand_outs"], waits["passes"]) == ("MEDIA", 1, 5)
    paper = tmp_path / "signed.pdf"
    filing = ["attestation", "file", paper, "--desk", "MEDIA"]
    days = ["--from", NOW.day - DAY, "--until", NOW.day]
    paper.write_bytes(b"")
    assert typed(*filing, *days, *there).refusal == "attestation_unreadable"
    paper.write_bytes(b"%PDF signed")
    told = typed(*filing, *days, *there)
    assert told.code == 0, told
    assert "1 remises couvertes. Gardez l'original" in told.out
    assert typed(*filing, *days, *there).refusal == "attestation_filed_already"
    assert typed("attestation", "list", "--format", "json", *there).json == []
    [line] = typed("attestation", "list", "--filed", "--format", "json", *there).json
    assert (line["desk"], line["hand_outs"]) == ("MEDIA", 1)
