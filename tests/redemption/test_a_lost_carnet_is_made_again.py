"""Of a hand-out that was lost, the old paper is worth nothing and the new paper what was left, once."""

import threading
import time
from collections import Counter
from datetime import date
from itertools import pairwise

import msgspec
import pytest
from sqlalchemy import select

from app.audit import audit_departement
from funding.tranches import AmendCalendar, amend_calendar
from issuance import vault
from issuance.hand_outs import CarnetUnknown, SpecimenNotHandedOut
from issuance.keys import NewKeys, RevokeKey, keyring, new_keys, revoke_key, signer
from issuance.models import handed_out
from issuance.orders import ActivateOrder, activate_order, order_row
from issuance.paper import printed_passes
from issuance.queries import listed_orders, order_lines
from issuance.words import words_of
from ledger import queries
from ledger.entries import Right
from ledger.identifiers import new_id
from ledger.journal import holders
from ledger.models import entry
from redemption.blocking import BlockCarnet, block_carnet
from redemption.checking import look
from redemption.counter import Presented, redeem
from redemption.lapsing import Lapse, lapse
from redemption.reconciliation import reconcile
from redemption.replacing import (
    CarnetNotHandedOut,
    ReplaceHandOut,
    SeveralHandOuts,
    WordsUnknown,
    given_of_carnet,
    given_of_words,
    replace_hand_out,
    the_only_one,
)
from redemption.undoing import Undo, undo
from tests.builders import (
    CALENDAR,
    MANAGER,
    SECRET,
    a_workshop,
    a_world,
    an_order,
    done,
    given,
    scan_of,
    scanned,
    sequence,
)
from tests.conftest import as_superuser, moment
from tests.together import run_together

AT = moment("2020-02-03", 14)
LOST = moment("2020-02-10")
LAST_DAY = moment("2021-01-31", 23)
AFTER = moment("2021-02-08", 0)


@pytest.fixture
def opened(database):
    """A carnet shared: three passes to one person, of which one is used, and two to another."""
    with database.begin("23") as session:
        world = a_world(session)
        serials = an_order(session, world)
        one = done(given(session, *serials[:3], category="allocataire", need="boost"))
        other = done(given(session, *serials[3:5]))
        workshop = a_workshop(session)
        scanned(session, world, workshop, serials[0])
    return database, world, serials, workshop, one.act, other.act


def asked(hand_out, **more) -> ReplaceHandOut:
    return ReplaceHandOut(new_id(), hand_out, **more)


def replaced(session, world, hand_out, now=LOST, **more):
    """Replace, and print what is new."""
    request = asked(hand_out, **more)
    answer = replace_hand_out(session, request, signer=world.signer, by="desk-CAF", now=now)
    if answer.accepted:
        order = order_row(session, answer.facts["order"])
        made = printed_passes(order, world.signer, world.host)
        world.passes |= {str(p.serial): p for p in made}
    return answer


def held(session) -> dict[str, int]:
    cents = Counter()
    for holding in queries.holdings(session, ["1"]):
        cents[holding.kind] += holding.cents
    return {kind: n for kind, n in cents.items() if n}


def words(session, world, workshop, *serials, now=AT) -> list[str]:
    return [v.verdict for v in scanned(session, world, workshop, *serials, now=now)]


def test_only_the_unused_passes_of_that_hand_out_are_replaced(opened):
    database, world, serials, workshop, one, _ = opened
    with database.begin("23") as session:
        before = held(session)
        answer = done(replaced(session, world, one))
        assert held(session) == before
        new = answer.facts["serials"]
        assert (answer.facts["replaces"], len(new)) == (serials[1:3], 2)
        told = words(session, world, workshop, *serials[:5])
        assert told == ["already_redeemed", "replaced", "replaced", "accepted", "accepted"]
        assert words(session, world, workshop, *new, new[0]) == [
            "accepted",
            "accepted",
            "already_redeemed",
        ]


