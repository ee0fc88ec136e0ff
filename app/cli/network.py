"""Commands about the network: sites, accreditations, devices, workshops."""

import json
import sys
from collections import Counter
from contextlib import ExitStack
from datetime import date
from pathlib import Path
from typing import Any

import click
import msgspec

from app.cli.frame import (
    BY,
    DAY,
    MESSAGES,
    Place,
    _,
    as_json,
    conclude,
    print_rows,
    with_place,
)
from app.devices import listed_devices, new_device, revoke_device
from app.works.site_lists import row_sentence
from funding.models import programme
from funding.operations import exist
from ledger.identifiers import new_id
from redemption.counter import Device
from redemption.import_sites import RowReport, import_sites
from redemption.sites import (
    Accredit,
    EndAccreditation,
    accredit,
    end_accreditation,
    listed_accreditations,
    listed_sites,
)
from redemption.workshops import OpenWorkshop, listed_service, open_workshop

MANAGER = Device("cli", None)


@click.group(help=_("Les lieux de médiation."))
def sites() -> None:
    """Hold the commands about sites together."""


@sites.command(
    "import", help=_("Importe une liste de lieux au schéma national (32 colonnes).")
)
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option(
    "--programme", "programme_code", required=True, help=_("Le programme du réseau.")
)
@click.option(
    "--report",
    type=click.Path(dir_okay=False, path_type=Path),
    help=_("Une ligne JSON par ligne lue."),
)
@click.option(
    "--all-or-nothing", is_flag=True, help=_("Ne garde rien si une ligne est refusée.")
)
@with_place
def import_(
    place: Place, file: Path, programme_code: str, report: Path | None, all_or_nothing: bool
) -> None:
    """Import a list of sites and tell what became of each row."""
    try:
        data = file.read_bytes()
    except OSError as no:
        click.echo(
            _("Impossible de lire {file} : {why}.", file=file, why=no.strerror), err=True
        )
        sys.exit(1)
    with ExitStack() as opened:
        try:
            told = None
            if report is not None:
                told = opened.enter_context(report.open("w", encoding="utf-8"))
        except OSError as no:
            click.echo(
                _("Impossible d'écrire {file} : {why}.", file=report, why=no.strerror),
                err=True,
            )
            sys.exit(1)
        with place.begin() as session:
            exist(session, programme.c.code, programme_code)
            rows = import_sites(
                session, data, all_or_nothing=all_or_nothing, by=BY, now=place.now
            )
        if told is not None:
            told.writelines(
                f"{json.dumps(_reported(row), ensure_ascii=False)}\n" for row in rows
            )
    counts = Counter(row.verdict for row in rows)
    click.echo(_("{count} lignes lues.", count=len(rows)))
    for verdict in ("accepted", "corrected", "candidate", "refused"):
        click.echo(f"  {MESSAGES.word('verdict', verdict)} : {counts[verdict]}")
    kept = Counter(row.kept for row in rows)
    for what in ("new", "changed", "same"):
        click.echo(f"  {MESSAGES.word('kept', what)} : {kept[what]}")
    for row in rows:
        if row.verdict == "refused":
            click.echo(f"  {_('ligne {line}', line=row.line)} : {_sentence(row)}")


def _reported(row: RowReport) -> dict[str, Any]:
    return {
        "line": row.line,
        "id": row.id,
        "verdict": row.verdict,
        "code": row.code,
        "sentence": _sentence(row),
        "corrections": msgspec.to_builtins(row.corrections),
    }


def _sentence(row: RowReport) -> str:
    return row_sentence(MESSAGES, row.code, [c.code for c in row.corrections])


@sites.command("list", help=_("Liste les lieux."))
@as_json
@with_place
def list_sites(place: Place, form: str) -> None:
    """List the sites."""
    with place.begin(read_only=True) as session:
        titles = ["number", "id", "siret", "name", "commune", "postcode"]
        print_rows(titles, listed_sites(session), form)


@click.group(help=_("Les habilitations des lieux."))
def accreditation() -> None:
    """Hold the commands about accreditations together."""


