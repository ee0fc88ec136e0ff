"""A sample is announced before it is drawn, from a checkpoint that was published, and anyone can draw it again."""

import re
import subprocess
import sys
from collections import Counter
from datetime import date
from hashlib import sha256
from pathlib import Path

import pytest
from sqlalchemy import select

from funding.operations import NotFound
from funding.tranches import OpenTranche
from ledger import canonical, publishing
from ledger.identifiers import new_id
from ledger.log_keys import NewLogKey, log_signers, new_log_key
from ledger.models import attempt, entry, log_leaf
from ledger.receipts import EntryUnknown
from redemption.drawing import draw
from redemption.sampling import (
    AnnounceSample,
    CheckpointNotPublished,
    announce,
    newest_checkpoint,
    sample,
)
from redemption.sites import open_tranche
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
    scanned,
    sequence,
)
from tests.conftest import moment

# What any implementation must give: root, number, population, size, places. Also that of verify.py.
ROOT = bytes(range(32))
VECTORS = [
    (bytes(32), 7, 1_000, [826, 630, 703, 11]),
    (ROOT, 20261231, 1_234, [237, 1087, 1050, 771, 201, 366, 67, 544, 113, 1011]),
    (ROOT, 20261231, 7, [2, 3, 6, 1, 0, 5, 4]),
    (b"\xff" * 32, 10**39 + 7, 3_000_000, [1667678, 2503244, 1828616, 1129546, 2091816]),
    # Half of the values are thrown away here.
    (
        ROOT, 1, 2**47 + 1,
        [5835493057597, 23203317880644, 72161584297380, 22718943997358, 89813769301101],
    ),
    (ROOT, 0, 1, [0]),
    (ROOT, 0, 0, []),
]  # fmt: skip
NOW = moment("2020-03-02")
GUIDE = Path(__file__).parents[2] / "docs/tirage.md"


@pytest.mark.parametrize(("root", "number", "population", "places"), VECTORS)
def test_the_draw_is_that_of_the_vectors(root, number, population, places):
    assert draw(root, number, population, len(places)) == places


def test_a_larger_sample_begins_with_a_smaller():
    whole = draw(ROOT, 5, 300, 300)
    assert sorted(whole) == list(range(300))
    for size in (0, 1, 60, 299):
        assert draw(ROOT, 5, 300, size) == whole[:size]


def test_every_place_is_as_likely():
    drawn = Counter(
        place for number in range(3_000) for place in draw(ROOT, number, 30, 10)
    )
    # A thousand each, give or take; the square root of a thousand is thirty-one.
    assert all(850 < drawn[place] < 1_150 for place in range(30))


@pytest.mark.parametrize(
    ("root", "number", "population", "size"),
    [(ROOT, 1, 3, 4), (ROOT, -1, 3, 1), (ROOT[:31], 1, 3, 1), (ROOT, 1, 3, -1)],
)
def test_what_cannot_be_drawn_is_refused(root, number, population, size):
    with pytest.raises(ValueError, match="no such sample"):
        draw(root, number, population, size)


@pytest.fixture
def used(database):
    """Nine uses of T1, two of them undone, one used again; four of T2; a published checkpoint."""
    with database.begin("23") as session:
        world = a_world(session)
        second = OpenTranche(
            new_id(), 2, "T2", "tela", "AAP", 100_000, {"ETAT": 1, "DEP": 1}, CALENDAR
        )
        done(open_tranche(session, second, by="test", now=moment("2020-01-06")))
        first = an_order(session, world, 3)
        others = an_order(session, world, 1, tranche="T2")
        given(session, *first)
        given(session, *others)
        workshop = a_workshop(session)
        scanned(session, world, workshop, *first[:5])
        scanned(session, world, workshop, *others[:4])
        scanned(session, world, workshop, *first[5:9])
        for serial in (first[2], first[6]):
            taken_back(session, serial)
        scanned(session, world, workshop, first[6])
        key = NewLogKey(new_id(), "pass.example/23")
        done(new_log_key(session, key, secret=SECRET, by="test", now=NOW))
    publish(database)
    return database, world, workshop, first, others


