"""Named places where euros are: made when their owner is made, never lazily at the counter."""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from hashlib import sha256

from sqlalchemy import select
from sqlalchemy.orm import Session

from ledger.models import account

ASKED = 10_000  # at once: a driver takes 65,535 parameters at most


def account_name(kind: str, book: str, party: str | None = None) -> str:
    """Return the full name: `due/1/42` is what tranche 1 owes to site 42."""
    return f"{kind}/{book}" if party is None else f"{kind}/{book}/{party}"


@lru_cache(maxsize=65536)
def account_id(name: str) -> int:
    """Return the id derived from the name: 63 bits of its SHA-256, so that nobody looks it up."""
    return int.from_bytes(sha256(name.encode()).digest()[:8]) >> 1


def open_accounts(
    session: Session, names: Iterable[tuple[str, str, str | None]]
) -> Sequence[str]:
    """Make the accounts (kind, book, party) that do not exist yet; return their full names."""
    wanted = {account_name(*parts): parts for parts in names}
    named = list(wanted)
    existing: set[str] = set()
    for first in range(0, len(named), ASKED):
        some = account.c.name.in_(named[first : first + ASKED])
        existing |= set(session.scalars(select(account.c.name).where(some)))
    fresh = [
        {"id": account_id(name), "name": name, "kind": kind, "book": book, "party": party}
        for name, (kind, book, party) in sorted(wanted.items())
        if name not in existing
    ]
    if fresh:
        session.execute(account.insert(), fresh)
    return list(wanted)
