"""One page hands carnets out, one person after the other; what was scanned goes no further than the form."""

import re
from datetime import date, timedelta

import pytest
from sqlalchemy import select

from app.people.roles import Role
from funding.hand_out_rules import HandOutRules
from funding.tranches import OpenTranche
from issuance import codes
from issuance.models import hand_out, handed_out
from issuance.serials import Serial
from ledger import canonical
from ledger.identifiers import new_id
from ledger.models import attempt, entry
from redemption.sites import open_tranche
from tests.app.visiting import engine_house, house, plain
from tests.builders import CALENDAR, an_order, done
from tests.conftest import moment
from tests.together import at_once

__all__ = ["engine_house", "house"]

GIVE = {"pic": "yes", "proof": "attested", "give": "1"}
AZERTY = str.maketrans("1234567890-./:;AQWZM", "&é\"'(-è_çà):!M,QAZW?")
PROGRAM = {"Accept": "application/json"}


@pytest.fixture(scope="module")
def stock(engine_house):
    """The serials of forty carnets at the CAF, the first of each next; each is for one test."""
    with engine_house.database.begin("23") as session:
        serials = an_order(session, engine_house.world, 40)
    return iter(serials[::5])


@pytest.fixture
def serial(stock) -> str:
    """The first pass of a carnet that waits at the desk."""
    return next(stock)


@pytest.fixture
def agent(house):
    return house.entered(house.person(Role.PRESCRIBER_AGENT))


def carnet_of(serial: str) -> str:
    return str(Serial.parse(serial).carnet)


def given_of(house, serial: str) -> list[str]:
    """The passes of a carnet that somebody has."""
    return [
        out
        for out in house_serials(house)
        if Serial.parse(out).carnet == Serial.parse(serial).carnet
    ]


def house_serials(house) -> list[str]:
    with house.database.begin("23", read_only=True) as session:
        return sorted(session.scalars(select(handed_out.c.serial)))


def facts_of_last(house) -> dict:
    """What the last hand-out that was recorded says."""
    with house.database.begin("23", read_only=True) as session:
        body = session.scalars(
            select(entry.c.body)
            .where(entry.c.kind == "handed_out")
            .order_by(entry.c.id.desc())
            .limit(1)
        ).one()
    return canonical.decode(body)


def code_of(house, serial: str) -> str:
    key = house.world.signer.code_key
    return codes.display("23", codes.derive(key, Serial.parse(serial)))


def test_a_carnet_that_is_named_is_shown_and_not_handed_out(house, agent, serial):
    told = agent.post("/remise", carnet=carnet_of(serial))
    assert told.status_code == 200
    assert f"Carnet {carnet_of(serial)}" in plain(told.text)
    assert "Il reste 5 pass sur 5" in plain(told.text)
    assert given_of(house, serial) == []


@pytest.mark.parametrize("named", ["number", "cover", "pass", "code", "qr", "qr on AZERTY"])
def test_a_carnet_is_handed_out_however_it_was_named(house, agent, serial, named):
    texts = {
        "number": carnet_of(serial),
        "cover": serial.rpartition("-")[0],
        "pass": serial,
        "code": code_of(house, serial),
        "qr": house.world.token(serial),
        "qr on AZERTY": house.world.token(serial).translate(AZERTY),
    }
    told = agent.post("/remise", carnet=texts[named], **GIVE)
    assert f"Carnet {carnet_of(serial)} remis : 5 pass" in plain(told.text)
    assert "Dites à la personne" in plain(told.text)
    assert len(given_of(house, serial)) == 5


def test_a_qr_code_goes_into_no_address_no_page_and_no_log(house, agent, serial, caplog):
    caplog.set_level("DEBUG")
    token = house.world.token(serial)
    digits = token[-191:]
    pages = [
        agent.post("/remise", carnet=token),
        agent.post("/remise", carnet=token, **GIVE),
        agent.post("/remise", carnet=token, **GIVE),  # refused: all given
        agent.post("/remise", carnet=token[:-1], **GIVE),
        agent.send(
            "/remise", {"csrf": agent.csrf, "carnet": token, **GIVE}, headers=PROGRAM
        ),
    ]
    for answer in pages:
        assert digits[:-1] not in answer.text, answer.request.method
        assert "location" not in answer.headers
    assert digits[:-1] not in caplog.text
    assert "POST" in caplog.text, "logs are read here"


