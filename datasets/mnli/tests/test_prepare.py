"""Tests of the preparation of mnli, on made files of the form of the official ones."""

from __future__ import annotations

import importlib.util
import io
import json
import random
import sys
import tempfile
import unittest
import zipfile
from collections import Counter
from pathlib import Path
from unittest import mock

FOLDER = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(FOLDER), str(FOLDER.parent.parent / "python")]
spec = importlib.util.spec_from_file_location("prepare_mnli", FOLDER / "prepare.py")
assert spec is not None and spec.loader is not None
prepare = importlib.util.module_from_spec(spec)
spec.loader.exec_module(prepare)

from mlgym_dataset import Preparation  # noqa: E402
from mlgym_dataset.preparation import Refused  # noqa: E402

HAS_PYARROW = importlib.util.find_spec("pyarrow") is not None
NAMES = ("entailment", "neutral", "contradiction")
TRAIN, VALIDATION, TEST = 300, 50, 40
SPLITS = ("train", "validation_pairs", "test_pairs")


def made_rows(count: int, label: str) -> list[dict[str, object]]:
    """Return rows of an official file: each prompt has three, some have no label, some premises have two prompts."""
    draw = random.Random(label)
    rows = []
    while sum(row["gold_label"] != "-" for row in rows) < count:
        number = len(rows)
        prompt = number // 3
        rows.append(
            {
                "gold_label": NAMES[number % 3] if draw.random() > 0.05 else "-",
                "sentence1": f"{label} premise {prompt % 90} — “é”",
                "sentence2": f"{label} hypothesis {number}",
                "genre": draw.choice(["fiction", "travel"]),
                "promptID": str(prompt),
                "pairID": f"{prompt}{'enc'[number % 3]}",
            }
        )
    return rows


def made_parquet(rows: list[dict[str, object]]) -> bytes:
    import pyarrow
    import pyarrow.parquet

    kept = [row for row in rows if row["gold_label"] != "-"]
    columns = {
        "promptID": [int(row["promptID"]) for row in kept],
        "pairID": [row["pairID"] for row in kept],
        "premise": [row["sentence1"] for row in kept],
        "hypothesis": [row["sentence2"] for row in kept],
        "genre": [row["genre"] for row in kept],
        "label": [NAMES.index(row["gold_label"]) for row in kept],
    }
    out = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.table(columns), out)
    return out.getvalue()


