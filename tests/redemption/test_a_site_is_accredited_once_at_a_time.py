"""A site is accredited for a programme by days that follow one another, and money can then be owed to it."""

import threading
from datetime import date

import pytest
from sqlalchemy import insert, select, update
from sqlalchemy.exc import IntegrityError

from funding.tranches import OpenTranche
from ledger.identifiers import new_id
from ledger.models import account
from redemption.audit import places_are_told_by_their_entries
from redemption.mednum import clean
from redemption.models import accreditation
from redemption.sites import (
    Accredit,
    EndAccreditation,
    accredit,
    end_accreditation,
    open_tranche,
    save_site,
)
from tests.builders import (
    CALENDAR,
    a_site,
    a_workshop,
    a_world,
    an_order,
    done,
    given,
    scanned,
    sequence,
)
from tests.conftest import moment

NOW = moment("2020-01-06")


@pytest.fixture
def opened(database):
    """Two accredited sites and a third, lieu-3, that is not yet."""
    with database.begin("23") as session:
        world = a_world(session)
        a_site(session, 3, NOW)
    return database, world


def accrediting(session, valid_from: str, valid_until: str = "9999-12-31", site="lieu-3"):
    days = date.fromisoformat(valid_from), date.fromisoformat(valid_until)
    return accredit(session, Accredit(new_id(), site, "tela", *days), by="test", now=NOW)


def ending(session, last_day: str, reason="suspended", site="lieu-3"):
    request = EndAccreditation(new_id(), site, "tela", date.fromisoformat(last_day), reason)
    return end_accreditation(session, request, by="test", now=NOW)


def kept(session, site: int = 3) -> list[tuple]:
    rows = session.execute(
        select(accreditation.c.number, accreditation.c.valid_from, accreditation.c.valid_until)
        .where(accreditation.c.site == site)
        .order_by(accreditation.c.number)
    ).all()  # fmt: skip
    return [(n, start.isoformat(), end.isoformat()) for n, start, end in rows]


def test_days_that_are_not_after_the_last_ones_are_refused(opened):
    database, _ = opened
    with database.begin("23") as session:
        done(accrediting(session, "2020-03-01", "2020-06-30"))
        for days in [
            ("2020-04-01", "2020-04-30"),
            ("2020-06-30", "2020-12-31"),
            ("2020-01-01", "2020-03-31"),
            ("2020-01-01", "2020-02-28"),
        ]:
            answer = accrediting(session, *days)
            assert (answer.code, answer.facts) == (
                "already_accredited",
                {"site": "lieu-3", "until": "2020-06-30"},
            ), days
        assert kept(session) == [(0, "2020-03-01", "2020-06-30")]


def test_the_next_accreditation_starts_the_day_after_the_last_one(opened):
    database, _ = opened
    with database.begin("23") as session:
        done(accrediting(session, "2020-03-01", "2020-06-30"))
        done(accrediting(session, "2020-07-01"))
        assert kept(session) == [
            (0, "2020-03-01", "2020-06-30"),
            (1, "2020-07-01", "9999-12-31"),
        ]


def test_a_suspended_site_counts_again_from_its_later_accreditation(opened):
    database, world = opened
    with database.begin("23") as session:
        serials = an_order(session, world, 1)
        given(session, *serials)
        assert ending(session, "2020-02-29").code == "site_not_accredited"
        done(accrediting(session, "2020-02-01"))
        done(ending(session, "2020-02-29"))
        assert accrediting(session, "2020-02-29").code == "already_accredited"
        done(accrediting(session, "2020-04-01"))
        days = ["2020-02-29", "2020-03-01", "2020-03-31", "2020-04-01"]
        told = [
            scanned(session, world, a_workshop(session, day, "lieu-3"), serial)[0].verdict
            for day, serial in zip(days, serials, strict=False)
        ]
    assert told == ["accepted", "not_accredited", "not_accredited", "accepted"]


