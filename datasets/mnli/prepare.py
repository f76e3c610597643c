"""Prepares MultiNLI, or made pairs of the same form.

full is MultiNLI itself, from the parquet files of the Hugging Face Hub or from the
official archive. Its validation rows are a secret part of the official training set
that shares no premise with the rest: three hypotheses were written for each premise,
and a model that has seen two of them knows something about the third. The test rows
are the official matched development set, the one that published scores are about.

small is made by sentences.py: its training rows are the same everywhere, its hidden
ones secret.

A split is a file of JSON lines: premise, hypothesis, label (0 entailment, 1 neutral,
2 contradiction) and genre. Rows are in secret order, and nothing else of the
original files remains: their pair ids end in a letter that gives the label away.
"""

from __future__ import annotations

import json
import random
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from mlgym_dataset import Preparation, run
from sentences import pairs

LABELS = {"entailment": 0, "neutral": 1, "contradiction": 2}
TRAIN, TEST = 392_702, 9_815  # pairs with a label that most annotators agreed on
VALIDATION = 5_000

ARCHIVE = "multinli_1.0.zip"
MEMBERS = ("multinli_1.0/multinli_1.0_train.jsonl", "multinli_1.0/multinli_1.0_dev_matched.jsonl")
MAX_MEMBER_BYTES = 1 << 30
PARQUET = ("data/train-00000-of-00001.parquet", "data/validation_matched-00000-of-00001.parquet")

PUBLIC_SEED = 20180601
SMALL_TRAIN, SMALL_VALIDATION, SMALL_TEST = 3000, 600, 600


class Pair(NamedTuple):
    """A row of the official files, as far as it is used."""

    premise: str
    hypothesis: str
    label: int
    genre: str
    prompt: str
    """Names the premise that the pair was written for."""


def read_archive(p: Preparation, path: Path) -> list[list[Pair]]:
    """Return the training and the matched development set of the official archive."""
    try:
        with zipfile.ZipFile(path) as archive:
            return [list(read_member(p, archive, name)) for name in MEMBERS]
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
        p.refuse(f"{path} is damaged or cut off: {error}")


def read_member(p: Preparation, archive: zipfile.ZipFile, name: str) -> Iterator[Pair]:
    """Yield the labelled rows of a file in the archive; a few have no label that most agreed on."""
    try:
        size = archive.getinfo(name).file_size
    except KeyError:
        p.refuse(f"the archive lacks {name}")
    if size > MAX_MEMBER_BYTES:
        p.refuse(f"{name} takes {size} bytes, more than belong into it")
    with archive.open(name) as lines:
        for number, line in enumerate(lines, start=1):
            try:
                row = json.loads(line)
                if row["gold_label"] != "-":
                    pair = row["sentence1"], row["sentence2"], LABELS[row["gold_label"]], row["genre"]
                    yield Pair(*pair, str(row["promptID"]))
            except (ValueError, KeyError, TypeError) as error:
                p.refuse(f"{name}, line {number} is not a pair: {error!r}")
            p.progress(f"reading {name}", lines.tell(), size)


def read_parquet(p: Preparation, path: Path) -> list[Pair]:
    """Return the labelled rows of a parquet file."""
    import pyarrow
    import pyarrow.parquet

    p.progress(f"reading {path.name}")
    columns = ["premise", "hypothesis", "label", "genre", "promptID"]
    try:
        table = pyarrow.parquet.read_table(path, columns=columns)
        rows = zip(*(table.column(name).to_pylist() for name in columns), strict=True)
        made = [Pair(*row[:4], str(row[4])) for row in rows if row[2] != -1]
    except (pyarrow.ArrowException, OSError, KeyError) as error:
        p.refuse(f"{path} cannot be read: {error}")
    for number, pair in enumerate(made):
        texts = (pair.premise, pair.hypothesis, pair.genre)
        if not all(isinstance(text, str) for text in texts) or pair.label not in LABELS.values():
            p.refuse(f"{path}: row {number} is not a pair with a label from 0 to 2")
    return made


def read_full(p: Preparation) -> tuple[list[Pair], list[Pair]]:
    """Return the official training set and the matched development set."""
    if (p.source / ARCHIVE).is_file():
        train, test = read_archive(p, p.source / ARCHIVE)
    else:
        inside = [name if (p.source / name).is_file() else Path(name).name for name in PARQUET]
        if not (p.source / inside[0]).is_file():
            p.refuse(f"neither {ARCHIVE} nor {PARQUET[0]} is in {p.source}")
        train, test = (read_parquet(p, p.file(name)) for name in inside)
    for name, rows, want in (("training", train, TRAIN), ("matched development", test, TEST)):
        if len(rows) != want:
            p.refuse(f"the {name} set has {len(rows)} labelled pairs, want {want}: this is not MultiNLI 1.0")
    return train, test


def groups(rows: Sequence[Pair]) -> list[list[int]]:
    """Return the numbers of the rows, those together that share a prompt or the text of the premise."""
    parent: dict[tuple[str, str], tuple[str, str]] = {}

    def root(key: tuple[str, str]) -> tuple[str, str]:
        while (above := parent.setdefault(key, key)) != key:
            parent[key] = key = parent[above]
        return key

    for row in rows:
        parent[root(("premise", " ".join(row.premise.lower().split())))] = root(("prompt", row.prompt))
    members: dict[tuple[str, str], list[int]] = {}
    for number, row in enumerate(rows):
        members.setdefault(root(("prompt", row.prompt)), []).append(number)
    return list(members.values())


def hold_out(rows: Sequence[Pair], count: int, draw: random.Random) -> tuple[list[Pair], list[Pair]]:
    """Return the rows in two parts that share no premise; the second one has so many rows.

    Where whole groups do not make up the number, one is cut, and what is left of it is in neither part.
    """
    order = groups(rows)
    draw.shuffle(order)
    held: list[int] = []
    rest: list[list[int]] = []
    for group in order:
        if len(held) + len(group) <= count:
            held += group
        else:
            rest.append(group)
    if short := count - len(held):
        held += min(rest, key=len)[:short]
        rest.remove(min(rest, key=len))
    return [rows[i] for group in rest for i in group], [rows[i] for i in held]


def write(p: Preparation, split: str, rows: Sequence[Sequence[str | int]]) -> None:
    """Write a split; of a row the first four values count."""
    p.progress(f"writing {split}")
    with (p.split(split) / "pairs.jsonl").open("w", encoding="utf-8") as file:
        for premise, hypothesis, label, genre, *_ in rows:
            row = {"premise": premise, "hypothesis": hypothesis, "label": label, "genre": genre}
            file.write(json.dumps(row, ensure_ascii=False) + "\n")


def prepare(p: Preparation) -> None:
    """Prepare either variant."""
    if p.variant == "full":
        official, test = read_full(p)
        train, validation = hold_out(official, VALIDATION, p.random("validation rows"))
        for split, rows in (("train", train), ("validation_pairs", validation), ("test_pairs", test)):
            p.random(f"order of {split}").shuffle(rows)
            write(p, split, rows)
        return
    taken: set[tuple[str, str]] = set()
    write(p, "train", pairs(SMALL_TRAIN, random.Random(PUBLIC_SEED), taken))
    secret = p.random("hidden rows")
    write(p, "validation_pairs", pairs(SMALL_VALIDATION, secret, taken))
    write(p, "test_pairs", pairs(SMALL_TEST, secret, taken))


if __name__ == "__main__":
    run(prepare)
