"""Commands about the instance itself: its départements, its schema."""

from zoneinfo import available_timezones

import click

from app.cli.frame import _, as_json, print_rows, with_instance
from app.database import bootstrap_sql
from app.instance import Instance
from app.registry import Departement
from issuance.tokens import check_host


@click.group(help=_("Les départements de cette instance."))
def departement() -> None:
    """Hold the commands about départements together."""


@departement.command("add", help=_("Crée un département : son schéma ou son fichier."))
@click.argument("code")
@click.argument("name")
@click.option(
    "--timezone", default="Europe/Paris", show_default=True, help=_("Son heure légale.")
)
@click.option(
    "--host", required=True, help=_("Son nom de domaine, imprimé dans les QR codes.")
)
@with_instance
def add(instance: Instance, code: str, name: str, timezone: str, host: str) -> None:
    """Make a département; on PostgreSQL its roles must exist."""
    check_host(host.upper())
    if timezone not in available_timezones():
        raise click.BadParameter(
            _("« {zone} » n'est pas une heure légale connue.", zone=timezone)
        )
    instance.database.add_departement(
        Departement(code.upper(), name, timezone, host.upper())
    )
    click.echo(_("Département {code} ({name}) créé.", code=code.upper(), name=name))


@departement.command("list", help=_("Liste les départements."))
@as_json
@with_instance
def list_departements(instance: Instance, form: str) -> None:
    """List the départements."""
    rows = [(t.code, t.name, t.timezone, t.host) for t in instance.database.departements()]
    print_rows(["code", "name", "timezone", "host"], rows, form)


@departement.command(
    "roles", help=_("Écrit le SQL qu'un administrateur de PostgreSQL exécute une fois.")
)
@click.argument("code")
def roles(code: str) -> None:
    """Print what makes the logins, the roles and the schema."""
    for statement in bootstrap_sql(code.upper()):
        click.echo(f"{statement};")


@click.command(help=_("Met à niveau le schéma de tous les départements."))
@with_instance
def migrate(instance: Instance) -> None:
    """Bring everything to the newest schema; restart the servers after."""
    for tenant in instance.database.migrate():
        click.echo(_("Département {code} à niveau.", code=tenant.code))


COMMANDS = (departement, migrate)
