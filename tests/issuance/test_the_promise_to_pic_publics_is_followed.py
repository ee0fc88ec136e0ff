"""Half of the passes go to PIC publics: followed live, on both readings, with how sure it is."""

import pytest

from funding.hand_out_rules import HandOutRules
from issuance.quotas import Quota, quotas
from ledger.identifiers import new_id
from redemption.blocking import BlockCarnet, block_carnet
from redemption.replacing import ReplaceHandOut, replace_hand_out
from tests.builders import a_world, an_order, done, given
from tests.conftest import moment

LATER = moment("2020-02-04")


def test_what_was_handed_out_is_counted_by_public_and_proof_and_not_what_replaced_it(
    session,
):
    world = a_world(session, envelope_cents=100_000, hand_out=HandOutRules(pic_share=50))
    serials = an_order(session, world)
    assert quotas(session) == [Quota("T1", "tela", 100, 0, 0, {}, 50)]
    lost = done(given(session, carnet=1))
    done(given(session, *serials[5:8], proof="document_seen"))
    done(given(session, *serials[8:10], pic=False, proof="declared"))
    again = ReplaceHandOut(new_id(), lost.act)
    done(replace_hand_out(session, again, signer=world.signer, by="test", now=LATER))
    done(block_carnet(session, BlockCarnet(new_id(), 3, "stolen"), by="test", now=LATER))

    [found] = quotas(session, "T1")
    assert (found.handed_out, found.pic) == (10, 8)
    assert found.by_proof == {"attested": 5, "document_seen": 3}
    assert (found.needed_of_bought, found.needed_so_far, found.still_needed) == (50, 5, 42)
    assert not found.behind
    assert quotas(session, "T2") == []


@pytest.mark.parametrize(
    ("handed_out", "pic", "share", "told"),
    [
        (0, 0, 50, (50, 0, 50, False, False)),
        (60, 20, 50, (50, 30, 30, True, False)),
        (60, 9, 50, (50, 30, 41, True, True)),
        (60, 10, 50, (50, 30, 40, True, False)),
        (70, 70, 50, (50, 35, 0, False, False)),
        (3, 1, 33, (33, 1, 32, False, False)),
        (10, 5, None, (None, None, None, False, False)),
    ],
)
def test_what_is_missing_is_told_before_it_is_out_of_reach(handed_out, pic, share, told):
    quota = Quota("T1", "tela", 100, handed_out, pic, {}, share)
    assert told == (
        quota.needed_of_bought,
        quota.needed_so_far,
        quota.still_needed,
        quota.behind,
        quota.out_of_reach,
    )
