"""Commands about e-mails: what waits and what needs a decision, sending, trying again, giving up."""

import sys
from uuid import UUID

import click

from app.cli.frame import MESSAGES, Place, _, as_json, print_rows, with_place
from app.mail import outbox
from app.mail.sending import send_due
from app.mail.telling import told


@click.group(
    help=_("Les e-mails : ce qui attend, ce qui part, ce qui demande une décision.")
)
def mail() -> None:
    """Hold the commands about e-mails together."""


@mail.command("list", help=_("Liste les e-mails qui ne sont pas partis, et dit pourquoi."))
@click.option("--all", "everything", is_flag=True, help=_("Ceux qui sont partis, aussi."))
@as_json
@with_place
def list_(place: Place, everything: bool, form: str) -> None:
    """List e-mails, one a line; machines get the codes, people the sentences."""
    now = place.now
    with place.begin(read_only=True) as session:
        found = (
            outbox.listed_all(session)
            if everything
            else outbox.listed_open(session, now=now)
        )
    if form == "json":
        titles = [
            "id",
            "login",
            "template",
            "state",
            "due_at",
            "attempts",
            "error",
            "reply",
        ]
        codes = [
            (m.id, m.login, m.template, m.state(now), m.due_at, m.attempts, m.last_error, m.last_reply)
            for m in found
        ]  # fmt: skip
        print_rows(titles, codes, form)
        return
    rows = [(m.id, m.login, m.template, m.due_at, told(m, MESSAGES, now)) for m in found]
    print_rows(["id", "login", "template", "due_at", "told"], rows, form)


@mail.command("send", help=_("Envoie ce qui doit partir, et s'arrête."))
@click.option("--dry-run", is_flag=True, help=_("Dit qui recevrait quoi ; rien ne part."))
@with_place
def send(place: Place, dry_run: bool) -> None:
    """Send what is due; exit code 1 when an e-mail was stopped or is uncertain: somebody must look."""
    if dry_run:
        with place.begin(read_only=True) as session:
            due = outbox.listed_due(session, now=place.now)
        rows = [(m.login, m.template, m.due_at) for m in due]
        print_rows(["login", "template", "due_at"], rows, "text")
        return
    done = send_due(place.instance, place.code)
    summary = _(
        "{sent} partis, {put_off} remis à plus tard, {stopped} arrêtés, {uncertain} à vérifier.",
        sent=done["sent"],
        put_off=done["put_off"],
        stopped=done["stopped"] + done["given_up"],
        uncertain=done["uncertain"],
    )
    click.echo(summary)
    if done["stopped"] or done["given_up"] or done["uncertain"]:
        click.echo(_("« passnum mail list » dit lesquels, et pourquoi."), err=True)
        sys.exit(1)


@mail.command(
    "retry", help=_("Fait partir un e-mail à vérifier ; il peut alors arriver deux fois.")
)
@click.argument("identifier", type=click.UUID)
@with_place
def retry(place: Place, identifier: UUID) -> None:
    """Have an uncertain e-mail sent again at the next round."""
    with place.begin() as session:
        outbox.retry(session, identifier, now=place.now)
    click.echo(_("Cet e-mail partira au prochain envoi."))


@mail.command("drop", help=_("Abandonne un e-mail qui n'est pas parti, ou est à vérifier."))
@click.argument("identifier", type=click.UUID)
@with_place
def drop(place: Place, identifier: UUID) -> None:
    """Give an e-mail up; a code that it carried stays good."""
    with place.begin() as session:
        outbox.drop(session, identifier, now=place.now)
    place.instance.database.fold(place.code)
    click.echo(_("Cet e-mail ne partira pas."))


COMMANDS = (mail,)
