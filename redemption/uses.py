"""The entry of a use: what a redemption says, whichever act decided it."""

from datetime import datetime
from typing import Any
from uuid import UUID

from ledger.entries import Entry, Right
from redemption.admission import OrderFacts, PlaceFacts
from redemption.presented import PassRow


def use_facts(
    row: PassRow, order: OrderFacts, place: PlaceFacts, workshop: UUID
) -> dict[str, Any]:
    """Return what an entry tells of a scan; `cents` is the face value, moved or not."""
    return {
        "cents": order.face_cents,
        "order": order.order,
        "serial": row.serial,
        "site": place.site,
        "site_name": place.site_name,
        "tranche": order.tranche,
        "workshop": str(workshop),
    }


def redeemed(
    row: PassRow,
    order: OrderFacts,
    place: PlaceFacts,
    facts: dict[str, Any],
    *,
    entry: UUID,
    act: UUID,
    actor: str,
    at: datetime,
    recorded: datetime,
) -> Entry:
    """Return the entry that spends a pass: the face value moves from circulating to due to the site.

    The day that counts is the workshop's.
    """
    return Entry(
        act=act,
        actor=actor,
        at=at,
        cents=order.face_cents,
        credit=f"circulating/{order.tranche}",
        debit=f"due/{order.tranche}/{place.site}",
        facts=facts,
        id=entry,
        kind="redeemed",
        on=place.day,
        recorded=recorded,
        right=Right("spend", row.serial, row.turn),
    )
