"""Your strategy for the Battle of the Sexes. This is the file to edit."""

from __future__ import annotations

import random


def row_strategy(history: list[tuple[int, int]]) -> int:
    """Return the next move, 0 or 1.

    history holds the earlier rounds of this game as (my move, partner's move).
    """
    if not history:
        return 0
    my_last, partner_last = history[-1]
    draw = random.random()
    if draw < 0.1:
        return 0
    if draw < 0.2:
        return 1
    if draw < 0.9:
        return partner_last
    return my_last
