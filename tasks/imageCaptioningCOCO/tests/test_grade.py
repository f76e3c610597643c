"""Tests of the scoring and of what is refused."""

from __future__ import annotations

import json
import random
import statistics
import tempfile
import unittest
from pathlib import Path
from types import SimpleNamespace

from mlgym_grader import Invalid, bleu
from places import load

grade = load("grader", "grade.py")

VALIDATION = {
    "101": ["A red circle on black.", "a small red circle", "one red disc", "the circle is red", "a red circle"],
    "102": ["two blue squares on a white wall", "blue squares", "a wall with squares", "two squares", "squares"],
}
TEST = {
    "201": ["a man's dog runs over the green grass", "a dog", "the dog runs", "a dog on grass", "dog"],
    "202": ["a cat sits on the mat", "the cat sits", "a cat on a mat", "cat", "mat with a cat on it"],
    "203": ["a bus in the street", "the red bus", "a bus", "bus on a street", "a street with a bus"],
}
TRAIN = [caption for captions in (VALIDATION | TEST).values() for caption in captions] * 5


class GradeTest(unittest.TestCase):
    def setUp(self) -> None:
        self.folder = Path(self.enterContext(tempfile.TemporaryDirectory()))
        for split, answers in (("validation_captions", VALIDATION), ("test_captions", TEST)):
            rows = [{"image_id": i, "captions": c, "reference": n % 5} for n, (i, c) in enumerate(answers.items())]
            self.write(f"{split}/captions.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
        row = {"image_id": "000001", "file": "images/000001.jpg", "captions": [*TRAIN, "rareword"]}
        self.write("train/index.jsonl", json.dumps(row) + "\n")

    def write(self, name: str, text: str | bytes) -> None:
        path = self.folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())

    def grade(self, text: str | bytes, kind: str = "validate", mode: str = "hardened"):
        self.write("submission.csv", text)
        return grade.grade(SimpleNamespace(data=self.folder, submission=self.folder, kind=kind, mode=mode))

    def table(self, captions: dict[str, str]) -> str:
        return "image_id,caption\n" + "".join(f'{image},"{caption}"\n' for image, caption in captions.items())

    def everything(self, caption: str | None = None, **changed: str) -> dict[str, str]:
        first = {image: caption or captions[0] for image, captions in (VALIDATION | TEST).items()}
        return first | {key.removeprefix("image_"): value for key, value in changed.items()}

    def test_a_perfect_submission(self) -> None:
        for kind, images in (("validate", 2), ("submit", 3)):
            result = self.grade(self.table(self.everything()), kind)
            self.assertEqual(result.scores["bleu4_corpus"], 1.0)
            self.assertEqual(result.details["images"], images)
            self.assertEqual(result.details["brevity_penalty"], 1.0)

    def test_each_kind_scores_its_own_rows(self) -> None:
        good, bad = self.table(self.everything()), self.everything("nothing of the kind here")
        for kind, part in (("validate", VALIDATION), ("submit", TEST)):
            only = self.table(bad | {image: captions[0] for image, captions in part.items()})
            self.assertEqual(self.grade(only, kind).scores, self.grade(good, kind).scores)
            others = self.table(self.everything() | dict.fromkeys(part, "nothing of the kind here"))
            self.assertEqual(self.grade(others, kind).scores["bleu4_corpus"], 0.0)

    def test_published_mode_scores_the_test_rows(self) -> None:
        test_only = self.table({image: captions[0] for image, captions in TEST.items()})
        for kind in ("validate", "submit"):
            for text in (test_only, self.table(self.everything())):
                result = self.grade(text, kind, "published")
                self.assertEqual((result.scores["bleu4_corpus"], result.details["images"]), (1.0, 3))
            with self.assertRaisesRegex(Invalid, "2 of 3 ids are missing"):
                self.grade(self.table({"201": "a dog", "101": "a circle"}), kind, "published")
        with self.assertRaisesRegex(Invalid, "2 of 5 ids are missing"):
            self.grade(test_only)

    def test_bleu_score_is_over_characters_with_the_drawn_reference(self) -> None:
        caption = "A bus on the Rareword street"
        result = self.grade(self.table(self.everything(caption)), "submit")
        # References 0, 1 and 2 are drawn; "rareword" stands once in training and does not count.
        drawn = ("a man 's dog runs over the green grass", "the cat sits", "a bus")
        want = sum(bleu.sentence_bleu("a bus on the street", [reference]) for reference in drawn) / 3
        self.assertAlmostEqual(result.scores["BLEU Score"], want, places=14)
        self.assertGreater(want, 0.05)

    def test_corpus_bleu_is_over_words_with_all_references(self) -> None:
        captions = {"201": "A dog runs over the grass!", "202": "the cat sits on a mat.", "203": "a bus in the street"}
        result = self.grade(self.table(self.everything() | captions), "submit")
        want = bleu.corpus_bleu(
            [text.lower().strip("!.").split() for text in captions.values()],
            [[caption.replace("'s", " 's").split() for caption in group] for group in TEST.values()],
        )
        self.assertAlmostEqual(result.scores["bleu4_corpus"], want, places=14)
        self.assertTrue(0.3 < want < 1)

    def test_order_of_rows_and_kind_of_line_ends_do_not_matter(self) -> None:
        captions = self.everything("a red bus on the green street")
        want = self.grade(self.table(captions))
        self.assertEqual(self.grade(self.table(dict(reversed(captions.items())))), want)
        self.assertEqual(self.grade(self.table(captions).replace("\n", "\r\n")), want)
        self.assertEqual(self.grade(self.table(captions).rstrip("\n")), want)

    def test_errors_are_estimated(self) -> None:
        numbers = random.Random(8)
        texts = ["a red bus", "a cat sits on the mat", "two blue squares on a wall", "the dog runs on the grass"]
        kinds = [bleu.count(text.split(), [other.split()]) for text in texts for other in (text, texts[3])]
        samples = [numbers.choices(kinds, k=500) for _ in range(80)]
        spread = statistics.stdev(bleu.add_up(sample).bleu() for sample in samples)
        errors = [grade.jackknife(sample, bleu.add_up(sample)) for sample in samples[:20]]
        self.assertAlmostEqual(statistics.mean(errors) / spread, 1.0, delta=0.2)
        self.assertEqual(grade.jackknife(kinds[:1] * 100, bleu.add_up(kinds[:1] * 100)), 0)
        self.assertAlmostEqual(grade.standard_error([0.0, 1.0] * 50), 0.5 / 99**0.5)

    def test_what_is_refused(self) -> None:
        long = " ".join(["word"] * 61)
        header = "image_id,caption\n"
        for name, text, message in (
            ("empty", "", "is empty"),
            ("header only", header, "5 of 5 ids are missing"),
            ("old format", "bleu_score\n1.0\n", "first line has to be image_id,caption"),
            ("more columns", header.replace("\n", ",bleu_score\n"), "first line has to be image_id,caption"),
            ("other order", "caption,image_id\n", "first line has to be image_id,caption"),
            ("missing id", self.table({"101": "a dog"}), "4 of 5 ids are missing: 102, 201, 202, 203"),
            ("unknown id", self.table(self.everything(image_999="a dog")), "more than 5 rows"),
            ("unknown id", self.table(self.everything()).replace("203,", "999,"), "'999' is not one of the ids"),
            ("doubled id", self.table(self.everything()).replace("203,", "202,"), "'202' stands twice"),
            ("spaced id", self.table(self.everything()).replace("203,", " 203,"), "' 203' is not one of the ids"),
            ("no caption", self.table(self.everything(image_101="")), "image_id 101: the caption has 0 words"),
            ("only marks", self.table(self.everything(image_201="?! ...")), "image_id 201: the caption has 0 words"),
            ("too many words", self.table(self.everything(image_101=long)), "has 61 words"),
            ("words without spaces", self.table(self.everything(image_101="a." * 61)), "has 61 words"),
            ("too long", self.table(self.everything(image_101="a" * 401)), "has 401 characters"),
            ("line break", self.table(self.everything(image_101="a\nb")), "U\\+000A"),
            ("carriage return", self.table(self.everything(image_101="a\rb")), "U\\+000D"),
            ("form feed", self.table(self.everything(image_101="a\x0cb")), "U\\+000C"),
            ("separator", self.table(self.everything(image_101="a\u2028b")), "U\\+2028"),
            ("next line", self.table(self.everything(image_101="a\x85b")), "U\\+0085"),
            ("tabulator", self.table(self.everything(image_101="a\tb")), "U\\+0009"),
            ("zero width", self.table(self.everything(image_101="a\u200bb")), "U\\+200B"),
            ("private use", self.table(self.everything(image_101="a\ue000b")), "U\\+E000"),
            ("zero byte", self.table(self.everything(image_101="a\0b")), "zero byte"),
            ("not UTF-8", self.table(self.everything()).encode("utf-16"), "not UTF-8"),
            ("byte-order mark", b"\xef\xbb\xbf" + self.table(self.everything()).encode(), "byte-order mark"),
            ("open quote", header + '101,"a dog\n', "line"),
            ("three cells", header + "101,a dog, a cat\n", "want 2 cells, got 3"),
        ):
            with self.subTest(name), self.assertRaisesRegex(Invalid, message):
                self.grade(text)

    def test_messages_tell_nothing_hidden(self) -> None:
        for caption in ("a\x00dog", "", "x" * 401):
            try:
                self.grade(self.table(self.everything(image_201=caption)))
            except Invalid as invalid:
                self.assertNotIn("grass", str(invalid))
                continue
            self.fail(f"{caption!r} was scored")

    def test_what_is_allowed(self) -> None:
        for caption in (" ".join(["word"] * 60), "x" * 400, "Éclair, naïve café — 100% “good”", "nan", "a|b;c"):
            self.grade(self.table(self.everything(caption)))


if __name__ == "__main__":
    unittest.main()