class PrepareTest(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.source = self.folder / "source"
        self.source.mkdir()
        sizes = {"TRAIN": TRAIN, "TEST": TEST, "VALIDATION": VALIDATION}
        patch = mock.patch.multiple(prepare, **sizes)
        patch.start()
        self.addCleanup(patch.stop)
        self.train, self.test = made_rows(TRAIN, "train"), made_rows(TEST, "test")

    def archive(self, train=None, test=None) -> None:
        with zipfile.ZipFile(self.source / prepare.ARCHIVE, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, rows in zip(prepare.MEMBERS, (train or self.train, test or self.test), strict=True):
                archive.writestr(name, "".join(json.dumps(row) + "\n" for row in rows))

    def run_it(self, variant="full", kind="url", secret=b"one", name="out") -> dict[str, list[dict[str, object]]]:
        out = self.folder / name
        prepare.prepare(Preparation(variant, kind, self.source, out, secret, io.StringIO()))
        self.assertEqual(sorted(path.relative_to(out).as_posix() for path in out.rglob("*.*")),
                         sorted(f"{split}/pairs.jsonl" for split in SPLITS))  # fmt: skip
        read = {}
        for split in SPLITS:
            with (out / split / "pairs.jsonl").open(encoding="utf-8") as file:
                read[split] = [json.loads(line) for line in file]
        return read

    def refused(self, message: str, **how) -> None:
        with self.assertRaises(Refused) as raised:
            self.run_it(**how)
        self.assertIn(message, str(raised.exception))

    def check_full(self, got) -> None:
        self.assertEqual([len(got["validation_pairs"]), len(got["test_pairs"])], [VALIDATION, TEST])
        for rows in got.values():
            for row in rows:
                self.assertEqual(list(row), ["premise", "hypothesis", "label", "genre"])
        want = {
            (row["sentence1"], row["sentence2"], NAMES.index(row["gold_label"]), row["genre"])
            for row in [*self.train, *self.test]
            if row["gold_label"] != "-"
        }
        read = [tuple(row.values()) for rows in got.values() for row in rows]
        self.assertEqual(len(read), len(set(read)))
        self.assertLessEqual(set(read), want)
        self.assertLess(len(want) - len(read), 6)  # what was left of one group
        self.assertTrue(all(row["hypothesis"].startswith("test") for row in got["test_pairs"]))
        held = {row["premise"] for row in got["validation_pairs"]}
        self.assertFalse(held & {row["premise"] for row in got["train"]})

    def test_one_group_is_cut_where_whole_ones_do_not_do(self) -> None:
        rows = [prepare.Pair(f"premise {i // 4}", f"{i}", 0, "", f"{i // 4}") for i in range(40)]
        for count, left in ((8, 32), (9, 28), (11, 28), (1, 36)):
            with self.subTest(count=count):
                rest, held = prepare.hold_out(rows, count, random.Random(1))
                self.assertEqual([len(rest), len(held)], [left, count])
                self.assertFalse({row.prompt for row in rest} & {row.prompt for row in held})

    def test_the_archive(self) -> None:
        self.archive()
        self.check_full(self.run_it())

    @unittest.skipUnless(HAS_PYARROW, "pyarrow is not installed")
    def test_parquet_files(self) -> None:
        for folder in ("data/", ""):  # with and without it
            for name, rows in zip(prepare.PARQUET, (self.train, self.test), strict=True):
                path = self.source / folder / Path(name).name
                path.parent.mkdir(exist_ok=True)
                path.write_bytes(made_parquet(rows))
            first = self.run_it(kind="huggingface" if folder else "user", name=f"out{len(folder)}")
            self.check_full(first)
            for path in self.source.rglob("*.parquet"):
                path.unlink()
        self.archive()
        self.assertEqual(self.run_it(name="other"), first)

    def test_order_and_choice_are_secret(self) -> None:
        self.archive()
        first, again, other = self.run_it(), self.run_it(name="again"), self.run_it(secret=b"two", name="other")
        self.assertEqual(first, again)
        for split in SPLITS:
            self.assertNotEqual(first[split], other[split])
        texts = [{row["hypothesis"] for row in got["validation_pairs"]} for got in (first, other)]
        self.assertLess(len(texts[0] & texts[1]), VALIDATION // 2)
        numbers = [int(row["hypothesis"].split()[-1]) for row in first["train"]]
        self.assertNotEqual(numbers, sorted(numbers))

    def test_rows_are_grouped_by_prompt_and_by_premise(self) -> None:
        rows = [
            prepare.Pair("A  premise", "", 0, "", "1"), prepare.Pair("a premise", "", 1, "", "2"),
            prepare.Pair("another", "", 0, "", "2"), prepare.Pair("a third", "", 0, "", "3"),
        ]  # fmt: skip
        self.assertEqual(sorted(prepare.groups(rows)), [[0, 1, 2], [3]])

    def test_small(self) -> None:
        got, again, other = (
            self.run_it("small", "generated", s, n) for s, n in ((b"1", "a"), (b"1", "b"), (b"2", "c"))
        )
        self.assertEqual(got, again)
        self.assertEqual([len(got[split]) for split in SPLITS], [3000, 600, 600])
        self.assertEqual(got["train"], other["train"])  # public
        texts = {s: {(row["premise"], row["hypothesis"]) for row in got[s]} for s in SPLITS}
        self.assertEqual(sum(map(len, texts.values())), len(set().union(*texts.values())))
        hidden = {(row["premise"], row["hypothesis"]) for row in other["test_pairs"]}
        self.assertLess(len(texts["test_pairs"] & hidden), 30)
        for split in SPLITS:
            counts = Counter(row["label"] for row in got[split])
            self.assertEqual(sorted(counts), [0, 1, 2])
            self.assertLess(max(counts.values()) / len(got[split]), 0.39)

    def test_what_is_refused(self) -> None:
        self.refused("neither multinli_1.0.zip nor data/train-00000-of-00001.parquet is in", kind="user")
        self.archive(train=self.train[:-5])
        self.refused(f"labelled pairs, want {TRAIN}: this is not MultiNLI 1.0")
        path = self.source / prepare.ARCHIVE
        self.archive()
        whole = path.read_bytes()
        path.write_bytes(whole[: len(whole) // 2])
        self.refused("is damaged or cut off")
        path.write_bytes(whole[:200] + bytes(50) + whole[250:])
        self.refused("is damaged or cut off")
        for name, row, message in (
            ("a label of its own", {**self.train[0], "gold_label": "maybe"}, "line 1 is not a pair: KeyError('maybe')"),
            ("no premise", {k: v for k, v in self.train[0].items() if k != "sentence1"}, "KeyError('sentence1')"),
            ("a list", [], "line 1 is not a pair"),
        ):
            with self.subTest(name):
                self.archive(train=[row, *self.train[1:]])
                self.refused(message)
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("README.txt", "")
        self.refused("the archive lacks multinli_1.0/multinli_1.0_train.jsonl")
        self.archive()
        with mock.patch.object(prepare, "MAX_MEMBER_BYTES", 1000):
            self.refused("more than belong into it")

    @unittest.skipUnless(HAS_PYARROW, "pyarrow is not installed")
    def test_parquet_files_that_are_refused(self) -> None:
        train, test = (self.source / Path(name).name for name in prepare.PARQUET)
        train.write_bytes(made_parquet(self.train))
        self.refused("is missing in", kind="user")
        for name, content, message in (
            ("cut off", made_parquet(self.test)[:-20], "cannot be read"),
            ("another file", b"premise,hypothesis\n", "cannot be read"),
            ("another label", made_parquet(self.test).replace(b"", b""), "row 0 is not a pair"),
        ):
            with self.subTest(name):
                test.write_bytes(content)
                numbers = {"x": 3, "y": 1, "z": 2}
                with mock.patch.object(prepare, "LABELS", numbers if name == "another label" else prepare.LABELS):
                    self.refused(message, kind="user")


if __name__ == "__main__":
    unittest.main()
