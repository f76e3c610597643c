"""Tests of the rules and the partner."""

from __future__ import annotations

import random
import unittest

from places import load

engine = load("grader", "engine.py")
target = load("starter", "target.py")


def mean(strategy, games: int = 20_000, rounds: int = 10) -> float:
    """Play games in this process."""
    stream = random.Random(1)
    total = 0
    for _ in range(games):
        history: list[tuple[int, int]] = []
        for _ in range(rounds):
            row, column = strategy(history), engine.column(history, stream)
            total += engine.payoff(row, column)
            history.append((row, column))
    return total / games / rounds


class EngineTest(unittest.TestCase):
    def test_payoffs(self) -> None:
        want = {(0, 0): 2, (1, 1): 1, (0, 1): 0, (1, 0): 0}
        self.assertEqual({moves: engine.payoff(*moves) for moves in want}, want)

    def test_moves(self) -> None:
        for move in (0, 1):
            self.assertIsNone(engine.check(move))
        for move in (True, False, 1.0, "1", None, 2, -1, [0], {}):
            self.assertIsNotNone(engine.check(move), repr(move))

    def test_partner_follows_the_first_move_only(self) -> None:
        self.assertEqual({engine.column([], random.Random(s)) for s in range(50)}, {1})
        for first in (0, 1):
            history = [(first, 1)] + [(1 - first, 0)] * 5
            stream = random.Random(3)
            same = sum(engine.column(history, stream) == first for _ in range(20_000))
            self.assertAlmostEqual(same / 20_000, 0.8, delta=0.015)

    def test_the_agents_copy_is_the_same(self) -> None:
        target.random = random.Random(5)
        stream = random.Random(5)
        for i in range(500):
            history = [(i >> k & 1, i >> k & 2) for k in range(i % 9)]
            self.assertEqual(target.target_column_strategy(history), engine.column(history, stream))

    def test_expectations(self) -> None:
        starter = load("starter", "strategy.py")
        self.assertAlmostEqual(mean(lambda h: 0), 1.44, delta=0.01)
        self.assertAlmostEqual(mean(lambda h: 1), 0.82, delta=0.01)
        self.assertAlmostEqual(mean(starter.row_strategy), 1.0210, delta=0.015)


if __name__ == "__main__":
    unittest.main()
