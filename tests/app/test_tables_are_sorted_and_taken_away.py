"""A table is sorted as its reader asks; a copy of it leaves an entry; a programme's reader sees that programme."""

import csv
import json
from io import StringIO

from sqlalchemy import select

from app.people.roles import Role
from funding import operations as funds
from ledger.identifiers import new_id
from ledger.models import entry
from tests.app.visiting import House, engine_house, house

__all__ = ["engine_house", "house"]


def exported(house: House) -> list[str]:
    with house.database.begin("23", read_only=True) as session:
        bodies = session.scalars(select(entry.c.body).where(entry.c.kind == "exported"))
        return [json.loads(body)["facts"]["what"] for body in bodies]


def test_sites_come_in_the_order_that_is_asked_for(house):
    reader = house.entered(house.person(Role.AUDITOR))
    by_number = reader.get("/lieux").text
    assert by_number.index("Médiathèque 1") < by_number.index("Médiathèque 2")
    by_siret = reader.get("/lieux?tri=siret").text
    assert by_siret.index("99900001100018") < by_siret.index("99900002900010")
    assert 'tri=siret" aria-current="true"' in by_siret
    assert reader.get("/lieux?tri=nothing").status_code == 200


def test_a_copy_of_the_sites_is_csv_and_leaves_an_entry(house):
    reader = house.entered(house.person(Role.ACCOUNTANT))
    before = exported(house).count("sites")
    answer = reader.post("/lieux/export")
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert 'filename="lieux.csv"' in answer.headers["content-disposition"]
    rows = list(csv.DictReader(StringIO(answer.text)))
    assert [row["name"] for row in rows] == ["Médiathèque 1", "Médiathèque 2"]
    assert exported(house).count("sites") == before + 1


def test_a_reader_of_another_programme_does_not_see_the_tranche(house):
    theirs = house.entered(house.person(Role.MANAGER, programme="tela"))
    assert theirs.get("/tranches/T1").status_code == 200
    with house.database.begin("23") as session:
        another = funds.StartProgramme(new_id(), "aliso", "Aliso")
        assert funds.start_programme(session, another, by="test", now=house.now).accepted
    others = house.entered(house.person(Role.MANAGER, programme="aliso"))
    assert others.get("/tranches/T1").status_code == 404
    assert "T1" not in others.get("/tranches").text
    assert others.post("/tranches/T1/export").status_code == 404
