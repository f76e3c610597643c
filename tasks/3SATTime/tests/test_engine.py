"""Tests of the solver that grades, against the starter's and against brute force."""

from __future__ import annotations

import itertools
import unittest

from places import load

engine = load("grader", "engine.py")
solver = load("starter", "solver.py")
rules = {
    "example": load("grader", "example", "heuristic.py").heuristic_fn,
    "starter": load("starter", "heuristic.py").heuristic_fn,
    "frequency": load("tests", "reference.py").heuristic_fn,
    "weights": load("tests", "jeroslow_wang.py").heuristic_fn,
}

from mlgym_grader import Stream  # noqa: E402 (places sets the path)


def formulas(count: int) -> list[list[list[int]]]:
    stream = Stream(b"test", "formulas")
    return [engine.formula(stream, 3, 10, 1.0, 11.0) for _ in range(count)]


def satisfiable(clauses: list[list[int]]) -> bool:
    """Try all assignments."""
    names = sorted({abs(x) for clause in clauses for x in clause})
    for values in itertools.product((True, False), repeat=len(names)):
        chosen = dict(zip(names, values, strict=True))
        if all(any(chosen[abs(x)] is (x > 0) for x in clause) for clause in clauses):
            return True
    return False


def search(clauses: list[list[int]], rule):
    """Run the coroutine with a rule; return the search and its verdict."""
    state = engine.Search(clauses)
    run = state.run(clauses)
    try:
        unresolved = next(run)
        while True:
            answer = rule(unresolved, state.assignments, state.conflict_count, state.history, state.level)
            assert state.problem(list(answer)) is None
            unresolved = run.send(answer)
    except StopIteration as end:
        return state, end.value


class FormulaTest(unittest.TestCase):
    def test_shape(self) -> None:
        for clauses in formulas(500):
            names = {abs(x) for clause in clauses for x in clause}
            self.assertTrue(names <= set(range(1, 11)))
            self.assertTrue(3 <= len(clauses) <= 110)
            for clause in clauses:
                self.assertEqual(len({abs(x) for x in clause}), 3)

    def test_about_half_are_satisfiable(self) -> None:
        verdicts = [search(f, rules["example"])[1] for f in formulas(1500)]
        self.assertAlmostEqual(sum(verdicts) / len(verdicts), 0.48, delta=0.04)


class SearchTest(unittest.TestCase):
    def test_verdicts_are_those_of_brute_force(self) -> None:
        for clauses in formulas(150):
            want = satisfiable(clauses)
            for name, rule in rules.items():
                state, verdict = search(clauses, rule)
                self.assertEqual(verdict, want, (name, clauses))
                if verdict:
                    chosen = state.assignments
                    self.assertTrue(all(any(chosen.get(abs(x)) is (x > 0) for x in c) for c in clauses))

    def test_the_starters_solver_goes_the_same_way(self) -> None:
        def seen(rule, log):
            def watched(clauses, assignments, conflict_count, history, level):
                log.append((clauses, dict(assignments), dict(conflict_count), list(history), [list(x) for x in level]))
                return rule(clauses, assignments, conflict_count, history, level)

            return watched

        for clauses in formulas(150):
            for rule in rules.values():
                one: list = []
                two: list = []
                state, verdict = search(clauses, seen(rule, one))
                other = solver.DPLL([list(c) for c in clauses], seen(rule, two))
                self.assertEqual(verdict, other.solve())
                self.assertEqual(one, two)
                self.assertEqual(state.decisions, other.num_decisions)
                self.assertEqual(state.decisions, len(one))

    def test_a_small_formula_by_hand(self) -> None:
        clauses = [[1, 2, 3], [-1, 2, 3], [1, -2, 3], [-1, -2, 3], [1, 2, -3]]
        calls: list = []

        def rule(unresolved, assignments, conflict_count, history, level):
            calls.append((unresolved, dict(assignments), list(history)))
            return (3, False) if 3 not in assignments else (1, True)

        state, verdict = search(clauses, rule)
        # 3 is tried as False: four clauses of 1 and 2 remain, and 1 = True needs 2 both ways.
        self.assertTrue(verdict)
        self.assertEqual([call[1] for call in calls], [{}, {3: False}, {3: True}])
        self.assertEqual(state.history, [3, 1, 2, 1, 2, 3, 1])
        self.assertEqual(state.conflict_count[2], 2)

    def test_answers(self) -> None:
        state = engine.Search([[1, 2, 3]])
        state.assignments[2] = True
        for answer in ([1, True], [3, False]):
            self.assertIsNone(state.problem(answer))
        for answer in (
            None, 1, [], [1], [1, True, 1], [None, True], [True, True], [1.0, True], ["1", True], [0, True],
            [-1, True], [4, True], [2, True], [1, 1], [1, None], [1, "True"], [[1], True],
        ):  # fmt: skip
            self.assertIsNotNone(state.problem(answer), repr(answer))


class RuleTest(unittest.TestCase):
    def test_the_example_is_the_starter(self) -> None:
        for clauses in formulas(200):
            self.assertEqual(search(clauses, rules["example"])[0].history, search(clauses, rules["starter"])[0].history)

    def test_better_rules_need_fewer_decisions(self) -> None:
        decisions = {name: sum(search(f, rule)[0].decisions for f in formulas(1500)) for name, rule in rules.items()}
        self.assertLess(decisions["weights"], decisions["frequency"])
        self.assertLess(decisions["frequency"], decisions["example"])

    def test_look_ahead(self) -> None:
        clauses = [[1, 2, 3], [-1, 4, 5], [2, 4, 5]]
        self.assertEqual(solver.num_new_clauses(clauses, {}, 1, True), 1)
        self.assertEqual(solver.num_new_clauses([[1, 2, 3]], {}, 1, True), 1e4)
        self.assertEqual(solver.num_new_clauses([[1, 2, 3]], {2: False, 3: False}, 1, False), -1e4)


if __name__ == "__main__":
    unittest.main()
