"""A desk sees the carnets that it handed out and nobody used, by their numbers; the number of weeks is a setting."""

import csv
import io
import re
from datetime import timedelta
from html import unescape
from pathlib import Path

import pytest

from app.people.roles import Role
from app.settings import SettingsWrong, read_settings
from funding.operations import StartProgramme, start_programme
from ledger.identifiers import new_id
from tests.app.running import FEBRUARY, typed
from tests.app.visiting import House, engine_house, house
from tests.builders import done

__all__ = ["engine_house", "house"]

SIX_WEEKS = timedelta(weeks=6)


def told(page: str) -> str:
    main = page[page.index("<main") : page.index("</main")]
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", main)).split())


def test_a_desk_reads_numbers_dates_and_what_is_left_and_no_name(house: House):
    agent = house.entered(house.of(Role.PRESCRIBER_AGENT))
    assert 'href="/23/rappels"' in agent.get("/").text
    assert "Aucun carnet n'attend" in told(agent.get("/rappels").text)

    house.clock.at = FEBRUARY + SIX_WEEKS
    agent = house.entered(house.of(Role.PRESCRIBER_AGENT))
    answer = agent.get("/rappels")
    said = told(answer.text)

    # The server's world: twenty passes of ten carnets of five, handed out on 20 January.
    assert answer.status_code == 200
    assert "Carnets jamais utilisés : 4" in said
    assert re.findall(r"(\d+) 20 janvier 2020 (\d) 31 décembre 2020", said) == [
        (str(number), "5") for number in range(1, 5)
    ]
    assert "il y a 6 semaines ou plus" in said


def test_another_desk_is_not_told_of_them(house: House):
    house.clock.at = FEBRUARY + SIX_WEEKS
    other = house.entered(house.person(Role.PRESCRIBER_MANAGER, desk="CCAS"))
    assert "Aucun carnet n'attend" in told(other.get("/rappels").text)


def test_another_programme_of_the_same_desk_is_not_told_either(house: House):
    code = f"p{new_id().hex[-6:]}"
    with house.database.begin("23") as session:
        started = StartProgramme(new_id(), code, "Un autre")
        done(start_programme(session, started, by="test", now=house.now))
    house.clock.at = FEBRUARY + SIX_WEEKS
    other = house.entered(house.person(Role.PRESCRIBER_AGENT, programme=code))
    assert "Aucun carnet n'attend" in told(other.get("/rappels").text)
    same = house.entered(house.person(Role.PRESCRIBER_AGENT, programme="tela"))
    assert "Carnets jamais utilisés : 4" in told(same.get("/rappels").text)


def test_who_does_not_hand_out_is_not_told_either(house: House):
    for role in (Role.MANAGER, Role.MEDIATOR, Role.AUDITOR):
        assert house.entered(house.of(role)).get("/rappels").status_code == 403


def test_the_number_of_weeks_is_a_setting(tmp_path: Path):
    asked = {"PASSNUM_DATA_DIR": str(tmp_path)}
    assert read_settings(asked).unused_weeks == 6
    assert read_settings(asked | {"PASSNUM_UNUSED_WEEKS": " 8 "}).unused_weeks == 8
    for wrong in ("0", "-1", "six", "4.5", "1000", "٣"):
        with pytest.raises(SettingsWrong, match="PASSNUM_UNUSED_WEEKS"):
            read_settings(asked | {"PASSNUM_UNUSED_WEEKS": wrong})


def test_the_command_lists_them_for_people_machines_and_spreadsheets(tmp_path):
    there = ("--data-dir", tmp_path)
    made = typed("departement", "add", "23", "Creuse", "--host", "pass.creuse.fr", *there)
    assert made.code == 0, made
    assert typed("unused", "--format", "json", *there).json == []
    [titles] = csv.reader(io.StringIO(typed("unused", "--format", "csv", *there).out))
    assert titles == ["desk", "carnet", "handed_out_on", "left", "use_by", "programme"]
    assert typed("unused", "--weeks", 0, *there).code == 2
    assert typed("unused", "--desk", "CAF", *there).refusal == "not_found"
