"""Commands about the vault: its master key, what it knows of a person, forgetting one, who looked."""

import sys
from collections import Counter
from typing import get_args
from uuid import UUID

import click
from sqlalchemy.orm import Session

from app.cli.frame import (
    BY,
    Place,
    _,
    as_json,
    conclude,
    print_rows,
    with_instance,
    with_place,
)
from app.instance import Instance
from app.rotation import rotate
from issuance import vault
from issuance.vault import ErasePerson, PersonErased, Purpose
from ledger.canonical import encode
from ledger.identifiers import new_id
from ledger.sealing import key_text, new_key


@click.group("vault", help=_("La chambre forte : ce qui est su des personnes, chiffré."))
def vault_() -> None:
    """Hold the commands about the vault together."""


@vault_.group(help=_("La clé maîtresse."))
def key() -> None:
    """Hold the commands about the master key together."""


@key.command("new", help=_("Écrit une nouvelle clé maîtresse ; rien n'est enregistré."))
def new() -> None:
    """Print a key, and nothing else, so that it goes straight into a file."""
    click.echo(key_text(new_key()))


@vault_.command(
    "rotate", help=_("Referme tout avec la première clé réglée ; peut être interrompu.")
)
@with_instance
def rotate_(instance: Instance) -> None:
    """Seal anew what older keys sealed, everywhere; exit code 1 if something stays under another."""
    current, unreadable = instance.sealer.current, 0
    for tenant in instance.database.working_departements():
        counts: Counter[str] = Counter()
        for piece in rotate(instance, tenant.code):
            counts["resealed"] += piece.resealed
            counts["unreadable"] += piece.unreadable
        unreadable += counts["unreadable"]
        told = _(
            "Département {code} : {resealed} refermés, {unreadable} illisibles.",
            code=tenant.code,
            resealed=counts["resealed"],
            unreadable=counts["unreadable"],
        )
        click.echo(told)
    if unreadable:
        told = _("Une clé manque : remettez l'ancienne dans les réglages, et relancez.")
        click.echo(told, err=True)
        sys.exit(1)
    told = _(
        "Tout est fermé par la clé {key} : les autres ne servent plus.",
        key=current,
    )
    click.echo(told)


_hand_out = click.option("--hand-out", type=click.UUID, help=_("Le numéro de la remise."))
_pass = click.option("--pass", "serial", help=_("Un pass de la remise."))
_person = click.option(
    "--person", type=click.UUID, help=_("Le numéro de la personne à la chambre forte.")
)


def _chosen(
    session: Session, hand_out: UUID | None, serial: str | None, person: UUID | None
) -> UUID:
    match hand_out, serial, person:
        case UUID() as act, None, None:
            return vault.person_of_hand_out(session, act)
        case None, str() as printed, None:
            return vault.person_of_pass(session, printed)
        case None, None, UUID() as known:
            return known
    raise click.UsageError(_("Dites une remise, un pass ou une personne."))


@vault_.command("read", help=_("Lit ce qui est su d'une personne ; la lecture est notée."))
@_hand_out
@_pass
@_person
@click.option(
    "--purpose",
    type=click.Choice(get_args(Purpose)),
    required=True,
    help=_("Pourquoi vous lisez."),
)
@as_json
@with_place
def read(
    place: Place,
    hand_out: UUID | None,
    serial: str | None,
    person: UUID | None,
    purpose: Purpose,
    form: str,
) -> None:
    """Print the records of a person, once the look is written down."""
    with place.begin() as session:
        chosen = _chosen(session, hand_out, serial, person)
        found = vault.read(
            session,
            place.instance.sealer,
            [chosen],
            purpose=purpose,
            by=BY,
            now=place.now,
        )
        if chosen not in found:
            raise PersonErased
    rows = []
    for r in found[chosen]:
        told = r.content.told if form == "json" else encode(r.content.told).decode()
        rows.append((r.person, r.kind, r.turn, r.made_at, told, r.entry))
    print_rows(["person", "kind", "turn", "made_at", "told", "entry"], rows, form)


@vault_.command("erase", help=_("Efface une personne pour toujours : sa clé est détruite."))
@_hand_out
@_pass
@_person
@with_place
def erase(
    place: Place, hand_out: UUID | None, serial: str | None, person: UUID | None
) -> None:
    """Forget a person; the accounts and the journal do not change."""
    with place.begin() as session:
        chosen = _chosen(session, hand_out, serial, person)
        answer = vault.erase(session, ErasePerson(new_id(), chosen), by=BY, now=place.now)
    place.instance.database.fold(place.code)
    conclude(answer, "Personne effacée : ses données ne peuvent plus être lues.")


@vault_.command("accesses", help=_("Dit qui a lu quoi, quand et pourquoi."))
@as_json
@with_place
def accesses(place: Place, form: str) -> None:
    """List who looked, newest first."""
    with place.begin(read_only=True) as session:
        rows = vault.accesses(session)
    print_rows(["at", "who", "person", "purpose", "entry"], rows, form)


COMMANDS = (vault_,)
