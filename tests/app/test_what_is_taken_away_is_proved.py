"""A reconciliation that leaves the house was added up again from the entries; a roll-up that differs stays in."""

from sqlalchemy import select, update

from app.devices import new_device
from app.people.roles import Role
from ledger.accounts import account_id
from ledger.models import balance
from tests.app.visiting import engine_house, house
from tests.builders import sequence

__all__ = ["engine_house", "house"]


def moved(house, cents: int) -> None:
    """Say in the roll-ups, and nowhere else, that passes in stock are in people's hands."""
    with house.database.begin("23", "sequencer") as session:
        for name, column in (("stock/1", "credits"), ("circulating/1", "debits")):
            its = balance.c.account_id == account_id(name)
            now = session.scalars(select(balance.c[column]).where(its)).one()
            session.execute(update(balance).where(its).values({column: now + cents}))


def test_a_roll_up_that_differs_is_shown_and_never_given(house):
    with house.database.begin("23") as session:
        _id, token = new_device(
            session, "23", scope="departement", at=None, label="audit", now=house.now
        )
    sequence(house.database, now=house.now)
    signed = {"Authorization": f"Bearer {token}"}
    manager = house.entered(house.of(Role.MANAGER))

    def answers() -> list[int]:
        return [
            house.http.get("/api/v1/reconciliations", headers=signed).status_code,
            house.http.get("/api/v1/reconciliations/T1", headers=signed).status_code,
            manager.post("/tranches/T1/export").status_code,
            manager.get("/tranches/T1").status_code,
        ]

    assert answers() == [200, 200, 200, 200]
    moved(house, 1000)
    try:
        assert answers() == [500, 500, 500, 200]
        told = house.http.get("/api/v1/reconciliations/T1", headers=signed).json()
        assert told["code"] == "does_not_reconcile"
    finally:
        moved(house, -1000)
    assert answers() == [200, 200, 200, 200]
