"""The nightly doubt, on the vault's side: who looked, and who was erased, is in the journal too."""

from collections import Counter
from collections.abc import Iterator

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from issuance.models import vault_access, vault_person
from ledger import canonical
from ledger.audit import Check, Finding
from ledger.models import entry


def the_vault_tells_who_looked(session: Session) -> Iterator[Finding]:
    """Each look at the vault has a line for each person it saw, as its entry says."""
    lines: Counter[tuple[object, ...]] = Counter()
    for seen in session.execute(
        select(vault_access.c.entry_id, vault_access.c.who, vault_access.c.purpose)
    ):
        lines[tuple(seen)] += 1
    looks = session.execute(
        select(entry.c.id, entry.c.actor, entry.c.body).where(entry.c.kind == "vault_read")
    )
    for identifier, actor, body in looks:
        facts = canonical.decode(body)["facts"]
        counted = lines.pop((identifier, actor, facts["purpose"]), 0)
        if counted != facts["persons"]:
            yield Finding(
                "access_differs",
                {
                    "entry": str(identifier),
                    "told": facts["persons"],
                    "lines": counted,
                },
            )
    for identifier, _who, _purpose in lines:
        yield Finding("access_without_entry", {"entry": str(identifier)})


def the_vault_forgot_who_it_was_asked_to(session: Session) -> Iterator[Finding]:
    """As many persons have lost their key as the journal has erasures."""
    told = session.scalars(
        select(func.count()).select_from(entry).where(entry.c.kind == "vault_erased")
    ).one()
    erased = session.scalars(
        select(func.count()).where(vault_person.c.sealed_key.is_(None))
    ).one()
    if told != erased:
        yield Finding("erasure_differs", {"told": told, "erased": erased})


CHECKS: tuple[Check, ...] = (
    the_vault_tells_who_looked,
    the_vault_forgot_who_it_was_asked_to,
)
