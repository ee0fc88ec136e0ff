"""Who holds a pass, where a rule of the tranche asks it: told to the vault, and nowhere else.

A name is asked for only where it has a reason: a limit per person, counted across desks by a
keyed mark that is no name, or European money (ESF), whose auditor asks who a pass helped.
"""

from dataclasses import dataclass
from datetime import date
from typing import Annotated, Literal

import msgspec

from ledger.refusal import Refusal

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=100, pattern=r"^[^\x00]*$")]


@dataclass(eq=False)
class HolderNeeded(Refusal):
    """The tranche asks who the passes are for; told again with it, the same act goes through."""

    code = "holder_needed"
    kept = False

    reason: Literal["limit", "esf", "unreadable"]


@dataclass(eq=False)
class LimitPerPerson(Refusal):
    """This person has `given` passes of the tranche already, out of `limit`; where is not told.

    Not an answer for ever: `despite_limit` is the way out, and an erasure may change the count.
    """

    code = "limit_per_person"
    kept = False

    given: int
    limit: int


class Holder(msgspec.Struct, frozen=True):
    """A person as they call themselves: never in a request's hash, an entry, or a log."""

    surname: Name
    first_name: Name
    born_on: date
