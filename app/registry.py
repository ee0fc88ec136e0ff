"""The départements of this instance: the one table outside any of them."""

import re
from dataclasses import dataclass
from functools import cached_property
from zoneinfo import ZoneInfo

from sqlalchemy import Column, MetaData, Table, Text, select
from sqlalchemy.orm import Session

from ledger.columns import Flag
from ledger.refusal import Refusal

metadata = MetaData(naming_convention={"pk": "pk_%(table_name)s"})
departement = Table(
    "departement",
    metadata,
    Column("code", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("timezone", Text, nullable=False),
    Column("host", Text, nullable=False),
    Column("read_only", Flag, nullable=False),
    sqlite_strict=True,
)

# The logins of an instance on PostgreSQL; each département has a role for each of them.
ROLES = ("owner", "app", "sequencer")

CODE = re.compile(r"(?:[0-9][0-9]|2[AB]|9[78][0-9])")


@dataclass(eq=False)
class UnknownDepartement(Refusal):
    """No département of this code on this instance."""

    code = "unknown_departement"

    departement: str


@dataclass(eq=False)
class MalformedDepartement(Refusal):
    """Not the INSEE code of a département."""

    code = "malformed_departement"

    departement: str


@dataclass(frozen=True)
class Departement:
    """A tenant: its INSEE code, its own clock, and the host that its paper points to.

    `read_only`: it came from a coffre without what is needed to go on, and is there to be read.
    """

    code: str
    name: str
    timezone: str
    host: str
    read_only: bool = False

    @property
    def schema(self) -> str:
        """The name of its PostgreSQL schema, and the stem of its roles and of its file."""
        return schema_of(self.code)

    @cached_property
    def zone(self) -> ZoneInfo:
        """Its civil time."""
        return ZoneInfo(self.timezone)


def schema_of(code: str) -> str:
    """Return the schema of a département; refuses what is not an INSEE code, so it is safe in SQL."""
    if not CODE.fullmatch(code):
        raise MalformedDepartement(code)
    return f"d{code.lower()}"


def add(session: Session, tenant: Departement) -> None:
    """Register a département; the row decides which codes exist."""
    schema_of(tenant.code)
    session.execute(
        departement.insert().values(
            code=tenant.code,
            name=tenant.name,
            timezone=tenant.timezone,
            host=tenant.host,
            read_only=tenant.read_only,
        )
    )


def every(session: Session) -> list[Departement]:
    """Return the départements of this instance, by code."""
    rows = session.execute(select(departement).order_by(departement.c.code)).all()
    return [Departement(*row) for row in rows]
