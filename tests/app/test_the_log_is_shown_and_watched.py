"""Checkpoints, tiles, proofs and receipts over HTTP; witnesses; what happens when a log denies what it showed."""

import base64
import json
import re
import shutil
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from hashlib import sha256

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)
from litestar.testing import TestClient
from sqlalchemy import create_engine, select, text
from sqlalchemy.exc import TimeoutError as PoolTimeout

from app.devices import new_device
from app.proofs import publisher as publishing_loop
from app.proofs import witnesses as asking
from app.proofs.mark import Mark, MarkUnwritable
from app.proofs.publisher import MarkUnreadable, Publisher, WitnessNeeded
from app.proofs.witnesses import ANSWER_MAX, Asking
from app.web import create_app
from app.witness.server import create_witness
from app.witness.state import (
    MOST_TOLD,
    StateWrong,
    WitnessKey,
    WitnessKeyUnknown,
    WitnessState,
)
from issuance.keys import keyring, signer
from ledger.identifiers import new_id
from ledger.key_sealing import KeysLocked
from ledger.log_keys import (
    EndLogKey,
    NewLogKey,
    end_log_key,
    listed_log_keys,
    new_log_key,
    public_log_keys,
)
from ledger.merkle import (
    consistency_proof,
    extend,
    in_tiles,
    leaf_hash,
    root,
    verify_inclusion,
)
from ledger.models import entry, log_leaf
from ledger.notes import (
    Checkpoint,
    Note,
    public_key,
    read,
    read_checkpoint,
    read_key,
    sign,
    verify,
)
from ledger.policy import read_policy, vouch
from ledger.publishing import LogBehind, LogForked, newest
from ledger.receipts import NotPublishedYet
from ledger.witness_policies import PolicyWrong, SetPolicy, policy_text, set_policy
from ledger.witnessing import AddCheckpoint, BadProof, Conflict
from tests.app.running import an_instance, environment, passnum
from tests.app.visiting import Clock
from tests.builders import (
    SECRET,
    World,
    a_workshop,
    a_world,
    an_order,
    done,
    given,
    scanned,
    sequence,
)
from tests.conftest import moment

NAME = "pass.creuse.fr/23"
NOW = moment("2020-02-03", 14)


class Through(httpx.BaseTransport):
    """Sends what would go over the network to an application of this process."""

    def __init__(self, client):
        self.client, self.down = client, False

    def handle_request(self, request):
        if self.down:
            raise httpx.ConnectError("nobody there")
        told = self.client.post(request.url.path, content=request.read())
        return httpx.Response(told.status_code, content=told.content)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def instance(database, tmp_path, clock):
    made = an_instance(database, tmp_path, clock, state_dir=tmp_path / "state")
    with database.begin("23") as session:
        a_world(session)
        done(
            new_log_key(session, NewLogKey(new_id(), NAME), secret=SECRET, by="t", now=NOW)
        )
    sequence(database)
    return made


@pytest.fixture
def watched(instance, tmp_path, clock):
    """A witness that looks after the log, and the publisher that asks it."""
    key = WitnessKey.make(tmp_path / "witness.key", "pref.example")
    state = WitnessState(tmp_path / "witness.json")
    state.trust(NAME, vkeys(instance)[0])
    lines = f"witness pref {key.public.vkey} http://pref.example\nquorum pref\n"
    with instance.database.begin("23") as session:
        done(set_policy(session, SetPolicy(new_id(), lines), by="t", now=NOW))
    sequence(instance.database)
    with TestClient(create_witness(state, key, clock)) as client:
        yield Watched(instance, state, key, Through(client))


class Watched:
    """A log and the witness that looks after it."""

    def __init__(self, instance, state, key, through):
        self.instance, self.state, self.key, self.through = instance, state, key, through

    def publisher(self):
        return Publisher(self.instance, "23", Asking(self.through))

    def seen(self):
        return self.state.logs()[NAME]["size"]


def vkeys(instance):
    with instance.database.begin("23", read_only=True) as session:
        return [key.vkey for key in public_log_keys(session)]


def more(instance, count=1):
    """A few more entries, each in its place."""
    with instance.database.begin("23") as session:
        for _ in range(count):
            done(
                set_policy(
                    session, SetPolicy(new_id(), policy_text(session)), by="t", now=NOW
                )
            )
    sequence(instance.database)


def shown(instance):
    with instance.database.begin("23", read_only=True) as session:
        return newest(session)


def leaves(instance):
    with instance.database.begin("23", read_only=True) as session:
        return list(session.scalars(select(log_leaf.c.leaf_hash).order_by(log_leaf.c.idx)))


@contextmanager
def guards_off(instance, request, tmp_path):
    """Open a transaction as a superuser may: no trigger looks."""
    if instance.settings.data_dir and (tmp_path / "d23.db").exists():
        engine = create_engine(f"sqlite:///{tmp_path / 'd23.db'}")
        off = [
            "DROP TRIGGER entry_update", "DROP TRIGGER log_leaf_update", "DROP TRIGGER checkpoint_update",
            "DROP TRIGGER published_delete", "DROP TRIGGER cosignature_delete",
        ]  # fmt: skip
    else:
        server = request.getfixturevalue("server")
        url = instance.database.place.engine("app").url.database
        engine = create_engine(server.url(url))
        off = [
            "SET LOCAL search_path = d23",
            *[
                f"ALTER TABLE {t} DISABLE TRIGGER ALL"
                for t in ("entry", "log_leaf", "checkpoint", "published", "cosignature")
            ],
        ]
    with engine.begin() as connection:
        for statement in off:
            connection.execute(text(statement))
        yield connection
    engine.dispose()


