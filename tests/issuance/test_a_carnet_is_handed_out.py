"""A carnet is handed out once, to a person of whom the journal knows nothing."""

from collections import Counter
from datetime import date
from hashlib import sha256
from uuid import UUID

import msgspec
import pytest
from sqlalchemy import func, select

from issuance import vault
from issuance.desks import Deliver, OpenDesk, deliver, open_desk
from issuance.hand_outs import HandOut
from issuance.models import handed_out, vault_person
from ledger import canonical, queries
from ledger.identifiers import new_id
from ledger.models import attempt, entry, refusal
from redemption.hand_out import hand_out
from tests.builders import SEALER, a_workshop, a_world, an_order, done, given, scanned
from tests.conftest import moment
from tests.together import at_once

NOW = moment("2020-01-20")
CATEGORY = "demandeur d'emploi"


def circulating(session) -> int:
    [cents] = [h.cents for h in queries.holdings(session, ["1"]) if h.kind == "circulating"]
    return cents


def out(session) -> set[str]:
    return set(session.scalars(select(handed_out.c.serial)))


def body_of(session, answer) -> dict:
    return canonical.decode(
        session.scalars(select(entry.c.body).where(entry.c.id == answer.act)).one()
    )


def forget(session, answer) -> None:
    person = vault.person_of_hand_out(session, answer.act)
    done(vault.erase(session, vault.ErasePerson(new_id(), person), by="test", now=NOW))


def test_a_carnet_leaves_whole(session):
    world = a_world(session)
    serials = an_order(session, world)
    answer = done(given(session, carnet=2))
    assert answer.facts["serials"] == serials[5:10]
    assert answer.facts["carnets"] == [2]
    assert out(session) == set(serials[5:10])
    assert circulating(session) == 5_000


def test_single_passes_are_split_off_and_the_rest_of_the_carnet_follows(session):
    world = a_world(session)
    serials = an_order(session, world)
    done(given(session, serials[0], serials[3]))
    assert circulating(session) == 2_000

    rest = done(given(session, carnet=1))

    assert rest.facts["serials"] == [serials[1], serials[2], serials[4]]
    assert rest.facts["count"] == 3
    assert circulating(session) == 5_000
    again = given(session, carnet=1)
    assert (again.code, list(again.facts["serials"])) == ("already_handed_out", serials[:5])


def test_a_carnet_and_single_passes_are_not_given_by_one_hand_out(session):
    world = a_world(session)
    serials = an_order(session, world)
    assert given(session, serials[0], carnet=2).code == "carnet_and_passes"
    assert out(session) == set()
    done(given(session, serials[0]))
    done(given(session, carnet=2))


def test_a_desk_hands_out_for_a_programme_that_it_names_twice(session):
    world = a_world(session)
    asked = OpenDesk(new_id(), "MSA", "MSA", "Accueil", ("tela", "tela"))
    answer = done(open_desk(session, asked, by="test", now=NOW))
    assert answer.facts["programmes"] == ["tela"]
    an_order(session, world)
    done(deliver(session, Deliver(new_id(), "MSA", 1, 1), by="test", now=NOW))


def test_a_serial_is_read_as_people_say_it_and_counts_once(session):
    world = a_world(session)
    serials = an_order(session, world)
    answer = done(given(session, f" {serials[0]} ", serials[0]))
    assert answer.facts["serials"] == [serials[0]]
    assert circulating(session) == 1_000


def test_passes_of_two_carnets_of_one_order_go_together_in_the_order_of_their_rank(session):
    world = a_world(session)
    serials = an_order(session, world)
    answer = done(given(session, serials[7], serials[2], serials[0]))
    assert answer.facts["carnets"] == [1, 2]
    assert answer.facts["serials"] == [serials[0], serials[2], serials[7]]


def test_a_hand_out_sent_again_gets_the_same_answer(session):
    world = a_world(session)
    serials = an_order(session, world)
    request = HandOut(new_id(), "CAF", pic=False, proof="declared", serials=(serials[0],))
    first = done(hand_out(session, request, by="desk-CAF", now=NOW))
    again = hand_out(session, request, by="desk-CAF", now=moment("2021-06-01"))
    assert again == msgspec.structs.replace(first, replayed=True)
    assert circulating(session) == 1_000


def test_a_refused_hand_out_sent_again_gets_the_same_answer(session):
    world = a_world(session)
    serials = an_order(session, world)
    done(given(session, serials[0]))
    request = HandOut(new_id(), "CAF", pic=False, proof="declared", serials=(serials[0],))
    first = hand_out(session, request, by="desk-CAF", now=NOW)
    again = hand_out(session, request, by="desk-CAF", now=NOW)
    assert (first.code, list(first.facts["serials"])) == ("already_handed_out", serials[:1])
    assert again == msgspec.structs.replace(first, replayed=True)


