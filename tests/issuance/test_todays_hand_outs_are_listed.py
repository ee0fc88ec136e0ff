"""A desk sees what it handed out today, all of it counted, whatever names its acts were given."""

from datetime import timedelta
from uuid import UUID, uuid4

from issuance.given_today import given_today
from issuance.hand_outs import HandOut
from issuance.serials import Serial
from ledger.identifiers import new_id
from ledger.moments import Moment
from redemption.hand_out import hand_out
from tests.builders import a_world, an_order, done
from tests.conftest import moment

NOW = moment("2020-01-20", 15)
FIRST = UUID("00000000-0000-7000-8000-000000000001")  # an act named half a century ago
LAST = UUID("ffffffff-ffff-4fff-bfff-ffffffffffff")


def gave(session, *serials, by="her", now=NOW, act=None, **told):
    asked = HandOut(act or new_id(), "CAF", True, "attested", serials=serials, **told)
    return done(hand_out(session, asked, by=by, now=now))


def test_all_of_a_long_day_is_counted_and_the_last_are_listed(session):
    serials = an_order(session, a_world(session), 12)
    for minutes, serial in enumerate(serials[:53]):
        at = Moment(NOW.at - timedelta(hours=4, minutes=-minutes), NOW.zone)
        gave(session, serial, now=at)
    gave(session, serials[53], by="another")

    told = given_today(session, "her", ["CAF"], now=NOW)

    assert told.in_all == 53
    assert len(told.last) == 50
    latest = Serial.parse(serials[52]).carnet
    assert (told.last[0].carnets, told.last[0].passes) == ((latest,), 1)
    assert given_today(session, "her", ["CAF"], now=NOW, most=3).in_all == 53


def test_a_day_is_that_of_the_recording_however_acts_are_named(session):
    serials = an_order(session, a_world(session), 2)
    gave(session, serials[0], now=moment("2020-01-19", 23), act=LAST)
    gave(session, serials[1], act=FIRST)
    gave(session, serials[2], act=uuid4())
    # What a device kept from Friday to Monday, and what a desk wrote on paper meanwhile.
    gave(session, serials[3], given_at=NOW.at - timedelta(days=3))
    gave(session, serials[4], given_on=moment("2020-01-16").day)

    told = given_today(session, "her", ["CAF"], now=NOW)

    assert told.in_all == len(told.last) == 4
    assert sorted(given.on.day for given in told.last) == [16, 17, 20, 20]
    assert given_today(session, "her", ["CCAS"], now=NOW).in_all == 0
    assert given_today(session, "her", [], now=NOW) == (0, [])
