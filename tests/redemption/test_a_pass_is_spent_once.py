"""A pass is spent once, whoever scans it, however often the phone sends it again."""

import threading
from collections import Counter

import msgspec
import pytest
from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError

from app.database import FilesPlace
from ledger import queries
from ledger.identifiers import new_id
from ledger.models import attempt, entry
from redemption.counter import Presented, Scan, redeem
from redemption.models import kept_scan
from redemption.undoing import Undo, undo
from tests.builders import (
    MANAGER,
    a_workshop,
    a_world,
    an_order,
    done,
    given,
    scan_of,
    scanned,
)
from tests.conftest import moment
from tests.sending import sent

AT = moment("2020-02-03", 14)


@pytest.fixture
def opened(database):
    with database.begin("23") as session:
        world = a_world(session)
        serials = an_order(session, world)
        given(session, *serials[:5])
        workshop = a_workshop(session)
    return database, world, serials, workshop


def test_an_accepted_scan_owes_the_face_value_to_the_site(opened):
    database, world, serials, workshop = opened
    with database.begin("23") as session:
        [verdict] = scanned(session, world, workshop, serials[0])
        holdings = {(h.kind, h.party): h.cents for h in queries.holdings(session, ["1"])}

    assert (verdict.verdict, verdict.cents, verdict.serial) == (
        "accepted",
        1000,
        serials[0],
    )
    assert holdings["due", "1"] == 1000
    assert holdings["circulating", None] == 4000


