"""Prepares CIFAR-10, or a stand-in of the same form.

full is CIFAR-10 itself, from the archive of its binary version or from the parquet
files of the Hugging Face Hub. small is made of Fashion-MNIST and is first written
as an archive of the binary version, so that both go the same way.

The validation rows of full are a secret slice of the official training set, as
many of each class. Validation and test rows lie mixed, in secret order and under
secret ids, and nothing else of the original files remains.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import math
import tarfile
import zlib
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import BinaryIO

import numpy as np
from mlgym_dataset import Preparation, run

CLASSES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
ARCHIVE = "cifar-10-binary.tar.gz"
ARCHIVE_SHA256 = "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd"

# The archive: a folder with five training files, a test file and the names of the
# classes. A record is a label and 3,072 bytes: all red values, row by row, all
# green ones, all blue ones.
FOLDER = "cifar-10-batches-bin"
TEST_FILE = "test_batch.bin"
NAMES_FILE = "batches.meta.txt"
PIXELS = 3 * 32 * 32
RECORD = 1 + PIXELS
FULL_FILES = {f"data_batch_{i}.bin": 10_000 for i in range(1, 6)} | {TEST_FILE: 10_000}
MAX_MEMBERS = 100
MAX_OTHER_BYTES = 1 << 20
FULL_VALIDATION = 500  # of each class

PARQUET = {
    "plain_text/train-00000-of-00001.parquet": 50_000,
    "plain_text/test-00000-of-00001.parquet": 10_000,
}

# The stand-in: its training rows are the same everywhere, its hidden ones secret.
CLOTHING = ["T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"]
DEBIAN_FOLDER = "usr/share/datasets/fashion-mnist"
IDX_FILES: dict[str, tuple[tuple[int, ...], str]] = {
    "train-images-idx3-ubyte": ((60000, 28, 28), "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888"),
    "train-labels-idx1-ubyte": ((60000,), "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9"),
}
PUBLIC_SEED = 20090408
SMALL_TRAIN_FILES = {f"data_batch_{i}.bin": 1000 for i in range(1, 5)}  # the fifth file is the validation rows
SMALL_FILES = SMALL_TRAIN_FILES | {"data_batch_5.bin": 500, TEST_FILE: 1000}

Labelled = tuple[np.ndarray, np.ndarray]
"""Images (n, 32, 32, 3) and their labels (n), both bytes."""


def read_records(p: Preparation, name: str, data: bytes, count: int) -> Labelled:
    """Return the images and labels of a file of records."""
    if len(data) != count * RECORD:
        p.refuse(f"{name}: want {count} records of {RECORD} bytes, {count * RECORD} in all, got {len(data)} bytes")
    records = np.frombuffer(data, np.uint8).reshape(count, RECORD)
    labels = records[:, 0]
    if labels.max() >= len(CLASSES):
        row = int(np.argmax(labels >= len(CLASSES)))
        p.refuse(f"{name}: record {row} has the label {labels[row]}, want 0 to {len(CLASSES) - 1}")
    images = records[:, 1:].reshape(count, 3, 32, 32).transpose(0, 2, 3, 1)
    return np.ascontiguousarray(images), labels.copy()


def read_archive(p: Preparation, stream: BinaryIO, files: Mapping[str, int]) -> tuple[dict[str, Labelled], list[str]]:
    """Return what is in each file of an archive, and the names of the classes.

    files says how many records each has. Nothing is written to the disk.
    """
    found: dict[str, bytes] = {}
    try:
        with gzip.open(stream) as unpacked, tarfile.open(fileobj=unpacked, mode="r|") as archive:
            for number, member in enumerate(archive):
                path = PurePosixPath(member.name)
                if path.is_absolute() or ".." in path.parts or not (member.isreg() or member.isdir()):
                    p.refuse(
                        f"the archive holds {member.name!r}, which is no plain file in {FOLDER}: it was tampered with"
                    )
                limit = files.get(path.name, 0) * RECORD or MAX_OTHER_BYTES
                if number >= MAX_MEMBERS or member.size > limit:
                    p.refuse(f"the archive has more than belongs into it: see {member.name!r} of {member.size} bytes")
                wanted = str(path.parent) == FOLDER and (path.name in files or path.name == NAMES_FILE)
                if not wanted or member.isdir():
                    continue
                if path.name in found:
                    p.refuse(f"the archive holds {member.name!r} twice")
                content = archive.extractfile(member)
                assert content is not None  # it is a regular file
                found[path.name] = content.read()
                p.progress(f"reading {path.name}", len(found), len(files) + 1)
            unpacked.read(MAX_OTHER_BYTES)  # the padding; at the end the checksum is looked at
    except (tarfile.TarError, OSError, EOFError, zlib.error) as error:
        p.refuse(f"the archive is damaged or cut off: {error}")
    if missing := sorted({*files, NAMES_FILE} - found.keys()):
        p.refuse(f"the archive lacks {', '.join(missing)} in {FOLDER}")
    try:
        names = found[NAMES_FILE].decode("utf-8").split("\n")
    except UnicodeDecodeError:
        p.refuse(f"{NAMES_FILE} is no text")
    names = [name.strip() for name in names if name.strip()]
    if len(names) != len(CLASSES):
        p.refuse(f"{NAMES_FILE} has {len(names)} names of classes, want {len(CLASSES)}")
    return {name: read_records(p, name, found[name], count) for name, count in files.items()}, names


def read_parquet(p: Preparation, name: str, count: int) -> Labelled:
    """Return the images, stored as PNG, and the labels of a parquet file."""
    import pyarrow
    import pyarrow.parquet
    from PIL import Image

    try:
        table = pyarrow.parquet.read_table(p.file(name), columns=["img", "label"])
        files, labels = table.column("img").to_pylist(), table.column("label").to_pylist()
        if len(files) != count or not all(type(label) is int and 0 <= label < len(CLASSES) for label in labels):
            p.refuse(f"{name}: want {count} rows with labels from 0 to {len(CLASSES) - 1}, got {len(files)}")
        images = np.empty((count, 32, 32, 3), np.uint8)
        for row, file in enumerate(files):
            with Image.open(io.BytesIO(file["bytes"]), formats=["PNG"]) as image:
                if image.size != (32, 32) or image.mode != "RGB":
                    p.refuse(f"{name}: row {row} is an image of {image.size} in {image.mode}, want 32x32 in RGB")
                images[row] = np.asarray(image)
            p.progress(f"decoding {name}", row + 1, count)
    except (pyarrow.ArrowException, OSError, KeyError, TypeError) as error:
        p.refuse(f"{name} cannot be read: {error}")
    return images, np.array(labels, np.uint8)


def read_full(p: Preparation) -> tuple[Labelled, Labelled]:
    """Return the official training and test set."""
    if p.kind == "huggingface":
        train, test = (read_parquet(p, name, count) for name, count in PARQUET.items())
    else:
        with p.file(ARCHIVE, ARCHIVE_SHA256).open("rb") as stream:
            files, names = read_archive(p, stream, FULL_FILES)
        if names != CLASSES:
            p.refuse(f"the archive's classes are {names}, want {CLASSES}")
        test = files.pop(TEST_FILE)
        images, labels = zip(*files.values(), strict=True)
        train = np.concatenate(images), np.concatenate(labels)
    for name, (_, labels) in (("training", train), ("test", test)):
        if len(set(np.bincount(labels, minlength=len(CLASSES)))) != 1:
            p.refuse(f"the {name} set has not as many images of each class")
    return train, test


def read_idx(p: Preparation, name: str) -> np.ndarray:
    """Return the array of bytes in an idx file of Fashion-MNIST, which may be compressed."""
    shape, sha256 = IDX_FILES[name]
    folder = p.source / DEBIAN_FOLDER if p.kind == "debian" else p.source
    path = next((folder / n for n in (name + ".gz", name) if (folder / n).is_file()), None)
    if path is None:
        p.refuse(f"neither {name}.gz nor {name} is in {folder}")
    size = 4 + 4 * len(shape) + math.prod(shape)
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            data = file.read(size + 1)
    except (OSError, EOFError, zlib.error) as error:
        p.refuse(f"{path} cannot be unpacked: {error}")
    if len(data) != size or hashlib.sha256(data).hexdigest() != sha256:
        p.refuse(f"{path} is not the official file: want {size} bytes (unpacked) with the SHA-256 {sha256}")
    return np.frombuffer(data, np.uint8, offset=size - math.prod(shape)).reshape(shape)


def coloured(grey: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return colour images (n, 32, 32, 3) of pieces of clothing (n, 28, 28).

    Each is moved by up to two pixels, tinted, and pasted on a background of a few
    colours that run into each other.
    """
    count = len(grey)
    padded = np.zeros((count, 32, 32), np.float64)
    for i, (down, right) in enumerate(rng.integers(0, 5, (count, 2))):
        padded[i, down : down + 28, right : right + 28] = grey[i] / 255
    # The background: 4x4 random colours, drawn out linearly to 32x32.
    place = np.linspace(0, 3, 32)
    spread = np.maximum(0, 1 - np.abs(place[:, None] - np.arange(4)))
    background = np.einsum("yi,nijc,xj->nyxc", spread, rng.random((count, 4, 4, 3)), spread)
    tint = rng.uniform(0.2, 1, (count, 1, 1, 3))
    cover = np.clip(5 * padded, 0, 1)[..., None]
    images = cover * tint * (0.3 + 0.7 * padded[..., None]) + (1 - cover) * background
    return np.round(255 * images).astype(np.uint8)