def test_the_new_paper_is_as_the_old_one_was(opened):
    database, world, _, _, one, _ = opened
    with database.begin("23") as session:
        answer = done(replaced(session, world, one))
        old, new = order_row(session, 1), order_row(session, answer.facts["order"])
        looked = look(
            session, world.token(answer.facts["serials"][0]), now=LOST, keyring=world.ring
        )
        again = activate_order(
            session, ActivateOrder(new_id(), new.number, "ENG-2"), by="test", now=LOST
        )

    same = ("tranche", "face_cents", "printed_use_by", "specimen")
    assert [getattr(new, name) for name in same] == [getattr(old, name) for name in same]
    assert (new.carnets, new.carnet_size) == (1, 2)
    assert answer.facts["commitment_number"] == "ENG-2020-1"
    assert (looked.state, looked.cents) == ("good", 1000)
    assert again.code == "right_used"


def test_each_old_pass_names_its_new_one_and_each_new_one_its_old_one(opened):
    database, world, _, _, one, _ = opened
    with database.begin("23") as session:
        answer = done(replaced(session, world, one))
        rights = [Right("spend", serial, 0) for serial in answer.facts["replaces"]]
        forth = {
            r.subject: h.facts["replaced_by"] for r, h in holders(session, rights).items()
        }
        given_by = set(
            session.scalars(
                select(handed_out.c.entry_id).where(
                    handed_out.c.serial.in_(answer.facts["serials"])
                )
            )
        )

    back = dict(zip(answer.facts["serials"], answer.facts["replaces"], strict=True))
    assert {old: new for new, old in back.items()} == forth
    assert given_by == {answer.act}


def test_what_was_told_of_the_person_is_found_by_the_new_pass(opened):
    database, world, serials, _, one, other = opened
    with database.begin("23") as session:
        person = vault.person_of_hand_out(session, one)
        first = done(replaced(session, world, one))
        second = done(replaced(session, world, first.act, now=moment("2020-02-20")))
        for serial in (serials[0], first.facts["serials"][0], second.facts["serials"][0]):
            assert vault.person_of_pass(session, serial) == person
        nobody = done(replaced(session, world, other))
        with pytest.raises(vault.NothingInVault):
            vault.person_of_pass(session, nobody.facts["serials"][0])


def test_the_new_ones_can_be_lost_too(opened):
    database, world, _, workshop, one, _ = opened
    with database.begin("23") as session:
        first = done(replaced(session, world, one))
        second = done(replaced(session, world, first.act, reason="stolen"))
        third = done(replaced(session, world, second.act, reason="damaged"))
        chain = [first.facts, second.facts, third.facts]
        for before, after in pairwise(chain):
            assert after["replaces"] == before["serials"]
        assert {facts["hand_out"] for facts in chain} == {str(one)}
        told = words(
            session, world, workshop, *first.facts["serials"], *third.facts["serials"]
        )
        assert told == ["replaced"] * 2 + ["accepted"] * 2
        assert held(session)["circulating"] == 2000


def test_nothing_is_handed_out_made_or_active_anew(opened):
    database, world, _, _, one, _ = opened

    def figures():
        sequence(database)
        with database.begin("23", read_only=True) as session:
            [found] = reconcile(session, now=LOST)
            kinds = Counter(session.scalars(select(entry.c.kind)))
        return (found.made, found.active, found.handed_out, found.used), kinds["handed_out"]

    before = figures()
    with database.begin("23") as session:
        done(replaced(session, world, one))
    assert figures() == before == ((20, 20, 5, 1), 2)
    with database.begin("23", read_only=True) as session:
        assert [f for _, findings in audit_departement(session) for f in findings] == []


def test_the_audit_finds_a_replacement_that_gave_more_than_it_ended(opened, request):
    database, world, serials, _, one, _ = opened
    with database.begin("23") as session:
        answer = done(replaced(session, world, one))
        in_stock = serials[-1]
    engine = as_superuser(database, request)
    schema = "d23." if engine.dialect.name == "postgresql" else ""
    identifier = answer.act if engine.dialect.name == "postgresql" else str(answer.act)
    with engine.begin() as connection:
        connection.exec_driver_sql(
            f"INSERT INTO {schema}handed_out (serial, entry_id) VALUES ('{in_stock}', '{identifier}')"
        )
    engine.dispose()
    sequence(database)
    with database.begin("23", read_only=True) as session:
        found = {f.code for _, findings in audit_departement(session) for f in findings}
    assert "replacement_differs" in found


