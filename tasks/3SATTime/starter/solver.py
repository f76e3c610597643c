"""The solver that uses your rule, for you to read and to import.

A solver of the kind of Davis, Putnam, Logemann and Loveland: propagate unit
clauses, ask the rule for a variable and a value, try the value, then its
opposite. There is no clause learning, no pure literal rule and no restart. The
solver that you are scored with works in the same way and is kept elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable

Clause = list[int]
Rule = Callable[
    [list[Clause], dict[int, bool], dict[int, int], list[int], list[list[int]]],
    tuple[int | None, bool],
]


class DPLL:
    """Decides one formula, a list of clauses; a clause is a list of integers.

    The literal 3 says that variable 3 is true, -3 that it is false.
    """

    def __init__(self, clauses: list[Clause], heuristic_function: Rule) -> None:
        self.clauses = clauses
        self.heuristic = heuristic_function
        self.num_decisions = 0
        self.assignments: dict[int, bool] = {}
        self.conflict_count: dict[int, int] = {abs(x): 0 for clause in clauses for x in clause}
        self.assignment_history: list[int] = []
        self.level: list[list[int]] = []
        self._truth: dict[int, bool] = {}  # of literals: 3 and -3 have an entry each

    def solve(self) -> bool:
        """Return whether the formula can be satisfied; then assignments satisfy it."""
        return self._search(self.clauses)

    def _search(self, clauses: list[Clause]) -> bool:
        clauses, unit, false = self._look(clauses)
        if not clauses:
            return True
        if false:
            for clause in false:
                for x in clause:
                    self.conflict_count[abs(x)] += 1
            return False
        while unit:
            self._assign(abs(unit), unit > 0)
            propagated = abs(unit)
            clauses, unit, false = self._look(clauses)
            if not clauses:
                return True
            if false:
                self.conflict_count[propagated] += 1
                return False
        variable, value = self.heuristic(
            clauses, self.assignments, self.conflict_count, self.assignment_history, self.level
        )
        self.num_decisions += 1
        if variable is None:
            return False
        for choice in (value, not value):
            self.level.append([])
            self._assign(variable, choice)
            if self._search(clauses):
                return True
            for assigned in self.level.pop():
                del self.assignments[assigned], self._truth[assigned], self._truth[-assigned]
        return False

    def _assign(self, variable: int, value: bool) -> None:
        self.assignments[variable] = value
        self._truth[variable] = value
        self._truth[-variable] = not value
        self.assignment_history.append(variable)
        self.level[-1].append(variable)

    def _look(self, clauses: list[Clause]) -> tuple[list[Clause], int, list[Clause]]:
        """Return the clauses without a true literal, a literal that must be true, and
        those clauses that have only false literals.

        The literal is the free one of the first clause whose other two are
        false, or 0. A clause has three literals, so that there is none before
        the first decision.
        """
        unresolved: list[Clause] = []
        false: list[Clause] = []
        unit = 0
        truth = self._truth.get
        for clause in clauses:
            x, y, z = clause
            a, b, c = truth(x), truth(y), truth(z)
            if a or b or c:
                continue
            unresolved.append(clause)
            if a is None:
                if not unit and b is not None and c is not None:
                    unit = x
            elif b is None:
                if not unit and c is not None:
                    unit = y
            elif c is None:
                if not unit:
                    unit = z
            else:
                false.append(clause)
        return unresolved, unit, false


def num_new_clauses(clauses: list[Clause], assignments: dict[int, bool], variable: int, value: bool) -> float:
    """Say what one assignment would do, for rules that look ahead.

    Returns the number of clauses that would be left with two free literals, 1e4
    if all clauses would be satisfied, -1e4 if one would be falsified.
    """
    trial = {**assignments, variable: value}
    binary, unresolved = 0, False
    for clause in clauses:
        if any(trial.get(abs(x)) is (x > 0) for x in clause):
            continue
        unresolved = True
        free = sum(abs(x) not in trial for x in clause)
        if free == 0:
            return -1e4
        if free == 2 and any(abs(x) == variable for x in clause):
            binary += 1
    return binary if unresolved else 1e4
