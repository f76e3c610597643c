"""Random numbers that nobody can foretell without the secret seed."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator, Sequence
from typing import TypeVar

T = TypeVar("T")

_BLOCK_WORDS = 1024
_UNIT = 2.0**-53


def _words(seed: bytes) -> Iterator[int]:
    """Yield 64-bit words of SHAKE-256 over the seed and a counter."""
    unpack = struct.Struct(f"<{_BLOCK_WORDS}Q").unpack
    block = 0
    while True:
        digest = hashlib.shake_256(seed + block.to_bytes(8, "big")).digest(8 * _BLOCK_WORDS)
        yield from unpack(digest)
        block += 1


class Stream:
    """A stream of random numbers, with the methods of random.Random that games need.

    The generator of Python's random module is not used, because an opponent's
    draws, which a player sees, would give its whole state away.
    """

    def __init__(self, seed: bytes, label: str) -> None:
        self._next = _words(hashlib.sha256(seed + b"\0" + label.encode()).digest()).__next__

    def random(self) -> float:
        """Return a float from [0, 1), uniformly, with 53 random bits."""
        return (self._next() >> 11) * _UNIT

    def below(self, bound: int) -> int:
        """Return an integer from 0 to bound-1, each exactly as likely as the others."""
        if not 0 < bound <= 1 << 64:
            raise ValueError(f"bound {bound} is not in 1..2**64")
        limit = (1 << 64) - (1 << 64) % bound
        word = self._next()
        while word >= limit:
            word = self._next()
        return word % bound

    def randint(self, low: int, high: int) -> int:
        """Return an integer from low to high, both included."""
        return low + self.below(high - low + 1)

    def choice(self, items: Sequence[T]) -> T:
        """Return one of the items."""
        return items[self.below(len(items))]

    def sample(self, items: Sequence[T], count: int) -> list[T]:
        """Return count different items in random order."""
        pool = list(items)
        for i in range(count):
            j = i + self.below(len(pool) - i)
            pool[i], pool[j] = pool[j], pool[i]
        return pool[:count]
