"""A refused scan is told one reason, the first of a fixed order; the same day after day, on both engines."""

import threading
import time
from datetime import date, timedelta
from itertools import combinations

import pytest
from sqlalchemy import select

from funding import operations as funds
from funding.tranches import OpenTranche
from issuance import tokens
from issuance.serials import Serial
from ledger.identifiers import new_id
from ledger.models import attempt, entry
from redemption.admission import OrderFacts, PassFacts, PlaceFacts, Reason, judge
from redemption.blocking import BlockCarnet, block_carnet
from redemption.counter import Device, Presented, Scan, redeem
from redemption.models import dispute
from redemption.sites import (
    Accredit,
    EndAccreditation,
    accredit,
    end_accreditation,
    open_tranche,
)
from redemption.workshops import OpenWorkshop, open_workshop
from tests.builders import (
    CALENDAR,
    MANAGER,
    a_site,
    a_workshop,
    a_world,
    an_order,
    done,
    given,
    scan_of,
    scanned,
)
from tests.conftest import moment

AT = moment("2020-02-03", 14)
START = moment("2020-01-06")
TOLERANCE = date(2021, 1, 31)
PRESENT_BY = date(2021, 2, 7)
A_DAY = timedelta(days=1)

GOOD_PASS = PassFacts(spent_by=None, handed_out=True, lapsed=False)
GOOD_ORDER = OrderFacts(
    1, 1, "T1", 1000, specimen=False, active=True, regularise=False,
    use_by=date(2020, 12, 31), tolerance_until=TOLERANCE, present_by=PRESENT_BY,
)  # fmt: skip
GOOD_PLACE = PlaceFacts(
    1,
    "Médiathèque 1",
    date(2020, 2, 3),
    suspended=False,
    accredited=True,
    in_territory=True,
)

# In the order in which they are told.
FAULTS = [
    (Reason.SPECIMEN, {"specimen": True}),
    (Reason.ALREADY_REDEEMED, {"spent_by": "redeemed"}),
    (Reason.REPLACED, {"spent_by": "replaced"}),
    (Reason.BLOCKED, {"spent_by": "blocked"}),
    (Reason.VOID, {"spent_by": "voided"}),
    (Reason.NOT_ACTIVE, {"active": False}),
    (Reason.NOT_HANDED_OUT, {"handed_out": False}),
    (Reason.KEPT, {"handed_out": False, "regularise": True}),
    (Reason.PROGRAMME_SUSPENDED, {"suspended": True}),
    (Reason.TOO_LATE, {"day": TOLERANCE + A_DAY}),
    (Reason.NOT_ACCREDITED, {"accredited": False}),
    (Reason.WRONG_TERRITORY, {"in_territory": False}),
    (Reason.DISPUTED, {"received_on": PRESENT_BY + A_DAY}),
    (Reason.LAPSED, {"lapsed": True}),
]
PAIRS = [
    pytest.param(*pair, id=f"{pair[0][0]}-{pair[1][0]}")
    for pair in combinations(FAULTS, 2)
    if not pair[0][1].keys() & pair[1][1].keys()
]


def judged(**changes) -> Reason:
    received_on = changes.pop("received_on", date(2020, 2, 3))
    facts = [
        kind._replace(**{k: changes.pop(k) for k in kind._fields if k in changes})
        for kind in (GOOD_PASS, GOOD_ORDER, GOOD_PLACE)
    ]
    assert not changes
    return judge(*facts, received_on)


def test_the_table_holds_every_reason():
    seen_on_paper = {Reason.FORGED, Reason.UNKNOWN, Reason.KEY_REVOKED}
    assert {reason for reason, _ in FAULTS} | seen_on_paper | {Reason.ACCEPTED} == set(
        Reason
    )


def test_a_pass_without_a_fault_is_accepted():
    assert judged() is Reason.ACCEPTED


@pytest.mark.parametrize(("reason", "fault"), FAULTS)
def test_one_fault_alone_is_told(reason, fault):
    assert judged(**fault) is reason


@pytest.mark.parametrize(("first", "second"), PAIRS)
def test_of_two_faults_the_first_is_told(first, second):
    assert judged(**second[1], **first[1]) is first[0]


def test_all_faults_together_come_down_to_the_first_left():
    faults = [*FAULTS]
    del faults[2:4], faults[4]
    while faults:
        everything = {k: v for _, fault in reversed(faults) for k, v in fault.items()}
        assert judged(**everything) is faults.pop(0)[0]


