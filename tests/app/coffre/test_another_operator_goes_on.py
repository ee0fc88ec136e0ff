"""A coffre and its sealed file, put into an empty instance of another operator: the same cents, and on."""

import json
import shutil
import zipfile
from dataclasses import dataclass, replace
from datetime import date
from hashlib import sha256
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from litestar.testing import TestClient
from sqlalchemy import func, select

from app.audit import audit_departement
from app.coffre import sealing, tables, transfer
from app.coffre.importing import Given, Reader, take_in
from app.coffre.packing import CoffreExists
from app.coffre.refusals import (
    CoffreFiltered,
    CoffreWrong,
    DepartementDiffers,
    ImportDiffers,
    JustAmended,
    NotEmpty,
    TransferOfAnother,
    TransferUnsigned,
)
from app.coffre.sealing import TransferKeyWrong, TransferWrong
from app.coffre.transfer import LogNotQuiet
from app.database import Database, DepartementReadOnly, FilesPlace, bootstrap_sql
from app.devices import Bearers, NotSignedIn, new_device
from app.messages import messages
from app.proofs.publisher import Publisher
from app.proofs.witnesses import Asking
from app.reconciliations import as_text
from app.witness.server import create_witness
from app.witness.state import WitnessKey, WitnessState
from funding.attribution import project
from issuance import vault
from issuance.keys import keyring, signer
from issuance.models import vault_record
from issuance.orders import order_row
from issuance.paper import printed_passes
from ledger import canonical, sequencer
from ledger.columns import metadata
from ledger.identifiers import new_id
from ledger.key_sealing import KeysLocked
from ledger.log_keys import LogSigner, listed_log_keys, log_signers, public_log_keys
from ledger.models import entry, log_leaf
from ledger.notes import public_key, read, read_checkpoint, verify
from ledger.publishing import LogBehind, LogForked, newest, publish
from ledger.sealing import Sealer, VaultLocked
from ledger.witness_policies import SetPolicy, set_policy
from redemption.counter import Presented, redeem
from redemption.reconciliation import reconcile
from tests.app.coffre.world import (
    FOREIGN_QR,
    LOG,
    close,
    contents,
    exported,
    forged,
    live,
    packed,
    published,
    verified,
    witnessed,
)
from tests.app.coffre.world import sealed as sealed_again
from tests.app.running import an_instance
from tests.app.test_the_log_is_shown_and_watched import Through
from tests.builders import (
    MANAGER,
    SEALER,
    SECRET,
    World,
    a_workshop,
    an_order,
    given,
    scan_of,
    sequence,
)
from tests.conftest import (
    CREUSE,
    ENGINES,
    NUMBERS,
    copy_of_database,
    copy_of_files,
    moment,
    postgres_place,
)

THEIRS = b"the secret of another operator"
THEIR_SEALER = Sealer([bytes(31) + b"\x07"])
END = moment("2021-03-01")
LATER = moment("2021-03-02", 14)


class Move:
    """What leaves one operator, and what opens it at the next."""

    def __init__(self, database: Database, folder: Path, left: "Left | None" = None):
        self.database, self.folder = database, folder
        self.coffre, self.sealed = folder / "c.zip", folder / "t.sealed"
        if left is None:
            self.world = live(database)
            published(database, END)
            exported(database, self.coffre)
            self.public = sealing.new_key(folder / "operator.key")
            self.write(self.sealed)
        else:
            self.world, self.public = left.world, left.public
        self.key = sealing.read_private(folder / "operator.key")

    def write(self, target: Path, coffre: Path | None = None) -> transfer.Header:
        with self.database.begin("23", read_only=True) as session:
            return transfer.write(
                session, target, sealing.read_public(self.public), departement="23",
                coffre=coffre or self.coffre, sealer=SEALER, secret=SECRET,
            )  # fmt: skip

    def reader(self, **changed) -> Reader:
        told = {
            "transfer": self.sealed,
            "key": self.key,
            "sealer": THEIR_SEALER,
            "secret": THEIRS,
        }
        return Reader(**told | changed)


@dataclass(frozen=True)
class Left:
    """A move made once on an engine, whose copies the tests are given."""

    template: Path | str
    folder: Path
    world: World
    public: str


