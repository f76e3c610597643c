"""Your opponent, for you to read. The one that you are scored against is a copy."""

from __future__ import annotations

import random

FIELDS = 6
SOLDIERS = 120


def target_column_strategy(history: list[tuple[list[int], list[int]]]) -> list[int]:
    """Return the opponent's split of its soldiers; it does not look at the history."""
    drawn = [random.randint(0, SOLDIERS) for _ in range(FIELDS)]
    while sum(drawn) == 0:
        drawn = [random.randint(0, SOLDIERS) for _ in range(FIELDS)]
    total = sum(drawn)
    split = [d * SOLDIERS // total for d in drawn]
    split[random.randint(0, FIELDS - 1)] += SOLDIERS - sum(split)
    return split
