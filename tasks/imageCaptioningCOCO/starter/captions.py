"""Reading the data, scoring captions, writing the submission."""

from __future__ import annotations

import csv
import json
import math
import re
from collections import Counter
from pathlib import Path

import numpy as np
from PIL import Image

DATA = Path("data")
MAX_WORDS = 60  # in a caption that is handed in
RARE = 5  # words with fewer occurrences in training do not count in "BLEU Score"


def read_index(split: str) -> list[dict]:
    """Return the rows of a split: image_id, file and, in train, captions."""
    with (DATA / split / "index.jsonl").open(encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def load_images(split: str, rows: list[dict], side: int) -> np.ndarray:
    """Return the pictures as uint8 with the shape (rows, side, side, 3), squeezed into squares."""
    images = np.empty((len(rows), side, side, 3), np.uint8)
    for number, row in enumerate(rows):
        with Image.open(DATA / split / row["file"]) as image:
            image.draft("RGB", (side, side))  # large JPEG files are decoded smaller, which is quicker
            image = image.convert("RGB")
            if image.size != (side, side):
                image = image.resize((side, side), Image.Resampling.BILINEAR, reducing_gap=2.0)
            images[number] = np.asarray(image)
        if (number + 1) % 5000 == 0:
            print(f"{split}: {number + 1} of {len(rows)} pictures read", flush=True)
    return images


def tokens(text: str) -> list[str]:
    """Split a caption into small-letter words and punctuation marks, as the scorer does."""
    return re.findall(r"'s\b|[^\W_]+|[^\w\s]|_", text.lower().replace("\u2019", "'"))


def words(text: str) -> list[str]:
    """Split a caption into words, without punctuation."""
    return [token for token in tokens(text) if token[-1].isalnum()]


def bleu4_corpus(captions: list[str], references: list[list[str]]) -> float:
    """Corpus BLEU-4 over words, the primary metric; references holds a list of captions for each."""
    matches, total, length, nearest = [0] * 4, [0] * 4, 0, 0
    for caption, group in zip(captions, references, strict=True):
        hypothesis, others = words(caption), [words(reference) for reference in group]
        length += len(hypothesis)
        nearest += min((abs(len(other) - len(hypothesis)), len(other)) for other in others)[1]
        for n in range(1, 5):
            mine, allowed = ngrams(hypothesis, n), Counter()
            for other in others:
                allowed |= ngrams(other, n)
            matches[n - 1] += (mine & allowed).total()
            total[n - 1] += mine.total()
    return combine(matches, total, length, nearest)


def character_bleu(caption: str, reference: str, known: set[str]) -> float:
    """BLEU-4 over characters with one reference; "BLEU Score" is its mean.

    known holds the tokens with at least RARE occurrences in the training captions.
    """
    mine, other = (" ".join(token for token in tokens(text) if token in known) for text in (caption, reference))
    grams = [(ngrams(mine, n), ngrams(other, n)) for n in range(1, 5)]
    return combine([(a & b).total() for a, b in grams], [a.total() for a, _ in grams], len(mine), len(other))


def ngrams(sequence, n: int) -> Counter:
    """Count the n-grams of a list of words, or of text."""
    return Counter(zip(*(sequence[i:] for i in range(n)), strict=False))


def combine(matches: list[int], total: list[int], length: int, nearest: int) -> float:
    """BLEU from counts: the geometric mean of the precisions times the penalty for brevity."""
    if not all(matches):
        return 0.0
    penalty = min(1.0, math.exp(1 - nearest / length))
    return penalty * math.exp(sum(math.log(m / t) for m, t in zip(matches, total, strict=True)) / 4)


def write_submission(ids: list[str], captions: list[str]) -> None:
    """Write submission.csv."""
    with Path("submission.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["image_id", "caption"])
        writer.writerows(zip(ids, captions, strict=True))
