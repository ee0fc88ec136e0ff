"""Commands about money that goes: scans, undos, blocks, lapses, reconciliation, audit."""

import json
import sys
from datetime import date
from typing import Any
from uuid import UUID

import click

from app.audit import audit_departement
from app.cli.carnets import carnet_of
from app.cli.frame import BY, DAY, MESSAGES, NUMBER, Place, _, conclude, with_place
from app.cli.network import MANAGER
from app.reconciliations import printed
from ledger.identifiers import new_id
from redemption.blocking import BlockCarnet, BlockStock, block_carnet, block_stock, in_stock
from redemption.counter import Presented, Scan, redeem
from redemption.lapsing import Lapse, lapse
from redemption.reconciliation import reconcile
from redemption.undoing import Undo, undo
from redemption.voiding import VoidMisprints, void_misprints

_YES = click.option("--yes", is_flag=True, help=_("Ne demande pas confirmation."))


def _tell_waiting(count: int) -> None:
    if count:
        click.echo(
            _(
                "{count} de ces pass avaient déjà servi, sans que leur guichet ait noté la remise : bloqués, ils ne sont pas payés aux lieux.",
                count=count,
            )
        )


def _sure(place: Place, first: str, last: str, *, yes: bool) -> tuple[int, int]:
    """Return the ends that were typed, by our numbers, once somebody has seen what is between them."""
    with place.begin(read_only=True) as session:
        from_, to = (carnet_of(session, place, typed) for typed in (first, last))
        found = in_stock(session, from_, to)
    if yes:
        return from_, to
    click.echo(
        _(
            "Carnets {first} à {last}, nos numéros {from_} à {to} : {count} carnets, {passes} pass en stock.",
            first=first,
            last=last,
            from_=from_,
            to=to,
            count=max(to - from_ + 1, 0),
            passes=found.passes,
        )
    )
    _tell_waiting(found.waiting)
    click.confirm(_("C'est pour toujours. Continuer ?"), abort=True)
    return from_, to


@click.command("redeem", help=_("Utilise des pass à un atelier : QR lus ou codes tapés."))
@click.argument("passes", nargs=-1)
@click.option("--workshop", type=click.UUID, required=True, help=_("L'atelier."))
@click.option("--from-stdin", is_flag=True, help=_("Lit un pass par ligne."))
@with_place
def redeem_(
    place: Place, passes: tuple[str, ...], workshop: UUID, from_stdin: bool
) -> None:
    """Scan passes and print a verdict each; exit code 1 if one was refused."""
    texts = [
        *passes,
        *([line.strip() for line in sys.stdin if line.strip()] if from_stdin else []),
    ]
    now = place.now
    queue = [Presented(Scan(new_id(), text, workshop, now.at), MANAGER) for text in texts]
    ring = place.instance.keyring(place.code)
    with place.begin() as session:
        verdicts = redeem(session, queue, now=now, keyring=ring)
    refused = False
    for verdict in verdicts:
        if verdict.verdict in {"accepted", "kept", "disputed"}:
            word = MESSAGES.word("verdict", verdict.verdict)
            amount = f" {MESSAGES.euros(verdict.cents)}" if verdict.cents else ""
            click.echo(f"{verdict.serial} : {word}{amount}")
        else:
            refused = True
            facts = {"on": verdict.on, "site": verdict.site, **verdict.facts}
            sentence = MESSAGES.refusal(verdict.verdict, facts)
            click.echo(f"{verdict.serial or '?'} : {sentence} [{verdict.verdict}]")
    if refused:
        sys.exit(1)


@click.command("undo", help=_("Annule un scan avant règlement : le pass peut resservir."))
@click.argument("serial")
@click.option(
    "--reason",
    type=click.Choice(
        ["wrong_pass", "workshop_cancelled", "scanned_by_mistake", "person_left"]
    ),
    required=True,
)
@with_place
def undo_(place: Place, serial: str, reason: Any) -> None:
    """Undo a scan."""
    with place.begin() as session:
        answer = undo(
            session, Undo(new_id(), serial, reason), device=MANAGER, now=place.now
        )
    conclude(answer, "Scan du pass {serial} annulé.", serial=serial)


@click.command("block", help=_("Bloque les pass restants d'un carnet perdu ou volé."))
@click.argument("carnet")
@click.option("--reason", type=click.Choice(["lost", "stolen"]), default="lost")
@with_place
def block(place: Place, carnet: str, reason: Any) -> None:
    """Block a carnet."""
    with place.begin() as session:
        number = carnet_of(session, place, carnet)
        answer = block_carnet(
            session, BlockCarnet(new_id(), number, reason), by=BY, now=place.now
        )
    conclude(
        answer,
        "Carnet {carnet} bloqué : {count} pass.",
        carnet=carnet,
        count=answer.facts.get("count"),
    )


