"""Tests of the grader, of the baseline, and of the cheats that need no sandbox."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path
from types import SimpleNamespace

from mlgym_grader import Invalid
from places import TASK, load

grade = load("grader", "grade.py")
VALIDATION, TEST = 300, 600
LIMIT = 0.15  # as in check.yaml; the seed below makes it no matter of luck

# What each of these submissions gives, wherever it is graded.
INVALID = [
    "every_label",
    "few_rows",
    "labels_in_one_cell",
    "not_a_number",
    "odd_spellings",
    "one_id_for_all",
    "second_header",
]
CHANCE = ["guess_secret", "id_digits", "id_order", "row_order"]


class Case(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.data = Path(folder.name) / "data"
        self.numbers = random.Random(3)
        self.ids = [str(n) for n in self.numbers.sample(range(10**7, 10**8), VALIDATION + TEST)]
        labels = [i % 10 for i in range(VALIDATION)] + [i % 10 for i in range(TEST)]
        rows = list(zip(self.ids, labels, strict=True))
        for name, part in (("validation_labels", rows[:VALIDATION]), ("test_labels", rows[VALIDATION:])):
            (self.data / name).mkdir(parents=True)
            (self.data / name / "labels.csv").write_text(text(part))
        self.rows = rows
        self.mixed = self.numbers.sample(rows, len(rows))
        (self.data / "test").mkdir()
        (self.data / "test" / "ids.txt").write_text("".join(f"{key}\n" for key, _ in self.mixed))
        self.workspace = self.data.parent

    def grade(self, kind: str, mode: str = "hardened"):
        return grade.grade(SimpleNamespace(kind=kind, mode=mode, data=self.data, submission=self.workspace))


def text(rows) -> str:
    return "id,label\n" + "".join(f"{key},{label}\n" for key, label in rows)


class GraderTest(Case):
    def test_right_labels(self) -> None:
        (self.workspace / "submission.csv").write_text(text(self.mixed))
        for kind, count in (("validate", VALIDATION), ("submit", TEST)):
            result = self.grade(kind)
            self.assertEqual(result.scores, {"accuracy": 1.0})
            self.assertEqual(result.details["rows"], count)
            self.assertEqual(self.grade(kind), result)

    def test_validation_tells_nothing_about_the_test(self) -> None:
        wrong = [(key, (label + 1) % 10) for key, label in self.rows[VALIDATION:]]
        (self.workspace / "submission.csv").write_text(text(self.rows[:VALIDATION] + wrong))
        self.assertEqual(self.grade("validate").scores, {"accuracy": 1.0})
        for kind, mode in (("submit", "hardened"), ("validate", "published"), ("submit", "published")):
            self.assertEqual(self.grade(kind, mode).scores, {"accuracy": 0.0})

    def test_there_are_ten_classes(self) -> None:
        (self.workspace / "submission.csv").write_text(text([(self.ids[0], 10), *self.rows[1:]]))
        with self.assertRaisesRegex(Invalid, "want an integer from 0 to 9, got '10'"):
            self.grade("submit")


class CheatsTest(Case):
    def make(self, *parts: str) -> None:
        script = TASK.joinpath("tests", *parts, "make.py")
        subprocess.run(
            [sys.executable, "-I", script],
            cwd=self.workspace,
            env=dict(os.environ),
            check=True,
            stdout=subprocess.DEVNULL,
        )

    def test_cheats_that_are_refused(self) -> None:
        for name in INVALID:
            self.make("cheats", name)
            for kind in ("validate", "submit"):
                with self.subTest(name, kind=kind), self.assertRaises(Invalid):
                    self.grade(kind)

    def test_cheats_that_are_no_better_than_chance(self) -> None:
        for parts in (("null",), *(("cheats", name) for name in CHANCE)):
            self.make(*parts)
            for kind in ("validate", "submit"):
                with self.subTest(parts, kind=kind):
                    self.assertLessEqual(self.grade(kind).scores["accuracy"], LIMIT)


class BaselineTest(unittest.TestCase):
    def setUp(self) -> None:
        try:
            import numpy
            import torch
        except ImportError as error:
            self.skipTest(f"SKIPPED, not tested: {error}")
        self.numpy, self.torch = numpy, torch
        self.baseline = load("starter", "baseline.py")

    def test_size_of_the_network(self) -> None:
        model = self.baseline.network()
        self.assertEqual(sum(p.numel() for p in model.parameters()), PARAMETERS)
        scores = model(self.baseline.scaled(self.torch.zeros(5, *SHAPE, dtype=self.torch.uint8)))
        self.assertEqual(tuple(scores.shape), (5, 10))

    def test_images_are_scaled(self) -> None:
        images = self.torch.full((1, *SHAPE), 255, dtype=self.torch.uint8)
        self.assertEqual(self.baseline.scaled(images).unique().tolist(), [1.0])

    def test_labels_given_in_the_mode_published_are_used(self) -> None:
        with tempfile.TemporaryDirectory() as name:
            data = self.baseline.DATA = Path(name)
            images = self.numpy.arange(6, dtype="uint8").reshape(6, *(1 for _ in SHAPE)) + self.numpy.zeros(
                SHAPE, "uint8"
            )
            for split, part in (("train", images[:3]), ("test", images[3:])):
                (data / split).mkdir()
                self.numpy.save(data / split / "images.npy", part)
            self.numpy.save(data / "train" / "labels.npy", self.numpy.array([0, 1, 2], "uint8"))
            (data / "test" / "ids.txt").write_text("31\n32\n33\n")
            self.assertEqual(self.baseline.load_labelled()[1].tolist(), [0, 1, 2])
            (data / "validation_labels").mkdir()
            (data / "validation_labels" / "labels.csv").write_text("id,label\n33,5\n31,3\n")
            images, labels = self.baseline.load_labelled()
            self.assertEqual(labels.tolist(), [0, 1, 2, 3 + 2, 3])
            self.assertEqual(images.reshape(5, -1)[:, 0].tolist(), [0, 1, 2, 5, 3])

    def test_the_rate_rises_and_falls(self) -> None:
        torch, baseline = self.torch, self.baseline
        torch.manual_seed(0)
        rates = []
        real = torch.optim.lr_scheduler.LambdaLR

        def watched(optimizer, share):
            rates.extend(share(step) for step in range(41))
            return real(optimizer, share)

        torch.optim.lr_scheduler.LambdaLR = watched
        self.addCleanup(setattr, torch.optim.lr_scheduler, "LambdaLR", real)
        images, labels = torch.zeros((40, *SHAPE), dtype=torch.uint8), torch.zeros(40, dtype=torch.long)
        recipe = baseline.Recipe(epochs=4, batch=4, rate=1e-3, warm_up=10)
        baseline.print = lambda *_, **__: None
        baseline.train(baseline.network(), images, labels, recipe)
        self.assertEqual([rates[0], rates[5], rates[10], rates[25], rates[40]], [0, 0.5, 1, 0.5, 0])


PARAMETERS, SHAPE = 60_362, (32, 32, 3)

if __name__ == "__main__":
    unittest.main()
