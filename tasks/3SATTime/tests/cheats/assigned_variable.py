"""Returns a variable that has a value already."""


def heuristic_fn(clauses, assignments, conflict_count, assignment_history, level):
    if assignments:
        return next(iter(assignments)), True
    for literal in clauses[0]:
        if abs(literal) not in assignments:
            return abs(literal), literal > 0
    return None, False
