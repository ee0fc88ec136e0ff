"""The vault keeps what is told of a person for who may know, tells who looked, and forgets for good."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256

import msgspec
import pytest
from sqlalchemy import func, insert, select, text, update
from sqlalchemy.exc import DatabaseError

from app.audit import audit_departement
from app.database import FilesPlace
from app.instance import Instance
from app.rotation import rotate
from app.settings import Settings
from issuance import vault
from issuance.hand_outs import HandOut
from issuance.models import vault_access, vault_person, vault_record
from issuance.vault import ErasePerson, NothingInVault, PersonErased, Record
from ledger import canonical, queries
from ledger.columns import metadata
from ledger.identifiers import new_id
from ledger.models import attempt, entry
from ledger.sealing import (
    SealBroken,
    SealedByUnknownKey,
    Sealer,
    VaultLocked,
    key_id,
    new_key,
)
from redemption.hand_out import hand_out
from tests.builders import (
    MASTER_KEY,
    SEALER,
    a_workshop,
    a_world,
    an_order,
    done,
    given,
    scanned,
    sequence,
)
from tests.conftest import moment

NOW = moment("2020-01-20")
CATEGORY = "allocataire-de-test"
NEED = "boost"
NEWER = new_key()


def told(session, serial: str, **facts):
    """Hand a pass out to a person of whom something is told; return the answer and the person."""
    answer = done(given(session, serial, **({"category": CATEGORY, "need": NEED} | facts)))
    return answer, vault.person_of_hand_out(session, answer.act)


def people(session, count: int = 2) -> list:
    world = a_world(session)
    return [told(session, serial)[1] for serial in an_order(session, world)[:count]]


def look(session, *persons, sealer: Sealer = SEALER, **facts) -> dict:
    asked = {"purpose": "audit_sample", "by": "auditor-1", "now": NOW} | facts
    return vault.read(session, sealer, persons, **asked)


def forget(session, person):
    return vault.erase(session, ErasePerson(new_id(), person), by="manager-1", now=NOW)


def findings(session) -> list[str]:
    return [f.code for _name, check in audit_departement(session) for f in check]


def keys_in(session) -> list[bytes | None]:
    return list(
        session.scalars(select(vault_person.c.sealed_key).order_by(vault_person.c.id))
    )


def an_instance(database, *keys: bytes) -> Instance:
    instance = Instance(Settings(None, {}, None, keys))
    instance.database = database
    return instance


def everything_stored(database) -> bytes:
    """Return the bytes of the files, or every value of every table."""
    if isinstance(database.place, FilesPlace):
        return b"".join(file.read_bytes() for file in database.place.folder.glob("d23.*"))
    values = []
    with database.begin("23", "owner") as session:
        for table in metadata.tables.values():
            present = session.scalar(
                text("SELECT to_regclass(:name) IS NOT NULL"), {"name": table.name}
            )
            for row in session.execute(select(table)) if present else ():
                values += [v if isinstance(v, bytes) else str(v).encode() for v in row]
    return b"\n".join(values)


def test_what_is_told_is_nowhere_in_clear(database):
    with database.begin("23") as session:
        serials = an_order(session, a_world(session))
        told(session, serials[0])
        told(session, serials[1], category=None)
        told(session, serials[2], need=None)
    sequence(database)

    stored = everything_stored(database)

    assert b"handed_out" in stored, "we look where it would be"
    for word in (CATEGORY, NEED, CATEGORY.encode().hex(), NEED.encode().hex()):
        assert word.encode() not in stored


def test_a_commitment_is_checked_with_what_the_vault_holds(session):
    serials = an_order(session, a_world(session))
    answer, person = told(session, serials[0])
    body = session.scalars(select(entry.c.body).where(entry.c.id == answer.act)).one()
    commitment = canonical.decode(body)["facts"]["commitment"]

    [kept] = look(session, person)[person]

    assert isinstance(kept, Record)
    assert (kept.kind, kept.turn, kept.entry) == ("hand_out", 0, answer.act)
    assert kept.content.told == {"category": CATEGORY, "need": NEED}
    assert kept.content.commitment == commitment
    plain = canonical.encode({"category": CATEGORY, "need": NEED})
    assert sha256(kept.content.salt + plain).hexdigest() == commitment
    assert sha256(plain).hexdigest() != commitment


def test_a_person_is_found_by_a_pass_too(session):
    serials = an_order(session, a_world(session))
    _answer, person = told(session, serials[0])
    done(given(session, serials[1]))
    assert vault.person_of_pass(session, f" {serials[0]} ") == person
    for nobody in (serials[1], serials[2], "23-000099-1"):
        with pytest.raises(NothingInVault, match=nobody):
            vault.person_of_pass(session, nobody)
    with pytest.raises(NothingInVault):
        vault.person_of_hand_out(session, new_id())
    with pytest.raises(NothingInVault):
        look(session, person, new_id())


def test_two_hand_outs_are_two_persons_whose_seals_tell_nothing_apart(session):
    serials = an_order(session, a_world(session))
    one, two = told(session, serials[0])[1], told(session, serials[1], category="x")[1]
    assert one != two
    rows = session.execute(select(vault_record.c.person, vault_record.c.sealed)).all()
    sealed = dict(rows)
    assert len(sealed[one]) == len(sealed[two])
    assert sealed[one][1:5] != sealed[two][1:5]


def test_without_a_master_key_what_is_told_is_refused_and_the_rest_goes_on(session):
    serials = an_order(session, a_world(session))
    request = HandOut(
        new_id(), "CAF", pic=True, proof="attested", serials=(serials[0],), need=NEED
    )
    with pytest.raises(VaultLocked), session.begin_nested():
        hand_out(session, request, by="desk-CAF", now=NOW)
    assert session.scalar(select(attempt.c.id).where(attempt.c.id == request.id)) is None

    silent = msgspec.structs.replace(request, id=new_id(), need=None, serials=(serials[1],))
    done(hand_out(session, silent, by="desk-CAF", now=NOW))
    later = hand_out(session, request, by="desk-CAF", now=NOW, sealer=SEALER)

    assert done(later).facts["serials"] == [serials[0]]
    again = hand_out(session, request, by="desk-CAF", now=NOW)
    assert (again.code, again.replayed) == ("accepted", True)


def test_a_person_is_read_by_the_right_master_key_alone(session):
    [person, _] = people(session)
    with pytest.raises(VaultLocked):
        look(session, person, sealer=Sealer())
    with pytest.raises(SealedByUnknownKey, match=key_id(MASTER_KEY)):
        look(session, person, sealer=Sealer([NEWER]))
    assert session.scalar(select(func.count()).select_from(vault_access)) == 0
    assert look(session, person, sealer=Sealer([NEWER, MASTER_KEY]))[person]


def test_a_key_or_a_record_put_in_the_place_of_another_does_not_open(session):
    one, two = people(session)
    keys = dict(session.execute(select(vault_person.c.id, vault_person.c.sealed_key)).all())
    [(sealed, of)] = session.execute(
        select(vault_record.c.sealed, vault_record.c.entry_id).where(
            vault_record.c.person == two
        )
    ).all()
    copy = {"made_at": NOW.at, "entry_id": of, "sealed": sealed}
    swaps = [
        insert(vault_record).values(person=one, kind="hand_out", turn=1, **copy),
        insert(vault_record).values(person=two, kind="hand_out", turn=1, **copy),
        insert(vault_record).values(person=two, kind="identity", turn=0, **copy),
        update(vault_person).where(vault_person.c.id == one).values(sealed_key=keys[two]),
    ]
    for swap in swaps:
        with pytest.raises(SealBroken), session.begin_nested():
            session.execute(swap)
            look(session, one, two)
    assert len(look(session, one, two)) == 2


def test_a_flipped_byte_is_seen(session):
    [person, other] = people(session)
    [sealed] = session.scalars(
        select(vault_person.c.sealed_key).where(vault_person.c.id == person)
    )
    flipped = sealed[:-1] + bytes([sealed[-1] ^ 1])
    session.execute(
        update(vault_person).where(vault_person.c.id == person).values(sealed_key=flipped)
    )
    with pytest.raises(SealBroken) as no:
        look(session, person)
    assert no.value.about == f"vault/{person}"
    assert look(session, other)


def test_more_is_put_about_a_person_after_what_is_there(session):
    serials = an_order(session, a_world(session))
    answer, person = told(session, serials[0])
    mended = vault.salted({"category": "autre", "need": None})
    known = vault.known_person(session, SEALER, person)
    vault.put(session, known, "hand_out", mended, entry=answer.act, now=NOW)
    vault.put(session, known, "identity", mended, entry=answer.act, now=NOW)

    kept = look(session, person)[person]

    assert [(r.kind, r.turn) for r in kept] == [
        ("hand_out", 0),
        ("hand_out", 1),
        ("identity", 0),
    ]
    assert kept[1].content == mended


def test_records_put_at_once_take_a_turn_each(database):
    with database.begin("23") as session:
        answer, person = told(session, an_order(session, a_world(session))[0])
    barrier = threading.Barrier(8)

    def add(number: int) -> None:
        barrier.wait()
        with database.begin("23") as session:
            known = vault.known_person(session, SEALER, person)
            content = vault.salted({"number": number})
            vault.put(session, known, "hand_out", content, entry=answer.act, now=NOW)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(add, range(8)))

    with database.begin("23") as session:
        kept = look(session, person)[person]
    assert [record.turn for record in kept] == list(range(9))
    assert {r.content.told["number"] for r in kept[1:]} == set(range(8))


def test_whoever_looks_is_written_down_with_each_person_and_the_journal_names_none(session):
    one, two = people(session)
    look(session, one, two, one, purpose="funder_report", by="manager-7")
    look(session, two, now=moment("2020-01-21"))

    seen = vault.accesses(session)

    assert [(who, person, purpose) for _at, who, person, purpose, _entry in seen] == [
        ("auditor-1", two, "audit_sample"),
        *[("manager-7", person, "funder_report") for person in sorted((one, two))],
    ]
    assert seen[0][0] == moment("2020-01-21").at
    bodies = session.scalars(select(entry.c.body)).all()
    looks = [canonical.decode(b) for b in bodies if b'"vault_read"' in b]
    assert [(b["actor"], b["facts"]) for b in looks] == [
        ("manager-7", {"persons": 2, "purpose": "funder_report"}),
        ("auditor-1", {"persons": 1, "purpose": "audit_sample"}),
    ]
    for person in (one, two):
        assert not [b for b in bodies if str(person).encode() in b]


def test_a_look_that_is_not_committed_is_a_look_at_nothing(database):
    with database.begin("23") as session:
        [person] = people(session, 1)
    with pytest.raises(RuntimeError), database.begin("23") as session:
        look(session, person)
        raise RuntimeError
    with database.begin("23") as session:
        assert vault.accesses(session) == []
        assert findings(session) == []


def test_the_audit_misses_a_look_and_an_erasure_made_behind_our_back(database):
    with database.begin("23") as session:
        one, two = people(session)
        look(session, one)
        seen = session.execute(select(vault_access)).mappings().one()
        handed = session.scalars(
            select(vault_record.c.entry_id).where(vault_record.c.person == one)
        ).one()
        assert findings(session) == []
    spoils = [
        (insert(vault_access).values(dict(seen) | {"person": two}), "access_differs"),
        (
            insert(vault_access).values(dict(seen) | {"entry_id": handed}),
            "access_without_entry",
        ),
        (
            update(vault_person)
            .where(vault_person.c.id == one)
            .values(sealed_key=None, erased_at=NOW.at),
            "erasure_differs",
        ),
    ]
    for spoil, code in spoils:
        with database.begin("23") as session:
            session.execute(spoil)
            assert findings(session) == [code]
            session.rollback()


def test_an_erased_person_cannot_be_read_even_with_the_master_key(session):
    gone, stays = people(session)
    [(wrapped, sealed)] = session.execute(
        select(vault_person.c.sealed_key, vault_record.c.sealed)
        .join(vault_record, vault_record.c.person == vault_person.c.id)
        .where(vault_person.c.id == gone)
    ).all()

    done(forget(session, gone))

    assert list(look(session, gone, stays)) == [stays]
    assert look(session, gone) == {}
    with pytest.raises(PersonErased):
        vault.known_person(session, SEALER, gone)
    [row] = session.execute(
        select(vault_person, vault_record.c.sealed)
        .join(vault_record, vault_record.c.person == vault_person.c.id)
        .where(vault_person.c.id == gone)
    ).all()
    assert (row.sealed_key, row.erased_at, row.sealed) == (None, NOW.at, sealed)
    # Only what was just destroyed opens what stays.
    with pytest.raises(SealedByUnknownKey):
        SEALER.open(sealed, f"vault/{gone}/hand_out/0")
    own = Sealer([SEALER.open(wrapped, f"vault/{gone}")])
    assert NEED.encode() in own.open(sealed, f"vault/{gone}/hand_out/0")


def test_an_erasure_leaves_hashes_amounts_and_the_audit_as_they_were(database):
    with database.begin("23") as session:
        world = a_world(session)
        serials = an_order(session, world)
        answer, person = told(session, serials[0])
        look(session, person)
    sequence(database)
    with database.begin("23") as session:
        before = queries.derived_holdings(session, ["1"])
        bodies = dict(session.execute(select(entry.c.id, entry.c.leaf_hash)).all())

    with database.begin("23") as session:
        erased = done(forget(session, person))
    sequence(database)

    with database.begin("23") as session:
        assert queries.derived_holdings(session, ["1"]) == before
        after = dict(session.execute(select(entry.c.id, entry.c.leaf_hash)).all())
        assert bodies.items() <= after.items()
        assert after.keys() - bodies.keys() == {erased.act}
        assert findings(session) == []
        body = session.scalars(select(entry.c.body).where(entry.c.id == erased.act)).one()
        whole = canonical.decode(body)
        assert (whole["kind"], whole["facts"], whole["cents"]) == ("vault_erased", {}, 0)
        assert str(person).encode() not in body
        commitment = session.scalars(
            select(entry.c.body).where(entry.c.id == answer.act)
        ).one()
        assert canonical.decode(commitment)["facts"]["commitment"] is not None
        [verdict] = scanned(session, world, a_workshop(session), serials[0])
        assert verdict.verdict == "accepted"


def test_a_person_is_erased_once_and_a_retry_gets_the_same_answer(session):
    [person, _] = people(session)
    request = ErasePerson(new_id(), person)
    first = done(vault.erase(session, request, by="manager-1", now=NOW))
    again = vault.erase(session, request, by="manager-1", now=moment("2020-03-01"))
    assert again == msgspec.structs.replace(first, replayed=True)
    assert forget(session, person).code == "person_erased"
    assert forget(session, new_id()).code == "nothing_in_vault"
    erasures = session.scalars(select(entry.c.kind).where(entry.c.kind == "vault_erased"))
    assert len(erasures.all()) == 1


def test_a_key_that_was_kept_aside_is_not_put_back(database):
    with database.begin("23") as session:
        [person, _] = people(session)
        [kept, _] = keys_in(session)
        done(forget(session, person))
    for role in ("app", "owner"):
        with (
            pytest.raises(DatabaseError, match="stays erased"),
            database.begin("23", role) as session,
        ):
            session.execute(
                update(vault_person)
                .where(vault_person.c.id == person)
                .values(sealed_key=kept, erased_at=None)
            )


def test_the_bytes_of_a_destroyed_key_leave_the_file(database):
    if not isinstance(database.place, FilesPlace):
        pytest.skip("a server keeps its files to itself")
    with database.begin("23") as session:
        persons = people(session, 3)
        wrapped = dict(
            session.execute(select(vault_person.c.id, vault_person.c.sealed_key)).all()
        )
    database.fold("23")
    assert wrapped[persons[1]] in everything_stored(database)

    with database.begin("23") as session:
        done(forget(session, persons[1]))
    database.fold("23")

    stored = everything_stored(database)
    # Past the header, which other keys share: the nonce is in no corner of a page either.
    assert wrapped[persons[1]][5:17] not in stored
    assert wrapped[persons[0]] in stored
    assert (database.place.folder / "d23.db-wal").stat().st_size == 0


def test_a_rotation_that_is_cut_short_loses_nothing_and_goes_on(database):
    with database.begin("23") as session:
        persons = people(session, 7)
        done(forget(session, persons[3]))
        before = look(session, *persons)
    instance = an_instance(database, NEWER, MASTER_KEY)

    pieces = rotate(instance, "23", limit=2)
    assert [next(pieces).resealed, next(pieces).resealed] == [2, 2]
    pieces.close()

    both, newer = Sealer([NEWER, MASTER_KEY]), Sealer([NEWER])
    with database.begin("23") as session:
        headers = [key[:5] == newer.header for key in keys_in(session) if key]
        assert sorted(headers) == [False] * 2 + [True] * 4
        assert look(session, *persons, sealer=both) == before
        with pytest.raises(SealedByUnknownKey):
            look(session, *persons, sealer=newer)

    assert [piece.resealed for piece in rotate(instance, "23", limit=2)] == [2]
    assert list(rotate(instance, "23", limit=2)) == []
    with database.begin("23") as session:
        assert look(session, *persons, sealer=newer) == before
        with pytest.raises(SealedByUnknownKey):
            look(session, *persons)
        assert None in keys_in(session)
        assert findings(session) == []


def test_a_piece_of_a_rotation_that_fails_changes_nothing(database, monkeypatch):
    with database.begin("23") as session:
        people(session, 4)
        before = keys_in(session)
    instance = an_instance(database, NEWER, MASTER_KEY)
    sealed = []

    def die(plain: bytes, about: str) -> bytes:
        if len(sealed) == 3:
            raise OSError("the power went")
        sealed.append(about)
        return Sealer([NEWER]).seal(plain, about)

    monkeypatch.setattr(instance.sealer, "seal", die)
    with pytest.raises(OSError, match="power"):
        list(rotate(instance, "23"))
    with database.begin("23") as session:
        assert keys_in(session) == before


def test_a_rotation_passes_by_what_no_key_opens_and_says_so(database):
    with database.begin("23") as session:
        persons = people(session, 3)
        lost = Sealer([new_key()]).seal(new_key(), f"vault/{persons[0]}")
        session.execute(
            update(vault_person)
            .where(vault_person.c.id == persons[0])
            .values(sealed_key=lost)
        )
    instance = an_instance(database, NEWER, MASTER_KEY)

    pieces = list(rotate(instance, "23", limit=1))

    assert sum(piece.resealed for piece in pieces) == 2
    assert sum(piece.unreadable for piece in pieces) == 1
    with database.begin("23") as session:
        assert lost in keys_in(session)
        assert look(session, *persons[1:], sealer=Sealer([NEWER]))
    with pytest.raises(VaultLocked):
        list(rotate(an_instance(database), "23"))


def test_whoever_is_erased_during_a_rotation_stays_erased(database):
    with database.begin("23") as session:
        persons = people(session, 3)
    instance = an_instance(database, NEWER, MASTER_KEY)
    with ThreadPoolExecutor(1) as pool:
        with database.begin("23") as session:
            done(forget(session, persons[1]))
            turning = pool.submit(lambda: list(rotate(instance, "23")))
            time.sleep(0.3)
            assert not turning.done(), "the rotation waits for the erasure"
        turning.result(timeout=60)
    with database.begin("23") as session:
        seen = look(session, *persons, sealer=Sealer([NEWER]))
        assert sorted(seen) == sorted({*persons} - {persons[1]})
