"""Who may do what: roles, actions, and the one table between them."""

from enum import StrEnum


class Role(StrEnum):
    """What a person is here; the values are stable."""

    MANAGER = "manager"
    ACCOUNTANT = "accountant"
    OFFICER = "authorising_officer"
    PRESCRIBER_MANAGER = "prescriber_manager"
    PRESCRIBER_AGENT = "prescriber_agent"
    SITE_MANAGER = "site_manager"
    MEDIATOR = "mediator"
    VOLUNTEER = "volunteer"
    AUDITOR = "auditor"
    OPERATOR = "operator"


class Action(StrEnum):
    """What a door needs. Each page and each form names one; a route that names none is shut."""

    SEE_HOME = "see_home"
    SEE_TRANCHES = "see_tranches"
    EXPORT = "export"
    SEE_ORDERS = "see_orders"
    ORDER = "order"
    ACTIVATE_ORDER = "activate_order"
    SEE_SITES = "see_sites"
    MANAGE_SITES = "manage_sites"
    SEE_WORKS = "see_works"
    SEE_PEOPLE = "see_people"
    INVITE = "invite"
    HAND_OUT = "hand_out"
    REPLACE = "replace"
    SCAN = "scan"
    SEE_STOCK = "see_stock"
    KEEP_STOCK = "keep_stock"
    MANAGE_STOCK = "manage_stock"


class Door(StrEnum):
    """Doors that need no action: open to all, to a device's token, to whoever signed in."""

    OPEN = "open"
    BEARER = "bearer"
    SIGNED_IN = "signed_in"
    HALF = "half"  # signed in, but the second proof may still be due


AT_A_DESK = frozenset({Role.PRESCRIBER_MANAGER, Role.PRESCRIBER_AGENT})
AT_A_SITE = frozenset({Role.SITE_MANAGER, Role.MEDIATOR, Role.VOLUNTEER})
# A decision by these people moves public money, or opens doors to others.
SECOND_FACTOR_DUE = frozenset({Role.OFFICER})

_READS = {
    Action.SEE_HOME, Action.SEE_TRANCHES, Action.SEE_ORDERS, Action.EXPORT, Action.SEE_SITES,
    Action.SEE_STOCK,
}  # fmt: skip
# Of its own drawer: what is in it, what comes to it, what it counts.
_DESK_STOCK = {Action.SEE_STOCK, Action.KEEP_STOCK}
MAY: dict[Role, frozenset[Action]] = {
    Role.MANAGER: frozenset(
        _READS
        | {Action.SEE_PEOPLE, Action.INVITE, Action.MANAGE_SITES, Action.SEE_WORKS}
        | {Action.ORDER, Action.ACTIVATE_ORDER, Action.REPLACE}
        | {Action.KEEP_STOCK, Action.MANAGE_STOCK}
    ),
    # The commitment number comes from the accounts.
    Role.ACCOUNTANT: frozenset(_READS | {Action.ACTIVATE_ORDER}),
    Role.OFFICER: frozenset(_READS | {Action.ACTIVATE_ORDER}),
    Role.PRESCRIBER_MANAGER: frozenset(
        {Action.SEE_HOME, Action.HAND_OUT, Action.REPLACE, Action.SEE_PEOPLE, Action.INVITE}
        | _DESK_STOCK
    ),
    Role.PRESCRIBER_AGENT: frozenset(
        {Action.SEE_HOME, Action.HAND_OUT, Action.REPLACE} | _DESK_STOCK
    ),
    Role.SITE_MANAGER: frozenset(
        {Action.SEE_HOME, Action.SCAN, Action.SEE_PEOPLE, Action.INVITE}
    ),
    Role.MEDIATOR: frozenset({Action.SEE_HOME, Action.SCAN}),
    Role.VOLUNTEER: frozenset({Action.SEE_HOME, Action.SCAN}),
    Role.AUDITOR: frozenset(_READS),
    Role.OPERATOR: frozenset({Action.SEE_HOME, Action.SEE_PEOPLE, Action.INVITE}),
}

# Whom each role may invite: a desk or a site invites its own people, an operator a manager.
INVITES: dict[Role, frozenset[Role]] = {
    Role.MANAGER: frozenset(Role) - {Role.OPERATOR},
    Role.PRESCRIBER_MANAGER: AT_A_DESK,
    Role.SITE_MANAGER: AT_A_SITE,
    Role.OPERATOR: frozenset({Role.MANAGER, Role.OPERATOR}),
}
