"""Whoever stole a key makes the very QR codes of passes in people's hands: once it is revoked, only codes are believed."""

from datetime import date

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from issuance import tokens
from issuance.keys import (
    NewKeys,
    RevokeKey,
    VoucherKeyUnknown,
    keyring,
    new_keys,
    revoke_key,
    signer,
)
from issuance.serials import Serial
from issuance.transfers import Send, send
from ledger.identifiers import new_id
from redemption.blocking import BlockCarnet, block_carnet
from redemption.checking import State, look
from redemption.counter import Presented, redeem
from redemption.lapsing import Lapse, lapse
from redemption.touched import touched_orders, touched_passes
from redemption.undoing import Undo, undo
from tests.builders import (
    MANAGER,
    SECRET,
    a_workshop,
    a_world,
    an_order,
    done,
    given,
    scan_of,
    scanned,
)
from tests.conftest import moment

AT = moment("2020-02-03", 14)


def revoke(session, world, key_id: int = 0) -> None:
    asked = RevokeKey(new_id(), key_id, "compromised")
    done(revoke_key(session, asked, by="test", now=moment("2020-02-03", 12)))
    world.ring = keyring(session, "23", SECRET)


def renew(session, world) -> None:
    made = new_keys(
        session, NewKeys(new_id()), secret=SECRET, by="test", now=moment("2020-01-08")
    )
    done(made)
    world.signer, world.ring = signer(session, "23", SECRET), keyring(session, "23", SECRET)


def forged(world, key: Ed25519PrivateKey, serial: str) -> str:
    """Return what a thief makes of a number that is printed in the clear."""
    number = Serial.parse(serial)
    face = tokens.Face(
        key_id=0, departement="23", tranche=1, carnet=number.carnet, rank=number.rank,
        face_cents=1000, use_by=date(2020, 12, 31),
    )  # fmt: skip
    return tokens.to_url(world.host, tokens.sign(face, key))


def told(session, world, workshop, *texts: str) -> list[tuple[str, str | None]]:
    queue = [Presented(scan_of(text, workshop, AT), MANAGER) for text in texts]
    verdicts = redeem(session, queue, now=AT, keyring=world.ring)
    return [(v.verdict, v.serial) for v in verdicts]


def test_a_thief_makes_the_very_bytes_of_a_pass_in_someone_s_hands(session):
    world = a_world(session)
    serials = an_order(session, world)
    stolen = world.signer.voucher_key
    assert forged(world, stolen, serials[0]) == world.token(serials[0])


def test_a_qr_code_of_a_revoked_key_is_refused_and_the_code_beneath_is_accepted(session):
    world = a_world(session)
    first, second, *_ = serials = an_order(session, world)
    given(session, *serials[:5])
    workshop = a_workshop(session)
    revoke(session, world)

    assert told(
        session, world, workshop, world.token(first), world.passes[second].code
    ) == [
        ("key_revoked", first),
        ("accepted", second),
    ]
    assert told(session, world, workshop, world.passes[first].code) == [("accepted", first)]


def test_a_pass_that_a_thief_invents_is_told_as_of_that_key_too(session):
    world = a_world(session)
    workshop, stolen = a_workshop(session), world.signer.voucher_key
    invented = forged(world, stolen, "23-999999-1")
    assert told(session, world, workshop, invented) == [("unknown", "23-999999-1")]
    revoke(session, world)
    by_another = forged(world, Ed25519PrivateKey.generate(), "23-999999-1")
    assert told(session, world, workshop, invented, by_another) == [
        ("key_revoked", "23-999999-1"),
        ("forged", None),
    ]


def test_a_broken_qr_code_of_a_revoked_key_is_forged_and_names_nothing(session):
    world = a_world(session)
    [first, *_] = an_order(session, world)
    workshop = a_workshop(session)
    revoke(session, world)
    token = world.token(first)
    broken = token[:-1] + ("1" if token[-1] == "0" else "0")
    assert told(session, world, workshop, broken) == [("forged", None)]


