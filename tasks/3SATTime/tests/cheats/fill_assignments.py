"""Gives all variables values behind the solver and empties its lists."""


def heuristic_fn(clauses, assignments, conflict_count, assignment_history, level):
    variable = next(abs(x) for x in clauses[0] if abs(x) not in assignments)
    for x in conflict_count:
        assignments[x] = True
    level.clear()
    assignment_history.clear()
    return variable, True
