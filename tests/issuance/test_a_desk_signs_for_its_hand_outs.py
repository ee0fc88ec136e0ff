"""What rests on a desk's word is signed for: each hand-out once, by the hash of a paper that is not kept."""

from datetime import date
from hashlib import sha256
from io import BytesIO

import pytest
from sqlalchemy import select

from issuance.attestations import (
    FILE_MAX,
    AttestationUnreadable,
    FileAttestation,
    Standing,
    file_attestation,
    filed,
    hand_outs_hash,
    read_paper,
    standings,
    to_attest,
)
from issuance.models import attested
from ledger.identifiers import new_id
from ledger.models import entry
from tests.builders import a_world, an_order, done, given
from tests.conftest import moment
from tests.together import at_once

NOW = moment("2020-03-02")
JANUARY = (date(2020, 1, 1), date(2020, 1, 31))


def paper_of(text: bytes):
    return read_paper(BytesIO(text))


def file_it(session, text: bytes = b"signed", days=JANUARY, desk: str = "CAF", now=NOW):
    request = FileAttestation(new_id(), desk, *days, paper_of(text))
    return file_attestation(session, request, by="test", now=now)


def a_month(session) -> list:
    """Two hand-outs of January on the desk's word, one on a document, one of February."""
    serials = an_order(session, a_world(session))
    told = [
        given(session, serials[0], now=moment("2020-01-21")),
        given(session, *serials[5:8], now=moment("2020-01-20"), pic=False),
        given(session, serials[1], proof="document_seen"),
        given(session, serials[2], now=moment("2020-02-03")),
    ]
    return [done(answer).act for answer in told]


def test_a_paper_covers_what_the_desk_gave_on_its_word_on_these_days(session):
    first, second, _seen, later = a_month(session)
    assert standings(session) == [Standing("CAF", 3, 5, date(2020, 1, 20))]
    listed = to_attest(session, "CAF", *JANUARY)
    assert [row.hand_out for row in listed] == [second, first]
    assert [len(row.serials) for row in listed] == [3, 1]

    facts = done(file_it(session)).facts
    assert facts == {
        "desk": "CAF",
        "from": "2020-01-01",
        "hand_outs": 2,
        "hand_outs_sha256": hand_outs_hash([second, first]),
        "sha256": sha256(b"signed").hexdigest(),
        "size": 6,
        "until": "2020-01-31",
    }
    assert set(session.scalars(select(attested.c.hand_out))) == {first, second}
    assert standings(session) == [Standing("CAF", 1, 1, date(2020, 2, 3))]
    assert to_attest(session, "CAF", *JANUARY) == []
    [line] = filed(session)
    assert (line.desk, line.hand_outs, line.filed_on) == ("CAF", 2, NOW.day)

    whole = (date(2020, 1, 1), date(2020, 2, 29))
    assert done(file_it(session, b"again", whole)).facts["hand_outs"] == 1
    assert set(session.scalars(select(attested.c.hand_out))) == {first, second, later}
    assert standings(session) == []


def test_what_is_written_late_waits_for_a_paper_of_its_own(session):
    a_month(session)
    done(file_it(session))
    late = given(
        session, "23-000004-1", now=moment("2020-02-10"), given_on=date(2020, 1, 30)
    )
    assert [row.hand_out for row in to_attest(session, "CAF", *JANUARY)] == [late.act]
    assert done(file_it(session, b"another")).facts["hand_outs"] == 1


def test_lists_are_of_the_programmes_that_are_asked_for(session):
    a_month(session)
    assert standings(session, programmes=["tela"]) == standings(session)
    assert standings(session, programmes=["aliso"]) == []
    assert to_attest(session, "CAF", *JANUARY, programmes=["aliso"]) == []


def test_a_file_is_filed_once_and_a_paper_for_nothing_is_refused(session):
    a_month(session)
    assert file_it(session, desk="MSA").code == "not_found"
    assert file_it(session, days=JANUARY[::-1]).code == "days_out_of_order"
    ahead = (JANUARY[0], date(2020, 3, 3))
    assert file_it(session, days=ahead).code == "days_out_of_order"
    none = (date(2020, 2, 10), date(2020, 2, 20))
    assert file_it(session, days=none).code == "nothing_to_attest"
    done(file_it(session))
    whole = (date(2020, 1, 1), date(2020, 2, 29))
    twice = file_it(session, days=whole)
    assert (twice.code, twice.facts) == ("attestation_filed_already", {"on": "2020-03-02"})
    kinds = session.scalars(select(entry.c.kind).where(entry.c.uses == "attest")).all()
    assert kinds == ["attestation_filed"]


def test_a_file_is_read_piece_by_piece_up_to_its_bound():
    with pytest.raises(AttestationUnreadable) as empty:
        paper_of(b"")
    assert empty.value.reason == "empty"
    assert paper_of(bytes(FILE_MAX)).size == FILE_MAX

    class Endless:
        given = 0

        def read(self, n: int) -> bytes:
            self.given += n
            return bytes(n)

    endless = Endless()
    with pytest.raises(AttestationUnreadable) as too_large:
        read_paper(endless)
    assert too_large.value.reason == "too_large"
    assert endless.given < FILE_MAX + 100_000


def test_two_papers_at_once_cover_no_hand_out_twice(database):
    with database.begin("23") as session:
        a_month(session)

    def one(n: int) -> str:
        with database.begin("23") as session:
            return file_it(session, b"paper %d" % n).code

    assert sorted(at_once(one, 4)) == ["accepted", *["nothing_to_attest"] * 3]
