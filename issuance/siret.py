"""Is this a SIRET: fourteen digits whose check holds, La Poste's own way included.

The first nine digits are a SIREN, and both numbers carry a Luhn check.  La Poste
(SIREN 356000000) has more establishments than the check leaves room for: hers count when
the sum of the digits is a multiple of five, *or* when Luhn holds.  `stdnum.fr.siret` lets
only her head office pass by Luhn, hence a rule of our own.

A SIRET that passes may still belong to nobody: only INSEE's register knows.

    >>> is_siret("73282932000074"), is_siret("732 829 320 00074")
    (True, False)
"""

import re
from typing import Final

from stdnum import luhn

LA_POSTE: Final = "356000000"
_FORM: Final = re.compile(r"(?!0{9})[0-9]{14}")


def siren(siret: str) -> str:
    """Return the organisation of an establishment: the first nine digits of its SIRET."""
    return siret[:9]


def is_siret(text: str) -> bool:
    """Say whether `text` is a SIRET exactly: spaces are for the caller to mend."""
    if not _FORM.fullmatch(text) or not luhn.is_valid(text[:9]):
        return False
    by_sum = text.startswith(LA_POSTE) and sum(map(int, text)) % 5 == 0
    return by_sum or bool(luhn.is_valid(text))
