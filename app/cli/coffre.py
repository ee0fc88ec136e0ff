"""Commands about the coffre: the log in a file that anyone can verify."""

from pathlib import Path

import click

from app.cli.frame import Place, _, with_instance, with_place
from app.coffre import export as exporting
from app.coffre import sealing, transfer
from app.coffre.importing import Given, Reader, take_in
from app.coffre.packing import CoffreExists
from app.coffre.proofs import newest_seal
from app.coffre.scopes import of_call, of_site
from app.instance import Instance
from ledger.key_sealing import KeysLocked
from ledger.sealing import VaultLocked


@click.group(help=_("Le journal entier dans un fichier que chacun peut vérifier."))
def coffre() -> None:
    """Hold the commands about the coffre together."""


@coffre.command(
    "export",
    help=_("Écrit le coffre : tout le journal, ou ce qui touche un appel ou un lieu."),
)
@click.option(
    "--out", type=click.Path(dir_okay=False, path_type=Path), required=True,
    help=_("Le fichier à écrire ; il ne doit pas exister."),
)  # fmt: skip
@click.option(
    "--call", "call_code", help=_("Seulement un appel à projets ; le reste manque.")
)
@click.option("--site", "site_key", help=_("Seulement un lieu ; le reste manque."))
@with_place
def export(place: Place, out: Path, call_code: str | None, site_key: str | None) -> None:
    """Write a coffre, or leave nothing."""
    if call_code is not None and site_key is not None:
        raise click.UsageError(_("Choisissez un appel à projets ou un lieu, pas les deux."))
    tenant = place.instance.departement(place.code)
    with place.begin(read_only=True) as session:
        seal = newest_seal(session)
        scope = None
        if call_code is not None:
            scope = of_call(session, call_code)
        elif site_key is not None:
            scope = of_site(session, site_key)
        label = _("Écritures")
        with click.progressbar(length=seal.published.size, label=label) as bar:
            found = exporting.export(
                session, tenant, out, seal=seal, scope=scope,
                progress=lambda done: bar.update(done - bar.pos),
            )  # fmt: skip
    told = _(
        "Coffre écrit : {path}, {entries} écritures sur {size}, racine {root}.",
        path=out,
        entries=found.entries,
        size=found.size,
        root=found.root,
    )
    click.echo(told)
    if seal.newest > found.size:
        late = _(
            "Le point de contrôle le plus récent, à {newest} écritures, n'a pas encore les contresignatures "
            "que demande la politique : ce coffre s'arrête à {size}.",
            newest=seal.newest,
            size=found.size,
        )
        click.echo(late)


@coffre.command(
    "key", help=_("Crée la clé du nouvel exploitant ; écrit celle à donner à l'ancien.")
)
@click.option(
    "--out", type=click.Path(dir_okay=False, path_type=Path), required=True,
    help=_("Le fichier à écrire ; il ne doit pas exister."),
)  # fmt: skip
def key(out: Path) -> None:
    """Make the key that a transfer file is sealed to."""
    if out.exists():
        raise CoffreExists(str(out))
    click.echo(sealing.new_key(out))


@coffre.command(
    "transfer",
    help=_("Écrit le fichier scellé qui va avec le coffre, pour un nouvel exploitant."),
)
@click.option(
    "--coffre", "packed", type=click.Path(exists=True, dir_okay=False, path_type=Path), required=True,
    help=_("Le coffre qui vient d'être exporté."),
)  # fmt: skip
@click.option(
    "--to", "public", required=True, help=_("La clé que le nouvel exploitant a donnée.")
)
@click.option(
    "--out", type=click.Path(dir_okay=False, path_type=Path), required=True,
    help=_("Le fichier à écrire ; il ne doit pas exister."),
)  # fmt: skip
@with_place
def transfer_(place: Place, packed: Path, public: str, out: Path) -> None:
    """Write what can be spent, for the new operator's eyes only; the service must be stopped."""
    instance = place.instance
    if instance.settings.key_secret is None:
        raise KeysLocked("no_secret")
    reader = sealing.read_public(public)
    with place.begin(read_only=True) as session:
        header = transfer.write(
            session, out, reader, departement=place.code, coffre=packed,
            sealer=instance.sealer, secret=instance.settings.key_secret,
        )  # fmt: skip
    told = _(
        "Fichier scellé écrit : {path}. Il va avec un coffre de {size} écritures, racine {root}.",
        path=out,
        size=header.size,
        root=header.root,
    )
    click.echo(told)


@coffre.command("import", help=_("Met un coffre dans une instance vide, et continue."))
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--transfer", "sealed", type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help=_("Le fichier scellé ; sans lui, le département ne peut être que lu."),
)  # fmt: skip
@click.option(
    "--key", "key_file", type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help=_("Le fichier de la clé qui l'ouvre."),
)  # fmt: skip
@click.option(
    "--keys", type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help=_("Les clés du journal, obtenues ailleurs, une par ligne."),
)  # fmt: skip
@click.option(
    "--policy", type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help=_("La politique, obtenue ailleurs."),
)  # fmt: skip
@with_instance
def import_(
    instance: Instance,
    file: Path,
    sealed: Path | None,
    key_file: Path | None,
    keys: Path | None,
    policy: Path | None,
) -> None:
    """Take a coffre in, or leave nothing."""
    reader = None
    if sealed is not None:
        if key_file is None:
            raise click.UsageError(_("Donnez la clé qui ouvre le fichier scellé : --key."))
        if instance.settings.key_secret is None:
            raise KeysLocked("no_secret")
        if instance.sealer.locked:
            raise VaultLocked
        private = sealing.read_private(key_file)
        reader = Reader(sealed, private, instance.sealer, instance.settings.key_secret)
    found = take_in(
        instance.database,
        file,
        reader=reader,
        at=instance.clock(),
        given=Given(keys, policy),
    )
    told = _(
        "Département {code} repris : {size} écritures, racine {root}.",
        code=found.departement.code,
        size=found.size,
        root=found.root,
    )
    click.echo(told)
    if keys is None and policy is None:
        click.echo(
            _(
                "L'authenticité repose sur le coffre lui-même : demandez les clés du journal ailleurs, et "
                "donnez-les par --keys ou --policy."
            )
        )
    if found.goes_on:
        click.echo(
            _(
                "Le journal continue sous une nouvelle clé : dites-la aux témoins (passnum log key list)."
            )
        )
    else:
        click.echo(_("Sans fichier scellé, il ne peut être que lu."))


COMMANDS = (coffre,)
