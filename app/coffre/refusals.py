"""Why a coffre is not written, or not taken in."""

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


@dataclass(eq=False)
class CoffreWrong(Refusal):
    """The coffre does not verify; `why` is what verify.py says of it. Nothing was written."""

    code = "coffre_wrong"

    why: str


@dataclass(eq=False)
class CoffreFiltered(Refusal):
    """The coffre holds only some of the entries: a whole one is needed."""

    code = "coffre_filtered"


@dataclass(eq=False)
class TransferOfAnother(Refusal):
    """The transfer file was made, or is asked for, with another coffre."""

    code = "transfer_of_another"


@dataclass(eq=False)
class TransferUnsigned(Refusal):
    """No key of the log signed the transfer file: whoever made it was not this log's operator."""

    code = "transfer_unsigned"


@dataclass(eq=False)
class NotEmpty(Refusal):
    """The département has a journal here already; it is left as it is."""

    code = "departement_not_empty"

    departement: str


@dataclass(eq=False)
class DepartementDiffers(Refusal):
    """The département is here already, empty, but under another name, time zone, host or use."""

    code = "departement_differs"

    departement: str
    what: str


@dataclass(eq=False)
class ImportDiffers(Refusal):
    """What was loaded does not come to what the coffre says; it was undone."""

    code = "import_differs"

    what: str
