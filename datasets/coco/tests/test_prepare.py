"""Tests of the preparation, with a miniature of COCO's files and with made pictures."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import re
import sys
import tempfile
import unittest
import zipfile
from pathlib import Path

DATASET = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(DATASET), str(DATASET.parent.parent / "python")]

try:
    import numpy as np
    from PIL import Image
except ImportError as error:
    raise unittest.SkipTest(f"{error}: these tests need the environment torch") from error

import prepare  # noqa: E402
import shapes  # noqa: E402
from mlgym_dataset.preparation import Preparation, Refused  # noqa: E402

SIZES = prepare.Sizes(train=6, validation=3, test=4)
SECRET, OTHER = bytes(range(32)), bytes(32)


def colour(image: int) -> tuple[int, int, int]:
    """Return the colour of the miniature's photograph with this id; it is told in its captions."""
    return (40 * (image % 6) + 20, 40 * (image // 6 % 6) + 20, 120)


def photograph(image: int) -> bytes:
    """Return a JPEG file with metadata."""
    size = [(640, 480), (300, 400), (120, 90)][image % 3]
    picture = Image.new("RGB", size, colour(image))
    if image % 5 == 0:
        picture = picture.convert("L")  # COCO has some without colours
    about = Image.Exif()
    about[0x010E] = f"canary of photograph {image}"
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=95, exif=about, comment=b"canary")
    return buffer.getvalue()


def miniature(folder: Path, counts: dict[str, int]) -> None:
    """Write train2014.zip, val2014.zip and annotations_trainval2014.zip as COCO has them."""
    with zipfile.ZipFile(folder / "annotations_trainval2014.zip", "w") as notes:
        for part, count in counts.items():
            ids = [7 * i + (3 if part == "val2014" else 1) for i in range(count)]
            names = {i: f"COCO_{part}_{i:012d}.jpg" for i in ids}
            captions = [
                # Out of order, and the sixth is not to be taken.
                {"image_id": i, "id": 100 * i + n, "caption": f" Photo {i}\nof {part},  caption {n}. "}
                for n in (5, 0, 3, 1, 4, 2)
                for i in ids
            ]
            captions += [{"image_id": 9999, "id": 1, "caption": "alone"}]
            content = {
                "info": {"year": 2014},
                "licenses": [{"id": 1, "name": "some"}],
                "images": [{"license": 1, "file_name": names[i], "height": 1, "width": 1, "id": i} for i in ids]
                + [{"license": 1, "file_name": "COCO_few_captions.jpg", "height": 1, "width": 1, "id": 9999}],
                "annotations": captions,
            }
            notes.writestr(f"annotations/captions_{part}.json", json.dumps(content))
            notes.writestr(f"annotations/instances_{part}.json", "{}")
            with zipfile.ZipFile(folder / f"{part}.zip", "w") as photos:
                photos.writestr(f"{part}/", "")
                for i, name in names.items():
                    photos.writestr(f"{part}/{name}", photograph(i))


def read(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def tree(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


class Case(unittest.TestCase):
    def setUp(self) -> None:
        self.folder = Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.source = self.folder / "source"
        self.source.mkdir()

    def preparation(self, output: str, secret: bytes = SECRET, kind: str = "user") -> Preparation:
        return Preparation("full", kind, self.source, self.folder / output, secret, io.StringIO())


class PhotographsTest(Case):
    def setUp(self) -> None:
        super().setUp()
        miniature(self.source, {"train2014": 15, "val2014": 8})

    def run_it(self, output: str = "out", secret: bytes = SECRET) -> Path:
        prepare.photographs(self.preparation(output, secret), SIZES)
        return self.folder / output

    def refused(self, text: str) -> None:
        with self.assertRaisesRegex(Refused, text):
            self.run_it("refused")

    def unpack(self) -> None:
        for name in ("train2014.zip", "val2014.zip", "annotations_trainval2014.zip"):
            with zipfile.ZipFile(self.source / name) as archive:
                archive.extractall(self.source)
            (self.source / name).unlink()

    def test_splits(self) -> None:
        out = self.run_it()
        train, test = read(out / "train/index.jsonl"), read(out / "test/index.jsonl")
        answers = {s: read(out / f"{s}_captions/captions.jsonl") for s in ("validation", "test")}
        self.assertEqual([len(train), len(test)], [6, 7])
        self.assertEqual({split: len(rows) for split, rows in answers.items()}, {"validation": 3, "test": 4})
        for row in train:
            self.assertEqual(sorted(row), ["captions", "file", "image_id"])
        for row in test:
            self.assertEqual(sorted(row), ["file", "image_id"])
            self.assertRegex(row["image_id"], r"\A[1-9][0-9]{7}\Z")
        hidden = [row["image_id"] for rows in answers.values() for row in rows]
        self.assertEqual(sorted(hidden), sorted(row["image_id"] for row in test))
        for row in answers["test"]:
            self.assertRegex(row["captions"][0], r"\APhoto \d+ of val2014, caption 0\.\Z")
            self.assertIn(row["reference"], range(5))
        for row in answers["validation"] + train:
            self.assertIn("train2014", row["captions"][0])
            self.assertEqual([caption[-2] for caption in row["captions"]], ["0", "1", "2", "3", "4"])
        everything = [row["captions"][0] for row in answers["test"] + answers["validation"] + train]
        self.assertEqual(len(set(everything)), 13)

    def test_photographs_are_the_captions_own(self) -> None:
        out = self.run_it()
        answers = read(out / "validation_captions/captions.jsonl") + read(out / "test_captions/captions.jsonl")
        pictures = [("test", row) for row in answers] + [("train", row) for row in read(out / "train/index.jsonl")]
        for split, row in pictures:
            number = int(re.findall(r"\d+", row["captions"][0])[0])
            with Image.open(out / split / "images" / f"{row['image_id']}.jpg") as picture:
                self.assertEqual((picture.format, picture.mode), ("JPEG", "RGB"))
                self.assertEqual(picture.size, [(341, 256), (256, 341), (120, 90)][number % 3])
                if number % 5:
                    got = np.asarray(picture, dtype=float).mean((0, 1))
                    self.assertLess(np.abs(got - colour(number)).max(), 4, number)

    def test_nothing_tells_where_a_photograph_is_from(self) -> None:
        out = self.run_it()
        for path in out.rglob("*.jpg"):
            data = path.read_bytes()
            self.assertNotIn(b"canary", data)
            with Image.open(path) as picture:
                self.assertEqual(dict(picture.getexif()), {})
                self.assertLessEqual(picture.info.keys(), {"jfif", "jfif_version", "jfif_unit", "jfif_density"})
        shown = " ".join(tree(out)) + (out / "test/index.jsonl").read_text()
        for word in ("COCO", "2014", "Photo", "caption 0"):
            self.assertNotIn(word, shown)

    def test_the_choice_is_public_and_the_rest_is_secret(self) -> None:
        one, two = self.run_it("one"), self.run_it("two", OTHER)
        self.assertEqual(tree(one), tree(self.run_it("again")))
        texts = []
        for out in (one, two):
            answers = [read(out / f"{s}_captions/captions.jsonl") for s in ("validation", "test")]
            texts.append([sorted(row["captions"][0] for row in rows) for rows in answers])
        self.assertEqual(*texts)
        ids = [{row["image_id"] for row in read(out / "test/index.jsonl")} for out in (one, two)]
        self.assertFalse(ids[0] & ids[1])
        chosen = sorted(
            (7 * i + 3 for i in range(8)), key=lambda i: hashlib.sha256(b"mlgym coco 1 val2014 %d" % i).hexdigest()
        )[:4]
        self.assertEqual(texts[0][1], sorted(f"Photo {i} of val2014, caption 0." for i in chosen))

    def test_validation_and_test_rows_are_mixed(self) -> None:
        orders = set()
        for number in range(6):
            out = self.run_it(f"mixed{number}", bytes([number]) * 32)
            hidden = {row["image_id"] for row in read(out / "test_captions/captions.jsonl")}
            orders.add("".join("tv"[row["image_id"] in hidden] for row in read(out / "test/index.jsonl")))
        self.assertGreater(len(orders), 2)

    def test_unpacked_folders_give_the_same(self) -> None:
        packed = tree(self.run_it("packed"))
        self.unpack()
        self.assertEqual(tree(self.run_it("unpacked")), packed)

    def test_what_cannot_be_used_is_refused(self) -> None:
        self.unpack()
        notes = self.source / "annotations" / "captions_val2014.json"
        text = notes.read_text()
        content = json.loads(text)
        for name, broken in (
            ("cut", text[:200]),
            ("a list", "[]"),
            ("no images", json.dumps({"annotations": content["annotations"]})),
            ("no captions", json.dumps({**content, "annotations": [{"image_id": 3, "id": 1}]})),
        ):
            with self.subTest(name):
                notes.write_text(broken)
                self.refused("captions_val2014.json cannot be read")
        notes.write_text(json.dumps({**content, "images": content["images"][:3]}))
        self.refused("val2014 has 3 photographs with 5 captions, and 4 are needed")
        notes.write_text(text)
        photos = sorted((self.source / "val2014").iterdir())
        for path in photos:
            path.write_bytes(path.read_bytes()[:100])
        self.refused("COCO_val2014_.* cannot be decoded")
        for path in photos:
            path.unlink()
        self.refused("val2014 lacks the photograph COCO_val2014_")
        (self.source / "val2014").rmdir()
        self.refused("val2014.zip is missing")
        (self.source / "val2014.zip").write_bytes(b"PK\x03\x04 half of it")
        self.refused("val2014.zip is no zip file")
        notes.unlink()
        self.refused("captions_val2014.json is missing")
        (self.source / "annotations_trainval2014.zip").write_bytes(b"no zip")
        self.refused("captions_val2014.json cannot be read")


class ShapesTest(Case):
    def run_it(self, output: str, secret: bytes = SECRET) -> Path:
        prepare.generate(self.preparation(output, secret, "generated"), prepare.Sizes(40, 10, 12))
        return self.folder / output

    def test_splits(self) -> None:
        one, two = self.run_it("one"), self.run_it("two", OTHER)
        self.assertEqual(tree(one), tree(self.run_it("again")))
        self.assertEqual(tree(one / "train"), tree(two / "train"))
        self.assertEqual(len(read(one / "train/index.jsonl")), 40)
        self.assertEqual(len(read(one / "test/index.jsonl")), 22)
        pictures = [set(tree(out / "test/images").values()) for out in (one, two)]
        self.assertEqual([len(pictures[0]), len(pictures[0] & pictures[1])], [22, 0])
        self.assertFalse(pictures[0] & set(tree(one / "train/images").values()))
        for split, count in (("validation_captions", 10), ("test_captions", 12)):
            self.assertEqual(len(read(one / split / "captions.jsonl")), count)

    def test_captions_fit_the_scene(self) -> None:
        numbers = prepare.Random(5)
        for _ in range(300):
            scene = shapes.draw_scene(numbers)
            captions = shapes.describe(scene, numbers)
            self.assertEqual(len(set(captions)), 5)
            colours = {shape.colour for shape in scene.shapes}
            for caption in captions:
                said = {word for word in caption.split() if word in shapes.COLOURS}
                self.assertLessEqual(said, colours, caption)
                self.assertTrue(said, caption)
                self.assertIsNone(re.search(r"\ba [aeiou]|\ban [^aeiou]|  |[{}]", caption), caption)

    def test_pictures_show_the_colours(self) -> None:
        numbers = prepare.Random(6)
        for form in shapes.FORMS:
            scene = shapes.Scene("black", (shapes.Shape(form, "red", "large", 2, 0),))
            pixels = np.asarray(shapes.paint(scene, numbers), dtype=float)
            self.assertEqual(pixels.shape, (48, 48, 3))
            red = (pixels[:, :, 0] > 120) & (pixels[:, :, 1] < 100)
            self.assertGreater(red[32:, :16].sum(), 50, form)
            self.assertEqual(red[:32].sum() + red[:, 16:].sum(), 0, form)


class CommandTest(Case):
    def test_small_variant_by_command_line(self) -> None:
        # The script is run as mlgym runs it, in this process.
        out = self.folder / "out"
        said = io.StringIO()
        arguments = ["--variant", "small", "--kind", "generated", "--source", str(self.source), "--output", str(out)]
        with contextlib.redirect_stdout(said):
            prepare.run(prepare.prepare, arguments)
        self.assertEqual(json.loads(said.getvalue().splitlines()[-1]), {"done": True})
        counts = [len(list((out / split / "images").iterdir())) for split in ("train", "test")]
        self.assertEqual(counts, [prepare.SMALL.train, prepare.SMALL.validation + prepare.SMALL.test])


if __name__ == "__main__":
    unittest.main()