def test_an_address_names_no_carnet(house, agent, serial):
    for named in (carnet_of(serial), house.world.token(serial)[-191:]):
        told = agent.get(f"/remise?carnet={named}").text
        assert "Il reste" not in told
        assert re.search(r'<input id="carnet"[^>]* value=""', told)


def test_a_forged_pass_names_no_carnet(house, agent, serial):
    token = house.world.token(serial)
    forged = token[:-1] + str((int(token[-1]) + 1) % 10)
    told = agent.post("/remise", carnet=forged, **GIVE)
    assert told.status_code == 422
    assert given_of(house, serial) == []


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("bonjour", "Ce n'est pas un numéro de carnet"),
        ("", "Ce n'est pas un numéro de carnet"),
        ("987654", "987654"),
        ("19-000001-1", "autre département (19)"),
    ],
)
def test_what_names_no_carnet_is_told(agent, typed, said):
    told = agent.post("/remise", carnet=typed, **GIVE)
    assert told.status_code == 422
    assert said in plain(told.text)


def test_what_is_missing_is_asked_and_nothing_typed_is_lost(house, agent, serial):
    told = agent.post(
        "/remise", carnet=serial, proof="attested", need="boost", give="1", pass_2="1"
    )
    assert told.status_code == 422
    assert re.search(r'value="attested" checked', told.text)
    assert re.search(r'value="boost" selected', told.text)
    assert re.search(r'name="pass_2" value="1" checked', told.text)
    assert given_of(house, serial) == []


def test_the_answers_are_kept_for_the_next_person_but_not_what_is_only_theirs(
    agent, serial, stock
):
    told = agent.post("/remise", carnet=serial, need="boost", **GIVE)
    assert re.search(r'name="pic" value="yes" checked', told.text)
    assert re.search(r'name="proof" value="attested" checked', told.text)
    assert not re.search(r'value="boost" selected', told.text)
    assert re.search(r'<input id="carnet"[^>]* value=""', told.text)
    assert "vérifiez-les" in plain(told.text)


def test_a_part_of_a_carnet_is_given_and_the_rest_stays_for_another(house, agent, serial):
    number = carnet_of(serial)
    first = agent.post("/remise", carnet=number, pass_1="1", pass_3="1", **GIVE)
    assert f"Carnet {number} remis : 2 pass" in plain(first.text)
    assert "Il reste 3 pass dans ce carnet" in plain(first.text)
    shown = agent.post("/remise", carnet=number)
    assert "Il reste 3 pass sur 5" in plain(shown.text)
    assert re.findall(r'name="pass_(\d)"', shown.text) == ["2", "4", "5"]
    second = agent.post("/remise", carnet=number, **GIVE)
    assert f"Carnet {number} remis : 3 pass" in plain(second.text)
    assert len(given_of(house, serial)) == 5


def test_a_pass_that_was_scanned_is_marked_among_those_of_its_carnet(house, agent, serial):
    third = serial[:-1] + "3"
    told = agent.post("/remise", carnet=house.world.token(third))
    assert re.findall(r"Pass n° (\d), celui que vous avez scanné", told.text) == ["3"]


def test_a_form_of_another_carnet_asks_again(house, agent, serial, stock):
    other = next(stock)
    told = agent.post("/remise", carnet=other, about=carnet_of(serial), **GIVE)
    assert told.status_code == 200
    assert f"Carnet {carnet_of(other)}" in plain(told.text)
    assert given_of(house, other) == given_of(house, serial) == []


@pytest.mark.parametrize("part", [{}, {"pass_2": "1"}])
def test_a_form_sent_again_is_one_hand_out_and_hears_the_same(house, agent, serial, part):
    fields = {"csrf": agent.csrf, "id": str(new_id()), "carnet": serial, **GIVE, **part}
    page = agent.send("/remise", fields)
    again = agent.send("/remise", fields)
    program = agent.send("/remise", fields, headers=PROGRAM)
    assert [page.status_code, again.status_code, program.status_code] == [200, 200, 200]
    assert program.json()["code"] == "accepted"
    assert program.json()["text"].startswith(f"Carnet {carnet_of(serial)} remis")
    assert len(given_of(house, serial)) == (1 if part else 5)


def test_two_desks_that_race_for_a_carnet_give_it_once(house, serial):
    agents = [house.entered(house.person(Role.PRESCRIBER_AGENT)) for _ in range(2)]
    fields = [{"csrf": agent.csrf, "carnet": serial, **GIVE} for agent in agents]
    headers = [
        {"Cookie": "; ".join(f"{k}={v}" for k, v in agent.cookies.items()),
         "Sec-Fetch-Site": "same-origin", "Accept": "text/html"}
        for agent in agents
    ]  # fmt: skip

    def give(turn: int) -> int:
        sent = house.http.post("/23/remise", data=fields[turn], headers=headers[turn])
        return sent.status_code

    assert sorted(at_once(give, 2)) == [200, 422]
    assert len(given_of(house, serial)) == 5


