"""A tranche limits what one person gets: counted over all desks by a mark, without a list of names."""

from datetime import date

import msgspec
import pytest
from sqlalchemy import func, select

from app.coffre.transfer import SHELVES as MOVED
from app.rotation import SHELVES
from funding.hand_out_rules import HandOutRules
from issuance import limits, vault
from issuance.desks import Deliver, OpenDesk, deliver, open_desk
from issuance.hand_outs import HandOut
from issuance.holders import Holder, HolderNeeded, LimitPerPerson
from issuance.models import hand_out as hand_outs
from issuance.models import vault_mark, vault_person, vault_record, vault_secret
from ledger.identifiers import new_id
from ledger.models import attempt, entry
from ledger.resealing import reseal
from ledger.sealing import Sealer, VaultLocked
from redemption.hand_out import hand_out
from tests.builders import MASTER_KEY, SEALER, a_world, an_order, done, given
from tests.conftest import moment
from tests.together import at_once

NOW = moment("2020-01-20")
RULES = HandOutRules(limit_per_person=10)
SHE = Holder("Dupont-Durand", "Éloïse", date(1951, 3, 4))
SHE_AGAIN = Holder("DUPONT DURAND", " eloise ", date(1951, 3, 4))
HE = Holder("Dupont-Durand", "Éloi", date(1951, 3, 4))
NEWER = b"another master key of the tests."


def a_limit(session, carnets: int = 6, **rules) -> list[str]:
    """Carnets of a tranche with a limit, half of them at another desk."""
    world = a_world(session, hand_out=msgspec.structs.replace(RULES, **rules))
    serials = an_order(session, world, carnets)
    done(
        open_desk(
            session,
            OpenDesk(new_id(), "MSA", "MSA", "Accueil", ("tela",)),
            by="test",
            now=NOW,
        )
    )
    half = carnets // 2 + 1
    done(deliver(session, Deliver(new_id(), "MSA", half, carnets), by="test", now=NOW))
    return serials


def refused(session, **facts) -> LimitPerPerson:
    with pytest.raises(LimitPerPerson) as no, session.begin_nested():
        given(session, **facts)
    return no.value


def test_two_carnets_a_person_whatever_the_desk_and_however_the_name_is_written(session):
    a_limit(session)
    done(given(session, carnet=1, holder=SHE))
    at_other = HandOut(new_id(), "MSA", True, "attested", carnet=4, holder=SHE_AGAIN)
    done(hand_out(session, at_other, by="desk-MSA", now=NOW, sealer=SEALER))

    no = refused(session, carnet=2, holder=SHE)
    assert (no.given, no.limit) == (10, 10)
    done(given(session, carnet=2, holder=HE))
    assert (
        session.scalars(select(func.count()).select_from(vault_mark)).one(),
        len(set(session.scalars(select(vault_mark.c.mark)))),
    ) == (3, 2)


def test_the_rest_of_a_limit_can_be_given_to_the_last_pass(session):
    serials = a_limit(session, limit_per_person=6)
    done(given(session, carnet=1, holder=SHE))
    assert refused(session, carnet=2, holder=SHE).given == 5
    done(given(session, serials[5], holder=SHE))
    assert refused(session, serials=[serials[6]], holder=SHE).given == 6


def test_a_refusal_is_no_answer_for_ever_and_the_way_out_leaves_a_trace(session):
    a_limit(session, limit_per_person=5)
    done(given(session, carnet=1, holder=SHE))
    asked = HandOut(new_id(), "CAF", True, "attested", carnet=2, holder=SHE)
    with pytest.raises(LimitPerPerson), session.begin_nested():
        hand_out(session, asked, by="desk-CAF", now=NOW, sealer=SEALER)
    assert session.scalar(select(attempt.c.id).where(attempt.c.id == asked.id)) is None

    other = msgspec.structs.replace(asked, despite_limit="other_person")
    answer = done(hand_out(session, other, by="desk-CAF", now=NOW, sealer=SEALER))
    decided = done(given(session, carnet=3, holder=SHE, despite_limit="decided"))
    assert [a.facts["despite_limit"] for a in (answer, decided)] == [
        "other_person",
        "decided",
    ]
    rows = session.scalars(select(hand_outs.c.despite_limit)).all()
    assert sorted(map(str, rows)) == ["None", "decided", "other_person"]


