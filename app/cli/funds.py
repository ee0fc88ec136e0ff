"""Commands about money that comes: calls for projects, conventions, programmes, tranches."""

from datetime import date
from typing import Any

import click

from app.cli.frame import (
    BY,
    DAY,
    EUROS,
    NUMBER,
    Place,
    _,
    as_json,
    conclude,
    print_rows,
    with_place,
)
from funding import operations as funds
from funding import queries
from funding import tranches as tranches_
from funding.allocation import Funder
from funding.hand_out_rules import HandOutRules
from funding.queries import esf_keeps_no_link
from funding.tranches import AmendCalendar, Calendar, ChangeShares, OpenTranche
from ledger.identifiers import new_id
from redemption.sites import open_tranche


@click.group(help=_("Les appels à projets."))
def call() -> None:
    """Hold the commands about calls together."""


@call.command("open", help=_("Ouvre un appel à projets."))
@click.argument("code")
@click.argument("name")
@with_place
def open_call(place: Place, code: str, name: str) -> None:
    """Open a call for projects."""
    request = funds.OpenCall(new_id(), code, name)
    with place.begin() as session:
        answer = funds.open_call(session, request, by=BY, now=place.now)
    conclude(answer, "Appel à projets {code} ouvert.", code=code)


@call.command("list", help=_("Liste les appels à projets."))
@as_json
@with_place
def list_calls(place: Place, form: str) -> None:
    """List the calls."""
    with place.begin(read_only=True) as session:
        print_rows(["code", "name", "opened_on"], queries.listed_calls(session), form)


@click.group(help=_("Les conventions avec les financeurs."))
def convention() -> None:
    """Hold the commands about conventions together."""


@convention.command("sign", help=_("Enregistre la convention d'un financeur."))
@click.argument("code")
@click.option("--call", "call_code", required=True, help=_("L'appel à projets."))
@click.option("--funder", type=click.Choice([f.value for f in Funder]), required=True)
@click.option("--name", required=True, help=_("Le nom du financeur."))
@click.option(
    "--from", "opens_on", type=DAY, required=True, help=_("Premier jour éligible.")
)
@click.option(
    "--until", "closes_on", type=DAY, required=True, help=_("Dernier jour éligible.")
)
@click.option(
    "--basis", type=click.Choice(["bought", "used", "paid", "unit_cost"]), default="used"
)
@click.option(
    "--payment-mode",
    type=click.Choice(["prepaid", "advance", "on_claim"]),
    default="on_claim",
)
@click.option("--cap", type=EUROS, help=_("Plafond, en euros."))
@with_place
def sign_convention(place: Place, code: str, **options: Any) -> None:
    """Record a funder's agreement."""
    request = funds.SignConvention(
        new_id(),
        code,
        options["call_code"],
        Funder(options["funder"]),
        options["name"],
        options["opens_on"],
        options["closes_on"],
        options["basis"],
        options["payment_mode"],
        options["cap"],
    )
    with place.begin() as session:
        answer = funds.sign_convention(session, request, by=BY, now=place.now)
    conclude(answer, "Convention {code} enregistrée.", code=code)


@convention.command(
    "extend", help=_("Enregistre un avenant : une autre fenêtre d'éligibilité.")
)
@click.argument("code")
@click.option("--from", "opens_on", type=DAY, required=True)
@click.option("--until", "closes_on", type=DAY, required=True)
@with_place
def extend_convention(place: Place, code: str, opens_on: date, closes_on: date) -> None:
    """Give a funder another window."""
    request = funds.ExtendConvention(new_id(), code, opens_on, closes_on)
    with place.begin() as session:
        answer = funds.extend_convention(session, request, by=BY, now=place.now)
    conclude(answer, "Avenant à la convention {code} enregistré.", code=code)


@convention.command("list", help=_("Liste les conventions."))
@as_json
@with_place
def list_conventions(place: Place, form: str) -> None:
    """List the conventions."""
    titles = ["code", "call", "funder", "name", "basis", "payment_mode", "cap_cents"]
    titles += ["opens_on", "closes_on"]
    with place.begin(read_only=True) as session:
        print_rows(titles, queries.listed_conventions(session), form)


@click.group(help=_("Les programmes du département."))
def programme() -> None:
    """Hold the commands about programmes together."""