def test_paper_of_other_keys_goes_on(session):
    world = a_world(session)
    before = an_order(session, world)
    renew(session, world)
    after = an_order(session, world)
    given(session, before[0])
    given(session, after[0])
    workshop = a_workshop(session)
    revoke(session, world)
    assert told(
        session, world, workshop, world.token(before[0]), world.token(after[0])
    ) == [
        ("key_revoked", before[0]),
        ("accepted", after[0]),
    ]


def test_a_scan_judged_before_keeps_its_answer(session):
    world = a_world(session)
    first, second, *_ = an_order(session, world)
    given(session, first, second)
    workshop = a_workshop(session)
    seen = [Presented(scan_of(world.token(first), workshop, AT), MANAGER)]
    [before] = redeem(session, seen, now=AT, keyring=world.ring)
    revoke(session, world)
    [again] = redeem(session, seen, now=AT, keyring=world.ring)
    assert (before.verdict, again.verdict, again.replayed) == ("accepted", "accepted", True)


def test_who_looks_at_the_pass_is_told_what_to_do(session):
    world = a_world(session)
    [first, *_] = an_order(session, world)
    given(session, first)
    revoke(session, world)
    seen = [
        look(session, text, now=AT, keyring=world.ring)
        for text in (world.token(first), world.passes[first].code)
    ]
    assert [found.state for found in seen] == [State.KEY_REVOKED, State.GOOD]


def test_what_a_key_touches_is_counted_once_each_by_where_it_is(session):
    world = a_world(session)
    serials = an_order(session, world)  # four carnets of five
    an_order(session, world, 2, specimen=True, delivered=False)
    renew(session, world)
    an_order(session, world)
    given(session, *serials[:7])
    workshop = a_workshop(session)
    scanned(session, world, workshop, *serials[:3])
    done(undo(session, Undo(new_id(), serials[1], "wrong_pass"), device=MANAGER, now=AT))
    scanned(session, world, workshop, serials[1])
    done(undo(session, Undo(new_id(), serials[2], "wrong_pass"), device=MANAGER, now=AT))
    lost = BlockCarnet(new_id(), 2, "lost")
    done(block_carnet(session, lost, by="test", now=AT))

    [order] = touched_orders(session, 0)
    assert order._asdict() == {
        "order": 1, "tranche": "T1", "active": True, "first_carnet": 1, "last_carnet": 4,
        "passes": 20, "made": 20, "stock": 10, "handed_out": 3, "spent": 2, "blocked": 5,
        "replaced": 0, "voided": 0, "lapsed": 0,
    }  # fmt: skip
    each = list(touched_passes(session, 0))
    assert [p.serial for p in each] == serials
    assert {p.desk for p in each} == {"CAF"}
    assert [p.state for p in each[:6]] == [
        "spent", "spent", "handed_out", "handed_out", "handed_out", "blocked",
    ]  # fmt: skip

    end = moment("2021-02-08")
    done(lapse(session, Lapse(new_id(), 1, "stock"), by="test", now=end))
    [order] = touched_orders(session, 0)
    assert (order.stock, order.handed_out, order.lapsed) == (0, 3, 10)
    assert sum(order[-6:]) == order.made


def test_a_pass_of_a_key_is_listed_at_the_desk_where_its_carnet_is(session):
    world = a_world(session)
    an_order(session, world, 2)
    sent = Send(new_id(), "CAF", None, ((2, 2),))
    done(send(session, sent, by="test", now=AT))
    each = {p.serial: p.desk for p in touched_passes(session, 0)}
    assert {desk for serial, desk in each.items() if "-000001-" in serial} == {"CAF"}
    assert {desk for serial, desk in each.items() if "-000002-" in serial} == {None}


def test_an_order_not_yet_made_is_touched_too_and_an_unknown_key_is_refused(session):
    world = a_world(session)
    an_order(session, world, 1, active=False, delivered=False)
    [order] = touched_orders(session, 0)
    assert (order.active, order.stock) == (False, 5)
    for key_id in (1, 2, 7):
        with pytest.raises(VoucherKeyUnknown):
            touched_orders(session, key_id)
        with pytest.raises(VoucherKeyUnknown):
            next(touched_passes(session, key_id))
