"""Commands of a witness: a separate process, for a co-funder or a prefecture; it has no database."""

from collections.abc import Callable
from pathlib import Path

import click

from app.cli.frame import _, as_json, print_rows
from app.instance import utc_now
from app.witness.server import create_witness, run
from app.witness.state import WitnessKey, WitnessState
from ledger.notes import NoteError

_state = click.option(
    "--state", type=click.Path(dir_okay=False, path_type=Path), default="witness.json",
    show_default=True, help=_("Le fichier où le témoin se souvient."),
)  # fmt: skip
_key_file: Callable[..., Callable[..., object]] = click.option(
    "--key-file", type=click.Path(dir_okay=False, path_type=Path), default="witness.key",
    show_default=True, help=_("Le fichier de la clé du témoin."),
)  # fmt: skip


@click.group(
    help=_("Un témoin : il vérifie qu'un journal ne fait que grandir, et le signe.")
)
def witness() -> None:
    """Hold the commands of a witness together."""


@witness.command(
    "key", help=_("Crée la clé du témoin et écrit la ligne à donner au journal.")
)
@click.argument("name")
@_key_file
def key(name: str, key_file: Path) -> None:
    """Make the key; its name is an address without a scheme."""
    try:
        made = WitnessKey.make(key_file, name)
    except NoteError:
        raise click.BadParameter(_("Un nom n'a ni espace ni plus.")) from None
    click.echo(made.public.vkey)


@witness.command("trust", help=_("Veille sur un journal, ou accepte une autre clé de lui."))
@click.option("--origin", required=True, help=_("Le nom du journal."))
@click.option("--key", "vkey", required=True, help=_("Sa clé publique."))
@click.option(
    "--from-size", type=click.IntRange(min=0), default=0, show_default=True,
    help=_("La taille à partir de laquelle la clé est acceptée."),
)  # fmt: skip
@_state
def trust(origin: str, vkey: str, from_size: int, state: Path) -> None:
    """Trust a key of a log from a size on; what was seen of the log stays."""
    try:
        WitnessState(state).trust(origin, vkey, from_size=from_size)
    except NoteError:
        raise click.BadParameter(
            _("Ce n'est pas une clé publique : nom+numéro+clé.")
        ) from None
    click.echo(_("Le témoin veille sur {origin}.", origin=origin))


@witness.command("distrust", help=_("N'accepte plus une clé d'un journal."))
@click.option("--origin", required=True, help=_("Le nom du journal."))
@click.option("--key", "vkey", required=True, help=_("Sa clé publique."))
@_state
def distrust(origin: str, vkey: str, state: Path) -> None:
    """Trust a key no more; what was seen of the log stays."""
    WitnessState(state).distrust(origin, vkey)
    click.echo(_("Le témoin n'accepte plus cette clé de {origin}.", origin=origin))


@witness.command(
    "show", help=_("Montre les journaux suivis, et ce qu'ils ont fait de travers.")
)
@_state
@as_json
def show(state: Path, form: str) -> None:
    """List the logs; then, for people, how many proofs and suspicions there are, and where."""
    kept = WitnessState(state)
    rows = [(o, k["size"], k["root"], len(k["keys"])) for o, k in kept.logs().items()]
    print_rows(["origin", "size", "root", "keys"], rows, form)
    if form == "text" and (told := kept.told()):
        proofs = sum(one.get("proof") is True for one in told)
        click.echo(
            _(
                "Preuves : {proofs}. Soupçons : {doubts}. Voir {file}.",
                proofs=proofs,
                doubts=len(told) - proofs,
                file=kept.refusals,
            )
        )


@witness.command("serve", help=_("Répond aux journaux, jusqu'à Ctrl-C."))
@click.option("--address", default="127.0.0.1", show_default=True)
@click.option("--port", type=click.IntRange(0, 65_535), default=8100, show_default=True)
@_state
@_key_file
def serve(address: str, port: int, state: Path, key_file: Path) -> None:
    """Serve until interrupted."""
    key, kept = WitnessKey.read(key_file), WitnessState(state)
    told = _("Le témoin {name} écoute sur http://{address}:{port} ; Ctrl-C l'arrête.",
             name=key.name, address=address, port=port)  # fmt: skip
    click.echo(told)
    run(create_witness(kept, key, utc_now), address=address, port=port)


COMMANDS = (witness,)
