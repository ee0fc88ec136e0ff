"""An auditor draws again, from a coffre and with Python alone, the sample that the département announced."""

import subprocess
import sys

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from app.coffre import verify
from redemption.sampling import AnnounceSample, announce, newest_checkpoint, sample
from tests.app.coffre.world import (
    VERIFY,
    Told,
    contents,
    exported,
    forged,
    live,
    packed,
    published,
)
from tests.builders import done
from tests.conftest import moment
from tests.redemption.test_a_sample_is_drawn_by_anyone import VECTORS


@pytest.mark.parametrize(("root", "number", "population", "places"), VECTORS)
def test_the_verifier_draws_what_the_vectors_say(root, number, population, places):
    assert verify.draw(root, number, population, len(places)) == places


@pytest.fixture
def drawn(database, tmp_path):
    """Two samples announced on one checkpoint, and a coffre that holds their announcements."""
    live(database)
    published(database, moment("2020-12-01"))
    before = exported(database, tmp_path / "before.zip")
    with database.begin("23") as session:
        checkpoint = newest_checkpoint(session)
        samples = [
            sample(
                session,
                done(announce(session, request, by="test", now=moment("2020-12-02"))).act,
            )
            for request in (
                AnnounceSample(checkpoint, 2**70, 5),
                AnnounceSample(checkpoint, 7, 3, call="AAP"),
                AnnounceSample(checkpoint, 7, 3, tranche="T2"),
            )
        ]
    published(database, moment("2020-12-03"))
    return database, before, exported(database, tmp_path / "after.zip"), samples


def again(coffre, found, *options) -> Told:
    ended = subprocess.run(
        [
            sys.executable, "-I", "-S", str(VERIFY), "sample", str(coffre), "--seed", found.number,
            "--size", str(len(found.drawn)), "--checkpoint", str(found.checkpoint), *options,
        ],
        capture_output=True, text=True, check=False, encoding="utf-8",
    )  # fmt: skip
    return Told(ended.returncode, " ".join(ended.stdout.split()), ended.stderr)


def lines(found) -> list[str]:
    return [
        f"{u.rank} {u.index} {u.entry} {u.serial} {u.day} {u.site_name}"
        for u in found.drawn
    ]


def in_order(found, told: Told) -> bool:
    places = [told.out.find(line) for line in lines(found)]
    return -1 not in places and places == sorted(places)


def test_the_sample_is_the_one_that_was_drawn_and_was_announced(drawn):
    _, _, coffre, (whole, call, tranche) = drawn
    for found, options in (
        (whole, []),
        (call, ["--call", "AAP"]),
        (tranche, ["--tranche", "T2"]),
    ):
        told = again(coffre, found, *options)
        assert (told.code, told.err) == (0, ""), told
        assert in_order(found, told)
        assert found.root in told.out
        assert f"Population : {found.population} utilisations" in told.out
        assert "Ce tirage a été annoncé" in told.out
        assert "2 autre(s) annonce(s) de tirage" in told.out
        assert "dont 2 sur le même point de contrôle" in told.out
    english = again(coffre, whole, "--lang", "en")
    assert "This sample was announced" in english.out


def test_a_sample_of_another_checkpoint_is_counted_too(drawn, tmp_path):
    database, _, _, (whole, *_) = drawn
    with database.begin("23") as session:
        other = AnnounceSample(newest_checkpoint(session), 9, 2)
        done(announce(session, other, by="test", now=moment("2020-12-04")))
    published(database, moment("2020-12-05"))
    told = again(exported(database, tmp_path / "last.zip"), whole)
    assert told.code == 0
    assert "3 autre(s) annonce(s) de tirage" in told.out
    assert "dont 2 sur le même point de contrôle" in told.out


def test_a_coffre_of_before_the_announcement_draws_the_same_and_says_what_is_missing(drawn):
    _, before, _, (whole, *_) = drawn
    told = again(before, whole)
    assert told.code == 0
    assert in_order(whole, told)
    assert "ne contient pas son annonce" in told.out


def test_another_number_draws_another_sample_that_nobody_announced(drawn):
    _, _, coffre, (whole, *_) = drawn
    other = again(coffre, whole, "--seed", "8")
    assert other.code == 0
    assert not in_order(whole, other)
    assert "ne contient pas son annonce" in other.out


def test_a_journal_that_was_changed_draws_nothing(drawn, tmp_path):
    _, _, coffre, (whole, *_) = drawn
    files = contents(coffre)
    entries = files["journal.jsonl"].splitlines()
    entries[whole.drawn[0].index] = entries[whole.drawn[1].index]
    files["journal.jsonl"] = b"".join(line + b"\n" for line in entries)
    told = again(packed(tmp_path / "changed.zip", files), whole)
    assert told.code == 1
    assert not in_order(whole, told)
    stranger = Ed25519PrivateKey.from_private_bytes(b"x" * 32)
    forgery = forged(contents(coffre), entries, stranger)
    told = again(packed(tmp_path / "forged.zip", forgery), whole)
    assert told.code == 1
    assert not in_order(whole, told)


@pytest.mark.parametrize(
    "options",
    [
        ["--size", "0"],
        ["--size", "1000"],
        ["--seed", "-1"],
        ["--checkpoint", "0"],
        ["--checkpoint", "100000"],
        ["--tranche", "T9"],
        ["--call", "NONE"],
        ["--call", "AAP", "--tranche", "T1"],
    ],
)
def test_a_sample_that_cannot_be_is_told_without_a_trace(coffres, options):
    ended = subprocess.run(
        [sys.executable, str(VERIFY), "sample", str(coffres.new), "--size", "2", "--seed", "1", *options],
        capture_output=True, text=True, check=False, encoding="utf-8",
    )  # fmt: skip
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "Traceback" not in ended.stderr


def test_a_filtered_coffre_has_no_sample(coffres):
    assert verify.main(["sample", str(coffres.call), "--size", "1", "--seed", "1"]) == 2
