"""Grades branching rules: hidden formulas, and the processor time they take.

The solver runs here, in the grader; the rule runs in a player's sandbox and
sees copies of what the solver holds. Neither verdicts nor decisions can be
forged, because nothing but the rule's answers comes from the player. The time of
the rule is that of its whole sandbox, read from outside; the time of the solver
is measured here. Their sum is divided by the same sum for the example rule, of
which the same formulas are asked in turns.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass

import engine
from mlgym_grader import Result, Session

PUBLISHED_SECONDS = 16.158  # of the example rule, in the published runs
PASSES = 3
TURNS = 8  # into how many parts a pass is cut, so that both rules meet the same conditions
MAX_LANES = 100
FILE, FUNCTION = "heuristic.py", "heuristic_fn"

Clauses = list[list[int]]


@dataclass
class Question:
    """A formula whose search waits for the rule."""

    search: engine.Search
    run: Generator[Clauses, engine.Answer, bool]
    clauses: Clauses

    def arguments(self) -> list[object]:
        """Return the rule's arguments; a dictionary goes as its keys and its values."""
        search = self.search
        return [
            self.clauses,
            [list(search.assignments), list(search.assignments.values())],
            [list(search.conflict_count), list(search.conflict_count.values())],
            search.history,
            search.level,
        ]


class Contestant:
    """A rule in its sandbox, and what it has used and done so far."""

    def __init__(self, session: Session, name: str, program: str) -> None:
        self._player = session.start(name, harness="calls", program=program)
        self._lanes = self._player.load(FILE, FUNCTION, lanes=MAX_LANES)
        self._begin = self._player.usage()
        self._solver_seconds = 0.0
        self.decisions = 0
        self.solved = 0
        self.satisfiable = 0

    def decide(self, formulas: list[Clauses]) -> None:
        """Decide the formulas; each lane takes the next one when it is free."""
        waiting = iter(formulas)
        busy: dict[int, Question] = {}
        clock = time.process_time
        began = clock()
        for lane in range(self._lanes):
            if (question := self._next(waiting)) is not None:
                busy[lane] = question
        while busy:
            lanes = list(busy)
            arguments = [question.arguments() for question in busy.values()]
            self._solver_seconds += clock() - began
            answers = self._player.ask({"op": "call", "lanes": lanes, "arguments": arguments}).get("answers")
            began = clock()
            if type(answers) is not list or len(answers) != len(lanes):
                self._player.fail("did not give one answer for each question")
            for lane, answer in zip(lanes, answers, strict=True):
                question = busy[lane]
                if (problem := question.search.problem(answer)) is not None:
                    self._player.fail(f"gave an answer that the solver cannot use: {problem}")
                try:
                    question.clauses = question.run.send((answer[0], answer[1]))
                except StopIteration as end:
                    self._count(question.search, end.value)
                    following = self._next(waiting)
                    if following is None:
                        del busy[lane]
                    else:
                        busy[lane] = following
        self._solver_seconds += clock() - began

    def _next(self, waiting: Iterator[Clauses]) -> Question | None:
        """Return the first question about the next formula that needs the rule."""
        for formula in waiting:
            search = engine.Search(formula)
            run = search.run(formula)
            try:
                return Question(search, run, next(run))
            except StopIteration as end:
                self._count(search, end.value)
        return None

    def _count(self, search: engine.Search, verdict: bool) -> None:
        self.decisions += search.decisions
        self.solved += 1
        self.satisfiable += verdict

    def finish(self) -> tuple[float, float, bool]:
        """End the player; return the seconds of the solver, of the rule, and whether metered."""
        end = self._player.usage()
        self._player.stop()
        rule = end.cpu_seconds - self._begin.cpu_seconds
        return self._solver_seconds, rule, end.metered and self._begin.metered


def grade(session: Session) -> Result:
    """Time the rule and the example rule on the same formulas, three times."""
    p = session.parameters
    stream = session.stream("formulas")
    formulas = [
        engine.formula(stream, p["min_variables"], p["max_variables"], p["min_ratio"], p["max_ratio"])
        for _ in range(p["formulas"])
    ]
    passes = []
    for number in range(1, PASSES + 1):
        passes.append(_pass(session, number, formulas))
    passes.sort(key=lambda one: one["time"])
    middle = passes[len(passes) // 2]
    details = {name: middle[name] for name in middle if name not in ("time", "decisions")}
    details.update(
        formulas=len(formulas), time_lowest=passes[0]["time"], time_highest=passes[-1]["time"], passes=len(passes)
    )
    scores = {
        "Time": middle["time"],
        "Correct": len(formulas),
        "Incorrect": 0,
        "Decisions": middle["decisions"],
    }
    return Result(scores, details)


def _pass(session: Session, number: int, formulas: list[Clauses]) -> dict[str, float]:
    """Time both rules in fresh sandboxes, in turns."""
    rule = Contestant(session, f"rule-{number}", "submission")
    example = Contestant(session, f"example-{number}", "example")
    for turn in range(TURNS):
        part = formulas[turn::TURNS]
        for contestant in (rule, example) if turn % 2 == 0 else (example, rule):
            contestant.decide(part)
    solver, own, metered = rule.finish()
    example_solver, example_own, example_metered = example.finish()
    if rule.satisfiable != example.satisfiable or rule.solved != example.solved:
        raise RuntimeError("the solver's verdicts depend on the rule")
    return {
        "time": (solver + own) / (example_solver + example_own) * PUBLISHED_SECONDS,
        "decisions": rule.decisions,
        "solver_seconds": solver,
        "rule_seconds": own,
        "example_solver_seconds": example_solver,
        "example_rule_seconds": example_own,
        "example_decisions": example.decisions,
        "satisfiable": rule.satisfiable,
        "processor_time_metered": float(metered and example_metered),
    }