def test_an_accreditation_withdrawn_before_it_began_never_held(opened):
    database, world = opened
    with database.begin("23") as session:
        serials = an_order(session, world, 1)
        given(session, *serials)
        done(accrediting(session, "2020-02-03"))
        assert ending(session, "2020-02-01", "withdrawn").code == "site_not_accredited"
        done(ending(session, "2020-02-02", "withdrawn"))
        workshop = a_workshop(session, "2020-02-03", "lieu-3")
        assert scanned(session, world, workshop, serials[0])[0].verdict == "not_accredited"
        done(accrediting(session, "2020-02-03"))
        assert scanned(session, world, workshop, serials[0])[0].verdict == "accepted"


@pytest.mark.parametrize("reason", ["withdrawn", "closed"])
def test_a_site_that_withdraws_before_its_renewals_has_none_of_them(opened, reason):
    database, world = opened
    with database.begin("23") as session:
        serials = an_order(session, world, 1)
        given(session, *serials)
        for year in ("2020", "2021", "2022"):
            done(accrediting(session, f"{year}-01-01", f"{year}-12-31"))
        done(ending(session, "2020-01-31", reason))
        assert kept(session) == [
            (0, "2020-01-01", "2020-01-31"),
            (1, "2021-01-01", "2020-01-31"),
            (2, "2022-01-01", "2020-01-31"),
        ]
        days = {"2020-01-31": "accepted", "2020-02-03": "not_accredited"}
        for serial, (day, verdict) in zip(serials, days.items(), strict=False):
            workshop = a_workshop(session, day, "lieu-3")
            assert scanned(session, world, workshop, serial)[0].verdict == verdict
        assert ending(session, "2021-06-30").code == "site_not_accredited"
        done(accrediting(session, "2020-02-01"))
    sequence(database)
    with database.begin("23", read_only=True) as session:
        assert [*places_are_told_by_their_entries(session)] == []


def test_a_suspension_before_a_renewal_leaves_the_renewal(opened):
    database, _ = opened
    with database.begin("23") as session:
        done(accrediting(session, "2020-01-01", "2020-12-31"))
        done(accrediting(session, "2021-01-01", "2021-12-31"))
        done(ending(session, "2020-06-30"))
        done(ending(session, "2020-05-31"))
        assert kept(session) == [
            (0, "2020-01-01", "2020-05-31"),
            (1, "2021-01-01", "2021-12-31"),
        ]
    sequence(database)
    with database.begin("23", read_only=True) as session:
        assert [*places_are_told_by_their_entries(session)] == []


def test_a_candidate_site_is_refused_until_it_has_a_siret(opened):
    database, _ = opened
    row = {
        "id": "lieu-9", "pivot": "", "nom": "Café des Halles", "commune": "Guéret", "code_postal": "23000",
        "code_insee": "23096", "adresse": "1 place du Marché", "date_maj": "2020-01-01",
    }  # fmt: skip
    with database.begin("23") as session:
        candidate = clean(row, imported_on=NOW.day).site
        save_site(session, candidate, dated=True, by="test", now=NOW)
        assert accrediting(session, "2020-03-01", site="lieu-9").code == "candidate_site"
        named = clean(row | {"pivot": "35600000000048"}, imported_on=NOW.day).site
        save_site(session, named, dated=True, by="test", now=NOW)
        done(accrediting(session, "2020-03-01", site="lieu-9"))


def test_what_does_not_exist_and_days_out_of_order_are_refused(opened):
    database, _ = opened
    with database.begin("23") as session:
        assert accrediting(session, "2020-03-01", site="lieu-99").code == "not_found"
        other = Accredit(new_id(), "lieu-3", "other", date(2020, 3, 1))
        assert accredit(session, other, by="test", now=NOW).code == "not_found"
        assert accrediting(session, "2020-03-02", "2020-03-01").code == "days_out_of_order"
        assert kept(session) == []


