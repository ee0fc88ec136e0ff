"""A tranche is what funders signed: anything else is refused, remembered, and leaves nothing behind."""

from collections import Counter
from datetime import date

import msgspec
import pytest
from sqlalchemy import func, select

from funding import operations as funds
from funding.allocation import Funder
from funding.hand_out_rules import HandOutRules
from funding.models import calendar, share, share_version
from funding.tranches import (
    AREA,
    AmendCalendar,
    ChangeShares,
    OpenTranche,
    amend_calendar,
    change_shares,
    open_tranche,
)
from ledger import queries
from ledger.columns import metadata
from ledger.identifiers import new_id
from ledger.models import attempt, refusal
from tests.builders import CALENDAR, a_world, done
from tests.conftest import moment
from tests.together import at_once

NOW = moment("2020-01-07")
SIGNED = {"FSE": 60, "ETAT": 20, "DEP": 20}


def a_tranche(**facts) -> OpenTranche:
    plain = {
        "number": 2,
        "code": "T2",
        "programme": "tela",
        "call": "AAP",
        "envelope_cents": 100_000,
        "shares": SIGNED,
        "calendar": CALENDAR,
    }
    return OpenTranche(new_id(), **(plain | facts))


def a_convention(**facts) -> funds.SignConvention:
    plain = {
        "code": "FSE+",
        "call": "AAP",
        "funder": Funder.EU_ESF_PLUS,
        "name": "Fonds social européen +",
        "opens_on": date(2020, 1, 1),
        "closes_on": date(2020, 12, 31),
    }
    return funds.SignConvention(new_id(), **(plain | facts))


def late(**days: date):
    return msgspec.structs.replace(CALENDAR, **days)


IMPOSSIBLE = {
    "number": {"number": 0},
    "face_value": {"face_cents": 65_536},
    "carnet_size": {"carnet_size": 256},
    "envelope": {"envelope_cents": 4_000},
    "envelope_not_whole": {"envelope_cents": 100_001},
    "late_days": {"hand_out": HandOutRules(late_days=367)},
    "limit_per_person": {"hand_out": HandOutRules(limit_per_person=0)},
    "pic_share": {"hand_out": HandOutRules(pic_share=101)},
    "territory": {"territory": ("23", "Guéret")},
    "holders_named": {
        "shares": {"ETAT": 50, "DEP": 50},
        "hand_out": HandOutRules(holders_named=True, limit_per_person=5),
    },
}

COMMUNES = ("23096", "01001", "2A004", "2B033", "97105", "97502")
DEPARTEMENTS = ("01", "23", "2A", "2B", "95", "971", "976", "988")
NOWHERE = (
    "",
    "Guéret",
    "23000",
    "23 096",
    "2C001",
    "2a",
    "20",
    "00",
    "96",
    "97",
    "1",
    "23096\n",
)


def test_a_territory_is_a_code_that_a_site_can_have():
    assert [area for area in (*COMMUNES, *DEPARTEMENTS) if not AREA.fullmatch(area)] == []
    assert [area for area in NOWHERE if AREA.fullmatch(area)] == []


