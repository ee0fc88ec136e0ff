r"""A limit per person without a list of names: each person is a keyed mark, counted over all desks.

    mark = HMAC-SHA256(secret, surname 0x00 first name 0x00 birth date as YYYY-MM-DD)

The secret is 256 random bits of the département's own, sealed by the master key: without it
nobody makes a mark from a name, nor tries names against marks.  A name is folded first: case,
accents, hyphens, apostrophes and spaces do not tell people apart, so that two desks that write
the same name differently count the same person.  Two people may so have one mark (the same names,
the same day): `despite_limit` is their way out, and leaves a trace.

The name itself is kept nowhere.  What is counted is passes handed out of one tranche; another
tranche counts anew.  What replaces lost paper is no hand-out, and does not count.

    >>> folded("  Éloïse-Marie "), folded("D'Œuvre"), folded("LE GOFF") == folded("Le-Goff")
    ('eloisemarie', 'doeuvre', True)
"""

import hmac
import unicodedata
from typing import Literal
from uuid import UUID

from sqlalchemy import func, insert, select
from sqlalchemy.dialects import postgresql
from sqlalchemy.orm import Session

from issuance.holders import Holder, HolderNeeded, LimitPerPerson
from issuance.models import vault_mark, vault_person, vault_secret
from issuance.vault import Person, PersonErased, known_person, new_person
from ledger import gates
from ledger.bulk import is_postgres
from ledger.moments import Moment
from ledger.resealing import Shelf
from ledger.sealing import Sealer, new_key

DespiteLimit = Literal["other_person", "decided"]

_SECRET = "mark"  # noqa: S105 - its name
# Letters that Unicode does not take apart, as they are written without their mark.
_PLAIN = str.maketrans(
    {"œ": "oe", "æ": "ae", "ø": "o", "đ": "d", "ð": "d", "ł": "l", "ı": "i"}
)


def _about(name: str) -> str:
    return f"vault/secret/{name}"


# What a rotation of the master key seals anew.
SECRETS = Shelf(vault_secret.c.name, vault_secret.c.sealed, _about)


def folded(name: str) -> str:
    """Return a name by its letters and figures alone, without case nor accents."""
    apart = unicodedata.normalize("NFKD", name.casefold().translate(_PLAIN))
    return "".join(sign for sign in apart if sign.isalnum())


def mark_of(secret: bytes, holder: Holder) -> bytes:
    """Return the mark of a person, 32 bytes; refused with `holder_needed` where a name has no letter."""
    names = [folded(holder.surname), folded(holder.first_name)]
    if not all(names):
        raise HolderNeeded("unreadable")
    told = "\0".join([*names, holder.born_on.isoformat()])
    return hmac.digest(secret, told.encode(), "sha256")


def the_secret(session: Session, sealer: Sealer, *, now: Moment) -> bytes:
    """Return the secret that makes marks, made the first time; refused as `Sealer.seal` and `Sealer.open`."""
    kept = select(vault_secret.c.sealed).where(vault_secret.c.name == _SECRET)
    sealed = session.scalar(kept)
    if sealed is None:
        row = {
            "name": _SECRET,
            "sealed": sealer.seal(new_key(), _about(_SECRET)),
            "made_at": now.at,
        }
        if is_postgres(session):  # of two desks that are the first, one waits for the other
            session.execute(
                postgresql.insert(vault_secret).values(row).on_conflict_do_nothing()
            )
        else:
            session.execute(insert(vault_secret).values(row))
        sealed = session.scalars(kept).one()
    return sealer.open(sealed, _about(_SECRET))


def given_so_far(session: Session, mark: bytes, tranche: int) -> int:
    """Return how many passes of a tranche were handed out to a mark; held, it stays so."""
    counted = select(func.coalesce(func.sum(vault_mark.c.passes), 0)).where(
        vault_mark.c.mark == mark, vault_mark.c.tranche == tranche
    )
    return int(session.scalars(counted).one())


def be_within(
    session: Session,
    mark: bytes,
    *,
    tranche: int,
    passes: int,
    limit: int,
    despite: DespiteLimit | None,
) -> DespiteLimit | None:
    """Hold a mark, and raise `LimitPerPerson` if so many more passes would be too many.

    Return by which way out they are given all the same; None where the limit is kept.
    """
    gates.in_turn(session, [f"mark/{mark.hex()}"])  # whoever gives to the same person waits
    given = given_so_far(session, mark, tranche)
    if given + passes <= limit:
        return None
    if despite is None:
        raise LimitPerPerson(given, limit)
    return despite


def person_marked(
    session: Session, sealer: Sealer, mark: bytes, *, other: bool, now: Moment
) -> Person:
    """Return the person of the vault that a mark stands for, so that forgetting forgets all of it.

    A new one where there is none, or where a desk says that it is an `other` person.
    """
    first = session.scalar(
        select(vault_mark.c.person)
        .join(vault_person, vault_person.c.id == vault_mark.c.person)
        .where(vault_mark.c.mark == mark)
        .order_by(vault_person.c.made_at, vault_mark.c.entry_id)
        .limit(1)
    )
    if first is None or other:
        return new_person(session, sealer, now=now)
    try:
        return known_person(session, sealer, first)
    except PersonErased:  # meanwhile
        return new_person(session, sealer, now=now)


def count(
    session: Session, mark: bytes, *, person: UUID, entry: UUID, tranche: int, passes: int
) -> None:
    """Count what a hand-out gave; its entry is recorded already, in the same transaction."""
    session.execute(
        insert(vault_mark).values(
            entry_id=entry, person=person, mark=mark, tranche=tranche, passes=passes
        )
    )
