"""One print batch, from an order to its entry: what it says, the check of its template, its files, its evidence."""

import csv
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session

from app.printing import batch
from app.printing.batch import Folder, Plan
from app.printing.content import Content, Logos, content
from app.printing.documents import File, as_told, qr_file, told
from app.printing.publicity import EMBLEM
from app.printing.templates import Template
from app.registry import Departement
from issuance.keys import Signer
from issuance.orders import OrderRow, order_row
from issuance.paper import printed_passes
from issuance.print_batches import RecordBatch, printable, record_batch
from issuance.printed import PrintedPass
from issuance.serials import Serial
from issuance.words import words_of
from ledger.attempts import Answer
from ledger.identifiers import new_id
from ledger.moments import Moment

LISTING = "pass.csv"
MENTIONS = "mentions.txt"


@dataclass(frozen=True)
class Asked:
    """Which carnets of an order are printed (all of them without `first` and `count`), how, and where to go from."""

    order: int
    first: int | None
    count: int | None
    template: Template
    logos: Logos
    near: str | None


@dataclass(frozen=True)
class Prepared:
    """A batch about to be made: its order, its plan, and the keys that sign its passes."""

    order: OrderRow
    plan: Plan
    asked: Asked
    signer: Signer
    host: str

    def passes(self, carnets: Sequence[int]) -> tuple[tuple[PrintedPass, ...], ...]:
        """Sign the passes of these carnets, side by side; each is worth money."""
        first = carnets[0] - self.order.first_carnet
        made = printed_passes(
            self.order, self.signer, self.host, first=first, count=len(carnets)
        )
        several = list(made)
        size = self.order.carnet_size
        return tuple(tuple(several[n : n + size]) for n in range(0, len(several), size))


def prepare(
    session: Session,
    asked: Asked,
    departement: Departement,
    signer: Signer,
    *,
    phone: str | None,
    now: Moment,
) -> Prepared:
    """Read what the carnets say, and check that the template says what their funders ask; only reads.

    Raises `NotFound`, `NotInOrder`, `KeysLocked`, `SigningKeyRevoked`, `TemplateWrong`,
    `EuBlockMissing`, `EuBlockSmaller`, `CommuneUnknown`.
    """
    order = order_row(session, asked.order)
    first, last = _range(order, asked)
    printable(session, order, first, last)
    key = signer.key_of(order.key_id).public_key().public_bytes_raw()
    says = content(
        session,
        order,
        departement=departement.name,
        phone=phone,
        near=asked.near,
        logos=asked.logos.names,
        now=now,
    )
    plan = Plan.of(
        order,
        asked.template,
        says,
        asked.logos,
        batch=new_id(),
        at=now.at.replace(microsecond=0),
        key=key.hex(),
        departement=departement.code,
        first_carnet=first,
        last_carnet=last,
        near=asked.near,
    )
    if asked.template.kind != "shop":
        sample = {**as_told(says), "carnets": [_a_carnet(plan, first)]}
        asked.template.check(sample, asked.logos.data, list(says.publicity))
    return Prepared(order, plan, asked, signer, departement.host)


def _range(order: OrderRow, asked: Asked) -> tuple[int, int]:
    """Return the first and the last carnet that are asked for."""
    end = order.first_carnet + order.carnets
    first = order.first_carnet if asked.first is None else asked.first
    return first, (end if asked.count is None else first + asked.count) - 1


def _a_carnet(plan: Plan, number: int) -> dict[str, Any]:
    """Return a carnet like those of the batch, whose codes are worth nothing: only its shape is looked at."""
    worthless = "HTTPS://PASS.EXAMPLE/V/" + "1" * 191
    made = tuple(
        PrintedPass(
            Serial(plan.departement, number, rank), worthless, "23 0000 0000 0000 0"
        )
        for rank in plan.ranks
    )
    return told(made)


class Printing:
    """A batch being made: the plan that its folder holds, and its steps."""

    def __init__(self, folder: Folder, prepared: Prepared) -> None:
        self.plan = folder.plan
        self.manifest = ""
        self._folder, self._prepared = folder, prepared

    @property
    def steps(self) -> Iterator[int]:
        """Make what is missing, document by document, and yield how many carnets each has; then the manifest."""
        asked = self._prepared.asked
        yield from batch.make(
            self._folder, asked.template, asked.logos, self._prepared.passes
        )
        if asked.template.kind == "shop":
            _beside(self._folder, self._prepared)
        self.manifest = self._folder.close()


@contextmanager
def printing(prepared: Prepared, out: Path) -> Iterator[Printing]:
    """Give a batch to be made in a folder, new or taken up, that no other process has meanwhile.

    Raises `PrintFolderTaken`, `PrintUnderWay`, `PrintDiffers`, `PrintDiskFull`, `PrintNotWritten`.
    """
    with batch.opened(out, prepared.plan) as folder:
        yield Printing(folder, prepared)


def _beside(folder: Folder, prepared: Prepared) -> None:
    """Write what a print shop needs beside the QR codes: the list, and what the funders' rules want said."""
    says = folder.plan.content
    said = [
        f"{block.statement}\n{block.sentence}\n({block.source})\n"
        for block in says.publicity
    ]
    said.append(f"Financé par : {', '.join(says.funders)}.\n")
    files = [File(MENTIONS, "\n".join(said).encode())]
    files += [File(name, data) for name, data in prepared.asked.logos.data.items()]
    if says.publicity:
        files.append(File(EMBLEM.name, EMBLEM.read_bytes()))
    for file in files:
        if not folder.has(file.name):
            folder.write([file])
    if not folder.has(LISTING):
        folder.stream(LISTING, lambda: _listed(folder.plan, prepared))


def _listed(plan: Plan, prepared: Prepared) -> Iterator[bytes]:
    """Yield the lines of the list; a mark before them tells spreadsheets and page-setters that it is UTF-8."""
    yield "\ufeff".encode()
    line: list[str] = []

    class Buffer:
        def write(self, text: str) -> None:
            line.append(text)

    writer = csv.writer(Buffer())
    columns = prepared.asked.template.columns
    writer.writerow(columns)
    for unit in plan.units():
        for carnet in prepared.passes(unit):
            for made in carnet:
                row = _row(made, plan.content, prepared.order)
                writer.writerow([row[column] for column in columns])
        yield "".join(line).encode()
        line.clear()


def _row(made: PrintedPass, says: Content, order: OrderRow) -> dict[str, object]:
    serial = made.serial
    first, second = words_of(serial.carnet)
    return {
        "serial": serial,
        "code": made.code,
        "url": made.url,
        "svg": qr_file(str(serial)),
        "carnet": str(serial).rpartition("-")[0],
        "rank": serial.rank,
        "of": order.carnet_size,
        "value": says.value,
        "use_by": order.printed_use_by.isoformat(),
        "use_by_words": says.last_day,
        "word_1": first,
        "word_2": second,
        "specimen": "SPÉCIMEN, sans valeur" if order.specimen else "",
    }


def record(session: Session, made: Printing, *, by: str, now: Moment) -> Answer:
    """Leave the entry of a batch that is whole; the same folder again is a replay."""
    plan = made.plan
    request = RecordBatch(
        plan.batch,
        plan.order,
        plan.first_carnet,
        plan.last_carnet,
        plan.kind,
        plan.template,
        plan.template_version,
        plan.template_sha256,
        tuple(block.named for block in plan.content.publicity),
        made.manifest,
    )
    return record_batch(session, request, by=by, now=now)
