"""Commands that look at hand-outs: quotas, and those that somebody looks at again."""

from collections.abc import Callable
from typing import Any

import click

from app.cli.frame import MESSAGES, Place, _, as_json, as_table, print_rows, with_place
from funding.tranches import tranche_row
from issuance.given import Given, Looked, given
from issuance.quotas import quotas
from redemption.same_organisation import SameOrganisation, same_organisation

TITLES = [
    "tranche",
    "bought",
    "handed_out",
    "pic",
    "by_proof",
    "share",
    "needed_so_far",
    "needed_of_bought",
    "still_needed",
]


@click.command(
    "quota",
    help=_("Compte les pass remis aux publics PIC, et ce qui manque à la promesse."),
)
@click.argument("tranche", required=False)
@as_json
@with_place
def quota_(place: Place, tranche: str | None, form: str) -> None:
    """Print where each tranche stands; both readings of the share, since the call tells none."""
    with place.begin(read_only=True) as session:
        if tranche is not None:
            tranche_row(session, tranche)
        found = quotas(session, tranche)
    rows = []
    for q in found:
        told: Any = q.by_proof
        if form != "json":
            proofs = [
                (MESSAGES.word("proof_told", proof), n) for proof, n in q.by_proof.items()
            ]
            told = ", ".join(f"{word} {n}" for word, n in proofs)
        rows.append(
            (
                q.tranche,
                q.bought,
                q.handed_out,
                q.pic,
                told,
                q.share,
                q.needed_so_far,
                q.needed_of_bought,
                q.still_needed,
            )
        )
    print_rows(TITLES, rows, form)


@click.group("hand-outs", help=_("Les remises à revoir."))
def hand_outs() -> None:
    """Hold the commands that list hand-outs together."""


def _lists(looked: Looked, told: str) -> Callable[..., None]:
    @hand_outs.command(looked, help=told)
    @click.option("--tranche", help=_("Une seule tranche."))
    @as_table
    @with_place
    def listed(place: Place, tranche: str | None, form: str) -> None:
        """List hand-outs; nobody is named."""
        with place.begin(read_only=True) as session:
            if tranche is not None:
                tranche_row(session, tranche)
            found = given(session, looked, code=tranche)
        print_rows(Given._fields, found, form)

    return listed


_lists("despite-limit", _("Liste les remises faites malgré la limite par personne."))
_lists("late", _("Liste les remises notées après coup."))
_lists("at-site", _("Liste les remises faites dans un lieu."))


@click.group(help=_("Ce que le département doit voir."))
def report() -> None:
    """Hold the reports together."""


@report.command(
    "same-organisation",
    help=_("Liste les pass utilisés dans un lieu de l'organisme qui les a remis."),
)
@as_table
@with_place
def same_organisation_(place: Place, form: str) -> None:
    """List desks and sites of one organisation, with what went from one to the other."""
    with place.begin(read_only=True) as session:
        found = same_organisation(session)
    print_rows(SameOrganisation._fields, found, form)


COMMANDS = (quota_, hand_outs, report)
