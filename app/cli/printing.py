"""The command that prints: sheets, files for a print shop, pages for a telephone; each batch leaves an entry."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import click

from app.cli.frame import BY, NUMBER, Place, _, conclude, with_place
from app.printing import templates
from app.printing.batch import MANIFEST
from app.printing.content import read_logos
from app.printing.printing import Asked, prepare, printing, record
from issuance.desks import commune_of
from issuance.printed import Kind

R = TypeVar("R")

_folder = click.Path(exists=True, file_okay=False, path_type=Path)


def with_look(command: Callable[..., R]) -> Callable[..., R]:
    """Give a command what decides how carnets look: `logos`, `near` and `template`."""
    for option in (
        click.option("--template", type=_folder, help=_("Un autre modèle que les nôtres.")),
        click.option(
            "--near",
            help=_("La commune du guichet : ses lieux les plus proches sont imprimés."),
        ),
        click.option(
            "--logos",
            type=_folder,
            help=_(
                "Un dossier de logos, SVG ou PNG : chaque fichier porte le nom de l'organisme."
            ),
        ),
    ):
        command = option(command)
    return command


@click.command(
    "print",
    help=_("Imprime les carnets d'une commande : ces fichiers valent de l'argent."),
)
@click.argument("number", type=NUMBER)
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    help=_("Le dossier du lot : vide, ou celui d'un lot interrompu."),
)
@click.option("--first", type=NUMBER, help=_("Premier carnet ; le premier de la commande."))
@click.option("--count", type=NUMBER, help=_("Combien de carnets ; tous."))
@click.option(
    "--kind",
    type=click.Choice(["pdf", "shop", "phone"]),
    default="pdf",
    show_default=True,
    help=_("Des feuilles A4, des fichiers pour un imprimeur, ou des pages de téléphone."),
)
@click.option(
    "--desk",
    help=_("Le guichet qui les remettra : les lieux les plus proches de sa commune."),
)
@with_look
@with_place
def print_(
    place: Place,
    number: int,
    out: Path,
    first: int | None,
    count: int | None,
    kind: Kind,
    desk: str | None,
    logos: Path | None,
    near: str | None,
    template: Path | None,
) -> None:
    """Print a batch, or go on with the one that the folder holds, and leave its entry."""
    chosen = templates.own(kind) if template is None else templates.read(template)
    signer = place.instance.signer(place.code)
    with place.begin(read_only=True) as session:
        if desk is not None and near is None:
            near = commune_of(session, desk)
        asked = Asked(number, first, count, chosen, read_logos(logos), near)
        prepared = prepare(
            session,
            asked,
            place.instance.departement(place.code),
            signer,
            phone=place.instance.settings.phone(place.code),
            now=place.now,
        )
    with printing(prepared, out) as made:
        carnets = made.plan.last_carnet - made.plan.first_carnet + 1
        with click.progressbar(length=carnets, label=_("Impression")) as bar:
            for done in made.steps:
                bar.update(done)
        with place.begin() as session:
            answer = record(session, made, by=BY, now=place.now)
    conclude(
        answer,
        "Carnets {first} à {last} écrits dans {out} : lot {batch} de la commande {order}.",
        first=made.plan.first_carnet,
        last=made.plan.last_carnet,
        out=out,
        batch=answer.facts.get("batch"),
        order=number,
    )
    click.echo(_("Empreinte de {manifest} : {hash}", manifest=MANIFEST, hash=made.manifest))


COMMANDS = (print_,)