@pytest.mark.parametrize(
    ("day", "received_on", "reason"),
    [
        (date(2020, 12, 31), date(2020, 12, 31), Reason.ACCEPTED),
        (date(2021, 1, 1), date(2021, 1, 1), Reason.ACCEPTED),
        (TOLERANCE, TOLERANCE, Reason.ACCEPTED),
        (TOLERANCE, PRESENT_BY, Reason.ACCEPTED),
        (TOLERANCE + A_DAY, TOLERANCE + A_DAY, Reason.TOO_LATE),
        (TOLERANCE, PRESENT_BY + A_DAY, Reason.DISPUTED),
        (TOLERANCE + A_DAY, PRESENT_BY + A_DAY, Reason.TOO_LATE),
    ],
)
def test_a_legal_date_includes_its_whole_day(day, received_on, reason):
    assert judged(day=day, received_on=received_on) is reason


@pytest.mark.parametrize("spent_by", ["redeemed", "paid_late", "anything"])
def test_a_pass_that_something_else_spent_is_told_already_redeemed(spent_by):
    assert judged(spent_by=spent_by) is Reason.ALREADY_REDEEMED


def another_tranche(session, number: int, **rules) -> str:
    request = OpenTranche(
        new_id(), number, f"T{number}", "tela", "AAP", 100_000, {"FSE": 60, "ETAT": 20, "DEP": 20},
        CALENDAR, **rules,
    )  # fmt: skip
    done(open_tranche(session, request, by="test", now=START))
    return request.code


def words(session, world, tokens_, workshop, now=AT) -> list[str]:
    queue = [Presented(scan_of(token, workshop, AT), MANAGER) for token in tokens_]
    return [v.verdict for v in redeem(session, queue, now=now, keyring=world.ring)]


def a_token(world, serial: Serial, *, specimen: bool = False, key=None) -> str:
    signer = world.signer
    face = tokens.Face(
        key_id=signer.specimen_key_id if specimen else signer.voucher_key_id,
        departement=serial.departement, tranche=1, carnet=serial.carnet, rank=serial.rank,
        face_cents=1000, use_by=date(2020, 12, 31),
    )  # fmt: skip
    key = key or (signer.specimen_key if specimen else signer.voucher_key)
    return tokens.to_url(world.host, tokens.sign(face, key))


def flipped(token: str) -> str:
    return token[:-1] + ("1" if token[-1] == "0" else "0")


@pytest.fixture
def opened(database):
    """Five passes handed out in the Creuse, and more in stock."""
    with database.begin("23") as session:
        world = a_world(session)
        serials = an_order(session, world)
        given(session, *serials[:5])
    return database, world, serials


def test_what_is_wrong_with_the_paper_is_told_before_anything_else(opened):
    database, world, serials = opened
    absent, elsewhere = Serial("23", 999_999, 1), Serial("974", 1, 1)
    with database.begin("23") as session:
        workshop = a_workshop(session)
        [specimen, *_] = an_order(session, world, 1, specimen=True)
        texts = {
            "flipped": flipped(world.token(serials[0])),
            "flipped specimen": flipped(world.token(specimen)),
            "absent, not signed by us": a_token(
                world, absent, key=world.signer.specimen_key
            ),
            "absent": a_token(world, absent),
            "absent specimen": a_token(world, absent, specimen=True),
            "elsewhere": a_token(world, elsewhere),
            "no token": "HTTPS://PASS.CREUSE.FR/V/12",
            "specimen": world.token(specimen),
        }
        queue = [Presented(scan_of(text, workshop, AT), MANAGER) for text in texts.values()]
        verdicts = redeem(session, queue, now=AT, keyring=world.ring)
    told = {
        name: (v.verdict, v.serial, v.facts)
        for name, v in zip(texts, verdicts, strict=True)
    }

    assert told == {
        "flipped": ("forged", None, {"part": "signature"}),
        "flipped specimen": ("forged", None, {"part": "signature"}),
        "absent, not signed by us": ("forged", None, {"part": "signature"}),
        "absent": ("unknown", str(absent), {}),
        "absent specimen": ("unknown", str(absent), {}),
        "elsewhere": ("unknown", None, {"departement": "974"}),
        "no token": ("forged", None, {"part": "length"}),
        "specimen": ("specimen", specimen, {}),
    }


