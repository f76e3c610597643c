"""Tests of the made sentences: the labels against a world of events, and that no sentence gives its label away."""

from __future__ import annotations

import importlib.util
import itertools
import random
import sys
import unittest
from collections import Counter
from pathlib import Path

FOLDER = Path(__file__).resolve().parent.parent
spec = importlib.util.spec_from_file_location("mnli_sentences", FOLDER / "sentences.py")
assert spec is not None and spec.loader is not None
sentences = importlib.util.module_from_spec(spec)
sys.modules[spec.name] = sentences  # dataclasses look their module up
spec.loader.exec_module(sentences)

Kind, ENTAILMENT, NEUTRAL, CONTRADICTION = sentences.Kind, *sentences.LABELS


def fits(event, kind) -> bool:
    """Tell whether an event, which has a value in each slot, is of a kind; written without Kind.within."""
    who, verb, what, number, where, when = event
    return (
        verb == kind.verb
        and kind.who in ("", who)
        and (kind.what in ("", what) or what in sentences.KINDS.get(kind.what, ()))
        and number >= kind.more
        and kind.where in ("", where)
        and kind.when in ("", when)
    )


class LabelTest(unittest.TestCase):
    def test_known_pairs(self) -> None:
        apple = Kind("chef", "buy", "apple", 1, "in the barn", "")
        fruit = Kind("", "buy", "fruit", 1, "", "")
        three = Kind("chef", "buy", "apple", 3, "in the barn", "at noon")
        pear = Kind("chef", "buy", "pear", 1, "in the barn", "")
        greet, greeted = Kind("chef", "greet", "nurse", 1, "", ""), Kind("nurse", "greet", "chef", 1, "", "")
        for premise, hypothesis, want in (
            ((apple, True), (fruit, True), ENTAILMENT),
            ((fruit, True), (apple, True), NEUTRAL),
            ((three, True), (apple, True), ENTAILMENT),
            ((apple, True), (three, True), NEUTRAL),
            ((fruit, False), (apple, False), ENTAILMENT),
            ((apple, False), (fruit, False), NEUTRAL),
            ((apple, True), (fruit, False), CONTRADICTION),
            ((fruit, True), (apple, False), NEUTRAL),
            ((fruit, False), (three, True), CONTRADICTION),
            ((three, False), (fruit, True), NEUTRAL),
            ((apple, True), (pear, True), NEUTRAL),
            ((apple, True), (pear, False), NEUTRAL),
            ((apple, False), (pear, True), NEUTRAL),
            ((greet, True), (greeted, True), NEUTRAL),
            ((greet, True), (greet, False), CONTRADICTION),
        ):
            with self.subTest(premise=premise, hypothesis=hypothesis):
                self.assertEqual(sentences.label(premise, hypothesis), want)

    def test_against_all_worlds(self) -> None:
        """With few values in each slot, try every world of one event and the empty one, for pairs that share a verb.

        A world of more events decides nothing more: a sentence is about whether there is an event of its kind.
        """
        who, what = ("chef", "nurse"), ("apple", "pear", "rose")
        where, when = ("in the barn", "near the well"), ("at noon", "at night")
        events = list(itertools.product(who, ("buy",), what, (1, 2, 3), where, when))
        draw = random.Random(3)
        seen = Counter()
        for _ in range(3000):
            first, second = (
                Kind(
                    draw.choice(("", *who)), "buy", draw.choice((*what, "fruit")), draw.randint(1, 3),
                    draw.choice(("", *where)), draw.choice(("", *when)),
                )
                for _ in range(2)
            )  # fmt: skip
            happened, happens = draw.random() < 0.5, draw.random() < 0.5
            # A world is the set of events in it; which pairs of (first, second) occur in some world?
            pairs = {(fits(event, first), fits(event, second)) for event in events} | {(False, False)}
            worlds = {(a or c, b or d) for (a, b) in pairs for (c, d) in pairs}
            possible = {b == happens for a, b in worlds if a == happened}
            want = NEUTRAL if len(possible) == 2 else ENTAILMENT if possible == {True} else CONTRADICTION
            got = sentences.label((first, happened), (second, happens))
            self.assertEqual(got, want, (first, happened, second, happens))
            seen[want] += 1
        self.assertGreater(min(seen.values()), 50)


class PairsTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        cls.rows = sentences.pairs(6000, random.Random(5), set())

    def test_the_same_numbers_make_the_same_pairs(self) -> None:
        self.assertEqual(sentences.pairs(100, random.Random(5), set()), sentences.pairs(100, random.Random(5), set()))

    def test_pairs_that_are_taken_are_not_made_again(self) -> None:
        taken = {row[:2] for row in sentences.pairs(500, random.Random(5), set())}
        again = sentences.pairs(500, random.Random(5), set(taken))
        self.assertFalse(taken & {row[:2] for row in again})

    def test_pairs_are_different(self) -> None:
        self.assertEqual(len({row[:2] for row in self.rows}), len(self.rows))

    def test_labels_are_balanced(self) -> None:
        for label, count in Counter(row[2] for row in self.rows).items():
            self.assertAlmostEqual(count / len(self.rows), 1 / 3, delta=0.02, msg=str(label))

    def test_words_are_known(self) -> None:
        known = sentences.words()
        for row in self.rows:
            for text in row[:2]:
                self.assertTrue(text.endswith("."), text)
                for word in text[:-1].split():
                    self.assertTrue(word in known or word.removesuffix("s") in known, word)

    def test_a_sentence_alone_tells_little(self) -> None:
        """Count how often each label goes with each word of the hypothesis, and with "not" and length."""
        for name, feature in (
            ("denial", lambda text: bool({"not", "nobody"} & set(text.rstrip(".").split()))),
            ("length", lambda text: len(text.split())),
            ("whole", lambda text: text.startswith(("someone", "nobody")), ),
        ):  # fmt: skip
            table: dict[object, Counter] = {}
            for row in self.rows:
                table.setdefault(feature(row[1]), Counter())[row[2]] += 1
            right = sum(max(counts.values()) for counts in table.values())
            self.assertLess(right / len(self.rows), 0.37, name)

    def test_denial_in_both_tells_two_thirds(self) -> None:
        """What a model learns first; the README of the task names it."""
        right = 0
        for first, second, label, _ in self.rows:
            denied = [bool({"not", "nobody"} & set(text.rstrip(".").split())) for text in (first, second)]
            right += label == (ENTAILMENT if denied[0] == denied[1] else CONTRADICTION)
        self.assertAlmostEqual(right / len(self.rows), 0.64, delta=0.03)


if __name__ == "__main__":
    unittest.main()