def test_an_act_sent_again_gets_the_answer_given_then(opened):
    database, world, _, _, one, _ = opened
    request = asked(one)
    with database.begin("23") as session:
        first = replace_hand_out(
            session, request, signer=world.signer, by="desk-CAF", now=LOST
        )
    with database.begin("23") as session:
        again = replace_hand_out(
            session, request, signer=world.signer, by="desk-CAF", now=AFTER
        )
        other = replaced(session, world, one)
        assert (
            len(list(session.scalars(select(entry.c.id).where(entry.c.kind == "replaced"))))
            == 2
        )

    assert (again.replayed, again.facts) == (True, first.facts)
    assert other.code == "nothing_to_replace"


def test_a_hand_out_that_spans_two_carnets_becomes_one(opened):
    database, world, serials, *_ = opened
    with database.begin("23") as session:
        both = done(given(session, *serials[8:12]))
        answer = done(replaced(session, world, both.act))
        assert answer.facts["replaces"] == serials[8:12]
        [now] = given_of_carnet(session, answer.facts["first_carnet"])
        assert (now.count, now.unused, now.carnets) == (
            4,
            4,
            (answer.facts["first_carnet"],),
        )


def test_each_no_has_its_code(opened):
    database, world, serials, workshop, one, other = opened
    with database.begin("23") as session:
        assert replaced(session, world, new_id()).code == "hand_out_unknown"
        elsewhere = replaced(session, world, one, desk="MSA")
        assert (elsewhere.code, elsewhere.facts) == (
            "handed_out_elsewhere",
            {"desk": "CAF"},
        )
        late = replaced(session, world, one, now=moment("2021-02-01"))
        assert (late.code, late.facts) == (
            "too_late_to_replace",
            {"tolerance_until": "2021-01-31"},
        )
        scanned(session, world, workshop, *serials[1:3])
        assert replaced(session, world, one).code == "nothing_to_replace"
        done(replaced(session, world, other, desk="CAF", now=LAST_DAY))


def test_what_has_lapsed_stays_so_even_where_the_days_were_put_off_since(opened):
    database, world, _, _, one, _ = opened
    later = msgspec.structs.replace(
        CALENDAR, tolerance_until=date(2021, 3, 31), present_by=date(2021, 4, 7)
    )
    with database.begin("23") as session:
        done(lapse(session, Lapse(new_id(), 1, "circulating"), by="job", now=AFTER))
        amended = AmendCalendar(new_id(), "T1", later)
        done(amend_calendar(session, amended, by="test", now=AFTER))
        answer = replaced(session, world, one, now=AFTER)
    assert (answer.code, answer.facts) == ("hand_out_lapsed", {"order": 1})


def test_a_revoked_key_makes_no_new_paper_and_the_next_one_does(opened):
    database, world, _, workshop, one, _ = opened
    with database.begin("23") as session:
        revoking = RevokeKey(new_id(), world.signer.voucher_key_id, "suspected")
        done(revoke_key(session, revoking, by="test", now=LOST))
        assert replaced(session, world, one).code == "signing_key_revoked"
        new_keys(session, NewKeys(new_id()), secret=SECRET, by="test", now=LOST)
        world.signer = signer(session, "23", SECRET)
        world.ring = keyring(session, "23", SECRET)
        answer = done(replaced(session, world, one))
        assert words(session, world, workshop, *answer.facts["serials"]) == ["accepted"] * 2


def test_more_than_one_carnet_can_hold_is_refused(database):
    with database.begin("23") as session:
        world = a_world(session, envelope_cents=3_000_000)
        serials = an_order(session, world, 52)
        hand_out = done(given(session, *serials[:256])).act
        answer = replaced(session, world, hand_out)
        assert (answer.code, answer.facts) == (
            "hand_out_too_large",
            {"count": 256, "most": 255},
        )
        scanned(session, world, a_workshop(session), serials[0])
        assert done(replaced(session, world, hand_out)).facts["count"] == 255