@programme.command("start", help=_("Ouvre un programme."))
@click.argument("code")
@click.argument("name")
@with_place
def start_programme(place: Place, code: str, name: str) -> None:
    """Start a programme."""
    request = funds.StartProgramme(new_id(), code, name)
    with place.begin() as session:
        answer = funds.start_programme(session, request, by=BY, now=place.now)
    conclude(answer, "Programme {code} ouvert.", code=code)


@programme.command(
    "suspend", help=_("Suspend un programme, ou donne la fin d'une suspension.")
)
@click.argument("code")
@click.option("--from", "starts_on", type=DAY, required=True)
@click.option("--until", "ends_on", type=DAY)
@click.option(
    "--reason",
    type=click.Choice(["health_crisis", "network_review", "funding_pause", "other"]),
    default="other",
)
@with_place
def suspend_programme(
    place: Place,
    code: str,
    starts_on: date,
    ends_on: date | None,
    reason: Any,
) -> None:
    """Suspend a programme, or tell the end of a suspension."""
    request = funds.SuspendProgramme(new_id(), code, starts_on, ends_on, reason)
    with place.begin() as session:
        answer = funds.suspend_programme(session, request, by=BY, now=place.now)
    conclude(answer, "Suspension du programme {code} enregistrée.", code=code)


@programme.command("list", help=_("Liste les programmes."))
@as_json
@with_place
def list_programmes(place: Place, form: str) -> None:
    """List the programmes."""
    with place.begin(read_only=True) as session:
        print_rows(["code", "name"], queries.listed_programmes(session), form)


@click.group(help=_("Les tranches : enveloppe, parts, calendrier."))
def tranche() -> None:
    """Hold the commands about tranches together."""


_CALENDAR = [
    click.option(
        "--hand-out-stop", type=DAY, required=True, help=_("Dernier jour de remise.")
    ),
    click.option("--use-by", type=DAY, required=True, help=_("Dernier jour imprimé.")),
    click.option("--tolerance", type=DAY, required=True, help=_("Dernier jour d'atelier.")),
    click.option(
        "--present-by", type=DAY, required=True, help=_("Dernier jour de réception.")
    ),
    click.option("--pay-by", type=DAY, required=True, help=_("Dernier jour de paiement.")),
    click.option("--report-by", type=DAY, required=True, help=_("Dernier jour du bilan.")),
]


def _with_calendar(command: Any) -> Any:
    for option in reversed(_CALENDAR):
        command = option(command)
    return command


def _calendar(options: dict[str, Any]) -> Calendar:
    names = ("hand_out_stop", "use_by", "tolerance", "present_by", "pay_by", "report_by")
    return Calendar(*(options[name] for name in names))


def _weights(shares: tuple[str, ...]) -> dict[str, int]:
    weights: dict[str, int] = {}
    for text in shares:
        code, _equals, weight = text.partition("=")
        if not code or not weight.isdecimal():
            raise click.BadParameter(_("écrivez CONVENTION=POIDS, par exemple FSE=60"))
        if code in weights:
            raise click.BadParameter(
                _("{code} est écrit deux fois : une part pour chaque convention", code=code)
            )
        weights[code] = int(weight)
    return weights


_SHARES = click.option(
    "--share",
    "shares",
    multiple=True,
    required=True,
    help=_("CONVENTION=POIDS, une fois chacune."),
)


