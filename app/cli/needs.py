"""The command that sizes needs: from a population to an order."""

import json
import sys
from pathlib import Path

import click

from app.cli.frame import MESSAGES, Place, _, as_table, with_place
from app.needs import as_csv, as_json, as_text, assess
from redemption.communes import read_communes


@click.command(
    "needs",
    help=_("Évalue les besoins d'une population, et la commande de carnets qui y répond."),
)
@click.option(
    "--population", type=click.IntRange(0, 100_000_000), help=_("Combien d'habitants.")
)
@click.option(
    "--communes", type=click.Path(dir_okay=False, path_type=Path),
    help=_("Un CSV des communes : code INSEE, nom, population."),
)  # fmt: skip
@click.option("--tranche", help=_("La tranche qui paierait les carnets."))
@click.option(
    "--people", type=click.IntRange(0, 100_000_000),
    help=_("Pour combien de personnes ; sinon, toutes celles à former."),
)  # fmt: skip
@click.option(
    "--each", type=click.IntRange(1, 100), default=1, show_default=True,
    help=_("Combien de carnets par personne."),
)  # fmt: skip
@as_table
@with_place
def needs_(
    place: Place,
    population: int | None,
    communes: Path | None,
    tranche: str | None,
    people: int | None,
    each: int,
    form: str,
) -> None:
    """Size needs; nothing is kept."""
    if (population is None) == (communes is None):
        raise click.UsageError(_("donnez --population ou --communes, l'un des deux"))
    if people is not None and tranche is None:
        raise click.UsageError(_("--people demande --tranche"))
    among = population if population is not None else read_communes(_read(communes))
    with place.begin(read_only=True) as session:
        found = assess(
            session, among, tranche=tranche, people=people, each=each, on=place.now.day
        )
    if form == "csv":
        click.echo(as_csv(found), nl=False)
    elif form == "json":
        click.echo(json.dumps(as_json(found), ensure_ascii=False, indent=2))
    else:
        click.echo(as_text(found, MESSAGES))


def _read(file: Path | None) -> bytes:
    try:
        return b"" if file is None else file.read_bytes()
    except OSError as no:
        click.echo(
            _("Impossible de lire {file} : {why}.", file=file, why=no.strerror), err=True
        )
        sys.exit(1)


COMMANDS = (needs_,)
