"""Tests of the preparation of Fashion-MNIST, on made files of the same form."""

from __future__ import annotations

import gzip
import hashlib
import importlib.util
import io
import sys
import tempfile
import unittest
from pathlib import Path

FOLDER = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(FOLDER.parent.parent / "python"))

from mlgym_dataset import Preparation  # noqa: E402
from mlgym_dataset.preparation import Refused  # noqa: E402

try:
    import numpy as np
except ImportError as error:
    raise unittest.SkipTest(f"SKIPPED, not tested: {error}") from None

TRAIN, TEST = 1200, 200


def load():
    spec = importlib.util.spec_from_file_location("fashion_prepare", FOLDER / "prepare.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def idx(array) -> bytes:
    return bytes([0, 0, 8, array.ndim]) + b"".join(n.to_bytes(4, "big") for n in array.shape) + array.tobytes()


class PrepareTest(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.source = self.folder / "source"
        self.source.mkdir()
        self.module = load()
        rng = np.random.default_rng(1)
        self.module.FILES, self.contents = {}, {}
        for name, count in (("train", TRAIN), ("t10k", TEST)):
            images = rng.integers(0, 256, (count, 28, 28), np.uint8)
            images[:, 0, 0] = labels = rng.permutation(
                np.arange(count, dtype=np.uint8) % 10
            )  # an image tells its label
            images[:, 0, 1] = name == "t10k"  # … and its file
            for kind, array in (("images-idx3", images), ("labels-idx1", labels)):
                file = f"{name}-{kind}-ubyte"
                self.contents[file] = idx(array)
                self.module.FILES[file] = (array.shape, hashlib.sha256(idx(array)).hexdigest())
                (self.source / (file + ".gz")).write_bytes(gzip.compress(idx(array), mtime=0))
        self.module.FULL_VALIDATION = 10
        self.module.SMALL_TRAIN, self.module.SMALL_VALIDATION, self.module.SMALL_TEST = 40, 5, 10

    def prepare(self, variant: str = "full", secret: bytes = b"s", kind: str = "user") -> Path:
        output = Path(tempfile.mkdtemp(dir=self.folder))
        self.module.prepare(Preparation(variant, kind, self.source, output, secret, io.StringIO()))
        return output

    def assert_refused(self, message: str, variant: str = "full") -> None:
        with self.assertRaisesRegex(Refused, message):
            self.prepare(variant)

    def labels(self, output: Path, split: str) -> dict[str, int]:
        header, *rows = (output / split / "labels.csv").read_text().split()
        self.assertEqual(header, "id,label")
        return {key: int(label) for key, label in (row.split(",") for row in rows)}

    def check(self, output: Path, train: int, validation: int, test: int, test_file: int) -> None:
        images, labels = np.load(output / "train" / "images.npy"), np.load(output / "train" / "labels.npy")
        self.assertEqual((images.shape, images.dtype, labels.dtype), ((train, 28, 28), np.uint8, np.uint8))
        self.assertEqual(images[:, 0, 0].tolist(), labels.tolist())
        self.assertEqual(set(images[:, 0, 1]), {0})
        hidden, ids = np.load(output / "test" / "images.npy"), (output / "test" / "ids.txt").read_text().split()
        row = {key: i for i, key in enumerate(ids)}
        self.assertEqual((len(hidden), len(row)), (validation + test, validation + test))
        places = {}
        for split, count, file in (("validation_labels", validation, 0), ("test_labels", test, test_file)):
            true = self.labels(output, split)
            self.assertEqual(len(true), count)
            self.assertEqual(np.bincount(list(true.values())).tolist(), [count // 10] * 10)
            places[split] = {row[key] for key in true}
            for key, label in true.items():
                self.assertEqual(hidden[row[key]][0, 0], label)
                self.assertEqual(hidden[row[key]][0, 1], file)
        self.assertFalse(places["validation_labels"] & places["test_labels"])
        # Mixed: neither kind has its rows together at one end.
        self.assertLess(min(places["test_labels"]), max(places["validation_labels"]))
        self.assertLess(min(places["validation_labels"]), max(places["test_labels"]))
        known = {image.tobytes() for image in images}
        self.assertEqual(len(known), train)
        self.assertFalse(known & {image.tobytes() for image in hidden})
        self.assertEqual(len((output / "train" / "classes.txt").read_text().splitlines()), 10)
        self.assertEqual({f.name for f in (output / "test").iterdir()}, {"images.npy", "ids.txt"})

    def test_full(self) -> None:
        self.check(self.prepare("full"), TRAIN - 100, 100, TEST, test_file=1)

    def test_small_is_of_the_training_set_alone(self) -> None:
        for name in ("t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"):
            (self.source / name).unlink()
        self.check(self.prepare("small"), 400, 50, 100, test_file=0)

    def test_same_secret_same_bytes(self) -> None:
        for variant in ("full", "small"):
            one, two, other = self.prepare(variant), self.prepare(variant), self.prepare(variant, b"t")
            for file in one.rglob("*"):
                if file.is_file():
                    same = file.relative_to(one)
                    self.assertEqual(file.read_bytes(), (two / same).read_bytes(), same)
                    if same.parts[0] in ("test", "test_labels", "validation_labels"):
                        self.assertNotEqual(file.read_bytes(), (other / same).read_bytes(), same)
        self.assertEqual((one / "train" / "images.npy").read_bytes(), (other / "train" / "images.npy").read_bytes())

    def test_plain_files_and_the_debian_package(self) -> None:
        want = np.load(self.prepare() / "test" / "images.npy").tobytes()
        folder = self.source / self.module.DEBIAN_FOLDER
        folder.mkdir(parents=True)
        for name, content in self.contents.items():
            (self.source / (name + ".gz")).rename(folder / (name + ".gz"))
            (self.source / name).write_bytes(content)
        for kind in ("user", "debian"):
            self.assertEqual(np.load(self.prepare(kind=kind) / "test" / "images.npy").tobytes(), want)

    def test_a_wrong_source_is_refused(self) -> None:
        name = "train-images-idx3-ubyte"
        file, content = self.source / (name + ".gz"), self.contents[name]
        packed = file.read_bytes()
        for what, data, message in (
            ("cut off", packed[:-100], "cannot be unpacked"),
            ("not packed", content, "cannot be unpacked"),
            ("empty", b"", "not the official file"),
            ("other content", gzip.compress(content[:-1] + b"\0"), "not the official file"),
            ("shorter", gzip.compress(content[:-1]), "not the official file"),
            ("longer", gzip.compress(content + bytes(1 << 20)), "not the official file"),
            ("damaged", packed[:2000] + bytes(50) + packed[2050:], "cannot be unpacked|not the official file"),
        ):
            with self.subTest(what):
                file.write_bytes(data)
                self.assert_refused(message)
        file.unlink()
        self.assert_refused(f"neither {name}.gz nor {name} is in ")

    def test_a_packing_bomb_is_not_unpacked(self) -> None:
        bomb = gzip.compress(bytes(1 << 28), compresslevel=9)
        (self.source / "train-images-idx3-ubyte.gz").write_bytes(bomb)
        p = Preparation("full", "user", self.source, self.folder, b"", io.StringIO())
        self.assertEqual(len(self.module.unpack(p, self.source / "train-images-idx3-ubyte.gz", 1000)), 1000)
        self.assert_refused("not the official file")


if __name__ == "__main__":
    unittest.main()
