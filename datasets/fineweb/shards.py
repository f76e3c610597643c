"""Shards of tokens: a header of 256 little-endian 32-bit integers, then 16-bit token ids.

The header has a magic number, the version 1 and the number of tokens; the rest of
it is not used. A shard has 200 MB, so it is looked at through a map and copied in
pieces, and never held in memory as a whole.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt

MAGIC = 20240520
VERSION = 1
HEADER_BYTES = 1024
PIECE = 1 << 23  # tokens that are looked at or copied at once

Tokens = npt.NDArray[np.uint16]


class Damaged(Exception):
    """The file is no shard; the text says why."""


def open_shard(path: Path, vocabulary: int) -> Tokens:
    """Return a map of the tokens of a shard, all of which have been looked at."""
    size = path.stat().st_size
    if size < HEADER_BYTES:
        raise Damaged(f"{path.name} has {size} bytes, which is less than the header of a shard")
    header = np.fromfile(path, dtype="<i4", count=3)
    magic, version, count = (int(word) for word in header)
    if magic != MAGIC:
        raise Damaged(f"{path.name} begins with the number {magic} and not with {MAGIC}: it is no shard of tokens")
    if version != VERSION:
        raise Damaged(f"{path.name} is of version {version}; only version {VERSION} is known")
    if count < 1 or size != HEADER_BYTES + 2 * count:
        raise Damaged(f"{path.name} says that it has {count} tokens, and {size} bytes do not hold that many exactly")
    tokens = np.memmap(path, dtype="<u2", mode="r", offset=HEADER_BYTES, shape=(count,))
    for begin in range(0, count, PIECE):
        largest = int(tokens[begin : begin + PIECE].max())
        if largest >= vocabulary:
            raise Damaged(f"{path.name} has the token {largest}; ids end at {vocabulary - 1}")
    return tokens


def write_shard(path: Path, tokens: Tokens, progress: Callable[[int], None] = lambda done: None) -> None:
    """Write tokens as a shard, piece by piece."""
    header = np.zeros(HEADER_BYTES // 4, dtype="<i4")
    header[:3] = MAGIC, VERSION, len(tokens)
    with path.open("wb") as file:
        file.write(header.tobytes())
        for begin in range(0, len(tokens), PIECE):
            piece = tokens[begin : begin + PIECE]
            file.write(np.ascontiguousarray(piece, dtype="<u2").tobytes())
            progress(begin + len(piece))
