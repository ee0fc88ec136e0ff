"""The proof of an order (bon à tirer): one carnet as it will be printed, marked as void, to be looked at and approved.

It is set with what the order's own carnets will be: its template, the publicity of its funders, the
logos, the date, the places.  Its codes are worth nothing, and every page says what it is, whatever
the template does.  The same order, set again, gives the same bytes until something that it says has
changed: so the file that somebody looked at is known again, and another one is not approved.

A print shop has sheets of its own.  It gets the files of one void carnet, and sends back its proof:
of that file nothing can be compared, and its hash is what is kept.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from uuid import UUID

import msgspec
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.printing.batch import Plan
from app.printing.documents import Job, as_told, render
from app.printing.printing import Asked, Prepared, check_says, content_of, look_of, void
from app.printing.templates import Template
from app.registry import Departement
from issuance.orders import order_row
from issuance.proofs import ApproveProof, Paper, check_needs_proof
from ledger import canonical
from ledger.models import entry
from ledger.moments import Moment
from ledger.refusal import Refusal

# The template goes on under this name, behind a page that says what it is for.
BEHIND = "derriere-le-bon-a-tirer.typ"
MARKED = f"""\
#set page(foreground: place(top + center, dy: 2.5mm, text(
  font: "Ubuntu", size: 11pt, weight: "bold", fill: rgb("#a3111f"), "BON À TIRER — SPÉCIMEN",
)))
#include "{BEHIND}"
""".encode()
PDF = b"%PDF-"


@dataclass(eq=False)
class ProofDiffers(Refusal):
    """This is not the proof of the order as it would be set now: something that it says has changed."""

    code = "proof_differs"

    order: int


@dataclass(eq=False)
class ProofUnreadable(Refusal):
    """The file of a print shop's proof is no PDF."""

    code = "proof_unreadable"

    path: str


def prepare_proof(
    session: Session,
    asked: Asked,
    departement: Departement,
    *,
    phone: str | None,
    now: Moment,
) -> Prepared:
    """Read what the proof of an order says; only reads, and sets nothing yet.

    The order may be made or not.  Raises `NotFound`, `ProofNotNeeded`, `CommuneUnknown`.
    """
    order = order_row(session, asked.order)
    check_needs_proof(session, order)
    # Nothing in it depends on when it is set: the dates and the name are those of the order.
    placed_at = session.scalars(
        select(entry.c.recorded_at).where(entry.c.id == order.act)
    ).one()
    shown = msgspec.structs.replace(order, specimen=True)
    says = content_of(session, shown, asked, departement, phone=phone, now=now)
    plan = Plan.of(
        order,
        asked.template,
        says,
        asked.logos,
        batch=order.act,
        at=placed_at.replace(microsecond=0),
        key="",
        departement=departement.code,
        first_carnet=order.first_carnet,
        last_carnet=order.first_carnet,
        near=asked.near,
    )
    return Prepared(shown, plan, asked, void(plan, departement.host))


def proof_pdf(prepared: Prepared) -> bytes:
    """Set the proof of our own sheets; the same bytes as long as it says the same.

    Raises `TemplateWrong`, `EuBlockMissing`, `EuBlockSmaller`, as the printing itself would.
    """
    plan, asked = prepared.plan, prepared.asked
    check_says(plan, asked, prepared.passes)
    carnets = prepared.passes(range(plan.first_carnet, plan.last_carnet + 1))
    at = int(plan.at.timestamp())
    job = Job(_marked(asked.template), as_told(plan.content), asked.logos.data, at, carnets)
    [file] = render(job)
    return file.data


def _marked(template: Template) -> Template:
    files: Mapping[str, bytes] = {
        **template.files,
        "main.typ": MARKED,
        BEHIND: template.files["main.typ"],
    }
    return replace(template, files=files)


def what_it_says(prepared: Prepared) -> str:
    """Return the hash of all that a proof says, without setting it: what a page can compare."""
    return canonical.digest(msgspec.to_builtins(prepared.plan)).hex()


def check_file(prepared: Prepared, file: bytes, path: str) -> None:
    """Raise `ProofDiffers` for a file that is not what would be set now, `ProofUnreadable` for no PDF of a shop."""
    if prepared.plan.kind != "shop":
        if file != proof_pdf(prepared):
            raise ProofDiffers(prepared.plan.order)
    elif not file.startswith(PDF):
        raise ProofUnreadable(path)


def approval(prepared: Prepared, file: bytes, *, which: UUID) -> ApproveProof:
    """Return what to record of a proof that somebody looked at, and that is the right one."""
    plan = prepared.plan
    kind: Paper = "shop" if plan.kind == "shop" else "pdf"
    return ApproveProof(which, plan.order, kind, look_of(plan), sha256(file).hexdigest())
