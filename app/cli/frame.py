"""What every command shares: where the data is, which département, how an answer is printed."""

import json
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from functools import update_wrapper
from pathlib import Path
from typing import Any, TypeVar

import click
import msgspec
from sqlalchemy.orm import Session

from app.cli.click_words import speak_french
from app.instance import Instance
from app.messages import spoken
from app.settings import read_settings
from app.spreadsheets import cell, csv_text
from ledger.attempts import Answer, facts_of
from ledger.moments import Moment
from ledger.refusal import Refusal

R = TypeVar("R")

MESSAGES = spoken()
_ = MESSAGES.text
# Before any command is written down: some of click's words are taken then.
if MESSAGES.language == "fr":
    speak_french()
BY = "cli"


@dataclass(eq=False)
class WhichDepartement(Refusal):
    """Several départements are on this instance, or none: one must be named."""

    code = "which_departement"

    known: tuple[str, ...]


# A year of two figures would be one of the first century.
FRENCH_DAY = re.compile(r"([0-9]{1,2})/([0-9]{1,2})/([0-9]{4})")
MOST_FIGURES = 15  # of an amount in euros: more are in no book
FIGURES_MAX = 18  # of a number that a database counts with; more is a slip of the keyboard


class Day(click.ParamType[date]):
    """A date typed as 2020-12-31 or 31/12/2020."""

    name = "AAAA-MM-JJ"

    def convert(
        self,
        value: Any,
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> date:
        """Read both ways of writing a date."""
        if isinstance(value, date):
            return value
        text = str(value).strip()
        try:
            if written := FRENCH_DAY.fullmatch(text):
                return date(int(written[3]), int(written[2]), int(written[1]))
            return date.fromisoformat(text)
        except ValueError:
            self.fail(
                _("« {value} » n'est pas une date : écrivez 2020-12-31.", value=text),
                param,
                ctx,
            )


DAY = Day()


class Number(click.types.IntParamType):
    """A whole number that a database counts with."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Any:
        """Read it, unless it is longer than any number here."""
        if len(str(value)) > FIGURES_MAX:
            self.fail(_("« {value} » a trop de chiffres.", value=value), param, ctx)
        return super().convert(value, param, ctx)


NUMBER = Number()


class Euros(click.ParamType[int]):
    """An amount typed in euros, kept in cents: 12500, 12 500,50."""

    name = "EUROS"

    def convert(
        self,
        value: Any,
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> int:
        """Read euros without ever making a float of them."""
        if isinstance(value, int):
            return value
        text = "".join(str(value).split()).replace("€", "").replace(",", ".")
        whole, _dot, cents = text.partition(".")
        if (
            len(whole) > MOST_FIGURES
            or not whole.isdecimal()
            or not (cents or "0").isdecimal()
            or len(cents) > 2
        ):
            self.fail(
                _("« {value} » n'est pas un montant en euros.", value=value), param, ctx
            )
        return int(whole) * 100 + int((cents or "0").ljust(2, "0"))


EUROS = Euros()


@dataclass(frozen=True)
class Place:
    """Where a command works: the instance and one département of it."""

    instance: Instance
    code: str

    @property
    def now(self) -> Moment:
        """This instant, in the département."""
        return self.instance.moment(self.code)

    @contextmanager
    def begin(self, *, read_only: bool = False) -> Iterator[Session]:
        """Open the command's transaction; where no sequencer runs apart, step it after."""
        with self.instance.database.begin(self.code, read_only=read_only) as session:
            yield session
        if not read_only and not self.instance.database.place.sequencer_is_apart:
            self.instance.drain(self.code)


_data_dir = click.option(
    "--data-dir",
    type=click.Path(file_okay=False, path_type=Path),
    help=_("Le dossier des fichiers SQLite, à la place de PostgreSQL."),
)
_departement = click.option(
    "--departement",
    "-d",
    envvar="PASSNUM_DEPARTEMENT",
    help=_("Le code du département ; inutile s'il est seul."),
)


def with_instance(command: Callable[..., R]) -> Callable[..., R]:
    """Give a command the instance; its first parameter."""

    def run(*args: Any, data_dir: Path | None, **options: Any) -> R:
        instance = Instance(read_settings(data_dir=data_dir))
        try:
            return command(instance, *args, **options)
        finally:
            instance.close()

    return _data_dir(update_wrapper(run, command))


def with_place(command: Callable[..., R]) -> Callable[..., R]:
    """Give a command the instance and the département it works in; its first parameter."""

    def run(instance: Instance, *args: Any, departement: str | None, **options: Any) -> R:
        return command(Place(instance, _chosen(instance, departement)), *args, **options)

    return with_instance(_departement(update_wrapper(run, command)))


def _chosen(instance: Instance, departement: str | None) -> str:
    if departement is not None:
        return instance.departement(departement.upper()).code
    known = instance.database.departements()
    if len(known) != 1:
        raise WhichDepartement(tuple(tenant.code for tenant in known))
    return known[0].code


as_json = click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help=_("Pour les personnes, ou pour les machines."),
)

as_table = click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json", "csv"]),
    default="text",
    show_default=True,
    help=_("Pour les personnes, pour les machines, ou pour un tableur."),
)


def told(no: Refusal) -> str:
    """Return a refusal as a person reads it, with its code for a machine."""
    return f"{MESSAGES.refusal(no.code, facts_of(no))} [{no.code}]"


def must(answer: Answer) -> Answer:
    """Go on with what was accepted, or leave with the refusal's sentence and exit code 1."""
    if not answer.accepted:
        sentence = MESSAGES.refusal(answer.code, answer.facts)
        click.echo(f"{sentence} [{answer.code}]", err=True)
        sys.exit(1)
    return answer


def conclude(answer: Answer, sentence: str, **facts: Any) -> Answer:
    """Print what was done, or leave with the refusal's sentence and exit code 1."""
    must(answer)
    click.echo(_(sentence, **facts))
    return answer


def print_rows(titles: Sequence[str], rows: Sequence[Sequence[Any]], form: str) -> None:
    """Print a list: aligned for people, one JSON array for machines, or CSV."""
    if form == "csv":
        click.echo(csv_text(titles, rows), nl=False)
        return
    if form == "json":
        records = [dict(zip(titles, row, strict=True)) for row in rows]
        click.echo(json.dumps(msgspec.to_builtins(records), ensure_ascii=False, indent=2))
        return
    shown = [[cell(value) for value in row] for row in rows]
    widths = [
        max(len(line[n]) for line in [list(titles), *shown]) for n in range(len(titles))
    ]
    for line in [list(titles), *shown]:
        click.echo(
            "  ".join(v.ljust(w) for v, w in zip(line, widths, strict=True)).rstrip()
        )