def test_the_counter_says_when_it_was_replaced_and_says_it_again(opened):
    database, world, serials, workshop, one, _ = opened
    scan = Presented(scan_of(world.token(serials[1]), workshop, AT), MANAGER)
    with database.begin("23") as session:
        done(replaced(session, world, one))
        [first] = redeem(session, [scan], now=LOST, keyring=world.ring)
        [again] = redeem(session, [scan], now=AFTER, keyring=world.ring)
        seen = look(session, world.token(serials[1]), now=LOST, keyring=world.ring)

    assert (first.verdict, first.on, first.site) == ("replaced", LOST.day, None)
    assert (again.verdict, again.on, again.replayed) == ("replaced", LOST.day, True)
    assert seen.state == "replaced"


def test_a_scan_accepted_before_is_still_accepted_when_its_phone_sends_it_again(opened):
    database, world, serials, workshop, one, _ = opened
    scan = Presented(scan_of(world.token(serials[1]), workshop, AT), MANAGER)
    with database.begin("23") as session:
        [first] = redeem(session, [scan], now=AT, keyring=world.ring)
        answer = done(replaced(session, world, one))
        [again] = redeem(session, [scan], now=LOST, keyring=world.ring)

    assert (first.verdict, again.verdict, again.replayed) == ("accepted", "accepted", True)
    assert answer.facts["replaces"] == [serials[2]]


def test_a_replaced_pass_has_no_scan_to_undo(opened):
    database, world, serials, _, one, _ = opened
    with database.begin("23") as session:
        done(replaced(session, world, one))
        request = Undo(new_id(), serials[1], "wrong_pass")
        answer = undo(session, request, device=MANAGER, now=LOST)
    assert (answer.code, answer.facts) == ("nothing_to_undo", {"serial": serials[1]})


def test_a_pass_given_back_after_the_replacement_is_in_hand_and_can_be_replaced_then(
    opened,
):
    database, world, serials, workshop, one, _ = opened
    with database.begin("23") as session:
        done(replaced(session, world, one))
        back = Undo(new_id(), serials[0], "scanned_by_mistake")
        done(undo(session, back, device=MANAGER, now=LOST))
        answer = done(replaced(session, world, one))
        assert answer.facts["replaces"] == [serials[0]]
        assert words(session, world, workshop, serials[0]) == ["replaced"]
        rights = [Right("spend", serials[0], turn) for turn in (0, 1)]
        kinds = {right.turn: h.kind for right, h in holders(session, rights).items()}
    assert kinds == {0: "redeemed", 1: "replaced"}


def test_a_scan_that_waited_for_its_hand_out_is_a_use_and_is_not_replaced(database):
    with database.begin("23") as session:
        world = a_world(session, regularise=True)
        serials = an_order(session, world, 1)
        workshop = a_workshop(session)
        waiting = Presented(scan_of(world.token(serials[0]), workshop, AT), MANAGER)
        [kept] = redeem(session, [waiting], now=AT, keyring=world.ring)
        late = done(given(session, *serials, now=moment("2020-02-05")))
        answer = done(replaced(session, world, late.act))
        [again] = redeem(session, [waiting], now=LOST, keyring=world.ring)
        told = words(session, world, workshop, *serials[:2], now=LOST)

    assert (kept.verdict, again.verdict) == ("kept", "kept")
    assert answer.facts["replaces"] == serials[1:]
    assert told == ["already_redeemed", "replaced"]


def test_what_is_replaced_is_blocked_no_more_and_what_is_new_can_be(opened):
    database, world, _, workshop, one, other = opened
    with database.begin("23") as session:
        new = done(replaced(session, world, one)).facts
        done(replaced(session, world, other))
        nothing = block_carnet(session, BlockCarnet(new_id(), 1), by="test", now=LOST)
        done(
            block_carnet(
                session, BlockCarnet(new_id(), new["first_carnet"]), by="test", now=LOST
            )
        )
        assert words(session, world, workshop, *new["serials"]) == ["blocked"] * 2
        again = replaced(session, world, new_id())
        assert (nothing.code, again.code) == ("nothing_to_block", "hand_out_unknown")


