"""Who pays is proved by the entries: tables altered beside them are found, and no figure is printed."""

from datetime import date

import pytest
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from funding import operations as funds
from funding.audit import CHECKS as FUNDS
from funding.proof import FundsToldOtherwise
from funding.tranches import AmendCalendar, ChangeShares, amend_calendar, change_shares
from ledger import canonical
from ledger.audit import CHECKS as LOG
from ledger.identifiers import new_id
from ledger.queries import log_size
from redemption.audit import places_are_told_by_their_entries
from redemption.reconciliation import DoesNotReconcile, reconcile
from redemption.sites import EndAccreditation, end_accreditation
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
from tests.conftest import (
    ENGINES,
    a_database,
    as_superuser,
    moment,
)

NOW = moment("2020-03-03", 14)
LATER = moment("2020-03-05", 14)


def a_spring(database) -> None:
    """Uses before and after a change of shares and of a window, an undo, a cap, a suspension."""
    with database.begin("23") as session:
        world = a_world(session, cap_esf=1500, esf_until=date(2020, 2, 29))
        serials = an_order(session, world)
        done(given(session, *serials))
        for turn, day in enumerate(["2020-02-03", "2020-03-02", "2020-02-20"]):
            mine = serials[5 * turn : 5 * turn + 3]
            scanned(session, world, a_workshop(session, day), *mine, now=NOW)
            asked = Undo(new_id(), mine[0], "person_left")
            done(undo(session, asked, device=MANAGER, now=NOW))
            if turn == 0:
                weights = {"FSE": 50, "ETAT": 25, "DEP": 25}
                changed = ChangeShares(new_id(), "T1", weights, date(2020, 2, 10))
                done(change_shares(session, changed, by="test", now=NOW))
            if turn == 1:
                longer = funds.ExtendConvention(
                    new_id(), "FSE", date(2020, 1, 1), date(2020, 2, 25)
                )
                done(funds.extend_convention(session, longer, by="test", now=NOW))
        pause = funds.SuspendProgramme(
            new_id(), "tela", date(2020, 4, 1), date(2020, 4, 30)
        )
        done(funds.suspend_programme(session, pause, by="test", now=NOW))
        same = AmendCalendar(new_id(), "T1", CALENDAR)
        done(amend_calendar(session, same, by="test", now=NOW))
        ended = EndAccreditation(new_id(), "lieu-2", "tela", date(2020, 6, 30))
        done(end_accreditation(session, ended, by="test", now=NOW))
    sequence(database)
    # One more of each waits for its place in the log.
    with database.begin("23") as session:
        again = ChangeShares(
            new_id(), "T1", {"FSE": 1, "ETAT": 1, "DEP": 1}, date(2020, 5, 1)
        )
        done(change_shares(session, again, by="test", now=LATER))
        a_workshop(session, "2020-03-04", now=LATER)


class Spoilt:
    """A database that a superuser alters with nothing in the way; all of it is taken back at the end."""

    def __init__(self, engine: Engine):
        self.connection = engine.connect()
        if engine.dialect.name == "postgresql":
            self.run("SET LOCAL search_path = d23")
            # No trigger, no foreign key, no check: what whoever owns the server can do.
            self.run("SET LOCAL session_replication_role = replica")
            chosen = (
                "SELECT DISTINCT tgrelid::regclass FROM pg_trigger WHERE NOT tgisinternal"
            )
            for (table,) in self.connection.exec_driver_sql(chosen).all():
                if not table.startswith(("d974.", "public.")):
                    self.run(f"ALTER TABLE {table} DISABLE TRIGGER USER")
            self.run("ALTER TABLE entry DROP CONSTRAINT ck_entry_leaf_is_body")
        else:
            self.run("BEGIN")
            chosen = "SELECT name FROM sqlite_master WHERE type = 'trigger'"
            for (trigger,) in self.connection.exec_driver_sql(chosen).all():
                self.run(f"DROP TRIGGER {trigger}")

    def run(self, statement: str) -> int:
        if self.connection.dialect.name == "postgresql":
            statement = statement.replace("AS BLOB", "AS bytea")
        return self.connection.exec_driver_sql(statement).rowcount

    def session(self) -> Session:
        return Session(self.connection)

    def findings(self) -> set[str]:
        checks = (*LOG, *FUNDS, places_are_told_by_their_entries)
        with self.session() as session:
            return {check.__name__ for check in checks for _ in check(session)}


@pytest.fixture(scope="module", params=ENGINES)
def lived(request, tmp_path_factory):
    """The spring, lived once on each engine."""
    folder = tmp_path_factory.mktemp("spring")
    with a_database(request, request.param, folder) as database:
        a_spring(database)
        engine = as_superuser(database, request)
        yield engine
        engine.dispose()


@pytest.fixture
def spoilt(lived):
    database = Spoilt(lived)
    yield database
    database.connection.rollback()
    database.connection.close()


TABLES, TERMS, USES = (
    "funds_are_told_by_their_entries",
    "segments_weigh_what_was_agreed",
    "attributions_follow_from_entries",
)
PLACES, COLUMNS = "places_are_told_by_their_entries", "columns_say_what_bodies_say"
OTHER_WEIGHTS = """UPDATE segment SET weights = '[["DEP","DEPARTMENT",30],["ETAT","STATE",20],["FSE","EU_ESF",50]]' WHERE id = 1"""
SHARES = "UPDATE share SET weight = CASE convention WHEN 'DEP' THEN 30 WHEN 'FSE' THEN 50 ELSE weight END WHERE version = 1"
OTHER_WINDOWS = """UPDATE segment SET open_windows = 'ETAT',
    weights = '[["DEP","DEPARTMENT",80],["ETAT","STATE",20],["FSE","EU_ESF",0]]' WHERE id = 1"""