def test_of_sixteen_threads_one_wins_and_fifteen_are_told_where_and_when(opened):
    database, world, serials, workshop = opened
    verdicts, barrier = [], threading.Barrier(16)

    def scan() -> None:
        barrier.wait()
        with database.begin("23") as session:
            verdicts.extend(scanned(session, world, workshop, serials[0]))

    threads = [threading.Thread(target=scan) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert Counter(v.verdict for v in verdicts) == {"accepted": 1, "already_redeemed": 15}
    told = {(v.on.isoformat(), v.site) for v in verdicts if v.verdict == "already_redeemed"}
    assert told == {("2020-02-03", "Médiathèque 1")}
    with database.begin("23") as session:
        holdings = {(h.kind, h.party): h.cents for h in queries.holdings(session, ["1"])}
    assert holdings["due", "1"] == 1000


def test_a_queue_sent_again_gets_the_same_answers(opened):
    database, world, serials, workshop = opened
    queue = [
        Presented(scan_of(token, workshop, AT), MANAGER)
        for token in [
            world.token(serials[0]),
            world.token(serials[7]),
            "HTTPS://X/V/12",
            world.token(serials[0]),
        ]
    ]
    answers = []
    for _ in range(3):
        with database.begin("23") as session:
            answers.append(redeem(session, queue, now=AT, keyring=world.ring))

    assert [v.verdict for v in answers[0]] == [
        "accepted",
        "not_handed_out",
        "forged",
        "already_redeemed",
    ]
    for again in answers[1:]:
        assert [msgspec.structs.replace(v, replayed=False) for v in again] == answers[0]
        assert all(v.replayed for v in again)


@pytest.mark.parametrize("shown", [None, "en attente"])
def test_the_same_scan_twice_in_one_queue_is_one_scan(opened, shown):
    """A phone that hears nothing sends it again with what its screen shows since: both may be gathered."""
    database, world, serials, workshop = opened
    scan = scan_of(world.token(serials[0]), workshop, AT)
    again = msgspec.structs.replace(scan, shown=shown)
    queue = [Presented(scan, MANAGER), Presented(again, MANAGER)]
    with database.begin("23") as session:
        first, second = redeem(session, queue, now=AT, keyring=world.ring)
        [later] = redeem(session, queue[1:], now=AT, keyring=world.ring)
    assert (first.verdict, first.replayed) == ("accepted", False)
    assert second == later == msgspec.structs.replace(first, replayed=True)


def test_a_scan_named_as_an_entry_of_another_act_writes_nothing(database):
    """The ids of an act's further entries are derived: only who means harm names a scan so."""
    with database.begin("23") as session:
        world = a_world(session, regularise=True)
        serials = an_order(session, world)
        given(session, *serials[:5])
        workshop = a_workshop(session)
        derived = entry.c.id != entry.c.act_id
        taken = session.scalars(select(entry.c.id).where(derived).limit(1)).one()
    for serial in (serials[0], serials[7]):  # to be spent, and to be kept
        scan = Scan(taken, world.token(serial), workshop, AT.at)
        before = everything(database)
        with pytest.raises(IntegrityError), database.begin("23") as session:
            redeem(session, [Presented(scan, MANAGER)], now=AT, keyring=world.ring)
        assert everything(database) == before
        with database.begin("23") as session:
            [verdict] = scanned(session, world, workshop, serial)
        assert verdict.verdict in {"accepted", "kept"}


def everything(database):
    with database.begin("23", read_only=True) as session:
        return [
            session.scalar(select(func.count()).select_from(table))
            for table in (attempt, entry, kept_scan)
        ]


def test_an_id_used_for_another_pass_is_refused_and_the_first_answer_stays(opened):
    database, world, serials, workshop = opened
    first = scan_of(world.token(serials[0]), workshop, AT)
    other = Scan(first.id, world.token(serials[1]), workshop, AT.at)
    with database.begin("23") as session:
        redeem(session, [Presented(first, MANAGER)], now=AT, keyring=world.ring)
    with database.begin("23") as session:
        [verdict] = redeem(session, [Presented(other, MANAGER)], now=AT, keyring=world.ring)
        [again] = redeem(session, [Presented(first, MANAGER)], now=AT, keyring=world.ring)
    assert (verdict.verdict, again.verdict) == ("act_reused", "accepted")


def test_a_pass_given_back_can_be_spent_again_and_only_once(opened):
    database, world, serials, workshop = opened
    with database.begin("23") as session:
        scanned(session, world, workshop, serials[0])
        request = Undo(new_id(), serials[0], "wrong_pass")
        done(undo(session, request, device=MANAGER, now=AT))
        assert undo(session, request, device=MANAGER, now=AT).replayed
        assert (
            undo(
                session, Undo(new_id(), serials[0], "wrong_pass"), device=MANAGER, now=AT
            ).code
            == "nothing_to_undo"
        )
        assert [
            v.verdict for v in scanned(session, world, workshop, serials[0], serials[0])
        ] == [
            "accepted",
            "already_redeemed",
        ]
        holdings = {(h.kind, h.party): h.cents for h in queries.holdings(session, ["1"])}
    assert holdings["due", "1"] == 1000


def test_a_typed_code_spends_like_the_qr(opened):
    database, world, serials, workshop = opened
    code = world.passes[serials[0]].code.lower().replace(" ", "-")
    with database.begin("23") as session:
        typed = Presented(scan_of(code, workshop, AT), MANAGER)
        wrong = Presented(
            scan_of(code[:-1] + ("0" if code[-1] != "0" else "1"), workshop, AT), MANAGER
        )
        verdicts = redeem(session, [typed, wrong], now=AT, keyring=world.ring)
        assert [v.verdict for v in verdicts] == ["accepted", "mistyped_code"]
        assert [v.verdict for v in scanned(session, world, workshop, serials[0])] == [
            "already_redeemed"
        ]


def test_a_queue_takes_the_same_number_of_statements_whatever_its_length(opened):
    database, world, _serials, workshop = opened
    with database.begin("23") as session:
        serials = an_order(session, world, 41)
        given(session, *serials)
        scanned(session, world, workshop, serials[-1])  # what stands is read once
    statements = {}
    for length, chosen in ((2, serials[:2]), (200, serials[2:202])):
        with database.begin("23") as session, sent() as statements[length]:
            verdicts = scanned(session, world, workshop, *chosen)
        assert Counter(v.verdict for v in verdicts) == {"accepted": length}
    assert statements[200] == statements[2]
    on_postgres = not isinstance(database.place, FilesPlace)
    assert 0 < len(statements[2]) <= (2 if on_postgres else 9)
