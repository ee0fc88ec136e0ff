"""Each use falls to its funders: those of the workshop's day, as the log knew them by then."""

from datetime import date

import pytest
from sqlalchemy import select

from funding import operations as funds
from funding.allocation import Funder
from funding.attribution import project
from funding.models import attribution, segment
from funding.queries import funder_parts
from funding.tranches import ChangeShares, OpenTranche, change_shares
from ledger import sequencer
from ledger.identifiers import new_id
from redemption.sites import open_tranche
from redemption.undoing import Undo, undo
from tests.builders import (
    CALENDAR,
    MANAGER,
    a_workshop,
    a_world,
    an_order,
    done,
    given,
    scanned,
    sequence,
)
from tests.conftest import moment

THIRDS = {"FSE": 1, "ETAT": 1, "DEP": 1}
NOW = moment("2020-02-03", 15)


def parts_of(database, tranche: int = 1, **bounds) -> dict[str, int]:
    """What each convention pays of the net uses of a tranche, by the figures that are told."""
    with database.begin("23", read_only=True) as session:
        found = funder_parts(session, [tranche], **bounds)[tranche]
        assert (
            sum(p.cents for p in found)
            == sum(
                session.scalars(select(segment.c.cents).where(segment.c.tranche == tranche))
            )
            or bounds
        )
    return {part.convention: part.cents for part in found}


def open_world(database, **facts):
    """A world with twenty passes handed out; returns it and their serials."""
    with database.begin("23") as session:
        world = a_world(session, **facts)
        serials = an_order(session, world)
        done(given(session, *serials))
    return world, serials


def used(database, world, *serials: str, day: str = "2020-02-03") -> None:
    """Passes accepted at a workshop of a day."""
    with database.begin("23") as session:
        workshop = a_workshop(session, day)
        verdicts = scanned(session, world, workshop, *serials, now=moment(day, 14))
        assert {v.verdict for v in verdicts} == {"accepted"}


def undone(database, *serials: str, now=NOW) -> None:
    with database.begin("23") as session:
        for serial in serials:
            done(
                undo(session, Undo(new_id(), serial, "wrong_pass"), device=MANAGER, now=now)
            )


def extended(database, code: str, until: str, now) -> None:
    request = funds.ExtendConvention(
        new_id(), code, date(2020, 1, 1), date.fromisoformat(until)
    )
    with database.begin("23") as session:
        done(funds.extend_convention(session, request, by="test", now=now))


def shared(database, shares: dict[str, int], from_day: str, now) -> None:
    request = ChangeShares(new_id(), "T1", shares, date.fromisoformat(from_day))
    with database.begin("23") as session:
        done(change_shares(session, request, by="test", now=now))


def test_ten_euros_at_60_20_20_are_6_2_and_2_after_every_use(database):
    world, serials = open_world(database)
    for count in (1, 2, 3):
        used(database, world, serials[count])
        sequence(database)
        assert parts_of(database) == {
            "FSE": 600 * count,
            "ETAT": 200 * count,
            "DEP": 200 * count,
        }


def test_nothing_is_attributed_before_a_use_nor_by_a_hand_out(database):
    open_world(database)
    sequence(database)
    assert set(parts_of(database).values()) == {0}


def test_thirds_come_back_to_the_lower_total_when_a_use_is_undone_in_the_middle(database):
    world, serials = open_world(database, shares=THIRDS)
    told = []

    def look() -> None:
        sequence(database)
        parts = parts_of(database)
        told.append((parts["FSE"], parts["ETAT"], parts["DEP"]))

    used(database, world, serials[0])
    look()
    used(database, world, serials[1])
    look()
    undone(database, serials[0])
    look()
    used(database, world, serials[2])
    look()
    used(database, world, serials[0])
    look()

    one, two, three = (333, 333, 334), (666, 667, 667), (1000, 1000, 1000)
    assert told == [one, two, one, two, three]


def test_a_use_and_its_undo_in_one_batch_leave_nothing_to_pay(database):
    world, serials = open_world(database, shares=THIRDS)
    used(database, world, *serials[:2])
    undone(database, *serials[:2])
    sequence(database)
    assert parts_of(database) == {"FSE": 0, "ETAT": 0, "DEP": 0}


def test_the_departement_pays_above_a_cap_and_gets_it_back_when_uses_are_undone(database):
    world, serials = open_world(database, cap_esf=2000)
    told = []

    def look() -> None:
        sequence(database)
        parts = parts_of(database)
        told.append((parts["FSE"], parts["ETAT"], parts["DEP"]))

    used(database, world, *serials[:3])
    look()
    used(database, world, serials[3])
    look()
    used(database, world, serials[4])
    look()
    undone(database, serials[0])
    look()
    undone(database, serials[1])
    look()

    assert told == [
        (1800, 600, 600),
        (2000, 800, 1200),
        (2000, 1000, 2000),
        (2000, 800, 1200),
        (1800, 600, 600),
    ]