def test_a_way_out_that_was_not_needed_leaves_no_trace(session):
    a_limit(session)
    answer = done(given(session, carnet=1, holder=SHE, despite_limit="decided"))
    assert "despite_limit" not in answer.facts


def test_who_it_is_for_must_be_told_and_without_a_master_key_nothing_is_kept(session):
    serials = a_limit(session)
    with pytest.raises(HolderNeeded) as no, session.begin_nested():
        given(session, carnet=1)
    assert no.value.reason == "limit"
    with pytest.raises(HolderNeeded) as no, session.begin_nested():
        given(session, carnet=1, holder=Holder("-", "Éloi", date(1951, 3, 4)))
    assert no.value.reason == "unreadable"
    asked = HandOut(new_id(), "CAF", True, "attested", serials=(serials[0],), holder=SHE)
    with pytest.raises(VaultLocked), session.begin_nested():
        hand_out(session, asked, by="desk-CAF", now=NOW)
    assert session.scalar(select(attempt.c.id).where(attempt.c.id == asked.id)) is None
    done(hand_out(session, asked, by="desk-CAF", now=NOW, sealer=SEALER))


def test_a_limit_keeps_no_name_and_the_journal_holds_nothing_of_the_person(session):
    a_limit(session)
    done(given(session, carnet=1, holder=SHE))
    told = b"".join(session.scalars(select(entry.c.body)))
    mark = session.scalars(select(vault_mark.c.mark)).one()
    for secret in (mark.hex(), "Dupont", "dupont", "1951-03-04"):
        assert secret.encode() not in told
    assert session.scalars(select(vault_record.c.person)).all() == []
    hashes = session.scalars(
        select(attempt.c.request_hash).where(attempt.c.act == "hand_out")
    )
    assert len(hashes.all()) == 1


def test_the_answer_to_a_retry_does_not_depend_on_who_is_told(session):
    a_limit(session)
    asked = HandOut(new_id(), "CAF", True, "attested", carnet=1, holder=SHE)
    first = done(hand_out(session, asked, by="desk-CAF", now=NOW, sealer=SEALER))
    silent = msgspec.structs.replace(asked, holder=None)
    again = hand_out(session, silent, by="desk-CAF", now=NOW, sealer=SEALER)
    assert again == msgspec.structs.replace(first, replayed=True)


def test_one_person_is_forgotten_whole_and_their_limit_begins_again(session):
    a_limit(session)
    first = done(given(session, carnet=1, holder=SHE, need="train"))
    second = done(given(session, carnet=2, holder=SHE_AGAIN))
    persons = {vault.person_of_hand_out(session, a.act) for a in (first, second)}
    assert len(persons) == 1
    done(vault.erase(session, vault.ErasePerson(new_id(), *persons), by="test", now=NOW))
    assert session.scalars(select(vault_mark.c.mark)).all() == [None, None]

    third = done(given(session, carnet=3, holder=SHE))
    assert vault.person_of_hand_out(session, third.act) not in persons


def test_another_person_of_the_same_name_is_another_one_in_the_vault(session):
    a_limit(session, limit_per_person=5)
    one = done(given(session, carnet=1, holder=SHE))
    two = done(given(session, carnet=2, holder=SHE, despite_limit="other_person"))
    same = done(given(session, carnet=3, holder=SHE, despite_limit="decided"))
    persons = [vault.person_of_hand_out(session, a.act) for a in (one, two, same)]
    assert persons[0] == persons[2] != persons[1]


