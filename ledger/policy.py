"""Whose signatures make a checkpoint good: a policy (C2SP tlog-policy), and checking a note against it.

    log <vkey> [<url>]                      a log that is trusted to name itself
    witness <name> <vkey> [<url>]           a witness; its address is where cosignatures are asked for
    group <name> all|any|<k> <name> ...     so many of these have cosigned
    quorum <name>|none                      what must have cosigned; one such line

Names stand on lines above those that use them, and each is in one group at most.  Lines that
begin with # are for people.

Nothing here touches a clock, a database or a network.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from ledger.notes import (
    COSIGNATURE,
    SIGNATURE,
    Checkpoint,
    Key,
    Note,
    NoteError,
    read_checkpoint,
    read_key,
    verify,
)

NOBODY = "none"
MOST_LINES = 500


class PolicyError(ValueError):
    """A policy that says nothing, or two things; the text tells the line."""


class Witness(NamedTuple):
    """Someone who looks after logs: `url` is where a checkpoint is handed in, if it is known."""

    name: str
    key: Key
    url: str | None


class Group(NamedTuple):
    """So many of these names."""

    least: int
    names: tuple[str, ...]


@dataclass(frozen=True)
class Policy:
    """A policy that was read."""

    logs: tuple[Key, ...]
    witnesses: Mapping[str, Witness]
    groups: Mapping[str, Group]
    quorum: str

    def is_met(self, cosigned: set[Key], name: str | None = None) -> bool:
        """Tell whether these witnesses are enough."""
        name = self.quorum if name is None else name
        if name == NOBODY:
            return True
        if name in self.witnesses:
            return self.witnesses[name].key in cosigned
        group = self.groups[name]
        return sum(self.is_met(cosigned, n) for n in group.names) >= group.least


class Vouched(NamedTuple):
    """A checkpoint that a policy accepts, and the witnesses who cosigned it, by name, with the second."""

    checkpoint: Checkpoint
    witnesses: dict[str, int]


def read_policy(text: str) -> Policy:
    """Read a policy, or raise `PolicyError`, which names the line that is wrong."""
    reading = _Reading()
    lines = text.split("\n")
    if len(lines) > MOST_LINES:
        raise PolicyError("the policy is too long")
    for number, line in enumerate(lines, 1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        try:
            reading.take(words[0], words[1:])
        except ValueError as no:
            raise PolicyError(f"line {number}: {no}") from None
    if reading.quorum is None:
        raise PolicyError("no line says the quorum")
    return Policy(tuple(reading.logs), reading.witnesses, reading.groups, reading.quorum)


class _Reading:
    """What has been read so far."""

    def __init__(self) -> None:
        self.logs: list[Key] = []
        self.witnesses: dict[str, Witness] = {}
        self.groups: dict[str, Group] = {}
        self.quorum: str | None = None
        self._grouped: set[str] = set()

    def take(self, what: str, words: list[str]) -> None:
        match what, words:
            case "log", [vkey] | [vkey, _]:
                key = _key(vkey, SIGNATURE)
                if key.public in {known.public for known in self.logs}:
                    raise ValueError("this log stands here already")
                self.logs.append(key)
            case "witness", [name, vkey] | [name, vkey, _]:
                self._new(name)
                key = _key(vkey, COSIGNATURE)
                if key.public in {w.key.public for w in self.witnesses.values()}:
                    raise ValueError("this witness stands here already")
                url = words[2] if len(words) == 3 else None
                self.witnesses[name] = Witness(name, key, url)
            case "group", [name, least, *names] if names:
                self._new(name)
                self.groups[name] = Group(_least(least, len(names)), tuple(names))
                for member in names:
                    self._known(member)
                    if member in self._grouped:
                        raise ValueError(f"{member} is in a group already")
                    self._grouped.add(member)
            case "quorum", [name]:
                if self.quorum is not None:
                    raise ValueError("the quorum is said twice")
                if name != NOBODY:
                    self._known(name)
                self.quorum = name
            case _:
                raise ValueError("a line is log, witness, group or quorum")

    def _new(self, name: str) -> None:
        if name == NOBODY or name in self.witnesses or name in self.groups:
            raise ValueError(f"the name {name} is taken")

    def _known(self, name: str) -> None:
        if name not in self.witnesses and name not in self.groups:
            raise ValueError(f"{name} does not stand above")


def _key(vkey: str, kind: int) -> Key:
    key = read_key(vkey)
    if key.kind != kind:
        raise NoteError(f"{key.name}: this key makes another kind of signature")
    return key


def _least(word: str, names: int) -> int:
    if word in {"all", "any"}:
        return names if word == "all" else 1
    if not re.fullmatch(r"[1-9][0-9]{0,3}", word) or int(word) > names:
        raise ValueError(f"{word}: all, any, or a number from 1 to {names}")
    return int(word)


def vouch(policy: Policy, note: Note) -> Vouched:
    """Return the checkpoint that a note holds, or raise `NoteError` when the policy does not accept it."""
    checkpoint = read_checkpoint(note.text)
    logs = [key for key in policy.logs if key.name == checkpoint.origin]
    if not logs:
        raise NoteError(f"the policy does not know the log {checkpoint.origin}")
    verify(note, logs)
    by_key = {witness.key: witness.name for witness in policy.witnesses.values()}
    try:
        signed = verify(note, by_key)
    except NoteError:
        if any(
            (line.name, line.id) in {(k.name, k.id) for k in by_key} for line in note.lines
        ):
            raise  # somebody known signed badly
        signed = []
    if not policy.is_met({one.key for one in signed}):
        raise NoteError("not enough witnesses have cosigned this checkpoint")
    return Vouched(checkpoint, {by_key[s.key]: s.seconds or 0 for s in signed})
