"""The command that draws a sample for an auditor: announced first, drawn from what was announced."""

import json
import sys

import click
import msgspec

from app.cli.frame import BY, MESSAGES, Place, _, print_rows, with_place
from app.spreadsheets import csv_text
from redemption.sampling import AnnounceSample, Sample, announce, newest_checkpoint
from redemption.sampling import sample as draw

TITLES = ("rank", "index", "entry", "serial", "day", "site", "site_name", "tranche", "cents")  # fmt: skip
SEED_TITLES = ("checkpoint", "root", "number", "announcement")


@click.command(
    "sample",
    help=_("Tire au sort des utilisations, pour un contrôle que chacun peut refaire."),
)
@click.option("--size", type=int, required=True, help=_("Combien d'utilisations tirer."))
@click.option(
    "--seed", "number", type=int, required=True,
    help=_("Le nombre entier choisi par l'auditeur, après la publication du point de contrôle."),
)  # fmt: skip
@click.option("--tranche", help=_("Seulement une tranche."))
@click.option("--call", "call_code", help=_("Seulement un appel à projets."))
@click.option(
    "--checkpoint", type=int,
    help=_("La taille d'un point de contrôle publié ; sinon, le dernier."),
)  # fmt: skip
@click.option(
    "--format", "form", type=click.Choice(["text", "csv", "json"]), default="text"
)
@with_place
def sample(
    place: Place,
    size: int,
    number: int,
    tranche: str | None,
    call_code: str | None,
    checkpoint: int | None,
    form: str,
) -> None:
    """Announce a sample, commit, then draw it; exit code 1 when it is refused."""
    late = False
    with place.begin() as session:
        if checkpoint is None:
            checkpoint = newest_checkpoint(session)
            late = form == "text"
        request = AnnounceSample(checkpoint, number, size, tranche, call_code)
        answer = announce(session, request, by=BY, now=place.now)
    if not answer.accepted:
        click.echo(
            f"{MESSAGES.refusal(answer.code, answer.facts)} [{answer.code}]", err=True
        )
        sys.exit(1)
    if late:
        told = _(
            "Le point de contrôle est pris maintenant, peut-être après que le nombre a été dit."
            " Pour un tirage que personne ne conteste : --checkpoint."
        )
        click.echo(told, err=True)
    with place.begin(read_only=True) as session:
        _print(draw(session, answer.act), form)


def _print(found: Sample, form: str) -> None:
    if form == "json":
        text = json.dumps(msgspec.to_builtins(found), ensure_ascii=False, indent=2)
        click.echo(text)
        return
    rows = [[getattr(use, title) for title in TITLES] for use in found.drawn]
    seed = [getattr(found, title) for title in SEED_TITLES]
    if form == "csv":
        with_seed = [[*row, *seed] for row in rows]
        click.echo(csv_text(TITLES + SEED_TITLES, with_seed), nl=False)
        return
    click.echo(
        _(
            "Point de contrôle : {checkpoint} écritures, racine {root}",
            checkpoint=found.checkpoint,
            root=found.root,
        )
    )
    click.echo(_("Nombre de l'auditeur : {number}", number=found.number))
    scope = [s for s in (found.tranche, found.call) if s is not None]
    click.echo(
        _(
            "Population : {population} utilisations ({scope})",
            population=found.population,
            scope=scope[0] if scope else _("tout le journal"),
        )
    )
    click.echo(_("Annoncé par l'écriture {entry}", entry=found.announcement))
    click.echo()
    print_rows(TITLES, rows, form)


COMMANDS = (sample,)