def test_the_secret_of_the_marks_outlives_the_master_key(session):
    a_limit(session, limit_per_person=5)
    done(given(session, carnet=1, holder=SHE))
    before = session.scalars(select(vault_secret.c.sealed)).one()
    both, newer = Sealer([NEWER, MASTER_KEY]), Sealer([NEWER])
    for shelf in SHELVES:
        reseal(session, both, shelf)
    assert session.scalars(select(vault_secret.c.sealed)).one() != before
    asked = HandOut(new_id(), "CAF", True, "attested", carnet=2, holder=SHE)
    with pytest.raises(LimitPerPerson), session.begin_nested():
        hand_out(session, asked, by="desk-CAF", now=NOW, sealer=newer)
    assert "vault_secret" in MOVED


def test_names_are_asked_for_and_kept_only_where_european_money_asks(session):
    world = a_world(session, hand_out=HandOutRules(holders_named=True))
    serials = an_order(session, world)
    with pytest.raises(HolderNeeded) as no, session.begin_nested():
        given(session, serials[0])
    assert no.value.reason == "esf"
    answer = done(given(session, serials[0], holder=SHE))
    person = vault.person_of_pass(session, serials[0])
    records = vault.read(
        session, SEALER, [person], purpose="audit_sample", by="auditor", now=NOW
    )
    [record] = records[person]
    assert record.content.told["holder"] == {
        "surname": "Dupont-Durand",
        "first_name": "Éloïse",
        "born_on": "1951-03-04",
    }
    assert record.content.commitment == answer.facts["commitment"]
    assert session.scalars(select(vault_mark.c.mark)).all() == []


def test_a_name_that_no_rule_asks_for_is_not_kept(session):
    serials = an_order(session, a_world(session))
    answer = done(given(session, serials[0], holder=SHE))
    assert answer.facts["commitment"] is None
    assert session.scalars(select(vault_person.c.id)).all() == []


def test_a_mark_is_only_ever_taken_away(session):
    a_limit(session)
    done(given(session, carnet=1, holder=SHE))
    with (
        pytest.raises(Exception, match="a mark is only taken away"),
        session.begin_nested(),
    ):
        session.execute(vault_mark.update().values(mark=b"x" * 32))


def test_sixteen_desks_and_one_person_never_go_beyond_the_limit(database):
    with database.begin("23") as session:
        serials = an_order(
            session, a_world(session, hand_out=HandOutRules(limit_per_person=5)), 16
        )

    def one(turn: int) -> str:
        asked = HandOut(
            new_id(), "CAF", True, "attested", serials=(serials[turn * 5],), holder=SHE
        )
        try:
            with database.begin("23") as session:
                return hand_out(session, asked, by="desk", now=NOW, sealer=SEALER).code
        except LimitPerPerson as no:
            return f"{no.given} of {no.limit}"

    told = at_once(one, 16)
    assert sorted(told) == ["5 of 5"] * 11 + ["accepted"] * 5
    with database.begin("23", read_only=True) as session:
        mark = session.scalars(select(vault_mark.c.mark).distinct()).one()
        assert limits.given_so_far(session, mark, 1) == 5
        assert len(session.scalars(select(vault_person.c.id)).all()) == 1


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Le Goff", "LE-GOFF"),
        ("d'Œuvre", "D’OEUVRE"),
        ("Æther", "aether"),
        ("Nuñez", "NUNEZ"),
    ],
)
def test_names_are_folded_as_desks_write_them(one, other):
    secret = bytes(32)
    marks = [
        limits.mark_of(secret, Holder(name, "A", date(2000, 1, 1))) for name in (one, other)
    ]
    assert marks[0] == marks[1]
    assert marks[0] != limits.mark_of(secret, Holder("A", one, date(2000, 1, 1)))
    assert marks[0] != limits.mark_of(secret, Holder(one, "A", date(2000, 1, 2)))
