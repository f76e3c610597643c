"""Tests of the starter's own scoring, which has to say the same as the grader's."""

from __future__ import annotations

import random
import unittest

from mlgym_grader import bleu
from places import load

try:
    captions = load("starter", "captions.py")
except ImportError as error:
    raise unittest.SkipTest(f"SKIPPED, not tested: {error}; it needs the environment torch") from None

WORDS = "a man's dog and two cats sit on the red bus , in a street of snow-white houses .".split()


class StarterTest(unittest.TestCase):
    def test_scores_are_those_of_the_grader(self) -> None:
        numbers = random.Random(4)

        def sentence() -> str:
            return " ".join(numbers.choices(WORDS, k=numbers.randint(1, 12)))

        texts = [sentence() for _ in range(200)]
        references = [[sentence() if n else text + " " + sentence() for n in range(3)] for text in texts]
        want = bleu.corpus_bleu([bleu.words(t) for t in texts], [[bleu.words(r) for r in g] for g in references])
        self.assertAlmostEqual(captions.bleu4_corpus(texts, references), want, places=12)
        self.assertGreater(want, 0.1)
        known = set(bleu.tokens(" ".join(WORDS))) - {"snow"}
        grader = load("grader", "grade.py")
        for text, group in zip(texts, references, strict=True):
            want = bleu.sentence_bleu(grader.plain(text, known), [grader.plain(group[0], known)])
            self.assertAlmostEqual(captions.character_bleu(text, group[0], known), want, places=12)
        self.assertEqual(captions.bleu4_corpus(["a dog"], [["a dog"]]), 0.0)
        self.assertEqual((captions.RARE, captions.MAX_WORDS), (grader.RARE, grader.MAX_WORDS))


if __name__ == "__main__":
    unittest.main()
