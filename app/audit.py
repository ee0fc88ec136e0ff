"""Every doubt of every package, by name."""

from collections.abc import Iterator

from sqlalchemy.orm import Session

from funding.audit import CHECKS as FUNDS
from issuance.audit import CHECKS as VAULT
from ledger.audit import CHECKS as JOURNAL
from ledger.audit import Finding
from redemption.audit import CHECKS as COUNTER
from redemption.stock_audit import CHECKS as STOCK


def audit_departement(
    session: Session, *, with_vault: bool = True
) -> Iterator[tuple[str, Iterator[Finding]]]:
    """Yield each check's name and what it finds; the session must see one picture throughout.

    The vault of a département that came from a coffre alone stayed where it was.
    """
    for check in (*JOURNAL, *FUNDS, *(VAULT if with_vault else ()), *COUNTER, *STOCK):
        yield check.__name__, check(session)
