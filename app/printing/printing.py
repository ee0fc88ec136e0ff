"""One print batch, from an order to its entry: what it says, the check of its template, its files, its evidence."""

import csv
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy.orm import Session

from app.printing import batch
from app.printing.batch import Folder, Passes, Plan
from app.printing.content import Content, Logos, content
from app.printing.documents import File, as_told, qr_file, told
from app.printing.publicity import EMBLEM
from app.printing.templates import Template
from app.registry import Departement
from issuance.keys import Signer
from issuance.orders import OrderRow, order_row
from issuance.paper import printed_passes
from issuance.print_batches import RecordBatch, be_good, printable, record_batch
from issuance.printed import PrintedPass
from issuance.proofs import Look, check_approved
from issuance.serials import Serial
from issuance.tokens import DIGITS
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
    """A batch about to be made: its order, its plan, and what makes the passes of some carnets."""

    order: OrderRow
    plan: Plan
    asked: Asked
    passes: Passes


def signed(order: OrderRow, signer: Signer, host: str) -> Passes:
    """Return what signs the passes of carnets, side by side; each is worth money."""

    def passes(carnets: Sequence[int]) -> tuple[tuple[PrintedPass, ...], ...]:
        first = carnets[0] - order.first_carnet
        several = list(printed_passes(order, signer, host, first=first, count=len(carnets)))
        size = order.carnet_size
        return tuple(tuple(several[n : n + size]) for n in range(0, len(several), size))

    return passes


def void(plan: Plan, host: str) -> Passes:
    """Return what makes passes that are worth nothing: no key and no real code is in them."""
    token = f"HTTPS://{host}/V/{'1' * DIGITS}"
    code = f"{plan.departement} 0000 0000 0000 0"

    def passes(carnets: Sequence[int]) -> tuple[tuple[PrintedPass, ...], ...]:
        return tuple(
            tuple(
                PrintedPass(Serial(plan.departement, number, rank), token, code)
                for rank in plan.ranks
            )
            for number in carnets
        )

    return passes


def look_of(plan: Plan) -> Look:
    """Return what stands on each sheet of a batch."""
    return Look(
        plan.template,
        plan.template_version,
        plan.template_sha256,
        tuple(block.named for block in plan.content.publicity),
        tuple(plan.logos.values()),
    )


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

    Raises `NotFound`, `NotInOrder`, `CarnetsEnded`, `KeysLocked`, `SigningKeyRevoked`, `TemplateWrong`,
    `EuBlockMissing`, `EuBlockSmaller`, `CommuneUnknown`, `ProofNotApproved`.
    """
    order = order_row(session, asked.order)
    first, last = _range(order, asked)
    printable(session, order, first, last)
    be_good(session, first, last)
    key = signer.key_of(order.key_id).public_key().public_bytes_raw()
    says = content_of(session, order, asked, departement, phone=phone, now=now)
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
    check_says(plan, asked, void(plan, departement.host))
    check_approved(session, order, plan.kind, look_of(plan))
    return Prepared(order, plan, asked, signed(order, signer, departement.host))


def content_of(
    session: Session,
    order: OrderRow,
    asked: Asked,
    departement: Departement,
    *,
    phone: str | None,
    now: Moment,
) -> Content:
    """Return what the carnets of an order say today."""
    return content(
        session,
        order,
        departement=departement.name,
        phone=phone,
        near=asked.near,
        logos=asked.logos.names,
        now=now,
    )


def check_says(plan: Plan, asked: Asked, worthless: Passes) -> None:
    """Raise unless the sheets say what the funders ask: one carnet is set, worth nothing."""
    if plan.kind == "shop":  # the sheets are the shop's own
        return
    [carnet] = worthless(range(plan.first_carnet, plan.first_carnet + 1))
    sample = {**as_told(plan.content), "carnets": [told(carnet)]}
    asked.template.check(sample, asked.logos.data, list(plan.content.publicity))


def _range(order: OrderRow, asked: Asked) -> tuple[int, int]:
    """Return the first and the last carnet that are asked for."""
    end = order.first_carnet + order.carnets
    first = order.first_carnet if asked.first is None else asked.first
    return first, (end if asked.count is None else first + asked.count) - 1


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
    plan, look = made.plan, look_of(made.plan)
    request = RecordBatch(
        plan.batch,
        plan.order,
        plan.first_carnet,
        plan.last_carnet,
        plan.kind,
        look.template,
        look.template_version,
        look.template_sha256,
        look.publicity,
        made.manifest,
        look.logos,
    )
    return record_batch(session, request, by=by, now=now)
