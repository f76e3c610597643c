"""Tests of BLEU against numbers of two other libraries.

ROWS, NLTK_CORPUS and SACREBLEU_CORPUS were made once, with NLTK 3.10.4 and
sacreBLEU 2.6.0 of environments/torch. The sentences are random words, and most
references are a hypothesis with up to four edits; then

    nltk.translate.bleu_score.sentence_bleu([references[0]], hypothesis)          # over characters
    nltk.translate.bleu_score.sentence_bleu([r.split() for r in references], hypothesis.split())
    nltk.translate.bleu_score.corpus_bleu(...)  # over words, the rows with hypotheses of four words or more
    sacrebleu.corpus_bleu(hypotheses, [all first, all second, all third references],
                          tokenize="none", smooth_method="none", force=True)

NLTK's corpus BLEU counts one n-gram in a sentence that is too short to have any,
which is neither in the paper nor in sacreBLEU; hence the four words.
"""

from __future__ import annotations

import unittest

from mlgym_grader import bleu

# Hypothesis, references, NLTK over characters and the first reference, NLTK over words and all of them.
ROWS: tuple[tuple[str, tuple[str, ...], float, float], ...] = (
    (
        "a in a",
        (
            "a in a",
            "a in a",
            "on of",
        ),
        1.0,
        1.2213386697554703e-77,
    ),
    (
        "table the black a field grass cat man bus white red field",
        (
            "table the grass the sitting plate black man",
            "table the black a field grass cat man bus white red field",
            "table the black a field grass cat man bus sitting two food field",
        ),
        0.4526353562390147,
        1.0,
    ),
    (
        "man grass the cat man",
        (
            "man grass white cat man",
            "man grass the cat",
            "to cat in",
        ),
        0.7585696774600165,
        0.7598356856515925,
    ),
    (
        "black sitting next standing black the bus next dog plate next to",
        (
            "black sitting next standing black the bus next dog plate next to",
            "bus two of",
            "black sitting next with standing black the bus bus next dog plate next to",
        ),
        1.0,
        1.0,
    ),
    (
        "woman plate the white woman next two street in bus to",
        (
            "black in a people people two",
            "woman plate the white woman next two street in bus to",
            "woman plate the white woman next two street in bus to",
        ),
        0.13464745420082333,
        1.0,
    ),
    (
        "grass man red a food in of",
        (
            "grass red people in of",
            "woman street table on of in black black food",
            "with grass bus red a food woman",
        ),
        0.49153200218443144,
        6.608446987146148e-78,
    ),
    (
        "red to street",
        (
            "in to",
            "grass",
            "dog plate on two with dog",
        ),
        2.9699189645069595e-78,
        1.384292958842266e-231,
    ),
    (
        "grass street standing field the a people to sitting bus",
        (
            "the woman of white",
            "grass street field field the a people to sitting",
            "grass table standing field the a people to sitting bus",
        ),
        0.06430919796316542,
        0.8307018474412792,
    ),
    (
        "food a of of field food man on white of",
        (
            "food a of of field food man on white of",
            "field food a of of food white man on white of",
            "plate food plate black next to street two man",
        ),
        1.0,
        1.0,
    ),
    (
        "black dog of",
        (
            "black of",
            "bus dog of",
            "sitting of",
        ),
        0.5156626918239822,
        1.254338396921439e-154,
    ),
    (
        "table the white next dog two in white field with black next",
        (
            "table the food next dog table in the field with to black next",
            "table white white dog dog two in white red with black next",
            "dog the table dog white standing standing cat",
        ),
        0.712995415727329,
        0.39458812555917666,
    ),
    (
        "on sitting woman cat dog sitting to the table with street food field black",
        (
            "on sitting woman cat dog sitting to the table with street food field cat",
            "black woman next standing with grass dog white plate the",
            "on white sitting woman cat dog sitting to the table with standing food field black",
        ),
        0.9376918550445011,
        0.9764540896763105,
    ),
    (
        "food grass white grass grass a field people bus next sitting a",
        (
            "food grass white grass grass a field people bus next sitting a",
            "the food grass white grass grass a people bus next sitting food",
            "food grass white grass white grass a field people sitting bus next sitting a",
        ),
        1.0,
        1.0,
    ),
    (
        "woman next a bus",
        (
            "street woman street sitting bus two standing field people white black people red",
            "next bus",
            "woman next of table",
        ),
        0.009558454287415585,
        1.0547686614863434e-154,
    ),
)
NLTK_CORPUS = 0.8669113351666745
SACREBLEU_CORPUS = 85.35450235540844  # in percent
SACREBLEU_MATCHES = (114, 92, 72, 59)
SACREBLEU_TOTAL = (118, 104, 90, 76)
SACREBLEU_LENGTHS = (118, 117)  # of the hypotheses, of the references