@pytest.fixture(scope="module", params=ENGINES)
def left(request, tmp_path_factory):
    home = tmp_path_factory.mktemp("left")
    folder = home / "leaving"
    folder.mkdir()
    if request.param == "sqlite":
        with copy_of_files(request.getfixturevalue("sqlite_template"), home) as database:
            made = Move(database, folder)
        yield Left(home, folder, made.world, made.public)
        return
    server = request.getfixturevalue("server")
    with copy_of_database(request.getfixturevalue("postgres_template"), server) as database:
        made = Move(database, folder)
        name = database.place.engine("app").url.database
        database.close()
        yield Left(name, folder, made.world, made.public)


@pytest.fixture
def database(left, request, tmp_path):
    """What leaves, as every test here finds it."""
    if isinstance(left.template, Path):
        with copy_of_files(left.template, tmp_path) as instance:
            yield instance
        return
    with copy_of_database(left.template, request.getfixturevalue("server")) as instance:
        yield instance


@pytest.fixture
def move(left, database, tmp_path):
    folder = tmp_path / "leaving"
    shutil.copytree(left.folder, folder)
    return Move(database, folder, left)


@pytest.fixture
def empty(request, database, tmp_path):
    """An instance with nothing in it, on the engine of the test."""
    if (tmp_path / "d23.db").exists():
        made = Database(FilesPlace(tmp_path / "arriving"))
        yield made
        made.close()
        return
    server, name = request.getfixturevalue("server"), f"t{next(NUMBERS)}"
    server.run(f"CREATE DATABASE {name}")
    server.run(*bootstrap_sql("23"), database=name)
    made = Database(postgres_place(server, name))
    yield made
    made.close()
    server.run(f"DROP DATABASE {name} WITH (FORCE)")


def figures(database: Database) -> list:
    with database.begin("23", read_only=True) as session:
        return reconcile(session, now=LATER, log_size=moved(database))


def moved(database: Database) -> int:
    """How long the log was when it moved, or is now."""
    with database.begin("23", read_only=True) as session:
        at = session.scalar(
            select(log_leaf.c.idx)
            .join(entry, entry.c.id == log_leaf.c.entry_id)
            .where(entry.c.kind == "log_continued")
        )
        return (
            at
            if at is not None
            else session.scalar(select(func.count()).select_from(log_leaf))
        )


def findings(database: Database) -> list[str]:
    with database.begin("23", read_only=True) as session:
        return [f"{n}: {f.code}" for n, check in audit_departement(session) for f in check]


def leaves(database: Database) -> list[bytes]:
    with database.begin("23", read_only=True) as session:
        return list(session.scalars(select(log_leaf.c.leaf_hash).order_by(log_leaf.c.idx)))


def there(database: Database, code: str = "23") -> int:
    """How many entries a département that is here has."""
    with database.begin(code, read_only=True) as session:
        return session.scalar(select(func.count()).select_from(entry))


def nothing(database: Database) -> bool:
    """Tell whether a refused import left nothing: no line in the registry, no file, no entry."""
    database.place.migrate_registry()
    assert database.departements() == []
    if isinstance(database.place, FilesPlace):
        return [each.name for each in database.place.folder.glob("d*")] == []
    with database.place.connection("23", "owner") as connection:
        made = connection.exec_driver_sql("SELECT to_regclass('d23.entry')").scalar()
        return made is None or not connection.scalar(
            select(func.count()).select_from(entry)
        )


def step(database: Database) -> None:
    with database.begin("23", "sequencer") as session:
        while sequencer.step(session, at=LATER.at, project=[project]):
            pass


def test_the_same_cents_the_same_leaves_and_the_audit_is_clean(move, empty):
    found = take_in(empty, move.coffre, reader=move.reader(), at=LATER.at)

    before = leaves(move.database)
    assert found.goes_on
    assert found.size == len(before)
    assert leaves(empty)[: found.size] == before
    for one, other in zip(figures(empty), figures(move.database), strict=True):
        for field in one.__struct_fields__:
            assert (field, getattr(one, field)) == (field, getattr(other, field))
    said = [as_text(figures(d), None, messages("fr")) for d in (empty, move.database)]
    assert said[0] == said[1]
    assert findings(empty) == []
    assert there(empty) == found.size + 4


