"""The files of a few carnets, made of what they say: no database and no key is needed here.

Other processes make them; where there are few, the command itself does.

Each kind of batch has its own: sheets to cut (one PDF), QR codes for a print shop (SVG), or a
page and a PDF a carnet, to show on a telephone and to send by e-mail.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import msgspec

from app.printing.templates import Template
from issuance.printed import PrintedPass
from issuance.words import words_of

# Files of a thousand carnets share a folder.
FOLDER = 1000


class Job(NamedTuple):
    """The carnets of one document, each with its passes, and what all carnets of the batch say."""

    template: Template
    content: Mapping[str, Any]
    logos: Mapping[str, bytes]
    at: int
    carnets: tuple[tuple[PrintedPass, ...], ...]


class File(NamedTuple):
    """A file of a batch, by its path within the folder."""

    name: str
    data: bytes


def render(job: Job) -> list[File]:
    """Return the files of a job; the same job gives the same bytes."""
    return list(_MAKERS[job.template.kind](job))


def file_names(kind: str, carnets: list[list[str]]) -> list[str]:
    """Return the files that a job will make, given the serials of its carnets."""
    numbers = [_carnet_number(serials[0]) for serials in carnets]
    if kind == "pdf":
        return [_sheets(numbers)]
    if kind == "shop":
        return [qr_file(serial) for serials in carnets for serial in serials]
    return [f"{number}.{form}" for number in numbers for form in ("html", "pdf")]


def qr_file(serial: str) -> str:
    """Return where the QR code of a pass is, within the folder of a print-shop export."""
    return f"qr/{int(serial.split('-')[1]) // FOLDER * FOLDER:06d}/{serial}.svg"


def told(carnet: tuple[PrintedPass, ...]) -> dict[str, Any]:
    """Return what a template is told of one carnet."""
    serial = carnet[0].serial
    return {
        "number": _carnet_number(str(serial)),
        "words": words_of(serial.carnet),
        "passes": [
            {
                "rank": made.serial.rank,
                "serial": str(made.serial),
                "code": made.code,
                "qr": made.svg(),
            }
            for made in carnet
        ],
    }


def _carnet_number(serial: str) -> str:
    return serial.rpartition("-")[0]


def _sheets(numbers: list[str]) -> str:
    return f"carnets-{numbers[0]}-{numbers[-1].rpartition('-')[2]}.pdf"


def _pdf(job: Job) -> Iterator[File]:
    carnets = [told(carnet) for carnet in job.carnets]
    pdf = job.template.pdf({**job.content, "carnets": carnets}, job.logos, job.at)
    yield File(_sheets([carnet["number"] for carnet in carnets]), pdf)


def _shop(job: Job) -> Iterator[File]:
    for carnet in job.carnets:
        for made in carnet:
            yield File(qr_file(str(made.serial)), made.svg().encode())


def _phone(job: Job) -> Iterator[File]:
    for made in job.carnets:
        carnet = told(made)
        whole = {**job.content, "carnets": [carnet]}
        page = job.template.page(job.content, carnet)
        yield File(f"{carnet['number']}.html", page.encode())
        yield File(f"{carnet['number']}.pdf", job.template.pdf(whole, job.logos, job.at))


_MAKERS: dict[str, Callable[[Job], Iterator[File]]] = {
    "pdf": _pdf,
    "shop": _shop,
    "phone": _phone,
}


def as_told(content: msgspec.Struct) -> dict[str, Any]:
    """Return a content as templates read it."""
    return dict(msgspec.to_builtins(content))