@click.command(
    "block-stock",
    help=_("Bloque ce qui est en stock d'une plage de carnets : tiroir volé, colis perdu."),
)
@click.option("--first", required=True, help=_("Premier carnet."))
@click.option("--last", required=True, help=_("Dernier carnet."))
@click.option(
    "--reason",
    type=click.Choice(["lost", "stolen"]),
    default="stolen",
    show_default=True,
)
@_YES
@with_place
def block_stock_(place: Place, first: str, last: str, reason: Any, yes: bool) -> None:
    """Block a range of carnets that nobody was given yet."""
    from_, to = _sure(place, first, last, yes=yes)
    request = BlockStock(new_id(), from_, to, reason)
    with place.begin() as session:
        answer = block_stock(session, request, by=BY, now=place.now)
    conclude(
        answer,
        "Carnets {first} à {last} : {count} pass bloqués, qui étaient en stock.",
        first=first,
        last=last,
        count=answer.facts.get("count"),
    )
    _tell_waiting(answer.facts.get("waiting", 0))


@click.command(
    "void-misprints",
    help=_("Annule des carnets mal imprimés : leur argent peut être commandé de nouveau."),
)
@click.option("--first", required=True, help=_("Premier carnet."))
@click.option("--last", required=True, help=_("Dernier carnet."))
@_YES
@with_place
def void_misprints_(place: Place, first: str, last: str, yes: bool) -> None:
    """Void carnets that came out wrong."""
    from_, to = _sure(place, first, last, yes=yes)
    request = VoidMisprints(new_id(), from_, to)
    with place.begin() as session:
        answer = void_misprints(session, request, by=BY, now=place.now)
    conclude(
        answer,
        "Carnets {first} à {last} annulés : {count} pass. Leur argent peut être commandé de nouveau.",
        first=first,
        last=last,
        count=answer.facts.get("count"),
    )


@click.command(
    "lapse", help=_("Périme ce qui reste d'une commande, après le délai de présentation.")
)
@click.argument("order", type=NUMBER)
@click.option("--stage", type=click.Choice(["stock", "circulating"]), required=True)
@with_place
def lapse_(place: Place, order: int, stage: Any) -> None:
    """Let lapse what is left."""
    with place.begin() as session:
        answer = lapse(session, Lapse(new_id(), order, stage), by=BY, now=place.now)
    conclude(
        answer,
        "Commande {order} : {count} pass périmés.",
        order=order,
        count=answer.facts.get("count"),
    )


@click.command(
    "reconcile", help=_("Rapproche : où est chaque centime, et à qui il revient.")
)
@click.argument("tranche", required=False)
@click.option("--call", "call_code", help=_("Toutes les tranches d'un appel à projets."))
@click.option("--as-of", type=DAY, help=_("Ce qui s'est passé jusqu'à ce jour."))
@click.option(
    "--known-by", type=DAY, help=_("Ce que le journal savait à la fin de ce jour.")
)
@click.option(
    "--log-size",
    type=NUMBER,
    help=_("Ce que le journal savait à cette taille, en nombre d'écritures."),
)
@click.option(
    "--format", "form", type=click.Choice(["text", "csv", "json"]), default="text"
)
@with_place
def reconcile_(
    place: Place,
    tranche: str | None,
    call_code: str | None,
    as_of: date | None,
    known_by: date | None,
    log_size: int | None,
    form: str,
) -> None:
    """Reconcile, or refuse to print."""
    with place.begin(read_only=True) as session:
        found = reconcile(
            session,
            now=place.now,
            tranche=tranche,
            call=call_code,
            as_of=as_of,
            known_by=known_by,
            log_size=log_size,
        )
    click.echo(printed(found, call_code, form, MESSAGES), nl=False)


@click.command(
    "audit", help=_("Recalcule tout depuis les écritures, et dit ce qui diffère.")
)
@with_place
def audit(place: Place) -> None:
    """Derive everything again; exit code 1 if something differs."""
    different = 0
    came_without_vault = place.instance.departement(place.code).read_only
    with place.begin(read_only=True) as session:
        for name, findings in audit_departement(session, with_vault=not came_without_vault):
            found = list(findings)
            different += len(found)
            verdict = (
                _("conforme") if not found else _("{count} écart(s)", count=len(found))
            )
            click.echo(f"{name} : {verdict}")
            for finding in found[:20]:
                click.echo(f"  {finding.code} {json.dumps(finding.facts, default=str)}")
    if different:
        sys.exit(1)


COMMANDS = (redeem_, undo_, block, block_stock_, void_misprints_, lapse_, reconcile_, audit)