def test_the_last_checkpoint_of_the_old_log_is_the_first_new_fact(move, empty):
    found = take_in(empty, move.coffre, reader=move.reader(), at=LATER.at)
    with empty.begin("23", read_only=True) as session:
        rows = session.execute(
            select(entry.c.kind, entry.c.body)
            .join(log_leaf, log_leaf.c.entry_id == entry.c.id)
            .where(log_leaf.c.idx >= found.size)
            .order_by(log_leaf.c.idx)
        ).all()
        keys = listed_log_keys(session)
        old = newest(session)
    assert [kind for kind, _ in rows] == [
        "log_continued",
        "log_key_made",
        "log_key_ended",
        "keys_made",
    ]
    assert f'"root":"{found.root}","size":{found.size}'.encode() in rows[0].body
    assert [(key.signs, key.ended) for key in keys] == [(False, "moved"), (True, None)]
    assert old.size == found.size
    assert old.root.hex() == found.root


def test_old_paper_still_works_and_a_retry_gets_its_old_answer(move, empty):
    with move.database.begin("23") as session:
        serials = an_order(session, move.world, 2, now=moment("2020-02-10"))
        given(session, *serials[:6], now=moment("2020-02-11"))
        workshop = a_workshop(session, "2020-06-10")
        seen = [
            Presented(
                scan_of(move.world.token(s), workshop, moment("2020-06-10", 15)), MANAGER
            )
            for s in serials[:2]
        ]
        now = moment("2020-06-10", 15)
        told = redeem(session, seen, now=now, keyring=move.world.ring)
    published(move.database, END)
    move.coffre = exported(move.database, move.folder / "c2.zip")
    move.sealed = move.folder / "t2.sealed"
    move.write(move.sealed)

    take_in(empty, move.coffre, reader=move.reader(), at=LATER.at)

    with empty.begin("23") as session:
        ring = keyring(session, "23", THEIRS)
        again = redeem(session, seen, now=LATER, keyring=ring)
        assert [(v.verdict, v.serial, v.replayed) for v in again] == [
            (v.verdict, v.serial, True) for v in told
        ]
        printed = move.world.passes[serials[3]]
        queue = [
            Presented(scan_of(text, workshop, now), MANAGER)
            for text in (
                move.world.token(serials[0]),
                move.world.token(serials[2]),
                printed.code,
                # Paper of an operator before the one that left: by its number, and by its QR code.
                "88100002",
                FOREIGN_QR,
            )
        ]
        verdicts = redeem(session, queue, now=now, keyring=ring)
    assert [v.verdict for v in verdicts] == [
        "already_redeemed", "accepted", "accepted", "accepted", "already_redeemed",
    ]  # fmt: skip
    step(empty)
    assert findings(empty) == []


def test_an_order_of_before_can_be_printed_again_and_new_ones_have_new_keys(move, empty):
    take_in(empty, move.coffre, reader=move.reader(), at=LATER.at)
    with empty.begin("23") as session:
        hand = signer(session, "23", THEIRS)
        again = {
            str(p.serial): p.url
            for p in printed_passes(order_row(session, 1), hand, CREUSE.host)
        }
        assert again == {s: move.world.token(s) for s in again}
        world = World(hand, keyring(session, "23", THEIRS))
        an_order(session, world, 1, now=LATER)
        assert order_row(session, 9).key_id == hand.voucher_key_id
        assert order_row(session, 1).key_id != hand.voucher_key_id
        with pytest.raises(KeysLocked):
            signer(session, "23", SECRET)
    step(empty)
    assert findings(empty) == []


def test_the_vault_devices_and_people_come_along_under_other_keys(move, empty):
    with move.database.begin("23") as session:
        _, token = new_device(session, "23", scope="site", at="lieu-1", label="x", now=END)
        _, gone = new_device(session, "23", scope="site", at="lieu-1", label="y", now=END)
    published(move.database, END)
    move.coffre = exported(move.database, move.folder / "c2.zip")
    move.sealed = move.folder / "t2.sealed"
    move.write(move.sealed)
    take_in(empty, move.coffre, reader=move.reader(), at=LATER.at)

    with move.database.begin("23") as session:
        persons = list(session.scalars(select(vault_record.c.person)))
        ours = vault.read(session, SEALER, persons, purpose="correction", by="t", now=LATER)
    with empty.begin("23") as session:
        assert Bearers().look_up(session, "23", token).site is not None
        with pytest.raises(NotSignedIn):
            Bearers().look_up(session, "23", "pn_23_" + gone[7:] + "x")
        theirs = vault.read(
            session, THEIR_SEALER, persons, purpose="correction", by="t", now=LATER
        )
        with pytest.raises(Exception, match="sealed_by_unknown_key"):
            vault.read(session, SEALER, persons, purpose="correction", by="t", now=LATER)
    told = [
        {p: [r.content.told for r in rows] for p, rows in seen.items()}
        for seen in (ours, theirs)
    ]
    assert told[0] == told[1] != {}