def rewrite(instance, request, tmp_path, published=False):
    """What a superuser can do: triggers off, an entry changed, the whole log computed again."""
    bodies = {}
    with instance.database.begin("23", read_only=True) as session:
        for idx, body in session.execute(
            select(log_leaf.c.idx, entry.c.body).join(
                entry, entry.c.id == log_leaf.c.entry_id
            )
        ):
            bodies[idx] = bytes(body)
    changed = bodies[2].replace(b'"v":1', b'"v":2')
    assert changed != bodies[2]
    bodies[2] = changed
    frontier, roots = (), {}
    for idx in range(len(bodies)):
        frontier = extend(frontier, idx, [leaf_hash(bodies[idx])])
        roots[idx + 1] = root(frontier)
    with guards_off(instance, request, tmp_path) as connection:
        if published:
            connection.execute(text("DELETE FROM cosignature"))
            connection.execute(text("DELETE FROM published"))
        change = {"b": changed, "h": leaf_hash(changed)}
        [(identifier,)] = connection.execute(
            text("SELECT entry_id FROM log_leaf WHERE idx = 2")
        )
        change["id"] = identifier
        connection.execute(
            text("UPDATE entry SET body = :b, leaf_hash = :h WHERE id = :id"), change
        )
        connection.execute(
            text("UPDATE log_leaf SET leaf_hash = :h WHERE idx = 2"), {"h": change["h"]}
        )
        for size, whole in roots.items():
            connection.execute(
                text("UPDATE checkpoint SET root = :r WHERE tree_size = :s"),
                {"r": whole, "s": size},
            )
        connection.execute(
            text("UPDATE log_state SET frontier = :f"), {"f": b"".join(frontier)}
        )


def test_a_checkpoint_is_signed_once_committed_and_not_twice(instance, clock):
    publisher = Publisher(instance, "23")
    assert publisher.is_due()
    made = publisher.publish()

    note = read(made.note)
    assert [s.key.vkey for s in verify(note, [read_key(vkeys(instance)[0])])] == vkeys(
        instance
    )
    told = read_checkpoint(note.text)
    assert (told.origin, told.size) == (NAME, len(leaves(instance)))
    assert told.root == root(extend((), 0, leaves(instance)))

    assert publisher.publish() is None
    assert not publisher.is_due()
    more(instance)
    assert not publisher.is_due(), "every ten seconds at most"
    clock.at += timedelta(seconds=10)
    assert publisher.is_due()
    assert publisher.publish().size == told.size + 1
    clock.at -= timedelta(days=400)
    more(instance)
    assert publisher.is_due(), "a clock set back does not keep the log from being shown"


def test_without_the_secret_nothing_is_signed(database, tmp_path, instance):
    instance.settings = type(instance.settings)(None, {}, None, state_dir=tmp_path)
    with pytest.raises(KeysLocked):
        Publisher(instance, "23").publish()
    assert shown(instance) is None


def test_a_publisher_killed_at_any_moment_goes_on(instance, clock, monkeypatch):
    def killed(*_, **__):
        raise KeyboardInterrupt

    publisher = Publisher(instance, "23")
    with monkeypatch.context() as m:
        m.setattr("app.proofs.publisher.publish", killed)
        with pytest.raises(KeyboardInterrupt):
            publisher.publish()
    assert shown(instance) is None
    with monkeypatch.context() as m:
        m.setattr(Mark, "keep", killed)
        with pytest.raises(KeyboardInterrupt):
            publisher.publish()
    assert shown(instance) is None, "nothing is shown that is not remembered"
    mark, keep = Mark(instance.settings.state_dir, "23"), Mark.keep
    with monkeypatch.context() as m:
        m.setattr(Mark, "keep", lambda self, note: (keep(self, note), killed()))
        with pytest.raises(KeyboardInterrupt):
            publisher.publish()
    assert shown(instance) is None
    size = mark.read().size
    assert size == len(leaves(instance)), (
        "remembered too early: the log holds it all the same"
    )

    more(instance)
    assert Publisher(instance, "23").publish().size == size + 1
    assert mark.read().size == size + 1


