"""A pass of a former operator is judged like one of ours, by its number or its QR code; and guessing is seen."""

from dataclasses import replace

import msgspec
import pytest

from app.guessing import MOST, Guesses, TooManyGuesses
from issuance import codes
from issuance.orders import order_row
from issuance.paper import printed_passes
from issuance.print_batches import printable
from issuance.serials import Serial
from ledger.identifiers import new_id
from redemption.blocking import BlockCarnet, block_carnet
from redemption.checking import State, is_a_guess, look
from redemption.counter import Presented, Scan, redeem
from redemption.replacing import (
    ReplaceHandOut,
    given_of_carnet,
    replace_hand_out,
    the_only_one,
)
from redemption.undoing import Undo, undo
from tests.builders import (
    MANAGER,
    a_foreign_list,
    a_workshop,
    a_world,
    an_order,
    done,
    foreign_rows,
    given,
    scan_of,
    taken_over,
    typed_in,
)
from tests.conftest import moment
from tests.together import together

AT = moment("2020-02-03", 14)
FIRST, SECOND, QR = "88100001", "88100002", "https://ancien.example/q/a?b=77-ZZ"


@pytest.fixture
def opened(session):
    """Three carnets of two and one of one, taken over; the first and the last are handed out."""
    world = a_world(session)
    [*serials] = an_order(session, world, 1)
    rows = [*foreign_rows(), f"C-009;AB-77 Q;10;2020-12-31;{QR}"]
    done(taken_over(session, world, a_foreign_list(*rows)))
    given(session, "23-000002-1", "23-000002-2")
    given(session, "23-000005-1")
    given(session, *serials)
    return world, a_workshop(session)


def verdicts(session, opened, *texts: str) -> list[str]:
    world, workshop = opened
    return [v.verdict for v in typed_in(session, world, workshop, *texts, now=AT)]


@pytest.mark.parametrize(
    "text",
    ["AB77Q", "ab-77 q", " A.B 77\u00a0Q ", QR, QR.upper(), f"{QR} ", "88100001"],
)
def test_a_number_is_accepted_however_it_is_typed_and_a_qr_code_as_it_is_read(
    session, opened, text
):
    world, workshop = opened
    [told] = typed_in(session, world, workshop, text, now=AT)
    assert (told.verdict, told.cents) == ("accepted", 1_000)
    assert told.serial == ("23-000002-1" if text == FIRST else "23-000005-1")
    assert verdicts(session, opened, text) == ["already_redeemed"]


def test_it_gets_the_verdicts_of_a_pass_of_ours(session, opened):
    world, workshop = opened
    ours = next(iter(world.passes.values()))
    queue = [FIRST, "88100003", FIRST, ours.url, "0088-100002", "88109999", "nothing/such"]
    told = typed_in(session, world, workshop, *queue, now=AT)
    assert [v.verdict for v in told] == [
        "accepted", "not_handed_out", "already_redeemed", "accepted", "accepted",
        "mistyped_code", "forged",
    ]  # fmt: skip
    assert told[2].on == AT.day
    done(undo(session, Undo(new_id(), "23-000002-1", "wrong_pass"), device=MANAGER, now=AT))
    assert verdicts(session, opened, FIRST) == ["accepted"]
    lost = BlockCarnet(new_id(), 5, "lost")
    done(block_carnet(session, lost, by="test", now=AT))
    assert verdicts(session, opened, QR, "AB77Q") == ["blocked", "blocked"]


def test_a_queue_sent_again_gets_the_answers_given_then(session, opened):
    world, workshop = opened
    scans = [scan_of(text, workshop, AT) for text in (FIRST, QR, "88109999", "x/y")]
    queue = [Presented(scan, MANAGER) for scan in scans]
    first = redeem(session, queue, now=AT, keyring=world.ring)
    again = redeem(session, queue, now=AT, keyring=world.ring)
    assert [v.verdict for v in again] == [v.verdict for v in first]
    assert all(v.replayed for v in again)
    other = Presented(Scan(scans[1].id, SECOND, workshop, AT.at), MANAGER)
    assert redeem(session, [other], now=AT, keyring=world.ring)[0].verdict == "act_reused"


