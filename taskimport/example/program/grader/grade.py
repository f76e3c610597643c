"""Plays the coin against the submitted program. This file never is where the agent is."""

from __future__ import annotations

from mlgym_grader import Result, Session
from mlgym_grader.repeated import play
from mlgym_grader.stream import Stream

HEADS = 0.7


def grade(session: Session) -> Result:
    """Play the games of this grading; the library makes an Invalid of whatever else than answers it gets."""
    return play(session, check=check, column=coin, payoff=lambda guess, tossed: float(guess == tossed))


def check(guess: object) -> str | None:
    """Say what is wrong with a guess, or return None. It is a value of JSON: a type is exactly what it seems."""
    if type(guess) is int and guess in (0, 1):
        return None
    return "want the integer 0 or 1"


def coin(history: list[tuple[int, int]], stream: Stream) -> int:
    """Toss the coin. The stream's seed comes from the secret of the run and enters no sandbox but this one."""
    return int(stream.random() < HEADS)
