"""A counter remembers orders, workshops and tranches, and never judges by what stood before."""

from datetime import date

import msgspec
import pytest

from app.database import FilesPlace
from funding import operations as funds
from funding.tranches import AmendCalendar, amend_calendar
from issuance.orders import ActivateOrder, activate_order
from ledger import gates
from ledger.identifiers import new_id
from redemption import presented
from redemption.counter import Presented, redeem
from redemption.facts import Standing, facts
from redemption.mednum import clean
from redemption.sites import (
    Accredit,
    EndAccreditation,
    accredit,
    end_accreditation,
    save_site,
)
from redemption.workshops import OpenWorkshop, open_workshop
from tests.builders import (
    CALENDAR,
    MANAGER,
    SIRETS,
    a_site,
    a_workshop,
    a_world,
    an_order,
    done,
    given,
    scan_of,
)
from tests.conftest import moment

AT = moment("2020-02-03", 14)
LATE = moment("2021-01-20")
THEN = {"by": "test", "now": AT}


class Counter:
    """One counter of one process, and the passes of one carnet after the other."""

    def __init__(self, database):
        self.database, self.standing = database, Standing()
        with database.begin("23") as session:
            self.world = a_world(session, territory=("23096",))
            self.serials = an_order(session, self.world)
            given(session, *self.serials)
            a_site(session, 9, AT, SIRETS[2])  # accredited for nothing
            self.waiting = an_order(session, self.world, 1, active=False)
            self.here = a_workshop(session)
            self.there = a_workshop(session, site="lieu-9")
            self.late = a_workshop(session, "2021-01-20", now=LATE)

    def scan(self, workshop, serial=None, now=AT) -> str:
        token = self.world.token(serial or self.serials.pop())
        queue = [Presented(scan_of(token, workshop, now), MANAGER)]
        with self.database.begin("23") as session:
            [verdict] = redeem(
                session, queue, now=now, keyring=self.world.ring, standing=self.standing
            )
        return verdict.verdict


@pytest.fixture
def counter(database):
    return Counter(database)


def shorter(session, _counter):
    dates = msgspec.structs.replace(CALENDAR, tolerance_until=date(2021, 1, 1))
    return amend_calendar(session, AmendCalendar(new_id(), "T1", dates), **THEN)


def suspended(session, _counter):
    days = date(2020, 2, 1), date(2020, 2, 29)
    return funds.suspend_programme(
        session, funds.SuspendProgramme(new_id(), "tela", *days), **THEN
    )


def welcomed(session, _counter):
    return accredit(session, Accredit(new_id(), "lieu-9", "tela", date(2020, 1, 1)), **THEN)


def left(session, _counter):
    asked = EndAccreditation(new_id(), "lieu-1", "tela", date(2020, 2, 2))
    return end_accreditation(session, asked, **THEN)


def moved(session, _counter):
    row = {
        "id": "lieu-1", "pivot": SIRETS[0], "nom": "Médiathèque 1", "commune": "Aubusson",
        "code_postal": "23200", "code_insee": "23008", "adresse": "1 rue", "date_maj": "2020-02-01",
    }  # fmt: skip
    site = clean(row, imported_on=AT.day).site
    assert save_site(session, site, dated=True, **THEN) == "changed"


@pytest.mark.parametrize(
    ("act", "where", "now", "before", "after"),
    [
        (shorter, "late", LATE, "accepted", "too_late"),
        (suspended, "here", AT, "accepted", "programme_suspended"),
        (welcomed, "there", AT, "not_accredited", "accepted"),
        (left, "here", AT, "accepted", "not_accredited"),
        (moved, "here", AT, "accepted", "wrong_territory"),
    ],
)
def test_what_changes_is_known_to_the_next_scan(counter, act, where, now, before, after):
    workshop = getattr(counter, where)
    assert [counter.scan(workshop, now=now) for _ in "ab"] == [before, before]

    with counter.database.begin("23") as session:
        answer = act(session, counter)
        assert answer is None or answer.accepted
        if not isinstance(counter.database.place, FilesPlace):  # there, a writer is alone
            assert counter.scan(workshop, now=now) == before, "it is not committed yet"

    assert [counter.scan(workshop, now=now) for _ in "ab"] == [after, after]