def test_a_cap_holds_over_the_sum_of_share_versions(database):
    world, serials = open_world(database, cap_esf=1500)
    used(database, world, *serials[:2])
    shared(database, {"FSE": 50, "ETAT": 25, "DEP": 25}, "2020-02-01", NOW)
    used(database, world, *serials[2:4])
    sequence(database)
    assert parts_of(database) == {"FSE": 1500, "ETAT": 900, "DEP": 1600}


def test_room_under_a_cap_of_two_tranches_is_the_first_ones_and_comes_back_with_an_undo(
    database,
):
    """What is paid of a tranche is never more than was used of it, nor less than nothing."""
    world, serials = open_world(database, cap_esf=1200)
    with database.begin("23") as session:
        weights = {"FSE": 60, "ETAT": 20, "DEP": 20}
        second = OpenTranche(new_id(), 2, "T2", "tela", "AAP", 1_000_000, weights, CALENDAR)
        done(open_tranche(session, second, by="test", now=NOW))
        others = an_order(session, world, 1, tranche="T2")
        done(given(session, *others))
    told = []

    def look() -> None:
        sequence(database)
        told.append([tuple(parts_of(database, n).values()) for n in (1, 2)])

    used(database, world, *others[:2])
    look()
    used(database, world, *serials[:2])
    look()
    undone(database, *serials[:2])
    look()
    undone(database, *others[:2])
    look()
    nothing, whole, over = (0, 0, 0), (400, 400, 1200), (1600, 400, 0)
    assert told == [[nothing, whole], [whole, over], [nothing, whole], [nothing, nothing]]


def test_what_is_above_a_cap_falls_to_the_departement_of_those_shares(database):
    """Another convention of the département signed since has nothing to do with it."""
    world, serials = open_world(database, cap_esf=600)
    with database.begin("23") as session:
        theirs = funds.SignConvention(
            new_id(), "CD", "AAP", Funder.DEPARTMENT, "CD", date(2020, 1, 1), date(2021, 6, 30)
        )  # fmt: skip
        done(funds.sign_convention(session, theirs, by="test", now=NOW))
    shared(database, {"FSE": 60, "ETAT": 20, "CD": 20}, "2020-02-04", NOW)
    used(database, world, *serials[:3])
    sequence(database)
    assert parts_of(database) == {"CD": 0, "DEP": 1800, "ETAT": 600, "FSE": 600}


@pytest.mark.parametrize("cap", [None, 900_000])
def test_a_day_that_is_no_beginning_of_the_log_has_the_parts_of_its_own_total(
    database, cap
):
    """Uses of two days reach the log one after the other, as phones without a network send them."""
    world, serials = open_world(database, shares=THIRDS, cap_esf=cap)
    for early, late in zip(serials[:9], serials[9:18], strict=True):
        used(database, world, early, day="2020-02-03")
        used(database, world, late, day="2020-02-04")
    sequence(database)
    first_day = parts_of(database, happened_by=date(2020, 2, 3))
    assert first_day == {"DEP": 3000, "ETAT": 3000, "FSE": 3000}


def test_a_cap_that_a_later_day_reached_holds_nothing_back_before(database):
    world, serials = open_world(database, cap_esf=1200)
    used(database, world, *serials[:2], day="2020-02-04")
    used(database, world, *serials[2:4], day="2020-02-03")
    sequence(database)
    first_day = parts_of(database, happened_by=date(2020, 2, 3))
    assert first_day == {"DEP": 400, "ETAT": 400, "FSE": 1200}
    assert parts_of(database) == {"DEP": 2000, "ETAT": 800, "FSE": 1200}


def test_an_extension_signed_by_the_state_alone_leaves_0_2_and_8(database):
    world, serials = open_world(database, esf_until=date(2020, 12, 31))
    extended(database, "ETAT", "2021-12-31", NOW)
    used(database, world, serials[0], day="2020-12-31")
    sequence(database)
    assert parts_of(database) == {"FSE": 600, "ETAT": 200, "DEP": 200}

    used(database, world, serials[1], day="2021-01-01")
    sequence(database)

    assert parts_of(database) == {"FSE": 600, "ETAT": 400, "DEP": 1000}


def test_an_undo_falls_to_the_windows_of_the_use_that_it_undoes(database):
    world, serials = open_world(database, esf_until=date(2020, 12, 31))
    used(database, world, serials[0], day="2020-12-31")
    used(database, world, serials[1], day="2021-01-04")
    sequence(database)
    undone(database, serials[0], now=moment("2021-01-05"))
    sequence(database)
    assert parts_of(database) == {"FSE": 0, "ETAT": 200, "DEP": 800}


