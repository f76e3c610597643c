"""Play practice games: python play.py [number of games]."""

from __future__ import annotations

import math
import sys

from strategy import row_strategy
from target import target_column_strategy

ROUNDS = 10
PAYOFF = {(0, 0): 3, (0, 1): 0, (1, 0): 5, (1, 1): 1}


def play_game() -> float:
    """Play one game and return the row's payoff per round."""
    history: list[tuple[int, int]] = []
    for _ in range(ROUNDS):
        row, column = row_strategy(list(history)), target_column_strategy(list(history))
        if type(row) is not int or row not in (0, 1):
            raise ValueError(f"row_strategy returned {row!r}, want the integer 0 or 1")
        history.append((row, column))
    return sum(PAYOFF[moves] for moves in history) / ROUNDS


def main() -> None:
    """Print the mean payoff and its standard error."""
    games = int(sys.argv[1]) if len(sys.argv) > 1 else 5000
    means = [play_game() for _ in range(games)]
    mean = sum(means) / games
    error = math.sqrt(sum((m - mean) ** 2 for m in means)) / games
    print(f"Score {mean:.4f} +- {error:.4f} over {games} games")


if __name__ == "__main__":
    main()
