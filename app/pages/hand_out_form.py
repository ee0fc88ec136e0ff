"""The form of a hand-out: which carnet was typed or scanned, and what is asked for, from its fields.

A QR code or a secret code comes in the body of a form only, is looked up, and goes no further: the
page that answers shows the carnet's number and, where one pass was named, its public serial.
"""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, NamedTuple, cast, get_args

from sqlalchemy.orm import Session

from app.guessing import Guesses
from app.messages import Messages
from app.pages.carnet_numbers import carnet_named
from app.pages.frame import act_id
from app.pages.visitors import Visitor
from app.people.roles import Action
from funding.hand_out_rules import HandOutRules
from issuance.foreign import TEXT_MAX
from issuance.foreign_carnets import named
from issuance.hand_outs import CarnetUnknown, HandOut, Need, Proof
from issuance.holders import Holder
from issuance.keys import Keyring
from issuance.limits import DespiteLimit
from issuance.queries import InHand, in_hand, passes_left
from issuance.serials import Serial
from issuance.typed import CarnetElsewhere, CarnetUnreadable, Typed, keys_put_back, read
from redemption.recognition import Seen, recognise

# What a person may type again and correct; a QR code is longer, and is never shown.
SHORT = 40
NAME_MAX = 100
_TICKED = re.compile(r"pass_(?!0)[0-9]{1,3}")


class No(NamedTuple):
    """What is wrong with a QR code or a typed code, as a refusal's code and facts."""

    code: str
    facts: dict[str, Any]


@dataclass(frozen=True)
class Looked:
    """The carnet that was named, the passes left in it, and the pass that named it, if one did.

    `again` is what the field says of it: its number, in full where a cover bears the same.
    """

    carnet: InHand
    left: list[str]
    scanned: str | None
    again: str

    @property
    def called(self) -> str:
        """The carnet as people know it: its number, and what stands on its cover if that is another."""
        number, cover = self.carnet.number, self.carnet.cover
        return f"{number}" if cover is None else f"{number} ({cover})"


def part_of(departement: str, carnet: int, fields: dict[str, str]) -> tuple[str, ...]:
    """Return the passes that were ticked; none ticked is the whole carnet.

    Whether they are still there is not asked: a form that is sent twice asks for the same twice.
    """
    ranks = sorted(
        int(name.removeprefix("pass_")) for name in fields if _TICKED.fullmatch(name)
    )
    return tuple(str(Serial(departement, carnet, rank)) for rank in ranks)


def look(
    session: Session,
    visitor: Visitor,
    keyring: Keyring,
    guesses: Guesses,
    fields: dict[str, str],
) -> Looked | No:
    """Return the carnet that the fields name; one of a programme that is not theirs is not there.

    What could be a secret code or a number of a former operator, and is none, counts as a guess.
    Refused with `carnet_unreadable`, `carnet_elsewhere`, `carnet_unknown`, `several_carnets`,
    `too_many_guesses`.
    """
    text, departement = fields.get("carnet", ""), visitor.departement
    named_by, no = Typed(), None
    try:
        named_by = _named(session, departement, text)
    except (CarnetUnreadable, CarnetElsewhere) as unread:
        no = unread
    number, rank, secret = named_by
    found = None if number is None else in_hand(session, number)
    if found is None and (secret or (keyring.foreign and len(text) <= TEXT_MAX)):
        seen = _recognised(session, visitor, keyring, guesses, secret or text.strip())
        if seen.row is not None:
            _departement, number, rank = Serial.parse(seen.row.serial)
            found = in_hand(session, number)
        elif secret is not None:
            return No(seen.refusal or "unknown", seen.facts)
    if found is None or not visitor.sees(Action.HAND_OUT, found.programme):
        raise no or CarnetUnknown(shown_again(text.strip()) or str(number))
    number = found.number
    scanned = None if rank is None else str(Serial(departement, number, rank))
    again = f"{departement}-{number:06d}" if named(session, str(number)) else str(number)
    return Looked(found, passes_left(session, number), scanned, again)