def taken_back(session, serial: str) -> None:
    request = Undo(new_id(), serial, "wrong_pass")
    done(undo(session, request, device=MANAGER, now=NOW))


def publish(database) -> int:
    sequence(database, now=NOW)
    with database.begin("23", "sequencer") as session:
        signers = log_signers(session, SECRET)
        shown = publishing.publish(session, signers, shown=None, at=NOW.at)
    assert shown is not None
    return shown.size


def drawn(database, number=17, size=4, now=NOW, **asked):
    with database.begin("23") as session:
        checkpoint = asked.pop("checkpoint", None) or newest_checkpoint(session)
        request = AnnounceSample(checkpoint, number, size, **asked)
        answer = done(announce(session, request, by="test", now=now))
    with database.begin("23", read_only=True) as session:
        return answer, sample(session, answer.act)


def refused(database, **asked) -> tuple[str, dict]:
    with database.begin("23") as session:
        wanted = {"checkpoint": newest_checkpoint(session), "number": 1, "size": 1}
        request = AnnounceSample(**wanted | asked)
        answer = announce(session, request, by="test", now=NOW)
    return answer.code, answer.facts


def logged(database) -> list[dict]:
    with database.begin("23", read_only=True) as session:
        bodies = session.scalars(
            select(entry.c.body)
            .join(log_leaf, log_leaf.c.entry_id == entry.c.id)
            .order_by(log_leaf.c.idx)
        )
        return [canonical.decode(body) for body in bodies]


def by_hand(database, size: int, tranches: set[int]) -> list[int]:
    """Return the population as an auditor finds it in the bodies of the entries."""
    there = logged(database)[:size]
    undone = {tuple(e["right"][1:]) for e in there if e["kind"] == "undone"}
    return [
        n
        for n, e in enumerate(there)
        if e["kind"] == "redeemed"
        and tuple(e["right"][1:]) not in undone
        and e["facts"]["tranche"] in tranches
    ]


@pytest.mark.parametrize(
    ("scope", "tranches", "count"),
    [({}, {1, 2}, 12), ({"tranche": "T1"}, {1}, 8), ({"tranche": "T2"}, {2}, 4), ({"call": "AAP"}, {1, 2}, 12)],
)  # fmt: skip
def test_an_auditor_draws_the_same_by_hand_from_the_entries(used, scope, tranches, count):
    database, *_ = used
    _, found = drawn(database, **scope)

    places = by_hand(database, found.checkpoint, tranches)
    assert (found.population, len(places)) == (count, count)
    mine = []
    for i in range(1_000):
        seed = b"passnum sample v1" + bytes.fromhex(found.root) + b"17" + i.to_bytes(8)
        place = places[int.from_bytes(sha256(seed).digest()[:6]) % count]
        if place not in mine:
            mine.append(place)
    assert [use.index for use in found.drawn] == mine[:4]
    there = logged(database)
    for use in found.drawn:
        told = there[use.index]
        assert (str(use.entry), use.serial) == (told["id"], told["facts"]["serial"])
        assert (use.day, use.cents) == (date(2020, 2, 3), 1000)
        assert (use.site, use.site_name) == (1, "Médiathèque 1")


def test_what_the_guide_says_to_run_draws_the_same(used, tmp_path):
    database, *_ = used
    _, found = drawn(database, number=20261231, size=5)
    with database.begin("23", read_only=True) as session:
        bodies = session.scalars(
            select(entry.c.body)
            .join(log_leaf, log_leaf.c.entry_id == entry.c.id)
            .order_by(log_leaf.c.idx)
        )
        lines = b"".join(bytes(body) + b"\n" for body in bodies)
    (tmp_path / "journal.jsonl").write_bytes(lines)
    [script] = re.findall(
        r"<<'FIN'\n(.*?)^FIN$", GUIDE.read_text("utf-8"), re.DOTALL | re.MULTILINE
    )
    script = script.replace("taille, racine = 1234", f"taille, racine = {found.checkpoint}")
    script = script.replace("…", found.root).replace(
        "combien = 20261231, 60", "combien = 20261231, 5"
    )

    ran = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )

    assert [line.split(" ")[:3] for line in ran.stdout.splitlines()] == [
        [str(use.index), str(use.entry), use.serial] for use in found.drawn
    ]