def test_what_became_of_the_pass_is_told_before_the_moment_and_the_place(opened):
    database, world, serials = opened
    with database.begin("23") as session:
        [inactive, *_] = an_order(session, world, 1, active=False)
        here = a_workshop(session)
        too_late = a_workshop(session, "2021-02-01")
        scanned(session, world, here, serials[0])
        [specimen, *_] = an_order(session, world, 1, specimen=True)
        for serial in (serials[1], specimen):
            carnet = Serial.parse(serial).carnet
            blocking = BlockCarnet(new_id(), carnet, "stolen")
            done(block_carnet(session, blocking, by="test", now=AT))
        chosen = [specimen, serials[0], serials[1], inactive, serials[9]]
        expected = [
            "specimen",
            "already_redeemed",
            "blocked",
            "not_active",
            "not_handed_out",
        ]
        for workshop in (here, too_late):
            tokens_ = [world.token(serial) for serial in chosen]
            assert (
                words(session, world, tokens_, workshop, moment("2021-02-08")) == expected
            )


def test_a_scan_that_loses_to_a_blocking_is_told_blocked(opened):
    database, world, serials = opened
    verdicts = []
    with database.begin("23") as session:
        workshop = a_workshop(session)

    def scan() -> None:
        with database.begin("23") as session:
            verdicts.extend(scanned(session, world, workshop, serials[0]))

    thread = threading.Thread(target=scan)
    with database.begin("23") as session:
        carnet = Serial.parse(serials[0]).carnet
        done(block_carnet(session, BlockCarnet(new_id(), carnet), by="test", now=AT))
        thread.start()
        time.sleep(0.4)
    thread.join()

    assert [v.verdict for v in verdicts] == ["blocked"]


def test_a_tranche_that_regularises_keeps_what_another_refuses(opened):
    database, world, serials = opened
    with database.begin("23") as session:
        workshop = a_workshop(session)
        tranche = another_tranche(session, 2, regularise=True)
        [waiting, *_] = an_order(session, world, 1, tranche=tranche)
        tokens_ = [world.token(waiting), world.token(serials[9])]
        assert words(session, world, tokens_, workshop) == ["kept", "not_handed_out"]


def test_no_workshop_of_a_suspension_counts_and_those_after_its_end_do(opened):
    database, world, serials = opened

    def suspend(session, ends_on=None) -> None:
        request = funds.SuspendProgramme(
            new_id(), "tela", date(2020, 2, 1), ends_on, "health_crisis"
        )
        done(funds.suspend_programme(session, request, by="test", now=AT))

    with database.begin("23") as session:
        days = ["2020-01-31", "2020-02-01", "2020-02-29", "2020-03-01", "2020-03-02"]
        before, first, last, after, later = (a_workshop(session, day) for day in days)
        suspend(session)
        verdicts = [
            scanned(session, world, workshop, serial)[0]
            for workshop, serial in zip(
                [before, first, last, after], serials[:4], strict=True
            )
        ]
        assert [v.verdict for v in verdicts] == ["accepted", *["programme_suspended"] * 3]
        assert verdicts[1].facts == {"day": "2020-02-01"}
        suspend(session, ends_on=date(2020, 2, 29))
        assert [
            scanned(session, world, workshop, serial)[0].verdict
            for workshop, serial in zip([last, after, later], serials[1:4], strict=True)
        ] == ["programme_suspended", "accepted", "accepted"]


def test_a_workshop_counts_until_the_tolerance_day_included(opened):
    database, world, serials = opened
    with database.begin("23") as session:
        in_time, late = (
            a_workshop(session, day.isoformat()) for day in (TOLERANCE, TOLERANCE + A_DAY)
        )
        [verdict] = scanned(session, world, late, serials[0], now=moment("2021-02-01"))
        assert (verdict.verdict, verdict.facts) == (
            "too_late",
            {"tolerance_until": "2021-01-31"},
        )
        [verdict] = scanned(session, world, in_time, serials[0], now=moment("2021-02-01"))
        assert verdict.verdict == "accepted"


def test_an_accreditation_counts_from_its_first_day_to_its_last_both_included(opened):
    database, world, serials = opened
    with database.begin("23") as session:
        site = a_site(session, 3, START)
        request = Accredit(new_id(), site, "tela", date(2020, 3, 1))
        done(accredit(session, request, by="test", now=START))
        ending = EndAccreditation(new_id(), site, "tela", date(2020, 3, 31))
        done(end_accreditation(session, ending, by="test", now=START))
        days = ["2020-02-29", "2020-04-01", "2020-03-01", "2020-03-31"]
        verdicts = [
            scanned(session, world, a_workshop(session, day, site), serial)[0]
            for day, serial in zip(days, serials[:4], strict=True)
        ]
    assert [v.verdict for v in verdicts] == [
        "not_accredited",
        "not_accredited",
        "accepted",
        "accepted",
    ]
    assert verdicts[0].facts == {"day": "2020-02-29"}