@tranche.command("open", help=_("Ouvre une tranche."))
@click.argument("code")
@click.option(
    "--number", type=NUMBER, required=True, help=_("Son numéro, imprimé sur les pass.")
)
@click.option("--programme", "programme_code", required=True)
@click.option("--call", "call_code", required=True)
@click.option("--envelope", type=EUROS, required=True, help=_("L'enveloppe, en euros."))
@_SHARES
@_with_calendar
@click.option("--face-value", type=EUROS, default="10", show_default=True)
@click.option("--carnet-size", type=NUMBER, default=5, show_default=True)
@click.option(
    "--regularise", is_flag=True, help=_("Garde les pass scannés avant leur remise.")
)
@click.option(
    "--territory", multiple=True, help=_("Commune (INSEE) ou département des lieux.")
)
@click.option("--public", "publics", multiple=True, help=_("Public visé."))
@click.option(
    "--late-days",
    type=NUMBER,
    default=HandOutRules().late_days,
    show_default=True,
    help=_("Jours pendant lesquels une remise peut encore être notée."),
)
@click.option(
    "--limit-per-person",
    type=NUMBER,
    help=_("Pass qu'une même personne peut recevoir, tous guichets confondus."),
)
@click.option(
    "--pic-share",
    type=NUMBER,
    help=_("Part des pass à remettre aux publics PIC, en pour cent (50)."),
)
@click.option(
    "--holders-named",
    is_flag=True,
    help=_("Demande pour qui sont les pass (FSE) : le nom va à la chambre forte."),
)
@click.option(
    "--hand-out-at-sites",
    "at_sites",
    is_flag=True,
    help=_("Permet de remettre des pass dans les lieux."),
)
@click.option(
    "--activated-on",
    type=click.Choice(["commitment", "mandat"]),
    default="commitment",
    show_default=True,
    help=_("Ce qui rend une commande valable : un engagement, ou un mandat payé d'avance."),
)
@with_place
def open_tranche_(place: Place, code: str, **options: Any) -> None:
    """Open a tranche."""
    request = OpenTranche(
        id=new_id(),
        number=options["number"],
        code=code,
        programme=options["programme_code"],
        call=options["call_code"],
        envelope_cents=options["envelope"],
        shares=_weights(options["shares"]),
        calendar=_calendar(options),
        face_cents=options["face_value"],
        carnet_size=options["carnet_size"],
        regularise=options["regularise"],
        territory=tuple(area.strip().upper() for area in options["territory"]),
        publics=options["publics"],
        hand_out=HandOutRules(
            **{name: options[name] for name in HandOutRules.__struct_fields__}
        ),
        activated_on=options["activated_on"],
    )
    with place.begin() as session:
        answer = open_tranche(session, request, by=BY, now=place.now)
    conclude(
        answer,
        "Tranche {code} ouverte : {sum}.",
        code=code,
        sum_cents=request.envelope_cents,
    )
    with place.begin(read_only=True) as session:
        unlinked = esf_keeps_no_link(session, request.number)
    if unlinked:
        click.echo(
            _(
                "L'Europe (FSE) paie une partie de ces pass, mais aucun lien entre un pass et une personne n'est gardé."
            )
        )


@tranche.command("extend", help=_("Enregistre un avenant : un autre calendrier."))
@click.argument("code")
@_with_calendar
@with_place
def extend_tranche(place: Place, code: str, **options: Any) -> None:
    """Add a calendar version."""
    request = AmendCalendar(new_id(), code, _calendar(options))
    with place.begin() as session:
        answer = tranches_.amend_calendar(session, request, by=BY, now=place.now)
    conclude(answer, "Calendrier de la tranche {code} modifié.", code=code)


@tranche.command(
    "shares", help=_("Enregistre un avenant : d'autres parts, à partir d'un jour.")
)
@click.argument("code")
@_SHARES
@click.option(
    "--from", "from_day", type=DAY, required=True, help=_("Premier jour d'atelier.")
)
@with_place
def change_shares(place: Place, code: str, shares: tuple[str, ...], from_day: date) -> None:
    """Add a share version."""
    request = ChangeShares(new_id(), code, _weights(shares), from_day)
    with place.begin() as session:
        answer = tranches_.change_shares(session, request, by=BY, now=place.now)
    conclude(answer, "Parts de la tranche {code} modifiées.", code=code)


@tranche.command("list", help=_("Liste les tranches."))
@as_json
@with_place
def list_tranches(place: Place, form: str) -> None:
    """List the tranches, with the calendar in force."""
    rows = []
    with place.begin(read_only=True) as session:
        for row in queries.tranches(session):
            days = queries.calendar_in_force(session, row.number)
            money = queries.envelope(session, row.number)
            rows.append(
                (
                    row.number,
                    row.code,
                    row.programme,
                    row.call,
                    money,
                    days.use_by,
                    days.tolerance_until,
                )
            )
    titles = [
        "number",
        "code",
        "programme",
        "call",
        "envelope_cents",
        "use_by",
        "tolerance_until",
    ]
    print_rows(titles, rows, form)


COMMANDS = (call, convention, programme, tranche)
