"""Proofs (bons à tirer): what a manager saw and approved before carnets go to paper.

Paper that is wrong is thrown away, and a missing emblem costs the European money (DOMAIN, 1.3, steps
5 to 7).  So the paper of an order is printed with the very template, the publicity and the logos of
the last proof that was approved for its kind, our sheets or a print shop's, and with no other: an
approval follows the former one, since a template may change.  Specimens are worth nothing, and
a lost carnet cannot wait: they need no proof, nor does what is shown on a telephone, nor what a
former operator printed.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

import msgspec
from sqlalchemy import func, insert, select
from sqlalchemy.orm import Session

from issuance.models import proof_approval
from issuance.orders import OrderRow, check_goes_on, order_row
from issuance.printed import Kind
from issuance.queries import REPLACEMENT, TAKEN_OVER, made_of
from ledger import canonical, gates
from ledger.attempts import Act, Answer, perform
from ledger.entries import Right
from ledger.journal import must_record
from ledger.models import entry
from ledger.moments import Moment
from ledger.refusal import Refusal

APPROVED = "proof_approved"
APPROVE = "approve_proof"  # the right that each approval of a kind uses up, turn after turn

# What is printed on paper: by us, or by a print shop.
Paper = Literal["pdf", "shop"]


@dataclass(eq=False)
class ProofNotApproved(Refusal):
    """No proof was approved that says what this paper says; `reason` is the first thing that differs."""

    code = "proof_not_approved"

    reason: Literal["no_proof", "other_template", "other_publicity", "other_logos"]
    order: int


@dataclass(eq=False)
class ProofNotNeeded(Refusal):
    """An order whose paper needs no proof: specimens, what replaces a lost carnet, what somebody else printed."""

    code = "proof_not_needed"

    reason: Literal["specimen", "replacement", "taken_over"]
    order: int


class Look(msgspec.Struct, frozen=True):
    """What stands on a sheet beside its passes; `logos` are their SHA-256, in their order."""

    template: str
    template_version: int
    template_sha256: str
    publicity: tuple[str, ...]
    logos: tuple[str, ...] = ()


class ApproveProof(msgspec.Struct, frozen=True):
    """A proof that somebody looked at: how it looks, and the SHA-256 of its file."""

    id: UUID
    order: int
    kind: Paper
    look: Look
    proof_sha256: str


class Approval(msgspec.Struct, frozen=True):
    """An approval as it is shown."""

    kind: Paper
    at: datetime
    look: Look
    proof_sha256: str


def approve_proof(
    session: Session, request: ApproveProof, *, by: str, now: Moment
) -> Answer:
    """Record that a proof is good: paper of this look can be printed, of another one no more.

    Refused with `not_found`, `proof_not_needed`, and `order_cancelled` where nothing was made of it.
    """
    act = Act(request.id, APPROVE, by, now)

    def done() -> None:
        gates.alone(session)
        order = order_row(session, request.order)
        check_needs_proof(session, order)
        if not made_of(session, order.number):
            check_goes_on(session, order.number)
        before = select(func.count()).where(
            proof_approval.c.order_number == order.number,
            proof_approval.c.kind == request.kind,
        )
        turn = session.scalar(before) or 0
        look = msgspec.to_builtins(request.look)
        facts = look | {
            "kind": request.kind,
            "order": order.number,
            "proof_sha256": request.proof_sha256,
        }
        right = Right(APPROVE, f"order/{order.number}/{request.kind}", turn)
        must_record(session, [act.entry(APPROVED, facts, right=right)])
        lists = {n: canonical.encode(look[n]).decode() for n in ("publicity", "logos")}
        session.execute(
            insert(proof_approval).values(
                order_number=order.number,
                kind=request.kind,
                turn=turn,
                proof_sha256=request.proof_sha256,
                entry_id=act.id,
                **(look | lists),
            )
        )

    return perform(session, act, request, done)


def check_needs_proof(session: Session, order: OrderRow) -> None:
    """Raise `ProofNotNeeded` for an order whose paper is printed without."""
    if order.specimen:
        raise ProofNotNeeded("specimen", order=order.number)
    placed_by = session.scalar(select(entry.c.kind).where(entry.c.id == order.act))
    if placed_by == REPLACEMENT:
        raise ProofNotNeeded("replacement", order=order.number)
    if placed_by == TAKEN_OVER:
        raise ProofNotNeeded("taken_over", order=order.number)


def check_approved(session: Session, order: OrderRow, kind: Kind, look: Look) -> None:
    """Raise `ProofNotApproved` unless paper of this look may be printed of the order."""
    if kind == "phone":
        return
    try:
        check_needs_proof(session, order)
    except ProofNotNeeded:
        return
    held = [found for found in approvals(session, order.number) if found.kind == kind]
    if not held:
        raise ProofNotApproved("no_proof", order=order.number)
    seen = held[0].look
    if (look.template, look.template_version, look.template_sha256) != (
        seen.template,
        seen.template_version,
        seen.template_sha256,
    ):
        raise ProofNotApproved("other_template", order=order.number)
    if look.publicity != seen.publicity:
        raise ProofNotApproved("other_publicity", order=order.number)
    if look.logos != seen.logos:
        raise ProofNotApproved("other_logos", order=order.number)


def approvals(session: Session, number: int) -> list[Approval]:
    """Return the approvals that hold for an order: the last one of each kind of paper."""
    rows = session.execute(
        select(proof_approval, entry.c.recorded_at)
        .join(entry, entry.c.id == proof_approval.c.entry_id)
        .where(proof_approval.c.order_number == number)
        .order_by(proof_approval.c.turn)
    )
    found = {
        row.kind: Approval(
            row.kind,
            row.recorded_at,
            Look(
                row.template,
                row.template_version,
                row.template_sha256,
                tuple(canonical.decode(row.publicity.encode())),
                tuple(canonical.decode(row.logos.encode())),
            ),
            row.proof_sha256,
        )
        for row in rows
    }
    return [found[kind] for kind in sorted(found)]