@pytest.mark.parametrize(
    "serial", ["23-1-1", "23-000001", "carnet 1", "", "7K3M 9PQR T2VW X", "23-000001-256"]
)
def test_what_is_no_serial_is_refused_and_not_repeated(session, serial):
    a_world(session)
    answer = given(session, serial)
    assert (answer.code, answer.facts) == ("malformed_serial", {})


def test_what_was_never_made_is_unknown(session):
    world = a_world(session)
    [*_, last] = an_order(session, world)
    for asked, facts in [
        ("99", {"carnet": 99}),
        ("23-000099-1", {"serials": (last, "23-000099-1")}),
        ("75-000001-1", {"serials": ("75-000001-1",)}),
        ("", {"serials": ()}),
    ]:
        answer = given(session, **facts)
        assert (answer.code, answer.facts) == ("carnet_unknown", {"asked": asked})
    assert out(session) == set()


def test_one_hand_out_is_of_one_order(session):
    world = a_world(session)
    first, second = an_order(session, world), an_order(session, world)
    answer = given(session, first[0], second[0])
    assert (answer.code, answer.facts) == ("passes_of_several_orders", {})
    assert out(session) == set()


def test_specimens_are_handed_out_to_nobody(session):
    world = a_world(session)
    serials = an_order(session, world, specimen=True)
    for facts in ({"serials": serials[:1]}, {"carnet": 1}):
        answer = given(session, **facts)
        assert (answer.code, answer.facts) == ("specimen_not_handed_out", {"order": 1})


def test_a_carnet_is_handed_out_by_the_desk_that_holds_it(session):
    world = a_world(session)
    serials = an_order(session, world)
    done(
        open_desk(
            session, OpenDesk(new_id(), "MSA", "MSA", "Accueil", ("tela",)),
            by="test", now=NOW,
        )
    )  # fmt: skip
    [undelivered, *_] = an_order(session, world, carnets=1, delivered=False)
    for desk, serial, told, facts in [
        ("MSA", serials[0], "not_at_this_desk", {"carnet": 1, "desk": "MSA"}),
        ("CAF", undelivered, "not_at_this_desk", {"carnet": 5, "desk": "CAF"}),
        ("CPAM", serials[0], "not_found", {"what": "desk", "name": "CPAM"}),
    ]:
        request = HandOut(new_id(), desk, pic=False, proof="declared", serials=(serial,))
        answer = hand_out(session, request, by="desk", now=NOW)
        assert (answer.code, answer.facts) == (told, facts)
    assert out(session) == set()


def test_an_order_that_is_not_active_stays_at_the_desk(session):
    world = a_world(session)
    serials = an_order(session, world, active=False)
    answer = given(session, serials[0])
    assert (answer.code, answer.facts) == ("order_not_active", {"order": 1})


def test_hand_outs_stop_after_the_whole_last_day(session):
    world = a_world(session)
    serials = an_order(session, world)
    done(given(session, serials[0], now=moment("2020-12-15", 23)))
    answer = given(session, serials[1], now=moment("2020-12-16", 0))
    assert (answer.code, answer.facts) == (
        "hand_out_stopped",
        {"stopped_on": "2020-12-15"},
    )


def test_a_tranche_for_some_publics_is_handed_out_to_them_alone(session):
    world = a_world(session, publics=("rsa", "jeunes"))
    serials = an_order(session, world)
    for category in ("retraité", None):
        answer = given(session, serials[0], category=category)
        assert answer.code == "public_not_targeted"
        assert list(answer.facts["publics"]) == ["jeunes", "rsa"]
    told = session.scalars(select(refusal.c.facts)).all()
    assert len(told) == 2
    assert not any("retrait" in facts for facts in told)
    done(given(session, serials[0], category="rsa"))


def test_of_sixteen_threads_one_hands_the_carnet_out(database):
    with database.begin("23") as session:
        world = a_world(session)
        serials = an_order(session, world)

    def give(turn: int):
        facts = {"carnet": 1} if turn % 2 else {"serials": serials[:5]}
        with database.begin("23") as session:
            return given(session, **facts)

    answers = at_once(give)

    assert Counter(a.code for a in answers) == {"accepted": 1, "already_handed_out": 15}
    with database.begin("23") as session:
        assert out(session) == set(serials[:5])
        assert circulating(session) == 5_000


def test_single_passes_asked_for_in_opposite_orders_at_once_leave_once(database):
    with database.begin("23") as session:
        world = a_world(session, carnet_size=250)
        serials = an_order(session, world, carnets=1)

    def give(turn: int):
        asked = serials if turn % 2 else serials[::-1]
        with database.begin("23") as session:
            return given(session, *asked)

    answers = at_once(give)

    assert Counter(a.code for a in answers) == {"accepted": 1, "already_handed_out": 15}
    with database.begin("23") as session:
        assert circulating(session) == 250_000


