"""Tests of the rules and the opponent."""

from __future__ import annotations

import random
import unittest

from places import load

engine = load("grader", "engine.py")
target = load("starter", "target.py")


def mean(strategy, rounds: int = 100_000) -> float:
    """Play rounds in this process."""
    stream = random.Random(1)
    return sum(engine.payoff(strategy([]), engine.column([], stream)) for _ in range(rounds)) / rounds


class Numbers:
    """A source of numbers that were written down."""

    def __init__(self, *numbers: int) -> None:
        self._numbers = list(numbers)

    def randint(self, low: int, high: int) -> int:
        number = self._numbers.pop(0)
        assert low <= number <= high
        return number


class EngineTest(unittest.TestCase):
    def test_payoffs(self) -> None:
        for row, column, want in (
            ([20] * 6, [20] * 6, 0),
            ([30, 30, 30, 30, 0, 0], [20] * 6, 1),
            ([40, 40, 40, 0, 0, 0], [24, 24, 24, 24, 24, 0], 1),
            ([60, 60, 0, 0, 0, 0], [1, 1, 1, 1, 1, 1], -1),
            ([0] * 6, [0, 0, 0, 0, 0, 120], -1),
        ):
            self.assertEqual(engine.payoff(row, column), want, (row, column))

    def test_moves(self) -> None:
        for move in ([20] * 6, [0] * 6, [120, 0, 0, 0, 0, 0]):
            self.assertIsNone(engine.check(move), repr(move))
        for move in (
            None, 20, [20] * 5, [20] * 7, [21] * 6, [-1, 1, 0, 0, 0, 0], [20.0] * 6, [True] * 6, ["1"] * 6,
            [[1]] * 6, [121, 0, 0, 0, 0, 0], {}, "202020",
        ):  # fmt: skip
            self.assertIsNotNone(engine.check(move), repr(move))

    def test_opponent_scales_and_gives_the_rest_to_one_field(self) -> None:
        self.assertEqual(engine.column([], Numbers(10, 10, 10, 10, 10, 10, 0)), [20] * 6)
        # 120/130 of each: 9, 18, 27, 36, 18, 9 and 3 over
        self.assertEqual(engine.column([], Numbers(10, 20, 30, 40, 20, 10, 5)), [9, 18, 27, 36, 18, 12])
        self.assertEqual(engine.column([], Numbers(0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 3)), [120, 0, 0, 0, 0, 0])

    def test_opponent_uses_all_soldiers(self) -> None:
        stream = random.Random(4)
        for _ in range(2000):
            split = engine.column([], stream)
            self.assertIsNone(engine.check(split))
            self.assertEqual(sum(split), 120)

    def test_the_agents_copy_is_the_same(self) -> None:
        target.random = random.Random(5)
        stream = random.Random(5)
        for _ in range(2000):
            self.assertEqual(target.target_column_strategy([]), engine.column([], stream))

    def test_expectations(self) -> None:
        for name, split, want in (
            ("four fields", [30, 30, 30, 30, 0, 0], 0.2465),
            ("equal", [20] * 6, 0.0),
            ("five fields", [24, 24, 24, 24, 24, 0], 0.115),
            ("three fields", [40, 40, 40, 0, 0, 0], -0.09),
        ):
            with self.subTest(name):
                self.assertAlmostEqual(mean(lambda h, s=split: s), want, delta=0.015)
        random.seed(7)
        self.assertAlmostEqual(mean(load("starter", "strategy.py").row_strategy), -0.2485, delta=0.015)


if __name__ == "__main__":
    unittest.main()