def test_an_old_backup_is_not_signed(instance, tmp_path, clock):
    """On SQLite the file itself is put back; on both engines, what was shown is longer than the log."""
    publisher = Publisher(instance, "23")
    publisher.publish()
    on_files = (tmp_path / "d23.db").exists()
    if on_files:
        instance.database.fold("23")
        shutil.copy(tmp_path / "d23.db", tmp_path / "backup.db")
    old = shown(instance)
    more(instance, 3)
    publisher.publish()
    kept = Mark(instance.settings.state_dir, "23")
    if on_files:
        instance.database.close()
        for left in tmp_path.glob("d23.db-*"):
            left.unlink()
        shutil.copy(tmp_path / "backup.db", tmp_path / "d23.db")
        assert shown(instance) == old
    else:
        beyond = shown(instance).note.replace(f"\n{old.size + 3}\n", f"\n{old.size + 30}\n")
        kept.keep(beyond)

    missing = kept.read().size
    with pytest.raises(LogBehind) as no:
        Publisher(instance, "23").publish()
    assert (no.value.shown, no.value.by) == (missing, "mark")
    more(instance, 1)
    with pytest.raises(LogBehind):
        Publisher(instance, "23").publish()
    if on_files:  # other entries in the place of those that were lost
        more(instance, 5)
        with pytest.raises(LogForked):
            Publisher(instance, "23").publish()


def test_a_spoilt_mark_signs_nothing(instance):
    Publisher(instance, "23").publish()
    more(instance)
    file = instance.settings.state_dir / "23.checkpoint"
    before = shown(instance)
    for spoilt in (b"", b"nothing", b"\xff\xfe", file.read_bytes()[:40]):
        file.write_bytes(spoilt)
        with pytest.raises(MarkUnreadable):
            Publisher(instance, "23").publish()
    assert shown(instance) == before


def test_witnesses_cosign_a_log_that_grows(watched):
    publisher, instance = watched.publisher(), watched.instance
    for _ in range(3):
        publisher.publish()
        more(instance, 5)
    publisher.publish()

    last = shown(instance)
    assert watched.seen() == last.size
    with instance.database.begin("23", read_only=True) as session:
        policy = read_policy(policy_text(session))
    assert vouch(policy, read(last.note)).witnesses == {"pref": int(NOW.at.timestamp())}


def test_a_witness_that_is_away_is_asked_again(watched):
    publisher = watched.publisher()
    publisher.publish()
    watched.through.down = True
    more(watched.instance)
    away = publisher.publish()
    assert "pref.example" not in away.note
    assert watched.seen() == away.size - 1
    watched.through.down = False
    more(watched.instance, 2)
    publisher.publish()
    assert watched.seen() == shown(watched.instance).size
    assert "pref.example" in shown(watched.instance).note


def test_a_new_publisher_learns_what_the_witness_saw(watched):
    watched.publisher().publish()
    more(watched.instance, 3)
    watched.publisher().publish()
    assert watched.seen() == shown(watched.instance).size


def test_a_rewritten_history_is_not_signed(watched, request, tmp_path):
    """The mark knows; without it, what was published in the database itself does."""
    instance = watched.instance
    watched.publisher().publish()
    before = watched.seen()
    more(instance, 3)
    rewrite(instance, request, tmp_path)

    for by in ("mark", "published"):
        with pytest.raises(LogForked) as no:
            watched.publisher().publish()
        assert no.value.by == by
        (instance.settings.state_dir / "23.checkpoint").unlink(missing_ok=True)
    assert watched.seen() == before
    assert shown(instance).size == before


def test_whoever_holds_everything_is_caught_by_the_witness(watched, request, tmp_path):
    """Database, mark and log key: a second history is signed, and the witness keeps both checkpoints."""
    instance = watched.instance
    watched.publisher().publish()
    first = shown(instance)
    more(instance, 3)
    rewrite(instance, request, tmp_path, published=True)
    (instance.settings.state_dir / "23.checkpoint").unlink()
    forger = watched.publisher()

    with pytest.raises(LogForked) as no:
        forger.publish()

    assert no.value.by == "pref"
    [told] = watched.state.told()
    assert (told["why"], told["proof"]) == ("unproved", False), (
        "a stranger can prove badly too"
    )
    assert told["seen_size"] == first.size
    [key] = [read_key(vkey) for vkey in vkeys(instance)]
    for note in (told["note"], told["seen_note"]):
        assert verify(read(note), [key]), (
            "the log signed both: it must prove that one continues the other"
        )
    assert watched.seen() == first.size
    more(instance)
    with pytest.raises(LogForked) as no:  # and it is asked again before the next signature
        forger.publish()
    assert no.value.by == "pref"


def test_a_shorter_log_is_refused_and_told(watched, tmp_path):
    """The witness saw more than the log holds: a restored backup, without any mark."""
    watched.publisher().publish()
    logs = watched.state.logs()
    logs[NAME]["size"] += 10
    (tmp_path / "witness.json").write_text(json.dumps(logs))
    (watched.instance.settings.state_dir / "23.checkpoint").unlink()
    more(watched.instance)
    with pytest.raises(LogBehind) as no:
        watched.publisher().publish()
    assert no.value.by == "pref"


def handed_in(watched, body):
    return watched.through.client.post("/add-checkpoint", content=body)


