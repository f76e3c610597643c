"""The rules of the Battle of the Sexes and the partner that plays the column."""

from __future__ import annotations

from typing import Protocol

ROW_PAYOFF = ((2, 0), (0, 1))


class Random(Protocol):
    """What the partner needs of a source of random numbers."""

    def random(self) -> float:
        """Return a float from [0, 1)."""


def check(move: object) -> str | None:
    """Say what is wrong with a move of the row, or return None."""
    if type(move) is int and (move == 0 or move == 1):
        return None
    return "want the integer 0 or 1"


def column(history: list[tuple[int, int]], stream: Random) -> int:
    """Return the partner's move.

    It opens with 1 and then follows the row's very first move with probability
    0.8, whatever has happened since.
    """
    if not history:
        return 1
    first = history[0][0]
    return first if stream.random() < 0.8 else 1 - first


def payoff(row: int, column_move: int) -> int:
    """Return what the row earns."""
    return ROW_PAYOFF[row][column_move]
