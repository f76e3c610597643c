"""Tests of the grader, on a folder with made prices."""

from __future__ import annotations

import math
import random
import tempfile
import unittest
from pathlib import Path
from types import SimpleNamespace

from mlgym_grader import Invalid
from places import load

grader = load("grader", "grade.py")

VALIDATION = {"17": "100000", "23": "300000", "31": "200000"}
TEST = {str(40 + i): str(150000 + 10000 * i) for i in range(10)}  # 150,000 to 240,000


def table(rows) -> str:
    return "Id,SalePrice\n" + "".join(f"{key},{price}\n" for key, price in rows)


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
        for kind in ("validate", "submit"):
            result = self.grade(table({**VALIDATION, **TEST}.items()), kind)
            self.assertEqual(result.scores, {"r2": 1.0, "rmse": 0.0})
            self.assertEqual(result.details["exact_rows"], result.details["rows"])
            self.assertNotIn("r2_without_exact", result.details)

    def test_the_formulas(self) -> None:
        result = self.grade(table({**TEST, "17": "110000", "23": "300000", "31": "180000"}.items()), "validate")
        # Errors 10,000, 0 and 20,000; distances from the mean 100,000, 100,000 and 0.
        self.assertAlmostEqual(result.scores["r2"], 1 - 5e8 / 2e10)
        self.assertAlmostEqual(result.scores["rmse"], math.sqrt(5e8 / 3))
        self.assertEqual((result.details["rows"], result.details["exact_rows"]), (3, 1))
        # Without the exact row the mean is 150,000 and the distances 50,000 each.
        self.assertAlmostEqual(result.details["r2_without_exact"], 1 - 5e8 / 5e9)

    def test_the_mean_earns_nothing(self) -> None:
        result = self.grade(table(dict.fromkeys([*VALIDATION, *TEST], "195000").items()))
        self.assertAlmostEqual(result.scores["r2"], 0)
        self.assertAlmostEqual(result.scores["rmse"], math.sqrt(sum((10000 * i - 45000) ** 2 for i in range(10)) / 10))

    def test_each_kind_scores_its_own_rows(self) -> None:
        wrong_test = table({**VALIDATION, **dict.fromkeys(TEST, "195000")}.items())
        for kind, mode, r2 in (("validate", "hardened", 1), ("submit", "hardened", 0), ("validate", "published", 0)):
            self.assertAlmostEqual(self.grade(wrong_test, kind, mode).scores["r2"], r2)
        only_test = table(TEST.items())
        self.assertEqual(self.grade(only_test, "submit", "published").scores["r2"], 1)
        with self.assertRaisesRegex(Invalid, "3 of 13 ids are missing"):
            self.grade(only_test)

    def test_the_order_of_rows_changes_nothing(self) -> None:
        rows = [(key, str(float(price) * 1.0123)) for key, price in {**VALIDATION, **TEST}.items()]
        first = self.grade(table(rows))
        random.Random(3).shuffle(rows)
        self.assertEqual(self.grade(table(rows)), first)

    def test_standard_errors(self) -> None:
        # A sample of normal errors: the error of rmse is near sigma / sqrt(2 n).
        generator = random.Random(1)
        pairs = [(generator.gauss(2e5, 7e4), 0.0) for _ in range(400)]
        pairs = [(true, true + generator.gauss(0, 2e4)) for true, _ in pairs]
        errors = grader.standard_errors(pairs)
        self.assertAlmostEqual(errors["rmse_standard_error"], 2e4 / math.sqrt(800), delta=150)
        self.assertTrue(0.002 < errors["r2_standard_error"] < 0.02, errors)
        self.assertEqual(errors, grader.standard_errors(pairs))

    def test_a_price_may_be_wrong_but_has_to_be_a_number(self) -> None:
        for cell in ("-5", "0", "100000000", "1.825e5"):
            self.assertLess(self.grade(table({**VALIDATION, **TEST, "40": cell}.items())).scores["r2"], 1)
        for cell in ("nan", "inf", "-inf", "1e400", "1e9", "-1e9", "0x10", "1_000", "$5", "", " 1", "182 500", "True"):
            with self.assertRaisesRegex(Invalid, "Id 40: want a decimal number", msg=repr(cell)):
                self.grade(table({**VALIDATION, **TEST, "40": cell}.items()), "validate")

    def test_a_message_tells_no_price(self) -> None:
        messages = set()
        for price in ("150000", "999999"):
            (self.folder / "test_labels" / "labels.csv").write_text(table({**TEST, "40": price}.items()))
            with self.assertRaises(Invalid) as caught:
                self.grade(table({**VALIDATION, **TEST, "40": "x"}.items()))
            messages.add(str(caught.exception))
        self.assertEqual(len(messages), 1)


if __name__ == "__main__":
    unittest.main()
