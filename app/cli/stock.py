"""Commands about stock: who holds what, transfers, counts."""

from datetime import date
from typing import Any

import click
import msgspec

from app.carnet_lists import read_carnets
from app.cli.frame import (
    BY,
    DAY,
    NUMBER,
    Place,
    _,
    as_json,
    as_table,
    conclude,
    must,
    print_rows,
    with_place,
)
from funding.operations import exist
from issuance.counts import INVENTORY, Count, count_stock, counts
from issuance.holdings import Holding, holdings
from issuance.models import desk as desks
from issuance.on_the_way import OpenTransfer, open_transfers
from issuance.ranges import written
from issuance.transfers import Receive, Send, receive, send
from ledger.identifiers import new_id

_NUMBERS = _("Les carnets : « 120-134, 136 ».")
_STORE = _("La réserve centrale, à la place d'un guichet.")


@click.command(
    "stock", help=_("Dit qui détient quels carnets, aujourd'hui ou à la fin d'un jour.")
)
@click.option("--on", type=DAY, help=_("À la fin de ce jour, d'après la date des faits."))
@click.option("--desk", help=_("Un seul guichet."))
@click.option("--organisation", help=_("Tous les guichets d'un organisme."))
@as_table
@with_place
def stock(
    place: Place, on: date | None, desk: str | None, organisation: str | None, form: str
) -> None:
    """List holders, tranche by tranche."""
    with place.begin(read_only=True) as session:
        if desk is not None:
            exist(session, desks.c.code, desk)
        if organisation is not None:
            exist(session, desks.c.prescriber, organisation)
        found = holdings(session, on=on, desks=None if desk is None else [desk])
    rows = [
        msgspec.structs.astuple(h)
        for h in found
        if organisation is None or h.prescriber == organisation
    ]
    print_rows(Holding.__struct_fields__, rows, form)


@click.group(help=_("Les transferts de carnets, avec accusé de réception."))
def transfer() -> None:
    """Hold the commands about transfers together."""


@transfer.command(
    "send", help=_("Envoie des carnets : ils sont en chemin jusqu'à leur réception.")
)
@click.argument("carnets")
@click.option(
    "--from", "source", help=_("Le guichet qui envoie ; sinon la réserve centrale.")
)
@click.option(
    "--to", "target", help=_("Le guichet qui reçoit ; sinon la réserve centrale.")
)
@with_place
def send_(place: Place, carnets: str, source: str | None, target: str | None) -> None:
    """Send carnets."""
    with place.begin() as session:
        chosen = read_carnets(session, place.code, carnets)
        request = Send(new_id(), source, target, chosen)
        answer = send(session, request, by=BY, now=place.now)
    conclude(
        answer,
        "Transfert {transfer} : {count} carnets en chemin.",
        transfer=answer.facts.get("transfer"),
        count=answer.facts.get("count"),
    )


@transfer.command("receive", help=_("Enregistre ce qui est arrivé d'un transfert."))
@click.argument("number", type=NUMBER)
@click.option(
    "--carnets", help=_("Ce qui est arrivé ; sans rien : tout ce qui est en chemin.")
)
@click.option("--none", "nothing", is_flag=True, help=_("Rien n'est arrivé."))
@click.option("--at", "code", help=_("Le guichet où c'est arrivé."))
@click.option("--store", is_flag=True, help=_STORE)
@with_place
def receive_(
    place: Place,
    number: int,
    carnets: str | None,
    nothing: bool,
    code: str | None,
    store: bool,
) -> None:
    """Receive a transfer, whole or in part."""
    if (code is None) is not store:
        raise click.UsageError(_("Dites où : --at GUICHET, ou --store."))
    with place.begin() as session:
        waiting = {line.number: line.left for line in open_transfers(session)}
        arrived = () if nothing else waiting.get(number, ())
        if carnets is not None:
            arrived = read_carnets(session, place.code, carnets)
        request = Receive(new_id(), number, code, arrived)
        answer = receive(session, request, by=BY, now=place.now)
    missing = written(must(answer).facts["missing"])
    conclude(
        answer,
        "Transfert {transfer} : {count} carnets reçus. Manquent : {missing}.",
        transfer=number,
        count=answer.facts["count"],
        missing=missing or _("aucun"),
    )


@transfer.command("list", help=_("Liste les transferts en chemin, et ce qui manque."))
@as_json
@with_place
def list_transfers(place: Place, form: str) -> None:
    """List what is on the way or missing."""
    with place.begin(read_only=True) as session:
        found = open_transfers(session)
    rows = [(*line[:7], written(line.left), line.missing) for line in found]
    print_rows(OpenTransfer._fields, rows, form)


@click.group(help=_("Les comptages de stock, et leurs écarts."))
def count() -> None:
    """Hold the commands about counts together."""


@count.command("record", help=_("Enregistre les carnets que l'on voit. Rien ne bouge."))
@click.argument("carnets", default="")
@click.option("--desk", "code", help=_("Le guichet compté."))
@click.option("--store", is_flag=True, help=_STORE)
@with_place
def record(place: Place, carnets: str, code: str | None, store: bool) -> None:
    """Record a count, and tell its gaps."""
    _one_holder(code, store=store)
    with place.begin() as session:
        request = Count(new_id(), code, read_carnets(session, place.code, carnets))
        answer = count_stock(session, request, by=BY, now=place.now)
    facts: dict[str, Any] = must(answer).facts
    conclude(
        answer,
        "Attendus : {expected}. Comptés : {counted}. Manquent : {missing}. En trop : {unexpected}.",
        expected=facts["expected"],
        counted=facts["counted"],
        missing=written(facts["missing"]) or _("aucun"),
        unexpected=written(facts["unexpected"]) or _("aucun"),
    )


@count.command("export", help=_("Écrit le dernier comptage : inventaire_stock.csv."))
@click.option("--desk", "code", help=_("Le guichet compté."))
@click.option("--store", is_flag=True, help=_STORE)
@as_table
@with_place
def export(place: Place, code: str | None, store: bool, form: str) -> None:
    """Print the lines of the last count; the titles alone where there is none."""
    _one_holder(code, store=store)
    with place.begin(read_only=True) as session:
        if code is not None:
            exist(session, desks.c.code, code)
        last = counts(session, code, most=1)
    print_rows(INVENTORY, [row for each in last for row in each.rows()], form)


def _one_holder(code: str | None, *, store: bool) -> None:
    if (code is None) is not store:
        raise click.UsageError(_("Dites lequel : --desk GUICHET, ou --store."))


COMMANDS = (stock, transfer, count)
