"""Tests of the scoring of predicted class labels."""

from __future__ import annotations

import tempfile
import unittest
from pathlib import Path
from types import SimpleNamespace

from mlgym_grader import Invalid, labels

VALIDATION = {"17": 0, "23": 1, "08": 2}
TEST = {"42": 2, "99": 1}


def csv(rows) -> str:
    return "id,label\n" + "".join(f"{key},{label}\n" for key, label in rows)


class LabelsTest(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        for name, true in (("validation_labels", VALIDATION), ("test_labels", TEST)):
            (self.folder / name).mkdir()
            (self.folder / name / "labels.csv").write_text(csv(true.items()))

    def grade(self, text: str | bytes, kind: str = "submit", mode: str = "hardened"):
        path = self.folder / "submission.csv"
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return labels.grade(SimpleNamespace(kind=kind, mode=mode, data=self.folder, submission=self.folder), 3)

    def test_each_kind_scores_its_own_rows(self) -> None:
        rows = {**VALIDATION, **TEST, "23": 0, "99": 0}  # two of three, one of two
        for order in (list(rows.items()), list(rows.items())[::-1]):
            for kind, mode, want, count in (
                ("validate", "hardened", 2 / 3, 3),
                ("submit", "hardened", 1 / 2, 2),
                ("validate", "published", 1 / 2, 2),
                ("submit", "published", 1 / 2, 2),
            ):
                result = self.grade(csv(order), kind, mode)
                self.assertEqual(result.scores, {"accuracy": want})
                self.assertEqual(result.details["rows"], count)
                self.assertAlmostEqual(result.details["standard_error"], (want * (1 - want) / count) ** 0.5)

    def test_validation_rows_are_optional_as_published(self) -> None:
        self.assertEqual(self.grade(csv(TEST.items()), mode="published").scores, {"accuracy": 1.0})
        for kind in ("validate", "submit"):
            with self.assertRaisesRegex(Invalid, "3 of 5 ids are missing"):
                self.grade(csv(TEST.items()), kind)

    def test_quotes_and_line_ends_of_other_systems_are_read(self) -> None:
        text = csv({**VALIDATION, **TEST}.items())
        self.assertEqual(self.grade(text.replace("\n", "\r\n")).scores, {"accuracy": 1.0})
        self.assertEqual(self.grade(text.replace("42,2", '"42","2"')).scores, {"accuracy": 1.0})

    def test_what_is_no_label_is_refused(self) -> None:
        cells = [
            "3",
            "-1",
            "1.0",
            "+1",
            " 1",
            "1 ",
            "01",
            "1e0",
            "",
            "nan",
            "inf",
            "True",
            "0x1",
            "1_0",
            "\uff11",
            "\u00b2",
        ]
        for cell in cells:
            rows = csv({**VALIDATION, **TEST, "42": cell}.items())
            for kind in ("validate", "submit"):
                with self.assertRaisesRegex(Invalid, "id 42: want an integer from 0 to 2", msg=repr(cell)):
                    self.grade(rows, kind)

    def test_wrong_tables_are_refused(self) -> None:
        whole = {**VALIDATION, **TEST}
        for name, text, message in (
            ("empty", "", "is empty"),
            ("header alone", "id,label\n", "5 of 5 ids are missing"),
            ("no ids", "label\n0\n1\n2\n2\n1\n", "first line has to be id,label"),
            ("other order of columns", "label,id\n" + csv(whole.items()), "first line has to be id,label"),
            ("a row twice", csv([*whole.items(), ("42", 2)]), "more than 5 rows"),
            ("an id twice", csv([*list(whole.items())[1:], ("42", 2)]), "42' stands twice"),
            ("an id of nobody", csv([*list(whole.items())[1:], ("43", 2)]), "'43' is not one of the ids"),
            ("an id as a number", csv({**whole}.items()).replace("08,", "8,"), "'8' is not one of the ids"),
            ("a cell too many", csv(whole.items()).replace("42,2", "42,2,1"), "want 2 cells, got 3"),
            ("no text", b"id,label\n\xff\xfe", "not UTF-8"),
            ("zero byte", "id,label\n42,2\0\n", "zero byte"),
        ):
            with self.subTest(name), self.assertRaisesRegex(Invalid, message):
                self.grade(text)

    def test_a_message_never_holds_a_true_label(self) -> None:
        messages = set()
        for label in range(3):
            (self.folder / "test_labels" / "labels.csv").write_text(csv({**TEST, "42": label}.items()))
            with self.assertRaises(Invalid) as caught:
                self.grade(csv({**VALIDATION, **TEST, "42": "x"}.items()))
            messages.add(str(caught.exception))
        self.assertEqual(len(messages), 1)

    def test_damaged_true_labels_are_our_fault(self) -> None:
        for text in ("", "id,label\n", "id\n1\n", "id,label\n1,0\n1,1\n", "id,label\n1,x\n"):
            (self.folder / "test_labels" / "labels.csv").write_text(text)
            with self.assertRaises(ValueError, msg=repr(text)):
                self.grade(csv(VALIDATION.items()))


if __name__ == "__main__":
    unittest.main()