REFUSED = {
    "open_call": (
        funds.open_call,
        [
            (
                funds.OpenCall(new_id(), "AAP", "Autre"),
                "code_taken",
                {"what": "call", "name": "AAP"},
            )
        ],
    ),
    "sign_convention": (
        funds.sign_convention,
        [
            (a_convention(code="FSE"), "code_taken", {"what": "convention", "name": "FSE"}),
            (a_convention(call="AAP9"), "not_found", {"what": "call", "name": "AAP9"}),
            (
                a_convention(closes_on=date(2019, 12, 31)),
                "days_out_of_order",
                {"first": "2020-01-01", "second": "2019-12-31"},
            ),
            *(
                (a_convention(code=code), "code_unusable", {"name": code})
                for code in ("FSE+ axe 3, OS h", "FSE=60", " ", "FSE\n")
            ),
        ],
    ),
    "extend_convention": (
        funds.extend_convention,
        [
            (
                funds.ExtendConvention(
                    new_id(), "FSE9", date(2020, 1, 1), date(2021, 1, 1)
                ),
                "not_found",
                {"what": "convention", "name": "FSE9"},
            ),
            (
                funds.ExtendConvention(new_id(), "FSE", date(2020, 1, 1), date(2019, 1, 1)),
                "days_out_of_order",
                {"first": "2020-01-01", "second": "2019-01-01"},
            ),
        ],
    ),
    "start_programme": (
        funds.start_programme,
        [
            (
                funds.StartProgramme(new_id(), "tela", "Autre"),
                "code_taken",
                {"what": "programme", "name": "tela"},
            )
        ],
    ),
    "suspend_programme": (
        funds.suspend_programme,
        [
            (
                funds.SuspendProgramme(new_id(), "alto", date(2020, 3, 17)),
                "not_found",
                {"what": "programme", "name": "alto"},
            ),
            (
                funds.SuspendProgramme(
                    new_id(), "tela", date(2020, 3, 17), date(2020, 3, 16), "health_crisis"
                ),
                "days_out_of_order",
                {"first": "2020-03-17", "second": "2020-03-16"},
            ),
        ],
    ),
    "open_tranche": (
        open_tranche,
        [
            (a_tranche(code="T1"), "code_taken", {"what": "tranche", "name": "T1"}),
            (a_tranche(number=1), "code_taken", {"what": "tranche", "name": "1"}),
            (
                a_tranche(programme="alto"),
                "not_found",
                {"what": "programme", "name": "alto"},
            ),
            (a_tranche(call="AAP9"), "not_found", {"what": "call", "name": "AAP9"}),
            (
                a_tranche(shares=SIGNED | {"PRIVE": 1}),
                "not_found",
                {"what": "convention", "name": "PRIVE"},
            ),
            (
                a_tranche(call="AAP2"),
                "not_found",
                {"what": "convention", "name": "FSE"},
            ),
            (
                a_tranche(calendar=late(use_by=date(2020, 12, 14))),
                "days_out_of_order",
                {"first": "2020-12-15", "second": "2020-12-14"},
            ),
            (
                a_tranche(calendar=late(report_by=date(2021, 2, 6))),
                "days_out_of_order",
                {"first": "2021-02-07", "second": "2021-02-06"},
            ),
            (
                a_tranche(shares={"FSE": 80, "ETAT": 20}),
                "shares_impossible",
                {"reason": "one_department"},
            ),
            (a_tranche(shares={}), "shares_impossible", {"reason": "one_department"}),
            (
                a_tranche(shares={"FSE": 1, "DEP": 1000}),
                "shares_impossible",
                {"reason": "less_than_a_cent"},
            ),
            *[
                (a_tranche(**facts), "tranche_impossible", {"reason": reason})
                for reason, facts in IMPOSSIBLE.items()
            ],
            (a_tranche(number=65_536), "tranche_impossible", {"reason": "number"}),
            (a_tranche(face_cents=0), "tranche_impossible", {"reason": "face_value"}),
            (a_tranche(carnet_size=0), "tranche_impossible", {"reason": "carnet_size"}),
        ],
    ),
    "amend_calendar": (
        amend_calendar,
        [
            (
                AmendCalendar(new_id(), "T9", CALENDAR),
                "not_found",
                {"what": "tranche", "name": "T9"},
            ),
            (
                AmendCalendar(new_id(), "T1", late(present_by=date(2021, 1, 30))),
                "days_out_of_order",
                {"first": "2021-01-31", "second": "2021-01-30"},
            ),
        ],
    ),
    "change_shares": (
        change_shares,
        [
            (
                ChangeShares(new_id(), "T9", SIGNED, date(2020, 3, 1)),
                "not_found",
                {"what": "tranche", "name": "T9"},
            ),
            (
                ChangeShares(new_id(), "T1", SIGNED | {"X": 1}, date(2020, 3, 1)),
                "not_found",
                {"what": "convention", "name": "X"},
            ),
            (
                ChangeShares(new_id(), "T1", {"FSE": -1, "DEP": 101}, date(2020, 3, 1)),
                "shares_impossible",
                {"reason": "negative_weight"},
            ),
            (
                ChangeShares(new_id(), "T1", {"FSE": 0, "DEP": 0}, date(2020, 3, 1)),
                "shares_impossible",
                {"reason": "no_weight"},
            ),
        ],
    ),
}


