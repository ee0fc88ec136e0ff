"""Commands about paper: orders, carnets, desks, hand-outs."""

from importlib import import_module
from typing import Any, get_args

import click
from msgspec.structs import astuple

from app.cli.carnets import carnet_of
from app.cli.frame import (
    BY,
    DAY,
    NUMBER,
    Place,
    _,
    as_json,
    conclude,
    must,
    print_rows,
    with_place,
)
from app.cli.taking_over import list_covers, take_over_
from app.mail.desks import tell_active, tell_delivered
from issuance import queries
from issuance.cancelling import CancelOrder, cancel_order
from issuance.desks import Deliver, OpenDesk, deliver, open_desk
from issuance.hand_outs import HandOut
from issuance.holders import Holder
from issuance.limits import DespiteLimit
from issuance.making import pieces_left, signed_ahead, write_piece
from issuance.orders import (
    ActivateOrder,
    PlaceOrder,
    activate_order,
    order_row,
    place_order,
)
from issuance.print_batches import Batch, batches
from issuance.signing import PIECE
from ledger.attempts import Answer
from ledger.identifiers import new_id
from redemption.hand_out import hand_out

# What sets sheets is imported when it is asked for: other commands start sooner.
SET_SHEETS = ("proof", "approve")


class _Orders(click.Group):
    """A group of which some commands are in a module of their own."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the words, those of the other module too."""
        return sorted([*super().list_commands(ctx), *SET_SHEETS])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return the command of a word; None for another word."""
        if cmd_name not in SET_SHEETS:
            return super().get_command(ctx, cmd_name)
        found = import_module("app.cli.proof").SET_SHEETS
        return {command.name: command for command in found}.get(cmd_name)


@click.group(cls=_Orders, help=_("Les commandes de carnets."))
def order() -> None:
    """Hold the commands about orders together."""


@order.command("place", help=_("Commande et fabrique des carnets d'une tranche."))
@click.argument("tranche")
@click.option("--carnets", type=NUMBER, required=True, help=_("Combien de carnets."))
@click.option(
    "--specimen", is_flag=True, help=_("Sans valeur, pour former et pour l'épreuve.")
)
@with_place
def place_order_(place: Place, tranche: str, carnets: int, specimen: bool) -> None:
    """Place an order and make its vouchers, piece by piece."""
    signer = place.instance.signer(place.code)
    request = PlaceOrder(new_id(), tranche, carnets, specimen)
    with place.begin() as session:
        answer = place_order(session, request, signer=signer, by=BY, now=place.now)
    number = answer.facts.get("order")
    conclude(answer, "Commande {number} passée.", number=number)
    _make(place, int(answer.facts["order"]))


@order.command("make", help=_("Reprend la fabrication d'une commande interrompue."))
@click.argument("number", type=NUMBER)
@with_place
def make_order(place: Place, number: int) -> None:
    """Make what is missing of an order; what is made already is left as it is."""
    _make(place, number)


def _make(place: Place, number: int) -> None:
    signer = place.instance.signer(place.code)
    with place.begin(read_only=True) as session:
        found = order_row(session, number)
        left = pieces_left(session, found)
    with click.progressbar(length=found.carnets, label=_("Fabrication")) as bar:
        bar.update(max(0, found.carnets - len(left) * PIECE))
        for signed in signed_ahead(found, left, signer):
            with place.begin() as session:
                answer = write_piece(session, found, signed, by=BY, now=place.now)
            must(answer)
            bar.update(signed.last_carnet - signed.first_carnet + 1)
    told = _(
        "Carnets {first} à {last} fabriqués ({count} pass).",
        first=found.first_carnet,
        last=found.first_carnet + found.carnets - 1,
        count=found.carnets * found.carnet_size,
    )
    click.echo(told)


@order.command(
    "activate",
    help=_(
        "Enregistre le numéro d'engagement, ou de mandat : les pass deviennent valables."
    ),
)
@click.argument("number", type=NUMBER)
@click.option("--commitment", help=_("Le numéro d'engagement."))
@click.option("--mandat", help=_("Le numéro de mandat, pour une tranche payée d'avance."))
@with_place
def activate(place: Place, number: int, commitment: str | None, mandat: str | None) -> None:
    """Record what makes an order good, and write to the desks that hold its carnets."""
    if (commitment is None) == (mandat is None):
        raise click.UsageError(_("Donnez --commitment, ou --mandat."))
    request = (
        ActivateOrder(new_id(), number, mandat, "mandat")
        if mandat is not None
        else ActivateOrder(new_id(), number, commitment or "")
    )
    with place.begin() as session:
        answer = activate_order(session, request, by=BY, now=place.now)
        told = tell_active(session, place.instance, answer, now=place.now)
    conclude(answer, "Commande {number} active.", number=number)
    _tell_told(told)


def _tell_told(told: int) -> None:
    if told:
        click.echo(_("Personnes des guichets prévenues par e-mail : {told}.", told=told))


@order.command(
    "cancel", help=_("Annule ce qui n'est pas encore fabriqué : son argent est rendu.")
)
@click.argument("number", type=NUMBER)
@with_place
def cancel(place: Place, number: int) -> None:
    """Cancel what is not made of an order."""
    with place.begin() as session:
        answer = cancel_order(session, CancelOrder(new_id(), number), by=BY, now=place.now)
    conclude(
        answer,
        "Commande {number} annulée : {carnets} carnets ne seront pas fabriqués, {released} rendus à la tranche.",
        number=number,
        carnets=answer.facts.get("carnets_not_made"),
        released_cents=answer.facts.get("released_cents"),
    )


@order.command("list", help=_("Liste les commandes."))
@as_json
@with_place
def list_orders(place: Place, form: str) -> None:
    """List the orders."""
    titles = [
        "number",
        "tranche",
        "carnets",
        "made",
        "first_carnet",
        "specimen",
        "commitment",
    ]
    with place.begin(read_only=True) as session:
        print_rows(titles, queries.listed_orders(session), form)


@order.command(
    "prints", help=_("Liste les lots d'impression d'une commande, et leur modèle.")
)
@click.argument("number", type=NUMBER)
@as_json
@with_place
def list_prints(place: Place, number: int, form: str) -> None:
    """List what was printed of an order, as its entries tell it."""
    with place.begin(read_only=True) as session:
        made = batches(session, number)
    titles = list(Batch.__struct_fields__)
    rows = [
        [" ".join(value) if isinstance(value, tuple) else value for value in astuple(batch)]
        for batch in made
    ]
    print_rows(titles, rows, form)


order.add_command(take_over_)
order.add_command(list_covers)


@click.group(help=_("Les guichets des prescripteurs."))
def desk() -> None:
    """Hold the commands about desks together."""


@desk.command("open", help=_("Ouvre un guichet."))
@click.argument("code")
@click.option("--prescriber", required=True, help=_("L'organisme : CAF, MSA, CCAS…"))
@click.option("--name", required=True, help=_("Le nom du guichet."))
@click.option("--programme", "programmes", multiple=True, required=True)
@click.option("--siret", help=_("Son SIRET : dit quels lieux sont du même organisme."))
@click.option("--commune", help=_("Sa commune, par son code INSEE."))
@with_place
def open_desk_(place: Place, code: str, **told: Any) -> None:
    """Open a desk."""
    request = OpenDesk(new_id(), code, **told)
    with place.begin() as session:
        answer = open_desk(session, request, by=BY, now=place.now)
    conclude(answer, "Guichet {code} ouvert.", code=code)


@desk.command("deliver", help=_("Livre des carnets à un guichet."))
@click.argument("code")
@click.option("--first", required=True, help=_("Premier carnet."))
@click.option("--last", required=True, help=_("Dernier carnet."))
@with_place
def deliver_(place: Place, code: str, first: str, last: str) -> None:
    """Bring carnets to a desk."""
    with place.begin() as session:
        from_, to = (carnet_of(session, place, typed) for typed in (first, last))
        request = Deliver(new_id(), code, from_, to)
        answer = deliver(session, request, by=BY, now=place.now)
        told = tell_delivered(session, place.instance, answer, now=place.now)
    conclude(
        answer,
        "Carnets {first} à {last} livrés au guichet {code}.",
        first=first,
        last=last,
        code=code,
    )
    _tell_told(told)


@desk.command("list", help=_("Liste les guichets."))
@as_json
@with_place
def list_desks(place: Place, form: str) -> None:
    """List the desks."""
    titles = ["code", "prescriber", "name", "programmes", "carnets"]
    with place.begin(read_only=True) as session:
        print_rows(titles, queries.listed_desks(session), form)


@click.command("hand-out", help=_("Remet un carnet, ou quelques pass, à une personne."))
@click.option("--desk", "desk_code", required=True, help=_("Le guichet."))
@click.option("--carnet", help=_("Le numéro du carnet."))
@click.option(
    "--serial", "serials", multiple=True, help=_("Un pass du carnet (répétable).")
)
@click.option("--pic/--not-pic", default=False, help=_("Public éloigné de l'emploi (PIC)."))
@click.option(
    "--proof",
    type=click.Choice(["declared", "attested", "document_seen", "data_exchange"]),
    default="declared",
    show_default=True,
    help=_("La force de la preuve."),
)
@click.option("--category", help=_("La catégorie de public (à la chambre forte)."))
@click.option(
    "--need", type=click.Choice(["assist", "train", "boost"]), help=_("Le besoin.")
)
@click.option(
    "--given-on", type=DAY, help=_("Le jour de la remise, quand elle est notée plus tard.")
)
@click.option(
    "--holder",
    nargs=3,
    metavar=_("NOM PRENOM NE_LE"),
    help=_("La personne, si la tranche le demande (à la chambre forte)."),
)
@click.option(
    "--despite-limit",
    type=click.Choice(get_args(DespiteLimit)),
    help=_("Malgré la limite par personne : une autre personne, ou décidé."),
)
@click.option("--at-site", help=_("Le lieu où la remise est faite."))
@with_place
def hand_out_(place: Place, **options: Any) -> None:
    """Hand out."""
    answer = _hand_out(place, options)
    conclude(answer, "{count} pass remis.", count=answer.facts.get("count"))


def _hand_out(place: Place, options: dict[str, Any]) -> Answer:
    with place.begin() as session:
        typed = options["carnet"]
        request = HandOut(
            new_id(),
            options["desk_code"],
            options["pic"],
            options["proof"],
            None if typed is None else carnet_of(session, place, typed),
            options["serials"],
            options["category"],
            options["need"],
            options["given_on"],
            _holder(options["holder"]),
            options["despite_limit"],
            options["at_site"],
        )
        return hand_out(
            session,
            request,
            by=f"desk-{request.desk}",
            now=place.now,
            sealer=place.instance.sealer,
        )


def _holder(told: tuple[str, str, str] | None) -> Holder | None:
    if not told:
        return None
    surname, first_name, born_on = told
    return Holder(surname, first_name, DAY.convert(born_on, None, None))


COMMANDS = (order, desk, hand_out_)