def test_a_witness_goes_on_once_it_is_told(move, empty, tmp_path):
    """The old key no longer signs, so nothing is cosigned until the witness trusts the new one."""
    with move.database.begin("23", read_only=True) as session:
        first = public_log_keys(session)[0].vkey
    state = WitnessState(tmp_path / "witness.json")
    state.trust(LOG, first)
    key = WitnessKey.make(tmp_path / "witness.key", "pref.example")
    lines = f"witness pref {key.public.vkey} http://pref.example\nquorum none\n"
    with TestClient(create_witness(state, key, lambda: LATER.at)) as client:
        with move.database.begin("23") as session:
            set_policy(session, SetPolicy(new_id(), lines), by="t", now=END)
        sequence(move.database, now=END)
        old = an_instance(move.database, tmp_path / "old", state_dir=tmp_path / "old-state")
        Publisher(old, "23", Asking(Through(client))).publish()
        seen = state.logs()[LOG]["size"]
        move.coffre = exported(move.database, move.folder / "c3.zip")
        move.sealed = move.folder / "t3.sealed"
        move.write(move.sealed)

        take_in(empty, move.coffre, reader=move.reader(), at=LATER.at)
        ours = an_instance(empty, tmp_path / "new", state_dir=tmp_path / "new-state")
        ours.settings = type(ours.settings)(
            None, {}, THEIRS, state_dir=tmp_path / "new-state"
        )
        made = Publisher(ours, "23", Asking(Through(client))).publish()
        assert made.size == seen + 4
        assert state.logs()[LOG]["size"] == seen
        with empty.begin("23", read_only=True) as session:
            second = public_log_keys(session)[1]
            assert [
                s.key for s in verify(read(newest(session).note), public_log_keys(session))
            ] == [second]
        state.trust(LOG, second.vkey, from_size=seen)
        Publisher(ours, "23", Asking(Through(client))).ask_witnesses()
        assert state.logs()[LOG]["size"] == made.size
        # The operator who left and goes on all the same is a fork, and is seen as one.
        with move.database.begin("23") as session:
            for _ in range(9):
                set_policy(session, SetPolicy(new_id(), lines), by="t", now=END)
        sequence(move.database, now=END)
        with pytest.raises((LogBehind, LogForked)):
            Publisher(old, "23", Asking(Through(client))).publish()


def test_without_the_sealed_file_it_is_read_and_nothing_more(move, empty):
    found = take_in(empty, move.coffre, reader=None, at=LATER.at)
    assert not found.goes_on
    assert figures(empty) == figures(move.database)
    for role in ("app", "sequencer"):
        with pytest.raises(DepartementReadOnly), empty.begin("23", role):
            raise AssertionError("a transaction was opened")
    assert empty.working_departements() == []
    with empty.begin("23", read_only=True) as session:
        ring = keyring(session, "23", None)
        assert ring.vouchers
        digests = session.execute(
            select(metadata.tables["voucher"].c.token_digest)
        ).scalars()
        tokens = {sha256(p.url.encode()).digest() for p in move.world.passes.values()}
        assert tokens.isdisjoint(digests)


def test_a_journal_that_ends_with_lapses_comes_through(move, empty):
    close(move.database)
    published(move.database, END)
    move.coffre = exported(move.database, move.folder / "c4.zip")
    take_in(empty, move.coffre, reader=None, at=LATER.at)
    assert figures(empty) == figures(move.database)


def test_a_cosigned_checkpoint_keeps_its_cosignature(move, empty):
    witnessed(move.database, END)
    move.coffre = exported(move.database, move.folder / "c5.zip")
    take_in(empty, move.coffre, reader=None, at=LATER.at)
    with (
        empty.begin("23", read_only=True) as session,
        move.database.begin("23", read_only=True) as old,
    ):
        assert newest(session).note == newest(old).note


