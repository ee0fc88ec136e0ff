"""A key of the log whose secret is lost is followed at once by one under another secret."""

import pytest
from sqlalchemy import select

from ledger.identifiers import new_id
from ledger.key_sealing import KeysLocked
from ledger.log_keys import (
    EndLogKey,
    NewLogKey,
    NoLogKey,
    end_log_key,
    listed_log_keys,
    log_signers,
    new_log_key,
    public_log_keys,
)
from ledger.models import entry
from ledger.witness_policies import SetPolicy, policy_text, set_policy
from tests.builders import SECRET, done, sequence
from tests.conftest import moment

NAME = "pass.example/23"
OTHER = b"another secret, also long enough"
NOW = moment("2020-02-03")


def made(session, secret=SECRET, *, lost=False):
    asked = NewLogKey(new_id(), NAME, lost)
    return new_log_key(session, asked, secret=secret, by="t", now=NOW)


def test_a_lost_secret_ends_the_keys_it_sealed(database):
    with database.begin("23") as session:
        with pytest.raises(NoLogKey):
            log_signers(session, SECRET)
        done(made(session))
    sequence(database)
    with database.begin("23") as session:
        assert made(session, OTHER).code == "keys_locked"
        with pytest.raises(KeysLocked):
            log_signers(session, OTHER)
        act = done(made(session, OTHER, lost=True)).act
        rows = session.execute(
            select(entry.c.kind).where(entry.c.act_id == act).order_by(entry.c.kind)
        )
        assert list(rows.scalars()) == ["log_key_ended", "log_key_made"]
        keys = listed_log_keys(session)
        assert [(k.rank, k.signs, k.ended) for k in keys] == [
            (0, False, "lost"),
            (1, True, None),
        ]
        [signer] = log_signers(session, OTHER)
        assert (
            signer.private.public_key().public_bytes_raw()
            == public_log_keys(session)[1].public
        )
        assert made(session, SECRET).code == "keys_locked"
        done(made(session, OTHER))
        last = EndLogKey(new_id(), 0, "lost")
        assert end_log_key(session, last, by="t", now=NOW).code == "log_key_unknown"


def test_a_policy_keeps_no_key_of_the_log(database):
    """What `policy show` prints can be set again, and a later key is in it all the same."""
    with database.begin("23") as session:
        done(made(session))
        done(
            set_policy(session, SetPolicy(new_id(), policy_text(session)), by="t", now=NOW)
        )
        done(made(session))
        lines = policy_text(session).splitlines()
    assert [line.split()[0] for line in lines] == ["log", "log", "quorum"]
