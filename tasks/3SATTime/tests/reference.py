"""The most frequent literal of the unresolved clauses: few decisions, found cheaply."""

from collections import Counter
from itertools import chain


def heuristic_fn(clauses, assignments, conflict_count, assignment_history, level):
    for literal, _ in Counter(chain.from_iterable(clauses)).most_common():
        if abs(literal) not in assignments:
            return abs(literal), literal > 0
    return None, False