def test_what_a_witness_answers_to_nonsense(watched, instance):
    publisher = watched.publisher()
    publisher.publish()
    size, note = watched.seen(), read(shown(instance).note)
    good = f"old {size}\n\n{note.text}\n{note.lines[0]}\n"

    assert handed_in(watched, good).status_code == 200, "the same again is no fork"
    for nonsense in (
        b"", b"\xff", b"old\n\n", good.replace(f"old {size}", f"old 0{size}"), good.replace("old", "new"),
        good.replace("\n\n", "\nAAAA\n\n", 1), good.replace("\n\n", "\n!\n\n", 1), good[:-20],
        good.replace("\n\n", "\nAAAé\n\n", 1), good[:-2] + "é\n",
        f"old {size + 1}\n\n{note.text}\n{note.lines[0]}\n", f"old {size}\n" + "AAAA\n" * 64 + good,
    ):  # fmt: skip
        assert handed_in(watched, nonsense).status_code == 400, nonsense
    assert handed_in(watched, b"a" * 200_000).status_code == 413
    unknown = good.replace(f"\n\n{NAME}", "\n\nelse.example")
    assert handed_in(watched, unknown).status_code == 404
    other = good.replace(str(note.lines[0]), str(note.lines[0]).replace("— pass", "— miss"))
    assert handed_in(watched, other).status_code == 403
    conflict = handed_in(watched, good.replace(f"old {size}", "old 0"))
    assert (conflict.status_code, conflict.text) == (409, f"{size}\n")
    assert conflict.headers["content-type"].startswith("text/x.tlog.size")
    assert watched.seen() == size


def test_a_witness_remembers_across_a_restart_and_refuses_a_spoilt_file(watched, tmp_path):
    watched.publisher().publish()
    again = WitnessState(tmp_path / "witness.json")
    assert again.logs()[NAME]["size"] == watched.seen()
    assert WitnessKey.read(tmp_path / "witness.key").public == watched.key.public
    assert (tmp_path / "witness.key").stat().st_mode & 0o077 == 0
    with pytest.raises(StateWrong):
        WitnessKey.make(tmp_path / "witness.key", "pref.example")
    for spoilt in ("{", "[]", '{"a":{}}', '{"a":{"size":"x","root":"","keys":[]}}'):
        (tmp_path / "witness.json").write_text(spoilt)
        with pytest.raises(StateWrong):
            WitnessState(tmp_path / "witness.json")


def test_a_key_of_the_log_is_changed_without_a_gap(watched):
    """The drill: new key, both sign, the witness is told, the old one ends; old notes stay good."""
    instance, database = watched.instance, watched.instance.database
    watched.publisher().publish()
    old = shown(instance)
    with database.begin("23") as session:
        done(
            new_log_key(session, NewLogKey(new_id(), NAME), secret=SECRET, by="t", now=NOW)
        )
        assert [k.signs for k in listed_log_keys(session)] == [True, False]
        refused = end_log_key(session, EndLogKey(new_id(), 0, "replaced"), by="t", now=NOW)
        assert refused.code == "last_log_key", "nobody has vouched for the new one yet"
    sequence(database)
    watched.publisher().publish()
    first, second = [read_key(vkey) for vkey in vkeys(instance)]
    assert [s.key for s in verify(read(shown(instance).note), [first, second])] == [first]

    more(instance)
    watched.publisher().publish()
    both = read(shown(instance).note)
    assert {s.key for s in verify(both, [first, second])} == {first, second}

    watched.state.trust(NAME, second.vkey, from_size=shown(instance).size)
    with database.begin("23") as session:
        done(end_log_key(session, EndLogKey(new_id(), 0, "replaced"), by="t", now=NOW))
    sequence(database)
    watched.publisher().publish()
    alone = read(shown(instance).note)
    assert [s.key for s in verify(alone, [first, second])] == [second]
    assert watched.seen() == shown(instance).size, "the witness went on under the new key"
    assert verify(read(old.note), [first])
    with database.begin("23") as session:
        again = end_log_key(session, EndLogKey(new_id(), 0, "replaced"), by="t", now=NOW)
        last = end_log_key(session, EndLogKey(new_id(), 1, "lost"), by="t", now=NOW)
    assert (again.code, last.code) == ("log_key_unknown", "last_log_key")


def test_a_lost_key_is_followed_by_another_that_the_witness_must_be_told_of(watched):
    instance, database = watched.instance, watched.instance.database
    watched.publisher().publish()
    before = watched.seen()
    with database.begin("23") as session:
        done(
            new_log_key(session, NewLogKey(new_id(), NAME), secret=SECRET, by="t", now=NOW)
        )
        done(end_log_key(session, EndLogKey(new_id(), 0, "lost"), by="t", now=NOW))
    sequence(database)
    watched.publisher().publish()
    assert watched.seen() == before, "a key that nobody vouched for is not trusted"
    assert "pref.example" not in shown(instance).note

    watched.state.trust(NAME, vkeys(instance)[1], from_size=before)
    more(instance)
    watched.publisher().publish()
    assert watched.seen() == shown(instance).size


