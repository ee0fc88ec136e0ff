"""Pages do not grow: as many statements for sixty rows of what a page lists as for two."""

import math
from dataclasses import dataclass
from datetime import date

import pytest
from sqlalchemy.orm import Session

from app.devices import new_device
from app.people.roles import Role
from funding import operations as funds
from funding.tranches import OpenTranche
from issuance.desks import Deliver, OpenDesk, deliver, open_desk
from issuance.hand_outs import HandOut
from issuance.orders import PlaceOrder, place_order
from ledger.identifiers import new_id
from redemption.hand_out import hand_out
from redemption.sites import Accredit, accredit, open_tranche
from tests.app.visiting import House, engine_house, rooms
from tests.builders import (
    CALENDAR,
    SIRETS,
    a_site,
    a_workshop,
    an_order,
    done,
    scanned,
    sequence,
)
from tests.conftest import moment
from tests.sending import sent

__all__ = ["engine_house"]

FEW, MANY = 2, 60
BEFORE = moment("2020-01-06")


@dataclass
class Street:
    """A house, and how many there are of each thing that its pages list."""

    house: House
    passes: list[str]
    made: int = 0

    def grow(self, count: int) -> None:
        """Have this many tranches, accredited sites where passes were used, desks, orders, workshops, people."""
        for number in range(self.made + 1, count + 1):
            with self.house.database.begin("23") as session:
                self._add(session, number)
            self.house.person(Role.MEDIATOR, entered=number % 2 == 0)
            self.house.all_trades()
        self.made = count
        sequence(self.house.database)

    def _add(self, session: Session, number: int) -> None:
        world = self.house.world
        a_tranche(session, f"P{number}", number=100 + number, programme="tela")
        order = PlaceOrder(new_id(), f"P{number}", 1)
        done(place_order(session, order, signer=world.signer, by="test", now=BEFORE))
        desk = OpenDesk(new_id(), f"D{number}", f"Desk {number}", "Accueil", ("tela",))
        done(open_desk(session, desk, by="test", now=BEFORE))
        key = a_site(session, 100 + number, BEFORE, SIRETS[0])
        right = Accredit(new_id(), key, "reseau", date(2020, 1, 1))
        done(accredit(session, right, by="test", now=BEFORE))
        there = a_workshop(session, site=key)
        [verdict] = scanned(session, world, there, self.passes[number - 1])
        assert verdict.verdict == "accepted"
        a_workshop(session, site="lieu-1")


def a_tranche(session: Session, code: str, *, number: int, programme: str) -> None:
    shares = {"FSE": 60, "ETAT": 20, "DEP": 20}
    opening = OpenTranche(
        new_id(), number, code, programme, "AAP", 1_000_000, shares, calendar=CALENDAR
    )
    done(open_tranche(session, opening, by="test", now=BEFORE))


@pytest.fixture(scope="module")
def street(engine_house: House) -> Street:
    """A programme of its own, whose passes are in hand: tranches and sites do not multiply each other."""
    with engine_house.database.begin("23") as session:
        programme = funds.StartProgramme(new_id(), "reseau", "Réseau")
        done(funds.start_programme(session, programme, by="test", now=BEFORE))
        a_tranche(session, "Q", number=99, programme="reseau")
        desk = OpenDesk(new_id(), "RESEAU", "Réseau", "Accueil", ("reseau",))
        done(open_desk(session, desk, by="test", now=BEFORE))
        passes = an_order(
            session, engine_house.world, MANY // 5, tranche="Q", delivered=False
        )
        first = int(passes[0].split("-")[1])
        moved = Deliver(new_id(), "RESEAU", first, first + MANY // 5 - 1)
        done(deliver(session, moved, by="test", now=BEFORE))
        act = HandOut(new_id(), "RESEAU", True, "attested", serials=tuple(passes))
        done(hand_out(session, act, by="test", now=BEFORE))
    return Street(engine_house, passes)


def _costs(street: Street) -> dict[str, int]:
    """How many statements each page takes, and each form that is shown again."""
    house = street.house
    browser = house.all_trades()
    paths = [path for method, path, _door in rooms(house) if method == "GET"]
    paths += ["/tranches/Q", "/tranches/T999"]
    counts = {}
    for path in paths:
        with sent() as statements:
            answer = browser.get(path)
        assert answer.status_code in {200, 303, 404}, path
        counts[f"GET {path}"] = len(statements)
    for path in ("/personnes", "/ateliers", "/remise", "/compte/mot-de-passe"):
        with sent() as statements:
            answer = browser.post(path)
        assert answer.status_code == 422, path
        counts[f"POST {path}"] = len(statements)
    with sent() as statements:
        assert browser.post("/remise", carnet="11").status_code == 200
    counts["POST /remise, a carnet"] = len(statements)
    with sent() as statements:
        assert browser.post("/tranches/Q/export").status_code == 200
    counts["POST /tranches/Q/export"] = len(statements)
    with house.database.begin("23") as session:
        _, token = new_device(
            session, "23", scope="departement", at=None, label="x", now=house.now
        )
    signed = {"Authorization": f"Bearer {token}"}
    with sent() as statements:
        answer = house.http.get("/api/v1/reconciliations", headers=signed)
    assert answer.status_code == 200
    counts["GET /api/v1/reconciliations"] = len(statements)
    return counts


def test_a_page_takes_as_many_statements_for_sixty_rows_as_for_two(street, monkeypatch):
    # However slow the machine is, keys are read once.
    monkeypatch.setattr("app.remembered.SECONDS", math.inf)
    street.grow(FEW)
    browser = street.house.all_trades()
    browser.ask("GET", "/")  # the list of départements is read once, and the keys
    browser.get("/.well-known/passnum-keys.json")
    browser.post("/remise")
    before = _costs(street)
    few = {path: browser.get(path).text for path in ("/tranches", "/lieux", "/personnes")}

    street.grow(MANY)
    after = _costs(street)
    many = {path: browser.get(path).text for path in few}

    assert after == before
    assert max(after.values()) < 45  # the export, which is proved
    assert after["GET /"] > 5
    for path, page in many.items():
        rows = page.count("<tr") - few[path].count("<tr")
        assert rows == MANY - FEW, path
    assert browser.get("/tranches/Q").text.count("Médiathèque") == MANY
    assert browser.get("/ateliers").text.count('<a href="/23/ateliers/') == 50
