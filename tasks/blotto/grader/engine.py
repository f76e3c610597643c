"""The rules of Colonel Blotto and the opponent that plays the column."""

from __future__ import annotations

from typing import Protocol

FIELDS = 6
SOLDIERS = 120


class Random(Protocol):
    """What the opponent needs of a source of random numbers."""

    def randint(self, low: int, high: int) -> int:
        """Return an integer from low to high, both included."""


Split = list[int]


def check(move: object) -> str | None:
    """Say what is wrong with a move of the row, or return None."""
    if type(move) is not list or len(move) != FIELDS:
        return f"want a list of {FIELDS} integers"
    for soldiers in move:
        if type(soldiers) is not int or not 0 <= soldiers <= SOLDIERS:
            return f"each of the {FIELDS} numbers has to be an integer from 0 to {SOLDIERS}"
    if sum(move) > SOLDIERS:
        return f"the sum may not be above {SOLDIERS}"
    return None


def column(history: list[tuple[Split, Split]], stream: Random) -> Split:
    """Return the opponent's split: six uniform numbers, scaled to 120.

    What rounding leaves over goes to one field. The history does not matter.
    """
    drawn = [stream.randint(0, SOLDIERS) for _ in range(FIELDS)]
    total = sum(drawn)
    while total == 0:
        drawn = [stream.randint(0, SOLDIERS) for _ in range(FIELDS)]
        total = sum(drawn)
    split = [d * SOLDIERS // total for d in drawn]
    split[stream.randint(0, FIELDS - 1)] += SOLDIERS - sum(split)
    return split


def payoff(row: Split, column_split: Split) -> int:
    """Return 1 if the row wins more fields than the column, -1 if fewer, else 0."""
    balance = 0
    for mine, theirs in zip(row, column_split, strict=True):
        if mine > theirs:
            balance += 1
        elif mine < theirs:
            balance -= 1
    return (balance > 0) - (balance < 0)