def test_keys_and_policies_that_will_not_do(instance):
    def key(name=NAME, secret=SECRET):
        with instance.database.begin("23") as session:
            return new_log_key(
                session, NewLogKey(new_id(), name), secret=secret, by="t", now=NOW
            )

    assert key("other.example").code == "log_named_already"
    assert key(secret=b"short").code == "keys_locked"
    assert key(secret=b"another secret, long enough").code == "keys_locked"
    with instance.database.begin("974") as session:
        wrong = new_log_key(
            session, NewLogKey(new_id(), "a b"), secret=SECRET, by="t", now=NOW
        )
        assert wrong.code == "log_name_wrong"
    with instance.database.begin("23") as session:
        no = set_policy(session, SetPolicy(new_id(), "witness x\n"), by="t", now=NOW)
    assert (no.code, no.facts["why"]) == (
        PolicyWrong.code,
        "line 1: a line is log, witness, group or quorum",
    )


@pytest.fixture
def web(instance):
    with TestClient(create_app(instance)) as client:
        yield client


def a_scan(instance):
    with instance.database.begin("23") as session:
        world = a_world_again(session, instance)
        serial = an_order(session, world, 1)[0]
        given(session, serial)
        [verdict] = scanned(session, world, a_workshop(session), serial)
    return verdict


def a_world_again(session, instance):
    return World(signer(session, "23", SECRET), keyring(session, "23", SECRET))


def test_a_scan_has_a_receipt_at_once_and_a_proof_later(web, instance):
    scan = a_scan(instance).id
    told = web.get(f"/23/receipt/{scan}")
    assert told.status_code == 200
    note = read(told.text)
    assert verify(note, [read_key(vkeys(instance)[0])])
    with instance.database.begin("23", read_only=True) as session:
        body = session.scalar(select(entry.c.body).where(entry.c.id == scan))
    leaf = leaf_hash(bytes(body))
    assert note.text.split("\n")[:3] == [
        f"{NAME}/receipt", f"entry {scan}", f"leaf {base64.b64encode(leaf).decode()}",
    ]  # fmt: skip
    early = web.get(f"/23/proof/{scan}", headers={"accept": "application/json"})
    assert (early.status_code, early.json()["code"]) == (404, NotPublishedYet.code)

    sequence(instance.database)
    Publisher(instance, "23").publish()

    told = web.get(f"/23/receipt/{scan}").text
    assert told == web.get(f"/23/proof/{scan}").text
    head, checkpoint = told.split("\n\n", 1)
    first, index, *hashes = head.split("\n")
    assert first == "c2sp.org/tlog-proof@v1"
    vouched = vouch(read_policy(web.get("/23/policy").text), read(checkpoint)).checkpoint
    verify_inclusion(
        leaf,
        int(index.removeprefix("index ")),
        vouched.size,
        [base64.b64decode(one) for one in hashes],
        vouched.root,
    )


def test_the_log_is_read_by_tiles_alone(web, instance):
    assert (
        web.get("/23/checkpoint", headers={"accept": "application/json"}).status_code == 404
    )
    more(instance, 300 - len(leaves(instance)))
    Publisher(instance, "23").publish()
    more(instance, 3)

    told = web.get("/23/checkpoint")
    assert told.headers["content-type"].startswith("text/plain")
    assert "max-age=5" in told.headers["cache-control"]
    size = read_checkpoint(read(told.text).text).size
    assert size == 300
    hashes = web.get("/23/tile/0/000").content + web.get("/23/tile/0/001.p/44").content
    assert hashes == b"".join(leaves(instance)[:300])
    upper = web.get("/23/tile/1/000.p/1")
    assert "immutable" in upper.headers["cache-control"]
    assert len(upper.content) == 32
    assert len(web.get("/23/tile/0/001.p/7").content) == 7 * 32

    for beyond in (
        "0/001", "0/001.p/45", "0/002", "0/002.p/1", "1/000", "1/000.p/2", "2/000.p/1", "0/000.p/256", "0/000.p/0",
        "0/0", "0/x000/000x", "00/000", "64/000", "entries/000", "-1/000", "0/x999/x999/x999/x999/999",
    ):  # fmt: skip
        assert web.get(f"/23/tile/{beyond}").status_code == 404, beyond
    assert web.get("/974/tile/0/000").status_code == 404
    assert web.get("/99/checkpoint").status_code == 404
    assert web.get(f"/974/proof/{new_id()}").status_code == 404
    assert web.get("/checkpoint").status_code == 404, "two départements: one must be named"


def test_an_answer_to_scans_is_signed(web, instance):
    """RFC 9421 over the digest of RFC 9530: checked as a stranger would, from the headers alone."""
    with instance.database.begin("23") as session:
        _, token = new_device(session, "23", scope="site", at="lieu-1", label="x", now=NOW)
    told = web.post("/api/v1/scans", json=[{"id": str(new_id()), "token": "nothing", "workshop": str(new_id()),
                    "at": "2020-02-03T13:00:00Z"}], headers={"authorization": f"Bearer {token}"})  # fmt: skip
    assert told.status_code == 200
    digest = told.headers["content-digest"]
    assert digest == f"sha-256=:{base64.b64encode(sha256(told.content).digest()).decode()}:"
    parameters = told.headers["signature-input"].removeprefix("log=")
    signed = f'"content-digest": {digest}\n"@signature-params": {parameters}'
    [keyid] = re.findall(r'keyid="([^"]+)"', parameters)
    [vkey] = vkeys(instance)
    assert vkey.startswith(f"{keyid}+")
    signature = base64.b64decode(
        told.headers["signature"].removeprefix("log=:").removesuffix(":")
    )
    Ed25519PublicKey.from_public_bytes(read_key(vkey).public).verify(
        signature, signed.encode()
    )


