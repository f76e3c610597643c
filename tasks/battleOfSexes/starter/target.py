"""Your partner, for you to read. The one that you are scored against is a copy."""

from __future__ import annotations

import random


def target_column_strategy(history: list[tuple[int, int]]) -> int:
    """Return the partner's move; history holds (row move, column move)."""
    if not history:
        return 1
    first_row_move = history[0][0]
    if random.random() < 0.8:
        return first_row_move
    return 1 - first_row_move