@accreditation.command("grant", help=_("Habilite un lieu pour un programme."))
@click.argument("site")
@click.option("--programme", "programme_code", required=True)
@click.option("--from", "valid_from", type=DAY, required=True, help=_("Premier jour."))
@click.option(
    "--until", "valid_until", type=DAY, default="9999-12-31", help=_("Dernier jour.")
)
@with_place
def grant(
    place: Place, site: str, programme_code: str, valid_from: date, valid_until: date
) -> None:
    """Accredit a site."""
    request = Accredit(new_id(), site, programme_code, valid_from, valid_until)
    with place.begin() as session:
        answer = accredit(session, request, by=BY, now=place.now)
    conclude(answer, "Lieu {site} habilité.", site=site)


@accreditation.command(
    "end", help=_("Suspend ou retire une habilitation, après un dernier jour.")
)
@click.argument("site")
@click.option("--programme", "programme_code", required=True)
@click.option(
    "--last-day", type=DAY, required=True, help=_("Dernier jour où le lieu accepte.")
)
@click.option(
    "--reason", type=click.Choice(["suspended", "withdrawn", "closed"]), default="suspended"
)
@with_place
def end(place: Place, site: str, programme_code: str, last_day: date, reason: Any) -> None:
    """End an accreditation."""
    request = EndAccreditation(new_id(), site, programme_code, last_day, reason)
    with place.begin() as session:
        answer = end_accreditation(session, request, by=BY, now=place.now)
    conclude(answer, "Habilitation du lieu {site} terminée.", site=site)


@accreditation.command("list", help=_("Liste les habilitations."))
@as_json
@with_place
def list_accreditations(place: Place, form: str) -> None:
    """List the accreditations."""
    titles = ["site", "id", "name", "programme", "valid_from", "valid_until", "ended_for"]
    with place.begin(read_only=True) as session:
        print_rows(titles, listed_accreditations(session), form)


@click.group(help=_("Les appareils autorisés, pour un lieu, un guichet ou la lecture."))
def device() -> None:
    """Hold the commands about devices together."""


@device.command("new", help=_("Autorise un appareil ; son jeton n'est montré qu'une fois."))
@click.option("--site", help=_("Le lieu pour lequel il scanne."))
@click.option("--desk", help=_("Le guichet pour lequel il remet."))
@click.option(
    "--label", default="", help=_("Un nom pour s'y retrouver, sans nom de personne.")
)
@with_place
def make_device(place: Place, site: str | None, desk: str | None, label: str) -> None:
    """Make a device for a site, for a desk, or, with neither, a reader of the département."""
    if site and desk:
        raise click.UsageError(_("un lieu ou un guichet, pas les deux"))
    scope: Any = "site" if site else "desk" if desk else "departement"
    with place.begin() as session:
        identifier, token = new_device(
            session, place.code, scope=scope, at=site or desk, label=label, now=place.now
        )
    click.echo(f"{identifier}\n{token}")


@device.command("revoke", help=_("Retire son autorisation à un appareil."))
@click.argument("identifier")
@with_place
def revoke(place: Place, identifier: str) -> None:
    """Revoke a device."""
    with place.begin() as session:
        revoke_device(session, identifier, now=place.now)
    click.echo(_("Appareil {id} révoqué.", id=identifier))


@device.command("list", help=_("Liste les appareils."))
@as_json
@with_place
def list_devices(place: Place, form: str) -> None:
    """List the devices."""
    with place.begin(read_only=True) as session:
        titles = ["id", "label", "scope", "site", "desk", "revoked_at"]
        print_rows(titles, listed_devices(session), form)


@click.group(help=_("Les ateliers."))
def workshop() -> None:
    """Hold the commands about workshops together."""


@workshop.command("open", help=_("Enregistre un atelier ; écrit son identifiant."))
@click.argument("site")
@click.option("--day", type=DAY, required=True, help=_("Le jour de l'atelier."))
@click.option(
    "--kind",
    type=click.Choice(["individual", "collective", "at_home", "itinerant"]),
    default="collective",
    show_default=True,
)
@click.option(
    "--service",
    default="Maîtrise des outils numériques du quotidien",
    show_default=True,
    help=_("Un service de la liste nationale des lieux."),
)
@with_place
def open_workshop_(place: Place, site: str, day: date, kind: Any, service: str) -> None:
    """Record a workshop and print its id."""
    request = OpenWorkshop(new_id(), site, day, kind, listed_service(service))
    with place.begin() as session:
        answer = open_workshop(session, request, device=MANAGER, now=place.now)
    conclude(answer, "{id}", id=request.id)


COMMANDS = (sites, accreditation, device, workshop)
