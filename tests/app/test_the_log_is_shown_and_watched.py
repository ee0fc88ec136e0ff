"""Checkpoints, tiles, proofs and receipts over HTTP; witnesses; what happens when a log denies what it showed."""

import base64
import json
import re
import shutil
from datetime import timedelta
from hashlib import sha256

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from litestar.testing import TestClient
from sqlalchemy import create_engine, select, text

from app.devices import new_device
from app.proofs.mark import Mark
from app.proofs.publisher import MarkUnreadable, Publisher
from app.proofs.witnesses import Asking
from app.web import create_app
from app.witness.server import create_witness
from app.witness.state import StateWrong, WitnessKey, WitnessState
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
from ledger.merkle import extend, leaf_hash, root, verify_inclusion
from ledger.models import entry, log_leaf
from ledger.notes import read, read_checkpoint, read_key, verify
from ledger.policy import read_policy, vouch
from ledger.publishing import LogBehind, LogForked, newest
from ledger.receipts import NotPublishedYet
from ledger.witness_policies import PolicyWrong, SetPolicy, policy_text, set_policy
from tests.app.running import an_instance
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
    engine.dispose()


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
    first = shown(instance)
    assert first is not None, "committed before it was remembered"

    more(instance)
    assert Publisher(instance, "23").publish().size == first.size + 1
    assert Mark(instance.settings.state_dir, "23").read().size == first.size + 1


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
    """Database, mark and log key: a second history is signed, and the witness keeps the proof of it."""
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
    [told] = [json.loads(line) for line in watched.state.refusals.read_text().splitlines()]
    assert (told["why"], told["seen_size"]) == ("BadProof", first.size)
    [key] = [read_key(vkey) for vkey in vkeys(instance)]
    assert verify(read(told["note"]), [key]), "signed by the log itself: nobody can deny it"
    assert watched.seen() == first.size
    more(instance)
    with pytest.raises(LogForked) as no:  # and it is asked again before the next signature
        forger.publish()
    assert no.value.by == "pref"


def test_a_shorter_log_is_refused_and_told(watched):
    """The witness saw more than the log holds: a restored backup, without any mark."""
    watched.publisher().publish()
    watched.state.logs()[NAME]["size"] += 10
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