def rows_kept(session) -> dict[str, int]:
    """How many rows each table has, but the two that remember what was asked."""
    return {
        t.name: session.scalar(select(func.count()).select_from(t))
        for t in metadata.sorted_tables
        if t not in (attempt, refusal)
    }


@pytest.mark.parametrize("name", REFUSED)
def test_a_refusal_is_an_answer_that_is_remembered_and_leaves_nothing_behind(
    database, name
):
    operation, cases = REFUSED[name]
    with database.begin("23") as session:
        a_world(session)
        done(
            funds.open_call(
                session, funds.OpenCall(new_id(), "AAP2", "Second"), by="test", now=NOW
            )
        )
        before = rows_kept(session)
        answers = [operation(session, asked, by="test", now=NOW) for asked, _, _ in cases]

    assert [(a.code, a.facts) for a in answers] == [
        (code, facts) for _, code, facts in cases
    ]
    assert not any(a.accepted or a.replayed for a in answers)
    with database.begin("23") as session:
        assert rows_kept(session) == before
        again = [
            operation(session, asked, by="other", now=moment("2020-01-08"))
            for asked, _, _ in cases
        ]
        assert again == [msgspec.structs.replace(a, replayed=True) for a in answers]
        assert rows_kept(session) == before


def test_a_refused_act_stays_refused_when_what_it_lacked_comes_later(session):
    a_world(session)
    asked = a_tranche(programme="alto")
    assert open_tranche(session, asked, by="test", now=NOW).code == "not_found"
    done(
        funds.start_programme(
            session, funds.StartProgramme(new_id(), "alto", "Alto"), by="test", now=NOW
        )
    )

    assert open_tranche(session, asked, by="test", now=NOW).code == "not_found"
    done(
        open_tranche(
            session, msgspec.structs.replace(asked, id=new_id()), by="test", now=NOW
        )
    )


def test_an_accepted_act_sent_again_gets_the_same_answer_and_is_done_once(session):
    a_world(session)
    asked = a_tranche()
    first = done(open_tranche(session, asked, by="test", now=NOW))
    before = rows_kept(session)

    again = open_tranche(session, asked, by="test", now=moment("2020-01-09"))

    assert again == msgspec.structs.replace(first, replayed=True)
    assert rows_kept(session) == before


@pytest.mark.parametrize("first_code", ["T2", "T1"], ids=["accepted", "refused"])
def test_another_request_under_the_same_id_is_refused_and_the_first_answer_stays(
    session, first_code
):
    a_world(session)
    asked = a_tranche(code=first_code)
    first = open_tranche(session, asked, by="test", now=NOW)
    before = rows_kept(session)

    dearer = msgspec.structs.replace(asked, envelope_cents=200_000)
    other = funds.OpenCall(asked.id, "AAP3", "Troisième")

    assert open_tranche(session, dearer, by="test", now=NOW).code == "act_reused"
    assert funds.open_call(session, other, by="test", now=NOW).code == "act_reused"
    again = open_tranche(session, asked, by="test", now=NOW)
    assert again == msgspec.structs.replace(first, replayed=True)
    assert rows_kept(session) == before


