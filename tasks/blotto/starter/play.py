"""Play practice games: python play.py [number of games]."""

from __future__ import annotations

import math
import sys

from strategy import row_strategy
from target import target_column_strategy

ROUNDS = 10
FIELDS = 6
SOLDIERS = 120


def check(move: object) -> None:
    """Raise an error unless the move is allowed."""
    if not isinstance(move, list | tuple) or len(move) != FIELDS:
        raise ValueError(f"row_strategy returned {move!r}, want a list of {FIELDS} integers")
    if any(type(m) is not int or m < 0 for m in move) or sum(move) > SOLDIERS:
        raise ValueError(f"row_strategy returned {move!r}, want integers of 0 or more with a sum of at most {SOLDIERS}")


def payoff(row: list[int], column: list[int]) -> int:
    """Return 1 if the row wins more fields than the column, -1 if fewer, else 0."""
    won = sum(r > c for r, c in zip(row, column, strict=True))
    lost = sum(r < c for r, c in zip(row, column, strict=True))
    return (won > lost) - (won < lost)


def play_game() -> float:
    """Play one game and return the row's payoff per round."""
    history: list[tuple[list[int], list[int]]] = []
    for _ in range(ROUNDS):
        row, column = row_strategy(list(history)), target_column_strategy(list(history))
        check(row)
        history.append((row, column))
    return sum(payoff(row, column) for row, column in history) / ROUNDS


def main() -> None:
    """Print the mean payoff and its standard error."""
    games = int(sys.argv[1]) if len(sys.argv) > 1 else 5000
    means = [play_game() for _ in range(games)]
    mean = sum(means) / games
    error = math.sqrt(sum((m - mean) ** 2 for m in means)) / games
    print(f"Score {mean:.4f} +- {error:.4f} over {games} games")


if __name__ == "__main__":
    main()