@pytest.mark.parametrize("what", ["frontier", "checkpoint"])
def test_a_root_that_the_entries_do_not_give_is_not_signed(
    instance, request, tmp_path, what
):
    """The tables that are derived are not believed: the root is computed before it is signed."""
    Publisher(instance, "23").publish()
    before = shown(instance)
    if what == "checkpoint":
        more(instance)
    table, column = {
        "frontier": ("log_state", "frontier"), "checkpoint": ("checkpoint", "root"),
    }[what]  # fmt: skip
    with guards_off(instance, request, tmp_path) as connection:
        last = "" if what == "frontier" else f" WHERE tree_size = {before.size + 1}"
        [(kept,)] = connection.execute(text(f"SELECT {column} FROM {table}{last}"))
        flipped = bytes(kept[:-1]) + bytes([kept[-1] ^ 1])
        change = text(f"UPDATE {table} SET {column} = :flipped{last}")
        connection.execute(change, {"flipped": flipped})
    if what == "frontier":
        more(instance)
    with pytest.raises(LogForked) as no:
        Publisher(instance, "23").publish()
    assert (no.value.by, no.value.shown) == ("checkpoint", before.size + 1)
    assert shown(instance) == before
    assert Mark(instance.settings.state_dir, "23").read().size == before.size


def test_a_mark_that_cannot_be_written_signs_nothing(instance, tmp_path):
    (tmp_path / "full").write_text("no folder")
    instance.settings = type(instance.settings)(
        None, {}, SECRET, state_dir=tmp_path / "full"
    )
    with pytest.raises(MarkUnwritable) as no:
        Publisher(instance, "23").publish()
    assert no.value.file.endswith("23.checkpoint")
    assert shown(instance) is None


class Growing:
    """A log in memory, with its key: what it signs at each size, and proofs."""

    def __init__(self, count=20):
        self.private = Ed25519PrivateKey.generate()
        self.vkey = public_key(NAME, self.private).vkey
        self.leaves = [leaf_hash(b"%d" % n) for n in range(count)]

    def note(self, size, leaves=None):
        whole = root(extend((), 0, (leaves or self.leaves)[:size]))
        told = Checkpoint(NAME, size, whole).text
        return Note(told, (sign(told, NAME, self.private),))

    def asked(self, old, size):
        def reads(level, n):
            return b"".join(self.leaves[:size])

        proof = consistency_proof(in_tiles(reads), old, size) if old else []
        return AddCheckpoint(old, tuple(proof), self.note(size))


@pytest.fixture
def key(tmp_path):
    return WitnessKey.make(tmp_path / "witness.key", "pref.example")


@pytest.fixture
def growing(tmp_path):
    return Growing()


@pytest.fixture
def state(tmp_path, growing):
    made = WitnessState(tmp_path / "witness.json")
    made.trust(NAME, growing.vkey)
    return made


def refused(state, key, asked, why):
    with pytest.raises(why):
        state.cosign(asked, key, at=NOW.at)
    return state.told()


def test_what_strangers_hand_in_is_no_proof(state, key, growing):
    """Checkpoints are public: an old one again, the newest with a bad proof, as often as one likes."""
    state.cosign(growing.asked(0, 10), key, at=NOW.at)
    for _ in range(3):
        refused(state, key, AddCheckpoint(0, (), growing.note(5)), Conflict)
        refused(state, key, AddCheckpoint(10, (b"x" * 32,), growing.note(15)), BadProof)
        refused(state, key, AddCheckpoint(10, (b"x" * 32,), growing.note(10)), BadProof)
        refused(state, key, AddCheckpoint(0, (), growing.note(12)), Conflict)
    told = state.told()
    assert [(one["why"], one["size"], one["proof"]) for one in told] == [
        ("smaller", 5, False), ("unproved", 15, False),
    ]  # fmt: skip
    for one in told:
        for note in (one["note"], one["seen_note"]):
            assert verify(read(note), [read_key(growing.vkey)])
    assert state.logs()[NAME]["size"] == 10
    state.cosign(growing.asked(10, 15), key, at=NOW.at)


@pytest.mark.parametrize("old", [10, 0])
def test_two_checkpoints_of_one_size_are_a_proof(state, key, growing, old):
    state.cosign(growing.asked(0, 10), key, at=NOW.at)
    other = growing.note(10, [leaf_hash(b"x"), *growing.leaves[1:]])
    padded = Note(other.text, (*other.lines, sign(other.text, "else", growing.private)))
    for _ in range(2):
        [told] = refused(state, key, AddCheckpoint(old, (), padded), Conflict)
    assert (told["proof"], told["why"], told["size"]) == (True, "fork", 10)
    ours, theirs = read(told["seen_note"]), read(told["note"])
    assert len(theirs.lines) == 1, "what a stranger added is not kept"
    for note in (ours, theirs):
        assert verify(note, [read_key(growing.vkey)])
    one, two = read_checkpoint(ours.text), read_checkpoint(theirs.text)
    assert one.size == two.size
    assert one.root != two.root


