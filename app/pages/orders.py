"""The room of orders: asking for carnets, watching them being made, recording what makes them good."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from litestar import Controller, Response, get, post
from litestar.params import FromPath
from sqlalchemy.orm import Session

from app.errors import language_of
from app.mail.desks import tell_active
from app.pages.frame import (
    Answer,
    Asked,
    act_id,
    acting,
    again,
    form_of,
    go,
    now_of,
    number_of,
    page,
    reading,
    sentence,
    serving_of,
    visitor_of,
)
from app.pages.order_steps import Life, life_of
from app.pages.visitors import NoSuchRoom
from app.people.roles import Action
from app.printing import templates
from app.printing.content import Logos
from app.printing.printing import Asked as Printed
from app.printing.printing import Prepared, look_of
from app.printing.proof import prepare_proof, what_it_says
from app.works.asking import Work, unfinished
from app.works.order_making import KIND, ask_making
from funding.queries import TrancheLeft, tranches_with_money_left
from issuance.foreign_carnets import ForeignCarnet, of_order
from issuance.keys import revocations
from issuance.orders import (
    CARNETS_MAX,
    ActivateOrder,
    PlaceOrder,
    activate_order,
    order_row,
    place_order,
)
from issuance.queries import (
    OrderLine,
    order_lines,
    orders_signed_by,
    orders_with_stock_lapsed,
)
from ledger.attempts import Answer as Told
from ledger.moments import Moment
from ledger.refusal import Refusal

# A server has no folder of logos: whoever prints with some approves their proof by a command.
NO_LOGOS = Logos({}, {})

Step = Literal[
    "making",
    "unmade",
    "revoked",
    "lapsed",
    "not_active",
    "specimen",
    "active",
    "replacement",
    "taken_over",
    "cancelled",
]


@dataclass(frozen=True)
class Shown:
    """An order with the making that is under way, if one is."""

    line: OrderLine
    work: Work | None
    revoked: bool
    lapsed: bool
    covers: Sequence[ForeignCarnet] = ()

    @property
    def step(self) -> Step:
        """What it waits for, or what it is."""
        if self.line.replacement:
            return "replacement"
        if self.line.taken_over:
            return "taken_over"
        if self.line.given_up and not self.line.made:
            return "cancelled"
        if not self.line.is_made:
            if self.work is not None:
                return "making"
            return "revoked" if self.revoked else "lapsed" if self.lapsed else "unmade"
        if self.line.specimen:
            return "specimen"
        return "active" if self.line.commitment_number is not None else "not_active"


class Orders(Controller):
    """What those who order carnets and those who read the accounts see of orders."""

    path = "/{departement:str}/commandes"
    include_in_schema = False

    @get("/", opt={"door": Action.SEE_ORDERS}, sync_to_thread=True)
    def orders(self, request: Asked) -> Response[str]:
        """List the orders, the newest first, with what each of them waits for."""
        with reading(request) as session:
            found = _shown(session, request)
        return page(request, "orders.html", orders=found)

    @get("/nouvelle", opt={"door": Action.ORDER}, sync_to_thread=True)
    def form(self, request: Asked) -> Response[str]:
        """Ask for a tranche and a number of carnets."""
        return page(request, "order_new.html", typed={}, tranches=_offered(request))

    @post("/nouvelle", opt={"door": Action.ORDER})
    async def place(self, departement: FromPath[str], request: Asked) -> Answer:
        """Set the money of an order aside and have it made; the form sent twice is one order."""
        fields = await form_of(request)
        offered = await asyncio.to_thread(_offered, request)
        errors = {}
        if fields.get("tranche") not in {t.code for t in offered}:
            errors["tranche"] = language_of(request).refusal("choice_needed")
        carnets = number_of(fields.get("carnets", "").replace(" ", ""))
        if carnets is None or not 1 <= carnets <= CARNETS_MAX:
            errors["carnets"] = language_of(request).refusal("carnets_needed")
        if errors or carnets is None:
            return _wrong(request, fields, errors, offered)
        which, by = act_id(fields), str(visitor_of(request).session.person)
        instance = serving_of(request).instance
        signer = await asyncio.to_thread(instance.signer, departement)
        asked = PlaceOrder(
            which, fields["tranche"], carnets, fields.get("specimen") == "yes"
        )

        def placed(session: Session, now: Moment) -> Told:
            answer = place_order(session, asked, signer=signer, by=by, now=now)
            if answer.accepted:
                order = order_row(session, answer.facts["order"])
                [line] = order_lines(session, order.number)
                ask_making(session, which, order, line.programme, by=by, now=now)
            return answer

        answer = await acting(request, placed)
        if not answer.accepted:
            told = language_of(request).refusal(answer.code, answer.facts)
            offered = await asyncio.to_thread(_offered, request)
            return _wrong(request, fields, {"carnets": told}, offered)
        return go(f"/{departement}/travaux/{which}")

    @get("/{number:int}", opt={"door": Action.SEE_ORDERS}, sync_to_thread=True)
    def order(self, number: FromPath[int], request: Asked) -> Response[str]:
        """One order: what it is, what it waits for, what to do next."""
        order = one_order(request, number)
        return page(request, "order.html", typed={}, **about(request, order))

    @post("/{number:int}/fabrication", opt={"door": Action.ORDER})
    async def make(
        self, departement: FromPath[str], number: FromPath[int], request: Asked
    ) -> Answer:
        """Have what is missing of an order made, where its making had stopped."""
        which = act_id(await form_of(request))
        order = await asyncio.to_thread(one_order, request, number, Action.ORDER)
        by = str(visitor_of(request).session.person)
        if order.work is not None:
            return go(f"/{departement}/travaux/{order.work.id}")
        if order.step != "unmade":
            return go(f"/{departement}/commandes/{number}")

        def asked(session: Session, now: Moment) -> None:
            row = order_row(session, number)
            ask_making(session, which, row, order.line.programme, by=by, now=now)

        await acting(request, asked)
        return go(f"/{departement}/travaux/{which}")

    @post("/{number:int}/activation", opt={"door": Action.ACTIVATE_ORDER})
    async def activate(
        self, departement: FromPath[str], number: FromPath[int], request: Asked
    ) -> Answer:
        """Record the commitment number of an order: its passes are good from now on."""
        fields = await form_of(request)
        order = await asyncio.to_thread(one_order, request, number, Action.ACTIVATE_ORDER)
        by, instance = str(visitor_of(request).session.person), serving_of(request).instance
        typed, basis = fields.get("commitment", ""), order.line.activated_on
        asked = ActivateOrder(act_id(fields), number, typed, basis)
        if not typed:
            said = language_of(request).refusal(
                "mandat_needed" if basis == "mandat" else "commitment_needed"
            )
            return await _not_active(request, order, fields, said)

        def activated(session: Session, now: Moment) -> Told:
            answer = activate_order(session, asked, by=by, now=now)
            tell_active(session, instance, answer, now=now)
            return answer

        answer = await acting(request, activated)
        if not answer.accepted:
            said = language_of(request).refusal(answer.code, answer.facts)
            return await _not_active(request, order, fields, said)
        return go(f"/{departement}/commandes/{number}", done="order_active")


def _wrong(
    request: Asked,
    typed: dict[str, str],
    errors: dict[str, str],
    tranches: list[TrancheLeft],
) -> Response[str]:
    return again(request, "order_new.html", errors, typed=typed, tranches=tranches)


async def _not_active(
    request: Asked, order: Shown, typed: dict[str, str], said: str
) -> Response[str]:
    told = await asyncio.to_thread(about, request, order)
    return again(request, "order.html", {"commitment": said}, typed=typed, **told)


def about(request: Asked, order: Shown) -> dict[str, Any]:
    """Return what the page of an order shows of it: where it is, and what the proof to approve would say."""
    told: dict[str, Any] = {"order": order, "life": None, "says": "", "no_proof": ""}
    if order.step == "replacement":
        return told
    with reading(request) as session:
        life = told["life"] = life_of(session, order.line)
    decides = visitor_of(request).sees(Action.ORDER, order.line.programme)
    if not decides or order.step in ("specimen", "cancelled", "taken_over"):
        return told
    try:
        proof = proof_of(request, order.line.number)
    except Refusal as no:
        return told | {"no_proof": sentence(request, no)}
    return told | {"says": what_it_says(proof) if _waits(proof, life) else ""}


def _waits(proof: Prepared, life: Life) -> bool:
    """Tell whether this proof is to be looked at: none was, or ours changed since one was."""
    now = look_of(proof.plan)
    seen = [a.look for a in life.approved if a.kind == "pdf"]
    ours = [look for look in seen if (look.template, look.logos) == (now.template, ())]
    return not life.approved or any(look != now for look in ours)


def proof_of(request: Asked, number: int) -> Prepared:
    """Read what the proof of an order would say now, on our own sheets and without logos."""
    code, instance = request.path_params["departement"], serving_of(request).instance
    asked = Printed(number, None, None, templates.own("pdf"), NO_LOGOS, None)
    with reading(request) as session:
        return prepare_proof(
            session,
            asked,
            instance.departement(code),
            phone=instance.settings.phone(code),
            now=now_of(request),
        )


def _offered(request: Asked) -> list[TrancheLeft]:
    """Return the tranches that this visitor may order carnets of."""
    visitor = visitor_of(request)
    with reading(request) as session:
        found = tranches_with_money_left(session, on=now_of(request).day)
    return [t for t in found if visitor.sees(Action.ORDER, t.programme)]


def _shown(
    session: Session,
    request: Asked,
    number: int | None = None,
    action: Action = Action.SEE_ORDERS,
) -> list[Shown]:
    visitor = visitor_of(request)
    under_way = {work.request["order"]: work for work in unfinished(session, KIND)}
    stopped = orders_signed_by(session, revocations(session).keys())
    lapsed = orders_with_stock_lapsed(session)
    return [
        Shown(
            line,
            under_way.get(line.number),
            line.number in stopped,
            line.number in lapsed,
            of_order(session, line.number) if number and line.taken_over else (),
        )
        for line in order_lines(session, number)
        if visitor.sees(action, line.programme)
    ]


def one_order(request: Asked, number: int, action: Action = Action.SEE_ORDERS) -> Shown:
    """Return an order of which this visitor may do this, or raise `NoSuchRoom`."""
    with reading(request) as session:
        found = _shown(session, request, number, action)
    if not found:
        raise NoSuchRoom
    return found[0]
