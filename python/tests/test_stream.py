"""Tests of the graders' random numbers."""

from __future__ import annotations

import unittest
from collections import Counter

from mlgym_grader import Stream


class StreamTest(unittest.TestCase):
    def test_seed_and_label_decide(self) -> None:
        def first(seed: bytes, label: str) -> list[float]:
            stream = Stream(seed, label)
            return [stream.random() for _ in range(3000)]

        self.assertEqual(first(b"a", "x"), first(b"a", "x"))
        self.assertNotEqual(first(b"a", "x"), first(b"a", "y"))
        self.assertNotEqual(first(b"a", "x"), first(b"b", "x"))
        self.assertEqual(len(set(first(b"a", "x"))), 3000)

    def test_known_values(self) -> None:
        # These never change: scores of old records depend on them.
        stream = Stream(bytes(32), "known")
        self.assertEqual([stream.below(1000) for _ in range(5)], KNOWN)

    def test_random_is_uniform(self) -> None:
        stream = Stream(b"s", "u")
        draws = [stream.random() for _ in range(20_000)]
        self.assertTrue(all(0 <= d < 1 for d in draws))
        self.assertAlmostEqual(sum(draws) / len(draws), 0.5, delta=0.01)

    def test_integers_are_uniform(self) -> None:
        stream = Stream(b"s", "i")
        counts = Counter(stream.randint(3, 8) for _ in range(60_000))
        self.assertEqual(sorted(counts), [3, 4, 5, 6, 7, 8])
        for count in counts.values():
            self.assertAlmostEqual(count, 10_000, delta=500)

    def test_bounds(self) -> None:
        stream = Stream(b"s", "b")
        self.assertEqual(stream.below(1), 0)
        self.assertLess(stream.below(1 << 64), 1 << 64)
        for bound in (0, -1, (1 << 64) + 1):
            with self.assertRaises(ValueError):
                stream.below(bound)

    def test_sample(self) -> None:
        stream = Stream(b"s", "s")
        counts: Counter[int] = Counter()
        for _ in range(5000):
            drawn = stream.sample(range(5), 3)
            self.assertEqual(len(set(drawn)), 3)
            counts.update(drawn)
        for count in counts.values():
            self.assertAlmostEqual(count, 3000, delta=200)


KNOWN: list[int] = [904, 410, 692, 613, 753]

if __name__ == "__main__":
    unittest.main()
