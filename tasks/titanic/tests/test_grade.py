"""Tests of the grader, on a folder with made outcomes."""

from __future__ import annotations

import tempfile
import unittest
from pathlib import Path
from types import SimpleNamespace

from mlgym_grader import Invalid
from places import load

grader = load("grader", "grade.py")

VALIDATION = {"17": "0", "23": "1"}
TEST = {"42": "1", "99": "0", "57": "0", "61": "1"}


def table(rows) -> str:
    return "PassengerId,Survived\n" + "".join(f"{key},{survived}\n" for key, survived in rows)


class GradeTest(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        for name, true in (("validation_labels", VALIDATION), ("test_labels", TEST)):
            (self.folder / name).mkdir()
            (self.folder / name / "labels.csv").write_text(table(true.items()))

    def grade(self, text: str, kind: str = "submit", mode: str = "hardened"):
        (self.folder / "submission.csv").write_text(text)
        return grader.grade(SimpleNamespace(kind=kind, mode=mode, data=self.folder, submission=self.folder))

    def test_the_truth_is_perfect(self) -> None:
        for rows in ([*VALIDATION.items(), *TEST.items()], [*TEST.items(), *VALIDATION.items()][::-1]):
            for kind in ("validate", "submit"):
                self.assertEqual(self.grade(table(rows), kind).scores, {"accuracy": 1.0})

    def test_each_kind_scores_its_own_rows(self) -> None:
        rows = table({**VALIDATION, **TEST, "23": "0", "99": "1"}.items())  # one of two wrong, and one of four
        for kind, mode, accuracy, count in (
            ("validate", "hardened", 0.5, 2),
            ("submit", "hardened", 0.75, 4),
            ("validate", "published", 0.75, 4),
            ("submit", "published", 0.75, 4),
        ):
            result = self.grade(rows, kind, mode)
            self.assertEqual(result.scores, {"accuracy": accuracy})
            self.assertEqual(result.details["rows"], count)
            self.assertAlmostEqual(result.details["standard_error"], (accuracy * (1 - accuracy) / count) ** 0.5)

    def test_validation_rows_may_be_left_out_as_published_only(self) -> None:
        self.assertEqual(self.grade(table(TEST.items()), mode="published").scores, {"accuracy": 1.0})
        with self.assertRaisesRegex(Invalid, "2 of 6 ids are missing"):
            self.grade(table(TEST.items()))

    def test_what_is_no_outcome_is_refused(self) -> None:
        for cell in ("2", "-1", "0.5", "1.0", "true", "", "nan", " 1", "01", "0.99999999999999999999"):
            with self.assertRaisesRegex(Invalid, "PassengerId 42: want an integer from 0 to 1", msg=repr(cell)):
                self.grade(table({**VALIDATION, **TEST, "42": cell}.items()), "validate")

    def test_a_message_tells_no_outcome(self) -> None:
        messages = set()
        for survived in "01":
            (self.folder / "test_labels" / "labels.csv").write_text(table({**TEST, "42": survived}.items()))
            with self.assertRaises(Invalid) as caught:
                self.grade(table({**VALIDATION, **TEST, "42": "x"}.items()))
            messages.add(str(caught.exception))
        self.assertEqual(len(messages), 1)


if __name__ == "__main__":
    unittest.main()
