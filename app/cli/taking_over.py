"""The command that takes over what a former operator left in drawers, from a list of its carnets."""

import sys
from collections.abc import Sequence
from pathlib import Path

import click
from sqlalchemy.orm import Session

from app.cli.frame import (
    BY,
    MESSAGES,
    NUMBER,
    Place,
    _,
    as_table,
    must,
    print_rows,
    with_place,
)
from issuance.foreign_carnets import of_order
from issuance.foreign_lists import Fault, ForeignList, judged, lots
from issuance.orders import order_row
from issuance.taking_over import ForeignListRefused, TakeOver, take_over
from ledger.identifiers import new_id
from redemption.foreign_csv import read_foreign_list

# How many faults are printed; a longer list is corrected a part at a time.
PRINTED = 50


@click.command(
    "take-over",
    help=_("Reprend des carnets d'un ancien opérateur : carnet;numero;valeur;fin[;qr]."),
)
@click.argument("tranche")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--operator", required=True, help=_("L'ancien opérateur, en un mot : aptic."))
@click.option("--commitment", help=_("Le numéro d'engagement."))
@click.option("--mandat", help=_("Le numéro de mandat, pour une tranche payée d'avance."))
@click.option("--dry-run", is_flag=True, help=_("Regarde la liste, et ne reprend rien."))
@with_place
def take_over_(
    place: Place,
    tranche: str,
    file: Path,
    operator: str,
    commitment: str | None,
    mandat: str | None,
    dry_run: bool,
) -> None:
    """Judge a list and take it over, all of it or nothing."""
    if (commitment is None) == (mandat is None):
        raise click.UsageError(_("Donnez --commitment, ou --mandat."))
    try:
        listed = read_foreign_list(file.read_bytes())
    except OSError as no:
        click.echo(
            _("Impossible de lire {file} : {why}.", file=file, why=no.strerror), err=True
        )
        sys.exit(1)
    signer = place.instance.signer(place.code)
    with place.begin(read_only=True) as session:
        faults = judged(
            session,
            listed,
            tranche=tranche,
            operator=operator,
            signer=signer,
            today=place.now.day,
        )
    _print_list(listed, faults)
    if faults:
        lines = dict.fromkeys(str(fault.line) for fault in faults)
        raise ForeignListRefused(tuple(lines))
    if dry_run:
        click.echo(_("Rien n'a été repris : c'était un essai."))
        return
    asked = (
        TakeOver(new_id(), tranche, operator, mandat, listed, "mandat")
        if mandat is not None
        else TakeOver(new_id(), tranche, operator, commitment or "", listed)
    )
    with place.begin() as session:
        answer = must(take_over(session, asked, signer=signer, by=BY, now=place.now))
    with place.begin(read_only=True) as session:
        _print_orders(session, answer.facts["orders"])


def _print_list(listed: ForeignList, faults: Sequence[Fault]) -> None:
    """Print what the list holds, then what is wrong with each line."""
    click.echo(
        _(
            "{carnets} carnets, {count} pass.",
            carnets=sum(len(lot.carnets) for lot in lots(listed.passes)),
            count=len(listed.passes),
        )
    )
    for fault in faults[:PRINTED]:
        said = MESSAGES.word("fault", fault.code)
        click.echo(f"  {_('ligne {line}', line=fault.line)} : {said}")
    if len(faults) > PRINTED:
        click.echo("  …")


def _print_orders(session: Session, span: Sequence[int]) -> None:
    first, last = span
    for number in range(first, last + 1):
        order, covers = order_row(session, number), of_order(session, number)
        told = _(
            "Commande {order} : carnets {first} à {last}, de « {begin} » à « {end} », valables.",
            order=number,
            first=order.first_carnet,
            last=covers[-1].number,
            begin=covers[0].label,
            end=covers[-1].label,
        )
        click.echo(told)


@click.command(
    "covers", help=_("Liste les carnets repris d'une commande, et leur numéro d'origine.")
)
@click.argument("number", type=NUMBER)
@as_table
@with_place
def list_covers(place: Place, number: int, form: str) -> None:
    """List our number of each carnet beside the one on its cover."""
    with place.begin(read_only=True) as session:
        order_row(session, number)
        rows = [(c.number, c.operator, c.label) for c in of_order(session, number)]
    print_rows(["carnet", "operator", "label"], rows, form)
