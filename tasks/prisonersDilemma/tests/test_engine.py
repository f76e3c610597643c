"""Tests of the rules and the partner, and of what play can reach at best."""

from __future__ import annotations

import random
import unittest
from functools import cache

from places import load

engine = load("grader", "engine.py")
target = load("starter", "target.py")

ROUNDS = 10
C, D = 0, 1


class Fixed:
    """A source of random numbers that gives one number."""

    def __init__(self, value: float) -> None:
        self._value = value

    def random(self) -> float:
        return self._value


# rule: history of (row, column) -> probability of 1
CASES = {
    "tit_for_tat": {(): 0, ((C, D),): 0, ((D, C),): 1, ((D, C), (C, C)): 0},
    "always_cooperate": {(): 0, ((D, D),): 0},
    "always_defect": {(): 1, ((C, C),): 1},
    "coin": {(): 0.5, ((D, D),): 0.5},
    "grim": {(): 0, ((C, D),): 0, ((D, C), (C, C), (C, C)): 1, ((C, D), (C, D)): 0},
    "pavlov": {(): 0, ((C, C),): 0, ((D, D),): 0, ((C, D),): 1, ((D, C),): 1},
    "tit_for_two_tats": {(): 0, ((D, C),): 0, ((D, C), (D, C)): 1, ((D, C), (C, C)): 0, ((C, C), (D, C)): 0},
    "suspicious_tit_for_tat": {(): 1, ((C, D),): 0, ((D, C),): 1},
    "other_coin": {(): 0.5, ((C, C),): 0.5},
    "forgiving": {(): 0, ((D, C),): 1, ((D, C), (D, C)): 0, ((C, C), (D, C)): 1, ((C, C), (C, C)): 0},
    "moody": {
        (): 1,
        ((C, C),): 0.1667 + 0.1,
        ((C, D),): 0.1667 + 0.4 + 0.1,
        ((D, C),): 0.1667,
        ((D, D),): 0.1667 + 0.4,
    },
}


def probability_of_1(rule, history) -> float:
    """Ask a rule with evenly spaced numbers, so that the answer is exact to 1e-4."""
    steps = 10_000
    return sum(rule(list(history), Fixed((i + 0.5) / steps)) for i in range(steps)) / steps


class EngineTest(unittest.TestCase):
    def test_payoffs(self) -> None:
        want = {(C, C): 3, (C, D): 0, (D, C): 5, (D, D): 1}
        self.assertEqual({moves: engine.payoff(*moves) for moves in want}, want)

    def test_moves(self) -> None:
        for move in (0, 1):
            self.assertIsNone(engine.check(move))
        for move in (True, False, 1.0, "1", None, 2, -1, [0], {}):
            self.assertIsNotNone(engine.check(move), repr(move))

    def test_there_are_eleven_rules(self) -> None:
        self.assertEqual(len(engine.RULES), 11)
        self.assertEqual({rule.__name__ for rule in engine.RULES}, set(CASES))

    def test_each_rule(self) -> None:
        for rule in engine.RULES:
            for history, want in CASES[rule.__name__].items():
                with self.subTest(rule=rule.__name__, history=history):
                    self.assertAlmostEqual(probability_of_1(rule, history), want, delta=2e-4)

    def test_every_rule_is_drawn_alike(self) -> None:
        drawn = []
        originals = engine.RULES
        try:
            engine.RULES = tuple((lambda h, s, i=i: drawn.append(i) or 0) for i in range(11))
            stream = random.Random(2)
            for _ in range(22_000):
                engine.column([], stream)
        finally:
            engine.RULES = originals
        for i in range(11):
            self.assertAlmostEqual(drawn.count(i), 2000, delta=200)

    def test_the_agents_copy_is_the_same(self) -> None:
        target.random = random.Random(5)
        stream, moves = random.Random(5), random.Random(6)
        for i in range(3000):
            history = [(moves.randrange(2), moves.randrange(2)) for _ in range(i % 10)]
            self.assertEqual(target.target_column_strategy(list(history)), engine.column(history, stream))


@cache
def column_probability(last_two: tuple[int, ...], ever: bool, partner_last: int) -> float:
    """Return the probability that the partner plays 1, from what matters of a history."""
    history = [(move, partner_last) for move in last_two]
    if ever and D not in last_two:
        history.insert(0, (D, C))
    return sum(probability_of_1(rule, history) for rule in engine.RULES) / len(engine.RULES)


def best(strategy=None) -> float:
    """Return the expected payoff per round: of the strategy, or of the best play.

    strategy gives the probability of 1 from round, own last two moves and the
    partner's last move.
    """

    @cache
    def value(round_number: int, last_two: tuple[int, ...], ever: bool, partner: int) -> float:
        if round_number == ROUNDS:
            return 0.0
        p = column_probability(last_two, ever, partner)

        def play(row: int) -> float:
            after = (*last_two, row)[-2:]
            return sum(
                weight * (engine.payoff(row, column) + value(round_number + 1, after, ever or row == D, column))
                for column, weight in ((C, 1 - p), (D, p))
            )

        if strategy is None:
            return max(play(C), play(D))
        q = strategy(round_number, last_two, partner)
        return (q and q * play(D)) + (q < 1 and (1 - q) * play(C))

    return value(0, (), False, C) / ROUNDS


class ExpectationTest(unittest.TestCase):
    """The values that the README gives."""

    def test_expectations(self) -> None:
        def starter(number: int, own: tuple[int, ...], partner: int) -> float:
            if not own:
                return 0.5
            if partner == D:
                return 0.75 + 0.15 * (own[-1] == D)
            return 0.1 + 0.3 * (own[-1] == D)

        for name, strategy, want in (
            ("best", None, 2.6251),
            ("always defect", lambda number, own, partner: 1, 2.6251),
            ("always cooperate", lambda number, own, partner: 0, 2.2478),
            ("tit for tat", lambda number, own, partner: partner if own else 0, 2.3431),
            ("defect at the end", lambda number, own, partner: int(number >= 8), 2.4396),
            ("starter", starter, 2.3775),
        ):
            with self.subTest(name):
                self.assertAlmostEqual(best(strategy), want, delta=2e-4)


if __name__ == "__main__":
    unittest.main()
