"""What a batch says, whoever's carnet it is: read once, and said the same on every sheet."""

import re
import struct
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from zlib import crc32

import msgspec
from babel.dates import format_date
from babel.numbers import format_currency
from sqlalchemy.orm import Session

from app.mail.writing import one_line
from app.printing.publicity import Block, needed
from app.printing.templates import compiled
from funding.queries import payers
from issuance.orders import OrderRow
from ledger.moments import Moment
from ledger.refusal import Refusal
from redemption.nearest import nearest

# What one line of the cover holds.
NAME_MAX, ADDRESS_MAX = 60, 70
LOGOS_MAX = 3
LOGO_BYTES_MAX = 500_000
PNG = b"\x89PNG\r\n\x1a\n"


@dataclass(eq=False)
class LogoUnreadable(Refusal):
    """A file among the logos is not an SVG or a PNG that can be printed, or is too heavy."""

    code = "logo_unreadable"

    path: str


@dataclass(eq=False)
class TooManyLogos(Refusal):
    """More logos than the cover has room for beside the Union's block."""

    code = "too_many_logos"

    most: int


class Spot(msgspec.Struct, frozen=True):
    """A place where to go."""

    name: str
    address: str
    phone: str | None


class Content(msgspec.Struct, frozen=True):
    """What stands on every carnet of a batch, in words that need no explanation."""

    departement: str
    size: int
    value: str
    last_day: str
    specimen: bool
    phone: str | None
    places: tuple[Spot, ...]
    publicity: tuple[Block, ...]
    funders: tuple[str, ...]
    logos: tuple[dict[str, str], ...]


def content(
    session: Session,
    order: OrderRow,
    *,
    departement: str,
    phone: str | None,
    near: str | None,
    logos: Mapping[str, str],
    now: Moment,
) -> Content:
    """Return what the carnets of an order say today; `logos` are the names, by file."""
    paying = payers(session, order.tranche)
    places = nearest(session, order.tranche, on=now.day, near=near)
    return Content(
        departement=departement,
        size=order.carnet_size,
        value=amount(order.face_cents),
        last_day=format_date(order.printed_use_by, "EEEE d MMMM y", locale="fr"),
        specimen=order.specimen,
        phone=None if phone is None else readable_phone(phone),
        places=tuple(
            Spot(
                one_line(place.name, NAME_MAX),
                one_line(place.address, ADDRESS_MAX),
                None if place.phone is None else readable_phone(place.phone),
            )
            for place in places
        ),
        publicity=tuple(needed(paying)),
        funders=tuple(one_line(payer.name, NAME_MAX) for payer in paying),
        logos=tuple({"file": file, "name": name} for file, name in logos.items()),
    )


def amount(cents: int) -> str:
    """Return a face value as it is said: 10 €, 7,50 €."""
    digits = "#,##0 ¤" if cents % 100 == 0 else "#,##0.00 ¤"
    return format_currency(
        Decimal(cents).scaleb(-2), "EUR", digits, locale="fr", currency_digits=False
    ).replace(" ", "\xa0")


def readable_phone(number: str) -> str:
    """Return a French number in pairs, as it is dialled here; another one as it is."""
    digits = re.sub(r"[^0-9+]", "", number)
    national = re.sub(r"^(\+33|0033)", "0", digits)
    if not re.fullmatch(r"0[1-9][0-9]{8}", national):
        return one_line(number, NAME_MAX)
    return "\xa0".join(national[n : n + 2] for n in range(0, 10, 2))


@dataclass(frozen=True)
class Logos:
    """The logos of a batch: their bytes, and the name that each is read aloud by."""

    data: Mapping[str, bytes]
    names: Mapping[str, str]


def read_logos(folder: Path | None) -> Logos:
    """Read the SVG and PNG files of a folder, in the order of their names.

    A file is called as the organisation is: its name is what a screen reader says.  Raises
    `LogoUnreadable`, `TooManyLogos`.
    """
    data, names = {}, {}
    found = [] if folder is None else sorted(folder.iterdir())
    kept = [path for path in found if path.suffix.lower() in {".svg", ".png"}]
    if len(kept) > LOGOS_MAX:
        raise TooManyLogos(LOGOS_MAX)
    for number, path in enumerate(kept):
        file = f"logo-{number}.svg"
        data[file] = _drawing(path)
        names[file] = path.stem.replace("_", " ")
    return Logos(data, names)


def _drawing(path: Path) -> bytes:
    """Return a logo as an SVG that can be printed; a PNG is put into one, as it is."""
    try:
        logo = path.read_bytes()
        if len(logo) > LOGO_BYTES_MAX:
            raise LogoUnreadable(str(path))
        if path.suffix.lower() == ".png":
            logo = _around(logo)
        compiled({"main.typ": b'#image("logo.svg")', "logo.svg": logo}, format="svg")
    except (OSError, ValueError, struct.error, RuntimeError):
        raise LogoUnreadable(str(path)) from None
    return logo


def _around(png: bytes) -> bytes:
    """Return an SVG that shows a PNG; ValueError where it is none, or is damaged."""
    if not png.startswith(PNG):
        raise ValueError("not a PNG")
    at = len(PNG)
    while png[at + 4 : at + 8] != b"IEND":
        [length] = struct.unpack_from(">I", png, at)
        chunk = png[at + 4 : at + 8 + length]
        if (
            crc32(chunk).to_bytes(4) != png[at + 8 + length : at + 12 + length]
            or len(chunk) < 4
        ):
            raise ValueError("damaged")
        at += 12 + length
    width, height = struct.unpack_from(">II", png, len(PNG) + 8)
    shown = b64encode(png).decode()
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}">'
        f'<image width="{width}" height="{height}" href="data:image/png;base64,{shown}"/></svg>'
    ).encode()
