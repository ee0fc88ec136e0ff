"""The command for paper that was lost or stolen: what is left of a hand-out is made again."""

from typing import Any
from uuid import UUID

import click
from sqlalchemy.orm import Session

from app.cli.carnets import carnet_of
from app.cli.frame import BY, Place, _, conclude, with_place
from ledger.identifiers import new_id
from redemption.replacing import (
    Given,
    ReplaceHandOut,
    given_at_once,
    given_of_carnet,
    given_of_words,
    replace_hand_out,
    the_only_one,
)


@click.command(
    "replace",
    help=_("Remplace ce qui reste d'une remise perdue ou volée, par autant de pass neufs."),
)
@click.option("--carnet", help=_("Le numéro d'un carnet de cette remise."))
@click.option("--words", type=(str, str), help=_("Les deux mots du talon."))
@click.option(
    "--hand-out",
    "hand_out",
    type=click.UUID,
    help=_("La remise elle-même, quand le carnet a été partagé."),
)
@click.option("--desk", help=_("Le guichet qui demande ; sans guichet, le département."))
@click.option(
    "--reason",
    type=click.Choice(["lost", "stolen", "damaged"]),
    default="lost",
    show_default=True,
)
@with_place
def replace(
    place: Place,
    carnet: str | None,
    words: tuple[str, str] | None,
    hand_out: UUID | None,
    desk: str | None,
    reason: Any,
) -> None:
    """Find the hand-out, end what is left of it, and say what to print."""
    signer = place.instance.signer(place.code)
    with place.begin(read_only=True) as session:
        number = None if carnet is None else carnet_of(session, place, carnet)
        found = _found(session, number, words, hand_out)
    asked = ReplaceHandOut(new_id(), the_only_one(found).id, desk, reason)
    with place.begin() as session:
        answer = replace_hand_out(
            session,
            asked,
            signer=signer,
            by=BY if desk is None else f"desk-{desk}",
            now=place.now,
        )
    conclude(
        answer,
        "{count} pass remplacés par le carnet {carnet}. Imprimez-le : passnum print {order}",
        count=answer.facts.get("count"),
        carnet=answer.facts.get("first_carnet"),
        order=answer.facts.get("order"),
    )


def _found(
    session: Session,
    carnet: int | None,
    words: tuple[str, str] | None,
    hand_out: UUID | None,
) -> list[Given]:
    if hand_out is not None and carnet is None and words is None:
        return [given_at_once(session, hand_out)]
    if carnet is not None and hand_out is None and words is None:
        return given_of_carnet(session, carnet)
    if words is not None and hand_out is None and carnet is None:
        return given_of_words(session, *words)
    raise click.UsageError(_("un carnet, deux mots ou une remise : un seul des trois"))


COMMANDS = (replace,)
