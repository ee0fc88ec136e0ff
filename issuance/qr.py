"""The QR code of a pass, drawn as lines so that it prints sharp at any resolution.

Always version 6 (41 modules a side), error level M and mask 3, which is chosen once:
looking for the best of the eight masks costs seven times more and reads no better.  Level
Q at the same printed width would need smaller modules, and ink spreads.
"""

from html import escape

from qrcode.constants import ERROR_CORRECT_M
from qrcode.exceptions import DataOverflowError
from qrcode.main import QRCode
from qrcode.util import MODE_ALPHA_NUM, MODE_NUMBER, QRData

# What the standard asks around a QR code, in modules.
QUIET_ZONE = 4


def matrix(url: str) -> list[list[bool]]:
    """Return the modules, row by row, true where dark, without the quiet zone.

    `url` is an address as tokens are printed: `ValueError` if it has no ``/V/``, or if the
    two alphabets or the room of a version 6 do not suffice.
    """
    prefix, path, digits = url.partition("/V/")
    if not path:
        raise ValueError("no /V/ in the address")
    code = QRCode(version=6, error_correction=ERROR_CORRECT_M, border=0, mask_pattern=3)
    code.add_data(QRData(prefix + path, mode=MODE_ALPHA_NUM), optimize=0)
    code.add_data(QRData(digits, mode=MODE_NUMBER), optimize=0)
    try:
        code.make(fit=False)
    except DataOverflowError as overflow:
        raise ValueError("the address does not fit a version 6 QR code") from overflow
    return [[bool(module) for module in row] for row in code.modules]


def svg(url: str, *, module_mm: float = 0.61, title: str | None = None) -> str:
    """Return one self-contained ``<svg>``, quiet zone included, on white.

    `title` is what a screen reader says instead of the drawing; it is escaped.  Without
    one, the page around must say it.
    """
    return _drawn(matrix(url), module_mm, title)


def plain_svg(text: str, *, module_mm: float = 1.2, title: str | None = None) -> str:
    """Return any text as one self-contained ``<svg>``, in the smallest version that holds it."""
    code = QRCode(border=0, error_correction=ERROR_CORRECT_M)
    code.add_data(text)
    code.make(fit=True)
    return _drawn([[bool(m) for m in row] for row in code.modules], module_mm, title)


def _drawn(rows: list[list[bool]], module_mm: float, title: str | None) -> str:
    side = len(rows) + 2 * QUIET_ZONE
    millimetres = f"{side * module_mm:.6g}mm"
    name = f"<title>{escape(title, quote=False)}</title>" if title else ""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" width="{millimetres}"'
        f' height="{millimetres}" viewBox="0 0 {side} {side}">{name}'
        f'<rect width="{side}" height="{side}" fill="#fff"/>'
        f'<path stroke="#000" shape-rendering="crispEdges" d="{_path(rows)}"/></svg>'
    )


def _path(rows: list[list[bool]]) -> str:
    """Draw a line along each dark run and lift the pen over each light one."""
    strokes = []
    for y, row in enumerate(rows, QUIET_ZONE):
        strokes.append(f"M{QUIET_ZONE} {y}.5")
        # Runs are found by the search of bytes: walking the modules took half as long as the code itself.
        modules, at, dark = bytes(row), 0, row[0]
        while at < len(modules):
            end = modules.find(not dark, at)
            length = (end if end >= 0 else len(modules)) - at
            strokes.append(_DARK[length] if dark else _LIGHT[length])
            at, dark = at + length, not dark
    return "".join(strokes)


# A QR code has 177 modules a side at most.
_DARK = [f"h{length}" for length in range(178)]
_LIGHT = [f"m{length} 0" for length in range(178)]