def test_what_is_told_is_bounded_and_suspicions_crowd_out_no_proof(state, key, growing):
    state.cosign(growing.asked(0, 10), key, at=NOW.at)
    line = json.dumps(
        {"proof": False, "why": "unproved", "origin": NAME, "size": 1, "root": ""}
    )
    state.refusals.write_bytes(f"{line}\n".encode() * MOST_TOLD + b'{"note":"\xe2')
    refused(state, key, AddCheckpoint(10, (), growing.note(15)), BadProof)
    assert len(state.told()) == MOST_TOLD
    other = growing.note(10, [leaf_hash(b"x"), *growing.leaves[1:]])
    told = refused(state, key, AddCheckpoint(10, (), other), Conflict)
    assert len(told) == MOST_TOLD + 1
    assert told[-1]["proof"]


def test_an_empty_log_has_one_root(state, key, growing):
    assert str(state.cosign(growing.asked(0, 0), key, at=NOW.at)).startswith("— pref")
    told = Checkpoint(NAME, 0, b"x" * 32).text
    wrong = Note(told, (sign(told, NAME, growing.private),))
    assert refused(state, key, AddCheckpoint(0, (), wrong), BadProof) == []


def test_a_witness_is_told_of_a_key_while_it_serves(tmp_path, state, key, growing):
    """`witness trust` is another process: neither loses what the other wrote."""
    beside, new = WitnessState(tmp_path / "witness.json"), Growing()
    state.cosign(growing.asked(0, 10), key, at=NOW.at)
    beside.trust(NAME, new.vkey, from_size=10)
    assert beside.logs()[NAME]["size"] == 10, "the size was not rolled back"
    growing.private = new.private
    state.cosign(growing.asked(10, 15), key, at=NOW.at)
    beside.trust(NAME, new.vkey, from_size=16)
    assert state.logs()[NAME]["size"] == 15
    assert [k["from_size"] for k in state.logs()[NAME]["keys"]] == [0, 16]
    beside.distrust(NAME, new.vkey)
    assert [k["vkey"] for k in state.logs()[NAME]["keys"]] == [growing.vkey]
    assert state.logs()[NAME]["size"] == 15
    for origin in (NAME, "else.example"):
        with pytest.raises(WitnessKeyUnknown):
            beside.distrust(origin, new.vkey)
    shown_ = passnum("witness", "distrust", "--origin", NAME, "--key", growing.vkey,
                     "--state", tmp_path / "witness.json", env=environment())  # fmt: skip
    assert shown_.returncode == 0, shown_.stderr
    assert state.logs()[NAME]["keys"] == []


def test_many_at_once_lose_nothing(tmp_path, state, key, growing):
    beside, keys = (
        WitnessState(tmp_path / "witness.json"),
        [Growing(1).vkey for _ in range(20)],
    )

    def grow():
        for size in range(1, 20):
            state.cosign(growing.asked(size - 1, size), key, at=NOW.at)

    with ThreadPoolExecutor() as many:
        done_ = [many.submit(grow)]
        done_ += [many.submit(beside.trust, NAME, vkey) for vkey in keys[:10]]
        done_ += [many.submit(state.trust, NAME, vkey) for vkey in keys[10:]]
    for one in done_:
        one.result()
    known = state.logs()[NAME]
    assert known["size"] == 19
    assert {k["vkey"] for k in known["keys"]} == {growing.vkey, *keys}


class Several(httpx.BaseTransport):
    """Witnesses by host; what each does is a function of the request."""

    def __init__(self, **hosts):
        self.hosts, self.asked = hosts, []

    def handle_request(self, request):
        self.asked.append(request.url.host)
        return self.hosts[request.url.host](request)


def with_witnesses(watched, tmp_path, *urls):
    """Set a policy of the true witness, at the end, and of others at these addresses."""
    lines = []
    for n, url in enumerate(urls):
        other = WitnessKey.make(tmp_path / f"other{n}.key", f"other{n}.example")
        lines.append(f"witness other{n} {other.public.vkey} {url}\n")
    lines.append(f"witness pref {watched.key.public.vkey} http://pref\nquorum none\n")
    with watched.instance.database.begin("23") as session:
        done(set_policy(session, SetPolicy(new_id(), "".join(lines)), by="t", now=NOW))
    sequence(watched.instance.database)


def conflict(size):
    return lambda _: httpx.Response(409, content=f"{size}\n".encode())


def test_one_witness_that_denies_does_not_silence_the_others(watched, tmp_path):
    with_witnesses(watched, tmp_path, "http://forked", "http://behind")
    several = Several(
        forked=conflict(0), behind=conflict(10**6), pref=watched.through.handle_request
    )
    with pytest.raises(LogForked) as no:
        Publisher(watched.instance, "23", Asking(several)).publish()
    assert no.value.by == "other0"
    assert several.asked == ["forked", "behind", "pref"]
    assert "pref.example" in shown(watched.instance).note


