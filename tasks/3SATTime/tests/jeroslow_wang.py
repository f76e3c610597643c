"""The weights of Jeroslow and Wang: short clauses count more."""


def heuristic_fn(clauses, assignments, conflict_count, assignment_history, level):
    weight = {}
    for clause in clauses:
        free = [x for x in clause if abs(x) not in assignments]
        share = 2.0 ** -len(free)
        for x in free:
            weight[x] = weight.get(x, 0.0) + share
    best = max({abs(x) for x in weight}, key=lambda v: weight.get(v, 0.0) + weight.get(-v, 0.0))
    return best, weight.get(best, 0.0) >= weight.get(-best, 0.0)