def test_a_coffre_of_a_moving_log_holds_only_what_was_published(move, empty):
    with move.database.begin("23") as session:
        a_workshop(session, "2020-02-10")
    sequence(move.database)
    with move.database.begin("23") as session:
        a_workshop(session, "2020-02-11")
    late = exported(move.database, move.folder / "late.zip")
    take_in(empty, late, reader=None, at=LATER.at)
    assert there(empty) == read_size(late)
    with (
        empty.begin("23", read_only=True) as session,
        move.database.begin("23", read_only=True) as old,
    ):
        opened = select(func.count()).select_from(metadata.tables["workshop"])
        assert session.scalar(opened) == old.scalar(opened) - 2


def test_what_was_just_amended_waits_for_the_next_checkpoint(move, tmp_path):
    """An order, a site, the end of an accreditation change a row that an older checkpoint knew otherwise."""
    with move.database.begin("23") as session:
        an_order(session, move.world, 1, now=moment("2020-02-10"))
    for _ in range(2):
        with pytest.raises(JustAmended):
            exported(move.database, tmp_path / "early.zip")
        sequence(move.database)
    assert not list(tmp_path.glob("*.zip"))
    published(move.database, END)
    exported(move.database, tmp_path / "later.zip")


def read_size(path: Path) -> int:
    with zipfile.ZipFile(path) as whole:
        return read_checkpoint(read(whole.read("checkpoint.txt").decode()).text).size


def changed(path: Path, target: Path, at: int) -> Path:
    raw = bytearray(path.read_bytes())
    raw[at] ^= 1
    target.write_bytes(raw)
    return target


