"""Commands about the proof of an order: it is set, looked at, and approved before paper is printed."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from app.cli.frame import BY, NUMBER, Place, _, conclude, with_place
from app.cli.printing import with_look
from app.durable import private_file
from app.printing import templates
from app.printing.batch import PrintNotWritten
from app.printing.content import read_logos
from app.printing.printing import Asked, Prepared, printing
from app.printing.proof import approval, check_file, prepare_proof, proof_pdf
from issuance.proofs import approve_proof
from ledger.identifiers import new_id

_kind = click.option(
    "--kind",
    type=click.Choice(["pdf", "shop"]),
    default="pdf",
    show_default=True,
    help=_("Nos feuilles A4, ou celles d'un imprimeur."),
)


@click.command(
    "proof", help=_("Compose l'épreuve d'une commande : un carnet sans valeur, à regarder.")
)
@click.argument("number", type=NUMBER)
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    help=_("Le dossier où l'épreuve est écrite."),
)
@_kind
@with_look
@with_place
def proof(place: Place, number: int, out: Path, **look: Any) -> None:
    """Set one void carnet with what the order's own will be; print-shop files where a shop sets it."""
    prepared = _prepared(place, number, look)
    if prepared.plan.kind == "shop":
        with printing(prepared, out) as made:
            list(made.steps)
        click.echo(_("Fichiers d'un carnet sans valeur écrits dans {out}.", out=out))
        click.echo(
            _("Envoyez-les à l'imprimeur, puis approuvez l'épreuve qu'il vous rend.")
        )
        return
    target = out / f"epreuve-commande-{number}.pdf"
    with _writing(out):
        out.mkdir(mode=0o700, parents=True, exist_ok=True)
        private_file(target, [proof_pdf(prepared)])
    click.echo(_("Épreuve de la commande {number} : {path}", number=number, path=target))
    click.echo(_("Regardez-la, puis approuvez-la : « passnum order approve »."))


@click.command("approve", help=_("Approuve l'épreuve d'une commande : bon à tirer."))
@click.argument("number", type=NUMBER)
@click.option(
    "--proof",
    "file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    required=True,
    help=_("Le fichier de l'épreuve que vous avez regardée."),
)
@_kind
@with_look
@with_place
def approve(place: Place, number: int, file: Path, **look: Any) -> None:
    """Record that the proof is good, if it is the one that would be set now."""
    prepared = _prepared(place, number, look)
    seen = file.read_bytes()
    check_file(prepared, seen, str(file))
    request = approval(prepared, seen, which=new_id())
    with place.begin() as session:
        answer = approve_proof(session, request, by=BY, now=place.now)
    conclude(
        answer,
        "Épreuve de la commande {number} approuvée : ses carnets peuvent être imprimés.",
        number=number,
    )


def _prepared(place: Place, number: int, look: dict[str, Any]) -> Prepared:
    folder = look["template"]
    chosen = templates.own(look["kind"]) if folder is None else templates.read(folder)
    asked = Asked(number, None, None, chosen, read_logos(look["logos"]), look["near"])
    with place.begin(read_only=True) as session:
        return prepare_proof(
            session,
            asked,
            place.instance.departement(place.code),
            phone=place.instance.settings.phone(place.code),
            now=place.now,
        )


@contextmanager
def _writing(out: Path) -> Iterator[None]:
    try:
        yield
    except OSError as no:
        raise PrintNotWritten(str(out), no.strerror or str(no)) from None


SET_SHEETS = (proof, approve)
