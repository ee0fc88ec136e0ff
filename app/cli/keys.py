"""Commands about the keys of paper: made, listed, revoked, and what each one signed."""

from typing import get_args

import click

from app.cli.frame import (
    BY,
    NUMBER,
    Place,
    _,
    as_json,
    as_table,
    conclude,
    print_rows,
    with_place,
)
from app.spreadsheets import csv_lines
from issuance.keys import NewKeys, RevokeKey, Why, new_keys, revocations, revoke_key
from issuance.queries import listed_keys
from ledger.identifiers import new_id
from ledger.key_sealing import KeysLocked
from redemption.touched import (
    TouchedOrder,
    TouchedPass,
    touched_orders,
    touched_passes,
)


@click.group(help=_("Les clés qui signent les pass."))
def keys() -> None:
    """Hold the commands about keys together."""


@keys.command(
    "new", help=_("Crée une paire de clés de signature ; les anciennes restent valables.")
)
@click.option(
    "--lost", is_flag=True, help=_("Le secret d'avant n'ouvre plus rien : il est perdu.")
)
@with_place
def make_keys(place: Place, lost: bool) -> None:
    """Make keys, sealed by the secret of the environment."""
    secret = place.instance.settings.key_secret
    if secret is None:
        raise KeysLocked("no_secret")
    with place.begin() as session:
        answer = new_keys(
            session, NewKeys(new_id(), lost), secret=secret, by=BY, now=place.now
        )
    made = ", ".join(str(key) for key, *_rest in answer.facts.get("keys", []))
    conclude(answer, "Clés {made} créées et scellées.", made=made)


@keys.command("list", help=_("Liste les clés publiques."))
@as_json
@with_place
def list_keys(place: Place, form: str) -> None:
    """List the public keys, and why a revoked one is."""
    with place.begin(read_only=True) as session:
        why = {key_id: revoked.why for key_id, revoked in revocations(session).items()}
        rows = [(*row, why.get(row[0])) for row in listed_keys(session)]
    print_rows(["key_id", "purpose", "public", "revoked"], rows, form)


@keys.command(
    "revoke",
    help=_("Révoque une clé de pass : ses QR codes ne sont plus acceptés, pour toujours."),
)
@click.argument("key_id", type=NUMBER)
@click.option(
    "--why", type=click.Choice(get_args(Why)), required=True,
    help=_("Tombée dans d'autres mains, ou peut-être."),
)  # fmt: skip
@with_place
def revoke(place: Place, key_id: int, why: Why) -> None:
    """Revoke a voucher key, and tell how much paper it touches."""
    with place.begin() as session:
        answer = revoke_key(session, RevokeKey(new_id(), key_id, why), by=BY, now=place.now)
    conclude(answer, "Clé {key} révoquée.", key=key_id)
    with place.begin(read_only=True) as session:
        orders = touched_orders(session, key_id)
    click.echo(
        _(
            "Commandes touchées : {orders}. Pass en stock : {stock}, remis et pas utilisés : {given}, utilisés : {spent}.",
            orders=len(orders),
            stock=sum(order.stock for order in orders),
            given=sum(order.handed_out for order in orders),
            spent=sum(order.spent for order in orders),
        )
    )


@keys.command(
    "touched",
    help=_("Liste les commandes qu'une clé a signées, et où sont leurs pass."),
)
@click.argument("key_id", type=NUMBER)
@click.option("--each", is_flag=True, help=_("Une ligne de CSV par pass."))
@as_table
@with_place
def touched(place: Place, key_id: int, each: bool, form: str) -> None:
    """List what a key signed, by order or by pass."""
    with place.begin(read_only=True) as session:
        if not each:
            print_rows(TouchedOrder._fields, touched_orders(session, key_id), form)
            return
        for line in csv_lines(TouchedPass._fields, touched_passes(session, key_id)):
            click.echo(line, nl=False)


COMMANDS = (keys,)
