"""The `passnum` command: French first, English with LANG=en; a no is a sentence and exit code 1."""

import sys
from importlib import import_module

import click
from sqlalchemy.exc import OperationalError

from app.cli.frame import _, told
from app.database import DatabaseUnreachable, first_failure
from ledger.refusal import Refusal

# Each word is in one module, imported when it is asked for: a command starts in half the time.
WORDS = {
    word: module
    for module, words in {
        "instance": ("departement", "migrate"),
        "keys": ("keys",),
        "people": ("people",),
        "mail": ("mail",),
        "funds": ("call", "convention", "programme", "tranche"),
        "needs": ("needs",),
        "paper": ("order", "desk", "hand-out"),
        "hand_outs": ("quota", "hand-outs", "report"),
        "attestations": ("attestation",),
        "stock": ("stock", "transfer", "count"),
        "printing": ("print",),
        "replacing": ("replace",),
        "unused": ("unused",),
        "network": ("sites", "accreditation", "device", "workshop"),
        "money": (
            "redeem",
            "undo",
            "block",
            "block-stock",
            "void-misprints",
            "lapse",
            "reconcile",
            "audit",
        ),
        "sampling": ("sample",),
        "vault": ("vault",),
        "log": ("log",),
        "witness": ("witness",),
        "coffre": ("coffre",),
        "running": ("serve", "sequencer", "jobs", "demo"),
    }.items()
    for word in words
}


class Words(click.Group):
    """A group whose commands are looked for where `WORDS` says."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the words, in the order of the table."""
        del ctx
        return list(WORDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the module of a word, and return its command; None for another word."""
        del ctx
        if cmd_name not in WORDS:
            return None
        found = import_module(f"app.cli.{WORDS[cmd_name]}").COMMANDS
        return {command.name: command for command in found}.get(cmd_name)


@click.group(
    cls=Words,
    help=_("Le registre du Pass numérique : chaque pass, chaque centime, prouvés."),
)
@click.version_option(package_name="passnum")
def passnum() -> None:
    """Hold the commands together."""


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
