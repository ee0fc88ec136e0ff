"""The `passnum` command: French first, English with LANG=en; a no is a sentence and exit code 1."""

import sys

import click
from sqlalchemy.exc import OperationalError

from app.cli import (
    coffre,
    funds,
    instance,
    log,
    mail,
    money,
    network,
    paper,
    people,
    running,
    sampling,
    vault,
    witness,
)
from app.cli.frame import _, told
from app.database import DatabaseUnreachable, first_failure
from ledger.refusal import Refusal


@click.group(
    help=_("Le registre du Pass numérique : chaque pass, chaque centime, prouvés.")
)
@click.version_option(package_name="passnum")
def passnum() -> None:
    """Hold the commands together."""


for module in (
    instance,
    people,
    mail,
    funds,
    paper,
    network,
    money,
    sampling,
    vault,
    log,
    witness,
    coffre,
    running,
):
    for command in module.COMMANDS:
        passnum.add_command(command)


def main() -> None:
    """Run the command line; a refusal is told, never traced."""
    try:
        passnum(prog_name="passnum")
    except Refusal as no:
        click.echo(told(no), err=True)
        sys.exit(1)
    except OperationalError as error:
        # The database is not there, or is full: its own words, in a sentence of ours.
        why = str(first_failure(error).orig).strip().partition("\n")[0]
        click.echo(told(DatabaseUnreachable(why)), err=True)
        sys.exit(1)
