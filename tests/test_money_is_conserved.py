"""Whatever people do, in whatever order, no centime appears, vanishes or is paid twice."""

import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from pathlib import Path
from typing import ClassVar
from uuid import UUID

import msgspec
import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import func, select

from app.audit import audit_departement
from app.database import Database, FilesPlace
from funding.allocation import split
from funding.attribution import project
from funding.models import attribution, segment
from funding.queries import funder_parts
from funding.tranches import OpenTranche
from issuance.desks import Deliver, deliver
from issuance.hand_outs import HandOut
from issuance.orders import (
    ActivateOrder,
    PlaceOrder,
    activate_order,
    order_row,
    place_order,
)
from issuance.paper import printed_passes
from issuance.serials import Serial
from ledger import canonical, queries, sequencer
from ledger.attempts import Answer
from ledger.identifiers import new_id
from ledger.models import entry, log_leaf
from ledger.moments import Moment
from redemption.blocking import BlockCarnet, block_carnet
from redemption.counter import Device, Presented, Verdict, redeem
from redemption.hand_out import hand_out
from redemption.lapsing import STAGES, Lapse, due_lapses, lapse
from redemption.replacing import ReplaceHandOut, replace_hand_out
from redemption.sites import open_tranche
from redemption.undoing import Undo, undo
from tests.builders import (
    CALENDAR,
    MANAGER,
    World,
    a_workshop,
    a_world,
    an_order,
    done,
    scan_of,
)
from tests.conftest import NUMBERS, moment, postgres_place

FACE = 1000
SIZE = 5
ENVELOPES = {1: 40_000, 2: 30_000}
CAP = 6_000
REGULARISES = {1: False, 2: True}
PHONES = {1: Device("phone-1", 1), 2: Device("phone-2", 2)}
DAYS = ["2020-03-02", "2020-12-15", "2021-02-07", "2021-02-08"]
ANY_PASS, ANY_ORDER = st.integers(0, 24), st.integers(1, 5)


@dataclass(frozen=True)
class Prepared:
    """A département where nothing is printed yet: two tranches, two sites, four workshops."""

    world: World
    workshops: dict[UUID, int]
    copy: Callable[[], "contextmanager"]


def prepare(database: Database) -> tuple[World, dict[UUID, int]]:
    start = moment("2020-01-06")
    with database.begin("23") as session:
        world = a_world(
            session, now=start, envelope_cents=ENVELOPES[1], cap_esf=CAP, esf_until=date(2020, 2, 10)
        )  # fmt: skip
        second = OpenTranche(
            new_id(), 2, "T2", "tela", "AAP", ENVELOPES[2], {"FSE": 1, "ETAT": 1, "DEP": 1},
            CALENDAR, regularise=REGULARISES[2],
        )  # fmt: skip
        done(open_tranche(session, second, by="test", now=start))
        workshops = {
            a_workshop(session, day, f"lieu-{site}"): site
            for site in PHONES
            for day in ("2020-02-03", "2020-02-24")
        }
    return world, workshops