def test_a_carnet_of_another_desk_is_refused(house, serial):
    there = house.entered(house.person(Role.PRESCRIBER_AGENT, desk="CCAS"))
    told = there.post("/remise", carnet=serial, **GIVE)
    assert told.status_code == 422
    assert "guichet" in plain(told.text)
    assert given_of(house, serial) == []


def test_whoever_is_at_two_desks_says_at_which(house, serial):
    someone = house.person(Role.PRESCRIBER_AGENT)
    house.person(Role.PRESCRIBER_AGENT, someone.login, desk="CCAS")
    agent = house.entered(someone)
    told = agent.post("/remise", carnet=serial, **GIVE)
    assert told.status_code == 422
    assert 'id="desk-error"' in told.text
    told = agent.post("/remise", carnet=serial, desk="CAF", **GIVE)
    assert "remis" in plain(told.text)
    assert "<option selected>CAF" in told.text, "the same for the next"


def test_a_carnet_of_an_order_that_is_not_active_is_refused(house, agent):
    with house.database.begin("23") as session:
        [first, *_] = an_order(session, house.world, 1, active=False)
    told = agent.post("/remise", carnet=first, **GIVE)
    assert told.status_code == 422
    assert given_of(house, first) == []


def test_after_the_last_day_nothing_is_handed_out(house, serial):
    house.clock.at = moment(str(CALENDAR.hand_out_stop + timedelta(days=1)), 9).at
    agent = house.entered(house.person(Role.PRESCRIBER_AGENT))
    told = agent.post("/remise", carnet=serial, **GIVE)
    assert told.status_code == 422
    assert given_of(house, serial) == []


def test_what_was_handed_out_today_is_listed_and_only_ones_own(house, agent, serial):
    agent.post("/remise", carnet=serial, **GIVE)
    line = f"carnet {carnet_of(serial)} : 5 pass"
    assert line in plain(agent.get("/remise").text)
    other = house.entered(house.person(Role.PRESCRIBER_AGENT))
    assert line not in plain(other.get("/remise").text)


def test_a_hand_out_of_another_day_says_both_days(house, agent, serial):
    told = agent.post("/remise", carnet=serial, given_on="2020-01-30", **GIVE)
    assert "Enregistré aujourd'hui, remis le 30 janvier 2020." in plain(told.text)
    assert facts_of_last(house)["facts"]["recorded_late"] is True


@pytest.mark.parametrize(
    ("day", "said"),
    [("2020-02-04", "given_on"), ("2019-12-01", "given_on"), ("hier", "given_on")],
)
def test_a_day_that_cannot_be_is_told_beside_its_field(house, agent, serial, day, said):
    told = agent.post("/remise", carnet=serial, given_on=day, **GIVE)
    assert told.status_code == 422
    assert f'id="{said}-error"' in told.text
    assert given_of(house, serial) == []


def test_what_a_device_kept_is_of_the_day_it_was_given(house, agent, serial):
    fields = {"csrf": agent.csrf, "id": str(new_id()), "carnet": serial,
              "given_at": "2020-01-31T23:30:00Z", **GIVE}  # fmt: skip
    told = agent.send("/remise", fields, headers=PROGRAM)
    assert told.json()["code"] == "accepted"
    with house.database.begin("23", read_only=True) as session:
        on = session.scalars(
            select(hand_out.c.given_on).where(hand_out.c.entry_id == fields["id"])
        ).one()
    assert on == date(2020, 2, 1), "the département's own day"


def test_what_was_given_just_before_midnight_is_the_same_when_it_is_sent_again(
    house, serial
):
    house.clock.at = moment("2020-02-03", 23).at
    who = house.person(Role.PRESCRIBER_AGENT)
    agent = house.entered(who)
    fields = {"csrf": agent.csrf, "id": str(new_id()), "carnet": serial,
              "given_at": house.clock.at.isoformat(), **GIVE}  # fmt: skip
    first = agent.send("/remise", fields, headers=PROGRAM)
    house.clock.at += timedelta(hours=3)
    tomorrow = house.entered(who)
    second = tomorrow.send("/remise", fields | {"csrf": tomorrow.csrf}, headers=PROGRAM)
    assert [first.json()["code"], second.json()["code"]] == ["accepted", "accepted"]


