"""A desk cannot make, in advance, an account that later opens the département's doors."""

from app.people.models import membership, password, totp, web_session
from app.people.roles import Role
from tests.app.visiting import engine_house, house

__all__ = ["engine_house", "house"]


def keys_of(house, who) -> list[int]:
    return [
        house.count(table, table.c.person == who.id, *more)
        for table, more in (
            (password, ()),
            (totp, ()),
            (web_session, (web_session.c.closed_at.is_(None),)),
        )
    ]


def test_an_account_made_at_a_desk_loses_its_keys_when_the_departement_gives_it_a_role(
    house,
):
    taken = house.person(Role.PRESCRIBER_AGENT, "future@exemple.fr")
    house.telephone(taken)
    inside = house.entered(taken)
    assert inside.get("/compte").status_code == 200
    assert keys_of(house, taken) == [1, 1, 1]

    manager = house.entered(house.person(Role.MANAGER))
    told = manager.post(
        "/personnes", name="Future", login=taken.login, role=Role.MANAGER.value
    )

    assert told.status_code == 200
    assert house.count(membership, membership.c.person == taken.id) == 2
    assert keys_of(house, taken) == [0, 0, 0]
    assert inside.get("/compte").status_code == 303
    assert house.browser().sign_in(taken.login).status_code == 422


def test_an_account_of_the_departement_keeps_its_keys(house):
    known = house.person(Role.ACCOUNTANT)
    house.person(Role.MEDIATOR, known.login)
    house.person(Role.AUDITOR, known.login)
    assert keys_of(house, known)[0] == 1
    agent = house.person(Role.PRESCRIBER_AGENT)
    house.person(Role.MEDIATOR, agent.login, entered=False)
    assert keys_of(house, agent)[0] == 1