def test_it_is_announced_before_it_is_drawn_and_after_its_checkpoint(used):
    database, *_ = used
    with database.begin("23", read_only=True) as session:
        shown = publishing.newest(session)

    answer, found = drawn(database, tranche="T1")

    sequence(database, now=NOW)
    places = {e["id"]: n for n, e in enumerate(logged(database))}
    assert places[str(answer.act)] >= shown.size
    assert (found.checkpoint, found.root) == (shown.size, shown.root.hex())
    assert (answer.kind, answer.facts) == (
        "sample_announced",
        {
            "call": None,
            "checkpoint": shown.size,
            "number": "17",
            "population": 8,
            "root": shown.root.hex(),
            "size": 4,
            "tranche": "T1",
        },
    )


def test_the_same_announcement_is_the_same_draw_for_ever(used):
    database, world, workshop, first, _ = used
    answer, found = drawn(database)
    with database.begin("23") as session:
        for use in found.drawn[:2]:
            taken_back(session, use.serial)
        scanned(session, world, workshop, *first[9:12], now=NOW)
    publish(database)

    again, same = drawn(database, checkpoint=found.checkpoint, now=moment("2020-09-01"))

    assert again.replayed
    assert (again.act, same) == (answer.act, found)
    with database.begin("23", read_only=True) as session:
        announced = select(entry.c.id).where(entry.c.kind == "sample_announced")
        assert session.scalars(announced).all() == [answer.act]
    other, later = drawn(database, now=moment("2020-09-01"))
    assert other.act != answer.act
    assert later.checkpoint > found.checkpoint


def test_another_number_or_size_is_another_announcement(used):
    database, *_ = used
    ids = {
        drawn(database, **asked)[0].act
        for asked in ({}, {"number": 18}, {"size": 5}, {"tranche": "T1"}, {"call": "AAP"})
    }
    assert len(ids) == 5


def test_a_checkpoint_that_was_not_published_is_refused_until_it_is(used):
    database, world, workshop, first, _ = used
    with database.begin("23") as session:
        scanned(session, world, workshop, first[9], now=NOW)
    sequence(database, now=NOW)
    with database.begin("23", read_only=True) as session:
        published = newest_checkpoint(session)
    grown = published + 1
    for wrong in (grown, published - 1, 0, -1, 10**30):
        with pytest.raises(CheckpointNotPublished), database.begin("23") as session:
            request = AnnounceSample(wrong, 17, 1)
            announce(session, request, by="test", now=NOW)
    with database.begin("23", read_only=True) as session:
        asked = attempt.c.act == "announce_sample"
        assert session.execute(select(attempt).where(asked)).all() == []

    assert publish(database) == grown
    assert drawn(database, checkpoint=grown)[1].population == 13


def test_a_log_that_was_never_published_has_no_sample(database):
    with pytest.raises(CheckpointNotPublished), database.begin("23") as session:
        newest_checkpoint(session)


def test_each_impossible_sample_has_its_reason(used):
    database, *_ = used
    assert refused(database, size=13) == (
        "sample_size_impossible",
        {"asked": 13, "population": 12},
    )
    for size in (0, -1, 10**30):
        assert refused(database, size=size)[0] == "sample_size_impossible"
    assert refused(database, size=5, tranche="T2")[0] == "sample_size_impossible"
    for number in (-1, 10**40):
        assert refused(database, number=number)[0] == "sample_number_impossible"
    assert refused(database, tranche="T1", call="AAP")[0] == "sample_scope_double"
    for scope in ({"tranche": "T9"}, {"call": "NONE"}):
        assert refused(database, **scope)[0] == NotFound.code


def test_only_an_announcement_is_drawn(used):
    database, *_ = used
    with database.begin("23", read_only=True) as session:
        another = session.scalars(
            select(entry.c.id).where(entry.c.kind == "undone")
        ).first()
        for wrong in (new_id(), another):
            with pytest.raises(EntryUnknown):
                sample(session, wrong)