def test_old_and_new_lapse_for_what_is_left_of_each(opened):
    database, world, _, workshop, one, _ = opened
    with database.begin("23") as session:
        new = done(replaced(session, world, one)).facts
        scanned(session, world, workshop, new["serials"][0])
        lapsed = [
            done(lapse(session, Lapse(new_id(), order, "circulating"), by="job", now=AFTER))
            for order in (1, new["order"])
        ]
        assert [answer.facts["count"] for answer in lapsed] == [2, 1]
        assert held(session)["lapsed"] == 3000
        assert replaced(session, world, one, now=LAST_DAY).code == "hand_out_lapsed"


def test_a_carnet_tells_whose_passes_are_left_and_what_took_their_place(opened):
    database, world, _, _, one, other = opened
    with database.begin("23") as session:
        before = given_of_carnet(session, 1)
        assert [(g.id, g.on, g.desk, g.count, g.unused) for g in before] == [
            (one, moment("2020-01-20").day, "CAF", 3, 2),
            (other, moment("2020-01-20").day, "CAF", 2, 2),
        ]
        with pytest.raises(SeveralHandOuts) as several:
            the_only_one(before)
        new = done(replaced(session, world, one)).facts["first_carnet"]
        after = given_of_carnet(session, 1)
        [fresh] = given_of_carnet(session, new)

    assert several.value.hand_outs == (str(one), str(other))
    assert [(g.unused, g.replaced_by) for g in after] == [(0, (new,)), (2, ())]
    with pytest.raises(SeveralHandOuts) as someone_elses:
        the_only_one(after)
    assert someone_elses.value.hand_outs == (str(other),)
    assert (fresh.desk, fresh.programme, fresh.unused, fresh.face_cents) == (
        "CAF",
        "tela",
        2,
        1000,
    )
    assert the_only_one([after[0]]).id == one
    assert the_only_one([after[1]]).id == other
    assert the_only_one([after[0], after[0]]).unused == 0, "nothing of anyone is left"


def test_the_two_words_of_the_stub_find_it_in_either_order(opened):
    database, _, _, _, one, other = opened
    first, second = words_of(1)
    with database.begin("23") as session:
        for typed in ((first, second), (second, f" La {first.upper()}")):
            assert [g.id for g in given_of_words(session, *typed)] == [one, other]
        for typed in (words_of(2), ("xyz", second), (first, first)):
            with pytest.raises(WordsUnknown):
                given_of_words(session, *typed)


def test_a_carnet_that_nobody_was_given_is_not_replaced(opened):
    database, world, *_ = opened
    with database.begin("23") as session:
        an_order(session, world, 1, specimen=True)
        done(block_carnet(session, BlockCarnet(new_id(), 3), by="test", now=LOST))
        for number, why in (
            (99, CarnetUnknown),
            (2, CarnetNotHandedOut),
            (3, CarnetNotHandedOut),
            (5, SpecimenNotHandedOut),
        ):
            with pytest.raises(why):
                given_of_carnet(session, number)


def test_of_sixteen_desks_one_replaces_and_the_others_find_nothing_left(opened):
    database, world, _, _, one, _ = opened
    answers = []

    def ask() -> None:
        with database.begin("23") as session:
            request = asked(one)
            answers.append(
                replace_hand_out(session, request, signer=world.signer, by="x", now=LOST)
            )

    run_together(*[ask] * 16)

    assert Counter(a.code for a in answers) == {"accepted": 1, "nothing_to_replace": 15}
    with database.begin("23") as session:
        assert held(session)["circulating"] == 4000


