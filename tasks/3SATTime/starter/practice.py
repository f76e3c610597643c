"""Time your rule on practice formulas: python practice.py [number of formulas].

The formulas are of the same kind as the hidden ones. Processor time is measured
for your rule and for the example rule, in turns, and put on the scale of the
score. Here the solver calls your rule directly; when you are scored, its
arguments come from another process, which costs a constant more for each
decision. So decisions weigh a little more there.
"""

from __future__ import annotations

import random
import sys
import time

import heuristic
from solver import DPLL, Clause, Rule

EXAMPLE_SECONDS = 16.158
TURNS = 10


def example_rule(clauses, assignments, conflict_count, assignment_history, level):
    """Choose as the starter's heuristic.py does."""
    random.seed(10)
    free = sorted({abs(x) for clause in clauses for x in clause if abs(x) not in assignments})
    if not free:
        return None, False
    return random.choice(free), True


def formula(generator: random.Random) -> list[Clause]:
    """Draw a formula of 3 to 10 variables and 1 to 11 clauses for each of them."""
    variables = generator.randint(3, 10)
    clauses = round(variables * generator.uniform(1, 11))
    return [[generator.choice((v, -v)) for v in generator.sample(range(1, variables + 1), 3)] for _ in range(clauses)]


def run(formulas: list[list[Clause]], rule: Rule) -> tuple[float, int, list[bool]]:
    """Return processor seconds, decisions and verdicts."""
    decisions, verdicts = 0, []
    began = time.process_time()
    for clauses in formulas:
        solver = DPLL([list(c) for c in clauses], rule)
        verdicts.append(solver.solve())
        decisions += solver.num_decisions
    return time.process_time() - began, decisions, verdicts


def main() -> None:
    """Print what your rule costs beside the example rule."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 2400
    generator = random.Random(2024)
    formulas = [formula(generator) for _ in range(count)]
    seconds = {"yours": 0.0, "example": 0.0}
    decisions = {"yours": 0, "example": 0}
    for turn in range(TURNS):
        part = formulas[turn::TURNS]
        mine = run(part, heuristic.heuristic_fn)
        other = run(part, example_rule)
        if mine[2] != other[2]:
            raise SystemExit("a verdict is wrong: the rule returned None although free variables were left")
        for name, result in (("yours", mine), ("example", other)):
            seconds[name] += result[0]
            decisions[name] += result[1]
    for name in seconds:
        print(f"{name:8} {seconds[name]:7.3f} s  {decisions[name]} decisions  {count} formulas")
    print(f"Time about {seconds['yours'] / seconds['example'] * EXAMPLE_SECONDS:.2f}")


if __name__ == "__main__":
    main()
