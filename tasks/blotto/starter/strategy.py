"""Your strategy for Colonel Blotto. This is the file to edit."""

from __future__ import annotations

import random

FIELDS = 6
SOLDIERS = 120


def row_strategy(history: list[tuple[list[int], list[int]]]) -> list[int]:
    """Return how many soldiers go to each of the six fields, 120 in all at most.

    history holds the earlier rounds of this game as (my split, opponent's split).
    """
    weights = [0] * FIELDS
    for _ in range(random.randint(1, FIELDS)):
        weights[random.randrange(FIELDS)] += random.randint(10, 30)
    for field in range(FIELDS):
        left = SOLDIERS - sum(weights)
        if weights[field] == 0 and left > 0:
            weights[field] = random.randint(0, left)
    total = sum(weights)
    split = [w * SOLDIERS // total for w in weights]
    split[random.randrange(FIELDS)] += SOLDIERS - sum(split)
    return split
