"""Accounts are made when their owner is made, however many there are, and once."""

import pytest
from sqlalchemy import func, select

from ledger import accounts
from ledger.models import account


@pytest.mark.parametrize("asked", [1, 2, 7, accounts.ASKED])
def test_those_that_exist_are_found_whatever_is_asked_at_once(session, monkeypatch, asked):
    assert accounts.ASKED < 65_535, "the parameters of a statement"
    monkeypatch.setattr(accounts, "ASKED", asked)
    before = session.scalar(select(func.count()).select_from(account))
    some = [("due", "1", str(site)) for site in range(4)]
    more = [("due", "1", str(site)) for site in range(7)]
    assert accounts.open_accounts(session, some) == [f"due/1/{site}" for site in range(4)]
    assert len(accounts.open_accounts(session, more)) == len(more)
    after = session.scalar(select(func.count()).select_from(account))
    assert (after or 0) - (before or 0) == len(more)
