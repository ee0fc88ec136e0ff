"""The policy that a département sets for its log: who the witnesses are; each version by an entry."""

from dataclasses import dataclass
from hashlib import sha256
from uuid import UUID

import msgspec
from sqlalchemy import func, insert, select
from sqlalchemy.orm import Session

from ledger import gates
from ledger.attempts import Act, Answer, perform
from ledger.journal import must_record
from ledger.log_keys import public_log_keys
from ledger.models import witness_policy
from ledger.moments import Moment
from ledger.policy import NOBODY, PolicyError, read_policy
from ledger.refusal import Refusal


@dataclass(eq=False)
class PolicyWrong(Refusal):
    """The policy cannot be read; `why` names the line."""

    code = "policy_wrong"

    why: str


class SetPolicy(msgspec.Struct, frozen=True):
    """A request for other witnesses: the whole policy.

    Its `log` lines are left out: whose keys the log's are is told by the log itself, and they change.
    """

    id: UUID
    text: str


def set_policy(session: Session, request: SetPolicy, *, by: str, now: Moment) -> Answer:
    """Set who the witnesses are, from the next checkpoint on; refused with `policy_wrong`."""
    act = Act(request.id, "set_policy", by, now)

    def done() -> None:
        gates.alone(session)
        text = "".join(
            line
            for line in request.text.splitlines(keepends=True)
            if line.split()[:1] != ["log"]
        )
        try:
            read_policy(request.text)
            policy = read_policy(text)
        except PolicyError as no:
            raise PolicyWrong(str(no)) from None
        version = 1 + (session.scalar(select(func.max(witness_policy.c.version))) or 0)
        facts = {
            "policy_sha256": sha256(text.encode()).hexdigest(),
            "version": version,
            "witnesses": sorted(w.key.vkey for w in policy.witnesses.values()),
        }
        must_record(session, [act.entry("policy_set", facts)])
        session.execute(
            insert(witness_policy).values(version=version, text=text, entry_id=act.id)
        )

    return perform(session, act, request, done)


def policy_text(session: Session) -> str:
    """Return the policy in force, with the keys of the log; no witness is asked for until one is set."""
    newest = select(witness_policy.c.text).order_by(witness_policy.c.version.desc())
    text = session.scalar(newest.limit(1)) or f"quorum {NOBODY}\n"
    logs = "".join(f"log {key.vkey}\n" for key in public_log_keys(session))
    return logs + text