def by_hand(session, **changes) -> None:
    source = session.scalar(select(accreditation.c.entry_id).limit(1))
    row = {
        "site": 3, "programme": "tela", "number": 1, "valid_from": date(2020, 7, 1),
        "valid_until": date(2020, 12, 31), "previous": 0, "previous_until": date(2020, 6, 30),
        "entry_id": source,
    }  # fmt: skip
    session.execute(insert(accreditation).values(row | changes))


FOREIGN = "fk_accreditation_previous|FOREIGN KEY constraint failed"  # SQLite names none
CHECKED = "ck_accreditation_one_after_another"
OVERLAPS = [
    ({"previous_until": date(2020, 3, 31)}, FOREIGN),
    ({"number": 2, "previous": 1}, FOREIGN),
    ({"valid_from": date(2020, 6, 30)}, CHECKED),
    ({"number": 2}, CHECKED),
    ({"previous_until": None}, CHECKED),
    ({"previous": None, "previous_until": None}, CHECKED),
]


def test_raw_sql_cannot_make_two_hold_at_once(opened):
    database, _ = opened
    with database.begin("23") as session:
        done(accrediting(session, "2020-03-01", "2020-06-30"))
    for changes, named in OVERLAPS:
        with (
            pytest.raises(IntegrityError, match=named),
            database.begin("23") as session,
        ):
            by_hand(session, **changes)
    with database.begin("23") as session:
        by_hand(session)
        assert [n for n, *_ in kept(session)] == [0, 1]


def test_raw_sql_cannot_name_a_day_without_the_accreditation_that_ended_on_it(opened):
    database, _ = opened
    with database.begin("23") as session:
        done(accrediting(session, "2020-03-01", "2020-06-30"))
    with pytest.raises(IntegrityError, match=CHECKED), database.begin("23") as session:
        by_hand(
            session,
            valid_from=date(2020, 4, 1),
            previous=None,
            previous_until=date(2020, 1, 1),
        )


def test_raw_sql_cannot_stretch_days_over_those_that_follow(opened):
    database, _ = opened
    with database.begin("23") as session:
        done(accrediting(session, "2020-03-01", "2020-06-30"))
        done(accrediting(session, "2020-07-01"))
    with (
        pytest.raises(IntegrityError, match=CHECKED),
        database.begin("23") as session,
    ):
        session.execute(
            update(accreditation)
            .where(accreditation.c.site == 3, accreditation.c.number == 0)
            .values(valid_until=date(2020, 12, 31))
        )


def test_of_two_people_who_accredit_at_once_one_is_heard(opened):
    database, _ = opened
    accepted, barrier = [], threading.Barrier(4)

    def try_it() -> None:
        barrier.wait()
        try:
            with database.begin("23") as session:
                answer = accrediting(session, "2020-03-01")
        except IntegrityError:  # the primary key has the last word
            return
        accepted.append(answer.accepted)

    threads = [threading.Thread(target=try_it) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert accepted.count(True) == 1
    with database.begin("23") as session:
        assert kept(session) == [(0, "2020-03-01", "9999-12-31")]


def accounts_of(session, party: str) -> set[str]:
    return set(session.scalars(select(account.c.name).where(account.c.party == party)))


def test_its_accounts_are_made_for_tranches_open_before_and_after(opened):
    database, _ = opened
    shares = {"FSE": 60, "ETAT": 20, "DEP": 20}
    with database.begin("23") as session:
        assert accounts_of(session, "3") == set()
        done(accrediting(session, "2020-03-01", "2020-03-31"))
        assert accounts_of(session, "3") == {"due/1/3", "paid/1/3", "recoverable/1/3"}
        request = OpenTranche(new_id(), 2, "T2", "tela", "AAP", 100_000, shares, CALENDAR)
        done(open_tranche(session, request, by="test", now=NOW))
        for site in ("1", "2", "3"):
            assert accounts_of(session, site) == {
                f"{kind}/{tranche}/{site}"
                for kind in ("due", "paid", "recoverable")
                for tranche in (1, 2)
            }
        done(accrediting(session, "2020-04-01"))
        assert len(accounts_of(session, "3")) == 6
