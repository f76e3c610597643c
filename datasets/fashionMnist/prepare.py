"""Prepares Fashion-MNIST from its four idx files.

The validation rows are a secret slice of the official training set, as many of
each class. Validation and test rows lie mixed, in secret order and under secret
ids, and nothing else of the original files remains. The small variant is drawn
from the official training set alone, so that it tells nothing about the test set.
"""

from __future__ import annotations

import gzip
import hashlib
import math
from pathlib import Path

import numpy as np
from mlgym_dataset import Preparation, run

CLASSES = ["T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"]
DEBIAN_FOLDER = "usr/share/datasets/fashion-mnist"
PUBLIC_SEED = 20170825  # the training rows of the small variant are the same everywhere

# Shape, and SHA-256 of the uncompressed file: packers differ, contents do not.
FILES: dict[str, tuple[tuple[int, ...], str]] = {
    "train-images-idx3-ubyte": ((60000, 28, 28), "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888"),
    "train-labels-idx1-ubyte": ((60000,), "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9"),
    "t10k-images-idx3-ubyte": ((10000, 28, 28), "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b"),
    "t10k-labels-idx1-ubyte": ((10000,), "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34"),
}

# Rows of each class.
FULL_VALIDATION = 500
SMALL_TRAIN, SMALL_VALIDATION, SMALL_TEST = 400, 50, 100


def read_idx(p: Preparation, name: str) -> np.ndarray:
    """Return the array of bytes in an idx file, which may be compressed."""
    shape, sha256 = FILES[name]
    folder = p.source / DEBIAN_FOLDER if p.kind == "debian" else p.source
    path = next((folder / n for n in (name + ".gz", name) if (folder / n).is_file()), None)
    if path is None:
        p.refuse(f"neither {name}.gz nor {name} is in {folder}")
    # The header: two zero bytes, the type (8: bytes), the number of dimensions, each of them in four bytes.
    header = bytes([0, 0, 8, len(shape)]) + b"".join(n.to_bytes(4, "big") for n in shape)
    size = len(header) + math.prod(shape)
    data = unpack(p, path, size + 1)
    if len(data) != size or hashlib.sha256(data).hexdigest() != sha256:
        p.refuse(f"{path} is not the official file: want {size} bytes (unpacked) with the SHA-256 {sha256}")
    if not data.startswith(header):
        p.refuse(f"{path} is not an idx file of shape {shape}")
    return np.frombuffer(data, np.uint8, offset=len(header)).reshape(shape)


def unpack(p: Preparation, path: Path, limit: int) -> bytes:
    """Return the first bytes of a file, unpacked; no file makes us unpack more than the limit."""
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            return file.read(limit)
    except (OSError, EOFError, gzip.zlib.error) as error:
        p.refuse(f"{path} cannot be unpacked: {error}")


def draw(labels: np.ndarray, rows: np.ndarray, each: int, rng: np.random.Generator) -> np.ndarray:
    """Return so many of the rows of each class, in random order."""
    parts = [rng.permutation(rows[labels[rows] == c])[:each] for c in range(len(CLASSES))]
    return rng.permutation(np.concatenate(parts))


def write(p: Preparation, train: tuple, validation: tuple, test: tuple) -> None:
    """Write all splits; each argument is images and their labels."""
    folder = p.split("train")
    np.save(folder / "images.npy", train[0])
    np.save(folder / "labels.npy", train[1])
    (folder / "classes.txt").write_text("\n".join(CLASSES) + "\n", encoding="utf-8")

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
    p.progress("reading the idx files")
    images, labels = read_idx(p, "train-images-idx3-ubyte"), read_idx(p, "train-labels-idx1-ubyte")
    every, secret = np.arange(len(labels)), np.random.default_rng(p.seed("hidden rows"))
    if p.variant == "full":
        validation = draw(labels, every, FULL_VALIDATION, secret)
        train = secret.permutation(np.setdiff1d(every, validation))
        test_set = read_idx(p, "t10k-images-idx3-ubyte"), read_idx(p, "t10k-labels-idx1-ubyte")
    else:
        train = draw(labels, every, SMALL_TRAIN, np.random.default_rng(PUBLIC_SEED))
        hidden = np.setdiff1d(every, train)
        validation = draw(labels, hidden, SMALL_VALIDATION, secret)
        test = draw(labels, np.setdiff1d(hidden, validation), SMALL_TEST, secret)
        test_set = images[test], labels[test]
    p.progress("writing the splits")
    write(p, (images[train], labels[train]), (images[validation], labels[validation]), test_set)


if __name__ == "__main__":
    run(prepare)
