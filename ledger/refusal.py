"""An anticipated no: a rule said no, and the caller can explain why and carry on."""

from dataclasses import dataclass
from typing import ClassVar


@dataclass(eq=False)
class Refusal(Exception):  # noqa: N818 - it is an answer, not an error
    """A rule of the programme said no; the caller can explain why and carry on.

    Subclasses are dataclasses (``eq=False``, never frozen: a context manager sets
    ``__traceback__``) whose fields are the facts.  `code` is stable, stored by phones and
    printed in exports: never rename one.  The sentences people read are translations
    keyed by `code`; `str()` is for logs.

    `kept` says whether the refusal of an act is its answer for ever.  What is refused for want
    of a setting of the server, or for a clock that is wrong, is not: the same act can be sent
    again once that is right.
    """

    code: ClassVar[str]
    kept: ClassVar[bool] = True

    def __str__(self) -> str:
        """Name the refusal and its facts."""
        return f"{self.code} {vars(self)}"