def test_a_program_hears_each_no_by_its_code(house, agent, serial):
    def code(**fields: str) -> str:
        sent = {"csrf": agent.csrf, **fields}
        answer = agent.send("/remise", sent, headers=PROGRAM)
        assert 400 <= answer.status_code < 500
        assert answer.json()["detail"]
        return str(answer.json()["code"])

    assert code(carnet="?", **GIVE) == "carnet_unreadable"
    assert code(carnet=serial, give="1") == "choice_needed"
    agent.post("/remise", carnet=serial, **GIVE)
    assert code(carnet=serial, **GIVE) == "already_handed_out"
    answer = agent.send("/remise", {"csrf": "x", "carnet": serial, **GIVE}, headers=PROGRAM)
    assert answer.json()["code"] == "from_elsewhere"
    nobody = house.browser().send("/remise", {"carnet": serial, **GIVE}, headers=PROGRAM)
    assert nobody.json()["code"] == "sign_in_needed"


# ---- Names, where the tranche asks for them


@pytest.fixture(scope="module")
def named(engine_house):
    """Carnets of a tranche where a person gets ten passes at most, and is named to the vault."""
    rules = HandOutRules(limit_per_person=10, holders_named=True)
    with engine_house.database.begin("23") as session:
        tranche = OpenTranche(
            new_id(),
            9,
            "T9",
            "tela",
            "AAP",
            200_000,
            {"FSE": 60, "DEP": 40},
            CALENDAR,
            hand_out=rules,
        )
        done(open_tranche(session, tranche, by="test", now=moment("2020-01-06")))
        serials = an_order(session, engine_house.world, 12, tranche="T9")
    return iter(serials[::5])


def someone(n: int) -> dict[str, str]:
    return {
        "surname": "Exemple",
        "first_name": f"Personne {chr(96 + n)}",
        "born_on": "1950-05-01",
    }


def test_a_name_is_asked_for_with_its_reason_where_the_tranche_does(agent, serial, named):
    shown = plain(agent.post("/remise", carnet=next(named)).text)
    assert "Pour qui ?" in shown
    assert "10 pass, tous guichets ensemble" in shown
    assert "L'Europe paie une partie" in shown
    assert "n'est écrit nulle part" not in shown, "it is sealed in the vault"
    assert "Pour qui ?" not in plain(agent.post("/remise", carnet=serial).text)


def test_a_name_that_is_missing_is_told_and_what_was_typed_stays(house, agent, named):
    first = next(named)
    told = agent.post(
        "/remise", carnet=first, surname="Exemple", born_on="1950-05-01", **GIVE
    )
    assert told.status_code == 422
    assert 'id="first_name-error"' in told.text
    assert re.search(r'<input id="surname"[^>]* value="Exemple"', told.text)
    assert given_of(house, first) == []


def test_over_the_limit_two_ways_out_are_offered_and_leave_a_trace(house, agent, named):
    who = someone(1)
    for _ in range(2):
        assert agent.post("/remise", carnet=next(named), **who, **GIVE).status_code == 200
    third = next(named)
    told = agent.post("/remise", carnet=third, **who, **GIVE)
    assert told.status_code == 422
    assert "a déjà reçu 10 pass" in plain(told.text)
    assert re.findall(r'name="despite_limit" value="(\w+)"', told.text) == [
        "other_person",
        "decided",
    ]
    assert re.search(r'<input id="first_name"[^>]* value="Personne a"', told.text)
    assert given_of(house, third) == []

    done_ = agent.post("/remise", carnet=third, despite_limit="decided", **who, **GIVE)

    assert done_.status_code == 200
    assert "Exemple" not in done_.text, "a name is not offered to the next person"
    assert facts_of_last(house)["facts"]["despite_limit"] == "decided"


def test_a_name_is_in_no_entry_and_changes_no_retry(house, agent, named):
    fields = {
        "csrf": agent.csrf,
        "id": str(new_id()),
        "carnet": next(named),
        **someone(2),
        **GIVE,
    }
    assert agent.send("/remise", fields).status_code == 200
    assert agent.send("/remise", fields | {"surname": "Exemples"}).status_code == 200
    with house.database.begin("23", read_only=True) as session:
        bodies = b"".join(session.scalars(select(entry.c.body)))
        assert session.scalar(select(attempt.c.id).where(attempt.c.id == fields["id"]))
    assert b"Exemple" not in bodies
