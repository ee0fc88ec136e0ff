"""What is decided of one order: its proof is looked at and approved, or the order is cancelled."""

import asyncio

from litestar import Controller, Response, get, post
from litestar.params import FromPath
from sqlalchemy.orm import Session

from app.errors import language_of
from app.pages.frame import (
    HEADERS,
    Answer,
    Asked,
    act_id,
    acting,
    again,
    form_of,
    go,
    page,
    sentence,
    visitor_of,
)
from app.pages.orders import about, one_order, proof_of
from app.people.roles import Action
from app.printing.proof import ProofDiffers, approval, proof_pdf, what_it_says
from issuance.cancelling import CancelOrder, cancel_order
from issuance.proofs import approve_proof
from ledger.attempts import Answer as Told
from ledger.moments import Moment
from ledger.refusal import Refusal


class OrderCycle(Controller):
    """What a manager decides between an order and its carnets."""

    path = "/{departement:str}/commandes/{number:int}"
    include_in_schema = False

    @get("/epreuve", opt={"door": Action.SEE_ORDERS}, sync_to_thread=True)
    def proof(
        self, number: FromPath[int], request: Asked
    ) -> Response[bytes] | Response[str]:
        """Give the proof as it would be set now: a PDF of one void carnet."""
        one_order(request, number)
        try:
            pdf = proof_pdf(proof_of(request, number))
        except Refusal as no:
            order = one_order(request, number)
            said = {"proof": sentence(request, no)}
            return again(request, "order.html", said, typed={}, **about(request, order))
        named = f'attachment; filename="epreuve-commande-{number}.pdf"'
        headers = HEADERS | {"Content-Disposition": named}
        return Response(pdf, media_type="application/pdf", headers=headers)

    @post("/epreuve", opt={"door": Action.ORDER})
    async def approve(
        self, departement: FromPath[str], number: FromPath[int], request: Asked
    ) -> Answer:
        """Record that the proof is good; refused where it would say something else by now."""
        fields = await form_of(request)
        order = await asyncio.to_thread(one_order, request, number, Action.ORDER)
        by = str(visitor_of(request).session.person)
        try:
            prepared = await asyncio.to_thread(proof_of, request, number)
            if what_it_says(prepared) != fields.get("says"):
                raise ProofDiffers(number)
            pdf = await asyncio.to_thread(proof_pdf, prepared)
            asked = approval(prepared, pdf, which=act_id(fields))
            answer = await acting(
                request, lambda session, now: approve_proof(session, asked, by=by, now=now)
            )
            said = (
                ""
                if answer.accepted
                else language_of(request).refusal(answer.code, answer.facts)
            )
        except Refusal as no:
            said = sentence(request, no)
        if said:
            told = await asyncio.to_thread(about, request, order)
            return again(request, "order.html", {"proof": said}, typed={}, **told)
        return go(f"/{departement}/commandes/{number}", done="proof_approved")

    @get("/annulation", opt={"door": Action.ORDER}, sync_to_thread=True)
    def ask_to_cancel(self, number: FromPath[int], request: Asked) -> Response[str]:
        """Say what cancelling does, before it is done."""
        order = one_order(request, number, Action.ORDER)
        return page(request, "order_cancel.html", order=order)

    @post("/annulation", opt={"door": Action.ORDER})
    async def cancel(
        self, departement: FromPath[str], number: FromPath[int], request: Asked
    ) -> Answer:
        """Give back what is not made, once."""
        fields = await form_of(request)
        order = await asyncio.to_thread(one_order, request, number, Action.ORDER)
        by = str(visitor_of(request).session.person)
        asked = CancelOrder(act_id(fields), number)

        def cancelled(session: Session, now: Moment) -> Told:
            return cancel_order(session, asked, by=by, now=now)

        answer = await acting(request, cancelled)
        if not answer.accepted:
            told = language_of(request).refusal(answer.code, answer.facts)
            return again(request, "order_cancel.html", {"cancel": told}, order=order)
        return go(f"/{departement}/commandes/{number}", done="order_cancelled")
