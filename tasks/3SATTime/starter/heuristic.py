"""Your branching rule. This is the file to edit."""

from __future__ import annotations

import random


def heuristic_fn(
    clauses: list[list[int]],
    assignments: dict[int, bool],
    conflict_count: dict[int, int],
    assignment_history: list[int],
    level: list[list[int]],
) -> tuple[int | None, bool]:
    """Return the variable to branch on and the value to try first.

    This example takes any free variable of the unresolved clauses.
    """
    random.seed(10)
    free = sorted({abs(x) for clause in clauses for x in clause if abs(x) not in assignments})
    if not free:
        return None, False
    return random.choice(free), True