def test_category_and_need_are_in_the_vault_and_in_no_entry(session):
    world = a_world(session)
    serials = an_order(session, world)
    answer = done(given(session, serials[0], category=CATEGORY, need="boost"))

    bodies = session.scalars(select(entry.c.body)).all()
    for body in bodies:
        told = canonical.decode(body)
        assert not {"category", "need", "name"} & told["facts"].keys() - PUBLIC.get(
            told["kind"], set()
        )
        assert b"demandeur" not in body
        assert b"boost" not in body
    person = vault.person_of_hand_out(session, answer.act)
    found = vault.read(
        session, SEALER, [person], purpose="audit_sample", by="test", now=NOW
    )
    [kept] = found[person]
    told = {"category": CATEGORY, "need": "boost"}
    assert kept.content.told == told
    commitment = body_of(session, answer)["facts"]["commitment"]
    salt = kept.content.salt
    assert commitment == sha256(salt + canonical.encode(told)).hexdigest()


# Kinds whose `name` is that of a call, a funder, a programme or a desk, never of a person.
PUBLIC = {
    "call_opened": {"name"},
    "convention_signed": {"name"},
    "programme_started": {"name"},
    "desk_opened": {"name"},
}


def test_the_same_person_told_twice_leaves_two_different_commitments(session):
    world = a_world(session)
    serials = an_order(session, world)
    told = [
        body_of(session, done(given(session, serial, category=CATEGORY)))["facts"]
        for serial in serials[:2]
    ]
    assert told[0]["commitment"] != told[1]["commitment"]


def test_nothing_told_leaves_no_commitment_and_no_row_in_the_vault(session):
    world = a_world(session)
    serials = an_order(session, world)
    answer = done(given(session, serials[0]))
    assert body_of(session, answer)["facts"]["commitment"] is None
    assert session.scalar(select(func.count()).select_from(vault_person)) == 0


def test_once_the_vault_forgets_everything_else_still_reads(database):
    with database.begin("23") as session:
        world = a_world(session)
        serials = an_order(session, world)
        request = HandOut(
            new_id(), "CAF", pic=True, proof="attested", carnet=1, category=CATEGORY, need="train"
        )  # fmt: skip
        first = done(hand_out(session, request, by="desk-CAF", now=NOW, sealer=SEALER))
        before = queries.derived_holdings(session, ["1"])

    with database.begin("23") as session:
        forget(session, first)

    with database.begin("23") as session:
        assert queries.derived_holdings(session, ["1"]) == before
        assert hand_out(
            session, request, by="desk-CAF", now=NOW
        ) == msgspec.structs.replace(first, replayed=True)
        assert body_of(session, first)["facts"]["commitment"] is not None
        [verdict] = scanned(session, world, a_workshop(session), serials[0])
        assert verdict.verdict == "accepted"


def test_once_the_vault_forgets_no_guess_can_be_checked(session):
    world = a_world(session)
    an_order(session, world)
    request = HandOut(
        new_id(), "CAF", pic=True, proof="attested", carnet=1, category=CATEGORY, need="train"
    )  # fmt: skip
    forget(session, done(hand_out(session, request, by="desk-CAF", now=NOW, sealer=SEALER)))

    kept = session.scalars(
        select(attempt.c.request_hash).where(attempt.c.id == request.id)
    ).one()
    assert canonical.digest(["hand_out", request]) != kept


class AskedBefore(msgspec.Struct, frozen=True):
    """A hand-out as it was asked for before requests told a day, a holder or a place."""

    id: UUID
    desk: str
    pic: bool
    proof: str
    carnet: int | None = None
    serials: tuple[str, ...] = ()
    category: str | None = None
    need: str | None = None


def test_a_hand_out_whose_answer_was_lost_over_an_update_is_still_the_same_one(session):
    an_order(session, a_world(session))
    request = HandOut(new_id(), "CAF", pic=True, proof="attested", carnet=1)
    first = done(hand_out(session, request, by="desk-CAF", now=NOW))
    kept = session.scalars(
        select(attempt.c.request_hash).where(attempt.c.id == request.id)
    ).one()
    before = AskedBefore(request.id, "CAF", pic=True, proof="attested", carnet=1)
    assert canonical.digest(["hand_out", before]) == kept

    later = msgspec.structs.replace(request, given_on=date(2020, 1, 19))
    assert hand_out(session, later, by="desk-CAF", now=NOW).code == "act_reused"
    again = hand_out(session, request, by="desk-CAF", now=NOW)
    assert again == msgspec.structs.replace(first, replayed=True)
