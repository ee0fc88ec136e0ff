"""A question about the past has one answer: the same bytes, whatever is recorded afterwards."""

from collections.abc import Callable, Iterator
from datetime import date, timedelta

import pytest

from app.messages import messages
from app.reconciliations import printed
from funding import operations as funds
from funding import tranches as money
from funding.allocation import Funder
from funding.attribution import project
from funding.operations import NotFound
from funding.tranches import OpenTranche
from issuance.desks import OpenDesk, open_desk
from issuance.keys import NewKeys, new_keys
from issuance.orders import ActivateOrder, activate_order
from ledger import queries, sequencer
from ledger.identifiers import new_id
from ledger.merkle import tree_root
from ledger.moments import Moment
from ledger.tiles import nodes
from redemption.blocking import BlockCarnet, block_carnet
from redemption.lapsing import Lapse, lapse
from redemption.mednum import clean
from redemption.reconciliation import KnownByTwice, NoSuchLogSize, reconcile
from redemption.sites import (
    Accredit,
    EndAccreditation,
    accredit,
    end_accreditation,
    open_tranche,
    save_site,
)
from redemption.undoing import Undo, undo
from tests.builders import (
    CALENDAR,
    MANAGER,
    SECRET,
    SIRETS,
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

FORMS = ("text", "json", "csv")
CLOSED = date(2020, 3, 1)
AFTER = moment("2021-02-08")
RENAMED = {
    "id": "lieu-1", "pivot": SIRETS[2], "nom": "Espace public numérique", "commune": "Aubusson",
    "code_postal": "23200", "code_insee": "23008", "adresse": "2 rue Vieille", "date_maj": "2020-06-01",
}  # fmt: skip


class Story:
    """Two tranches of a call and one of another, lived until March 2020; and what comes afterwards."""

    def __init__(self, database) -> None:
        self.database = database
        with self.begin() as session:
            self.world = a_world(session, cap_esf=6_000, esf_until=date(2020, 2, 10))
            self.open(session, 2, "AAP", {"FSE": 1, "ETAT": 1, "DEP": 1}, regularise=True)
            self.first = an_order(session, self.world, 6)
            self.second = an_order(session, self.world, 4, tranche="T2")
            self.asleep = an_order(session, self.world, 2, active=False)
        sequence(database, now=moment("2020-01-31"))
        with self.begin() as session:
            self.early = a_workshop(session)
            self.other = a_workshop(session, "2020-02-24", "lieu-2")
            given(session, *self.first[:25])
            given(session, *self.second[:10])
            scanned(session, self.world, self.early, *self.first[:8])
            scanned(session, self.world, self.early, *self.second[:3])
            later = moment("2020-02-24", 15)
            scanned(session, self.world, self.other, *self.first[8:11], now=later)
            # Scanned before their hand-outs are recorded: they wait.
            scanned(session, self.world, self.early, *self.second[10:13])
            self.undo(session, self.first[0], later)
            self.block(session, 3, later)
        # Small steps: sizes between two checkpoints are sizes too.
        while self.step(7, moment("2020-02-28")):
            pass
        with database.begin("23", read_only=True) as session:
            self.size = queries.log_size(session)

    def begin(self):
        return self.database.begin("23")

    def step(self, most: int, now: Moment) -> int:
        with self.database.begin("23", "sequencer") as session:
            return sequencer.step(session, at=now.at, project=[project], most=most)

    @staticmethod
    def open(session, number, call, shares, now=None, **rules):
        request = OpenTranche(
            new_id(), number, f"T{number}", "tela", call, 500_000, shares, CALENDAR, **rules
        )
        done(open_tranche(session, request, by="test", now=now or moment("2020-01-06")))

    @staticmethod
    def undo(session, serial, now):
        done(undo(session, Undo(new_id(), serial, "wrong_pass"), device=MANAGER, now=now))

    @staticmethod
    def block(session, carnet, now):
        request = BlockCarnet(new_id(), carnet, "lost")
        done(block_carnet(session, request, by="test", now=now))

    def questions(self) -> Iterator[dict]:
        """Ask of each tranche, of a call and of all; by size, by day, and by days in the world."""
        scopes = ({"tranche": "T1"}, {"tranche": "T2"}, {"call": "AAP"}, {})
        for scope in scopes:
            yield scope | {"log_size": self.size}
            yield scope | {"log_size": self.size - 5, "as_of": date(2020, 2, 10)}
            yield scope | {"known_by": CLOSED, "as_of": date(2020, 2, 10)}
        yield {"known_by": CLOSED}
        yield {"log_size": 20}
        yield {"known_by": date(2020, 1, 31), "as_of": date(2020, 12, 31)}
        # What is not there yet is not found later either.
        for scope in ({"tranche": "T3"}, {"call": "SUITE"}, {"tranche": "T4"}):
            yield scope | {"log_size": self.size}
            yield scope | {"known_by": CLOSED}

    def answers(self, now: Moment) -> dict[str, str]:
        told = {}
        with self.database.begin("23", read_only=True) as session:
            for question in self.questions():
                name = ", ".join(f"{key} {value}" for key, value in question.items())
                try:
                    found = reconcile(session, now=now, **question)
                except NotFound as no:
                    told[name] = str(no)
                    continue
                for form in FORMS:
                    told[f"{name}, {form}"] = printed(
                        found, question.get("call"), form, messages("fr")
                    )
        return told


def late_scans(story: Story, session, now: Moment) -> None:
    again = a_workshop(session, "2020-02-07", "lieu-2", now)
    verdicts = scanned(session, story.world, story.early, *story.first[15:18], now=now)
    verdicts += scanned(session, story.world, again, story.first[18], now=now)
    assert {v.verdict for v in verdicts} == {"accepted"}


def a_late_hand_out(story: Story, session, now: Moment) -> None:
    done(given(session, *story.second[10:12], now=now))


def another_kept_scan(story: Story, session, now: Moment) -> None:
    [verdict] = scanned(session, story.world, story.early, story.second[14], now=now)
    assert verdict.verdict == "kept"


def an_undo(story: Story, session, now: Moment) -> None:
    for serial in (story.first[1], story.first[8], story.second[0]):
        story.undo(session, serial, now)


def a_use_after_an_undo(story: Story, session, now: Moment) -> None:
    [verdict] = scanned(session, story.world, story.other, story.first[1], now=now)
    assert verdict.verdict == "accepted"


def a_block(story: Story, session, now: Moment) -> None:
    story.block(session, 4, now)


def a_block_of_what_waits(story: Story, session, now: Moment) -> None:
    story.block(session, 9, now)


def other_shares(story: Story, session, now: Moment) -> None:
    """From a day of the past on, and with a funder that sorts first."""
    signed = funds.SignConvention(
        new_id(), "REG", "AAP", Funder.REGION, "Région", date(2020, 1, 1), date(2021, 6, 30)
    )
    done(funds.sign_convention(session, signed, by="test", now=now))
    for tranche, shares in (
        ("T1", {"FSE": 50, "REG": 25, "ETAT": 5, "DEP": 20}),
        ("T2", {"REG": 1, "DEP": 1}),
    ):
        request = money.ChangeShares(new_id(), tranche, shares, date(2020, 1, 1))
        done(money.change_shares(session, request, by="test", now=now))


def another_window(story: Story, session, now: Moment) -> None:
    request = funds.ExtendConvention(new_id(), "FSE", date(2020, 1, 1), date(2021, 6, 30))
    done(funds.extend_convention(session, request, by="test", now=now))


def a_suspension(story: Story, session, now: Moment) -> None:
    request = funds.SuspendProgramme(
        new_id(), "tela", date(2020, 2, 1), date(2020, 2, 5), "other"
    )
    done(funds.suspend_programme(session, request, by="test", now=now))


def more_uses(story: Story, session, now: Moment) -> None:
    verdicts = scanned(session, story.world, story.early, *story.second[5:8], now=now)
    assert {v.verdict for v in verdicts} == {"accepted"}


def more_tranches(story: Story, session, now: Moment) -> None:
    story.open(session, 3, "AAP", {"FSE": 60, "DEP": 40}, now)
    done(funds.open_call(session, funds.OpenCall(new_id(), "SUITE", "Suite"), by="test", now=now))  # fmt: skip
    signed = funds.SignConvention(
        new_id(), "DEP2", "SUITE", Funder.DEPARTMENT, "Département", date(2020, 1, 1), date(2021, 6, 30)
    )  # fmt: skip
    done(funds.sign_convention(session, signed, by="test", now=now))
    story.open(session, 4, "SUITE", {"DEP2": 1}, now)
    an_order(session, story.world, 1, tranche="T3", now=now)


def a_site_renamed(story: Story, session, now: Moment) -> None:
    for name in (RENAMED["nom"], "Le Relais"):
        cleaned = clean(RENAMED | {"nom": name}, imported_on=now.day)
        assert cleaned.site is not None
        assert save_site(session, cleaned.site, dated=True, by="test", now=now) == "changed"


def a_new_site(story: Story, session, now: Moment) -> None:
    key = a_site(session, 3, now, SIRETS[2])
    request = Accredit(new_id(), key, "tela", date(2020, 1, 1))
    done(accredit(session, request, by="test", now=now))
    there = a_workshop(session, "2020-02-06", key, now)
    [verdict] = scanned(session, story.world, there, story.first[20], now=now)
    assert verdict.verdict == "accepted"


def an_accreditation_ended(story: Story, session, now: Moment) -> None:
    for site, day in (("lieu-1", date(2020, 1, 31)), ("lieu-2", date(2020, 2, 15))):
        request = EndAccreditation(new_id(), site, "tela", day)
        done(end_accreditation(session, request, by="test", now=now))


def orders(story: Story, session, now: Moment) -> None:
    number = 3
    request = ActivateOrder(new_id(), number, "ENG-2020-9")
    done(activate_order(session, request, by="test", now=now))
    an_order(session, story.world, 2, tranche="T1", now=now)


def another_calendar(story: Story, session, now: Moment) -> None:
    longer = money.Calendar(
        date(2020, 12, 15), date(2020, 12, 31), date(2021, 2, 1), date(2021, 2, 7),
        date(2021, 7, 1), date(2021, 8, 1),
    )  # fmt: skip
    request = money.AmendCalendar(new_id(), "T1", longer)
    done(money.amend_calendar(session, request, by="test", now=now))


def desks_and_keys(story: Story, session, now: Moment) -> None:
    desk = OpenDesk(new_id(), "MSA", "MSA de la Creuse", "Accueil", ("tela",))
    done(open_desk(session, desk, by="test", now=now))
    new_keys(session, NewKeys(new_id()), secret=SECRET, by="test", now=now)


def disputes(story: Story, session, now: Moment) -> None:
    del now  # after the last day of presentation
    verdicts = scanned(session, story.world, story.other, story.first[21], now=AFTER)
    assert [v.verdict for v in verdicts] == ["disputed"]


def lapses(story: Story, session, now: Moment) -> None:
    del now
    for order in (1, 2):
        for stage in ("stock", "circulating"):
            request = Lapse(new_id(), order, stage)
            done(lapse(session, request, by="job", now=AFTER))


def an_undo_after_the_lapse(story: Story, session, now: Moment) -> None:
    del now
    story.undo(session, story.first[2], AFTER)


AFTERWARDS: list[Callable[..., None]] = [
    late_scans, a_late_hand_out, another_kept_scan, an_undo, a_use_after_an_undo, a_block,
    a_block_of_what_waits, a_site_renamed, a_new_site, orders, other_shares, another_window,
    more_uses, more_tranches, another_calendar, desks_and_keys, a_suspension, disputes,
    an_accreditation_ended, lapses, an_undo_after_the_lapse,
]  # fmt: skip


@pytest.fixture
def story(database) -> Story:
    return Story(database)


def test_nothing_that_comes_later_changes_an_answer(story):
    before = story.answers(moment(CLOSED + timedelta(days=1)))
    assert any("no_such" in told or "not_found" in told for told in before.values())
    assert any("À récupérer" in told for told in before.values())

    for n, happens in enumerate(AFTERWARDS):
        now = moment(date(2020, 3, 3) + timedelta(days=n))
        with story.begin() as session:
            happens(story, session, now)
        assert story.answers(moment(f"{2021 + n}-01-01")) == before, happens
        while story.step(11, now):
            pass
        assert story.answers(now) == before, happens


def test_a_clock_set_back_adds_nothing_to_a_day_that_is_over(story):
    question = {"known_by": date(2020, 2, 28)}
    with story.begin() as session:
        a_block(story, session, moment("2020-02-29"))
    story.step(1, moment("2020-02-29"))
    before = told(story, now=moment("2020-02-29"), **question)
    with story.begin() as session:
        an_undo(story, session, moment("2020-02-28", 12))

    while story.step(1, moment("2020-02-28", 12)):
        pass

    assert told(story, now=moment("2020-03-02"), **question) == before


def told(story: Story, *, now: Moment, **question) -> str:
    with story.database.begin("23", read_only=True) as session:
        return printed(
            reconcile(session, now=now, **question), None, "json", messages("fr")
        )


def test_a_day_is_as_known_now_until_it_has_been_over_for_a_minute(story):
    midnight = moment("2020-02-29", 0)
    with story.begin() as session:
        a_block(story, session, moment("2020-02-28", 12))
    seconds = [Moment(midnight.at + timedelta(seconds=s), midnight.zone) for s in (30, 61)]
    open_yet, closed = (
        told(story, now=at, tranche="T1", known_by=date(2020, 2, 28)) for at in seconds
    )

    assert '"known_by": "2020-02-28T23:00:30Z"' in open_yet
    assert '"not_yet_logged": 6' in open_yet
    assert '"known_by": "2020-02-29T00:00:00+01:00"' in closed
    assert '"not_yet_logged": null' in closed


def test_a_log_size_tells_its_root_and_when_its_last_entry_was_recorded(story):
    with story.database.begin("23", read_only=True) as session:
        for size in (20, story.size - 5, story.size):
            [t, *_] = reconcile(session, now=AFTER, log_size=size)
            root = tree_root(nodes(session), size).hex()
            assert (t.log_size, t.log_root, t.not_yet_logged) == (size, root, None)
            assert t.happened_by == t.known_by.date()
        assert t.known_by == moment("2020-02-24", 15).at
        assert reconcile(session, now=AFTER, log_size=0) == []


@pytest.mark.parametrize("by", [1, 1 << 70])
def test_a_size_that_the_log_never_had_is_refused(story, by):
    with story.database.begin("23", read_only=True) as session:
        for asked in (-by, story.size + by):
            with pytest.raises(NoSuchLogSize) as no:
                reconcile(session, now=AFTER, tranche="T1", log_size=asked)
            assert (no.value.asked, no.value.size) == (asked, story.size)
        with pytest.raises(KnownByTwice):
            reconcile(session, now=AFTER, log_size=1, known_by=CLOSED)


def test_every_size_of_the_log_can_be_asked_of(story):
    with story.database.begin("23", read_only=True) as session:
        for size in range(story.size + 1):
            for t in reconcile(session, now=AFTER, log_size=size):
                assert sum(line.cents for line in t.lines) == t.envelope_cents