def test_a_territory_is_a_departement_or_a_commune(database):
    with database.begin("23") as session:
        world = a_world(session, territory=("87",))
        workshop = a_workshop(session)
        areas = [("23",), ("23096",), ("23097",), ("87", "23096")]
        for number, territory in enumerate(areas, 2):
            another_tranche(session, number, territory=territory)
        firsts = [an_order(session, world, 1, tranche=f"T{n}")[0] for n in range(1, 6)]
        for serial in firsts:
            done(given(session, serial))
        verdicts = [v.verdict for v in scanned(session, world, workshop, *firsts)]
    assert verdicts == [
        "wrong_territory",
        "accepted",
        "accepted",
        "wrong_territory",
        "accepted",
    ]


def test_a_scan_received_after_the_presentation_day_is_a_dispute_with_both_dates(opened):
    database, world, serials = opened
    last_hour, next_day = moment(PRESENT_BY, 23), moment(PRESENT_BY + A_DAY, 0)
    assert last_hour.at.date() == next_day.at.date()  # one day in UTC, two in the Creuse
    with database.begin("23") as session:
        workshop = a_workshop(session)
        [in_time] = scanned(session, world, workshop, serials[0], now=last_hour)
        [late] = scanned(session, world, workshop, serials[1], now=next_day)
        rows = session.execute(select(dispute)).all()
        moved = session.scalars(select(entry.c.amount_cents).where(entry.c.id == late.id))
        assert (in_time.verdict, late.verdict, late.cents) == ("accepted", "disputed", None)
        assert moved.one() == 0

    [case] = rows
    assert (case.entry_id, case.serial, case.workshop, case.tranche) == (
        late.id,
        serials[1],
        workshop,
        1,
    )
    assert (case.received_at, case.present_by) == (next_day.at, PRESENT_BY)


def test_a_scan_of_an_unknown_workshop_is_not_kept_and_can_be_sent_again(opened):
    database, world, serials = opened
    workshop = new_id()
    scan = Presented(scan_of(world.token(serials[0]), workshop, AT), MANAGER)
    with database.begin("23") as session:
        [verdict] = redeem(session, [scan], now=AT, keyring=world.ring)
        assert verdict.verdict == "workshop_unknown"
        assert (
            session.scalar(select(attempt.c.id).where(attempt.c.id == scan.scan.id)) is None
        )
    with database.begin("23") as session:
        request = OpenWorkshop(workshop, "lieu-1", date(2020, 2, 3))
        done(open_workshop(session, request, device=MANAGER, now=AT))
        [verdict] = redeem(session, [scan], now=AT, keyring=world.ring)
    assert (verdict.verdict, verdict.replayed) == ("accepted", False)


def test_a_phone_scans_for_its_own_site_only(opened):
    database, world, serials = opened
    with database.begin("23") as session:
        workshop = a_workshop(session)
        scan = scan_of(world.token(serials[0]), workshop, AT)
        verdicts = [
            redeem(session, [Presented(scan, device)], now=AT, keyring=world.ring)[
                0
            ].verdict
            for device in (Device("phone-2", 2), Device("phone-1", 1))
        ]
    assert verdicts == ["other_site", "accepted"]


def test_nothing_happens_after_we_heard_of_it_whatever_the_phone_says(opened):
    database, world, serials = opened
    claims = [AT.at + timedelta(days=900), AT.at - timedelta(hours=2)]
    with database.begin("23") as session:
        workshop = a_workshop(session)
        queue = [
            Presented(Scan(new_id(), world.token(serial), workshop, at), MANAGER)
            for serial, at in zip(serials[:2], claims, strict=True)
        ]
        redeem(session, queue, now=AT, keyring=world.ring)
        kept = [
            session.execute(
                select(entry.c.occurred_at, entry.c.occurred_on).where(
                    entry.c.id == p.scan.id
                )
            ).one()
            for p in queue
        ]
    assert kept == [(AT.at, date(2020, 2, 3)), (claims[1], date(2020, 2, 3))]


def test_an_id_used_for_two_passes_in_one_queue_is_accepted_once_and_refused_once(opened):
    database, world, serials = opened
    with database.begin("23") as session:
        workshop = a_workshop(session)
        first = scan_of(world.token(serials[0]), workshop, AT)
        other = Scan(first.id, world.token(serials[1]), workshop, AT.at)
        queue = [Presented(first, MANAGER), Presented(other, MANAGER)]
        verdicts = redeem(session, queue, now=AT, keyring=world.ring)
    assert [v.verdict for v in verdicts] == ["accepted", "act_reused"]