@pytest.mark.parametrize(
    ("shares", "committed"),
    [
        (SIGNED, {"FSE": 600_000, "ETAT": 200_000, "DEP": 200_000}),
        (
            {"FSE": 1, "ETAT": 1, "DEP": 1},
            {"FSE": 333_333, "ETAT": 333_333, "DEP": 333_334},
        ),
        ({"DEP": 1, "ETAT": 0}, {"DEP": 1_000_000, "ETAT": 0}),
    ],
    ids=["60/20/20", "thirds", "one alone"],
)
def test_what_funders_commit_sums_to_the_envelope(session, shares, committed):
    a_world(session, shares=shares, envelope_cents=1_000_000)

    holdings = {(h.kind, h.party): h.cents for h in queries.holdings(session, ["1"])}

    told = {
        party: -cents for (kind, party), cents in holdings.items() if kind == "committed"
    }
    assert told == committed
    assert holdings["available", None] == sum(committed.values()) == 1_000_000
    assert sum(holdings.values()) == 0


def test_an_amendment_adds_a_version_and_keeps_the_signed_one(session):
    a_world(session)
    longer = late(pay_by=date(2021, 7, 31))
    done(amend_calendar(session, AmendCalendar(new_id(), "T1", longer), by="test", now=NOW))
    changed = ChangeShares(new_id(), "T1", {"FSE": 50, "DEP": 50}, date(2020, 3, 1))
    done(change_shares(session, changed, by="test", now=NOW))

    days = session.execute(
        select(calendar.c.version, calendar.c.pay_by).order_by(calendar.c.version)
    ).all()
    assert [tuple(d) for d in days] == [(1, date(2021, 6, 30)), (2, date(2021, 7, 31))]
    versions = session.execute(
        select(share_version.c.version, share_version.c.from_day).order_by(
            share_version.c.version
        )
    ).all()
    assert [tuple(v) for v in versions] == [(1, date(1, 1, 1)), (2, date(2020, 3, 1))]
    weights = session.execute(
        select(share.c.version, share.c.convention, share.c.weight).order_by(
            share.c.version, share.c.priority
        )
    ).all()
    assert [tuple(w) for w in weights] == [
        (1, "DEP", 20),
        (1, "ETAT", 20),
        (1, "FSE", 60),
        (2, "DEP", 50),
        (2, "FSE", 50),
    ]


def test_the_same_weights_written_in_another_order_are_the_same_split(session):
    a_world(session)
    for code, funder in (("REG", Funder.REGION), ("FOND", Funder.PRIVATE)):
        request = a_convention(code=code, funder=funder)
        done(funds.sign_convention(session, request, by="test", now=NOW))
    weights = {"FSE": 1, "REG": 1, "FOND": 1, "ETAT": 1, "DEP": 1}
    backwards = dict(reversed(weights.items()))
    done(open_tranche(session, a_tranche(shares=weights), by="test", now=NOW))
    done(
        open_tranche(
            session, a_tranche(number=3, code="T3", shares=backwards), by="test", now=NOW
        )
    )

    rows = session.execute(
        select(share.c.tranche, share.c.convention).order_by(
            share.c.tranche, share.c.priority
        )
    ).all()
    order = {n: [c for number, c in rows if number == n] for n in (2, 3)}
    assert order[2] == order[3]


def test_of_eight_calls_opened_at_once_under_one_code_seven_are_told_it_is_taken(database):
    def open_it(turn: int) -> str:
        request = funds.OpenCall(new_id(), "AAP", f"Appel {turn}")
        with database.begin("23") as session:
            return funds.open_call(session, request, by="test", now=NOW).code

    assert Counter(at_once(open_it, 8)) == {"accepted": 1, "code_taken": 7}


def test_amendments_signed_at_once_are_versions_one_after_the_other(database):
    with database.begin("23") as session:
        a_world(session)

    def change(turn: int) -> str:
        request = ChangeShares(new_id(), "T1", {"DEP": turn + 1}, date(2020, 3, 1))
        with database.begin("23") as session:
            return change_shares(session, request, by="test", now=NOW).code

    assert Counter(at_once(change, 8)) == {"accepted": 8}
    with database.begin("23") as session:
        versions = session.scalars(
            select(share_version.c.version).order_by(share_version.c.version)
        ).all()
    assert list(versions) == list(range(1, 10))
