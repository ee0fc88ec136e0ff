"""A page that loses its network knows whether a carnet of its desk may need a name or a public."""

from datetime import timedelta

import pytest

from funding.hand_out_rules import HandOutRules
from issuance.asked_at_desks import more_is_asked
from issuance.desks import OpenDesk, open_desk
from ledger.identifiers import new_id
from tests.builders import CALENDAR, a_world, an_order, done
from tests.conftest import moment

TODAY = moment("2020-01-20").day


@pytest.mark.parametrize(
    ("asks", "more"),
    [
        ({}, False),
        ({"hand_out": HandOutRules(pic_share=50, late_days=3)}, False),
        ({"hand_out": HandOutRules(limit_per_person=5)}, True),
        ({"hand_out": HandOutRules(holders_named=True)}, True),
        ({"publics": ("rsa",)}, True),
    ],
)
def test_a_limit_names_and_publics_are_asked_for_where_their_carnets_are(
    session, asks, more
):
    world = a_world(session, **asks)
    opening = OpenDesk(new_id(), "MEDIA", "Médiathèque", "Accueil", ("tela",))
    done(open_desk(session, opening, by="test", now=moment("2020-01-06")))
    an_order(session, world, delivered=False)
    assert not more_is_asked(session, ["CAF", "MEDIA"], today=TODAY), "none is at a desk"
    an_order(session, world)
    assert more_is_asked(session, ["CAF"], today=TODAY) is more
    assert more_is_asked(session, ["MEDIA", "CAF"], today=TODAY) is more
    assert not more_is_asked(session, ["MEDIA"], today=TODAY)
    assert not more_is_asked(session, [], today=TODAY)
    after = CALENDAR.hand_out_stop + timedelta(days=1)
    assert not more_is_asked(session, ["CAF"], today=after)
