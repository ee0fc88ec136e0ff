"""Commands about the people who work here: the first manager is invited from a terminal."""

from pathlib import Path
from uuid import UUID

import click
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.cli.frame import BY, NUMBER, Place, _, as_json, conclude, print_rows, with_place
from app.mail.invitations import last_whole_day, letterhead, mail_code
from app.mail.letters import code_letter
from app.people.memberships import (
    Invite,
    MembershipUnknown,
    end_membership,
    has_password,
    invite,
    listed_people,
    new_invitation,
)
from app.people.models import person
from app.people.roles import Role
from ledger.identifiers import new_id


@click.group(help=_("Les personnes et leurs rôles."))
def people() -> None:
    """Hold the commands about people together."""


@people.command("invite", help=_("Donne un rôle à une personne, et un code pour entrer."))
@click.argument("login")
@click.argument("name")
@click.option("--role", type=click.Choice([r.value for r in Role]), required=True)
@click.option("--desk", help=_("Le guichet, pour un prescripteur."))
@click.option("--site", type=NUMBER, help=_("Le numéro du lieu, pour un médiateur."))
@click.option("--programme", help=_("Le programme, s'il n'y en a qu'un."))
@with_place
def invite_(
    place: Place,
    login: str,
    name: str,
    role: str,
    desk: str | None,
    site: int | None,
    programme: str | None,
) -> None:
    """Give a role; prints an invitation code when the person has no password yet."""
    asked = Invite(new_id(), login, name, Role(role), desk, site, programme)
    with place.begin() as session:
        answer = invite(session, asked, inviter=None, by=BY, now=place.now)
        code, mailed = None, False
        if answer.accepted:
            who = UUID(answer.facts["person"])
            if not has_password(session, who):
                code = new_invitation(session, who, by=BY, now=place.now)
                mailed = mail_code(session, place.instance, who, code, now=place.now)
    conclude(answer, "Rôle donné.")
    if code is not None:
        _tell(code, login, mailed=mailed)


def _tell(code: str, login: str, *, mailed: bool) -> None:
    click.echo(
        _(
            "Code d'invitation, à donner à la personne : {code} (une fois, quatorze jours).",
            code=code,
        )
    )
    if mailed:
        click.echo(_("Il part aussi par e-mail à {login}.", login=login.lower()))


def _person(session: Session, login: str) -> tuple[UUID, str, str]:
    """Return someone's id, login and name, or raise `MembershipUnknown`."""
    row = session.execute(
        select(person.c.id, person.c.login, person.c.name).where(
            person.c.login == login.strip().lower()
        )
    ).one_or_none()
    if row is None:
        raise MembershipUnknown
    return row.id, row.login, row.name


@people.command("code", help=_("Donne un nouveau code à qui a perdu son mot de passe."))
@click.argument("login")
@with_place
def code_(place: Place, login: str) -> None:
    """Print a new invitation code; the old password works until the new one is chosen."""
    with place.begin() as session:
        who, known, _name = _person(session, login)
        code = new_invitation(session, who, by=BY, now=place.now)
        mailed = mail_code(session, place.instance, who, code, now=place.now)
    _tell(code, known, mailed=mailed)


@people.command(
    "letter",
    help=_("Écrit une lettre à imprimer, avec un nouveau code : un PDF d'une page."),
)
@click.argument("login")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), required=True)
@with_place
def letter(place: Place, login: str, out: Path) -> None:
    """Write a letter that only the caller can read; its code is kept nowhere else."""
    now = place.now
    with place.begin() as session:
        who, known, name = _person(session, login)
        # A file that cannot be there leaves the older code good.
        out.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        out.touch(mode=0o600)
        out.chmod(0o600)  # it may have been there, open to others
        code = new_invitation(session, who, by=BY, now=now)
    pdf = code_letter(
        letterhead(place.instance, place.code),
        name=name,
        login=known,
        code=code,
        until=last_whole_day(now),
        now=now,
    )
    out.write_bytes(pdf)
    click.echo(_("Lettre écrite : {out}. Imprimez-la, puis effacez-la.", out=out))


@people.command("list", help=_("Liste les personnes et leurs rôles."))
@as_json
@with_place
def list_(place: Place, form: str) -> None:
    """List people, one line a role."""
    with place.begin(read_only=True) as session:
        rows = [
            (str(p.membership.id), p.login, p.name, p.membership.role.value,
             p.membership.desk, p.membership.site, p.membership.programme)
            for p in listed_people(session)
        ]  # fmt: skip
    titles = ["membership", "login", "name", "role", "desk", "site", "programme"]
    print_rows(titles, rows, form)


@people.command("end", help=_("Retire un rôle."))
@click.argument("membership", type=click.UUID)
@with_place
def end(place: Place, membership: UUID) -> None:
    """End a role."""
    with place.begin() as session:
        answer = end_membership(session, membership, act=new_id(), by=BY, now=place.now)
    conclude(answer, "Rôle retiré.")


COMMANDS = (people,)
