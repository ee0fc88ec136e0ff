"""Why a coffre is not written."""

from dataclasses import dataclass

from ledger.refusal import Refusal


@dataclass(eq=False)
class JustAmended(Refusal):
    """A site, an accreditation or an order was changed since the checkpoint: wait for the next one."""

    code = "coffre_just_amended"

    size: int


@dataclass(eq=False)
class LogDiffers(Refusal):
    """The stored entries do not give the root that was published: someone touched one of the two."""

    code = "log_differs"

    size: int