@pytest.mark.parametrize("at_once", [True, False], ids=["one batch", "batch by batch"])
def test_a_window_extended_later_never_changes_what_the_log_holds(database, at_once):
    world, serials = open_world(database, esf_until=date(2020, 2, 29))
    used(database, world, serials[0], day="2020-03-02")
    if not at_once:
        sequence(database)
        assert parts_of(database) == {"FSE": 0, "ETAT": 200, "DEP": 800}
    extended(database, "FSE", "2020-12-31", moment("2020-03-03"))
    used(database, world, serials[1], day="2020-03-02")

    sequence(database)

    assert parts_of(database) == {"FSE": 600, "ETAT": 400, "DEP": 1000}


@pytest.mark.parametrize("at_once", [True, False], ids=["one batch", "batch by batch"])
def test_shares_changed_later_never_change_what_the_log_holds(database, at_once):
    world, serials = open_world(database)
    used(database, world, serials[0])
    if not at_once:
        sequence(database)
    shared(database, {"FSE": 50, "ETAT": 25, "DEP": 25}, "2020-02-01", NOW)
    used(database, world, serials[1])
    sequence(database)
    assert parts_of(database) == {"FSE": 1100, "ETAT": 450, "DEP": 450}

    undone(database, serials[0])
    sequence(database)

    assert parts_of(database) == {"FSE": 500, "ETAT": 250, "DEP": 250}


def test_changed_shares_hold_from_their_day_on_and_not_before(database):
    world, serials = open_world(database)
    shared(database, {"FSE": 50, "ETAT": 25, "DEP": 25}, "2020-03-01", NOW)
    used(database, world, serials[0], day="2020-02-29")
    sequence(database)
    assert parts_of(database) == {"FSE": 600, "ETAT": 200, "DEP": 200}

    used(database, world, serials[1], day="2020-03-01")
    sequence(database)

    assert parts_of(database) == {"FSE": 1100, "ETAT": 450, "DEP": 450}


def a_busy_spring(database, code: str) -> None:
    """Uses, undos, a change of shares, an extension, a cap, in one département."""
    with database.begin(code) as session:
        world = a_world(session, shares=THIRDS, cap_esf=1500, esf_until=date(2020, 2, 29))
        serials = an_order(session, world)
        done(given(session, *serials))
        for turn, day in enumerate(["2020-02-03", "2020-03-02", "2020-02-20"]):
            workshop = a_workshop(session, day)
            at = moment("2020-03-03", 14)
            mine = serials[5 * turn : 5 * turn + 5]
            assert {
                v.verdict for v in scanned(session, world, workshop, *mine, now=at)
            } == {"accepted"}
            for serial in mine[:2]:
                done(
                    undo(
                        session,
                        Undo(new_id(), serial, "person_left"),
                        device=MANAGER,
                        now=at,
                    )
                )
            scanned(session, world, workshop, mine[0], now=at)
            if turn == 0:
                weights = {"FSE": 5987, "ETAT": 2000, "DEP": 2013}
                changed = ChangeShares(new_id(), "T1", weights, date(2020, 2, 10))
                done(change_shares(session, changed, by="test", now=at))
            if turn == 1:
                longer = funds.ExtendConvention(
                    new_id(), "FSE", date(2020, 1, 1), date(2020, 2, 25)
                )
                done(funds.extend_convention(session, longer, by="test", now=at))


def projected(database, code: str) -> dict[str, list[tuple[object, ...]]]:
    with database.begin(code, read_only=True) as session:
        return {
            t.name: [tuple(row) for row in session.execute(select(t).order_by(*t.primary_key))]
            for t in (segment, attribution)
        }  # fmt: skip


def test_small_batches_bring_the_same_segments_as_one(database):
    a_busy_spring(database, "23")
    a_busy_spring(database, "974")

    sequence(database, "23")
    steps = 0
    while True:
        with database.begin("974", "sequencer") as session:
            if not sequencer.step(session, at=NOW.at, project=[project], most=1):
                break
            steps += 1

    assert steps > 40
    whole, small = projected(database, "23"), projected(database, "974")
    assert small == whole
    assert len(whole["segment"]) == 3
    assert len(whole["attribution"]) == 24


def test_a_step_that_fails_leaves_no_cents_attributed(database):
    world, serials = open_world(database)
    used(database, world, *serials[:3])

    class PowerCut(Exception):
        pass

    def cut(session, batch) -> None:
        raise PowerCut

    with pytest.raises(PowerCut), database.begin("23", "sequencer") as session:
        sequencer.step(session, at=NOW.at, project=[project, cut])
    assert set(parts_of(database).values()) == {0}

    sequence(database)

    assert parts_of(database) == {"FSE": 1800, "ETAT": 600, "DEP": 600}
