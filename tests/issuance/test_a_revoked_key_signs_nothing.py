"""A voucher key that was stolen is revoked at once, for ever, and makes no paper any more."""

import msgspec
import pytest
from sqlalchemy import func, select

from issuance.keys import (
    NewKeys,
    RevokeKey,
    SigningKeyRevoked,
    check_signs,
    keyring,
    new_keys,
    revocations,
    revoke_key,
    signer,
)
from issuance.making import PIECE, make_piece
from issuance.models import voucher
from issuance.orders import PlaceOrder, order_row, place_order
from issuance.paper import printed_passes
from ledger import canonical
from ledger.identifiers import new_id
from ledger.models import entry
from tests.builders import SECRET, a_world, an_order, done
from tests.conftest import moment

NOW = moment("2020-01-08")


def revoked(session, key_id: int = 0, request: RevokeKey | None = None):
    asked = request or RevokeKey(new_id(), key_id, "compromised")
    return revoke_key(session, asked, by="test", now=NOW)


def renewed(session):
    return done(new_keys(session, NewKeys(new_id()), secret=SECRET, by="test", now=NOW))


def placed(session, carnets: int = 2, *, specimen: bool = False):
    return place_order(
        session,
        PlaceOrder(new_id(), "T1", carnets, specimen),
        signer=signer(session, "23", SECRET),
        by="test",
        now=NOW,
    )


def test_the_entry_says_why_and_which_orders_are_touched(session):
    world = a_world(session)
    an_order(session, world)
    an_order(session, world, specimen=True)
    an_order(session, world, 1)
    renewed(session)
    done(placed(session))

    answer = done(revoked(session))

    kind, body = session.execute(
        select(entry.c.kind, entry.c.body).where(entry.c.id == answer.act)
    ).one()
    told = canonical.decode(body)
    public = world.ring.vouchers[0].public_bytes_raw().hex()
    assert kind == "key_revoked"
    assert told["right"] == ["revoke", "key/0", 0]
    assert told["facts"] == {
        "key_id": 0, "orders": [1, 3], "public": public, "why": "compromised",
    }  # fmt: skip


def test_a_revoked_key_stays_in_the_ring_and_is_named(session):
    a_world(session)
    assert revocations(session) == {}
    done(revoked(session))
    ring = keyring(session, "23", SECRET)
    assert set(ring.vouchers) == {0}
    assert {k: (r.at, r.why) for k, r in ring.revoked.items()} == {
        0: (NOW.at, "compromised")
    }


def test_no_order_is_placed_until_there_are_new_keys_but_specimens_are(session):
    world = a_world(session)
    done(revoked(session))

    refused = placed(session)
    assert (refused.code, refused.facts) == ("signing_key_revoked", {"key_id": 0})
    done(placed(session, specimen=True))

    renewed(session)
    order = order_row(session, done(placed(session)).facts["order"])
    assert order.key_id == 3 != world.signer.voucher_key_id


def test_who_had_the_key_in_hand_before_places_nothing_after(session):
    world = a_world(session)
    done(revoked(session))
    request = PlaceOrder(new_id(), "T1", 1)
    told = place_order(session, request, signer=world.signer, by="test", now=NOW)
    assert told.code == "signing_key_revoked"


def test_an_order_that_was_being_made_stops_where_it_is(session):
    world = a_world(session, envelope_cents=5_000_000)
    order = order_row(session, done(placed(session, PIECE + 1)).facts["order"])
    done(make_piece(session, order, 0, signer=world.signer, by="test", now=NOW))
    done(revoked(session))

    told = make_piece(session, order, 1, signer=world.signer, by="test", now=NOW)
    assert (told.code, told.facts) == ("signing_key_revoked", {"key_id": 0})
    assert session.scalar(select(func.count()).select_from(voucher)) == PIECE * 5
    with pytest.raises(SigningKeyRevoked):
        make_piece(
            session, order, 1, signer=signer(session, "23", SECRET), by="test", now=NOW
        )


def test_its_paper_is_not_printed_again_and_that_of_other_keys_is(session):
    world = a_world(session)
    an_order(session, world)
    renewed(session)
    other = order_row(session, done(placed(session)).facts["order"])
    done(revoked(session))
    hand = signer(session, "23", SECRET)
    with pytest.raises(SigningKeyRevoked) as refusal:
        next(printed_passes(order_row(session, 1), hand, world.host))
    assert refusal.value.key_id == 0
    assert len(list(printed_passes(other, hand, world.host))) == 10


@pytest.mark.parametrize(
    ("key_id", "what"), [(1, "a specimen's"), (2, "the codes'"), (9, "nobody's")]
)
def test_only_a_voucher_key_is_revoked(session, key_id, what):
    a_world(session)
    told = revoked(session, key_id)
    assert (told.code, told.facts) == ("voucher_key_unknown", {"key_id": key_id}), what


def test_a_key_is_revoked_once_and_the_same_request_gets_the_same_answer(session):
    a_world(session)
    request = RevokeKey(new_id(), 0, "suspected")
    first = done(revoked(session, request=request))
    assert revoked(session, request=request) == msgspec.structs.replace(
        first, replayed=True
    )
    assert revoked(session).code == "voucher_key_unknown"
    with pytest.raises(SigningKeyRevoked):
        check_signs(session, 0)
