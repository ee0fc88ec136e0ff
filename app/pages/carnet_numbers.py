"""What people type to name a carnet: its number, the number on its cover, or that of one of its passes."""

from app.pages.frame import number_of
from issuance.serials import MalformedSerial, Serial


def carnet_typed(departement: str, typed: str) -> int | None:
    """Return the number of the carnet of this département that was typed, or None.

    A number with dashes says of which département it is: `23-000001` as on a cover, `23-000001-4`
    as on a pass.  Another département's names none of ours, whatever its digits are.
    """
    if "-" not in typed:
        return number_of("".join(c for c in typed if c.isdigit()))
    printed = "".join(typed.split())
    try:
        named = Serial.parse(printed if printed.count("-") > 1 else f"{printed}-0")
    except MalformedSerial:
        return None
    return named.carnet if named.departement == departement else None