def test_odd_answers_are_no_answers(watched, tmp_path, caplog):
    """Each would have killed the publisher, or kept it busy; the true witness is asked all the same."""
    addresses = [
        "http://[",
        "nothing",
        "http://h:99999/",
        "http://long",
        "http://size",
        "http://packed",
        "http://text",
    ]
    with_witnesses(watched, tmp_path, *addresses)
    several = Several(
        long=lambda _: httpx.Response(200, content=b"x" * (ANSWER_MAX + 1)),
        size=conflict("9" * 10_000),
        packed=lambda _: httpx.Response(200, headers={"content-encoding": "br"}, stream=httpx.ByteStream(b"x")),
        text=lambda _: httpx.Response(200, content=b"\xff"),
        pref=watched.through.handle_request,
    )  # fmt: skip
    made = Publisher(watched.instance, "23", Asking(several)).publish()
    assert watched.seen() == made.size
    assert "pref.example" in shown(watched.instance).note


def test_a_witness_that_hangs_holds_up_nobody_and_no_transaction(
    watched, tmp_path, monkeypatch
):
    with_witnesses(watched, tmp_path, "http://hangs")
    monkeypatch.setattr(asking, "ANSWER_SECONDS", 0.5)
    database, open_, goes_on = watched.instance.database, [], threading.Event()
    begin = database.begin

    @contextmanager
    def counted(*given_, **how):
        with begin(*given_, **how) as session:
            open_.append(session)
            try:
                yield session
            finally:
                open_.pop()

    def hangs(_):
        assert open_ == []
        goes_on.wait(30)
        raise httpx.ConnectError("too late")

    several = Several(hangs=hangs, pref=watched.through.handle_request)
    publisher = Publisher(watched.instance, "23", Asking(several))
    with monkeypatch.context() as m:
        m.setattr(database, "begin", counted)
        began = time.monotonic()
        for _ in range(3):
            made = publisher.publish()
            more(watched.instance)
        assert time.monotonic() - began < 25
    assert watched.seen() == made.size
    assert several.asked.count("hangs") == 1, "it is not asked again before it let go"
    goes_on.set()


def test_a_dead_witness_stops_nothing_while_the_mark_is_there(watched, caplog):
    watched.publisher().publish()
    watched.through.down = True
    again = watched.publisher()
    for _ in range(2):
        more(watched.instance)
        assert again.publish() is not None
    assert caplog.text.count("the mark is believed") == 1


def test_with_neither_mark_nor_witness_nothing_is_signed(watched):
    """Nobody could tell that the database is an old backup."""
    watched.publisher().publish()
    before = shown(watched.instance)
    more(watched.instance)
    (watched.instance.settings.state_dir / "23.checkpoint").unlink()
    watched.through.down = True
    publisher = watched.publisher()
    for _ in range(2):
        with pytest.raises(WitnessNeeded) as no:
            publisher.publish()
        assert (no.value.witnesses, no.value.file) == ("pref", "23.checkpoint")
    assert shown(watched.instance) == before
    watched.through.down = False
    assert publisher.publish().size == before.size + 1


def test_a_publisher_with_an_old_note_raises_nothing_false(watched, monkeypatch):
    """Another one was quicker: the witness saw more than this one asks about, and all of it is ours."""
    instance = watched.instance
    late = watched.publisher()
    late.publish()
    old = shown(instance)
    more(instance, 3)
    watched.publisher().publish()
    monkeypatch.setattr(publishing_loop, "newest", lambda _: old)
    assert late.ask_witnesses() == []
    with instance.database.begin("23") as session:
        for _ in range(2):
            policy = SetPolicy(new_id(), policy_text(session))
            done(set_policy(session, policy, by="t", now=NOW))
    sequence(instance.database)
    never = Several(**{"pref.example": conflict(old.size + 4)})
    with pytest.raises(LogForked):  # between two checkpoints: this log never had that size
        Publisher(instance, "23", Asking(never)).ask_witnesses()


@pytest.mark.parametrize(
    "trouble", [PoolTimeout(), RuntimeError("x"), MarkUnwritable("f", "y")]
)
def test_the_troubles_of_one_departement_are_not_those_of_another(
    instance, monkeypatch, trouble
):
    with instance.database.begin("974") as session:
        name = NewLogKey(new_id(), "pass.reunion.fr/974")
        done(new_log_key(session, name, secret=SECRET, by="t", now=NOW))
    while instance.step("974"):
        pass
    tried, whole = [], Publisher.publish

    def publish(self):
        if self._code == "23":
            tried.append(self)
            raise trouble
        return whole(self)

    monkeypatch.setattr(Publisher, "publish", publish)
    monkeypatch.setattr(publishing_loop, "REST_SECONDS", 0.02)
    stop = threading.Event()
    loop = threading.Thread(target=publishing_loop.run_until, args=(instance, stop))
    loop.start()
    for _ in range(3_000):
        time.sleep(0.02)
        with instance.database.begin("974", read_only=True) as session:
            if (made := newest(session)) is not None and len(tried) > 0:
                break
    time.sleep(0.2)
    assert loop.is_alive()
    stop.set()
    loop.join()
    assert made is not None
    assert tried
    if not isinstance(trouble, PoolTimeout):
        assert len(tried) == 1, "a no is given time"
