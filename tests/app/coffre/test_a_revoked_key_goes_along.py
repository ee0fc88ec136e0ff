"""That a key of paper was revoked is told by the journal alone, and holds at whoever goes on."""

import json

import pytest

from app.coffre import verify
from app.coffre.importing import take_in
from issuance.keys import NewKeys, RevokeKey, keyring, new_keys, revoke_key, signer
from ledger.identifiers import new_id
from ledger.log_keys import NewLogKey, log_signers, new_log_key
from tests.app.coffre.test_another_operator_goes_on import (
    LATER,
    THEIRS,
    Move,
    empty,
    findings,
)
from tests.app.coffre.world import (
    LOG,
    contents,
    exported,
    forged,
    packed,
    published,
    verified,
)
from tests.builders import SECRET, a_world, an_order, done
from tests.conftest import moment

__all__ = ["empty"]

START, STOLEN = moment("2020-01-06"), moment("2020-01-09")


@pytest.fixture
def stolen(database):
    """A département whose first key of paper is revoked, with paper of a second one."""
    with database.begin("23") as session:
        name = NewLogKey(new_id(), LOG)
        done(new_log_key(session, name, secret=SECRET, by="test", now=START))
        world = a_world(session, now=START)
        an_order(session, world, 2)
    with database.begin("23") as session:
        asked = RevokeKey(new_id(), 0, "compromised")
        done(revoke_key(session, asked, by="test", now=STOLEN))
        made = new_keys(session, NewKeys(new_id()), secret=SECRET, by="test", now=STOLEN)
        done(made)
        world.signer = signer(session, "23", SECRET)
        an_order(session, world, 1, now=STOLEN)
    published(database, moment("2020-01-10"))
    return database


@pytest.fixture
def coffre(stolen, tmp_path):
    """The files of its coffre, and the key that signed the log."""
    files = contents(exported(stolen, tmp_path / "told.zip"))
    with stolen.begin("23") as session:
        [log] = log_signers(session, SECRET)
    return files, log.private


def judged(tmp_path, coffre, lines):
    files, key = coffre
    changed = forged(files, [verify.canonical(line) for line in lines], key)
    return verified(packed(tmp_path / "changed.zip", changed))


def lines_of(coffre) -> list[dict]:
    return [json.loads(line) for line in coffre[0]["journal.jsonl"].splitlines()]


def test_a_coffre_with_a_revoked_key_is_good_and_its_rule_is_known(tmp_path, coffre):
    told = judged(tmp_path, coffre, lines_of(coffre))
    assert told.code == 0, told
    assert "key_revoked" not in told.out
    assert '"kind":"key_revoked"' in coffre[0]["reference/keys.jsonl"].decode()


def revoke_a_key_that_was_never_made(lines):
    at = next(line for line in lines if line["kind"] == "key_revoked")
    at["facts"]["key_id"], at["right"][1] = 7, "key/7"


def revoke_another_public_key(lines):
    at = next(line for line in lines if line["kind"] == "key_revoked")
    at["facts"]["public"] = "00" * 32


def revoke_it_twice(lines):
    at = next(n for n, line in enumerate(lines) if line["kind"] == "key_revoked")
    name = str(new_id())
    lines.insert(at + 1, lines[at] | {"id": name, "act": name})


def name_an_order_that_is_not_there(lines):
    at = next(line for line in lines if line["kind"] == "key_revoked")
    at["facts"]["orders"] = [99]


def name_the_order_that_another_key_signs(lines):
    """Which is then made by a key that the journal says was revoked long before."""
    for line in lines:  # an older journal: its orders do not tell their keys
        if line["kind"] == "order_placed":
            del line["facts"]["key_id"]
    name_it_long_before(lines)


def name_an_order_that_tells_another_key(lines):
    """The order and its key, a new one, are put before the revocation."""
    at = next(n for n, line in enumerate(lines) if line["kind"] == "key_revoked")
    made = [n for n, line in enumerate(lines) if line["kind"] == "keys_made"][-1]
    assert made > at
    name_it_long_before(lines)
    long_before = {name: lines[at][name] for name in ("at", "on", "recorded")}
    lines.insert(at, lines.pop(made + 1) | long_before)


def leave_out_an_order_that_it_signs(lines):
    at = next(line for line in lines if line["kind"] == "key_revoked")
    assert at["facts"]["orders"] == [1]
    at["facts"]["orders"] = []


def order_with_a_key_that_was_revoked(lines):
    placed = [line for line in lines if line["kind"] == "order_placed"][1]
    assert placed["facts"]["key_id"] != 0
    placed["facts"]["key_id"] = 0


def order_with_a_key_of_specimens(lines):
    placed = next(line for line in lines if line["kind"] == "order_placed")
    assert placed["facts"]["key_id"] == 0
    placed["facts"]["key_id"] = 1


def name_it_long_before(lines):
    at = next(n for n, line in enumerate(lines) if line["kind"] == "key_revoked")
    placed = next(n for n, e in enumerate(lines) if e["kind"] == "order_placed" and n > at)
    lines.insert(at, lines.pop(placed))
    lines[at + 1]["facts"]["orders"] = [1, 2]
    long_before = "2020-01-08T09:00:00Z"
    for line in (lines[at], lines[at + 1]):
        line |= {"at": long_before, "on": long_before[:10], "recorded": long_before}


@pytest.mark.parametrize(
    ("lie", "said"),
    [
        (revoke_a_key_that_was_never_made, "7"),
        (revoke_another_public_key, "00" * 32),
        (revoke_it_twice, "consomme un droit que l'écriture"),
        (name_an_order_that_is_not_there, "99"),
        (name_the_order_that_another_key_signs, "dont la clé était révoquée"),
        (
            name_an_order_that_tells_another_key,
            "d'autres commandes que celles qu'elle signe",
        ),
        (leave_out_an_order_that_it_signs, "d'autres commandes que celles qu'elle signe"),
        (order_with_a_key_that_was_revoked, "dont la clé était révoquée"),
        (order_with_a_key_of_specimens, "que le journal ne connaît pas"),
    ],
)
def test_a_revocation_that_cannot_be_is_caught(tmp_path, coffre, lie, said):
    lines = lines_of(coffre)
    lie(lines)
    told = judged(tmp_path, coffre, lines)
    assert told.code == 1, told
    assert said in told.out


def test_who_goes_on_refuses_the_key_too(database, tmp_path, empty):
    folder = tmp_path / "leaving"
    folder.mkdir()
    move = Move(database, folder)
    with database.begin("23") as session:
        asked = RevokeKey(new_id(), 0, "suspected")
        done(revoke_key(session, asked, by="test", now=moment("2021-03-01")))
    published(database, moment("2021-03-01", 11))
    move.coffre = exported(database, folder / "c2.zip")
    move.sealed = folder / "t2.sealed"
    move.write(move.sealed)

    take_in(empty, move.coffre, reader=move.reader(), at=LATER.at)

    with empty.begin("23") as session:
        ring = keyring(session, "23", THEIRS)
        hand = signer(session, "23", THEIRS)
    assert {k: r.why for k, r in ring.revoked.items()} == {0: "suspected"}
    assert hand.revoked == {0}
    assert findings(empty) == []
