"""Hand-outs that a device kept while it had no network: each is an act of its own, with its own verdict.

A queue is sent again whole when its answer was lost: a hand-out judged before gets the answer it
got then.  What is refused for want of something (a master key, who it is for, a limit to set
aside) is not kept, and is sent again with it, under the same id.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec

from app.instance import Instance
from app.messages import Messages
from issuance.hand_outs import HandOut
from ledger.attempts import ACCEPTED, Answer, facts_of
from ledger.refusal import Refusal
from redemption.hand_out import hand_out

QUEUE_MAX = 500

# An instant with its time zone: a clock without one says nothing.
Clock = Annotated[datetime, msgspec.Meta(tz=True)]


@dataclass(eq=False)
class TooManyHandOuts(Refusal):
    """A queue is sent so many hand-outs at a time."""

    code = "too_many_hand_outs"

    most: int


class Queued(msgspec.Struct, frozen=True):
    """A hand-out of a queue, and what the device's screen said when it was kept."""

    asked: HandOut
    shown: str | None = None


class HandOutVerdict(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a queued hand-out came to: "accepted", or the code of a refusal with its sentence.

    `again` says that nothing was kept, so that the same hand-out can be sent again, completed.
    """

    id: UUID
    verdict: str
    facts: dict[str, Any] = {}
    sentence: str | None = None
    again: bool = False
    replayed: bool = False


def judge_queue(
    instance: Instance, departement: str, queue: Sequence[Queued], *, by: str, m: Messages
) -> list[HandOutVerdict]:
    """Record hand-outs one by one, in the order of the queue; one that is refused loses no other.

    Refused with `too_many_hand_outs`, which records nothing.
    """
    if len(queue) > QUEUE_MAX:
        raise TooManyHandOuts(QUEUE_MAX)
    return list(_judged(instance, departement, queue, by, m))


def _judged(
    instance: Instance, departement: str, queue: Sequence[Queued], by: str, m: Messages
) -> Iterable[HandOutVerdict]:
    for one in queue:
        again = False
        try:
            with instance.database.begin(departement) as session:
                answer = hand_out(
                    session,
                    one.asked,
                    by=by,
                    now=instance.moment(departement),
                    sealer=instance.sealer,
                    shown=one.shown,
                )
        except Refusal as no:
            if no.kept:  # not about this hand-out: the whole queue cannot be received
                raise
            answer, again = Answer(one.asked.id, no.code, facts_of(no)), True
        sentence = None if answer.code == ACCEPTED else m.refusal(answer.code, answer.facts)
        yield HandOutVerdict(
            one.asked.id, answer.code, answer.facts, sentence, again, answer.replayed
        )