def test_looking_tells_the_same_and_spends_nothing(session, opened):
    world, _workshop = opened
    seen = {
        text: look(session, text, now=AT, keyring=world.ring)
        for text in (FIRST, QR, "88100003", "88109999", "x/y")
    }
    assert [s.state for s in seen.values()] == [
        State.GOOD,
        State.GOOD,
        State.NOT_HANDED_OUT,
        State.MISTYPED,
        State.FORGED,
    ]
    assert [is_a_guess(s, world.ring) for s in seen.values()] == [False] * 3 + [True] * 2
    assert verdicts(session, opened, FIRST) == ["accepted"]


def test_a_number_whose_check_symbol_happens_to_be_ours_is_found(session, opened):
    world, _workshop = opened
    number = codes.derive(bytes(32), Serial("23", 4217, 3))
    assert codes.normalise(number) == (None, number)
    done(taken_over(session, world, a_foreign_list(f"C-7;{number};10;2020-12-31;")))
    assert verdicts(session, opened, number, f"23 {number}") == [
        "not_handed_out",
        "unknown",
    ]


def test_a_token_of_ours_that_names_its_serial_is_a_forgery(session, opened):
    world, _workshop = opened
    key_id = world.signer.voucher_key_id
    order = msgspec.structs.replace(order_row(session, 2), key_id=key_id)
    forged = next(printed_passes(order, world.signer, world.host))
    assert str(forged.serial) == "23-000002-1"
    assert verdicts(session, opened, forged.url, forged.code) == ["forged", "unknown"]


def test_tries_at_numbers_are_counted_as_guesses_and_slips_at_our_codes_only_then(session):
    world = a_world(session)
    workshop = a_workshop(session)
    device, guesses = "dev-1", Guesses()
    wrong = [f"8819{n:04d}" for n in range(MOST)]
    before = typed_in(session, world, workshop, *wrong, now=AT)
    guesses.count(device, before)
    guesses.check(device)

    done(taken_over(session, world))
    told = typed_in(session, world, workshop, *wrong, now=AT)
    assert {v.verdict for v in told} == {"mistyped_code"}
    guesses.count(device, told)
    with pytest.raises(TooManyGuesses):
        guesses.check(device)
    guesses.check("dev-2")


def test_without_the_key_nothing_of_theirs_is_judged_nor_kept(session, opened):
    world, workshop = opened
    shut = replace(world.ring, code_key=None)
    scans = [scan_of(text, workshop, AT) for text in (FIRST, QR)]
    queue = [Presented(scan, MANAGER) for scan in scans]
    told = redeem(session, queue, now=AT, keyring=shut)
    assert [v.verdict for v in told] == ["codes_locked", "codes_locked"]
    told = redeem(session, queue, now=AT, keyring=world.ring)
    assert [(v.verdict, v.replayed) for v in told] == [("accepted", False)] * 2


def test_sixteen_phones_with_one_pass_get_one_yes(database):
    with database.begin("23") as session:
        world = a_world(session)
        done(taken_over(session, world))
        given(session, "23-000001-1")
        workshop = a_workshop(session)

    def one() -> str:
        with database.begin("23") as session:
            return typed_in(session, world, workshop, FIRST, now=AT)[0].verdict

    told = sorted(map(str, together(16, one)))
    assert told == ["accepted", *["already_redeemed"] * 15]


def test_what_is_lost_of_it_is_made_again_on_our_paper(session, opened):
    world, _workshop = opened
    assert verdicts(session, opened, FIRST) == ["accepted"]
    gave = the_only_one(given_of_carnet(session, 2))
    lost = ReplaceHandOut(new_id(), gave.id, "CAF")
    told = done(replace_hand_out(session, lost, signer=world.signer, by="desk-CAF", now=AT))
    assert told.facts["count"] == 1
    assert verdicts(session, opened, SECOND) == ["replaced"]

    order = order_row(session, told.facts["order"])
    assert order.key_id == world.signer.voucher_key_id
    printable(session, order, order.first_carnet, order.first_carnet)
    [new] = printed_passes(order, world.signer, world.host)
    assert verdicts(session, opened, new.url) == ["accepted"]
