"""The command that lists carnets nobody uses, for each desk to call."""

import click

from app.cli.frame import Place, _, as_table, print_rows, with_place
from funding.operations import exist
from issuance.models import desk as desks
from redemption.unused import UnusedCarnet, unused_carnets


@click.command(
    "unused",
    help=_("Liste, par guichet, les carnets remis et jamais utilisés : à rappeler."),
)
@click.option("--desk", help=_("Un seul guichet."))
@click.option(
    "--weeks", type=click.IntRange(1, 999),
    help=_("Depuis combien de semaines ; sinon PASSNUM_UNUSED_WEEKS, ou 6."),
)  # fmt: skip
@as_table
@with_place
def unused_(place: Place, desk: str | None, weeks: int | None, form: str) -> None:
    """List them; nobody is named."""
    with place.begin(read_only=True) as session:
        if desk is not None:
            exist(session, desks.c.code, desk)
        found = unused_carnets(
            session,
            weeks=weeks or place.instance.settings.unused_weeks,
            on=place.now.day,
            desks=None if desk is None else [desk],
        )
    print_rows(UnusedCarnet._fields, found, form)


COMMANDS = (unused_,)