OTHER_UNDO = """UPDATE attribution SET segment = 2 WHERE idx IN (
    SELECT idx FROM log_leaf JOIN entry ON entry.id = log_leaf.entry_id WHERE uses = 'undo')"""
FORGED_WINDOW = """INSERT INTO convention_window
    SELECT convention, 9, opens_on, '2022-01-01', (SELECT id FROM entry WHERE kind = 'site_kept' LIMIT 1)
    FROM convention_window WHERE convention = 'FSE' AND version = 1"""
# What is altered beside the journal: the checks that find it, and what a reconciliation says.
SPOILED: dict[str, tuple[list[str], set[str], str | None]] = {
    "the weights of a segment": ([OTHER_WEIGHTS], {TERMS}, "segment"),
    "shares and weights together": ([OTHER_WEIGHTS, SHARES], {TABLES, TERMS}, "share"),
    "the windows of a segment, with weights to match": (
        [OTHER_WINDOWS],
        {USES}, None,
    ),
    "the cents of two segments": (
        ["UPDATE segment SET cents = cents + CASE id WHEN 1 THEN 1000 ELSE -1000 END WHERE id IN (1, 2)"],
        {USES}, "DEP",
    ),
    "the segment of a use": (
        ["UPDATE attribution SET segment = 2 WHERE idx = (SELECT min(idx) FROM attribution)"],
        {USES}, None,
    ),
    "the segment of an undo": (
        [OTHER_UNDO],
        {USES}, None,
    ),
    "the day from which shares hold": (
        ["UPDATE share_version SET from_day = '2020-01-20' WHERE version = 2"], {TABLES}, "share_version",
    ),
    "an amendment that nobody signed": (
        [FORGED_WINDOW],
        {TABLES}, "convention_window",
    ),
    "an amendment that is no more there": (
        ["DELETE FROM convention_window WHERE version = 2"], {TABLES}, None,
    ),
    "a cap": (["UPDATE convention SET cap_cents = 150000"], {TABLES}, "convention"),
    "the last day of presentation": (
        ["UPDATE calendar SET present_by = '2021-02-20'"], {TABLES}, None,
    ),
    "a suspension": (["UPDATE suspension SET ends_on = NULL"], {TABLES}, None),
    "a suspension that is no more there": (["DELETE FROM suspension"], {TABLES}, None),
    "whom the money is for": (["INSERT INTO territory VALUES (1, '23096')"], {TABLES}, None),
    "the day of every workshop": (["UPDATE workshop SET day = '2020-02-04'"], {PLACES}, None),
    "the place of a workshop": (
        ["UPDATE workshop SET site = 2 WHERE id = (SELECT id FROM workshop LIMIT 1)"], {PLACES}, None,
    ),
    "until when a site is accredited": (
        ["UPDATE accreditation SET valid_until = '9999-12-31' WHERE site = 2"], {PLACES}, None,
    ),
    "an accreditation that nobody gave": (
        ["DELETE FROM accreditation WHERE site = 1"], {PLACES}, None,
    ),
    "what a site is called": (["UPDATE site SET name = 'Ailleurs' WHERE number = 1"], {PLACES}, None),
    "when uses happened": (
        ["UPDATE entry SET occurred_at = '2020-01-20 10:00:00.000000+00:00' WHERE uses = 'spend'"], {COLUMNS}, None,
    ),
    "when entries were recorded": (
        ["UPDATE entry SET recorded_at = '2020-01-20 10:00:00.000000+00:00'"], {COLUMNS}, None,
    ),
    "the version of a body": (["UPDATE entry SET body_version = 2 WHERE uses = 'spend'"], {COLUMNS}, None),
    "the number of an entry": (
        ["UPDATE entry SET id = '0192d0a0-0000-7000-8000-000000000001' WHERE kind = 'calendar_amended'"],
        {COLUMNS}, None,
    ),
    "a body that is none": (
        ["UPDATE entry SET body = CAST('{}' AS BLOB) WHERE kind = 'desk_opened'"], {COLUMNS}, None,
    ),
    "the name of an account": (
        ["UPDATE account SET name = 'paid/1/9', kind = 'paid', party = '9' WHERE name = 'due/1/2'"],
        {"accounts_are_what_their_names_say"}, None,
    ),
}  # fmt: skip


def test_a_spring_with_everything_in_it_is_as_it_was_told(spoilt):
    assert spoilt.findings() == set()
    with spoilt.session() as session:
        [t1] = reconcile(session, now=LATER)
    assert {part.convention: part.cents for part in t1.funders} == {
        "DEP": 3100,
        "ETAT": 1400,
        "FSE": 1500,
    }


@pytest.mark.parametrize("what", SPOILED)
def test_what_is_altered_beside_the_journal_is_found(spoilt, what):
    statements, checks, told = SPOILED[what]
    for statement in statements:
        assert spoilt.run(statement) > 0

    assert spoilt.findings() >= checks

    if told is not None:
        with spoilt.session() as session:
            with pytest.raises((FundsToldOtherwise, DoesNotReconcile)) as no:
                reconcile(session, now=LATER)
            assert told in canonical.decode(canonical.encode(vars(no.value))).values()
            if isinstance(no.value, FundsToldOtherwise):
                with pytest.raises(FundsToldOtherwise):
                    reconcile(session, now=LATER, log_size=log_size(session))
