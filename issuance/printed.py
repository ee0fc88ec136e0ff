"""One pass as it is printed, and the kinds of print batch; pure, so that whoever only draws needs nothing more."""

from typing import Literal, NamedTuple

from issuance import qr
from issuance.serials import Serial

# Sheets to cut; data and QR codes for another printer; pages for a telephone.
Kind = Literal["pdf", "shop", "phone"]


class PrintedPass(NamedTuple):
    """One pass of a carnet: what the QR code holds, and what can be typed instead."""

    serial: Serial
    url: str
    code: str

    def svg(self) -> str:
        """Return the QR code as one SVG image, in vectors, with its quiet zone."""
        return qr.svg(self.url, title=f"Pass {self.serial}")
