"""Which entries a filtered coffre is about: those of one call for projects, or of one site."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from sqlalchemy import select
from sqlalchemy.orm import Session

from funding.models import call, convention, tranche
from funding.operations import exist
from issuance.models import voucher_order
from redemption.sites import site_row


class Scope(NamedTuple):
    """What was chosen, as the manifest says it, and whether an entry belongs to it."""

    told: dict[str, str]
    holds: Callable[[Mapping[str, Any]], bool]


def of_site(session: Session, key: str) -> Scope:
    """Return what tells of a site, by national id or number; raises `NotFound`."""
    number, national_id, *_ = site_row(session, key)
    return Scope({"site": national_id}, lambda body: body["facts"].get("site") == number)


def of_call(session: Session, code: str) -> Scope:
    """Return what tells of a call: its conventions, programmes, tranches and orders; raises `NotFound`."""
    exist(session, call.c.code, code)
    rows = session.execute(
        select(tranche.c.number, tranche.c.code, tranche.c.programme).where(
            tranche.c.call == code
        )
    ).all()
    orders = session.execute(
        select(
            voucher_order.c.number, voucher_order.c.first_carnet, voucher_order.c.carnets
        ).where(voucher_order.c.tranche.in_([row.number for row in rows]))
    ).all()
    carnets = [range(o.first_carnet, o.first_carnet + o.carnets) for o in orders]
    wanted: dict[str, set[Any]] = {
        "call": {code},
        "convention": set(
            session.scalars(select(convention.c.code).where(convention.c.call == code))
        ),
        "order": {order.number for order in orders},
        "programme": {row.programme for row in rows},
        "tranche": {row.number for row in rows} | {row.code for row in rows},
    }

    def holds(body: Mapping[str, Any]) -> bool:
        facts = body["facts"]
        if body["kind"] == "carnet_blocked":
            return any(facts["carnet"] in lot for lot in carnets)
        return any(
            isinstance(facts.get(name), str | int) and facts[name] in known
            for name, known in wanted.items()
        )

    return Scope({"call": code}, holds)
