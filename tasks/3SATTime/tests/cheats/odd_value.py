"""Returns values that are true and false at once."""


def heuristic_fn(clauses, assignments, conflict_count, assignment_history, level):
    return next(abs(x) for x in clauses[0] if abs(x) not in assignments), [0]
