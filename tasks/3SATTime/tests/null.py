"""A rule that never chooses."""


def heuristic_fn(clauses, assignments, conflict_count, assignment_history, level):
    return None, False
