"""Commands about the papers that desks sign for their hand-outs: filing one by its hash, and what is left."""

from datetime import date
from pathlib import Path

import click

from app.cli.frame import BY, DAY, Place, _, as_table, conclude, print_rows, with_place
from issuance.attestations import (
    FileAttestation,
    Filed,
    Standing,
    file_attestation,
    filed,
    read_paper,
    standings,
)
from ledger.identifiers import new_id


@click.group(help=_("Les attestations que les guichets signent pour leurs remises."))
def attestation() -> None:
    """Hold the commands about attestations together."""


@attestation.command(
    "file",
    help=_("Dépose une attestation signée. Gardez l'original : seule son empreinte reste."),
)
@click.argument("path", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--desk", "code", required=True, help=_("Le guichet qui a signé."))
@click.option("--from", "first", type=DAY, required=True, help=_("Premier jour couvert."))
@click.option("--until", "last", type=DAY, required=True, help=_("Dernier jour couvert."))
@with_place
def file_(place: Place, path: Path, code: str, first: date, last: date) -> None:
    """File a signed paper by its hash."""
    with path.open("rb") as file:
        paper = read_paper(file)
    request = FileAttestation(new_id(), code, first, last, paper)
    with place.begin() as session:
        answer = file_attestation(session, request, by=BY, now=place.now)
    conclude(
        answer,
        "Attestation déposée : {hand_outs} remises couvertes. Gardez l'original : nous n'en gardons que l'empreinte.",
        hand_outs=answer.facts.get("hand_outs"),
    )


@attestation.command(
    "list", help=_("Liste les remises que rien n'atteste encore, ou ce qui est déposé.")
)
@click.option("--filed", "of_filed", is_flag=True, help=_("Les attestations déposées."))
@as_table
@with_place
def list_(place: Place, form: str, *, of_filed: bool) -> None:
    """List desks with hand-outs that no paper covers, or the papers that were filed."""
    with place.begin(read_only=True) as session:
        if of_filed:
            print_rows(Filed._fields, filed(session), form)
        else:
            print_rows(Standing._fields, standings(session), form)


COMMANDS = (attestation,)