@pytest.fixture(scope="module")
def on_files(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    home = tmp_path_factory.mktemp("prepared")
    for file in sqlite_template.glob("*.db"):
        shutil.copy(file, home / file.name)
    database = Database(FilesPlace(home))
    world, workshops = prepare(database)
    database.close()

    @contextmanager
    def copy() -> Iterator[Database]:
        folder = Path(tempfile.mkdtemp(prefix="passnum-machine-"))
        for file in home.glob("*.db"):
            shutil.copy(file, folder / file.name)
        instance = Database(FilesPlace(folder))
        try:
            yield instance
        finally:
            instance.close()
            shutil.rmtree(folder)

    return Prepared(world, workshops, copy)


@pytest.fixture(scope="module")
def on_postgres(server, postgres_template: str) -> Iterator[Prepared]:
    home = f"prepared{next(NUMBERS)}"
    server.run(f"CREATE DATABASE {home} TEMPLATE {postgres_template} STRATEGY FILE_COPY")
    database = Database(postgres_place(server, home))
    world, workshops = prepare(database)
    database.close()

    @contextmanager
    def copy() -> Iterator[Database]:
        name = f"machine{next(NUMBERS)}"
        server.run(f"CREATE DATABASE {name} TEMPLATE {home} STRATEGY FILE_COPY")
        instance = Database(postgres_place(server, name))
        try:
            yield instance
        finally:
            instance.close()
            server.run(f"DROP DATABASE {name} WITH (FORCE)")

    yield Prepared(world, workshops, copy)
    server.run(f"DROP DATABASE {home} WITH (FORCE)")


@dataclass
class Carnets:
    """An order as we believe it to be."""

    number: int
    tranche: int
    first: int
    carnets: int
    active: bool
    delivered: bool
    replaces: bool = False
    closed: set[str] = field(default_factory=set)


@dataclass
class Pass:
    """A pass as we believe it to be: its face value is on the account `where`, of `party`."""

    serial: str
    carnet: int
    order: Carnets
    where: str = "stock"
    handed_out: bool = False
    party: str | None = None
    given_by: UUID | None = None
    waiting: list[tuple] = field(default_factory=list)

    def move(self, where: str, party: str | None = None) -> None:
        self.where, self.party = where, party


@dataclass(frozen=True)
class Queue:
    """What one phone has to send, from one workshop."""

    device: Device
    site: int
    scans: list[Presented]
    serials: dict[UUID, str]


class Programme(RuleBasedStateMachine):
    """Two tranches, two sites, three devices; any sequence of what people do in a programme.

    Beside the database stands a model in a few lines of Python: where each pass is, and what
    each scan was told.
    """

    queues = Bundle("queues")
    prepared: ClassVar[Prepared]

    def __init__(self) -> None:
        super().__init__()
        self._opened = self.prepared.copy()
        self.database: Database = self._opened.__enter__()
        self.world = replace(self.prepared.world, passes={})
        self.passes: dict[str, Pass] = {}
        self.orders: dict[int, Carnets] = {}
        self.told: dict[UUID, Verdict] = {}
        self.acts: list[tuple[Callable[..., Answer], Answer]] = []
        self.minutes, self.day, self.blocked, self.carnets = 0, 0, 0, 0

    def now(self) -> Moment:
        """Each act has its own minute; the day changes by a rule of its own."""
        self.minutes += 1
        start = moment(DAYS[self.day], 8)
        return Moment(start.at + timedelta(minutes=self.minutes), start.zone)

    def ask(self, act: Callable[..., Answer]) -> Answer:
        with self.database.begin("23") as session:
            answer = act(session, now=self.now())
        self.acts.append((act, answer))
        return answer

    def a_pass(self, place: int) -> Pass:
        every = list(self.passes.values())
        return every[place % len(every)]

    def an_order(self, place: int) -> Carnets:
        return self.orders[1 + place % len(self.orders)]

    @initialize()
    def begin(self):
        """Two carnets of each tranche at the desk, and those of the first in people's hands."""
        for tranche in ENVELOPES:
            self.order(tranche, 2, active=True, delivered=True)
        for place in (0, SIZE):
            self.hand_out_a_carnet(place)
        for site in (2, 1):
            self.scan([2 * SIZE, 2 * SIZE + 1], "phone", site, 2)

    @rule(
        tranche=st.sampled_from([1, 2]),
        carnets=st.integers(1, 3),
        active=st.booleans(),
        delivered=st.booleans(),
    )
    def order(self, tranche, carnets, active, delivered):
        reserved = sum(
            o.carnets
            for o in self.orders.values()
            if o.tranche == tranche and not o.replaces
        )
        if (reserved + carnets) * SIZE * FACE > ENVELOPES[tranche]:
            request = PlaceOrder(new_id(), f"T{tranche}", carnets)
            answer = self.ask(
                lambda session, now: place_order(
                    session, request, signer=self.world.signer, by="test", now=now
                )
            )
            assert answer.code == "envelope_exceeded"
            return
        with self.database.begin("23") as session:
            made = an_order(
                session, self.world, carnets, now=self.now(), tranche=f"T{tranche}",
                active=active, delivered=delivered,
            )  # fmt: skip
        number, first = len(self.orders) + 1, self.carnets + 1
        order = Carnets(number, tranche, first, carnets, active, delivered)
        self.orders[number] = order
        self.carnets += carnets
        for place, serial in enumerate(made):
            self.passes[serial] = Pass(serial, first + place // SIZE, order)

    @rule(which=ANY_ORDER)
    def make_ready(self, which):
        order = self.an_order(which)
        request = ActivateOrder(new_id(), order.number, "ENG-2020-2")
        answer = self.ask(
            lambda session, now: activate_order(session, request, by="test", now=now)
        )
        assert answer.code == ("right_used" if order.active else "accepted")
        last = order.first + order.carnets - 1
        lot = Deliver(new_id(), "CAF", order.first, last)
        done(self.ask(lambda session, now: deliver(session, lot, by="test", now=now)))
        order.active = order.delivered = True

    def give(self, wanted: list[Pass], **asked) -> None:
        order = wanted[0].order
        request = HandOut(new_id(), "CAF", pic=True, proof="attested", **asked)
        answer = self.ask(
            lambda session, now: hand_out(session, request, by="desk-CAF", now=now)
        )
        left = [p for p in wanted if not p.handed_out]
        expected = "accepted"
        if not order.delivered:
            expected = "not_at_this_desk"
        elif not order.active:
            expected = "order_not_active"
        elif DAYS[self.day] > "2020-12-15":
            expected = "hand_out_stopped"
        elif order.closed:
            expected = "stock_lapsed"
        elif not left or ("serials" in asked and len(left) < len(wanted)):
            expected = "already_handed_out"
        assert answer.code == expected
        if not answer.accepted:
            return
        for p in left:
            p.handed_out, p.given_by = True, request.id
            p.move("circulating")
            for _, _, site in sorted(p.waiting)[:1]:
                p.move("due", str(site))

    @rule(place=ANY_PASS)
    def hand_out_a_carnet(self, place):
        carnet = self.a_pass(place).carnet
        whole = [p for p in self.passes.values() if p.carnet == carnet]
        self.give(whole, carnet=carnet)

    @rule(places=st.lists(ANY_PASS, min_size=1, max_size=3, unique=True))
    def hand_out_some(self, places):
        first = self.a_pass(places[0])
        chosen = {p.serial: p for p in map(self.a_pass, places) if p.order is first.order}
        self.give(list(chosen.values()), serials=tuple(chosen))

    @rule(
        target=queues,
        places=st.lists(ANY_PASS, min_size=2, max_size=8),
        who=st.sampled_from(["phone", "phone", "manager", "other phone"]),
        where=st.integers(0, 3),
        cut=st.integers(0, 8),
    )
    def scan(self, places, who, where, cut):
        """The network may fail before all of it is sent."""
        workshop, site = list(self.prepared.workshops.items())[where]
        phones = {"phone": PHONES[site], "manager": MANAGER}
        device = phones.get(who, PHONES[3 - site])
        chosen = [self.a_pass(place).serial for place in places]
        scans = [
            Presented(scan_of(self.world.token(s), workshop, moment("2020-02-24")), device)
            for s in chosen
        ]
        serials = {p.scan.id: s for p, s in zip(scans, chosen, strict=True)}
        queue = Queue(device, site, scans, serials)
        self.send(queue, scans[:cut])
        return queue

    @rule(
        queue=queues,
        times=st.integers(1, 3),
        cut=st.integers(1, 8),
        order=st.permutations(range(8)),
    )
    def sync(self, queue, times, cut, order):
        shuffled = [queue.scans[i] for i in order if i < len(queue.scans)]
        for _ in range(times):
            self.send(queue, shuffled[:cut] + shuffled[:1])
        self.send(queue, shuffled)

    @rule(queue=consumes(queues))
    def sync_and_forget(self, queue):
        self.send(queue, queue.scans)

    def send(self, queue: Queue, sent: list[Presented]) -> None:
        now = self.now()
        with self.database.begin("23") as session:
            verdicts = redeem(session, sent, now=now, keyring=self.world.ring)
        for p, verdict in zip(sent, verdicts, strict=True):
            given = msgspec.structs.replace(verdict, replayed=False)
            if p.scan.id in self.told:
                assert given == self.told[p.scan.id]
                continue
            held = self.passes[queue.serials[p.scan.id]]
            expected = self.judged(held, queue, now)
            assert verdict.verdict == expected
            assert not verdict.replayed
            if expected == "other_site":
                continue
            self.told[p.scan.id] = given
            if expected == "accepted":
                held.move("due", str(queue.site))
            elif expected == "kept":
                held.waiting.append((now.at, p.scan.id, queue.site))

    @staticmethod
    def judged(held: Pass, queue: Queue, now: Moment) -> str:
        if queue.device.site not in (None, queue.site):
            return "other_site"
        if held.where in ("due", "blocked", "replaced"):
            return "already_redeemed" if held.where == "due" else held.where
        if not held.order.active:
            return "not_active"
        if not held.handed_out:
            return "kept" if REGULARISES[held.order.tranche] else "not_handed_out"
        if now.day > CALENDAR.present_by:
            return "disputed"
        return "lapsed" if held.where == "lapsed" else "accepted"

    @rule(place=ANY_PASS, device=st.sampled_from([MANAGER, *PHONES.values()]))
    def give_back(self, place, device):
        spent = [p for p in self.passes.values() if p.where == "due"]
        held = spent[place % len(spent)] if spent and place % 5 else self.a_pass(place)
        request = Undo(new_id(), held.serial, "wrong_pass")
        answer = self.ask(
            lambda session, now: undo(session, request, device=device, now=now)
        )
        expected = "accepted"
        if held.where != "due":
            expected = "nothing_to_undo"
        elif device.site is not None and str(device.site) != held.party:
            expected = "other_site"
        assert answer.code == expected
        if answer.accepted:
            dead = "circulating" in held.order.closed
            held.move(*(["lapsed", "circulating"] if dead else ["circulating"]))

    @precondition(lambda self: self.blocked < 2)
    @rule(place=ANY_PASS)
    def block(self, place):
        carnet = self.a_pass(place).carnet
        request = BlockCarnet(new_id(), carnet, "lost")
        answer = self.ask(
            lambda session, now: block_carnet(session, request, by="test", now=now)
        )
        whole = [p for p in self.passes.values() if p.carnet == carnet]
        left = [p for p in whole if p.where in ("stock", "circulating")]
        assert answer.code == ("accepted" if left else "nothing_to_block")
        for p in left:
            p.move("blocked", p.where)
            p.handed_out = True
        self.blocked += answer.accepted

    @precondition(lambda self: any(p.given_by for p in self.passes.values()))
    @rule(place=ANY_PASS)
    def replace_what_was_lost(self, place):
        """A person is asked for, by a pass of theirs: what is left of the same hand-out is made again."""
        given = [p for p in self.passes.values() if p.given_by]
        lost = given[place % len(given)]
        request = ReplaceHandOut(new_id(), lost.given_by)
        answer = self.ask(
            lambda session, now: replace_hand_out(
                session, request, signer=self.world.signer, by="desk-CAF", now=now
            )
        )
        whole = [p for p in given if p.given_by == lost.given_by]
        left = [p for p in whole if p.where == "circulating"]
        expected = "accepted"
        if DAYS[self.day] > "2021-01-31":
            expected = "too_late_to_replace"
        elif not left:
            expected = "nothing_to_replace"
        assert answer.code == expected
        if answer.accepted:
            self.hold_new_paper(left, answer)

    def hold_new_paper(self, left: list[Pass], answer: Answer) -> None:
        facts, tranche = answer.facts, left[0].order.tranche
        assert set(facts["replaces"]) == {p.serial for p in left}
        self.carnets += 1
        order = Carnets(
            len(self.orders) + 1, tranche, self.carnets, 1, True, False, replaces=True
        )
        assert (facts["order"], facts["first_carnet"]) == (order.number, order.first)
        self.orders[order.number] = order
        with self.database.begin("23", read_only=True) as session:
            row = order_row(session, order.number)
        made = printed_passes(row, self.world.signer, self.world.host)
        self.world.passes |= {str(p.serial): p for p in made}
        for p in left:
            p.move("replaced")
        for serial in facts["serials"]:
            assert Serial.parse(serial).carnet == order.first
            fresh = Pass(serial, order.first, order, "circulating", True)
            fresh.given_by = answer.act
            self.passes[serial] = fresh

    @precondition(lambda self: self.day < len(DAYS) - 2)
    @rule()
    def wait(self):
        self.day += 1

    @precondition(lambda self: self.day >= len(DAYS) - 2)
    @rule(which=ANY_ORDER, stage=st.sampled_from(STAGES))
    def let_lapse(self, which, stage):
        order = self.an_order(which)
        request = Lapse(new_id(), order.number, stage)
        answer = self.ask(lambda session, now: lapse(session, request, by="job", now=now))
        if self.day < len(DAYS) - 1:
            assert answer.code == "too_early_to_lapse"
            return
        assert answer.code == ("already_lapsed" if stage in order.closed else "accepted")
        order.closed.add(stage)
        left = [p for p in self.passes.values() if p.order is order and p.where == stage]
        for p in left:
            p.move("lapsed", stage)
        if answer.accepted:
            assert answer.facts["count"] == len(left)

    @precondition(lambda self: self.minutes > 20 and self.day < len(DAYS) - 1)
    @rule(place=ANY_PASS)
    def come_to_an_end(self, place):
        """The presentation day is over: everything lapses, and then some scans are undone."""
        self.day = len(DAYS) - 1
        for which in range(len(self.orders)):
            for stage in STAGES:
                self.let_lapse(which, stage)
        for step in range(3):
            self.give_back(place + step, MANAGER)

    @precondition(lambda self: self.acts)
    @rule(back=st.integers(0, 20))
    def ask_again(self, back):
        act, answer = self.acts[-1 - back % len(self.acts)]
        with self.database.begin("23") as session:
            again = act(session, now=self.now())
        assert canonical.encode(again) == canonical.encode(
            msgspec.structs.replace(answer, replayed=True)
        )

    @rule(most=st.integers(1, 40))
    def sequence(self, most):
        self.step(most)

    def step(self, most: int) -> int:
        with self.database.begin("23", "sequencer") as session:
            at = self.now().at
            return sequencer.step(session, at=at, project=[project], most=most)

    @invariant()
    def every_euro_is_somewhere_and_where_we_think(self):
        with self.database.begin("23", read_only=True) as session:
            holdings = queries.holdings(session, ["1", "2"])
        expected: Counter[tuple] = Counter()
        for p in self.passes.values():
            if p.where != "replaced":
                expected[p.where, str(p.order.tranche), p.party] += FACE
        held = {(h.kind, h.book, h.party): h.cents for h in holdings}
        for tranche, envelope in ENVELOPES.items():
            mine = Counter()
            for (kind, book, _), cents in held.items():
                mine[kind] += cents if book == str(tranche) else 0
            assert mine.total() == 0
            assert mine["committed"] == -envelope
            assert mine["paid"] == mine["recoverable"] == 0
        for account, cents in held.items():
            if account[0] in ("stock", "circulating", "due", "blocked", "lapsed"):
                assert cents == expected.pop(account, 0), account
        assert not expected

    @invariant()
    def parts_add_up_to_what_the_log_holds(self):
        with self.database.begin("23", read_only=True) as session:
            size = queries.log_size(session)
            net: Counter[int] = Counter()
            for h in queries.derived_holdings(session, ["1", "2"], known_by=size):
                if h.kind == "due":
                    net[int(h.book)] += h.cents
            segments = session.execute(select(segment)).all()
            paid = funder_parts(session, [1, 2])
        attributed: Counter[int] = Counter()
        to_the_esf = 0
        for row in segments:
            attributed[row.tranche] += row.cents
            shares = canonical.decode(row.weights.encode())
            parts = split([weight for *_, weight in shares], row.cents)
            assert sum(parts) == row.cents
            assert min(parts) >= 0
            whole = sum(weight for *_, weight in shares)
            for (code, _, weight), cents in zip(shares, parts, strict=True):
                assert abs(cents * whole - row.cents * weight) < whole
                to_the_esf += cents if code == "FSE" else 0
        assert attributed == net
        assert {number: sum(p.cents for p in parts) for number, parts in paid.items()} == {
            number: attributed[number] for number in paid
        }
        every = [part for parts in paid.values() for part in parts]
        assert min(part.cents for part in every) >= 0
        to_pay = sum(part.cents for part in every if part.convention == "FSE")
        assert to_pay == min(CAP, to_the_esf)

    def teardown(self) -> None:
        try:
            while self.step(7):
                pass
            self.parts_add_up_to_what_the_log_holds()
            with self.database.begin("23", read_only=True) as session:
                assert [
                    f for _, findings in audit_departement(session) for f in findings
                ] == []
                self.every_use_continues_where_its_segment_stood(session)
                due = {(d.order, d.stage) for d in due_lapses(session, date(2021, 2, 8))}
            assert due == {
                (o.number, stage)
                for o in self.orders.values()
                for stage in STAGES
                if stage not in o.closed
            }
        finally:
            self._opened.__exit__(None, None, None)

    @staticmethod
    def every_use_continues_where_its_segment_stood(session) -> None:
        rows = session.execute(
            select(attribution, entry.c.uses, entry.c.amount_cents, segment.c.weights)
            .join(log_leaf, log_leaf.c.idx == attribution.c.idx)
            .join(entry, entry.c.id == log_leaf.c.entry_id)
            .join(segment, segment.c.id == attribution.c.segment)
            .order_by(attribution.c.idx)
        ).all()
        moves = session.scalar(
            select(func.count())
            .select_from(entry)
            .where(entry.c.kind.in_(["redeemed", "undone"]))
        )
        stood: Counter[int] = Counter()
        for row in rows:
            sign = 1 if row.uses == "spend" else -1
            assert row.cents_before == stood[row.segment]
            stood[row.segment] += sign * row.amount_cents
            weights = [weight for *_, weight in canonical.decode(row.weights.encode())]
            before, after = (
                split(weights, cents) for cents in (row.cents_before, stood[row.segment])
            )
            brought = [sign * (b - a) for a, b in zip(before, after, strict=True)]
            assert min(brought) >= 0
            assert sum(brought) == row.amount_cents
        assert len(rows) == moves


def run(prepared: Prepared, **limits) -> None:
    machine = type("ProgrammeHere", (Programme,), {"prepared": prepared})
    run_state_machine_as_test(machine, settings=settings(**limits))


def test_on_files(on_files):
    run(on_files, stateful_step_count=30)


@pytest.mark.postgres
def test_on_postgresql(on_postgres):
    examples = max(8, settings().max_examples // 5)
    run(
        on_postgres,
        max_examples=examples,
        stateful_step_count=30,
        phases=set(Phase) - {Phase.shrink},  # each example is a database
    )
