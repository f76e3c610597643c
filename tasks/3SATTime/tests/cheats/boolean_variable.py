"""Returns True as the variable, which passes for 1."""


def heuristic_fn(clauses, assignments, conflict_count, assignment_history, level):

    return True, True