def test_an_order_that_becomes_good_is_good_at_once(counter):
    first, second, *_ = counter.waiting
    assert counter.scan(counter.here, first) == "not_active"
    with counter.database.begin("23") as session:
        done(activate_order(session, ActivateOrder(new_id(), 2, "ENG-2"), **THEN))
    assert counter.scan(counter.here, second) == "not_handed_out"


def test_a_workshop_is_known_once_it_is_opened(counter):
    workshop, serial = new_id(), counter.serials[0]
    assert counter.scan(workshop, serial) == "workshop_unknown"
    with counter.database.begin("23") as session:
        workshop = a_workshop(session, "2020-02-02", now=AT)
    assert counter.scan(workshop, serial) == "accepted"


def read(monkeypatch) -> list[str]:
    """What is read of that which stands, from now on."""
    asked: list[str] = []
    for name in ("orders", "places"):
        reads = getattr(presented, name)

        def noted(*told, name=name, reads=reads):
            asked.append(name)
            return reads(*told)

        monkeypatch.setattr(presented, name, noted)
    return asked


def test_what_stands_is_read_once_until_something_changes(counter, monkeypatch):
    asked = read(monkeypatch)
    for _ in range(3):
        assert counter.scan(counter.here) == "accepted"
    assert asked == ["orders", "places"]

    with counter.database.begin("23") as session:
        done(shorter(session, counter))
    for _ in range(2):
        assert counter.scan(counter.here) == "accepted"
    assert asked == ["orders", "places"] * 2


def test_a_refused_act_on_reference_data_changes_no_generation(counter, monkeypatch):
    counter.scan(counter.here)
    asked = read(monkeypatch)
    with counter.database.begin("23") as session:
        again = Accredit(new_id(), "lieu-1", "tela", date(2020, 1, 1))
        assert accredit(session, again, **THEN).code == "already_accredited"
    counter.scan(counter.here)
    assert asked == []


def test_what_is_remembered_does_not_grow_without_end(counter, monkeypatch):
    monkeypatch.setattr(Standing, "MOST", 2)
    for day in range(1, 7):
        with counter.database.begin("23") as session:
            workshop = a_workshop(session, f"2020-01-2{day}", now=AT)
        assert counter.scan(workshop) == "accepted"
        with counter.database.begin("23") as session:
            generation = gates.generation(session)
        assert len(counter.standing.at(generation).places) <= 3


def test_a_workshop_that_another_flush_meets_meanwhile_is_as_unknown_as_it_was(
    counter, monkeypatch
):
    """Two flushes share what is remembered, and one goes on while the other waits for its answer."""
    new, [first, second] = new_id(), counter.serials[:2]
    real, meanwhile = presented.places, []

    def answered(session, workshops, tranches):
        found = real(session, workshops, tranches)
        if not meanwhile:
            opens = OpenWorkshop(new, "lieu-1", date(2020, 2, 3))
            meanwhile.append(open_workshop(session, opens, device=MANAGER, now=AT))
            facts(session, counter.standing, serials=[second], codes=[], workshops=[new])
        return found

    monkeypatch.setattr(presented, "places", answered)
    queue = [
        Presented(scan_of(counter.world.token(serial), workshop, AT), MANAGER)
        for serial, workshop in ((first, new), (second, counter.here))
    ]
    with counter.database.begin("23") as session:
        verdicts = redeem(
            session, queue, now=AT, keyring=counter.world.ring, standing=counter.standing
        )
    assert [v.verdict for v in verdicts] == ["workshop_unknown", "accepted"]
    assert counter.scan(new, first) == "accepted"
