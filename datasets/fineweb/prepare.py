"""Prepares FineWeb: shards of GPT-2 tokens, or the novels of Jane Austen as bytes.

full     train       the shards that were fetched; the last one without its first 1,048,577 tokens
         validation  those 1,048,577 tokens
         test        the first 10,485,761 tokens of the official validation shard
small    train       five novels, a shard each
         validation  65,537 bytes of the sixth, from a secret place
         test        65,537 other bytes of it

One token more than is scored, because the last one is a successor only. Each split
has a meta.json. Shards that were fetched are linked and not copied; files of the
user's own are copied, since what happens to them later is not in our hands.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path

import numpy as np
import rlazy
import shards
from mlgym_dataset import Preparation, run

NAMES = re.compile(r"fineweb_train_(?!000000)([0-9]{6})\.bin")
OFFICIAL = "fineweb_val_000000.bin"
GPT2_VOCABULARY = 50257
FULL = {"vocab_size": GPT2_VOCABULARY, "tokenizer": "gpt2", "window": 1024}
VALIDATION_TOKENS = 1024 * 1024 + 1
TEST_TOKENS = 10 * 1024 * 1024 + 1

LIBRARY = "usr/lib/R/site-library/janeaustenr/data"
NOVELS = ("sensesensibility", "prideprejudice", "mansfieldpark", "emma", "northangerabbey")
HIDDEN_NOVEL = "persuasion"
SMALL = {"vocab_size": 256, "tokenizer": "bytes", "window": 128}
SMALL_TOKENS = 512 * 128 + 1


def prepare(p: Preparation) -> None:
    """Write the splits of the variant."""
    if p.variant == "small":
        small(p)
    else:
        full(p)


def full(p: Preparation) -> None:
    """Link or copy the shards of FineWeb and hold the validation tokens out."""
    numbers = sorted(int(match[1]) for path in p.source.iterdir() if (match := NAMES.fullmatch(path.name)))
    if not numbers:
        p.refuse(f"there is no fineweb_train_000001.bin in {p.source}")
    if numbers != list(range(1, len(numbers) + 1)):
        missing = min(set(range(1, numbers[-1])) - set(numbers))
        p.refuse(f"fineweb_train_{missing:06d}.bin is missing in {p.source}, and later ones are there")
    # What may be refused comes first, so that it comes early.
    official = open_shard(p, OFFICIAL)
    if len(official) < TEST_TOKENS:
        p.refuse(f"{OFFICIAL} has {len(official)} tokens; the test needs {TEST_TOKENS}")
    names = [f"fineweb_train_{number:06d}.bin" for number in numbers]
    train = []
    for done, name in enumerate(names):
        p.progress(f"looking at {name}", done, len(names))
        train.append(open_shard(p, name))
    last = train[-1]
    if len(last) <= VALIDATION_TOKENS:
        p.refuse(f"{names[-1]} has {len(last)} tokens; {VALIDATION_TOKENS} of them are held out, and some must be left")

    folder = p.split("train")
    for done, name in enumerate(names[:-1]):
        p.progress(f"keeping {name}", done, len(names))
        keep(p, p.file(name), folder / name)
    shards.write_shard(
        folder / names[-1],
        last[VALIDATION_TOKENS:],
        lambda done: p.progress(f"writing {names[-1]}", done, len(last) - VALIDATION_TOKENS),
    )
    write_meta(folder, FULL, {name: len(tokens) for name, tokens in zip(names[:-1], train, strict=False)}
               | {names[-1]: len(last) - VALIDATION_TOKENS})  # fmt: skip
    write_split(p, "validation", "fineweb_validation.bin", last[:VALIDATION_TOKENS], FULL)
    write_split(p, "test", "fineweb_test.bin", official[:TEST_TOKENS], FULL)


def small(p: Preparation) -> None:
    """Write the novels as bytes."""
    try:
        texts = rlazy.texts(p.file(f"{LIBRARY}/Rdata.rdx").parent)
    except (rlazy.Unknown, OSError, EOFError, ValueError, LookupError, TypeError) as error:
        p.refuse(f"the novels cannot be read: {error}")
    novels = {}
    for name in (*NOVELS, HIDDEN_NOVEL):
        if name not in texts:
            p.refuse(f"the package has no novel {name}")
        novels[name] = np.frombuffer("\n".join(texts[name]).encode(), dtype=np.uint8).astype("<u2")
    counts = {}
    for number, name in enumerate(NOVELS, start=1):
        file = f"austen_train_{number:06d}.bin"
        shards.write_shard(p.split("train") / file, novels[name])
        counts[file] = len(novels[name])
    write_meta(p.split("train"), SMALL, counts)
    # Two places of the sixth novel that do not overlap; where they lie, and which
    # of the two comes first, nobody can know.
    hidden, secret = novels[HIDDEN_NOVEL], p.random("cut of the hidden novel")
    begins = [secret.randrange(len(hidden) - 2 * SMALL_TOKENS + 1) for _ in range(2)]
    begins = [min(begins), max(begins) + SMALL_TOKENS]
    secret.shuffle(begins)
    for split, begin in zip(("validation", "test"), begins, strict=True):
        write_split(p, split, f"austen_{split}.bin", hidden[begin : begin + SMALL_TOKENS], SMALL)


def open_shard(p: Preparation, name: str) -> shards.Tokens:
    """Return the tokens of a shard of the source."""
    try:
        return shards.open_shard(p.file(name), GPT2_VOCABULARY)
    except shards.Damaged as damaged:
        p.refuse(str(damaged))


def keep(p: Preparation, source: Path, target: Path) -> None:
    """Bring a file into a split without taking its space twice, where that is safe."""
    if p.kind != "user":
        try:
            os.link(source.resolve(), target)
        except OSError:
            pass  # another file system, or one without links
        else:
            return
    shutil.copyfile(source, target)


def write_split(p: Preparation, split: str, name: str, tokens: shards.Tokens, meta: dict[str, object]) -> None:
    """Write a split of one shard."""
    shards.write_shard(p.split(split) / name, tokens)
    write_meta(p.split(split), meta, {name: len(tokens)})


def write_meta(folder: Path, meta: dict[str, object], counts: dict[str, int]) -> None:
    """Write what a program needs to know about the shards beside it."""
    text = json.dumps({**meta, "tokens": sum(counts.values()), "shards": counts}, indent=2)
    (folder / "meta.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    run(prepare)