def split(sentences: tuple[str, ...]) -> list[list[str]]:
    return [sentence.split() for sentence in sentences]


class BleuTest(unittest.TestCase):
    def test_sentences_as_nltk(self) -> None:
        for hypothesis, references, character, word in ROWS:
            with self.subTest(hypothesis):
                self.assertAlmostEqual(bleu.sentence_bleu(hypothesis, references[:1]), character, places=14)
                self.assertAlmostEqual(bleu.sentence_bleu(hypothesis.split(), split(references)), word, places=14)

    def test_corpus_as_nltk(self) -> None:
        rows = [row for row in ROWS if len(row[0].split()) >= bleu.MAX_ORDER]
        got = bleu.corpus_bleu([row[0].split() for row in rows], [split(row[1]) for row in rows])
        self.assertAlmostEqual(got, NLTK_CORPUS, places=14)

    def test_corpus_as_sacrebleu(self) -> None:
        counts = bleu.add_up(bleu.count(row[0].split(), split(row[1])) for row in ROWS)
        self.assertEqual(counts.matches, SACREBLEU_MATCHES)
        self.assertEqual(counts.total, SACREBLEU_TOTAL)
        self.assertEqual((counts.hypothesis, counts.reference), SACREBLEU_LENGTHS)
        self.assertAlmostEqual(100 * counts.bleu(), SACREBLEU_CORPUS, places=11)

    def test_by_hand(self) -> None:
        # The example of the paper, section 2.1: "the" seven times has a clipped precision of 2/7.
        counts = bleu.count(["the"] * 7, [["the", "cat", "is", "on", "the", "mat"]])
        self.assertEqual((counts.matches[0], counts.total[0]), (2, 7))
        # Half as long as its reference: everything matches, and the penalty is exp(1 - 2).
        self.assertAlmostEqual(bleu.sentence_bleu("abcdefgh", ["abcdefghijklmnop"]), 0.36787944117144233)
        # Of two references that are as near, the shorter one counts.
        self.assertEqual(bleu.count("abcde", ["abcdefg", "abc"]).reference, 3)
        self.assertEqual(bleu.count("abcde", ["abcdef", "abc"]).reference, 6)

    def test_what_scores_nothing(self) -> None:
        for hypothesis in ("", "xyz", "abc", "zzzzzzzz"):
            self.assertEqual(bleu.sentence_bleu(hypothesis, ["abcdefgh"]), 0.0, hypothesis)
        self.assertEqual(bleu.sentence_bleu("abcdefgh", [""]), 0.0)
        self.assertEqual(bleu.corpus_bleu([], []), 0.0)

    def test_properties(self) -> None:
        for hypothesis, references, _, word in ROWS:
            with self.subTest(hypothesis):
                self.assertEqual(bleu.sentence_bleu(hypothesis, [hypothesis]), 1.0)
                reordered = bleu.sentence_bleu(hypothesis.split(), split(references[::-1]))
                self.assertAlmostEqual(reordered, word, places=14)
                doubled = [*split(references), *split(references)]
                self.assertAlmostEqual(bleu.sentence_bleu(hypothesis.split(), doubled), word, places=14)

    def test_counts_are_taken_out_again(self) -> None:
        counts = [bleu.count(row[0], row[1]) for row in ROWS]
        self.assertEqual(bleu.add_up(counts) - bleu.add_up(counts[3:]), bleu.add_up(counts[:3]))

    def test_orders(self) -> None:
        counts = bleu.count("abcd", ["abxd"])
        self.assertAlmostEqual(counts.bleu(1), 3 / 4)
        self.assertAlmostEqual(counts.bleu(2), (3 / 4 * 1 / 3) ** 0.5)
        self.assertEqual(counts.bleu(3), 0.0)

    def test_tokens(self) -> None:
        for text, want in (
            ("A man's dog, sitting.", ["a", "man", "'s", "dog", ",", "sitting", "."]),
            ("A man\u2019s dog", ["a", "man", "'s", "dog"]),
            ("black-and-white  photo\t2", ["black", "-", "and", "-", "white", "photo", "2"]),
            ("'stop' sign_post", ["'", "stop", "'", "sign", "_", "post"]),
            ("\u00c9clair", ["\u00e9clair"]),
            (" \n", []),
        ):
            self.assertEqual(bleu.tokens(text), want, text)
        self.assertEqual(bleu.words("A man's dog, sitting_ - ."), ["a", "man", "'s", "dog", "sitting"])


if __name__ == "__main__":
    unittest.main()
