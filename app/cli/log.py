"""Commands about the log itself: its keys, its checkpoints, its witnesses, the proof of an entry."""

import sys
from pathlib import Path
from typing import get_args
from uuid import UUID

import click

from app.cli.frame import BY, NUMBER, Place, _, as_json, conclude, print_rows, with_place
from app.proofs.mark import Mark
from app.proofs.publisher import MarkUnreadable, Publisher
from ledger.identifiers import new_id
from ledger.key_sealing import KeysLocked
from ledger.log_keys import (
    EndLogKey,
    NewLogKey,
    Why,
    end_log_key,
    listed_log_keys,
    log_name,
    new_log_key,
)
from ledger.notes import Checkpoint, NoteError
from ledger.publishing import agree, newest
from ledger.queries import log_size
from ledger.receipts import proof
from ledger.witness_policies import SetPolicy, policy_text, set_policy


@click.group(
    "log", help=_("Le journal prouvé : ses clés, ses points de contrôle, ses témoins.")
)
def log_() -> None:
    """Hold the commands about the log together."""


@log_.group(help=_("Les clés qui signent le journal."))
def key() -> None:
    """Hold the commands about the keys of the log together."""


@key.command("new", help=_("Crée une clé du journal ; la première lui donne son nom."))
@click.option(
    "--name", help=_("Le nom du journal ; sinon, le domaine et le code du département.")
)
@click.option(
    "--lost", is_flag=True, help=_("Le secret d'avant n'ouvre plus rien : il est perdu.")
)
@with_place
def new(place: Place, name: str | None, lost: bool) -> None:
    """Make a key, which signs once the one before has vouched for it."""
    secret = place.instance.settings.key_secret
    if secret is None:
        raise KeysLocked("no_secret")
    tenant = place.instance.departement(place.code)
    with place.begin() as session:
        named = name or log_name(session) or f"{tenant.host.lower()}/{tenant.code}"
        answer = new_log_key(
            session, NewLogKey(new_id(), named, lost), secret=secret, by=BY, now=place.now
        )
    made = answer.facts
    conclude(
        answer,
        "Clé {rank} du journal : {vkey}",
        rank=made.get("rank"),
        vkey=made.get("vkey"),
    )


@key.command("end", help=_("Met fin à une clé : elle ne signe plus."))
@click.argument("rank", type=NUMBER)
@click.option(
    "--why", type=click.Choice(get_args(Why)), default="replaced", show_default=True,
    help=_("Remplacée, perdue, ou tombée dans d'autres mains."),
)  # fmt: skip
@with_place
def end(place: Place, rank: int, why: Why) -> None:
    """End a key; what it signed stays good."""
    with place.begin() as session:
        answer = end_log_key(session, EndLogKey(new_id(), rank, why), by=BY, now=place.now)
    conclude(answer, "La clé {rank} ne signe plus.", rank=rank)


@key.command("list", help=_("Liste les clés du journal."))
@as_json
@with_place
def list_keys(place: Place, form: str) -> None:
    """List the keys."""
    with place.begin(read_only=True) as session:
        rows = [(k.rank, k.vkey, k.signs, k.ended) for k in listed_log_keys(session)]
    print_rows(["rank", "vkey", "signs", "ended"], rows, form)


@log_.command("publish", help=_("Signe et publie le point de contrôle, sans attendre."))
@with_place
def publish(place: Place) -> None:
    """Publish now what the sequencer would publish within ten seconds."""
    publisher = Publisher(place.instance, place.code)
    try:
        made = publisher.publish()
    finally:
        publisher.close()
    if made is None:
        click.echo(_("Rien de nouveau à publier."))
        return
    click.echo(_("Publié : {size} écritures.", size=made.size))


@log_.command(
    "status", help=_("Dit où en est le journal, et s'il prolonge ce qui a été montré.")
)
@with_place
def status(place: Place) -> None:
    """Print the newest checkpoint; exit code 1, with the sentence, when the log denies what was shown."""
    with place.begin(read_only=True) as session:
        shown, size = newest(session), log_size(session)
        click.echo(_("{size} écritures au journal.", size=size))
        remembered = _remembered(place)
        if remembered is not None:
            agree(session, remembered, by="mark")
    if shown is None:
        click.echo(_("Rien n'a encore été publié."))
        sys.exit(1)
    click.echo(shown.note)


def _remembered(place: Place) -> Checkpoint | None:
    try:
        return Mark(place.instance.settings.state_dir, place.code).read()
    except (NoteError, OSError, UnicodeDecodeError) as no:
        raise MarkUnreadable(str(no)) from None


@log_.command("proof", help=_("Écrit la preuve qu'une écriture est au journal."))
@click.argument("entry", type=click.UUID)
@with_place
def proof_(place: Place, entry: UUID) -> None:
    """Print a C2SP tlog-proof."""
    with place.begin(read_only=True) as session:
        click.echo(proof(session, entry), nl=False)


@log_.group(help=_("Qui sont les témoins, et combien doivent avoir signé."))
def policy() -> None:
    """Hold the commands about the policy together."""


@policy.command("show", help=_("Montre la politique en vigueur."))
@with_place
def show(place: Place) -> None:
    """Print the policy (C2SP tlog-policy)."""
    with place.begin(read_only=True) as session:
        click.echo(policy_text(session), nl=False)


@policy.command(
    "set", help=_("Change la politique : un fichier de lignes witness, group, quorum.")
)
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@with_place
def set_(place: Place, file: Path) -> None:
    """Set the policy from a file."""
    text = file.read_bytes().decode("utf-8", "replace")
    with place.begin() as session:
        answer = set_policy(session, SetPolicy(new_id(), text), by=BY, now=place.now)
    version = answer.facts.get("version")
    conclude(answer, "Politique n° {version} en vigueur.", version=version)


COMMANDS = (log_,)
