"""Tests of the preparation of CIFAR-10, on made archives of the true format."""

from __future__ import annotations

import gzip
import hashlib
import importlib.util
import io
import sys
import tarfile
import tempfile
import unittest
from pathlib import Path

FOLDER = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(FOLDER.parent.parent / "python"))

from mlgym_dataset import Preparation  # noqa: E402
from mlgym_dataset.preparation import Refused  # noqa: E402

try:
    import numpy as np
    import pyarrow
    import pyarrow.parquet
    from PIL import Image
except ImportError as error:
    raise unittest.SkipTest(f"SKIPPED, not tested: {error}") from None

EACH = 200  # records of a file
TRAIN = 5 * EACH


def load():
    spec = importlib.util.spec_from_file_location("cifar_prepare", FOLDER / "prepare.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def pack(members) -> bytes:
    """Return an archive of (name or TarInfo, content)."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz", compresslevel=1) as archive:
        for member, content in members:
            info = tarfile.TarInfo(member) if isinstance(member, str) else member
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return packed.getvalue()


def link(name: str, target: str, kind: bytes = tarfile.SYMTYPE) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


class Case(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.source = self.folder / "source"
        self.source.mkdir()
        self.module = load()

    def prepare(self, variant: str, kind: str, secret: bytes = b"s") -> Path:
        output = Path(tempfile.mkdtemp(dir=self.folder))
        self.module.prepare(Preparation(variant, kind, self.source, output, secret, io.StringIO()))
        return output

    def labels(self, output: Path, split: str) -> dict[str, int]:
        header, *rows = (output / split / "labels.csv").read_text().split()
        self.assertEqual(header, "id,label")
        return {key: int(label) for key, label in (row.split(",") for row in rows)}

    def check(self, output: Path, train: int, validation: int, test: int) -> None:
        """Check the splits; the images are told apart by their first pixel, which is label, file, blue."""
        images, labels = np.load(output / "train" / "images.npy"), np.load(output / "train" / "labels.npy")
        self.assertEqual((images.shape, images.dtype, labels.dtype), ((train, 32, 32, 3), np.uint8, np.uint8))
        self.assertEqual(np.bincount(labels).tolist(), [train // 10] * 10)
        hidden, ids = np.load(output / "test" / "images.npy"), (output / "test" / "ids.txt").read_text().split()
        row = {key: i for i, key in enumerate(ids)}
        self.assertEqual((len(hidden), len(row)), (validation + test, validation + test))
        true = [self.labels(output, split) for split in ("validation_labels", "test_labels")]
        for part, count in zip(true, (validation, test), strict=True):
            self.assertEqual(np.bincount(list(part.values())).tolist(), [count // 10] * 10)
        self.assertEqual({*true[0], *true[1]}, set(ids))
        places = [{row[key] for key in part} for part in true]
        self.assertLess(min(places[1]), max(places[0]))
        self.assertLess(min(places[0]), max(places[1]))
        known = {image.tobytes() for image in images}
        self.assertFalse(known & {image.tobytes() for image in hidden})
        self.assertEqual({f.name for f in (output / "test").iterdir()}, {"images.npy", "ids.txt"})

    def check_contents(self, output: Path) -> None:
        images, labels = np.load(output / "train" / "images.npy"), np.load(output / "train" / "labels.npy")
        self.assertEqual(images[:, 0, 0, 0].tolist(), labels.tolist())
        self.assertEqual(set(images[:, 0, 0, 1]), {0})
        hidden, ids = np.load(output / "test" / "images.npy"), (output / "test" / "ids.txt").read_text().split()
        row = {key: i for i, key in enumerate(ids)}
        for split, file in (("validation_labels", 0), ("test_labels", 1)):
            for key, label in self.labels(output, split).items():
                self.assertEqual(hidden[row[key]][0, 0, :2].tolist(), [label, file])


class FullTest(Case):
    def setUp(self) -> None:
        super().setUp()
        rng = np.random.default_rng(2)
        self.images = rng.integers(0, 256, (TRAIN + EACH, 32, 32, 3), np.uint8)
        self.true = np.concatenate([rng.permutation(np.arange(n) % 10).astype(np.uint8) for n in (TRAIN, EACH)])
        self.images[:, 0, 0, 0] = self.true
        self.images[:, 0, 0, 1] = np.arange(len(self.true)) >= TRAIN
        self.module.FULL_FILES = dict.fromkeys(self.module.FULL_FILES, EACH)
        self.module.FULL_VALIDATION = 10
        folder = "cifar-10-batches-bin/"
        self.members = {folder + "batches.meta.txt": "\n".join([*self.module.CLASSES, "", ""]).encode()}
        for i, name in enumerate(self.module.FULL_FILES):
            part = slice(i * EACH, (i + 1) * EACH)
            self.members[folder + name] = b"".join(
                bytes([label]) + image.transpose(2, 0, 1).tobytes()
                for label, image in zip(self.true[part], self.images[part], strict=True)
            )

    def put(self, archive: bytes) -> None:
        (self.source / self.module.ARCHIVE).write_bytes(archive)
        self.module.ARCHIVE_SHA256 = hashlib.sha256(archive).hexdigest()

    def assert_refused(self, message: str, kind: str = "user") -> None:
        with self.assertRaisesRegex(Refused, message):
            self.prepare("full", kind)

    def test_archive(self) -> None:
        top = tarfile.TarInfo("cifar-10-batches-bin")
        top.type = tarfile.DIRTYPE
        others = [(top, b""), ("cifar-10-batches-bin/readme.html", b"<html>")]
        self.put(pack([*others, *self.members.items()]))
        for kind in ("user", "url"):
            output = self.prepare("full", kind)
            self.check(output, TRAIN - 100, 100, EACH)
            self.check_contents(output)
            self.assertEqual((output / "train" / "classes.txt").read_text().splitlines(), self.module.CLASSES)

    def test_same_secret_same_bytes(self) -> None:
        self.put(pack(self.members.items()))
        one, two, other = (self.prepare("full", "user", secret) for secret in (b"s", b"s", b"t"))
        for file in one.rglob("*.*"):
            same = file.relative_to(one)
            self.assertEqual(file.read_bytes(), (two / same).read_bytes(), same)
            if same.name != "classes.txt":
                self.assertNotEqual(file.read_bytes(), (other / same).read_bytes(), same)

    def test_another_archive_is_refused(self) -> None:
        self.assert_refused("cifar-10-binary.tar.gz is missing")
        self.put(pack(self.members.items()))
        with (self.source / self.module.ARCHIVE).open("ab") as file:
            file.write(b"\0")
        self.assert_refused("is not the expected file: its SHA-256 is")

    def test_a_damaged_archive_is_refused(self) -> None:
        whole = pack(self.members.items())
        for what, archive, message in (
            ("empty", b"", "damaged or cut off"),
            ("no archive", b"<html>not found</html>" * 100, "damaged or cut off"),
            ("half a download", whole[: len(whole) // 2], "damaged or cut off"),
            ("the last bytes are missing", whole[:-1000], "damaged or cut off"),
            ("bytes changed", whole[:50_000] + bytes(500) + whole[50_500:], "damaged or cut off"),
            ("packed nothing", gzip.compress(b""), "damaged or cut off"),
        ):
            with self.subTest(what):
                self.put(archive)
                self.assert_refused(message)

    def test_wrong_contents_are_refused(self) -> None:
        folder = "cifar-10-batches-bin/"
        one, meta = folder + "data_batch_3.bin", folder + "batches.meta.txt"
        records = self.members[one]
        for what, changed, message in (
            ("a record too few", {one: records[:-3073]}, "data_batch_3.bin: want 200 records of 3073 bytes"),
            ("a byte too few", {one: records[:-1]}, "data_batch_3.bin: want 200 records"),
            ("a byte too many", {one: records + b"\0"}, "more than belongs into it"),
            (
                "no such label",
                {one: records[: 7 * 3073] + b"\x0a" + records[7 * 3073 + 1 :]},
                "record 7 has the label 10",
            ),
            ("classes not equal", {one: bytes([(records[0] + 1) % 10]) + records[1:]}, "training set has not as many"),
            ("a file is missing", {one: None}, r"lacks data_batch_3.bin in cifar-10-batches-bin"),
            ("names are missing", {meta: None}, r"lacks batches.meta.txt"),
            ("a name too few", {meta: b"cat\ndog\n"}, "has 2 names of classes, want 10"),
            ("other names", {meta: b"\n".join(b"c%d" % i for i in range(10))}, "classes are"),
            ("names that are no text", {meta: b"\xff\xfe" * 10}, "is no text"),
        ):
            with self.subTest(what):
                members = {**self.members, **changed}
                self.put(pack((name, content) for name, content in members.items() if content is not None))
                self.assert_refused(message)

    def test_a_tampered_archive_is_refused_and_writes_nothing(self) -> None:
        outside = self.folder / "outside"
        for what, members, message in (
            ("climbs out", [("../outside", b"x")], "tampered"),
            ("climbs out from within", [("cifar-10-batches-bin/../../outside", b"x")], "tampered"),
            ("absolute", [(str(outside), b"x")], "tampered"),
            ("symbolic link", [(link("cifar-10-batches-bin/data_batch_1.bin", "/etc/passwd"), b"")], "tampered"),
            ("hard link", [(link("a", "cifar-10-batches-bin/test_batch.bin", tarfile.LNKTYPE), b"")], "tampered"),
            ("pipe", [(link("a", "", tarfile.FIFOTYPE), b"")], "tampered"),
            ("device", [(link("a", "", tarfile.CHRTYPE), b"")], "tampered"),
            ("a file twice", [("cifar-10-batches-bin/batches.meta.txt", b"x")], "twice"),
            ("something large", [("cifar-10-batches-bin/more", bytes(2 << 20))], "more than belongs into it"),
            ("many things", [(f"cifar-10-batches-bin/{i}", b"") for i in range(200)], "more than belongs into it"),
        ):
            with self.subTest(what):
                self.put(pack([*self.members.items(), *members]))
                self.assert_refused(message)
                self.assertFalse(outside.exists())
                self.assertEqual([f.name for f in self.source.iterdir()], [self.module.ARCHIVE])

    def put_parquet(self, name: str, part: slice, change=lambda row, image, label: (image, label)) -> None:
        rows = []
        for row, (image, label) in enumerate(zip(self.images[part], self.true[part], strict=True)):
            image, label = change(row, Image.fromarray(image), int(label))
            packed = io.BytesIO()
            image.save(packed, "PNG")
            rows.append({"img": {"bytes": packed.getvalue(), "path": None}, "label": label})
        path = self.source / name
        path.parent.mkdir(exist_ok=True)
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path)

    def test_parquet(self) -> None:
        train, test = self.module.PARQUET
        self.module.PARQUET = {train: TRAIN, test: EACH}
        self.put_parquet(train, slice(0, TRAIN))
        self.put_parquet(test, slice(TRAIN, None))
        output = self.prepare("full", "huggingface")
        self.check(output, TRAIN - 100, 100, EACH)
        self.check_contents(output)
        # The same images as from the archive, so the same bytes.
        self.put(pack(self.members.items()))
        other = self.prepare("full", "user")
        for file in output.rglob("*.*"):
            self.assertEqual(file.read_bytes(), (other / file.relative_to(output)).read_bytes(), file.name)

        for what, change, message in (
            (
                "a label out of range",
                lambda row, image, label: (image, 10 if row == 5 else label),
                "labels from 0 to 9",
            ),
            ("another size", lambda row, image, label: (image.resize((31, 32)) if row == 5 else image, label), "row 5"),
            ("grey", lambda row, image, label: (image.convert("L") if row == 5 else image, label), "row 5"),
        ):
            with self.subTest(what):
                self.put_parquet(test, slice(TRAIN, None), change)
                self.assert_refused(message, "huggingface")
        self.put_parquet(test, slice(TRAIN + 10, None))
        self.assert_refused("want 200 rows .* got 190", "huggingface")
        (self.source / test).write_bytes(b"PAR1" + bytes(100))
        self.assert_refused("cannot be read", "huggingface")
        (self.source / test).unlink()
        self.assert_refused("is missing", "huggingface")


class SmallTest(Case):
    def setUp(self) -> None:
        super().setUp()
        rng = np.random.default_rng(3)
        images, labels = rng.integers(0, 256, (9000, 28, 28), np.uint8), np.arange(9000, dtype=np.uint8) % 10
        for name, array in (("train-images-idx3-ubyte", images), ("train-labels-idx1-ubyte", labels)):
            header = bytes([0, 0, 8, array.ndim]) + b"".join(n.to_bytes(4, "big") for n in array.shape)
            content = header + array.tobytes()
            self.module.IDX_FILES[name] = (array.shape, hashlib.sha256(content).hexdigest())
            (self.source / (name + ".gz")).write_bytes(gzip.compress(content, compresslevel=1))

    def test_stand_in(self) -> None:
        one, two, other = (self.prepare("small", "user", secret) for secret in (b"s", b"s", b"t"))
        self.check(one, 4000, 500, 1000)
        self.assertEqual((one / "train" / "classes.txt").read_text().splitlines(), self.module.CLOTHING)
        for file in one.rglob("*.*"):
            same = file.relative_to(one)
            self.assertEqual(file.read_bytes(), (two / same).read_bytes(), same)
            self.assertEqual(file.read_bytes() == (other / same).read_bytes(), same.parts[0] == "train", same)

    def test_another_source_is_refused(self) -> None:
        file = self.source / "train-labels-idx1-ubyte.gz"
        whole = file.read_bytes()
        for data, message in ((whole[:-50], "cannot be unpacked"), (gzip.compress(b"x"), "is not the official file")):
            file.write_bytes(data)
            with self.assertRaisesRegex(Refused, message):
                self.prepare("small", "user")

    def test_coloured(self) -> None:
        grey = np.zeros((3, 28, 28), np.uint8)
        grey[:, 10:18, 10:18] = 255
        images = self.module.coloured(grey, np.random.default_rng(1))
        self.assertEqual((images.shape, images.dtype), ((3, 32, 32, 3), np.uint8))
        for image in images:
            self.assertEqual(len({tuple(pixel) for pixel in image[14:18, 14:18].reshape(-1, 3)}), 1)  # the tint
            self.assertGreater(len({tuple(pixel) for pixel in image[:8].reshape(-1, 3)}), 200)  # the background


if __name__ == "__main__":
    unittest.main()
