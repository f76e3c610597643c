"""One preparation of a data set, seen from its script."""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn, TextIO

EVERY_SECONDS = 0.5  # progress is told no more often


class Refused(Exception):
    """The source is not what it has to be; the text says what to change."""


class Preparation:
    """What is to be prepared, and where to write it."""

    def __init__(
        self, variant: str, kind: str, source: Path, output: Path, secret: bytes, channel: TextIO = sys.stdout
    ) -> None:
        self.variant = variant
        """The variant of the data set: ``full``, ``small`` …"""
        self.kind = kind
        """Where the source is from: ``user``, ``url``, ``huggingface``, ``debian``, ``packages`` or ``generated``."""
        self.source = source
        """The folder with what was fetched; empty for ``packages`` and ``generated``."""
        self._output = output
        self._secret = secret
        self._channel = channel
        self._told = 0.0

    def split(self, name: str) -> Path:
        """Return the folder of a split, which exists."""
        folder = self._output / name
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def seed(self, label: str) -> int:
        """Return 128 secret bits that belong to the label and to this installation.

        Whatever the agent must not be able to guess is drawn from them: the order
        of hidden rows, their ids, generated hidden data. What is public (the
        training part of generated data) has a fixed seed instead.
        """
        return int.from_bytes(hashlib.sha256(self._secret + b"\0" + label.encode()).digest()[:16], "big")

    def random(self, label: str) -> random.Random:
        """Return a generator with the seed of the label."""
        return random.Random(self.seed(label))

    def ids(self, count: int, label: str = "ids", digits: int = 8) -> list[str]:
        """Return so many different opaque ids, which tell nothing about their order."""
        generator = self.random(label)
        numbers = generator.sample(range(10 ** (digits - 1), 10**digits), count)
        return [str(number) for number in numbers]

    def file(self, name: str, sha256: str = "") -> Path:
        """Return the path of a file of the source; refuse where it is missing or another one."""
        path = self.source / name
        if not path.is_file():
            self.refuse(f"{name} is missing in {self.source}")
        if sha256 and digest(path) != sha256:
            self.refuse(f"{path} is not the expected file: its SHA-256 is {digest(path)}, not {sha256}")
        return path

    def refuse(self, message: str) -> NoReturn:
        """End the preparation: the source cannot be used, and the message says why."""
        raise Refused(message)

    def progress(self, text: str, done: int = 0, total: int = 0) -> None:
        """Tell how far the work is; cheap enough to be called in a loop."""
        now = time.monotonic()
        if now - self._told < EVERY_SECONDS and done < total:
            return
        self._told = now
        self.tell({"progress": text, "done": done, "total": total})

    def tell(self, event: dict[str, object]) -> None:
        """Send an event to mlgym."""
        print(json.dumps(event), file=self._channel, flush=True)


def digest(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def run(prepare: Callable[[Preparation], None], arguments: Sequence[str] | None = None) -> None:
    """Run the script for the command line that mlgym gives it.

    Standard output carries one JSON object a line, for mlgym; what a script
    prints itself goes to standard error.
    """
    parser = argparse.ArgumentParser(description="Prepare a data set.")
    parser.add_argument("--variant", required=True)
    parser.add_argument("--kind", required=True)
    parser.add_argument("--source", required=True, type=Path)
    parser.add_argument("--output", required=True, type=Path)
    given = parser.parse_args(arguments)
    secret = bytes.fromhex(os.environ.pop("MLGYM_DATA_SECRET", ""))
    channel, sys.stdout = sys.stdout, sys.stderr
    preparation = Preparation(given.variant, given.kind, given.source, given.output, secret, channel)
    try:
        prepare(preparation)
    except Refused as refused:
        preparation.tell({"refused": str(refused)})
        sys.exit(3)
    preparation.tell({"done": True})
