"""Prepares pictures with captions: COCO 2014 itself, or made pictures of shapes.

Which photographs are taken is public and the same everywhere (see choose); names and
order of the hidden ones, and which caption the character BLEU compares with, are
drawn with the secret of the installation. Every picture is decoded and encoded anew, smaller
and without metadata, so that no file can be found by its name, date or digest.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random

import shapes
from mlgym_dataset import Preparation, run
from PIL import Image

CAPTIONS = 5
SHORT_SIDE = 256  # of a photograph, in pixels
QUALITY = 90


@dataclass(frozen=True)
class Sizes:
    """How many pictures there are for training, for hidden validation and for the test."""

    train: int
    validation: int
    test: int


# The numbers of pictures seen in the published runs, for which no list is known.
FULL = Sizes(train=37_609, validation=9_435, test=9_435)
SMALL = Sizes(train=3_000, validation=500, test=500)


@dataclass(frozen=True)
class Row:
    """One picture that is to be written: how to get it, and its captions."""

    load: Callable[[], Image.Image]
    captions: Sequence[str]


def prepare(p: Preparation) -> None:
    """Write the splits."""
    if p.kind == "generated":
        generate(p, SMALL)
    else:
        photographs(p, FULL)


# Photographs of COCO.


@dataclass(frozen=True)
class Images:
    """The photographs of one part of COCO: PART.zip, or the folder PART."""

    place: Path
    part: str

    def load(self, name: str) -> Image.Image:
        """Decode one photograph."""
        path = self.place / self.part
        data = (path / name).read_bytes() if path.is_dir() else _archive(path).read(f"{self.part}/{name}")
        return shrink(Image.open(io.BytesIO(data)))


_archives: dict[Path, zipfile.ZipFile] = {}  # opened once in each process


def _archive(path: Path) -> zipfile.ZipFile:
    if path not in _archives:
        _archives[path] = zipfile.ZipFile(path.with_name(f"{path.name}.zip"))
    return _archives[path]


def shrink(image: Image.Image) -> Image.Image:
    """Return a photograph in RGB whose shorter side has at most SHORT_SIDE pixels."""
    image.draft("RGB", (2 * SHORT_SIDE, 2 * SHORT_SIDE))  # a JPEG need not be decoded larger
    image = image.convert("RGB")
    ratio = SHORT_SIDE / min(image.size)
    if ratio >= 1:
        return image
    width, height = (max(SHORT_SIDE, round(side * ratio)) for side in image.size)
    return image.resize((width, height), Image.Resampling.BICUBIC, reducing_gap=3.0)


def photographs(p: Preparation, sizes: Sizes) -> None:
    """Write the splits from COCO 2014.

    As in the published runs, the test pictures are of COCO's own validation part
    and the training pictures of its training part, from which the hidden validation
    rows are held out.
    """
    learn = read_captions(p, "train2014")
    hidden = read_captions(p, "val2014")
    chosen = choose(p, "train2014", learn, sizes.validation + sizes.train)
    rows = partial(_rows, p)
    write(
        p,
        list(rows("train2014", learn, chosen[sizes.validation :])),
        list(rows("train2014", learn, chosen[: sizes.validation])),
        list(rows("val2014", hidden, choose(p, "val2014", hidden, sizes.test))),
    )


def choose(p: Preparation, part: str, names: Mapping[int, object], count: int) -> list[int]:
    """Return the ids of the photographs to take, in a public order.

    They are those with the smallest SHA-256 of the text "mlgym coco 1 PART ID",
    ID in decimal: a choice that anyone can repeat, and that depends on nothing else.
    """
    if len(names) < count:
        p.refuse(f"{part} has {len(names)} photographs with {CAPTIONS} captions, and {count} are needed")
    return sorted(names, key=lambda image: hashlib.sha256(f"mlgym coco 1 {part} {image}".encode()).digest())[:count]


def read_captions(p: Preparation, part: str) -> dict[int, tuple[str, list[str]]]:
    """Return file name and captions by id of the photographs of a part of COCO.

    A photograph has the first five of its captions, by the ids of the captions, with
    white space made single; those that have fewer are left out.
    """
    name = f"annotations/captions_{part}.json"
    p.progress(f"reading {name}")
    archive = p.source / "annotations_trainval2014.zip"
    try:
        if (p.source / name).is_file() or not archive.is_file():
            text = p.file(name).read_bytes()
        else:
            with zipfile.ZipFile(archive) as file:
                text = file.read(name)
        content = json.loads(text)
        names = {int(image["id"]): str(image["file_name"]) for image in content["images"]}
        found: dict[int, list[tuple[int, str]]] = {}
        for note in content["annotations"]:
            caption = " ".join(str(note["caption"]).split())
            if caption:
                found.setdefault(int(note["image_id"]), []).append((int(note["id"]), caption))
    except (zipfile.BadZipFile, KeyError, TypeError, ValueError) as error:
        p.refuse(f"{name} cannot be read as captions of COCO: {type(error).__name__}: {error}")
    return {
        image: (names[image], [caption for _, caption in sorted(captions)[:CAPTIONS]])
        for image, captions in found.items()
        if image in names and len(captions) >= CAPTIONS
    }


def _rows(
    p: Preparation, part: str, captions: Mapping[int, tuple[str, list[str]]], ids: Iterable[int]
) -> Iterator[Row]:
    folder, archive = p.source / part, p.source / f"{part}.zip"
    if folder.is_dir():
        names = {entry.name for entry in os.scandir(folder)}
    else:
        p.file(archive.name)
        try:
            with zipfile.ZipFile(archive) as file:
                names = {name.removeprefix(f"{part}/") for name in file.namelist()}
        except zipfile.BadZipFile as error:
            p.refuse(f"{archive} is no zip file: {error}")
    images = Images(p.source, part)
    for image in ids:
        name, texts = captions[image]
        if name not in names:
            p.refuse(f"{part} lacks the photograph {name}")
        yield Row(partial(images.load, name), texts)


# Made pictures.


def generate(p: Preparation, sizes: Sizes) -> None:
    """Write the splits with pictures of shapes.

    The training pictures are the same everywhere; those of the hidden rows come
    from secret seeds.
    """
    write(
        p,
        list(made(Random(20_140_914), sizes.train)),
        list(made(p.random("validation pictures"), sizes.validation)),
        list(made(p.random("test pictures"), sizes.test)),
    )


def made(numbers: Random, count: int) -> Iterator[Row]:
    """Draw pictures and their captions."""
    for _ in range(count):
        scene = shapes.draw_scene(numbers)
        picture = shapes.paint(scene, numbers)
        yield Row(picture.copy, shapes.describe(scene, numbers))


# Writing, the same for both.


def write(p: Preparation, train: list[Row], validation: list[Row], test: list[Row]) -> None:
    """Write all splits; the hidden rows are mixed and get opaque ids."""
    ids = [f"{number:06d}" for number in range(1, len(train) + 1)]
    encode(p, "train", train, ids)
    lines(p, "train", "index.jsonl", (_line(i, row.captions) for i, row in zip(ids, train, strict=True)))

    hidden = [("validation_captions", row) for row in validation] + [("test_captions", row) for row in test]
    p.random("hidden order").shuffle(hidden)
    ids = p.ids(len(hidden), "hidden ids")
    encode(p, "test", [row for _, row in hidden], ids)
    lines(p, "test", "index.jsonl", (_line(i) for i in ids))

    numbers = p.random("reference")
    answers: dict[str, list[dict[str, object]]] = {"validation_captions": [], "test_captions": []}
    for image, (split, row) in zip(ids, hidden, strict=True):
        answer = {"image_id": image, "captions": row.captions, "reference": numbers.randrange(len(row.captions))}
        answers[split].append(answer)
    for split, entries in answers.items():
        lines(p, split, "captions.jsonl", entries)


def _line(image: str, captions: Sequence[str] = ()) -> dict[str, object]:
    return {"image_id": image, "file": f"images/{image}.jpg"} | ({"captions": captions} if captions else {})


def lines(p: Preparation, split: str, name: str, entries: Iterable[Mapping[str, object]]) -> None:
    """Write JSON objects, one a line."""
    with (p.split(split) / name).open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(json.dumps(entry, ensure_ascii=False) + "\n" for entry in entries)


def encode(p: Preparation, split: str, rows: Sequence[Row], ids: Sequence[str]) -> None:
    """Write the pictures of a split as JPEG files without metadata."""
    folder = p.split(split) / "images"
    folder.mkdir()
    jobs = [(row.load, folder / f"{image}.jpg") for row, image in zip(rows, ids, strict=True)]
    with ProcessPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        for done, problem in enumerate(pool.map(_save, jobs, chunksize=64), start=1):
            if problem:
                p.refuse(problem)
            p.progress(f"writing the pictures of {split}", done, len(jobs))


def _save(job: tuple[Callable[[], Image.Image], Path]) -> str:
    """Write one picture and return what is wrong with its source, if anything."""
    load, path = job
    try:
        picture = load()
    except (OSError, KeyError, zipfile.BadZipFile, Image.DecompressionBombError) as error:
        what = getattr(load, "args", ("?",))[0]
        return f"the photograph {what} cannot be decoded: {error}"
    # A new image carries over pixels only.
    clean = Image.frombytes("RGB", picture.size, picture.tobytes())
    clean.save(path, "JPEG", quality=QUALITY, subsampling=0 if max(picture.size) < SHORT_SIDE else 2)
    return ""


if __name__ == "__main__":
    run(prepare)