def draw(labels: np.ndarray, rows: np.ndarray, each: int, rng: np.random.Generator) -> np.ndarray:
    """Return so many of the rows of each class, in random order."""
    parts = [rng.permutation(rows[labels[rows] == c])[:each] for c in range(len(CLASSES))]
    return rng.permutation(np.concatenate(parts))


def make_archive(images: np.ndarray, labels: np.ndarray, files: Mapping[str, int], names: list[str]) -> bytes:
    """Return an archive of the binary version, with the rows in the order of its files."""
    records = np.empty((len(labels), RECORD), np.uint8)
    records[:, 0] = labels
    records[:, 1:] = images.transpose(0, 3, 1, 2).reshape(len(labels), PIXELS)
    contents, start = {NAMES_FILE: ("\n".join(names) + "\n").encode()}, 0
    for name, count in files.items():
        contents[name] = records[start : start + count].tobytes()
        start += count
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz", compresslevel=1) as archive:
        for name, content in contents.items():
            member = tarfile.TarInfo(f"{FOLDER}/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return packed.getvalue()


def make_small(p: Preparation) -> bytes:
    """Return the archive of the stand-in."""
    p.progress("making images of Fashion-MNIST")
    grey, labels = read_idx(p, "train-images-idx3-ubyte"), read_idx(p, "train-labels-idx1-ubyte")
    public, secret = np.random.default_rng(PUBLIC_SEED), np.random.default_rng(p.seed("hidden rows"))
    every, taken, parts = np.arange(len(labels)), np.empty(0, int), []
    for files, rng in ((SMALL_TRAIN_FILES, public), (("data_batch_5.bin",), secret), ((TEST_FILE,), secret)):
        each = sum(SMALL_FILES[name] for name in files) // len(CLASSES)
        rows = draw(labels, np.setdiff1d(every, taken), each, rng)
        taken = np.concatenate([taken, rows])
        parts.append(coloured(grey[rows], rng))
    return make_archive(np.concatenate(parts), labels[taken], SMALL_FILES, CLOTHING)


def write(p: Preparation, names: list[str], train: Labelled, validation: Labelled, test: Labelled) -> None:
    """Write all splits."""
    p.progress("writing the splits")
    folder = p.split("train")
    np.save(folder / "images.npy", train[0])
    np.save(folder / "labels.npy", train[1])
    (folder / "classes.txt").write_text("\n".join(names) + "\n", encoding="utf-8")

    images, labels = np.concatenate([validation[0], test[0]]), np.concatenate([validation[1], test[1]])
    order = np.random.default_rng(p.seed("order of the hidden rows")).permutation(len(images))
    ids = p.ids(len(images))
    np.save(p.split("test") / "images.npy", images[order])
    (p.split("test") / "ids.txt").write_text("\n".join(ids) + "\n", encoding="utf-8")
    for name, wanted in (
        ("validation_labels", order < len(validation[0])),
        ("test_labels", order >= len(validation[0])),
    ):
        rows = [f"{key},{label}\n" for key, label, want in zip(ids, labels[order], wanted, strict=True) if want]
        (p.split(name) / "labels.csv").write_text("id,label\n" + "".join(rows), encoding="utf-8")


def prepare(p: Preparation) -> None:
    """Prepare either variant."""
    if p.variant == "full":
        (images, labels), test = read_full(p)
        secret, every = np.random.default_rng(p.seed("hidden rows")), np.arange(len(labels))
        validation = draw(labels, every, FULL_VALIDATION, secret)
        rest = secret.permutation(np.setdiff1d(every, validation))
        write(p, CLASSES, (images[rest], labels[rest]), (images[validation], labels[validation]), test)
        return
    files, names = read_archive(p, io.BytesIO(make_small(p)), SMALL_FILES)
    images, labels = zip(*(files[name] for name in SMALL_TRAIN_FILES), strict=True)
    train = np.concatenate(images), np.concatenate(labels)
    write(p, names, train, files["data_batch_5.bin"], files[TEST_FILE])


if __name__ == "__main__":
    run(prepare)