def _named(session: Session, departement: str, text: str) -> Typed:
    if len(text) <= SHORT and named(session, text):  # it stands on another operator's cover
        return Typed(carnet_named(session, departement, text))
    return read(departement, text)


def _recognised(
    session: Session, visitor: Visitor, keyring: Keyring, guesses: Guesses, text: str
) -> Seen:
    """Return the pass that a text is worth, as the counter reads it; trying is slowed as it is there."""
    who = str(visitor.session.person)
    guesses.check(who)
    seen = recognise(session, text, keyring)
    meant = keys_put_back(text)
    if seen.row is None and meant != text:
        seen = recognise(session, meant, keyring)
    guesses.looked(who, seen)
    return seen


def shown_again(typed: str) -> str:
    """Return what the field may show of what was typed: not a QR code."""
    return typed if len(typed) <= SHORT else ""


def missing(
    m: Messages, fields: dict[str, str], desks: list[str], rules: HandOutRules
) -> dict[str, str]:
    """Return a sentence for each question that has no answer yet, or one that cannot be read."""
    errors = {}
    desk = fields.get("desk")
    if (len(desks) > 1 and desk not in desks) or (desk and desk not in desks):
        errors["desk"] = m.refusal("choice_needed")
    if fields.get("pic") not in {"yes", "no"}:
        errors["pic"] = m.refusal("choice_needed")
    if fields.get("proof") not in get_args(Proof):
        errors["proof"] = m.refusal("choice_needed")
    if names_asked(rules):
        labels = {"surname": m.text("Nom"), "first_name": m.text("Prénom")}
        for name, label in labels.items():
            if not fields.get(name):
                errors[name] = m.refusal("field_needed", {"field": label})
            elif len(fields[name]) > NAME_MAX:
                errors[name] = m.refusal(
                    "field_too_long", {"field": label, "most": NAME_MAX}
                )
        if _day(fields.get("born_on", "")) is None:
            errors["born_on"] = m.refusal("date_needed")
    if fields.get("given_on") and _day(fields["given_on"]) is None:
        errors["given_on"] = m.refusal("date_needed")
    return errors


def names_asked(rules: HandOutRules) -> bool:
    """Tell whether a hand-out under these rules says who it is for."""
    return rules.holders_named or rules.limit_per_person is not None


def _day(typed: str) -> date | None:
    try:
        return date.fromisoformat(typed)
    except ValueError:
        return None


def _given_at(fields: dict[str, str]) -> datetime | None:
    """Return the instant that the page's script claims; without it, and without a network, there is none."""
    try:
        at = datetime.fromisoformat(fields.get("given_at", ""))
        return None if at.tzinfo is None else at.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _holder(fields: dict[str, str], rules: HandOutRules) -> Holder | None:
    born_on = _day(fields.get("born_on", ""))
    if born_on is None or not names_asked(rules):
        return None
    return Holder(fields["surname"], fields["first_name"], born_on)


def asked_for(visitor: Visitor, looked: Looked, fields: dict[str, str]) -> HandOut:
    """Return the hand-out that is asked for; the same fields are the same request, whenever sent."""
    need, category = fields.get("need"), fields.get("category")
    despite = fields.get("despite_limit")
    part = part_of(visitor.departement, looked.carnet.number, fields)
    return HandOut(
        act_id(fields),
        fields.get("desk") or visitor.desks[0],
        fields["pic"] == "yes",
        cast("Proof", fields["proof"]),
        carnet=None if part else looked.carnet.number,
        serials=part,
        category=category if category in looked.carnet.publics else None,
        need=cast("Need", need) if need in get_args(Need) else None,
        given_on=_day(fields.get("given_on", "")),
        holder=_holder(fields, looked.carnet.rules),
        despite_limit=(
            cast("DespiteLimit", despite) if despite in get_args(DespiteLimit) else None
        ),
        given_at=_given_at(fields),
    )