def test_each_pass_that_is_scanned_while_it_is_replaced_is_one_or_the_other(database):
    with database.begin("23") as session:
        world = a_world(session)
        serials = an_order(session, world, 9)
        hand_out = done(given(session, *serials)).act
        workshop = a_workshop(session)
    verdicts, answers, under_way = [], [], threading.Event()

    def scan(mine) -> None:
        for serial in mine:
            with database.begin("23") as session:
                verdicts.extend(scanned(session, world, workshop, serial))
            under_way.set()

    def ask() -> None:
        under_way.wait(10)
        with database.begin("23") as session:
            answers.append(replaced(session, world, hand_out))

    run_together(*(lambda mine=serials[n::15]: scan(mine) for n in range(15)), ask)

    told = Counter(v.verdict for v in verdicts)
    assert set(told) <= {"accepted", "replaced"}
    assert told.total() == len(serials)
    [answer] = answers
    assert answer.code in {"accepted", "nothing_to_replace"}
    assert sorted(answer.facts.get("replaces", [])) == sorted(
        v.serial for v in verdicts if v.verdict == "replaced"
    )
    assert {v.on for v in verdicts if v.verdict == "replaced"} <= {LOST.day}
    with database.begin("23") as session:
        after = held(session)
    assert after["due"] == told["accepted"] * 1000
    assert after.get("circulating", 0) == told["replaced"] * 1000
    sequence(database)
    with database.begin("23", read_only=True) as session:
        assert [f for _, findings in audit_departement(session) for f in findings] == []


def test_a_scan_that_loses_to_a_replacement_is_told_so_with_its_day(opened):
    database, world, serials, workshop, one, _ = opened
    verdicts = []

    def scan() -> None:
        with database.begin("23") as session:
            verdicts.extend(scanned(session, world, workshop, serials[1]))

    thread = threading.Thread(target=scan)
    with database.begin("23") as session:
        done(replaced(session, world, one))
        thread.start()
        time.sleep(0.4)
    thread.join()

    assert [(v.verdict, v.on) for v in verdicts] == [("replaced", LOST.day)]


def test_a_replacement_that_races_the_lapse_comes_before_it_or_is_refused(opened):
    database, world, _, _, one, other = opened
    answers, lapses = {}, []

    def ask(hand_out) -> None:
        with database.begin("23") as session:
            answers[hand_out] = replaced(session, world, hand_out, now=LAST_DAY)

    def let_lapse() -> None:
        with database.begin("23") as session:
            request = Lapse(new_id(), 1, "circulating")
            lapses.append(done(lapse(session, request, by="job", now=AFTER)))

    run_together(lambda: ask(one), lambda: ask(other), let_lapse)

    told = Counter(a.code for a in answers.values())
    assert set(told) <= {"accepted", "hand_out_lapsed"}
    assert lapses[0].facts["count"] == 2 * told["hand_out_lapsed"]
    with database.begin("23") as session:
        assert held(session).get("circulating", 0) == 2000 * told["accepted"]


def test_a_replacement_waits_for_a_revocation_under_way_and_is_refused(opened):
    database, world, _, _, one, _ = opened
    answers = []

    def ask() -> None:
        with database.begin("23") as session:
            answers.append(replaced(session, world, one))

    thread = threading.Thread(target=ask)
    with database.begin("23") as session:
        revoking = RevokeKey(new_id(), world.signer.voucher_key_id, "suspected")
        done(revoke_key(session, revoking, by="test", now=LOST))
        thread.start()
        time.sleep(0.4)
    thread.join()

    assert [answer.code for answer in answers] == ["signing_key_revoked"]


def test_orders_are_listed_without_those_that_replaced_paper(opened):
    database, world, _, _, one, _ = opened
    with database.begin("23") as session:
        number = done(replaced(session, world, one)).facts["order"]
        listed = [line.number for line in order_lines(session)]
        [line] = order_lines(session, number)
        [placed] = order_lines(session, 1)
        rows = [row[0] for row in listed_orders(session)]
    assert (listed, rows) == ([1], [1])
    assert (line.number, line.replacement, line.value_cents) == (number, True, 0)
    assert (placed.replacement, placed.value_cents) == (False, 20_000)