def test_what_is_wrong_is_told_and_writes_nothing(move, empty, tmp_path):
    def refused(kind, *, coffre=move.coffre, **reader):
        opens = None if "reader" in reader else move.reader(**reader)
        with pytest.raises(kind):
            take_in(empty, coffre, reader=opens, at=LATER.at)
        assert nothing(empty)

    other = sealing.new_key(tmp_path / "other.key")
    refused(TransferWrong, key=sealing.read_private(tmp_path / "other.key"))
    size = move.sealed.stat().st_size
    for at in (0, 5, 40, size // 2, size - 1):
        refused(TransferWrong, transfer=changed(move.sealed, tmp_path / "bad", at))
    for kept in (0, 4, 36, 100, size // 2, size - 1, size - 17):
        (tmp_path / "cut").write_bytes(move.sealed.read_bytes()[:kept])
        refused(TransferWrong, transfer=tmp_path / "cut")
    (tmp_path / "more").write_bytes(move.sealed.read_bytes() + b"more")
    refused(TransferWrong, transfer=tmp_path / "more")
    refused(CoffreWrong, coffre=changed(move.coffre, tmp_path / "bad.zip", 2_000))
    (tmp_path / "cut.zip").write_bytes(move.coffre.read_bytes()[:-200])
    refused(CoffreWrong, coffre=tmp_path / "cut.zip")
    refused(
        CoffreFiltered, coffre=exported(move.database, tmp_path / "call.zip", call="AAP")
    )
    refused(VaultLocked, sealer=Sealer())
    for wrong in ("", "AAAA", other[:-4], "é" * 44):
        with pytest.raises(TransferKeyWrong):
            sealing.read_public(wrong)

    published_again = moment("2021-03-03")
    witnessed(move.database, published_again)
    later = tmp_path / "later.sealed"
    with pytest.raises(TransferOfAnother):
        move.write(later)
    newer = exported(move.database, tmp_path / "newer.zip")
    move.write(later, newer)
    refused(TransferOfAnother, transfer=later)
    refused(CoffreWrong, reader=None, coffre=tmp_path / "bad.zip")
    # Nothing of all that stands in the way of the genuine one.
    take_in(empty, move.coffre, reader=move.reader(), at=LATER.at)
    assert empty.departements() == [CREUSE]


def test_a_departement_that_has_a_journal_is_left_as_it_is(move, empty):
    take_in(empty, move.coffre, reader=move.reader(), at=LATER.at)
    count = there(empty)
    for reader in (move.reader(), None):
        with pytest.raises(NotEmpty):
            take_in(empty, move.coffre, reader=reader, at=LATER.at)
    assert there(empty) == count


def test_an_import_that_is_killed_leaves_nothing_and_can_be_done_again(
    move, empty, monkeypatch
):
    def killed(*_, **__):
        raise KeyboardInterrupt

    for moment_ in ("_sequence", "_compare", "_go_on"):
        with monkeypatch.context() as m:
            m.setattr(f"app.coffre.importing.{moment_}", killed)
            with pytest.raises(KeyboardInterrupt):
                take_in(empty, move.coffre, reader=move.reader(), at=LATER.at)
        assert nothing(empty)
    assert take_in(empty, move.coffre, reader=move.reader(), at=LATER.at).goes_on
    assert findings(empty) == []


def test_a_table_that_lies_is_caught_by_the_audit(move, empty, tmp_path):
    """tables/ is not under the signed root: what it says is compared with the entries before the commit."""
    files = contents(move.coffre)
    lines = files["tables/handed_out.jsonl"].splitlines(keepends=True)
    files["tables/handed_out.jsonl"] = b"".join(lines[:-1])
    lying = packed(tmp_path / "lying.zip", sealed_again(files))
    with pytest.raises(ImportDiffers):
        take_in(empty, lying, reader=None, at=LATER.at)
    assert nothing(empty)
    # The sealed file names the manifest, so no lie of a table can come with it.
    with pytest.raises(TransferOfAnother):
        take_in(empty, lying, reader=move.reader(), at=LATER.at)
    assert nothing(empty)


def dropped(rows: list) -> list:
    return rows[:-1]


def with_field(place: int, value: object):
    return lambda rows: [*rows[:-1], [*rows[-1][:place], value, *rows[-1][place + 1 :]]]


def twice(rows: list) -> list:
    return [*rows, rows[-1]]


@pytest.mark.parametrize("left", ["sqlite"], indirect=True)
def test_a_told_row_that_no_entry_tells_is_refused(move, empty, tmp_path):
    genuine = contents(move.coffre)

    def row(name: str, column: str) -> int:
        return [each.name for each in tables.columns(name)].index(column)

    lies = [
        ("suspension", dropped, ImportDiffers),
        ("suspension", with_field(row("suspension", "ends_on"), "2020-05-01"), ImportDiffers),
        ("suspension", with_field(row("suspension", "ends_on"), None), ImportDiffers),
        ("calendar", with_field(row("calendar", "report_by"), "2035-01-01"), ImportDiffers),
        ("site", with_field(row("site", "siret"), None), ImportDiffers),
        ("site", with_field(row("site", "name"), "Ailleurs"), ImportDiffers),
        ("accreditation", with_field(row("accreditation", "valid_until"), "2020-02-01"), ImportDiffers),
        ("territory", lambda rows: [*rows, [1, "23"]], ImportDiffers),
        ("desk", with_field(row("desk", "prescriber"), "x"), ImportDiffers),
        ("tranche", with_field(row("tranche", "late_days"), 99), ImportDiffers),
        ("hand_out", with_field(row("hand_out", "pic"), False), ImportDiffers),
        ("hand_out", dropped, ImportDiffers),
        ("programme", with_field(row("programme", "name"), "x"), ImportDiffers),
        ("convention", with_field(row("convention", "cap_cents"), 1), ImportDiffers),
        ("share", with_field(row("share", "weight"), 7), ImportDiffers),
        # The last order is cancelled; the one before was taken over, and says its date.
        ("voucher_order", lambda rows: [*with_field(row("voucher_order", "printed_use_by"), "2020-12-01")(rows[:-1]), rows[-1]], ImportDiffers),
        ("voucher_order", with_field(row("voucher_order", "key_id"), 1), ImportDiffers),
        ("attested", dropped, ImportDiffers),
        ("attestation", with_field(row("attestation", "sha256"), "00" * 32), ImportDiffers),
        ("foreign_carnet", with_field(row("foreign_carnet", "label"), "C-8"), ImportDiffers),
        ("foreign_carnet", with_field(row("foreign_carnet", "found_by"), "C8"), ImportDiffers),
        ("foreign_carnet", with_field(row("foreign_carnet", "operator"), "autre"), ImportDiffers),
        ("foreign_carnet", dropped, ImportDiffers),
        ("log_key", with_field(row("log_key", "public"), "A" * 43 + "="), ImportDiffers),
        ("witness_policy", lambda _rows: [[1, "quorum none\n", genuine_entry(genuine)]], ImportDiffers),
        ("call", twice, CoffreWrong),
        ("call", lambda _rows: [["x"]], CoffreWrong),
        ("call", lambda _rows: [{}], CoffreWrong),
        ("tranche", with_field(0, 10**30), CoffreWrong),
        ("checkpoint", dropped, CoffreWrong),
        ("checkpoint", twice, CoffreWrong),
        ("checkpoint", with_field(1, "someday"), CoffreWrong),
    ]  # fmt: skip
    for name, change, kind in lies:
        path = f"tables/{name}.jsonl"
        rows = [json.loads(line) for line in genuine[path].splitlines()]
        told = b"".join(json.dumps(each).encode() + b"\n" for each in change(rows))
        assert told != genuine[path]
        (tmp_path / "lying.zip").unlink(missing_ok=True)
        lying = packed(tmp_path / "lying.zip", sealed_again(genuine | {path: told}))
        with pytest.raises(kind):
            take_in(empty, lying, reader=None, at=LATER.at)
            pytest.fail(f"{name} was believed")
        assert nothing(empty)
    for path in [name for name in genuine if name.startswith("tables/")][:3]:
        files = {name: data for name, data in genuine.items() if name != path}
        lying = packed(tmp_path / "lying.zip", sealed_again(files))
        with pytest.raises(CoffreWrong):
            take_in(empty, lying, reader=None, at=LATER.at)
        assert nothing(empty)
    take_in(empty, move.coffre, reader=None, at=LATER.at)
    with pytest.raises(NotEmpty):
        take_in(empty, move.coffre, reader=move.reader(), at=LATER.at)


def genuine_entry(files: dict[str, bytes]) -> str:
    return json.loads(files["journal.jsonl"].splitlines()[0])["id"]


@pytest.mark.parametrize(
    "of",
    [
        {"host": "evil example"}, {"host": ""}, {"host": "x" * 300}, {"host": None}, {"timezone": "Mars/Nowhere"},
        {"timezone": "../etc"}, {"timezone": ""}, {"code": "99999"}, {"code": "x; DROP"}, {"name": 3}, {"name": "\x1b[2J"},
    ],
)  # fmt: skip
def test_a_departement_that_is_badly_told_leaves_nothing(move, empty, tmp_path, of):
    files = contents(move.coffre)
    told = json.loads(files["manifest.json"])["departement"] | of
    lying = packed(tmp_path / "lying.zip", sealed_again(files, departement=told))
    with pytest.raises(CoffreWrong):
        take_in(empty, lying, reader=None, at=LATER.at)
    assert nothing(empty)
    take_in(empty, move.coffre, reader=move.reader(), at=LATER.at)
    assert empty.departements() == [CREUSE]


def test_an_empty_departement_must_be_as_the_coffre_says(move, empty, tmp_path):
    empty.add_departement(replace(CREUSE, host="OTHER.EXAMPLE"))
    for reader in (move.reader(), None):
        with pytest.raises(DepartementDiffers):
            take_in(empty, move.coffre, reader=reader, at=LATER.at)
    assert there(empty) == 0
    assert [one.host for one in empty.departements()] == ["OTHER.EXAMPLE"]


def test_an_empty_departement_as_the_coffre_says_is_filled(move, empty):
    empty.add_departement(CREUSE)
    with pytest.raises(DepartementDiffers):
        take_in(empty, move.coffre, reader=None, at=LATER.at)
    assert take_in(empty, move.coffre, reader=move.reader(), at=LATER.at).goes_on


def test_a_failure_with_the_sealed_file_leaves_room_for_the_coffre_alone(
    move, empty, monkeypatch
):
    with monkeypatch.context() as m:
        m.setattr("app.coffre.importing._compare", lambda *_, **__: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            take_in(empty, move.coffre, reader=move.reader(), at=LATER.at)
    assert nothing(empty)
    assert not take_in(empty, move.coffre, reader=None, at=LATER.at).goes_on


def test_a_sealed_file_that_the_log_did_not_sign_is_refused(move, empty, monkeypatch):
    stranger = LogSigner(LOG, Ed25519PrivateKey.generate())
    with monkeypatch.context() as m:
        m.setattr("app.coffre.transfer.log_signers", lambda *_: [stranger])
        move.write(move.folder / "forged.sealed")
    with pytest.raises(TransferUnsigned):
        take_in(
            empty,
            move.coffre,
            reader=move.reader(transfer=move.folder / "forged.sealed"),
            at=LATER.at,
        )
    assert nothing(empty)


def test_keys_from_elsewhere_judge_the_coffre(move, empty, tmp_path):
    keys = tmp_path / "keys.txt"
    keys.write_text(public_key(LOG, Ed25519PrivateKey.generate()).vkey + "\n", "utf-8")
    with pytest.raises(CoffreWrong):
        take_in(empty, move.coffre, reader=None, at=LATER.at, given=Given(keys=keys))
    assert nothing(empty)
    keys.write_bytes(contents(move.coffre)["keys.txt"])
    take_in(empty, move.coffre, reader=move.reader(), at=LATER.at, given=Given(keys=keys))


def test_what_was_known_on_a_day_is_known_here_too(move, empty):
    with move.database.begin("23") as session:
        a_workshop(session, "2020-12-01", now=moment("2020-12-01"))
    published(move.database, moment("2020-12-05"))
    close(move.database)
    published(move.database, END)
    move.coffre = exported(move.database, move.folder / "c2.zip")
    move.sealed = move.folder / "t2.sealed"
    move.write(move.sealed)
    take_in(empty, move.coffre, reader=move.reader(), at=LATER.at)

    def known(database: Database, day: date) -> list:
        with database.begin("23", read_only=True) as session:
            return reconcile(session, now=LATER, known_by=day)

    seen = set()
    for day in (date(2020, 1, 1), date(2020, 2, 10), date(2020, 12, 31), date(2021, 3, 1)):
        ours, theirs = known(empty, day), known(move.database, day)
        assert [as_text(ours, None, messages("fr"))] == [
            as_text(theirs, None, messages("fr"))
        ]
        seen |= {one.log_size for one in ours}
    assert len(seen) >= 2


def test_the_coffre_of_the_new_operator_verifies_with_its_continuation(
    move, empty, tmp_path
):
    take_in(empty, move.coffre, reader=move.reader(), at=LATER.at)
    with empty.begin("23", "sequencer") as session:
        publish(session, log_signers(session, THEIRS), shown=None, at=LATER.at)
    theirs = exported(empty, tmp_path / "theirs.zip")
    told = verified(theirs, "--since", move.coffre)
    assert told.code == 0, told
    assert "log_continued" not in told.out
    # The same claim with another root, or elsewhere in the log, is false.
    with empty.begin("23", read_only=True) as session:
        key = log_signers(session, THEIRS)[0].private
    files = contents(theirs)
    lines = files["journal.jsonl"].splitlines()
    at = next(n for n, line in enumerate(lines) if b'"log_continued"' in line)
    told = json.loads(lines[at])
    for fact, value in (("size", at - 1), ("root", "00" * 32), ("origin", "x.example/23")):
        false = told | {"facts": told["facts"] | {fact: value}}
        changed_lines = [*lines[:at], canonical.encode(false), *lines[at + 1 :]]
        target = packed(tmp_path / f"{fact}.zip", forged(files, changed_lines, key))
        said = verified(target)
        assert said.code == 1
        assert "continuer un autre journal" in said.out


def test_a_log_that_still_moves_has_no_sealed_file(move, tmp_path):
    with move.database.begin("23") as session:
        an_order(session, move.world, 1, now=moment("2020-02-10"))
    with pytest.raises(LogNotQuiet):
        move.write(tmp_path / "t")
    sequence(move.database)
    with pytest.raises(LogNotQuiet):
        move.write(tmp_path / "t")
    published(move.database, END)
    with pytest.raises(TransferOfAnother):
        move.write(tmp_path / "t")
    move.coffre = exported(move.database, tmp_path / "c.zip")
    move.write(tmp_path / "t")
    with pytest.raises(CoffreExists):
        move.write(tmp_path / "t")
    assert not list(tmp_path.glob(".t.*"))


def test_every_table_is_named_and_nothing_sealed_is_told(move):
    named = [*tables.TOLD, *tables.SEALED, *tables.MADE_AGAIN, *tables.LEFT]
    assert sorted(named) == sorted(set(named))
    assert set(named) == set(metadata.tables), (
        "a new table is told, sealed, made again or left: decide"
    )
    raw = move.sealed.read_bytes()
    with zipfile.ZipFile(move.coffre) as whole:
        told = b"".join(whole.read(name) for name in whole.namelist())
    for printed in move.world.passes.values():
        for secret in (printed.url.encode(), printed.code.encode()):
            assert secret not in told
            assert secret not in raw
        assert sha256(printed.url.encode()).digest() not in raw
