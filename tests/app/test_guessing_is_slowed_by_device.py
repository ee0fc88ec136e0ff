"""A device that keeps sending what is no pass waits; the others go on, and a retry costs nothing."""

import pytest

from app import guessing
from app.guessing import MOST, WITHIN_SECONDS, Guesses, TooManyGuesses
from ledger.identifiers import new_id
from redemption.counter import Verdict


def told(word: str, count: int = 1, *, replayed: bool = False) -> list[Verdict]:
    return [Verdict(new_id(), word, replayed=replayed) for _ in range(count)]


def test_a_device_that_guesses_waits_and_the_others_do_not(monkeypatch):
    now = 1000.0
    monkeypatch.setattr(guessing.time, "monotonic", lambda: now)
    guesses = Guesses()
    guesses.count("phone", told("unknown", MOST - 1))
    guesses.check("phone")
    guesses.count("phone", told("unknown"))
    with pytest.raises(TooManyGuesses):
        guesses.check("phone")
    guesses.check("another phone behind the same line")
    now += WITHIN_SECONDS + 1
    guesses.check("phone")


@pytest.mark.parametrize(
    "word", ["accepted", "already_redeemed", "not_handed_out", "mistyped_code", "forged"]
)
def test_what_is_not_looked_up_or_is_a_pass_is_no_guess(word):
    guesses = Guesses()
    guesses.count("phone", told(word, MOST * 2))
    guesses.check("phone")


def test_a_queue_sent_again_is_not_counted_again():
    guesses = Guesses()
    for _retry in range(5):
        guesses.count("phone", told("unknown", MOST // 2, replayed=True))
    guesses.check("phone")
