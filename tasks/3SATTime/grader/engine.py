"""The solver that grades: the one of the starter's solver.py, as a coroutine.

It lives with the grader. A search stops whenever it needs the rule, hands out
what the rule may see, and goes on with the answer; so many formulas can wait for
the same message. It was written twice, for reading and for grading; a test keeps
both in step.
"""

from __future__ import annotations

from collections.abc import Generator

from mlgym_grader import Stream

Clause = list[int]
Answer = tuple[int, bool]


def formula(stream: Stream, low: int, high: int, ratio_low: float, ratio_high: float) -> list[Clause]:
    """Draw a formula: its number of variables and of clauses for each, then the clauses.

    A clause has three different variables, each negated or not with equal
    probability.
    """
    variables = stream.randint(low, high)
    ratio = ratio_low + (ratio_high - ratio_low) * stream.random()
    names = range(1, variables + 1)
    clauses = []
    for _ in range(max(1, round(variables * ratio))):
        signs = stream.below(8)
        a, b, c = stream.sample(names, 3)
        clauses.append([a if signs & 1 else -a, b if signs & 2 else -b, c if signs & 4 else -c])
    return clauses


class Search:
    """The search in one formula."""

    __slots__ = ("assignments", "conflict_count", "decisions", "history", "level", "truth")

    def __init__(self, clauses: list[Clause]) -> None:
        self.assignments: dict[int, bool] = {}
        self.truth: dict[int, bool] = {}
        self.conflict_count: dict[int, int] = {abs(x): 0 for clause in clauses for x in clause}
        self.history: list[int] = []
        self.level: list[list[int]] = []
        self.decisions = 0

    def run(self, clauses: list[Clause]) -> Generator[list[Clause], Answer, bool]:
        """Yield the unresolved clauses when the rule is needed; return the verdict."""
        clauses, unit, false = self._look(clauses)
        if not clauses:
            return True
        if false:
            for clause in false:
                for x in clause:
                    self.conflict_count[abs(x)] += 1
            return False
        while unit:
            propagated = abs(unit)
            self._assign(propagated, unit > 0)
            clauses, unit, false = self._look(clauses)
            if not clauses:
                return True
            if false:
                self.conflict_count[propagated] += 1
                return False
        variable, value = yield clauses
        self.decisions += 1
        for choice in (value, not value):
            self.level.append([])
            self._assign(variable, choice)
            if (yield from self.run(clauses)):
                return True
            for assigned in self.level.pop():
                del self.assignments[assigned], self.truth[assigned], self.truth[-assigned]
        return False

    def _assign(self, variable: int, value: bool) -> None:
        self.assignments[variable] = value
        self.truth[variable] = value
        self.truth[-variable] = not value
        self.history.append(variable)
        self.level[-1].append(variable)

    def _look(self, clauses: list[Clause]) -> tuple[list[Clause], int, list[Clause]]:
        """Return the unresolved clauses, a unit literal or 0, and the falsified clauses."""
        unresolved: list[Clause] = []
        false: list[Clause] = []
        unit = 0
        truth = self.truth.get
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

    def problem(self, answer: object) -> str | None:
        """Say what is wrong with an answer of the rule, or return None."""
        if type(answer) is not list or len(answer) != 2:
            return "want a variable and a value"
        variable, value = answer
        if variable is None:
            return "it chose no variable although free ones are left"
        if type(variable) is not int or variable not in self.conflict_count:
            return "the variable has to be an integer that stands for a variable of the formula"
        if variable in self.assignments:
            return "the variable has a value already"
        if type(value) is not bool:
            return "the value has to be True or False"
        return None
